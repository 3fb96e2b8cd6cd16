"""The diagram of a rhythm: equilibria and cycles against the cue, drawn and put into words.

One form for every model, so that the reduced model and the trained network can be laid side by
side. Axes and arrays in; nothing here solves an equation or touches the disk.
"""

from collections import namedtuple

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from zrnn.dynamics.branches import CLASSES, classify, flow_growth

# curves: [(cue (P,), z (P,), names of classes (P,))], one a branch; points: [(Bifurcation, z)];
# cycles (C, 4), rising in the cue: cue, lowest z, highest z, period [s]; silent: cues where a
# cycle was looked for, from one close by, and none was found; onset (M, 2): distance of the cue
# from the fold where the cycle begins, period [s]; small (S, 4): like cycles, a second, smaller one
Diagram = namedtuple("Diagram", "curves points cycles silent onset small")

STYLES = {  # red: stable; black: not
    "stable node": dict(color="#D62728", ls="-", lw=2.6),
    "stable spiral": dict(color="#D62728", ls=(0, (2, 0.7)), lw=2.6),
    "saddle": dict(color="black", ls=":", lw=1.6),
    "unstable node": dict(color="black", ls="--", lw=1.4),
    "unstable spiral": dict(color="black", ls="-", lw=1.4),
}
SMOOTH = 1e-3  # [1/s] a growth rate that passes 0 in smaller steps than this does not jump
CYCLE_COLOUR, SMALL_COLOUR = "#009E73", "#CC79A7"
MARKERS = {"fold": "s", "Hopf": "D", "branch point": "^"}


def curve(branch, read, found, growth=flow_growth):
    """A branch as a curve of a `Diagram`, `found` its `bifurcations` put in as points of their own.

    read: states (P, N) -> z (P,), what is drawn of them. From each point to the next the class is
    that of the first.
    """
    names = np.array([classify(own, growth) for own in branch.eigenvalues])
    at = np.array([q.index + 1 for q in found], dtype=int)
    x = np.insert(branch.x, at, np.reshape([q.x for q in found], (-1, branch.x.shape[1])), axis=0)
    p = np.insert(branch.p, at, [q.p for q in found])
    return p, read(x), np.insert(names, at, names[at])


def equilibria_at(curves, cue):
    """The equilibria at a cue, lowest z first: [(z, class)]; z is interpolated."""
    found = []
    for p, z, names in curves:
        for i in np.flatnonzero((p[:-1] <= cue) != (p[1:] <= cue)):
            part = (cue - p[i]) / (p[i + 1] - p[i])
            found.append((float(z[i] + part * (z[i + 1] - z[i])), str(names[i])))
    return sorted(found)


def local_exponents(onset):
    """Slope of log period against log distance in each decade of onset (M, 2), the nearest first.

    Where a saddle and a node meet smoothly it tends to -1/2. Where they meet at a kink, it falls
    back to 0, since the period then grows as -log(distance).
    """
    if len(onset) < 2:
        return []
    distance, period = onset[np.argsort(onset[:, 0])].T
    decades = np.floor(np.log10(distance / distance[0]) + 1e-9).astype(int)
    slopes = []
    for decade in range(decades.max() + 1):
        own = (decades == decade) | np.isclose(distance, distance[0] * 10.0 ** (decade + 1))
        if own.sum() > 1:
            slope = np.polyfit(np.log(distance[own]), np.log(period[own]), 1)[0]
            slopes.append(float(slope))
    return slopes


