"""The configuration of a run: defaults, config.yaml, a file, a checkpoint, and flags.

This is the only reader of config.yaml. `zrnn.schema` defines the keys.
"""

import difflib
import math
import reprlib
from pathlib import Path

import yaml
from pydantic import ValidationError

from zrnn.errors import UserError
from zrnn.files import shown
from zrnn.schema import KEYS, PATHS, SECTIONS, TEXTS, Config, NetworkAlone

DEFAULT_PATH = Path(__file__).parents[1] / "config.yaml"
RUNS = "runs"  # folder of the runs that have a name
TRAINED = ("model", "task", "training")  # the sections that a checkpoint determines
ORIGINAL_FLAGS = {  # of the original code's plot_fig5.py
    "config": "--config_path",
    "model": "--checkpoint",
    "s": "--fig5.span",
    "g": "--fig5.grid",
    "cc": "--fig5.cues",
    "t": "--fig5.times",
}


def _short(value) -> str:
    """A value in at most 80 characters."""
    plain = isinstance(value, str) and value.isprintable()
    return (value if plain else reprlib.repr(value))[:80]


def _refuse(lines) -> None:
    """Raises UserError with the lines, if there are any."""
    if lines:
        raise UserError("\n".join(lines))


class _Loader(yaml.BaseLoader):
    """Reads every scalar as text, so that a path 2024_11_26 stays one; refuses repeated keys."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        if not all(isinstance(key, yaml.ScalarNode) for key, _ in node.value):
            raise yaml.YAMLError("a key is a list or a mapping")
        if len(set(keys)) < len(keys):
            raise yaml.YAMLError(f"a key stands twice: {max(keys, key=keys.count)}")
        return super().construct_mapping(node, deep)


def read(path) -> dict:
    """Content of a YAML file, {section: {key: value}}, not validated. Raises UserError."""
    name = f"config {shown(path)}"
    try:
        if not Path(path).is_file():
            raise ValueError("no such file")
        content = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)
    except (OSError, ValueError) as error:
        raise UserError(f"{name}: cannot be read ({getattr(error, 'strerror', error)})") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{name}: not YAML ({' '.join(str(error).split())[:200]})") from None
    if not isinstance(content, dict):
        raise UserError(f"{name}: empty or not sections of keys, as in {DEFAULT_PATH.name}")
    return content


def suggestion(name: str, script_flags=()) -> str:
    """The key that a user may have meant by an unknown one; "" where none is similar."""
    if name in ORIGINAL_FLAGS:
        return f"; the new flag is {ORIGINAL_FLAGS[name]}"
    ordered = sorted(KEYS, key=lambda key: not key.startswith(("training", "model")))
    known = {key.partition(".")[2]: key for key in reversed(ordered)}  # the first of equal names
    known |= {key: key for key in [*KEYS, *script_flags]}
    last = name.rpartition(".")[2]
    near = [last] * (last in known) or difflib.get_close_matches(name, known, 1, 0.8)
    near = near or difflib.get_close_matches(last, known, 1, 0.8)
    return f"; did you mean {known[near[0]]}?" if near else ""


def _parsed(value):
    """The value of a flag, whose text may be a list in YAML."""
    try:
        return yaml.load(value, _Loader) if isinstance(value, str) else value
    except (yaml.YAMLError, RecursionError):
        return value  # the validation says what is wrong with it


def _flatten(sections, where) -> dict:
    """{"section.key": value} of {section: {key: value}}. Raises UserError for unknown ones."""
    flat, wrong = {}, []
    for section, keys in sections.items():
        if section not in SECTIONS:
            wrong.append(f"unknown section {_short(section)}{suggestion(str(section))}")
        elif isinstance(keys, dict):
            flat |= {f"{section}.{key}": value for key, value in keys.items()}
        elif keys not in (None, ""):  # a section may be empty
            wrong.append(f"{section} is {_short(keys)}; allowed: a section of keys")
    wrong += [f"unknown key {_short(k)}{suggestion(k)}" for k in flat if k not in KEYS]
    _refuse([f"{where}: {line}" for line in wrong])
    return flat


def of_checkpoint(config) -> dict:
    """The configuration that a checkpoint holds, {section: {key: value}}, as far as it is used.

    Files and folders are left out, because a user names them, and keys of other versions as well.
    Raises UserError.
    """
    if not isinstance(config, dict) or not all(isinstance(config.get(s), dict) for s in TRAINED):
        raise UserError("checkpoint: its configuration has no sections model, task and training")
    used = {section: {} for section in SECTIONS}
    for key in KEYS.keys() - set(PATHS):
        section, name = key.split(".")
        if isinstance(config.get(section), dict) and name in config[section]:
            used[section][name] = config[section][name]
    return used


def _validated(flat, sources, schema=Config):
    """The configuration of {"section.key": value}; sources: {key: where its value is from}."""
    nested = {}
    for key, value in flat.items():
        section, name = key.split(".")
        nested.setdefault(section, {})[name] = value
    try:
        return schema.model_validate(nested)
    except ValidationError as error:
        found = error.errors(include_url=False)
    lines = []
    for one in found:
        key, message = ".".join(map(str, one["loc"][:2])), one["msg"]
        message = message.removeprefix("Value error, ")
        where = f"{sources[key]}: " if sources.get(key) else ""
        value = f"{key} is {_short(flat[key])}: " if key in flat else ""
        lines.append(f"{where}{value}{message[:1].lower()}{message[1:]}")
    _refuse("\n".join(dict.fromkeys(lines)).splitlines())


def model_arguments(arguments: dict, changes: dict) -> dict:
    """Keys of the model section for a checkpoint's `arguments`, with a user's `changes`.

    Names that only another version knew are ignored in `arguments` and refused in `changes`.
    Raises UserError.
    """
    known = {f"model.{k}": v for k, v in arguments.items() if f"model.{k}" in KEYS}
    changed = _flatten({"model": changes}, "load_network")
    sources = dict.fromkeys(known, "checkpoint") | dict.fromkeys(changed)
    return dict(_validated(known | changed, sources, NetworkAlone).model)


def _completed(config: Config) -> Config:
    """With training.dt and training.learning_rate filled in, where they are null. docs/recipe.md"""
    model, width = config.model, config.task.click_width
    # tau, or less such that a click is a whole number of steps
    dt = max(model.dt, width / math.ceil(width / model.tau - 1e-9))
    rate = float(f"{0.001 * math.sqrt(500 / model.hidden_dim):.2g}")
    computed = {"dt": dt, "learning_rate": rate}
    filled = {k: v for k, v in computed.items() if config.training[k] is None}
    return config.model_copy(update={"training": config.training.model_copy(update=filled)})


def _named(name, flags) -> dict:
    """Every file and folder of a run with a name, except those that a flag sets."""
    name = str(name)
    plain = name.isprintable() and not set(name) & set('/\\:*?"<>|') and name == name.strip()
    if not plain or not 0 < len(name.encode()) <= 100 or name[0] in ".-":
        raise UserError(
            f"name is {_short(name)}; allowed: a plain word of at most 100 characters, for the "
            f"folder {RUNS}/NAME"
        )
    return {key: f"{RUNS}/{name}/{KEYS[key].default}" for key in PATHS if key not in flags}


def load(config_path=None, flags=None, checkpoint=None, name=None) -> Config:
    """The configuration of a run. Raises UserError.

    Each layer overrides the ones before: config.yaml; `config_path`, a file or its content; the
    files and folders of a run's `name`; the sections model, task and training of `checkpoint`, the
    configuration with which a network was trained; `flags` {"section.key": value}. A file that
    differs from the checkpoint in model, task or training.periods is refused; its other keys of
    the training have no effect then.
    """
    flags = dict(flags or {})
    name = flags.pop("name", name)
    if "model_type" in flags:
        flags["model.type"] = flags.pop("model_type")
    layers, given = {}, {}
    if DEFAULT_PATH.exists():
        layers[DEFAULT_PATH.name] = _flatten(read(DEFAULT_PATH), f"config {DEFAULT_PATH.name}")
    if config_path is not None:
        is_content = isinstance(config_path, dict)
        where = "saved configuration" if is_content else f"config {shown(config_path)}"
        content = config_path if is_content else read(config_path)
        given = layers[where] = _flatten(content, where)
    if name is not None:
        layers["name"] = _named(name, flags)
    if checkpoint is not None:
        saved = of_checkpoint(checkpoint)
        trained = _flatten({section: saved[section] for section in TRAINED}, "checkpoint")
        layers["checkpoint"] = trained
        unset = {key: value for key, value in given.items() if key not in flags}
        _refuse_contradictions(unset, trained, where if given else "")
    _refuse([f"command line: unknown key {k}{suggestion(k)}" for k in flags if k not in KEYS])
    layers[""] = {key: v if key in TEXTS else _parsed(v) for key, v in flags.items()}
    flat = {key: value for layer in layers.values() for key, value in layer.items()}
    sources = {key: source for source, layer in layers.items() for key in layer}
    return _completed(_validated(flat, sources))


def _refuse_contradictions(given, trained, where):
    """Raises UserError where a file differs from the network, its task or its trained periods."""
    described = [k for k in trained if not k.startswith("training.") or k == "training.periods"]
    wanted = trained | {key: given[key] for key in described if key in given}
    wanted = _validated(wanted, dict.fromkeys(trained, "checkpoint") | dict.fromkeys(given, where))
    was = _validated(trained, dict.fromkeys(trained, "checkpoint"))
    _refuse(
        [
            f"{where}: {key} is {value}; the network was trained with {old}; allowed: the same, or "
            f"the flag --{key}"
            for key, value, old in differences(wanted, was)
        ]
    )


def differences(config: Config, other: Config) -> list[tuple]:
    """[(key, value, other value)] where two configurations differ."""
    pairs = [(f"{s}.{k}", config[s][k], other[s][k]) for s, k in (key.split(".") for key in KEYS)]
    return [pair for pair in pairs if pair[1] != pair[2]]


def plain(config: Config) -> dict:
    """The configuration as {section: {key: value}}, to keep in a checkpoint."""
    return config.model_dump()


def changes_text(config: Config) -> str:
    """What differs from the defaults, one line for each key; a named run's places in one line."""
    lines, folders = [], set()
    for key, value, default in differences(config, _completed(Config())):
        folder = value.removesuffix(f"/{default}") if key in PATHS else ""
        if folder.startswith(f"{RUNS}/"):
            folders.add(f"  everything goes to {folder}/")
        else:
            lines.append(f"  {key}: {value}")
    if not lines and not folders:
        return "configuration: all defaults"
    return "\n".join(["configuration, where it differs from the defaults:", *lines, *folders])


def to_text(config: Config, about=None) -> str:
    """The configuration as YAML that `load` reads, with `about` {name: value} in comments."""
    head = "".join(f"# {name}: {value}\n" for name, value in (about or {}).items())
    return head + yaml.safe_dump(plain(config), sort_keys=False, default_flow_style=None, width=100)


def value_text(value) -> str:
    """A value as it is written in config.yaml."""
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()


def commented() -> str:
    """config.yaml: every key with its default and, in a comment, its meaning."""
    lines = [
        "# Every key with its default. Any key is also a flag: --training.epochs 50",
        "# Written by: python -m zrnn.configuration > config.yaml",
    ]
    for section, fields in SECTIONS.items():
        lines += ["", f"{section + ':':27} # {fields.__doc__}"]
        for name, field in fields.model_fields.items():
            lines.append(f"{f'  {name}: {value_text(field.default)}':27} # {field.description}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(commented(), end="")
