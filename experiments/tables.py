"""Print tables of trained networks, in Markdown: each network, and mean and SD over all of them.

python -m experiments.tables pretrained/*.pth

The evaluations are those that train.py has saved in the checkpoints.
"""

from pathlib import Path

import numpy as np
from scipy import stats

from zrnn import cli, configuration
from zrnn.checkpoints import read_checkpoint
from zrnn.errors import UserError
from zrnn.evaluate import CLICKS, REST, Evaluation, of_condition, weber_slope

# {period: mean ITI} of the original code, both in s; read from its published figure
# PCA_and_model_activity_stats.png, in which a pixel is 2 ms
ORIGINAL = {0.5: 0.496, 0.333: 0.341, 0.25: 0.256, 0.2: 0.209, 0.166: 0.172, 0.143: 0.146}
ORIGINAL[0.125] = 0.130


def read_evaluation(path) -> Evaluation:
    """The evaluation in a checkpoint. Raises UserError."""
    path, content = read_checkpoint(path, configuration.load().model)
    try:
        return Evaluation.from_dict(content["evaluation"])
    except (KeyError, TypeError):
        advice = "no evaluation of this version; train it with check.enable true"
        raise UserError(f"checkpoint {path}: {advice}") from None


def markdown(rows: list[dict[str, str]]) -> str:
    """A table of rows {column: cell}; cells that a row lacks are empty."""
    heads = list(dict.fromkeys(head for row in rows for head in row))
    lines = [heads, ["---"] * len(heads), *([row.get(h, "") for h in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def mean_sd(values, unit="", sign="") -> str:
    """Mean ± SD of the values that are numbers, and how many are if not all."""
    numbers = np.array(values)[np.isfinite(values)]
    if not len(numbers):
        return "none"
    sd = f" ± {numbers.std(ddof=1):.2f}" if len(numbers) > 1 else ""
    count = f" ({len(numbers)} of {len(values)})" if len(numbers) < len(values) else ""
    return f"{numbers.mean():{sign}.2f}{sd}{unit}{count}"


def largest(fractions, sign="+") -> str:
    """The fraction farthest from 0, in per cent; "lost" if one is NaN."""
    return "lost" if np.isnan(fractions).any() else f"{100 * max(fractions, key=abs):{sign}.2f} %"


def tempo_table(evaluations: dict[str, Evaluation]) -> str:
    """A row for each trained period, over all networks {name: evaluation}."""
    rows = []
    every = [one for evaluation in evaluations.values() for one in evaluation.statistics]
    for period in sorted({one.period for one in of_condition(every, CLICKS)}, reverse=True):
        clicks, rest = (
            [one for one in every if (one.condition, one.period) == (condition, period)]
            for condition in (CLICKS, REST)
        )
        row = {"period": f"{period:.3f} s", "original code": ""}
        if period in ORIGINAL:
            row["original code"] = f"{100 * (ORIGINAL[period] / period - 1):+.1f} %"
        row["ITI error: mean ± SD"] = mean_sd([100 * one.error for one in clicks], " %", sign="+")
        row["largest error"] = largest([one.error for one in clicks])
        row["from rest: largest error"] = largest([one.error for one in rest])
        row["CV: mean ± SD"] = mean_sd([100 * one.cv for one in clicks], " %")
        row["largest CV"] = largest([one.cv for one in clicks], sign="")
        row["drift at the end [beats]"] = mean_sd([one.drift for one in clicks], sign="+")
        rows.append(row)
    return markdown(rows)


def criteria_table(evaluations: dict[str, Evaluation]) -> str:
    """A row for each network {name: evaluation}: every measure, bold if its target is missed."""
    rows = [{"": "target"}]
    for name, evaluation in evaluations.items():
        rows[0] |= {one.measure: one.target for one in evaluation.criteria}
        values = {c.measure: c.value if c.met else f"**{c.value}**" for c in evaluation.criteria}
        rows.append({"": name} | values)
    return markdown(rows)


def weber_text(evaluations: dict[str, Evaluation]) -> str:
    """Slope of log SD against log mean ITI over the networks, with Student's 95 % interval."""
    slopes = [weber_slope(of_condition(e.statistics, CLICKS)) for e in evaluations.values()]
    slopes, text = np.array(slopes)[np.isfinite(slopes)], "slope of log SD against log mean ITI"
    if len(slopes) < 2:
        return f"{text}: too few networks for an interval"
    low, high = stats.t.interval(0.95, len(slopes) - 1, slopes.mean(), stats.sem(slopes))
    interval = f"95 % interval {low:.2f} to {high:.2f}"
    return f"{text}: {slopes.mean():.2f}, {interval} ({len(slopes)} networks)"


def report(evaluations: dict[str, Evaluation]) -> str:
    """All tables; those over networks {name: evaluation} only if there are several."""
    met = sum(evaluation.met for evaluation in evaluations.values())
    parts = [f"{met} of {len(evaluations)} networks meet every target", criteria_table(evaluations)]
    if len(evaluations) > 1:
        parts[1:1] = [tempo_table(evaluations), weber_text(evaluations)]
    return "\n\n".join(parts)


def main(*paths: str):
    if not paths:
        raise UserError("no networks; train some with python -m experiments.seeds FOLDER")
    in_order = sorted(paths, key=lambda path: (len(path), path))  # seed12 after seed2
    print(report({Path(path).stem: read_evaluation(path) for path in in_order}))


if __name__ == "__main__":
    cli.run(main)
