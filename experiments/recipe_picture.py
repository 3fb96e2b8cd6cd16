"""Draw what each part of the training does: ITI error against cue after each of the three.

python experiments/recipe_picture.py

--config_path FILE   and every flag of train.py that names a key
--folder NAME        where recipe.png, its arrays (.npz) and numbers (.json) go

Trains a network as train.py does, and drives what it is after each part at model.dt, with noise,
each cue alone from rest. What the descent leaves is also driven at the step it was trained with.
"""

import copy
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from zrnn.training.recipe import train

import models
from zrnn import cli, configuration, evaluate, figures
from zrnn.checkpoints import provenance
from zrnn.figures import plt
from zrnn.training.state import TrainingRun

N_CUES, BEYOND = 24, 0.04  # over the trained range and, of the period, beyond both its ends
RUNS, SECONDS = 4, 50.0  # of each cue, and what is kept of each run
LOOKS = ("#999999", "v"), ("#D55E00", "s"), ("#E69F00", "^"), ("#0072B2", "o")  # of each curve
FINE = "refinement", "calibration"  # the parts that are drawn enlarged, too


@dataclass(frozen=True)
class Errors:
    """ITI errors at the cues: mean and SD over the runs, (C,); NaN where a run has no beat."""

    mean: np.ndarray
    sd: np.ndarray


def snapshots(config) -> dict[str, torch.nn.Module]:
    """Train a network; copies of it after each part, {part: network}, each at the dt of its end."""
    run = TrainingRun.begin(models.build_model, config)
    kept, before = {}, "descent"
    for row in train(run, config):  # the first row of a part comes before it changes anything
        if row.part != before:
            kept[before] = copy.deepcopy(run.model)
            before = row.part
    return kept | {before: run.model}


def measure(model, cues, task) -> Errors:
    """Drive the network at the cues (C,)."""
    beats = evaluate.beats_at_cues(model, np.tile(cues, RUNS), task, SECONDS)
    itis = np.array([beat.mean_iti if beat.ok else np.nan for beat in beats]).reshape(RUNS, -1)
    errors = itis * cues / task.cue_constant - 1
    return Errors(errors.mean(0), errors.std(0, ddof=1))


def draw(cues, found: dict[str, Errors], trained_cues, bound):
    """Error against cue on two scales: all parts, and those that set the tempo; x: no beat."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for panel in axes:
        panel.axvspan(min(trained_cues), max(trained_cues), color="0.93", zorder=0)
        panel.axhline(0, color="black", lw=1)
        panel.set(xlabel="context cue", ylabel="error of the ITI [%]")
    for (label, errors), (colour, marker) in zip(found.items(), LOOKS, strict=True):
        look = dict(color=colour, marker=marker, ms=4.5, lw=1, capsize=2, label=f"after {label}")
        for panel in axes if label in FINE else axes[:1]:
            panel.errorbar(cues, 100 * errors.mean, 100 * errors.sd, **look)
        lost = cues[np.isnan(errors.mean)]
        axes[0].plot(lost, np.zeros(len(lost)), "x", color=colour, ms=8, mew=2)
    for sign in (-1, 1):
        axes[1].axhline(100 * sign * bound, color="0.3", lw=1, ls="--")
    axes[0].set_title("each part; x: no beat")
    axes[1].set_title(f"enlarged; dashed: ± {bound:.1%}")
    axes[0].legend(fontsize=9)
    return figure


def main(config_path=None, folder="recipe_plotting", **flags):
    config = configuration.load(config_path, flags)
    periods, task = config.training.periods, config.task
    cues = np.linspace(
        task.cue_constant / max(periods) / (1 + BEYOND),
        task.cue_constant / min(periods) * (1 + BEYOND),
        N_CUES,
    )
    kept = snapshots(config)
    found = {}
    for dt in (config.training.dt, config.model.dt):
        with kept["descent"].temporarily(dt=dt):
            errors = measure(kept["descent"], cues, task)
        found[f"descent, at {1000 * dt:g} ms"] = errors
    found |= {part: measure(kept[part], cues, task) for part in FINE}
    for label, errors in found.items():
        own = np.abs(errors.mean)
        print(f"{label:>22}: worst {np.nanmax(own):.2%}, no beat at {np.isnan(own).sum()} cues")
    trained_cues = [task.cue_constant / period for period in periods]
    text = configuration.to_text(config, provenance())
    figure = draw(cues, found, trained_cues, config.check.max_error)
    arrays = {label: np.stack([errors.mean, errors.sd]) for label, errors in found.items()}
    figures.save_results(
        folder, text, {"recipe": figure}, "png", {"recipe": {"cues": cues} | arrays}
    )


if __name__ == "__main__":
    cli.run(main)
