"""The bifurcation diagram of a rhythm: equilibria and limit cycles against the cue, as data.

The reduced model and a trained network have the same form of diagram. z is the variable drawn.

Shapes: N variables, P points of a curve, M cues close to the fold at which the cycle begins.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy import ndarray as Array

from zrnn.dynamics import equilibria
from zrnn.dynamics.equilibria import CLASSES, Bifurcation, Branch, Flow, classify

# Unstable manifold of the saddle. Distances are fractions of that to the nearest stable point.
BELOW = 1e-4  # distance of the cue from the fold at which the manifold is followed
KICK = 1e-3  # distance from the saddle at which a side begins
CLOSE = 1e-2  # distance from a stable equilibrium at which a side has reached it
MAX_PARTS = 100  # runs in a row, after which a side has no end


class Curve(NamedTuple):
    """A branch of equilibria x (P, N) at cues p (P,), with its bifurcations among the points.

    z (P,); classes (P,): one of CLASSES, valid from each point to the next.
    """

    p: Array
    x: Array
    z: Array
    classes: Array


class StableCycle(NamedTuple):
    """The stable limit cycle at a cue: lowest and highest z, period [s]."""

    cue: float
    low: float
    high: float
    period: float


class CycleEnd(NamedTuple):
    """Where the cycle ends as the cue rises, in integration steps of dt [s] (0: continuous time).

    cycles: those from which it is known; last, first_without: the last cue with a cycle and the
    next without; amplitude: of the last cycle, as a fraction of the largest; hopf: cue of the
    nearest Hopf point, or NaN.
    """

    dt: float
    cycles: list[StableCycle]
    last: float
    first_without: float
    amplitude: float
    hopf: float


class UnstableManifold(NamedTuple):
    """Outputs z of its two sides, two arrays (T,); whether both reach the same node."""

    z: list[Array]
    closes: bool


@dataclass(frozen=True)
class Diagram:
    """Equilibria and limit cycles of a model.

    bifurcations: of equilibria; cycles: rising in the cue; cues_without: where a cycle was looked
    for and none found; fold: at which the cycle begins, or None; onset (M, 2): distance of the cue
    from that fold and period [s]; manifold: of the saddle just below it, or None; ends: a
    `CycleEnd` for each integration step, the longest first.
    """

    curves: list[Curve]
    bifurcations: list[Bifurcation]
    cycles: list[StableCycle]
    cues_without: list[float]
    fold: Bifurcation | None = None
    onset: Array = field(default_factory=lambda: np.empty((0, 2)))
    manifold: UnstableManifold | None = None
    ends: list[CycleEnd] = ()

    def arrays(self) -> dict[str, Array]:
        """What is drawn, for an .npz file, periods in [s].

        Of each branch curve0_cue, curve0_z and curve0_class (P,), an index of CLASSES; of C cycles
        cycle_cue_low_high_period (C, 4), and of those in fine integration steps at its end
        fine_cycle_cue_low_high_period; cue_without_cycle; onset_distance_period (M, 2);
        unstable_manifold0_z and unstable_manifold1_z (T,), its two sides.
        """
        arrays = {
            "cue_without_cycle": np.array(self.cues_without),
            "onset_distance_period": self.onset,
            "cycle_cue_low_high_period": columns(self.cycles).T,
        }
        for end in self.ends[1:]:
            arrays["fine_cycle_cue_low_high_period"] = columns(end.cycles).T
        for i, curve in enumerate(self.curves):
            arrays |= {f"curve{i}_cue": curve.p, f"curve{i}_z": curve.z}
            arrays[f"curve{i}_class"] = np.array([CLASSES.index(c) for c in curve.classes])
        for i, z in enumerate(self.manifold.z if self.manifold else ()):
            arrays[f"unstable_manifold{i}_z"] = z
        return arrays


def columns(cycles: list[StableCycle]) -> Array:
    """Cue, lowest z, highest z and period [s] of cycles, (4, number of cycles)."""
    return np.array(cycles).reshape(-1, 4).T


def plain(bifurcations: list[Bifurcation]) -> list[dict]:
    """Bifurcations as plain values, for a .json file."""
    return [
        dict(kind=b.kind, cue=b.p, z=b.z, frequency_hz=b.frequency, growth_rates=b.growth_rates)
        for b in bifurcations
    ]


def equilibrium_curves(
    flow: Flow, branches: list[Branch], dt: float = 0.0
) -> tuple[list[Curve], list[Bifurcation]]:
    """The branches as curves and the bifurcations on them, in steps of dt [s] (0: of the flow)."""
    curves, bifurcations = [], []
    for branch in branches:
        found = equilibria.find_bifurcations(flow, branch, dt)
        classes = np.array([classify(spectrum, dt) for spectrum in branch.eigenvalues])
        after = np.array([b.index + 1 for b in found], dtype=int)
        p = np.insert(branch.p, after, [b.p for b in found])
        x = np.insert(branch.x, after, np.reshape([b.x for b in found], (-1, len(branch.x.T))), 0)
        curves.append(Curve(p, x, flow.output(x), np.insert(classes, after, classes[after])))
        bifurcations += found
    return curves, bifurcations


def classes_at(curves: list[Curve], cue: float) -> list[str]:
    """The classes of the equilibria at a cue, in the order of CLASSES."""
    sides = [(curve, np.flatnonzero(np.diff(curve.p <= cue))) for curve in curves]
    return sorted((str(c) for curve, i in sides for c in curve.classes[i]), key=CLASSES.index)


def manifold_below(
    flow: Flow, curves: list, fold: Bifurcation | None, run: Callable[[Array, float], Array]
) -> UnstableManifold | None:
    """The unstable manifold of the saddle that meets a node at `fold`, just below the fold.

    If both of its sides reach the same stable equilibrium, they form a closed invariant curve, and
    a limit cycle goes round it when saddle and node have met (saddle-node on an invariant circle,
    SNIC). Otherwise no cycle is born where they meet.

    run(x, cue) -> states (T, N) from x (N,) on. None without a fold, a saddle or a stable
    equilibrium.
    """
    if fold is None:
        return None
    cue, by_class = fold.p - BELOW, {}
    for x in equilibria.equilibria_at(flow, curves, cue):
        name = classify(equilibria.eigenvalues(flow.jacobian(x, cue))).split()[0]
        by_class.setdefault(name, []).append(x)
    if not {"saddle", "stable"} <= set(by_class):
        return None
    saddle = min(by_class["saddle"], key=lambda x: np.linalg.norm(x - fold.x))
    stable = np.array(by_class["stable"])
    unit = np.linalg.norm(stable - saddle, axis=1).min()
    values, vectors = np.linalg.eig(flow.jacobian(saddle, cue))
    growing = vectors[:, values.real.argmax()].real
    sides, ends = [], []
    for kick in (-KICK * unit, KICK * unit):
        x, parts, distances = saddle + kick * growing / np.linalg.norm(growing), [], [np.inf]
        while min(distances) >= CLOSE * unit and len(parts) < MAX_PARTS:
            states = run(x, cue)
            parts.append(flow.output(states))
            x = states[-1]
            distances = np.linalg.norm(stable - x, axis=1)
        sides.append(np.concatenate(parts))
        ends.append(int(np.argmin(distances)) if min(distances) < CLOSE * unit else None)
    return UnstableManifold(sides, ends[0] is not None and ends[0] == ends[1])


def find_end(dt, cycles, cues_without, bifurcations, largest: float | None = None) -> CycleEnd:
    """The `CycleEnd` of cycles that rise in the cue.

    largest: the largest amplitude, where that cycle is not among `cycles`.
    """
    amplitudes, last = [c.high - c.low for c in cycles], cycles[-1].cue
    first = min((cue for cue in cues_without if cue > last), default=np.inf)
    middle = (last + min(first, last + 1)) / 2
    hopfs = [b.p for b in bifurcations if b.kind == "Hopf"]
    hopf = min(hopfs, key=lambda p: abs(p - middle), default=np.nan)
    return CycleEnd(dt, cycles, last, first, amplitudes[-1] / (largest or max(amplitudes)), hopf)


def local_exponents(onset: Array) -> list[float]:
    """Slope of log period against log distance in each decade of onset (M, 2), the nearest first.

    It tends to -1/2 where a saddle and a node meet smoothly. Where they meet at a kink, the period
    grows as -log(distance), so the slope tends to 0.
    """
    distance, period = np.log(onset).T
    slopes, low, decade = [], distance.min(initial=np.inf), np.log(10)
    while np.sum(inside := np.abs(distance - low - decade / 2) < decade / 2 + 1e-6) > 1:
        slopes.append(float(np.polyfit(distance[inside], period[inside], 1)[0]))
        low += decade
    return slopes


def summary(diagram: Diagram) -> dict[str, str]:
    """What the diagram shows: {question: answer}."""
    if not diagram.cycles:
        return {"does it oscillate?": "no"}
    (cue, low, high, period), onset = columns(diagram.cycles), "at no fold"
    below = max((c for c in diagram.cues_without if c < cue[0]), default=-np.inf)
    if fold := diagram.fold:
        rates = "from {:.3g} to {:.3g} 1/s".format(*fold.growth_rates)
        onset = f"at a fold at cue {fold.p:.6f}, where a growth rate goes {rates}"
    circle = "no saddle"
    if diagram.manifold is not None:
        circle = "yes" if diagram.manifold.closes else "no"
    exponents = [f"{exponent:.2f}" for exponent in local_exponents(diagram.onset)]

    def classes(cue):
        return ", ".join(classes_at(diagram.curves, cue)) or "none in range"

    # A cycle of amplitude 0 is the Hopf point itself, and not beside an equilibrium.
    beside = {c: classes_at(diagram.curves, c) for c in cue[high > low]}
    stable = [c for c, names in beside.items() if any(n.startswith("stable") for n in names)]
    ends = [
        f"between cue {e.last:.5f} and {e.first_without:.5f} with {e.amplitude:.1%} of its largest "
        f"amplitude, nearest Hopf point at cue {e.hopf:.5f}, in steps of {1000 * e.dt:g} ms"
        for e in diagram.ends
    ]
    falls = f"in {(np.diff(period) < 0).sum()} of {len(cue) - 1} steps of the cue"
    return {
        "does it oscillate?": "yes",
        "where does the cycle begin?": f"between cue {below:.5g} and {cue[0]:.5g}, {onset}",
        "which equilibria are just below?": classes(below),
        "does the saddle's unstable manifold close a circle?": circle,
        "exponents of the period by decade, the nearest first?": ", ".join(exponents),
        "how often does the period fall?": falls,
        "which equilibria are inside the cycle?": classes(cue[len(cue) // 2]),
        "where is the cycle beside a stable equilibrium?": (
            f"cue {min(stable):.5g} to {max(stable):.5g}" if stable else "nowhere"
        ),
        "where does the cycle end?": "; ".join(ends),
        "which equilibria are just above?": classes(diagram.ends[0].first_without),
    }
