"""The configuration of a run: defaults, config.yaml, a file, a checkpoint's own, and flags.

The only reader of config.yaml. `schema` says what keys there are, `checks` what goes together.
"""

import math
import reprlib
import sys
from pathlib import Path

import yaml
from pydantic import ValidationError

from zrnn import checks
from zrnn.errors import UserError
from zrnn.schema import KEYS, PATHS, SECTIONS, Config

DEFAULT_PATH = Path(__file__).parents[1] / "config.yaml"
MAX_BYTES, MAX_LINES = 1_000_000, 12  # of a configuration file, of an error
_FEW_WORDS = reprlib.Repr()
_FEW_WORDS.maxlevel = 2
RUNS = "runs"  # the folder of all runs that have a name
TRAINED = ("model", "task", "training")  # the sections that a checkpoint brings with it
NOT_TRAINED = ("training.save_path", "training.log_path", "training.save_seconds")


def _short(value) -> str:
    """A value in few words, whatever it is."""
    plain = isinstance(value, str) and value.isprintable()
    return (value if plain else _FEW_WORDS.repr(value))[:80]


def _refuse(lines):
    """Raise UserError with the lines, or the first of them, if there are any."""
    if more := len(lines[MAX_LINES:]):
        lines = [*lines[:MAX_LINES], f"and {more} more"]
    if lines:
        raise UserError("\n".join(lines))


class _UniqueKeys(yaml.SafeLoader):
    """A safe YAML loader that refuses keys given twice, instead of keeping the last, and lists."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.YAMLError(f"line {line}: a list or a mapping is no key")
            if key_node.value in seen:
                raise yaml.YAMLError(f"line {line}: key {_short(key_node.value)} stands twice")
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def read(path) -> dict:
    """What a YAML file holds, {section: {key: value}}, unchecked. Raises UserError."""
    name = f"config {_short(str(path))}"
    try:
        if not Path(path).is_file():
            raise UserError(f"{name}: cannot be read (no such file)")
        if Path(path).stat().st_size > MAX_BYTES:
            raise UserError(f"{name}: too large; allowed: at most {MAX_BYTES} bytes")
        content = yaml.load(Path(path).read_text(encoding="utf-8"), _UniqueKeys)
    except UserError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise UserError(f"{name}: cannot be read ({reason})") from None
    except Exception as error:  # the parser has many ways to fail, too deep a file among them
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{name}: not YAML ({reason})") from None
    if not isinstance(content, dict):
        raise UserError(f"{name}: empty or not sections of keys, as in {DEFAULT_PATH.name}")
    return content


def _flatten(sections, where) -> dict:
    """{"section.key": value} of {section: {key: value}}, all of them known. Raises UserError."""
    flat, wrong = {}, []
    for section, keys in sections.items():
        keys = {} if keys is None and section in SECTIONS else keys
        if not isinstance(keys, dict):
            wrong.append(f"{_short(section)} is {_short(keys)}; allowed: a section of keys")
        elif section not in SECTIONS:
            wrong.append(f"unknown section {_short(section)}{checks.suggestion(str(section))}")
        else:
            flat.update({f"{section}.{key}": value for key, value in keys.items()})
    return _known(flat, where, wrong)


def _known(flat, where, wrong=()):
    wrong = [*wrong]
    wrong += [f"unknown key {_short(k)}{checks.suggestion(k)}" for k in flat if k not in KEYS]
    _refuse([f"{where}: {line}" for line in wrong])
    return flat


def _trained_with(checkpoint) -> dict:
    """The keys with which a network was trained, {"section.key": value}.

    checkpoint: its configuration, {section: {key: value}}, also of an older version: then model and
    task, whose keys are the same, and the trained periods. Raises UserError.
    """
    if not isinstance(checkpoint, dict) or not all(
        isinstance(checkpoint.get(section), dict) for section in TRAINED
    ):
        raise UserError("checkpoint: its configuration has no sections model, task and training")
    flat = {f"{s}.{k}": v for s in TRAINED for k, v in checkpoint[s].items()}
    if any(key.startswith("training.") and key not in KEYS for key in flat):  # an older version
        flat = {
            key: value
            for key, value in flat.items()
            if not key.startswith("training.") or key == "training.periods"
        }
    return {key: value for key, value in flat.items() if key in KEYS and key not in NOT_TRAINED}


def _validated(flat, sources=None) -> Config:
    """The configuration of {"section.key": value}; sources: where a key's value is from."""
    nested = {section: {} for section in SECTIONS}
    for key, value in flat.items():
        section, name = key.split(".")
        nested[section][name] = value
    try:
        return Config.model_validate(nested)
    except ValidationError as error:
        keys = dict.fromkeys(".".join(e["loc"][:2]) for e in error.errors(include_context=False))
    lines = []
    for key in keys:
        where = f"{sources[key]}: " if (sources or {}).get(key) else ""
        may_be = checks.allowed(KEYS[key].annotation, KEYS[key].metadata)
        lines.append(f"{where}{key} is {_short(flat[key])}; allowed: {may_be}")
    _refuse(lines)


