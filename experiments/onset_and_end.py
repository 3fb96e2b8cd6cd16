"""Where a network's cycle begins and where it ends, at few cues: a diagram for the score card.

It answers as `network_diagram.solve`, which looks at more cues and takes several times as long:
cycles are sought only next to folds and Hopf points, and at a few cues between.
"""

import numpy as np
import torch

from zrnn import simulate
from zrnn.dynamics.cycle_continuation import FINE_DT, ramp_cue, settled_cycles
from zrnn.dynamics.diagram import Diagram, equilibrium_curves, find_end
from zrnn.dynamics.invariant_circle import manifold_below
from zrnn.dynamics.trained_network import find_branches, in_double, network_flow

CUES = (-1.0, 2.0)  # range of the equilibria; a narrower one misses branches
SWEEP = np.array([0.2, 0.35, 0.5, 0.65, 0.8, 1.1, 1.4, 1.7])  # cues at which a cycle is sought
BESIDE_FOLD = 1e-3  # distance of the cue from a fold: a cycle above it, and none below
BESIDE_HOPF = np.array([-100, -50, -20, -10, -5, -2, 2, 5, 10, 20, 50, 100, 200]) / 1000
SETTLE_SECONDS, RAMP_SECONDS = 2.0, 1.0  # at the first cue, and from there to another
SECONDS = 12.0  # longest run at a cue
FINE_SECONDS = 6.0  # the same, in fine steps


def begin(model, bifurcations, first_cue: float):
    """The highest fold below a cue that has a cycle right above it and none right below; or None.

    Returns also the distance from it and period of that cycle, (0 or 1, 2).
    """
    folds = sorted((b for b in bifurcations if b.kind == "fold" and b.p < first_cue),
                   key=lambda b: -b.p)  # fmt: skip
    for fold in folds:
        cues = fold.p + BESIDE_FOLD * np.array([1, -1])
        start = ramp_cue(model, first_cue, cues[:1], SETTLE_SECONDS, RAMP_SECONDS)
        above, below = settled_cycles(model, cues, start.expand(2, -1), SECONDS)[0]
        if above and not below:
            return fold, np.array([[BESIDE_FOLD, above.period]])
    return None, np.empty((0, 2))


def ends(model, bifurcations, fine_bifurcations, first_cue: float) -> tuple[list, list, list]:
    """The `CycleEnd` in steps of model.dt and in fine steps; cycles, and cues without, in former"""
    hopf, fine_hopf = (
        min((b.p for b in some if b.kind == "Hopf" and b.p > SWEEP[0]), default=np.nan)
        for some in (bifurcations, fine_bifurcations)
    )
    cues = SWEEP if np.isnan(hopf) else np.unique([*SWEEP, *(hopf + BESIDE_HOPF)])
    states = ramp_cue(model, first_cue, cues, SETTLE_SECONDS, RAMP_SECONDS)
    found, states = settled_cycles(model, cues, states, SECONDS)
    cycles, without = [c for c in found if c], cues[[c is None for c in found]].tolist()
    if not cycles:
        return [], cycles, without
    result = [find_end(model.dt, cycles, without, bifurcations)]
    centre = result[0].last if np.isnan(fine_hopf) else fine_hopf
    fine_cues = centre + BESIDE_HOPF
    before = [i for i, c in enumerate(found) if c and c.cue <= fine_cues[0]]
    start = states[before[-1] if before else next(i for i, c in enumerate(found) if c)]
    with model.temporarily(dt=FINE_DT):
        fine, _ = settled_cycles(model, fine_cues, start.expand(len(fine_cues), -1), FINE_SECONDS)
    if any(fine):
        largest = max(c.high - c.low for c in cycles)
        fine_without = fine_cues[[c is None for c in fine]].tolist()
        fine = [c for c in fine if c]
        result.append(find_end(FINE_DT, fine, fine_without, fine_bifurcations, largest))
    return result, cycles, without


def solve(model, first_cue: float) -> Diagram:
    """The `Diagram` of a network that oscillates at first_cue, with few cycles."""
    exact = in_double(model)
    flow, branches = network_flow(exact), find_branches(exact, CUES)
    curves, bifurcations = equilibrium_curves(flow, branches, model.dt)
    _, fine_bifurcations = equilibrium_curves(flow, branches, FINE_DT)
    fold, onset = begin(model, bifurcations, first_cue)

    def run(x, cue):
        inputs = simulate.constant_cues([cue], round(1.0 / model.dt))
        return simulate.run(exact, inputs, state=torch.tensor(x)[None], keep_states=True).states[0]

    manifold = manifold_below(flow, curves, fold, run)
    both_ends, cycles, without = ends(model, bifurcations, fine_bifurcations, first_cue)
    return Diagram(curves, bifurcations, cycles, without, fold, onset, manifold, both_ends)
