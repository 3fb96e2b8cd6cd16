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
from zrnn import cli, configuration, evaluate, figures
from zrnn.errors import UserError
from zrnn.figures import plt

CHECKPOINT = configuration.KEYS["training.save_path"].default  # in the folder of a run
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

    range: lowest and highest cue of the beat; rows: of `evaluate.period_statistics`; errors (K,) of the ITI
    at the cues (K,), NaN where there is no beat.
    """

    checkpoint: str
    trained_error: float
    unseen_error: float | None
    cv: float
    slope: float
    range: tuple[float, float]
    rows: list[evaluate.PeriodStatistics]
    cues: list[float]
    errors: list[float]


def find_network(word):
    """The checkpoint that a word on the command line means, and a name for it. UserError."""
    of_runs = [Path(word) / CHECKPOINT, Path(configuration.RUNS) / word / CHECKPOINT]
    if Path(word).is_file():
        return word, Path(word).stem
    for path in of_runs:
        if path.is_file():
            return str(path), path.parent.name
    raise UserError(f"{word}: allowed: a checkpoint, or a run with {of_runs[0]} or {of_runs[1]}")


def measure(path, config_path, device, flags):
    """Drive one network. Raises UserError."""
    config, model, made_by = models.open_network(config_path, path, device, flags)
    own, task, trained = config.cue_range, config.task, config.training.periods
    others = evaluate.untrained_periods(trained, config.check.untrained_periods)
    cues = np.linspace(*own.cues, own.n_cues)
    n_steps = round((2 * evaluate.DISCARD_SECONDS + KEEP_SECONDS + own.keep_seconds) / model.dt)
    with tqdm(total=n_steps, desc=path, unit="step") as bar:
        many = dict(runs=RUNS, others=others, keep_seconds=KEEP_SECONDS)
        rows = evaluate.period_statistics(model, trained, task, on_steps=bar.update, **many)
        beats = evaluate.beats_at_cues(model, cues, task, own.keep_seconds, on_steps=bar.update)
    errors = [
        beat.mean_iti * cue / task.cue_constant - 1 if beat.ok else np.nan
        for cue, beat in zip(cues, beats, strict=True)
    ]
    clicked, unseen = (
        evaluate.of_condition(rows, evaluate.CLICKS),
        evaluate.of_condition(rows, evaluate.UNTRAINED),
    )
    middle = task.cue_constant * (1 / min(trained) + 1 / max(trained)) / 2
    return Measured(
        checkpoint=made_by["checkpoint"],
        trained_error=evaluate.worst_error(clicked),
        unseen_error=evaluate.worst_error(unseen) if unseen else None,
        cv=float(np.max([row.cv for row in clicked])),
        slope=evaluate.weber_slope(clicked),
        range=evaluate.range_of_beat(cues, beats, middle),
        rows=rows,
        cues=cues.tolist(),
        errors=errors,
    )


def table(measured):
    """A line a network; the worst of its periods."""
    lines = [f"{'network':<24} {'trained':>8} {'unseen':>8} {'CV':>7} {'slope':>6}   beats at cues"]
    for name, own in measured.items():
        unseen = "" if own.unseen_error is None else f"{own.unseen_error:.2%}"
        lines.append(
            f"{name:<24} {own.trained_error:>8.2%} {unseen:>8} {own.cv:>7.2%} {own.slope:>6.2f}   "
            f"{own.range[0]:.2f} to {own.range[1]:.2f}"
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
        clicked = evaluate.of_condition(own.rows, evaluate.CLICKS)
        periods, cvs = [row.period for row in clicked], [100 * row.cv for row in clicked]
        middle.plot(periods, cvs, ms=5, lw=1, **look)
        right.plot(own.range, [i, i], lw=3, **look)
    left.axhline(0, color="black", lw=0.8)
    left.set_yscale("symlog", linthresh=1)  # linear within 1 %: small within the trained range
    left.yaxis.set_major_formatter("{x:g}")
    left.set(xlabel="context cue", ylabel="error of the ITI [%]", title="Cue alone, from rest")
    middle.set(xlabel="period [s]", ylabel="CV of the ITIs [%]", title="Steadiness", ylim=(0, None))
    right.set(xlabel="context cue", title="Where there is a beat")
    right.set_yticks(range(len(measured)), list(measured))
    right.invert_yaxis()
    return figure


def main(*networks, config_path=None, device="auto", **flags):
    if not networks:
        raise UserError("command line: no network; allowed: python compare.py A B C ...")
    measured = {}
    for path, name in map(find_network, networks):
        measured[path if name in measured else name] = measure(path, config_path, device, flags)
    print(table(measured))
    config, arrays = configuration.load(config_path, flags), {}
    for name, own in measured.items():
        rows = evaluate.of_condition(own.rows, evaluate.CLICKS)
        arrays |= {f"{name} cue": own.cues, f"{name} error": own.errors}
        arrays |= {f"{name} {key}": [getattr(r, key) for r in rows] for key in ("period", "cv")}
    text = configuration.to_text(config, {own.checkpoint: name for name, own in measured.items()})
    numbers = {name: asdict(own) for name, own in measured.items()}
    drawn, suffix, name = draw(measured), config.plotting.format, "comparison"
    figures.save_results(FOLDER, text, {name: drawn}, suffix, {name: arrays}, {name: numbers})


if __name__ == "__main__":
    cli.run(main)