def checked_arguments(arguments: dict) -> dict:
    """What a checkpoint says of its network, checked, and with the defaults of keys that it lacks.

    arguments: {key of the model section, or another name: value}. Raises UserError.
    """
    flat = {f"model.{key}": value for key, value in arguments.items() if f"model.{key}" in KEYS}
    model = _validated(flat, dict.fromkeys(flat, "checkpoint")).model
    others = {key: value for key, value in arguments.items() if f"model.{key}" not in KEYS}
    numbers = {k: v for k, v in others.items() if isinstance(v, float) and math.isfinite(v)}
    return {**dict(model), **{str(key): value for key, value in numbers.items()}}


def _resolved(config, training=True) -> Config:
    """With what is derived from other keys filled in, all checked together."""
    _refuse(checks.problems(config, training))
    if config.training.dt is not None:
        return config
    dt = checks.descent_dt(config.model, config.task)
    return config.model_copy(update={"training": config.training.model_copy(update={"dt": dt})})


def _named(name, flags) -> dict:
    """All places of a run with a name, but for those that a flag sets."""
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    plain = isinstance(name, str) and name.isprintable() and not set(name) & set('/\\:*?"<>|')
    if not plain or not 0 < len(name.encode()) <= 100 or name[0] in ".-" or name != name.strip():
        raise UserError(
            f"name is {_short(name)}; allowed: a plain word of at most 100 characters, for the "
            f"folder {RUNS}/NAME"
        )
    return {key: f"{RUNS}/{name}/{KEYS[key].default}" for key in PATHS if key not in flags}


def load(config_path=None, flags=None, checkpoint=None, name=None) -> Config:
    """The resolved configuration. Raises UserError, which names all that is wrong at once.

    Later ones win: the defaults, config.yaml, `config_path` (which may lack keys; a path, or the
    sections themselves), the places of a run's `name`, the model, task and training sections of
    `checkpoint` (the configuration with which a network was trained), and `flags`
    {"section.key": value}. What `config_path` says against the checkpoint is refused where it
    matters to the network, and said where it mattered in training only.
    """
    flags = dict(flags or {})
    name = flags.pop("name", name)
    if "model_type" in flags:
        flags["model.type"] = flags.pop("model_type")
    flat, sources = {}, {}

    def add(layer, where):
        flat.update(layer)
        sources.update(dict.fromkeys(layer, where))

    if DEFAULT_PATH.exists():
        add(_flatten(read(DEFAULT_PATH), f"config {DEFAULT_PATH.name}"), DEFAULT_PATH.name)
    own, where = {}, "configuration"
    if isinstance(config_path, dict):
        own = _flatten(config_path, where)
    elif isinstance(config_path, (str, Path)):
        where = f"config {_short(str(config_path))}"
        own = _flatten(read(config_path), where)
    elif config_path is not None:
        raise UserError(f"config_path is {_short(config_path)}; allowed: a file")
    add(own, where)
    if name is not None:
        add(_named(name, flags), "")
    if checkpoint is not None:
        trained = _trained_with(checkpoint)
        _compare({key: value for key, value in own.items() if key not in flags}, trained, where)
        add(trained, "checkpoint")
    add(_known(flags, "command line"), "")
    return _resolved(_validated(flat, sources), training=checkpoint is None)


def _compare(own, trained, where):
    """Refuse, or say, what a configuration file wants otherwise than the network was trained."""
    was = _validated(trained, dict.fromkeys(trained, "checkpoint"))
    sources, refused = dict.fromkeys(own, where), []
    wanted = _validated(trained | {key: own[key] for key in own if key in trained}, sources)
    for key, value, old in differences(wanted, was):
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
    """What differs from the defaults, one line a key; the places of a named run in one line."""
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
    """The configuration as YAML that `load` reads again, with `about` {name: value} in comments."""
    head = "".join(f"# {name}: {value}\n" for name, value in (about or {}).items())
    return head + yaml.safe_dump(plain(config), sort_keys=False, default_flow_style=None, width=100)


def _value_text(value) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()


def commented() -> str:
    """config.yaml: every key with its default and, in a comment, what it means."""
    lines = [
        "# What a user may want to change. Any key is also a flag: --training.epochs 50",
        "# Written by: python -m zrnn.configuration > config.yaml",
    ]
    for section, fields in SECTIONS.items():
        lines += ["", f"{section + ':':27} # {fields.__doc__}"]
        for name, field in fields.model_fields.items():
            lines.append(f"{f'  {name}: {_value_text(field.default)}':27} # {field.description}")
    return "\n".join(lines) + "\n"


def help_text(about: str, sections) -> str:
    """`about`, and every key of the sections with its default, unit and meaning."""
    lines = [about.strip(), ""]
    for section in sections:
        for name, field in SECTIONS[section].model_fields.items():
            flag = f"  --{section}.{name} {_value_text(field.default)}"
            lines.append(f"{flag:38}  {field.description}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(commented(), end="")
