"""Compare trained networks: python compare.py A B C ...

A network is a checkpoint, the folder of a run (runs/NAME), or the NAME of a run. Each is driven as
at the end of train.py, with fewer runs, and from rest at cues well below and above the trained
ones. Saves comparison.png, .json and, with values for each cue and period, .npz in comparison/.

  --config_path FILE   a configuration; keys it lacks come from config.yaml
  --device NAME        auto, cpu or cuda
  --name NAME          save in runs/NAME/comparison/ instead
"""

from dataclasses import asdict
from itertools import chain, count
from pathlib import Path

import numpy as np

import models
from zrnn import checkpoints, cli, configuration, evaluate, figures, files
from zrnn.errors import UserError
from zrnn.figures import plt
from zrnn.task import reference_cue

CHECKPOINT = configuration.KEYS["training.save_path"].default  # its name in the folder of a run
RUNS = 4  # of each trained period
KEEP_SECONDS = 20.0  # [s] kept of each run
# colours told apart by the colour-blind (Okabe & Ito), then the same with another marker
STYLES = [
    dict(color=colour, marker=marker)
    for marker in "osv^D"
    for colour in ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "black")
]


def find_network(word):
    """The checkpoint that a word of the command line means, and a name for it. UserError."""
    if Path(word).is_file():
        return word, Path(word).stem
    of_runs = [Path(word) / CHECKPOINT, Path(configuration.RUNS) / word / CHECKPOINT]
    for path in of_runs:
        if path.is_file():
            return str(path), path.parent.name
    raise UserError(f"{word}: allowed: a checkpoint, or a run with {of_runs[0]} or {of_runs[1]}")


def drive(path, config_path, device, flags):
    """The measures of one network. Errors of the mean ITI are fractions of the period. UserError.

    trained_error, unseen_error, cv: the worst of the periods; range: lowest and highest cue with a
    beat; errors at cues: NaN where there is no beat; cvs at periods: of the trained ones.
    """
    config, model, made_by = models.open_network(config_path, path, device, flags)
    section, task, trained = config.cue_range, config.task, config.training.periods
    others = evaluate.untrained_periods(trained, config.check.untrained_periods)
    cues, seconds = np.linspace(*section.cues, section.n_cues), section.keep_seconds
    n_steps = round((2 * evaluate.DISCARD_SECONDS + KEEP_SECONDS + seconds) / model.dt)
    with cli.progress_bar(n_steps, path) as bar:
        many = dict(runs=RUNS, others=others, keep_seconds=KEEP_SECONDS, on_steps=bar.update)
        rows = evaluate.period_statistics(model, trained, task, **many)
        beats = evaluate.beats_at_cues(model, cues, task, seconds, on_steps=bar.update)
    clicked = evaluate.of_condition(rows, evaluate.CLICKS)
    unseen = evaluate.of_condition(rows, evaluate.UNTRAINED)
    itis = np.array([beat.mean_iti if beat.ok else np.nan for beat in beats])
    return {
        "made_by": made_by,
        "trained_error": evaluate.worst_error(clicked),
        "unseen_error": evaluate.worst_error(unseen) if unseen else np.nan,
        "cv": float(np.max([row.cv for row in clicked])),
        "slope": evaluate.weber_slope(clicked),
        "range": evaluate.range_of_beat(cues, beats, reference_cue(trained, task.cue_constant)),
        "cue": cues.tolist(),
        "error": (itis * cues / task.cue_constant - 1).tolist(),
        "period": [row.period for row in clicked],
        "period_cv": [row.cv for row in clicked],
        "rows": [asdict(row) for row in rows],
    }


def table(networks):
    """A line for each network."""
    lines = [f"{'network':<24} {'trained':>8} {'unseen':>8} {'CV':>7} {'slope':>6}   beats at cues"]
    for name, measures in networks.items():
        lines.append(
            "{name:<24} {trained_error:>8.2%} {unseen_error:>8.2%} {cv:>7.2%} {slope:>6.2f}   "
            "{range[0]:.2f} to {range[1]:.2f}".format(name=name, **measures)
        )
    lines.append("trained, unseen: worst error of the mean ITI; CV: worst of the trained periods;")
    lines.append("slope: of log SD against log mean ITI, 1 by Weber's law")
    return "\n".join(lines)


def draw(networks):
    """ITI error against cue, CV against period, range of the beat."""
    ratios = dict(layout="constrained", width_ratios=[1.4, 1, 1])
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 4.5), **ratios)
    for i, measures in enumerate(networks.values()):
        style = STYLES[i % len(STYLES)]
        left.plot(measures["cue"], 100 * np.array(measures["error"]), ms=3, lw=0.8, **style)
        percent = 100 * np.array(measures["period_cv"])
        middle.plot(measures["period"], percent, ms=5, lw=1, **style)
        right.plot(measures["range"], [i, i], lw=3, **style)
    left.axhline(0, color="black", lw=0.8)
    left.set_yscale("symlog", linthresh=1)  # linear within 1 %: small within the trained range
    left.yaxis.set_major_formatter("{x:g}")
    left.set(xlabel="context cue", ylabel="error of the ITI [%]", title="Cue alone, from rest")
    middle.set(xlabel="period [s]", ylabel="CV of the ITIs [%]", title="Steadiness", ylim=(0, None))
    right.set(xlabel="context cue", title="Where there is a beat")
    right.set_yticks(range(len(networks)), list(networks), parse_math=False)  # a name may hold $
    right.invert_yaxis()
    return figure


def main(*words, config_path=None, device="auto", **flags):
    if not words:
        raise UserError("command line: no network; allowed: python compare.py A B C ...")
    config, run = configuration.load(config_path, flags), flags.pop("name", None)
    folder = Path(configuration.RUNS, str(run), "comparison") if run else Path("comparison")
    files.check_folder(folder)
    found = [find_network(word) for word in words]
    for path, _ in found:  # what cannot be read is told before any network is driven
        checkpoints.read_checkpoint(path, config.model)
    networks, arrays = {}, {}
    for path, name in found:
        names = chain([name, path], (f"{path} ({i})" for i in count(2)))  # until one is free
        name = next(name for name in names if name not in networks)
        networks[name] = measures = drive(path, config_path, device, flags)
        arrays |= {f"{name} {key}": measures[key] for key in ("cue", "error", "period")}
        arrays[f"{name} cv"] = measures["period_cv"]
    print(table(networks))
    made_by = {}
    for name, measures in networks.items():
        about = dict(measures["made_by"])
        of_network = {name: f"{about.pop('checkpoint')}, sha256 {about.pop('sha256')}"}
        made_by |= about | of_network
    text, drawn = configuration.to_text(config, made_by), {"comparison": draw(networks)}
    arrays, numbers = {"comparison": arrays}, {"comparison": networks}
    figures.save_results(folder, text, drawn, config.plotting.format, arrays, numbers)


if __name__ == "__main__":
    cli.run(main)
