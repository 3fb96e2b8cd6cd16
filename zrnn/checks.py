"""What no single key of the configuration can tell: which values do not go together.

Also, in words, what a key may hold and what a mistyped one may have meant. Pure functions.
"""

import difflib
import math
import os
from typing import Annotated, Literal, get_args, get_origin

from zrnn.schema import KEYS, PATHS, Config

MAX_STEPS = 10_000_000  # of a trial or a run: more is a mistake, and would fill the memory
SIMILARITY = 0.8  # of a mistyped name to the one it is taken for, 0..1

# flags of the predecessor's plot_fig5.py
PREDECESSORS_FLAGS = {
    "config": "--config_path",
    "model": "--checkpoint",
    "s": "--fig5.span",
    "g": "--fig5.grid",
    "cc": "--fig5.cues",
    "t": "--fig5.times",
    "tcc": "none: units are told apart at the middle of the trained cues",
    "type": "none: figures 5a and 5b are both drawn",
}
# keys of the training section that were there once
GONE = dict.fromkeys(
    "validation_trials validation_every recompute mirrored_noise period_weight silent_periods "
    "adam_beta2".split(),
    "no longer needed, leave it out",
) | {
    "stage_dt": "use training.dt, from where training.refine goes to model.dt",
    "products": "no longer needed, leave it out",
}


def suggestion(name: str, script_flags=()) -> str:
    """What a user may have meant by a key that is not known; "" where nothing is near."""
    if name in PREDECESSORS_FLAGS:
        return f"; the new flag is {PREDECESSORS_FLAGS[name]}"
    section, _, last = name.rpartition(".")
    if section in ("training", "") and last in GONE:
        return f"; {GONE[last]}"
    order = ("training", "model", "task", "drive")  # then as in the configuration
    known = sorted(KEYS, key=lambda k: (order + (k.split(".")[0],)).index(k.split(".")[0]))
    same = [k for k in known if k.split(".")[1] == last]
    if not same:
        near = difflib.get_close_matches(name, [*known, *script_flags], 1, SIMILARITY)
        lasts = dict.fromkeys(k.split(".")[1] for k in known)
        near_last = difflib.get_close_matches(last, lasts, 1, SIMILARITY)
        same = near or [k for k in known if k.split(".")[1] in near_last]
    return f"; did you mean {same[0]}?" if same else ""


def allowed(annotation, metadata=()) -> str:
    """What a key of that type may hold, in words: "a whole number at least 1 and at most 500"."""
    if get_origin(annotation) is Annotated:
        annotation, *own = get_args(annotation)
        return allowed(annotation, [*own, *metadata])
    if get_origin(annotation) is Literal:
        return " or ".join(get_args(annotation))
    if get_origin(annotation) is list:
        length = next(m for m in metadata if hasattr(m, "min_length"))
        low, high = length.min_length, length.max_length
        many = f"{low}" if low == high else f"{low} to {high}"
        return f"a list of {many}, each {allowed(get_args(annotation)[0])}"
    if type(None) in get_args(annotation):
        return f"null or {allowed(get_args(annotation)[0], metadata)}"
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    bounds = [
        f"{word} {getattr(m, name):{'d' if isinstance(getattr(m, name), int) else 'g'}}"
        for name, word in words.items()
        for m in metadata
        if getattr(m, name, None) is not None
    ]
    kinds = {float: "a number", int: "a whole number", bool: "true or false", str: "a path"}
    return " ".join([kinds[annotation], " and ".join(bounds)]).strip()


def problems(config: Config, training: bool = True) -> list[str]:
    """Everything that does not go together; training: whether a network is to be trained."""
    timing = _timing(config, training)
    if timing and (flags := _working(config, training)):
        timing.append(f"what goes together: {flags}")
    return _places(config) + timing


def _timing(config, training):
    """Steps, clicks, periods, trials and runs."""
    model, task, own, drive = config.model, config.task, config.training, config.drive
    found = []
    if model.dt > model.tau:
        found.append(f"model.dt is {model.dt:g} s; allowed: at most model.tau, {model.tau:g} s")
    if model.dt > task.click_width:
        found.append(f"model.dt is {model.dt:g} s; allowed: at most a click, task.click_width")
    if min(own.periods) < 2 * task.click_width:
        found.append(
            f"training.periods has {min(own.periods):g} s; allowed: at least two clicks of "
            f"task.click_width, {2 * task.click_width:g} s"
        )
    if len(set(own.periods)) < len(own.periods):
        found.append(f"training.periods is {own.periods}; allowed: each period once")
    if training:
        found += _trials(model, task, own)
    if drive.onset > drive.discard_seconds:
        found.append(
            f"drive.onset is {drive.onset:g} s; allowed: at most drive.discard_seconds, "
            f"{drive.discard_seconds:g} s"
        )
    if drive.keep_seconds < 2 * max(own.periods):
        found.append(
            f"drive.keep_seconds is {drive.keep_seconds:g} s; allowed: at least twice the longest "
            f"of training.periods, {2 * max(own.periods):g} s"
        )
    found += _runs(config, training)
    ranges = [("cue_range.cues", config.cue_range.cues)]
    for name, (low, high) in [*ranges, ("bifurcation.cues", config.bifurcation.cues)]:
        if low >= high:
            found.append(f"{name} is [{low:g}, {high:g}]; allowed: the lower one first")
    return found


