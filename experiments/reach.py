"""How far can the line ITI = 0.1 s / cue be made to reach? Newton steps beyond the trained cues.

python experiments/reach.py NETWORK.pth

--folder NAME        where reach.png, its arrays (.npz) and the network (reach.pth) go

Both ends of the range move outwards by a share at a time; each time all cues of the range are set
right, noise-free; what loses the beat, or leaves a period off by 1 %, is taken back. The
calibration under noise comes last.
"""

import copy
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

import models
from zrnn import checkpoints, cli, configuration, evaluate, figures
from zrnn.errors import UserError
from zrnn.figures import plt
from zrnn.training.refinement import LostCycle, calibrate, refine

CUES = 0.08, 0.95  # to reach
WIDEN, NARROWEST = 1.1, 1.01  # the largest and the smallest share by which an end moves
N_SET = 24  # cues set right
N_CUES, RUNS, SECONDS = 60, 2, 30.0  # cues driven with noise; runs of each, and what is kept
WITHIN = 0.01  # an ITI error below it counts as on the line


def periods_of(low: float, high: float) -> list[float]:
    """N_SET periods [s] from low to high, evenly spaced in their log."""
    return np.geomspace(low, high, N_SET).tolist()


def stays(model, steps) -> bool:
    """Whether Newton steps end WITHIN the periods; else the weights go back to what they were."""
    before, worst = copy.deepcopy(model.state_dict()), np.nan
    try:
        for step in steps:
            worst = step.worst
        print(f"  worst error {worst:.2%}", flush=True)
    except LostCycle as lost:
        worst = np.nan
        print(f"  {lost}", flush=True)
    kept = bool(worst < WITHIN)
    if not kept:
        model.load_state_dict(before)
    return kept


def widen(model, ends: list[float], wanted: list[float], task) -> list[float]:
    """Move the ends [s] of the range towards the wanted ones; how far they came.

    ends, wanted: shortest and longest period. Where an end cannot go, it tries half as far.
    """
    ends, shares = list(ends), [WIDEN, WIDEN]
    while max(shares) > NARROWEST:
        for i, sign in ((1, 1), (0, -1)):
            if shares[i] <= NARROWEST:
                continue
            tried = list(ends)
            tried[i] = ends[i] * shares[i] ** sign
            tried[i] = min(tried[i], wanted[i]) if sign > 0 else max(tried[i], wanted[i])
            if stays(model, refine(model, periods_of(*tried), task, model.dt)):
                ends = tried
                cue = task.cue_constant / ends[i]
                print(f"reaches cue {cue:.3f}", flush=True)
                shares[i] = 1.0 if ends[i] == wanted[i] else shares[i]
            else:
                shares[i] **= 0.5
    return ends


def measure(model, cues, task) -> np.ndarray:
    """Mean ITIs [s] with noise at the cues (C,); NaN where a run has no beat."""
    beats = evaluate.beats_at_cues(model, np.tile(cues, RUNS), task, SECONDS)
    itis = np.array([beat.mean_iti if beat.ok else np.nan for beat in beats])
    return itis.reshape(RUNS, -1).mean(0)


def on_the_line(cues, itis, task, within) -> tuple[float, float]:
    """Lowest and highest cue of the unbroken range around the cue `within` that is on the line."""
    good = np.abs(itis * cues / task.cue_constant - 1) < WITHIN
    low = high = int(np.abs(cues - within).argmin())
    while low > 0 and good[low - 1]:
        low -= 1
    while high < len(cues) - 1 and good[high + 1]:
        high += 1
    return cues[low], cues[high]


def draw(cues, itis: dict, trained_cues, cue_constant):
    """ITI against cue, before and after, and the errors."""
    figure, axes = plt.subplots(
        2, 1, figsize=(9, 7), sharex=True, layout="constrained", height_ratios=[2, 1]
    )
    ideal = cue_constant / cues
    for panel in axes:
        panel.axvspan(min(trained_cues), max(trained_cues), color="0.92", label="trained range")
    axes[0].plot(cues, ideal, color="black", lw=1, label=f"ideal: {cue_constant} s / cue")
    looks = {"before": ("#E69F00", "^"), "after": ("#0072B2", "o")}
    for label, (colour, marker) in looks.items():
        look = dict(color=colour, marker=marker, ms=4, lw=0.7, label=label)
        axes[0].plot(cues, itis[label], **look)
        axes[1].plot(cues, 100 * (itis[label] / ideal - 1), **look)
    axes[1].axhline(0, color="black", lw=1)
    axes[1].set(xlabel="context cue", ylabel="error of the ITI [%]", ylim=(-10, 10), xscale="log")
    axes[0].set(xscale="log", yscale="log", ylabel="ITI [s]")
    ticks = [0.05, 0.08, 0.1, 0.2, 0.4, 0.8, 1.0]
    axes[1].set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes[1].minorticks_off()
    axes[0].legend()
    return figure


def main(*path: str, folder="reach_plotting"):
    if len(path) != 1:
        raise UserError("allowed: one network: python experiments/reach.py NETWORK.pth")
    config, model, made_by = models.open_network(None, *path, "auto", {})
    task, periods = config.task, config.training.periods
    cues = np.geomspace(CUES[0] / WIDEN, CUES[1] * WIDEN, N_CUES)
    middle = task.cue_constant / np.sqrt(min(periods) * max(periods))
    itis = {"before": measure(model, cues, task)}
    wanted = [task.cue_constant / cue for cue in reversed(CUES)]
    ends = widen(model, [min(periods), max(periods)], wanted, task)
    noise = torch.Generator(model.w_hh.device).manual_seed(config.training.seed)
    kept = stays(model, calibrate(model, periods_of(*ends), task, noise))
    print(f"calibration under noise: {'done' if kept else 'taken back'}")
    itis["after"] = measure(model, cues, task)
    for label, own in itis.items():
        low, high = on_the_line(cues, own, task, middle)
        print(f"{label}: within {WITHIN:.0%} of the line from cue {low:.3f} to {high:.3f}")
    figure = draw(cues, itis, [task.cue_constant / p for p in periods], task.cue_constant)
    text = configuration.to_text(config, made_by)
    figures.save_results(folder, text, {"reach": figure}, "png", {"reach": {"cues": cues} | itis})
    checkpoints.save_checkpoint(
        Path(folder) / "reach.pth", model, config=configuration.plain(config)
    )


if __name__ == "__main__":
    cli.run(main)