def describe(diagram):
    """What the diagram holds, in the same words for every model: {measure: value}."""
    curves, cycles = diagram.curves, diagram.cycles
    folds, hopfs = ([q for q, _ in diagram.points if q.kind == k] for k in ("fold", "Hopf"))
    result = {
        "branches": len(curves),
        "folds": [q.p for q in folds],
        "Hopf points": [q.p for q in hopfs],
        "periods at the Hopf points [ms]": [1000 / q.frequency for q in hopfs],
        "rates at the folds [1/s]": [q.rates for q in folds],
        "local exponents": local_exponents(diagram.onset),
        "cycle from, to": None,
    }
    if len(cycles) == 0:
        return result
    cue, low, high, period = cycles.T
    below, above = (
        [c for c in diagram.silent if k * (c - cue[len(cue) // 2]) > 0] for k in (-1, 1)
    )
    begins = [max(below, default=-np.inf), cue[0]]  # no cycle at the first, a cycle at the second
    ends = [cue[-1], min(above, default=np.inf)]
    beside = {
        c: [name for _, name in equilibria_at(curves, c)] for c in cue[high > low]
    }  # the last may be the Hopf point itself, where the cycle has shrunk to 0
    stable = [c for c, names in beside.items() if any(n.startswith("stable") for n in names)]
    return {
        **result,
        "cycle from, to": [cue[0], cue[-1]],
        "it begins between": begins,
        "it ends between": ends,
        "begins at a fold": next((q.p for q in folds if begins[0] <= q.p <= begins[1]), None),
        "ends at a Hopf point": next((q.p for q in hopfs if ends[0] <= q.p <= ends[1]), None),
        "equilibria just below it": [name for _, name in equilibria_at(curves, begins[0])],
        "equilibria in its middle": beside[cue[len(cue) // 2]],
        "equilibria just above it": [name for _, name in equilibria_at(curves, ends[1])],
        "beside a stable equilibrium": [min(stable), max(stable)] if stable else None,
        "longest and last period [ms]": [float(1000 * period.max()), float(1000 * period[-1])],
        "steps in which the period falls": [int((np.diff(period) < 0).sum()), len(cue) - 1],
        "small cycle from, to": diagram.small[[0, -1], 0].tolist() if len(diagram.small) else None,
        "height at the end, of the largest": float((high - low)[-1] / (high - low).max()),
    }


def answers(found):
    """What `describe` found, as answers to the questions of the paper: {question: (word, detail)}.

    Two models agree on a question where the words are the same.
    """
    if found["cycle from, to"] is None:
        return {"does it oscillate?": ("no", "")}
    begins, ends, beside = (
        found[k] for k in ("it begins between", "it ends between", "beside a stable equilibrium")
    )
    fell, steps = found["steps in which the period falls"]
    height = found["height at the end, of the largest"]

    fold = found["begins at a fold"]
    rates = (
        found["rates at the folds [1/s]"][found["folds"].index(fold)]
        if fold is not None
        else (np.nan,) * 2
    )
    smooth = max(np.abs(rates)) < SMOOTH
    slopes = ", ".join(f"{slope:.2f}" for slope in found["local exponents"])

    def listed(name):
        words = [name.split()[0] for name in found[name]]
        return ", ".join(words) or "none in range", ", ".join(found[name])

    def between(cues):
        return f"between cue {cues[0]:.5g} and {cues[1]:.5g}"

    return {
        "does it oscillate?": ("yes", ""),
        "equilibria just below the onset": listed("equilibria just below it"),
        "does it begin where a saddle and a node meet?": (
            "no" if fold is None else "yes",
            between(begins) if fold is None else f"fold at {fold:.6f}",
        ),
        "does a growth rate pass through 0 there?": (
            "yes" if smooth else "no, it jumps", f"from {rates[0]:.3g} to {rates[1]:.3g} 1/s",
        ),
        "so how does the period grow in the end?": (
            "as 1 / sqrt(distance)" if smooth else "as -log(distance)",
            f"exponents seen, a decade each, the nearest first: {slopes or 'none'}",
        ),
        "does the period fall as the cue rises?": (
            "always" if fell == steps else "not always", f"in {fell} of {steps} steps",
        ),
        "equilibria inside the cycle": listed("equilibria in its middle"),
        "does it end at a Hopf point?": (
            "yes" if found["ends at a Hopf point"] is not None else "no",
            f"Hopf {', '.join(f'{p:.5f}' for p in found['Hopf points']) or 'none'}; "
            f"the cycle ends {between(ends)}",
        ),
        "has the cycle shrunk to nothing there?": (
            "yes" if height < 0.05 else "no", f"{height:.0%} of its largest height",
        ),
        "is it ever beside a stable equilibrium?": (
            ("yes", between(beside)) if beside else ("no", "")
        ),
        "equilibria just above the end": listed("equilibria just above it"),
        "branches of equilibria": (str(found["branches"]), ""),
    }  # fmt: skip


def agreement(reduced, trained):
    """The answers of two models side by side: rows (question, first, second, whether they agree)"""
    rows = []
    for question in dict.fromkeys([*reduced, *trained]):
        a, b = (own.get(question, ("no oscillation", "")) for own in (reduced, trained))
        both = [f"{word} ({detail})" if detail else word for word, detail in (a, b)]
        rows.append((question, *both, a[0] == b[0]))
    return rows


def draw_equilibria(axes, diagram, label, numbers=True):
    """Equilibria, red where stable, and the lowest and highest z of the cycle, against the cue.

    numbers: write the cue beside each bifurcation.
    """
    for p, z, names in diagram.curves:
        cuts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1), len(p)]
        for a, b in zip(cuts[:-1], cuts[1:], strict=True):
            axes.plot(p[a : b + 1], z[a : b + 1], **STYLES[names[a]], label=names[a])
    cue, low, high = diagram.cycles.T[:3] if len(diagram.cycles) else np.empty((3, 0))
    axes.plot(cue, low, cue, high, color=CYCLE_COLOUR, lw=2, label="cycle: lowest, highest z")
    if len(diagram.small):
        axes.fill_between(
            *diagram.small.T[:3], color=SMALL_COLOUR, lw=2, label="a second, small cycle"
        )
    for point, z in diagram.points:
        axes.plot(
            point.p, z, MARKERS[point.kind], ms=7, mfc="white", mec="black", mew=1.3, zorder=5,
            label=point.kind,
        )  # fmt: skip
        if numbers:
            side = dict(xytext=(7, 5), ha="left")
            if point.kind == "Hopf":
                side = dict(xytext=(0, -16), ha="center")
            text = f"{point.p:.4f}"
            axes.annotate(text, (point.p, z), textcoords="offset points", fontsize=9, **side)
    axes.set(xlabel="context cue", ylabel=label)


def legend_of(*all_axes):
    """Handles by name, each name once, of `draw_equilibria` in one or more axes, in one order."""
    found = {}
    for axes in all_axes:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(name, handle)
    order = [name for name in CLASSES if name in found]
    return {name: found[name] for name in [*order, *(n for n in found if n not in order)]}


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
    """Period against the distance of the cue from the onset, both on log scales; slope -1/2.

    Where the growth rates at the fold jump from -a to b, also what a kink gives in the end,
    constant - (1 / a + 1 / b) ln(distance).
    """
    axes.set(xlabel="cue - onset", ylabel="period [ms]")
    if len(diagram.onset) == 0:
        return
    distance, period = diagram.onset[np.argsort(diagram.onset[:, 0])].T
    axes.loglog(distance, 1000 * period, "o-", color=CYCLE_COLOUR, ms=3.5, lw=1)
    ratio = distance / distance[0]
    onset = diagram.cycles[0, 0]
    folds = [q for q, _ in diagram.points if q.kind == "fold"]
    rates = min(folds, key=lambda q: abs(q.p - onset)).rates
    lines = [("slope -1/2", "--", period[0] * ratio**-0.5)]
    if max(np.abs(rates)) > SMOOTH:
        per_e_fold = np.sum(1 / np.abs(rates))
        lines.append(("kink: -log", ":", period[0] - per_e_fold * np.log(ratio)))
    for name, style, line in lines:
        seen = line > period.min() / 2
        axes.plot(distance[seen], 1000 * line[seen], color="black", lw=1.2, ls=style, label=name)
    plain_log(axes.yaxis)


def plain_log(axis):
    """Ticks of a log axis at 1, 2 and 5 of each decade, written as plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
