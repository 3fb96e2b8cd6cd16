"""The configuration of a run: defaults, config.yaml, a file, a checkpoint, and flags.

This is the only reader of config.yaml. `zrnn.schema` defines the keys.
"""

import difflib
import math
import os
import reprlib
import sys
from pathlib import Path

import yaml
from pydantic import ValidationError

from zrnn.errors import UserError
from zrnn.files import shown
from zrnn.schema import KEYS, PATHS, SECTIONS, TEXTS, Config

DEFAULT_PATH = Path(__file__).parents[1] / "config.yaml"
RUNS = "runs"  # folder of the runs that have a name
MAX_BYTES, MAX_LINES = 1_000_000, 12  # of a configuration file; of an error message
TRAINED = ("model", "task", "training")  # the sections that a checkpoint determines
# keys of a training run that do not describe the network it makes
RUN_KEYS = ("training.save_path", "training.log_path", "training.save_seconds", "training.start")
ORIGINAL_FLAGS = {  # of the original code's plot_fig5.py
    "config": "--config_path",
    "model": "--checkpoint",
    "s": "--fig5.span",
    "g": "--fig5.grid",
    "cc": "--fig5.cues",
    "t": "--fig5.times",
    "tcc": "none: tap units are those at the middle of the trained cues",
    "type": "none: figures 5a and 5b are both drawn",
}


def _short(value) -> str:
    """A value in at most 80 characters."""
    plain = isinstance(value, str) and value.isprintable()
    return (value if plain else reprlib.repr(value))[:80]


def _refuse(lines) -> None:
    """Raises UserError with the lines, if there are any."""
    if lines:
        more = len(lines) - MAX_LINES
        raise UserError("\n".join([*lines[:MAX_LINES], *[f"and {more} more"] * (more > 0)]))


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
            raise UserError(f"{name}: cannot be read (no such file)")
        if Path(path).stat().st_size > MAX_BYTES:
            raise UserError(f"{name}: too large; allowed: at most {MAX_BYTES} bytes")
        content = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)
    except UserError:
        raise
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
    last = name.rpartition(".")[2]
    known = sorted(KEYS, key=lambda k: not k.startswith(("training", "model")))
    same = [k for k in known if k.partition(".")[2] == last]
    same = same or difflib.get_close_matches(name, [*known, *script_flags], 1, 0.8)
    near = difflib.get_close_matches(last, [k.partition(".")[2] for k in known], 1, 0.8)
    same = same or [k for k in known if k.partition(".")[2] in near]
    return f"; did you mean {same[0]}?" if same else ""


def _parsed(value):
    """The value of a flag, whose text may be a list in YAML."""
    if not isinstance(value, str):
        return value
    try:
        return yaml.load(value, _Loader)
    except (yaml.YAMLError, RecursionError):
        return value  # the validation says what is wrong with it


def _flatten(sections, where) -> dict:
    """{"section.key": value} of {section: {key: value}}. Raises UserError for unknown ones."""
    flat, wrong = {}, []
    for section, keys in sections.items():
        keys = {} if section in SECTIONS and keys in (None, "") else keys
        if section not in SECTIONS:
            wrong.append(f"unknown section {_short(section)}{suggestion(str(section))}")
        elif not isinstance(keys, dict):
            wrong.append(f"{section} is {_short(keys)}; allowed: a section of keys")
        else:
            flat.update({f"{section}.{key}": value for key, value in keys.items()})
    wrong += [f"unknown key {_short(k)}{suggestion(k)}" for k in flat if k not in KEYS]
    _refuse([f"{where}: {line}" for line in wrong])
    return flat


def _trained_with(checkpoint) -> dict:
    """{"section.key": value} with which a network was trained, without its places.

    checkpoint: its configuration, {section: {key: value}}, where keys of other versions are
    ignored. Raises UserError.
    """
    if not isinstance(checkpoint, dict) or not all(
        isinstance(checkpoint.get(section), dict) for section in TRAINED
    ):
        raise UserError("checkpoint: its configuration has no sections model, task and training")
    flat = {f"{s}.{k}": v for s in TRAINED for k, v in checkpoint[s].items()}
    return {key: value for key, value in flat.items() if key in KEYS and key not in RUN_KEYS}


def without_places(config: dict) -> dict:
    """A saved configuration {section: {key: value}} without files and folders: a user names them.

    Raises UserError.
    """
    if not isinstance(config, dict):
        raise UserError(f"saved configuration: {_short(config)}; allowed: sections of keys")
    flat = _flatten(config, "saved configuration")
    content = {section: {} for section in SECTIONS}
    for key, value in flat.items():
        if key not in PATHS:
            section, name = key.split(".")
            content[section][name] = value
    return content


def _validated(flat, sources=None) -> Config:
    """The configuration of {"section.key": value}; sources: {key: where its value is from}."""
    nested = {section: {} for section in SECTIONS}
    for key, value in flat.items():
        section, name = key.split(".")
        nested[section][name] = value
    try:
        return Config.model_validate(nested)
    except ValidationError as error:
        found = error.errors(include_url=False)
    lines = []
    for one in found:
        key, message = ".".join(map(str, one["loc"][:2])), one["msg"]
        if one["type"] == "value_error":  # of a validator of ours, or of a path
            message = message.removeprefix("Value error, ")
        where = (sources or {}).get(key)
        shown = f"{key} is {_short(flat[key])}: " if key in flat else ""
        lines.append(f"{where + ': ' if where else ''}{shown}{message[:1].lower()}{message[1:]}")
    _refuse("\n".join(dict.fromkeys(lines)).splitlines())


