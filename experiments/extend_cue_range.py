"""Extend the range of cues with ITI = 0.1 s / cue beyond the trained range, by Newton's method.

python -m experiments.extend_cue_range NETWORK.pth

--folder NAME        gets extended.pth, extended_range.png and its arrays (.npz)

Both ends of the range of periods move outwards by a factor at a time. Refinement corrects the
periods without noise; a move that loses a cycle or leaves an error of 1 % is undone. Calibration
under noise follows at the end.
"""

import copy
from pathlib import Path

import numpy as np
import torch

import models
from experiments.recipe_picture import STYLES, draw_errors, noisy_errors
from zrnn import checkpoints, cli, configuration, figures
from zrnn.errors import UserError
from zrnn.training.refinement import LostCycle, calibrate, refine

TARGET_CUES = 0.08, 0.95  # ends of the extended range
MAX_FACTOR, MIN_FACTOR = 1.1, 1.01  # by which an end moves at first, and at least
N_CORRECTED = 24  # periods corrected, evenly spaced in their log
N_CUES, RUNS, SECONDS = 60, 2, 30.0  # cues driven with noise; runs of each; [s] evaluated of each
TOLERANCE = 0.01  # largest error of an ITI, as a fraction


def is_kept(model, steps) -> bool:
    """Whether `refine` or `calibrate` ends with errors below TOLERANCE; else it is undone."""
    before, worst = copy.deepcopy(model.state_dict()), np.nan
    try:
        for progress in steps:
            worst = progress.worst
    except LostCycle as lost:
        worst = np.nan
        print(f"  {lost}", flush=True)
    if not worst < TOLERANCE:  # also if it is NaN
        model.load_state_dict(before)
    return bool(worst < TOLERANCE)


def extend(model, ends, limits, task) -> list[float]:
    """Move the shortest and longest period `ends` [s] towards the `limits`; returns the new ends.

    Where an end cannot move, the square root of its factor is tried.
    """
    factors = [MAX_FACTOR, MAX_FACTOR]
    while max(factors) > MIN_FACTOR:
        for i, sign in ((1, 1), (0, -1)):
            if factors[i] <= MIN_FACTOR:
                continue
            tried = list(ends)
            tried[i] = float(np.clip(ends[i] * factors[i] ** sign, *limits))
            periods = np.geomspace(*tried, N_CORRECTED).tolist()
            if is_kept(model, refine(model, periods, task, model.dt)):
                ends, factors[i] = tried, 1.0 if tried[i] == limits[i] else factors[i]
                print(f"cue {task.cue_constant / ends[i]:.3f}", flush=True)
            else:
                factors[i] **= 0.5
    return ends


def accurate_range(cues, errors, within: float) -> tuple[float, float]:
    """Lowest and highest cue of the unbroken range around `within` with errors below TOLERANCE."""
    wrong, middle = np.flatnonzero(~(np.abs(errors) < TOLERANCE)), np.abs(cues - within).argmin()
    first = max(wrong[wrong < middle], default=-1) + 1
    last = min(wrong[wrong > middle], default=len(cues)) - 1
    return cues[first], cues[last]


def draw(cues, errors, trained_cues, cue_constant):
    """ITIs [s] against the cue, and their errors {label: (runs, C)}."""
    shape = dict(sharex=True, height_ratios=[2, 1], layout="constrained")
    figure, axes = figures.plt.subplots(2, 1, figsize=(9, 7), **shape)
    ideal = cue_constant / cues
    axes[0].axvspan(min(trained_cues), max(trained_cues), color="0.93", label="trained range")
    axes[0].plot(cues, ideal, color="black", lw=1, label=f"ideal: {cue_constant} s / cue")
    for (label, values), (colour, marker) in zip(errors.items(), STYLES[-2:], strict=True):
        style = dict(color=colour, marker=marker, ms=4, lw=0.7, label=label)
        axes[0].plot(cues, ideal * (1 + values.mean(0)), **style)
    axes[0].set(xscale="log", yscale="log", ylabel="ITI [s]")
    axes[0].legend()
    draw_errors(axes[1], cues, errors, trained_cues)
    axes[1].set(ylim=(-10, 10), xticks=(ticks := [0.05, 0.1, 0.2, 0.4, 0.8]), xticklabels=ticks)
    axes[1].minorticks_off()
    return figure


def main(*path: str, folder="extended_range"):
    if len(path) != 1:
        raise UserError("allowed: one network: python -m experiments.extend_cue_range NETWORK.pth")
    config, model, made_by = models.open_network(None, *path, "auto", {})
    task, periods = config.task, config.training.periods
    cues = np.geomspace(TARGET_CUES[0] / MAX_FACTOR, TARGET_CUES[1] * MAX_FACTOR, N_CUES)
    errors = {"before": noisy_errors(model, cues, task, RUNS, SECONDS)}
    limits = [task.cue_constant / cue for cue in reversed(TARGET_CUES)]
    ends = extend(model, [min(periods), max(periods)], limits, task)
    noise = torch.Generator(model.w_hh.device).manual_seed(config.training.seed)
    extended = np.geomspace(*ends, N_CORRECTED).tolist()
    kept = is_kept(model, calibrate(model, extended, task, noise))
    print(f"calibration under noise: {'done' if kept else 'undone'}")
    errors["after"] = noisy_errors(model, cues, task, RUNS, SECONDS)
    within = task.cue_constant / np.sqrt(min(periods) * max(periods))
    for label, values in errors.items():
        low, high = accurate_range(cues, values.mean(0), within)
        print(f"{label}: errors below {TOLERANCE:.0%} from cue {low:.3f} to {high:.3f}")
    figure = draw(cues, errors, task.cue_constant / np.array(periods), task.cue_constant)
    itis = {k: (1 + x.mean(0)) * task.cue_constant / cues for k, x in errors.items()}
    name, text = "extended_range", configuration.to_text(config, made_by)
    figures.save_results(folder, text, {name: figure}, "png", {name: {"cues": cues} | itis})
    plain = configuration.plain(config)
    checkpoints.save_checkpoint(Path(folder) / "extended.pth", model, config=plain)


if __name__ == "__main__":
    cli.run(main)
