"""Drawing a diagram of a rhythm: equilibria and cycles, the period, the period near its onset."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from zrnn.dynamics.diagram import SMOOTH, Diagram, rows_of
from zrnn.dynamics.equilibria import CLASSES

STYLES = {  # red: stable; black: not
    "stable node": dict(color="#D62728", ls="-", lw=2.6),
    "stable spiral": dict(color="#D62728", ls=(0, (2, 0.7)), lw=2.6),
    "saddle": dict(color="black", ls=":", lw=1.6),
    "unstable node": dict(color="black", ls="--", lw=1.4),
    "unstable spiral": dict(color="black", ls="-", lw=1.4),
}
CYCLE_COLOUR = "#009E73"
MARKERS = {"fold": "s", "Hopf": "D", "branch point": "^"}


def draw_equilibria(axes: Axes, diagram: Diagram, label: str, numbers: bool = True) -> None:
    """Equilibria, red where stable, and the lowest and highest z of the cycle, against the cue.

    numbers: write the cue beside each bifurcation from the onset of the cycle on. What lies far
    above or below the cycle is cut off.
    """
    for curve in diagram.curves:
        p, z, names = curve.p, curve.z, curve.classes
        cuts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1), len(p)]
        for a, b in zip(cuts[:-1], cuts[1:], strict=True):
            axes.plot(p[a : b + 1], z[a : b + 1], **STYLES[names[a]], label=names[a])
    cue, low, high = rows_of(diagram.cycles).T[:3]
    axes.plot(cue, low, cue, high, color=CYCLE_COLOUR, lw=2, label="cycle: lowest, highest z")
    outline = dict(ms=7, mfc="white", mec="black", mew=1.3, zorder=5)
    for point, z in diagram.points:
        axes.plot(point.p, z, MARKERS[point.kind], **outline, label=point.kind)
        if numbers and (len(cue) == 0 or point.p > cue[0] - 0.01):
            side = dict(xytext=(7, 5), ha="left")
            if point.kind == "Hopf":
                side = dict(xytext=(0, -16), ha="center")
            text = f"{point.p:.4f}"
            axes.annotate(text, (point.p, z), textcoords="offset points", fontsize=9, **side)
    axes.set(xlabel="context cue", ylabel=label)
    if len(cue):
        room = 1.5 * (high.max() - low.min())
        bottom, top = axes.get_ylim()
        axes.set_ylim(max(bottom, low.min() - room), min(top, high.max() + room))


def legend_of(*all_axes: Axes) -> dict:
    """Handles by name, each name once, of `draw_equilibria` in one or more axes, in one order."""
    found = {}
    for axes in all_axes:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(name, handle)
    order = [name for name in CLASSES if name in found]
    return {name: found[name] for name in [*order, *(n for n in found if n not in order)]}


def draw_period(axes: Axes, diagram: Diagram, cues: tuple[float, float]) -> None:
    """Period of the cycle against the cue, on a log scale, within `cues`; its ends as lines."""
    cue, _, _, period = rows_of(diagram.cycles).T
    shown = (cue >= cues[0]) & (cue <= cues[1])
    axes.plot(cue[shown], 1000 * period[shown], color=CYCLE_COLOUR, lw=2)
    for point, _ in diagram.points:
        if cues[0] <= point.p <= cues[1]:
            axes.axvline(point.p, color="0.5", lw=1, ls="--" if point.kind == "Hopf" else ":")
    axes.set(xlabel="context cue", ylabel="period [ms]", yscale="log")
    plain_log(axes.yaxis)


def draw_onset(axes: Axes, diagram: Diagram) -> None:
    """Period against the distance of the cue from the onset, both on log scales; slope -1/2.

    Where the growth rates at the fold jump from -a to b, also what a kink gives in the end,
    constant - (1 / a + 1 / b) ln(distance).
    """
    axes.set(xlabel="cue - onset", ylabel="period [ms]")
    if len(diagram.onset) == 0:
        return
    distance, period = diagram.onset[np.argsort(diagram.onset[:, 0])].T
    axes.loglog(distance, 1000 * period, "o-", color=CYCLE_COLOUR, ms=3.5, lw=1)
    ratio, onset = distance / distance[0], diagram.cycles[0].cue
    folds = [q for q, _ in diagram.points if q.kind == "fold"]
    rates = min(folds, key=lambda q: abs(q.p - onset)).rates
    lines = [("slope -1/2", "--", period[0] * ratio**-0.5)]
    if max(np.abs(rates)) > SMOOTH:
        per_e_fold = np.sum(1 / np.abs(rates))
        lines.append(("kink: -log", ":", period[0] - per_e_fold * np.log(ratio)))
    for name, style, line in lines:
        seen = line > period.min() / 2
        axes.plot(distance[seen], 1000 * line[seen], color="black", lw=1.2, ls=style, label=name)
    axes.legend(fontsize=10)
    plain_log(axes.yaxis)


def plain_log(axis) -> None:
    """Ticks of a log axis at 1, 2 and 5 of each decade, written as plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