def _runs(config, training):
    """Runs of less than one step, or of more than anybody means."""
    found, dt = [], config.model.dt
    runs = [(name, config[s][k]) for name in KEYS for s, k in [name.split(".")]]
    runs = [(name, value) for name, value in runs if name.endswith("_seconds")]
    runs += [("fig5.times", value) for value in config.fig5.times]
    for name, seconds in runs:
        counted = name != "training.save_seconds" and (training or not name.startswith("training."))
        short = 0 < seconds < dt and name != "fig5.times"
        if counted and (seconds / dt > MAX_STEPS or short):
            found.append(
                f"{name} is {seconds:g} s; allowed: 1 to {MAX_STEPS} steps, {dt:g} to "
                f"{MAX_STEPS * dt:g} s"
            )
    return found


def _trials(model, task, own):
    """What holds only when a network is trained."""
    found, most = [], min(model.tau, task.click_width)
    if own.dt is not None and not model.dt <= own.dt <= most:
        found.append(
            f"training.dt is {own.dt:g} s; allowed: null, or from model.dt, {model.dt:g} s, to the "
            f"smaller of model.tau and task.click_width, {most:g} s"
        )
    if task.max_onset + max(own.periods) > own.trial_seconds:
        found.append(
            f"training.trial_seconds is {own.trial_seconds:g} s; allowed: the latest onset, "
            f"task.max_onset, and the longest of training.periods, "
            f"{task.max_onset + max(own.periods):g} s, or more"
        )
    if own.click_seconds > own.trial_seconds:
        found.append(
            f"training.click_seconds is {own.click_seconds:g} s; allowed: at most "
            f"training.trial_seconds, {own.trial_seconds:g} s"
        )
    return found


def descent_dt(model, task) -> float:
    """The step [s] of the descent: tau, or less so that a click is a whole number of steps."""
    return max(model.dt, task.click_width / math.ceil(task.click_width / model.tau - 1e-9))


def _working(config, training):
    """Flags that make values work which do not go together; "" where none are found."""
    default, model, task, own = Config(), config.model, config.task, config.training
    dt, tau, width, step = model.dt, model.tau, task.click_width, own.dt
    if dt > tau:
        dt, tau = (dt, dt) if dt != default.model.dt else (tau, tau)
    width = min(max(width, dt), min(own.periods) / 2)
    dt = min(dt, width)
    trial, click = own.trial_seconds, own.click_seconds
    if task.max_onset + max(own.periods) > trial:
        trial = math.ceil(task.max_onset + 4 * max(own.periods))
        click = trial / 2
    click = min(click, trial)
    if step is not None and not dt <= step <= min(tau, width):
        step = None
    keep = max(config.drive.keep_seconds, 2 * max(own.periods))
    changed = {
        "model": model.model_copy(update={"dt": dt, "tau": tau}),
        "task": task.model_copy(update={"click_width": width}),
        "training": own.model_copy(
            update={"dt": step, "trial_seconds": trial, "click_seconds": click}
        ),
        "drive": config.drive.model_copy(update={"keep_seconds": keep}),
    }
    if _timing(config.model_copy(update=changed), training):
        return ""
    keys = [("model", "dt"), ("model", "tau"), ("task", "click_width"), ("training", "periods")]
    keys += [("training", name) for name in ("dt", "trial_seconds", "click_seconds")]
    flags = {f"--{s}.{k}": (changed[s][k], default[s][k]) for s, k in keys}
    flags["--drive.keep_seconds"] = keep, default.drive.keep_seconds
    return " ".join(
        f"{flag} {'null' if value is None else str(value).replace(' ', '')}"
        for flag, (value, usual) in flags.items()
        if value != usual or (flag == "--training.dt" and value != own.dt)
    )


def _places(config):
    """Files and folders that are the same, or inside a file or the folder that a drive replaces."""
    state = "the state of a stopped run"
    places = {"training.save_path": "", state: f"{config.training.save_path}.state"}
    places |= {"training.log_path": "", "drive.folder": ""} | dict.fromkeys(PATHS, "")
    places = {n: p or config[n.split(".")[0]][n.split(".")[1]] for n, p in places.items()}
    real = {name: os.path.realpath(path) for name, path in places.items()}
    found, names = [], list(places)
    for i, name in enumerate(names[:4]):
        for other in names[i + 1 :]:
            if real[other] == real[name]:
                found.append(f"{other} is {places[other]}; allowed: not the place of {name}")
        within = [n for n in names if real[n].startswith(real[name].rstrip(os.sep) + os.sep)]
        if within:
            found.append(
                f"{name} is {places[name]}; allowed: a place without any other in it (now "
                f"{', '.join(within[:3])})"
            )
    return found


def training_bytes(config: Config) -> int:
    """Memory [bytes] that a training needs, roughly: the more of its descent and its judgement."""
    n, training, check = config.model.hidden_dim, config.training, config.check
    weights = 10 * n * n  # W, its gradient, Adam's two means, signs, |W|, and what is on the way
    descent = 3 * training.batch_size * math.ceil(training.trial_seconds / training.dt) * n
    runs = 2 * check.noise_runs * len(training.periods)
    runs = (runs + check.untrained_periods * check.untrained_runs) * check.enable
    seconds = config.drive.discard_seconds + config.drive.keep_seconds
    judgement = runs * 4 * math.ceil(seconds / config.model.dt)  # inputs, two of them, and outputs
    return 4 * (weights + max(descent, judgement))
