"""Panels of a bifurcation diagram: equilibria and limit cycle, period, period near the onset."""

from itertools import chain, pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from zrnn.dynamics.diagram import Diagram, columns
from zrnn.dynamics.equilibria import CLASSES

STYLES = {  # red: stable, black: unstable
    "stable node": dict(color="#D62728", ls="-", lw=2.6),
    "stable spiral": dict(color="#D62728", ls=(0, (2, 0.7)), lw=2.6),
    "saddle": dict(color="black", ls=":", lw=1.6),
    "unstable node": dict(color="black", ls="--", lw=1.4),
    "unstable spiral": dict(color="black", ls="-", lw=1.4),
}
MAX_SMOOTH_RATE = 1e-3  # [1/s] a growth rate above this just beside a fold has jumped across 0
CYCLE_COLOUR = "#009E73"
MARKERS = {"fold": "s", "Hopf": "D", "branch point": "^"}


def draw_equilibria(axes: Axes, diagram: Diagram, label: str, numbers: bool = True) -> None:
    """Equilibria, and the lowest and highest z of the cycle, against the cue.

    numbers: write the cue beside each bifurcation from the onset of the cycle on. The z axis is
    limited to the neighbourhood of the cycle.
    """
    for curve in diagram.curves:
        p, z, names = curve.p, curve.z, curve.classes
        cuts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1), len(p)]
        for a, b in pairwise(cuts):
            axes.plot(p[a : b + 1], z[a : b + 1], **STYLES[names[a]], label=names[a])
    cue, low, high, _ = columns(diagram.cycles)
    axes.plot(cue, low, cue, high, color=CYCLE_COLOUR, lw=2, label="cycle: lowest, highest z")
    outline = dict(ms=7, mfc="white", mec="black", mew=1.3, zorder=5)
    for point in diagram.bifurcations:
        at, place = (point.p, point.z), dict(textcoords="offset points", fontsize=9)
        axes.plot(*at, MARKERS[point.kind], **outline, label=point.kind)
        if numbers and (len(cue) == 0 or point.p > cue[0] - 0.01):
            below = point.kind == "Hopf"
            place |= dict(xytext=(0, -16), ha="center") if below else dict(xytext=(7, 5))
            axes.annotate(f"{point.p:.4f}", at, **place)
    axes.set(xlabel="context cue", ylabel=label)
    if len(cue):
        margin = 1.5 * (high.max() - low.min())
        bottom, top = axes.get_ylim()
        axes.set_ylim(max(bottom, low.min() - margin), min(top, high.max() + margin))


def legend_of(*all_axes: Axes) -> dict:
    """{name: handle} of everything labelled in the axes, in the order of CLASSES."""
    labelled = (zip(*axes.get_legend_handles_labels(), strict=True) for axes in all_axes)
    found = {name: handle for handle, name in chain.from_iterable(labelled)}
    return {name: found[name] for name in [*CLASSES, *found] if name in found}


def draw_period(axes: Axes, diagram: Diagram, cues: tuple[float, float]) -> None:
    """Period of the cycle against the cue, on a log scale, within `cues`; bifurcations as lines."""
    cue, _, _, period = columns(diagram.cycles)
    shown = (cue >= cues[0]) & (cue <= cues[1])
    axes.plot(cue[shown], 1000 * period[shown], color=CYCLE_COLOUR, lw=2)
    for point in diagram.bifurcations:
        if cues[0] <= point.p <= cues[1]:
            axes.axvline(point.p, color="0.5", lw=1, ls="--" if point.kind == "Hopf" else ":")
    axes.set(xlabel="context cue", ylabel="period [ms]", yscale="log")
    _plain_log(axes.yaxis)


def draw_onset(axes: Axes, diagram: Diagram) -> None:
    """Period against the distance of the cue from the fold, on log scales, with the slope -1/2.

    Where the growth rate jumps from -a to b at the fold, also the law of a kink,
    constant - (1 / a + 1 / b) ln(distance).
    """
    axes.set(xlabel="cue - onset", ylabel="period [ms]")
    if len(diagram.onset) == 0:
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "no fold found at the onset", transform=axes.transAxes, ha="center")
        return
    distance, period = diagram.onset[np.argsort(diagram.onset[:, 0])].T
    axes.loglog(distance, 1000 * period, "o-", color=CYCLE_COLOUR, ms=3.5, lw=1)
    ratio, rates = distance / distance[0], np.abs(diagram.fold.growth_rates)
    laws = [("slope -1/2", "--", period[0] * ratio**-0.5)]
    if rates.max() > MAX_SMOOTH_RATE:
        laws.append(("kink: -log", ":", period[0] - np.sum(1 / rates) * np.log(ratio)))
    for name, style, law in laws:
        shown = law > period.min() / 2
        axes.plot(distance[shown], 1000 * law[shown], color="black", lw=1.2, ls=style, label=name)
    axes.legend(fontsize=10)
    _plain_log(axes.yaxis)


def _plain_log(axis):
    """Ticks of a log axis at 1, 2 and 5 of each decade, written as plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
