"""The configuration: config.yaml, changed by a file and by dotted flags, checked key by key.

The only reader of config.yaml. A configuration is a dict of sections, each a dict of values:
config["model"]["dt"]. Whatever is wrong raises ConfigError with one line for the user.
"""

import difflib
import math
import re
import signal
import sys
from collections import namedtuple
from pathlib import Path

import fire
import yaml

DEFAULT_PATH = Path(__file__).parents[2] / "config.yaml"

Rule = namedtuple("Rule", "allowed convert")  # what may be there, in words; raises ValueError


class ConfigError(ValueError):
    """A configuration or a flag that cannot be used; the message is one line for the user."""


def number(low=-math.inf, high=math.inf, above=None, whole=False):
    """A finite number, low <= value <= high, or strictly above `above`."""
    bounds = [f"above {above}"] if above is not None else []
    bounds += [f"at least {low}"] if low > -math.inf else []
    bounds += [f"at most {high}"] if high < math.inf else []

    def convert(value):
        if isinstance(value, bool):
            raise ValueError
        value = float(value)  # YAML reads 1e-3 as a string
        if not math.isfinite(value) or not low <= value <= high:
            raise ValueError
        if (above is not None and value <= above) or (whole and value != int(value)):
            raise ValueError
        return int(value) if whole else value

    kind = "a whole number" if whole else "a number"
    return Rule(" ".join([kind, " and ".join(bounds)]).strip(), convert)


def whole(low, high=math.inf):
    return number(low, high, whole=True)


def choice(*names):
    def convert(value):
        if value not in names or isinstance(value, bool) != isinstance(names[0], bool):
            raise ValueError
        return value

    return Rule(" or ".join(str(name) for name in names), convert)


def list_of(rule, length=None, or_one=False):
    """A list of values that each obey `rule`; with or_one, a single value too."""

    def convert(value):
        if or_one and not isinstance(value, (list, tuple)):
            return rule.convert(value)
        if (
            not isinstance(value, (list, tuple))
            or not value
            or (length or len(value)) != len(value)
        ):
            raise ValueError
        return [rule.convert(item) for item in value]

    many = f"a list of {length or 'one or more'}, each {rule.allowed}"
    return Rule(f"{rule.allowed}, or {many}" if or_one else many, convert)


def each_stage(rule):
    return list_of(rule, or_one=True)


def _path(value):
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError
    return value


PATH = Rule("a path, printable", _path)
FLAG = choice(True, False)
POSITIVE = number(above=0)
MAX_STEPS = 10_000_000  # of a trial or a drive: more is a mistake, and would fill the memory

