"""Compare trained networks: python compare.py A B C ...

A network is a checkpoint, a folder of a run (runs/NAME), or the NAME of one. Each is driven under
the conditions by which train.py judges it, a few runs of each, and from rest at cues well below and
above those it was trained on. Saves comparison/comparison.png, .json and, per network NAME and
with a value a cue or a period, .npz: NAME cue, NAME error, NAME period, NAME cv.

  --config_path FILE   a configuration; keys it lacks come from config.yaml
  --device NAME        auto, cpu or cuda
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

import models
from zrnn.analysis import judge
from zrnn.workshop import command_line, configuration, figures
from zrnn.workshop.errors import UserError
from zrnn.workshop.figures import plt

FOLDER = "comparison"
RUNS, KEEP_SECONDS = 4, 20.0  # runs of each trained period, and [s] of them
# colour-blind-safe (Okabe & Ito); with markers and lines beyond their number
LOOKS = [
    dict(color=colour, marker=marker)
    for marker in "osv^D"
    for colour in ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "black")
]


@dataclass(frozen=True)
class Measured:
    """One network. Errors are shares of the period, the worst whatever their sign.

    rows: of `judge.measure`; cues (K,) and their ITI errors (NaN: no beat); beats_from, beats_to:
    the lowest and highest cue of the beat.
    """

    checkpoint: str
    trained_error: float
    unseen_error: float | None
    cv: float
    slope: float
    beats_from: float
    beats_to: float
    rows: list[judge.Row]
    cues: list[float]
    errors: list[float]


def find_network(word):
    """The checkpoint that a word on the command line means. Raises UserError."""
    name = Path(configuration.KEYS["training.save_path"].default)
    places = [Path(word), Path(word) / name, Path(configuration.RUNS) / word / name]
    found = [place for place in places if place.is_file()]
    if not found:
        raise UserError(f"{word}: allowed: a checkpoint, or a run with {places[1]} or {places[2]}")
    return found[0]


def measure(word, config_path, device, flags):
    """Drive one network. Raises UserError."""
    config, model, made_by = models.open_network(
        config_path, str(find_network(word)), device, flags
    )
    own, task, trained = config.cue_range, config.task, config.training.periods
    others = judge.untrained_periods(trained, config.check.untrained_periods)
    cues = np.linspace(*own.cues, own.n_cues)
    n_steps = round((2 * judge.CLICK_SECONDS + KEEP_SECONDS + own.keep_seconds) / model.dt)
    with tqdm(total=n_steps, desc=word, unit="step") as bar:
        rows = judge.measure(
            model, trained, task, runs=RUNS, others=others, keep_seconds=KEEP_SECONDS,
            on_steps=bar.update,
        )  # fmt: skip
        beats = judge.beats_at_cues(model, cues, task, own.keep_seconds, on_steps=bar.update)
    errors = [
        beat.mean_iti * cue / task.cue_constant - 1 if beat.ok else np.nan
        for cue, beat in zip(cues, beats, strict=True)
    ]
    clicked, unseen = judge.rows_of(rows, judge.CLICKS), judge.rows_of(rows, judge.UNTRAINED)
    middle = task.cue_constant * (1 / min(trained) + 1 / max(trained)) / 2
    return Measured(
        made_by["checkpoint"],
        judge.worst_error(clicked),
        judge.worst_error(unseen) if unseen else None,
        float(np.max([row.cv for row in clicked])),
        judge.weber_slope(clicked),
        *judge.range_of_beat(cues, beats, middle),
        rows,
        cues.tolist(),
        errors,
    )


def table(measured):
    """A line a network; the worst of its periods."""
    lines = [f"{'network':<24} {'trained':>8} {'unseen':>8} {'CV':>7} {'slope':>6}   beats at cues"]
    for name, own in measured.items():
        unseen = "" if own.unseen_error is None else f"{own.unseen_error:.2%}"
        lines.append(
            f"{name:<24} {own.trained_error:>8.2%} {unseen:>8} {own.cv:>7.2%} {own.slope:>6.2f}   "
            f"{own.beats_from:.2f} to {own.beats_to:.2f}"
        )
    lines.append("trained, unseen: worst error of the mean ITI; CV: worst of the trained periods;")
    lines.append("slope: of log SD against log mean ITI, 1 by Weber's law")
    return "\n".join(lines)


def draw(measured):
    """ITI error against cue, CV against period, range of the beat: a colour a network."""
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(15, 4.5), layout="constrained", width_ratios=[1.4, 1, 1]
    )
    for i, (own, look) in enumerate(zip(measured.values(), LOOKS * len(measured), strict=False)):
        left.plot(own.cues, 100 * np.array(own.errors), ms=3, lw=0.8, **look)
        clicked = judge.rows_of(own.rows, judge.CLICKS)
        periods, cvs = [row.period for row in clicked], [100 * row.cv for row in clicked]
        middle.plot(periods, cvs, ms=5, lw=1, **look)
        right.plot([own.beats_from, own.beats_to], [i, i], lw=3, **look)
    left.axhline(0, color="black", lw=0.8)
    left.set(xlabel="context cue", ylabel="error of the ITI [%]", title="Cue alone, from rest")
    middle.set(xlabel="period [s]", ylabel="CV of the ITIs [%]", title="Steadiness", ylim=(0, None))
    right.set(xlabel="context cue", title="Where there is a beat")
    right.set_yticks(range(len(measured)), list(measured))
    right.invert_yaxis()
    return figure


def main(*networks, config_path=None, device="auto", **flags):
    if not networks:
        raise UserError("command line: no network; allowed: python compare.py A B C ...")
    measured = {word: measure(word, config_path, device, flags) for word in networks}
    print(table(measured))
    config = configuration.load(config_path, flags)
    arrays = {}
    for name, own in measured.items():
        clicked = judge.rows_of(own.rows, judge.CLICKS)
        arrays |= {f"{name} cue": own.cues, f"{name} error": own.errors}
        arrays |= {
            f"{name} {key}": [getattr(row, key) for row in clicked] for key in ("period", "cv")
        }
    text = configuration.to_text(config, {own.checkpoint: name for name, own in measured.items()})
    figures.save_results(
        FOLDER, text, {"comparison": draw(measured)}, config.plotting.format,
        {"comparison": arrays}, {"comparison": {n: asdict(own) for n, own in measured.items()}},
    )  # fmt: skip


if __name__ == "__main__":
    command_line.run(main)
