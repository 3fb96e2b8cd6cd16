"""A table, in Markdown: error and CV of the ITIs with more, less and no recurrent noise.

python experiments/noise.py pretrained/*.pth

Every trained tempo, its cue alone from rest; mean ± SD over the networks, and (n of m) where only
some of them beat.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import models
from zrnn.analysis import judge, tables
from zrnn.workshop import command_line
from zrnn.workshop.errors import UserError

SCALES = 0.0, 0.5, 1.0, 2.0  # times model.sigma_rec
RUNS, SECONDS = 10, 50.0  # of each tempo at each scale, and what is kept of each run


def measure(model, periods, task) -> dict[tuple[float, float], tuple[float, float]]:
    """{(scale, period [s]): (ITI error, CV)}, means over the runs; NaN where a run has no beat."""
    cues, found = task.cue_constant / np.repeat(periods, RUNS), {}
    for scale in SCALES:
        with model.at(noise_scale=scale):
            beats = judge.beats_at_cues(model, cues, task, SECONDS)
        itis, cvs = (
            np.array([getattr(beat, key) if beat.ok else np.nan for beat in beats])
            for key in ("mean_iti", "cv")
        )
        for period, iti, cv in zip(
            periods, itis.reshape(-1, RUNS).mean(1), cvs.reshape(-1, RUNS).mean(1), strict=True
        ):
            found[scale, period] = iti / period - 1, cv
    return found


def main(*paths: str):
    if not paths:
        raise UserError("no networks; train some: python experiments/seeds.py FOLDER")
    networks = []
    for path in paths:
        config, model, _ = models.open_network(None, path, "auto", {})
        networks.append(measure(model, config.training.periods, config.task))
    rows = [["period", *(f"{what}, noise x {s:g}" for s in SCALES for what in ("error", "CV"))]]
    for period in sorted({period for own in networks for _, period in own}, reverse=True):
        row = [f"{period:.3f} s"]
        for scale in SCALES:
            values = 100 * np.array([own.get((scale, period), (np.nan,) * 2) for own in networks])
            row += [tables.spread(values[:, 0], " %", "+"), tables.spread(values[:, 1], " %")]
        rows.append(row)
    print(tables.markdown(rows))


if __name__ == "__main__":
    command_line.run(main)