RULES = {
    "model.type": choice("ZemlianovaRNN", "RNN"),
    "model.input_dim": whole(2, 2),
    "model.hidden_dim": whole(2, 20_000),
    "model.output_dim": whole(1, 1),
    "model.tau": POSITIVE,
    "model.dt": POSITIVE,
    "model.sigma_rec": number(0),
    "model.sigma_input": number(0),
    "model.excit_percent": number(0, 1),
    "task.cue_constant": POSITIVE,
    "task.click_width": POSITIVE,
    "task.max_onset": number(0),
    "training.periods": list_of(POSITIVE),
    "training.stage_dt": list_of(POSITIVE),
    "training.epochs": each_stage(whole(1)),
    "training.products": each_stage(choice("float32", "mixed", "bfloat16")),
    "training.recompute": FLAG,
    "training.batch_size": each_stage(whole(1, 100_000)),
    "training.learning_rate": each_stage(POSITIVE),
    "training.final_rate": each_stage(number(0, 1)),
    "training.adam_beta2": number(0, 1),
    "training.max_grad_norm": POSITIVE,
    "training.noise_scale": each_stage(number(0)),
    "training.mirrored_noise": FLAG,
    "training.period_weight": each_stage(number(0)),
    "training.trial_seconds": each_stage(POSITIVE),
    "training.click_seconds": each_stage(number(0)),
    "training.silent_periods": each_stage(POSITIVE),
    "training.early_stopping_loss": number(0),
    "training.validation_trials": whole(1, 100_000),
    "training.validation_every": whole(1),
    "training.seed": whole(0, 2**32 - 1),
    "training.save_path": PATH,
    "training.save_seconds": number(0),
    "training.log_path": PATH,
    "drive.folder": PATH,
    "drive.discard_seconds": number(0),
    "drive.keep_seconds": POSITIVE,
    "drive.clicks": FLAG,
    "drive.onset": number(0),
    "drive.extra_periods": whole(0, 500),
    "drive.extra_floor": POSITIVE,
    "drive.extra_decay": POSITIVE,
    "drive.hidden_states": choice("trained", "all", "none"),
    "drive.seed": whole(0, 2**32 - 1),
    "taps.smoothing": number(0),
    "taps.prominence": POSITIVE,
    "taps.max_cv": POSITIVE,
    "taps.min_taps": whole(3),
    "check.enable": FLAG,
    "check.noise_runs": whole(1),
    "check.untrained_periods": whole(0),
    "check.untrained_runs": whole(1),
    "check.range_seconds": POSITIVE,
    "check.max_error": POSITIVE,
    "check.max_cv": POSITIVE,
    "check.max_untrained_error": POSITIVE,
    "check.min_rank_correlation": number(-1, 1),
    "check.seed": whole(0, 2**32 - 1),
    "fig1.folder": PATH,
    "fig1.window_seconds": POSITIVE,
    "fig1.trajectory_seconds": POSITIVE,
    "fig1.pca_every": whole(1),
    "fig5.folder": PATH,
    "fig5.plane_cues": list_of(number(), length=2),
    "fig5.plane_runs": whole(2),
    "fig5.plane_seconds": POSITIVE,
    "fig5.tap_cue": number(),
    "fig5.tap_phase": number(0, 0.5),
    "fig5.grid": whole(2),
    "fig5.span": POSITIVE,
    "fig5.cues": list_of(number()),
    "fig5.field_seconds": POSITIVE,
    "fig5.beat_cue": number(),
    "fig5.times": list_of(POSITIVE),
    "fig5.seed": whole(0, 2**32 - 1),
    "cue_range.folder": PATH,
    "cue_range.cues": list_of(POSITIVE, length=2),
    "cue_range.n_cues": whole(2),
    "cue_range.keep_seconds": POSITIVE,
    "fig3.folder": PATH,
    "fig3.time_cues": list_of(number()),
    "fig3.time_seconds": POSITIVE,
    "fig3.cues": list_of(number(), length=2),
    "fig3.step": POSITIVE,
    "fig3.n_cycles": whole(2),
    "fig3.onset_distances": list_of(POSITIVE, length=2),
    "fig3.n_distances": whole(4),
    "fig3.beyond": list_of(POSITIVE),
    "fig3.period_cues": list_of(number(), length=2),
    "fig3.cycle_cues": list_of(number()),
    "bifurcation.folder": PATH,
    "bifurcation.cues": list_of(number(), length=2),
    "bifurcation.step": POSITIVE,
    "bifurcation.search_cues": list_of(number()),
    "bifurcation.search_seconds": POSITIVE,
    "bifurcation.search_states": whole(1),
    "bifurcation.beat_cue": number(),
    "bifurcation.cycle_cues": list_of(number(), length=2),
    "bifurcation.n_cycles": whole(2),
    "bifurcation.n_edge": whole(0),
    "bifurcation.settle_seconds": POSITIVE,
    "bifurcation.ramp_seconds": number(0),
    "bifurcation.keep_seconds": POSITIVE,
    "bifurcation.min_height": POSITIVE,
    "bifurcation.onset_distances": list_of(POSITIVE, length=2),
    "bifurcation.n_distances": whole(4),
    "bifurcation.onset_seconds": number(1),
    "bifurcation.small_range": POSITIVE,
    "bifurcation.small_seconds": POSITIVE,
    "bifurcation.small_height": POSITIVE,
    "groups.folder": PATH,
    "groups.periods": list_of(POSITIVE),
    "groups.record_seconds": POSITIVE,
    "groups.border": number(0, 0.5),
    "groups.lesion_seconds": POSITIVE,
    "groups.draws": whole(1),
    "groups.runaway": number(above=1),
    "groups.seed": whole(0, 2**32 - 1),
    "plotting.enable": FLAG,
    "plotting.folder": PATH,
    "plotting.format": choice("png", "pdf"),
}


