"""The diagram of a rhythm: equilibria and cycles against the cue, and what they answer.

One form for every model, so that the reduced model and a trained network can be laid side by side.
Nothing here solves an equation, and nothing here draws (see `drawing`).
Shapes: P points of a curve, C cycles, M cues next to the onset.
"""

from collections.abc import Callable
from dataclasses import astuple, dataclass

import numpy as np
from numpy import ndarray as Array

from zrnn.dynamics.equilibria import CLASSES, Bifurcation, Branch, classify, flow_growth
from zrnn.dynamics.invariant_circle import Circle

SMOOTH = 1e-3  # [1/s] a growth rate that passes 0 in smaller steps than this does not jump
SHRUNK = 0.05  # a cycle lower than this share of the largest has shrunk to nothing


@dataclass(frozen=True)
class Curve:
    """A branch of equilibria x (P, N) at cues p (P,), its bifurcations put in as further points.

    z (P,): what is drawn of x; classes (P,): one of CLASSES, from each point to the next.
    """

    p: Array
    x: Array
    z: Array
    classes: Array


@dataclass(frozen=True)
class Cycle:
    """A stable cycle at a cue: lowest and highest z, period [s]."""

    cue: float
    low: float
    high: float
    period: float


@dataclass(frozen=True)
class CycleEnd:
    """Where the cycle ends, in steps of dt [s] (0: no steps): between two cues.

    cycles: those from which this is known; height: of the last one, as a share of the largest;
    hopf: the Hopf point between the two cues, or the nearest; None if there is none.
    """

    dt: float
    cycles: list[Cycle]
    last: float
    first_without: float
    height: float
    hopf: float | None

    @property
    def at_hopf(self) -> bool:
        return self.hopf is not None and self.last <= self.hopf <= self.first_without


@dataclass(frozen=True)
class Diagram:
    """Equilibria and cycles of one model against its cue.

    points: bifurcations and their z; cycles, rising in the cue; silent: cues where a cycle was
    looked for, from one close by, and none was found; onset (M, 2): distance of the cue from the
    fold where the cycle begins, period [s]; circle: the ways out of the saddle just below that
    fold, None without one; ends: where the cycle ends, for steps from coarse to fine.
    """

    curves: list[Curve]
    points: list[tuple[Bifurcation, float]]
    cycles: list[Cycle]
    silent: list[float]
    onset: Array
    circle: Circle | None
    ends: list[CycleEnd]

    def arrays(self) -> dict[str, Array]:
        """All curves by name, for an .npz file; `curve0_class` holds indices of CLASSES."""
        found = {"silent_cues": np.array(self.silent), "onset_distance_period": self.onset}
        found["cycle_cue_low_high_period"] = rows_of(self.cycles)
        for end in self.ends[1:]:
            found["fine_cycle_cue_low_high_period"] = rows_of(end.cycles)
        for i, curve in enumerate(self.curves):
            found |= {f"curve{i}_cue": curve.p, f"curve{i}_z": curve.z}
            found[f"curve{i}_class"] = np.array([CLASSES.index(c) for c in curve.classes])
        for i, z in enumerate(self.circle.z if self.circle else ()):
            found[f"way_out{i}_z"] = z
        return found


def rows_of(cycles: list[Cycle]) -> Array:
    """Cycles as rows (C, 4): cue, lowest z, highest z, period [s]."""
    return np.array([astuple(cycle) for cycle in cycles]).reshape(-1, 4)


def listed(points: list[tuple[Bifurcation, float]]) -> list[dict]:
    """Bifurcations and their z as plain values."""
    return [
        dict(kind=q.kind, cue=q.p, z=z, frequency_hz=q.frequency, rates_per_s=list(q.rates))
        for q, z in points
    ]


def curve_of(branch: Branch, read: Callable, found: list[Bifurcation], growth=flow_growth) -> Curve:
    """A branch with its bifurcations as a curve; read: states (P, N) -> z (P,)."""
    classes = np.array([classify(own, growth) for own in branch.eigenvalues])
    at = np.array([q.index + 1 for q in found], dtype=int)
    x = np.insert(branch.x, at, np.reshape([q.x for q in found], (-1, branch.x.shape[1])), axis=0)
    p = np.insert(branch.p, at, [q.p for q in found])
    return Curve(p, x, read(x), np.insert(classes, at, classes[at]))


def classes_at(curves: list[Curve], cue: float) -> list[tuple[float, str]]:
    """The equilibria at a cue, lowest z first: z, interpolated, and class."""
    found = []
    for curve in curves:
        for i in np.flatnonzero((curve.p[:-1] <= cue) != (curve.p[1:] <= cue)):
            part = (cue - curve.p[i]) / (curve.p[i + 1] - curve.p[i])
            z = curve.z[i] + part * (curve.z[i + 1] - curve.z[i])
            found.append((float(z), str(curve.classes[i])))
    return sorted(found)


def begins_between(cycles: list[Cycle], silent: list[float]) -> tuple[float, float]:
    """The last cue without a cycle and the first with one."""
    return max((c for c in silent if c < cycles[0].cue), default=-np.inf), cycles[0].cue


