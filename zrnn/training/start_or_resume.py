"""What a training starts from: its configuration, or the state of a stopped run."""

import os
from pathlib import Path

from zrnn import checkpoints, configuration, files
from zrnn.errors import UserError

# outside of these, a note is printed before the training
MIN_PERIODS_IN_TRIAL = 4  # of the longest period
CUES = 0.2, 1.0  # at smaller ones, close to the onset of the oscillation, ITIs vary more
MAX_UNITS, MAX_EXCIT_PERCENT = 500, 0.8
# keys of the training that may differ when a run is resumed
RUN_KEYS = ("training.save_path", "training.log_path", "training.save_seconds")


def state_path(config):
    """Where a run saves the state to continue from."""
    return Path(f"{config.training.save_path}.state")


def starting_point(config_path, flags, name, resume, device):
    """The configuration of a run, and the state in which it was stopped, or None. UserError."""
    if str(config_path).endswith(".pth"):
        repeated = checkpoints.read_checkpoint(config_path)[1]
        config_path = configuration.of_checkpoint(repeated.get("config"))
        if "training.start" not in flags:
            check_start(config_path["training"].get("start"), repeated.get("made_by"))
    config = configuration.load(config_path, flags, name=name)
    path = state_path(config)
    resume = {"true": True, "false": False}.get(str(resume).lower(), resume)
    if resume not in (True, False, "auto"):
        raise UserError(f"--resume is {resume!r}; allowed: nothing after it, or auto")
    if not resume or (resume == "auto" and not path.exists()):
        return checked(config), None
    if not path.exists():
        raise UserError(f"{path} is missing: no run to resume; start one without --resume")
    saved = checkpoints.read_checkpoint(path)[1]
    if not {"part", "device", "config"} <= set(saved):
        raise UserError(f"{path}: not the state of a stopped run; start one without --resume")
    if saved["device"] != device.type:
        raise UserError(f"device is {device.type}; allowed: {saved['device']}, as it was started")
    before = configuration.of_checkpoint(saved["config"])
    config = checked(configuration.load(config_path or before, flags, name=name))
    different = [
        f"{key} is {new!r}; allowed: {old!r}, with which the run to resume was started"
        for key, new, old in different_settings(config, configuration.load(before))
    ]
    if different:
        raise UserError("\n".join(different))
    return config, saved


def different_settings(config, before, sections=configuration.TRAINED):
    """[(key, value, value before)] of the keys on which the result of a training depends."""
    rows = configuration.differences(config, before)
    return [row for row in rows if row[0].startswith(sections) and row[0] not in RUN_KEYS]


def check_start(path, made_by):
    """Raises UserError if the network at `path`, from which another began, has changed since."""
    before = made_by.get("start_sha256") if isinstance(made_by, dict) else None
    if path and before and checkpoints.read_checkpoint(path)[1]["sha256"] != before:
        raise UserError(
            f"training.start is {path}, which is another network than when the run to repeat was "
            "started; allowed: that network, or the flag --training.start"
        )


def checked(config):
    """The configuration, if a network can be trained with it. Raises UserError."""
    model, task, training = config.model, config.task, config.training
    wrong, longest_dt = [], min(model.tau, task.click_width)
    if not model.dt <= training.dt <= longest_dt:
        wrong.append(
            f"training.dt is {training.dt:g} s; allowed: null, or from model.dt, {model.dt:g} s, "
            f"to the smaller of model.tau and task.click_width, {longest_dt:g} s"
        )
    shortest = task.max_onset + max(training.periods)
    if shortest > training.trial_seconds:
        wrong.append(
            f"training.trial_seconds is {training.trial_seconds:g} s; allowed: at least "
            f"task.max_onset and the longest of training.periods, {shortest:g} s"
        )
    if training.click_seconds > training.trial_seconds:
        wrong.append(
            f"training.click_seconds is {training.click_seconds:g} s; allowed: at most "
            f"training.trial_seconds, {training.trial_seconds:g} s"
        )
    paths = training.save_path, state_path(config), training.log_path, config.plotting.folder
    if len({os.path.realpath(path) for path in paths}) < len(paths):
        wrong.append(
            "training.save_path, with .state added, training.log_path, plotting.folder: must differ"
        )
    if wrong:
        raise UserError("\n".join(wrong))
    return config


def check_places(config, resume, overwrite):
    """Raises UserError unless the run can write its files and may replace what is there."""
    save_path, pictures = Path(config.training.save_path), Path(config.plotting.folder)
    for path in (save_path, state_path(config), config.training.log_path, pictures / "Period.png"):
        files.check_file(path)
    if save_path.exists() and not (overwrite or resume):
        raise UserError(
            f"{save_path} exists; replace it with --overwrite, or keep both with --name NAME or "
            "another --training.save_path"
        )
    if state_path(config).exists() and not (overwrite or resume):
        raise UserError(
            f"{state_path(config)} belongs to a stopped run; continue it with --resume, or start "
            "again with --overwrite"
        )
    log = Path(config.training.log_path)
    if log.exists() and log.read_bytes()[:5] not in (b"", b"part,"):
        raise UserError(f"{log} is not a log of train.py, and would be replaced")


def notes(config) -> list[str]:
    """What may fail with this configuration, one line each. docs/recipe.md, docs/results.md"""
    model, training, found = config.model, config.training, []
    cues = [config.task.cue_constant / period for period in training.periods]
    if max(training.periods) > training.trial_seconds / MIN_PERIODS_IN_TRIAL:
        found.append(
            f"note: a trial of {training.trial_seconds:g} s holds fewer than "
            f"{MIN_PERIODS_IN_TRIAL} of the longest period, {max(training.periods):g} s; "
            "see configs/human.yaml"
        )
    if min(cues) < CUES[0] or max(cues) > CUES[1]:
        found.append(
            f"note: cues, task.cue_constant / period, of {min(cues):.3g} to {max(cues):.3g}; "
            f"recommended: {CUES[0]} to {CUES[1]} (docs/recipe.md, Other tempos)"
        )
    excit_percent = model.excit_percent if model.type == "ZemlianovaRNN" else 0
    if model.hidden_dim > MAX_UNITS or excit_percent > MAX_EXCIT_PERCENT:
        found.append(
            f"note: with more than {MAX_UNITS} units, or more than {MAX_EXCIT_PERCENT} of them "
            "excitatory, ITIs were less exact and less steady (docs/results.md, Other sizes)"
        )
    return found