class _UniqueKeys(yaml.SafeLoader):
    """A safe YAML loader that refuses a key given twice instead of keeping the last."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                line = key_node.start_mark.line + 1
                raise yaml.YAMLError(f"key {key_node.value} stands twice, again in line {line}")
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def read(path):
    """The keys of a YAML file as {"section.key": value}, known ones, their values unchecked."""
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), _UniqueKeys)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"config {path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise ConfigError(
            f"config {path}: empty or not sections of keys, as in {DEFAULT_PATH.name}"
        )
    return _flatten(content, f"config {path}")


def _flatten(sections, where):
    """{"section.key": value} of {section: {key: value}}, all of them known keys."""
    flat = {}
    for section, keys in sections.items():
        if not isinstance(keys, dict):
            raise ConfigError(f"{where}: {section} is {keys!r}; allowed: a section of keys")
        flat.update({f"{section}.{key}": value for key, value in keys.items()})
    _check_keys(flat, where)
    return flat


def _check_keys(keys, where):
    for key in keys:
        if key not in RULES:
            near = difflib.get_close_matches(str(key), RULES, n=1, cutoff=0)[0]
            raise ConfigError(f"{where}: unknown key {key}; the nearest known one is {near}")


def load(config_path=None, flags=None, checkpoint=None):
    """The resolved configuration, {section: {key: value}}. Raises ConfigError.

    Later ones win: the config.yaml beside this file, `config_path` (which may lack keys, as the
    predecessor's files do; a path, or the sections themselves), the model, task and training
    sections of `checkpoint` (what a network was trained with), and `flags` {"section.key": value}.
    """
    if not isinstance(config_path, (str, Path, dict, type(None))):
        raise ConfigError(f"config_path is {config_path!r}; allowed: a file")
    flat = read(DEFAULT_PATH)
    if isinstance(config_path, dict):
        flat.update(_flatten(config_path, "configuration"))
    elif config_path is not None:
        flat.update(read(config_path))
    for section in ("model", "task", "training") if checkpoint else ():
        flat.update({f"{section}.{k}": v for k, v in checkpoint[section].items()})
    flags = dict(flags or {})
    if "model_type" in flags:
        flags["model.type"] = flags.pop("model_type")
    _check_keys(flags, "command line")
    flat.update(flags)
    config = {}
    for key, rule in RULES.items():
        if key not in flat:
            raise ConfigError(
                f"config {DEFAULT_PATH}: key {key} is missing; allowed: {rule.allowed}"
            )
        section, name = key.split(".")
        try:
            value = rule.convert(flat[key])
        except (ValueError, TypeError, OverflowError):
            raise ConfigError(f"{key} is {flat[key]!r}; allowed: {rule.allowed}") from None
        config.setdefault(section, {})[name] = value
    _check_together(config)
    return config


def _check_together(config):
    """What no single key can tell."""
    model, task, training = config["model"], config["task"], config["training"]

    def whole_steps(name, seconds, dt):
        steps = seconds / dt
        if steps > MAX_STEPS:
            raise ConfigError(
                f"{name} is {seconds} s; allowed: at most {MAX_STEPS} steps of {dt} s"
            )
        if round(steps) < 1 or abs(steps - round(steps)) > 1e-6 * steps:
            raise ConfigError(f"{name} is {seconds} s; allowed: a multiple of the step dt, {dt} s")

    for name, dt in [("model.dt", model["dt"])] + [
        ("training.stage_dt", dt) for dt in training["stage_dt"]
    ]:
        if dt > model["tau"]:
            raise ConfigError(f"{name} is {dt} s; allowed: at most model.tau, {model['tau']} s")
        whole_steps("task.click_width", task["click_width"], dt)
    if training["stage_dt"][-1] != model["dt"]:
        raise ConfigError(
            f"training.stage_dt ends with {training['stage_dt'][-1]} s; allowed: it ends with "
            f"model.dt, {model['dt']} s"
        )
    for stage in stages(config):
        for key in ("batch_size", "validation_trials"):
            if stage["mirrored_noise"] and stage[key] % 2:
                raise ConfigError(
                    f"training.{key} is {stage[key]}; allowed: even numbers with mirrored_noise"
                )
        whole_steps("training.trial_seconds", stage["trial_seconds"], stage["dt"])
        if stage["trial_seconds"] <= task["max_onset"]:
            raise ConfigError(
                f"training.trial_seconds is {stage['trial_seconds']} s; allowed: above "
                f"task.max_onset, {task['max_onset']} s"
            )
    drive = config["drive"]
    for name, seconds in [
        ("drive.discard_seconds", drive["discard_seconds"]),
        ("drive.keep_seconds", drive["keep_seconds"]),
        ("cue_range.keep_seconds", config["cue_range"]["keep_seconds"]),
    ]:
        if seconds > 0:
            whole_steps(name, seconds, model["dt"])
    if drive["onset"] > drive["discard_seconds"]:
        raise ConfigError(
            f"drive.onset is {drive['onset']} s; allowed: at most drive.discard_seconds, "
            f"{drive['discard_seconds']} s"
        )
    if len(set(training["periods"])) < len(training["periods"]):
        raise ConfigError(f"training.periods is {training['periods']}; allowed: each period once")
    if min(training["periods"]) < 2 * task["click_width"]:
        raise ConfigError(
            f"training.periods has {min(training['periods'])} s; allowed: at least two clicks of "
            f"task.click_width, {2 * task['click_width']} s"
        )


def stages(config):
    """The training stages, one dict each: the training section with one value for every key."""
    training = config["training"]
    result = []
    for i, dt in enumerate(training["stage_dt"]):
        stage = {"dt": dt}
        for key, value in training.items():
            if key in ("periods", "stage_dt") or not isinstance(value, list):
                stage[key] = value
                continue
            if len(value) != len(training["stage_dt"]):
                raise ConfigError(
                    f"training.{key} is {value}; allowed: one number, or one for each of the "
                    f"{len(training['stage_dt'])} stages in training.stage_dt"
                )
            stage[key] = value[i]
        result.append(stage)
    return result


def differences(config, other):
    """[(key, value, other value)] where two configurations differ."""
    keys = [key.split(".") for key in RULES]
    pairs = [(f"{s}.{k}", config[s][k], other[s][k]) for s, k in keys]
    return [pair for pair in pairs if pair[1] != pair[2]]


def to_text(config, about=None):
    """The configuration as YAML that `load` reads again, with `about` {name: value} in comments."""
    head = "".join(f"# {name}: {value}\n" for name, value in (about or {}).items())
    return head + yaml.safe_dump(config, sort_keys=False, default_flow_style=None, width=100)


def help_text(script_help):
    """`script_help` and every key with its default, unit and meaning, from config.yaml itself."""
    lines, section = [script_help.strip(), "", "Configuration keys, with their defaults:"], ""
    for line in DEFAULT_PATH.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"(\w+):", line):
            section = found[1]
        elif found := re.match(r"\s+(\w+):\s*(.*?)\s*#\s*(.*)", line):
            key = f"{section}.{found[1]}"
            lines.append(f"  --{key} {found[2]}\n        {found[3]}; {RULES[key].allowed}")
    return "\n".join(lines)


def command_line(main, *user_errors):
    """Run a script's main(**flags) under Fire; a user's mistake is one line and exit code 2.

    Fire hands every flag, --help among them, to a function that takes any keyword; so help is
    answered here. `user_errors`: the exceptions besides ConfigError that speak to the user.
    """

    def stop(number, frame):
        sys.exit(128 + number)

    def run(*words, **flags):
        signal.signal(signal.SIGTERM, stop)  # unwinds, so that no half results stay behind
        if {"help", "h"} & set(flags):
            print(help_text(sys.modules["__main__"].__doc__))
            return
        try:
            if words:
                raise ConfigError(f"command line: {words[0]!r} belongs to no flag; see --help")
            main(**flags)
        except (ConfigError, *user_errors) as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            sys.exit(130)

    fire.Fire(run)