def model_arguments(arguments: dict, changes: dict) -> dict:
    """Keys of the model section for a checkpoint's `arguments`, with a user's `changes`.

    Names that only another version knew are ignored in `arguments` and refused in `changes`.
    Raises UserError.
    """
    known = {f"model.{k}": v for k, v in arguments.items() if f"model.{k}" in KEYS}
    changed = _flatten({"model": changes}, "load_network")
    sources = dict.fromkeys(known, "checkpoint") | dict.fromkeys(changed)
    return dict(_validated(known | changed, sources).model)


def _check_training(config: Config) -> list[str]:
    """What does not fit together in a configuration with which a network is to be trained."""
    model, task, training = config.model, config.task, config.training
    wrong, most = [], min(model.tau, task.click_width)
    if training.dt is not None and not model.dt <= training.dt <= most:
        wrong.append(
            f"training.dt is {training.dt:g} s; allowed: null, or from model.dt, {model.dt:g} s, "
            f"to the smaller of model.tau and task.click_width, {most:g} s"
        )
    shortest = task.max_onset + max(training.periods)
    if shortest > training.trial_seconds:
        wrong.append(
            f"training.trial_seconds is {training.trial_seconds:g} s; allowed: at least "
            f"task.max_onset and the longest of training.periods, {shortest:g} s"
        )
    if training.click_seconds > training.trial_seconds:
        wrong.append("training.click_seconds: at most training.trial_seconds")
    return wrong


def _check_places(config: Config) -> list[str]:
    """Files and folders that are the same, or within another file or the drive's folder."""
    keys = ["training.save_path", "training.log_path", "drive.folder"]
    places = {key: config[key.split(".")[0]][key.split(".")[1]] for key in [*keys, *PATHS]}
    places["the state of a stopped run"] = f"{config.training.save_path}.state"
    real = {key: Path(os.path.realpath(place)) for key, place in places.items()}
    wrong = []
    for key in [*keys, "the state of a stopped run"]:
        clash = [k for k in real if k != key and real[k].is_relative_to(real[key])]
        wrong += [f"{k} is {places[k]}: the place of {key}, or within it" for k in clash[:1]]
    return wrong


def _resolved(config: Config, training=True) -> Config:
    """The configuration with training.dt filled in. Raises UserError.

    The default is tau, or less such that a click is a whole number of steps.
    """
    _refuse(_check_places(config) + (_check_training(config) if training else []))
    if config.training.dt is not None:
        return config
    model, width = config.model, config.task.click_width
    dt = max(model.dt, width / math.ceil(width / model.tau - 1e-9))
    return config.model_copy(update={"training": config.training.model_copy(update={"dt": dt})})


def _named(name, flags) -> dict:
    """Every place of a run with a name, except those that a flag sets."""
    name = str(name)
    plain = name.isprintable() and not set(name) & set('/\\:*?"<>|') and name == name.strip()
    if not plain or not 0 < len(name.encode()) <= 100 or name[0] in ".-":
        raise UserError(
            f"name is {_short(name)}; allowed: a plain word of at most 100 characters, for the "
            f"folder {RUNS}/NAME"
        )
    return {key: f"{RUNS}/{name}/{KEYS[key].default}" for key in PATHS if key not in flags}


def load(config_path=None, flags=None, checkpoint=None, name=None) -> Config:
    """The configuration of a run. Raises UserError, which names all mistakes at once.

    Each layer overrides the ones before: config.yaml; `config_path`, a file or its content; the
    places of a run's `name`; the sections model, task and training of `checkpoint`, the
    configuration with which a network was trained; `flags` {"section.key": value}. If the file
    differs from the checkpoint in model, task or training.periods, UserError is raised; the other
    training keys keep the checkpoint's value, with a note on standard error.
    """
    flags = dict(flags or {})
    name = flags.pop("name", name)
    if "model_type" in flags:
        flags["model.type"] = flags.pop("model_type")
    layers = {}
    if DEFAULT_PATH.exists():
        layers[DEFAULT_PATH.name] = _flatten(read(DEFAULT_PATH), f"config {DEFAULT_PATH.name}")
    saved = isinstance(config_path, dict)
    given, where = {}, "saved configuration" if saved else f"config {shown(config_path)}"
    if config_path is not None:
        content = config_path if saved else read(config_path)
        given = layers[where] = _flatten(content, where)
    if name is not None:
        layers["name"] = _named(name, flags)
    if checkpoint is not None:
        layers["checkpoint"] = _trained_with(checkpoint)
        unset = {key: value for key, value in given.items() if key not in flags}
        _compare(unset, layers["checkpoint"], where)
    _refuse([f"command line: unknown key {k}{suggestion(k)}" for k in flags if k not in KEYS])
    layers[""] = {key: v if key in TEXTS else _parsed(v) for key, v in flags.items()}
    flat = {key: value for layer in layers.values() for key, value in layer.items()}
    sources = {key: source for source, layer in layers.items() for key in layer}
    return _resolved(_validated(flat, sources), training=checkpoint is None)


def _compare(given, trained, where):
    """Raise UserError, or print a note, where a file differs from the training of the network."""
    was, refused = _validated(trained, dict.fromkeys(trained, "checkpoint")), []
    wanted = trained | {key: value for key, value in given.items() if key in trained}
    for key, value, old in differences(_validated(wanted, dict.fromkeys(given, where)), was):
        line = f"{where}: {key} is {value}; the network was trained with {old}"
        if key.startswith("training.") and key != "training.periods":
            print(f"note: {line}, which is kept", file=sys.stderr)
        else:
            refused.append(f"{line}; allowed: the same, or the flag --{key}")
    _refuse(refused)


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
    for key, value, default in differences(config, _resolved(Config())):
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
