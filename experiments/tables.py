"""Tables over trained networks, in Markdown, from the verdicts that train.py keeps with them."""

import csv
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from zrnn import configuration, evaluate
from zrnn.checkpoints import read_checkpoint
from zrnn.errors import UserError
from zrnn.evaluate import Evaluation

# Mean ITIs [s] of the predecessor, read from the trained points of its published figure (right
# panel of PCA_and_model_activity_stats.png); a pixel is 2 ms, so each is good to about 1 ms.
PREDECESSOR = {
    0.5: 0.496,
    0.333: 0.341,
    0.25: 0.256,
    0.2: 0.209,
    0.166: 0.172,
    0.143: 0.146,
    0.125: 0.130,
}


@dataclass(frozen=True)
class Network:
    """A judged network: a short name, its verdict, and what its training took, {part: [s]}."""

    name: str
    evaluation: Evaluation
    seconds: dict[str, float]


def read_network(path) -> Network:
    """The verdict kept in a checkpoint, and the log beside it if there is one. Raises UserError."""
    path, content = read_checkpoint(path, configuration.load().model)
    if "evaluation" not in content:
        raise UserError(f"checkpoint {path}: no verdict; train it with check.enable true")
    try:
        verdict = Evaluation.from_dict(content["evaluation"])
    except (KeyError, TypeError):
        raise UserError(f"checkpoint {path}: its verdict is of an older version") from None
    log = path.with_suffix(".csv")
    seconds = part_seconds(log) if log.exists() else {}
    if "training_seconds" in content:
        seconds["all parts"] = content["training_seconds"]
    return Network(path.stem.rpartition("_")[2], verdict, seconds)


def part_seconds(log: Path) -> dict[str, float]:
    """What each part of a training took [s], from its log: {part: seconds}."""
    with open(log, encoding="utf-8", newline="") as file:
        rows = [(row.get("part"), float(row["seconds"])) for row in csv.DictReader(file)]
    ends = [(part, [*own][-1][1]) for part, own in itertools.groupby(rows, lambda row: row[0])]
    starts = [0.0, *(end for _, end in ends[:-1])]
    return {part: end - start for (part, end), start in zip(ends, starts, strict=True)}


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table, of which the first row is the head."""
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])


def spread(values, unit="", sign="") -> str:
    """Mean ± SD of the values that are numbers, and of how many of all where not of all."""
    values = np.asarray(values, dtype=float)
    own = values[np.isfinite(values)]
    if not len(own):
        return "none"
    sd = f" ± {own.std(ddof=1):.2f}" if len(own) > 1 else ""
    few = f" ({len(own)} of {len(values)})" if len(own) < len(values) else ""
    return f"{own.mean():{sign}.2f}{sd}{unit}{few}"


def worst_of(values) -> str:
    """The share farthest from 0, in per cent; "lost" where a network has none."""
    values = np.asarray(values, dtype=float)
    if np.isnan(values).any():
        return "lost"
    return f"{100 * values[np.argmax(np.abs(values))]:+.2f} %"


def tempo_table(networks: Sequence[Network]) -> str:
    """The trained periods, over the networks: errors, CVs, beats adrift; and the predecessor's."""
    conditions = evaluate.CLICKS, evaluate.REST
    rows = [
        [
            "period",
            "predecessor",
            "ITI error: mean ± SD",
            "worst",
            "from rest: worst",
            "CV: mean ± SD",
            "worst",
            "beats adrift at the end",
        ],
    ]
    every = [row for network in networks for row in network.evaluation.statistics]
    for period in sorted({row.period for row in every if row.condition == evaluate.CLICKS})[::-1]:
        own, alone = (
            [row for row in every if row.period == period and row.condition == condition]
            for condition in conditions
        )
        known = PREDECESSOR.get(period)
        rows.append(
            [
                f"{period:.3f} s",
                "" if known is None else f"{100 * (known / period - 1):+.1f} %",
                spread([100 * row.error for row in own], " %", sign="+"),
                worst_of([row.error for row in own]),
                worst_of([row.error for row in alone]),
                spread([100 * row.cv for row in own], " %"),
                worst_of([row.cv for row in own]).lstrip("+"),
                spread([row.drift for row in own], sign="+"),
            ]
        )
    return markdown(rows)


def findings_table(networks: Sequence[Network]) -> str:
    """A row a network: every measure, and what the training took; a miss is bold."""
    findings = [network.evaluation.criteria for network in networks]
    parts = list(dict.fromkeys(part for network in networks for part in network.seconds))
    rows = [
        ["", *(f.measure for f in findings[0]), *(f"time: {part}" for part in parts)],
        ["to reach", *(f.target for f in findings[0]), *("" for _ in parts)],
    ]
    for network, own in zip(networks, findings, strict=True):
        took = [network.seconds.get(part) for part in parts]
        cells = [f.value if f.met else f"**{f.value}**" for f in own]
        rows.append([network.name, *cells, *("" if s is None else f"{s:.0f} s" for s in took)])
    return markdown(rows)


def variants_table(networks: dict[str, Network | str]) -> str:
    """A row a variant of the training: the worst over its tempos, or why there is no network."""
    rows = [
        [
            "variant",
            "worst error, trained",
            "worst error, never trained",
            "worst CV",
            "slope",
            "missed, extra",
            "time",
        ]
    ]
    for name, network in networks.items():
        if isinstance(network, str):
            rows.append([name, network, *[""] * (len(rows[0]) - 2)])
            continue
        clicked, others = (
            evaluate.of_condition(network.evaluation.statistics, condition)
            for condition in (evaluate.CLICKS, evaluate.UNTRAINED)
        )
        slope = evaluate.weber_slope(clicked)
        rows.append(
            [
                name,
                worst_of([row.error for row in clicked]),
                worst_of([row.error for row in others]),
                worst_of([row.cv for row in clicked]).lstrip("+"),
                f"{slope:.2f}" if np.isfinite(slope) else "",
                f"{sum(row.missed for row in clicked)}, {sum(row.extra for row in clicked)}",
                f"{network.seconds['all parts']:.0f} s",
            ]
        )
    return markdown(rows)


def weber_text(networks: Sequence[Network]) -> str:
    """Slope of log SD against log mean ITI over the networks, with Student's 95 % interval."""
    slopes = np.array(
        [
            evaluate.weber_slope(
                evaluate.of_condition(network.evaluation.statistics, evaluate.CLICKS)
            )
            for network in networks
        ]
    )
    slopes = slopes[np.isfinite(slopes)]
    if len(slopes) < 2:
        return "slope of log SD against log mean ITI: too few networks for an interval"
    half = stats.t.ppf(0.975, len(slopes) - 1) * stats.sem(slopes)
    return (
        f"slope of log SD against log mean ITI: {slopes.mean():.2f}, 95 % interval "
        f"{slopes.mean() - half:.2f} to {slopes.mean() + half:.2f} ({len(slopes)} networks)"
    )


def report(networks: Sequence[Network]) -> str:
    """All tables; those over networks where there are several."""
    met = sum(network.evaluation.met for network in networks)
    parts = [f"{met} of {len(networks)} networks meet every bound", findings_table(networks)]
    if len(networks) > 1:
        parts[1:1] = [tempo_table(networks), weber_text(networks)]
    return "\n\n".join(parts)