def find_end(dt, cycles, silent, points: list, largest: float | None = None) -> CycleEnd:
    """The `CycleEnd` of cycles that rise in the cue; silent, points: as in `Diagram`.

    largest: the height of the largest, if it is not among the cycles.
    """
    largest = largest or max(c.high - c.low for c in cycles)
    last = cycles[-1]
    first = min((c for c in silent if c > last.cue), default=np.inf)
    middle = (last.cue + min(first, last.cue + 1)) / 2
    hopfs = [q.p for q, _ in points if q.kind == "Hopf"]
    hopf = min(hopfs, key=lambda p: abs(p - middle), default=None)
    return CycleEnd(dt, cycles, last.cue, first, (last.high - last.low) / largest, hopf)


def fold_at_onset(points: list, cycles, silent) -> Bifurcation | None:
    """The fold at which the cycle begins, if it begins at one."""
    if not cycles:
        return None
    low, high = begins_between(cycles, silent)
    return next((q for q, _ in points if q.kind == "fold" and low <= q.p <= high), None)


def local_exponents(onset: Array) -> list[float]:
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


def answers(diagram: Diagram) -> dict[str, tuple[str, str]]:
    """What the diagram answers to the questions of the paper: {question: (word, detail)}.

    Two models agree on a question where the words are the same.
    """
    if not diagram.cycles:
        return {"does it oscillate?": ("no", "")}
    return {"does it oscillate?": ("yes", ""), **_about_onset(diagram), **_about_end(diagram)}


def agreement(reduced: dict, trained: dict) -> list[dict]:
    """The `answers` of two models side by side: question, reduced, trained, agree."""
    rows = []
    for question in dict.fromkeys([*reduced, *trained]):
        own = [answer.get(question, ("no oscillation", "")) for answer in (reduced, trained)]
        texts = [f"{word} ({detail})" if detail else word for word, detail in own]
        agree = own[0][0] == own[1][0]
        rows.append(dict(question=question, reduced=texts[0], trained=texts[1], agree=agree))
    return rows


def _equilibria(diagram, cue):
    """What there is at a cue, of stable, saddle and unstable; and the classes."""
    found = sorted((c for _, c in classes_at(diagram.curves, cue)), key=CLASSES.index)
    return ", ".join(c.split()[0] for c in found) or "none in range", ", ".join(found)


def _about_onset(diagram):
    """Answers about where the cycle begins."""
    low, high = begins_between(diagram.cycles, diagram.silent)
    fold = fold_at_onset(diagram.points, diagram.cycles, diagram.silent)
    met, growth = ("no", f"begins between cue {low:.5g} and {high:.5g}"), ("no fold", "")
    if fold is not None:
        met = "yes", f"fold at {fold.p:.6f}"
        jumps = np.abs(fold.rates).max() > SMOOTH
        law = "no, it jumps: as -log(distance)" if jumps else "yes: as 1 / sqrt(distance)"
        slopes = ", ".join(f"{slope:.2f}" for slope in local_exponents(diagram.onset))
        rates = "from {:.3g} to {:.3g} 1/s".format(*fold.rates)
        growth = law, f"{rates}; exponents by decade, the nearest first: {slopes or 'none'}"
    circle, round_it = diagram.circle, ("no saddle", "")
    if circle is not None:
        ranges = " and ".join(f"{z.min():.3g} to {z.max():.3g}" for z in circle.z)
        word = "yes" if circle.closes else "no" if None not in circle.ends else "not found"
        round_it = word, f"at cue {circle.cue:.6f}; the ways cover z {ranges}"
    return {
        "equilibria just below the onset": _equilibria(diagram, low),
        "does it begin where a saddle and a node meet?": met,
        "do both ways out of the saddle rest at the same node: a circle?": round_it,
        "does a growth rate pass 0 there, and how does the period grow?": growth,
    }


def _about_end(diagram):
    """Answers about the cycle's course and its end; of several steps dt the finest decides."""
    cue, low, high, period = rows_of(diagram.cycles).T
    fell, end = int((np.diff(period) < 0).sum()), diagram.ends[-1]
    # the last one may be the Hopf point itself, where the cycle has shrunk to 0
    beside = {c: [name for _, name in classes_at(diagram.curves, c)] for c in cue[high > low]}
    stable = [c for c, names in beside.items() if any(n.startswith("stable") for n in names)]
    ends = "; ".join(
        (f"dt {1000 * e.dt:g} ms: " if e.dt else "")
        + f"ends between {e.last:.5f} and {e.first_without:.5f}, Hopf "
        + ("none" if e.hopf is None else f"{e.hopf:.5f}")
        for e in diagram.ends
    )
    heights = ", ".join(
        f"{e.height:.1%}" + (f" at dt {1000 * e.dt:g} ms" if e.dt else "") for e in diagram.ends
    )
    return {
        "does the period fall as the cue rises?": (
            "always" if fell == len(cue) - 1 else "not always",
            f"in {fell} of {len(cue) - 1} steps",
        ),
        "equilibria inside the cycle": _equilibria(diagram, cue[len(cue) // 2]),
        "does it end at a Hopf point?": ("yes" if end.at_hopf else "no", ends),
        "has the cycle shrunk to nothing there?": (
            "yes" if end.height < SHRUNK else "no",
            f"{heights} of its largest height",
        ),
        "is it ever beside a stable equilibrium?": (
            ("yes", f"cue {min(stable):.5g} to {max(stable):.5g}") if stable else ("no", "")
        ),
        "equilibria just above the end": _equilibria(diagram, diagram.ends[0].first_without),
    }
