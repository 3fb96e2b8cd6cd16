"""The diagram of a rhythm: equilibria and cycles against the cue, drawn and put into words.

One form for every model, so that the reduced model and the trained network can be laid side by
side. Axes and arrays in; nothing here solves an equation or touches the disk.
"""

from collections import namedtuple

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from equilibria import CLASSES, classify

# curves: [(cue (P,), z (P,), names of classes (P,))], one a branch; points: [(Bifurcation, z)];
# cycles (C, 4), rising in the cue: cue, lowest z, highest z, period [s]; silent: cues where a
# cycle was looked for, from one close by, and none was found; onset (M, 2): distance of the cue
# from the fold where the cycle begins, period [s]
Diagram = namedtuple("Diagram", "curves points cycles silent onset")

STYLES = {  # red: stable; black: not
    "stable node": dict(color="#D62728", ls="-", lw=2.6),
    "stable spiral": dict(color="#D62728", ls=(0, (2, 0.7)), lw=2.6),
    "saddle": dict(color="black", ls=":", lw=1.6),
    "unstable node": dict(color="black", ls="--", lw=1.4),
    "unstable spiral": dict(color="black", ls="-", lw=1.4),
}
CYCLE_COLOUR = "#009E73"
MARKERS = {"fold": "s", "Hopf": "D", "branch point": "^"}


def curve(branch, z):
    """A branch as a curve of a `Diagram`: z (P,) is what is drawn of its points."""
    return branch.p, z, np.array([classify(own) for own in branch.eigenvalues])


def equilibria_at(curves, cue):
    """The equilibria at a cue, lowest z first: [(z, class)]; z is interpolated."""
    found = []
    for p, z, names in curves:
        for i in np.flatnonzero((p[:-1] <= cue) != (p[1:] <= cue)):
            part = (cue - p[i]) / (p[i + 1] - p[i])
            found.append((float(z[i] + part * (z[i + 1] - z[i])), str(names[i + (part > 0.5)])))
    return sorted(found)


def growth_law(onset):
    """How the period grows towards the onset (M, 2): {name: value}.

    exponent: the slope of log period against log distance over the nearest decade; a saddle and a
    node that meet smoothly give -1/2, at a kink they give 0. The misfits are the RMS of what is
    left, as a share of the mean period, of a + b / sqrt(distance) and of a - b ln(distance) over
    the nearest two decades.
    """
    distance, period = onset[np.argsort(onset[:, 0])].T if len(onset) else (np.array([]),) * 2
    if len(distance) < 4:
        return {"exponent": np.nan, "square_root_misfit": np.nan, "logarithm_misfit": np.nan}
    near = distance <= 10.001 * distance[0]
    slope = np.polyfit(np.log(distance[near]), np.log(period[near]), 1)[0]
    near = distance <= 100.01 * distance[0]
    law = {"exponent": float(slope)}
    for name, of in (("square_root", lambda d: d**-0.5), ("logarithm", np.log)):
        fit = np.polyfit(of(distance[near]), period[near], 1)
        left = period[near] - np.polyval(fit, of(distance[near]))
        law[f"{name}_misfit"] = float(np.sqrt(np.mean(left**2)) / period[near].mean())
    return law


def describe(diagram):
    """What the diagram says, in the same words for every model: {measure: value}."""
    curves, cycles = diagram.curves, diagram.cycles
    low, high = min(p.min() for p, _, _ in curves), max(p.max() for p, _, _ in curves)
    edge = 1e-9 * (high - low)

    def named(cue):
        return [name for _, name in equilibria_at(curves, cue)]

    result = {
        "branches": len(curves),
        "equilibria at the lowest cue": named(low + edge),
        "equilibria at the highest cue": named(high - edge),
        "folds": [q.p for q, _ in diagram.points if q.kind == "fold"],
        "Hopf points": [q.p for q, _ in diagram.points if q.kind == "Hopf"],
        "Hopf period [ms]": [1000 / q.frequency for q, _ in diagram.points if q.kind == "Hopf"],
        **growth_law(diagram.onset),
    }
    if len(cycles) == 0:
        return {**result, "oscillates": None}
    first, last = cycles[0], cycles[-1]
    height = cycles[:, 2] - cycles[:, 1]
    real = cycles[height > 0, 0]  # the last may be the Hopf point, where the cycle has shrunk to 0
    both = [cue for cue in real if any(n.startswith("stable") for n in named(cue))]
    middle = cycles[len(cycles) // 2, 0]
    return {
        **result,
        "oscillates": [first[0], last[0]],
        "equilibria in the middle of it": named(middle),
        "cycle beside a stable equilibrium": [min(both), max(both)] if both else None,
        "longest period [ms]": 1000 * cycles[:, 3].max(),
        "period at the end [ms]": 1000 * last[3],
        "period falls": f"{(np.diff(cycles[:, 3]) < 0).sum()} of {len(cycles) - 1} steps",
        "height at the end, of the largest": height[-1] / height.max(),
    }


def draw_equilibria(axes, diagram, label):
    """Equilibria, red where stable, and the lowest and highest z of the cycle, against the cue."""
    used = set()
    for p, z, names in diagram.curves:
        cuts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1), len(p)]
        for a, b in zip(cuts[:-1], cuts[1:], strict=True):
            axes.plot(p[a : b + 1], z[a : b + 1], **STYLES[names[a]])
            used.add(names[a])
    cycles = diagram.cycles
    if len(cycles):
        for column in (1, 2):
            axes.plot(cycles[:, 0], cycles[:, column], color=CYCLE_COLOUR, lw=2)
        used.add("cycle: lowest, highest")
    for point, z in diagram.points:
        axes.plot(
            point.p, z, MARKERS[point.kind], ms=7, mfc="white", mec="black", mew=1.3, zorder=5,
        )  # fmt: skip
        side = dict(xytext=(0, -16), ha="center") if point.kind == "Hopf" else dict(xytext=(7, 5))
        axes.annotate(
            f"{point.p:.4f}", (point.p, z), textcoords="offset points", fontsize=9, **side
        )
        used.add(point.kind)
    marks = dict(ls="", ms=7, mfc="white", mec="black", mew=1.3)
    styles = {name: STYLES[name] for name in CLASSES}
    styles["cycle: lowest, highest"] = dict(color=CYCLE_COLOUR, lw=2)
    styles |= {kind: dict(marker=marker, **marks) for kind, marker in MARKERS.items()}
    for name, style in styles.items():
        if name in used:
            axes.plot([], [], label=name, **style)
    axes.set(xlabel="context cue", ylabel=label)


def draw_period(axes, diagram, cues):
    """Period of the cycle against the cue, on a log scale, within `cues`; its ends as lines."""
    cue, _, _, period = diagram.cycles.T if len(diagram.cycles) else np.empty((4, 0))
    shown = (cue >= cues[0]) & (cue <= cues[1])
    axes.plot(cue[shown], 1000 * period[shown], color=CYCLE_COLOUR, lw=2)
    for point, _ in diagram.points:
        if cues[0] <= point.p <= cues[1]:
            axes.axvline(point.p, color="0.5", lw=1, ls="--" if point.kind == "Hopf" else ":")
    axes.set(xlabel="context cue", ylabel="period [ms]", yscale="log")
    plain_log(axes.yaxis)


def draw_onset(axes, diagram):
    """Period against the distance of the cue from the onset, both on log scales; slope -1/2."""
    if len(diagram.onset):
        distance, period = diagram.onset.T
        axes.loglog(distance, 1000 * period, "o-", color=CYCLE_COLOUR, ms=3.5, lw=1)
        ideal = 1000 * period[distance.argmin()] * (distance / distance.min()) ** -0.5
        seen = ideal > 500 * period.min()
        axes.loglog(distance[seen], ideal[seen], color="black", lw=1, ls="--", label="slope -1/2")
        plain_log(axes.yaxis)
    axes.set(xlabel="cue - onset", ylabel="period [ms]")


def plain_log(axis):
    """Ticks of a log axis at 1, 2 and 5 of each decade, written as plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
