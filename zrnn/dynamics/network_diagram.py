"""The bifurcation diagram of a trained network: equilibria and limit cycle against the cue.

Shapes: N units.
"""

import numpy as np
import torch

from zrnn import simulate
from zrnn.dynamics.cycle_continuation import (
    FINE_DT,
    continue_cycle,
    end_in_fine_steps,
    settled_cycles,
)
from zrnn.dynamics.diagram import Diagram, equilibrium_curves, find_end
from zrnn.dynamics.invariant_circle import manifold_below
from zrnn.dynamics.trained_network import find_branches, in_double, network_flow

ONSET_DISTANCES = np.geomspace(1e-6, 0.1, 11)  # cues above the fold at which the cycle begins
ONSET_SECONDS = 150.0  # longest run at each of them


def solve(
    model, cues: tuple[float, float], n_cycles: int, first_cue: float
) -> tuple[Diagram, list]:
    """The `Diagram` of a network between two cues, z being its output.

    The diagram is that of the Euler map in steps of model.dt, as the network is driven. The cycle
    is continued from first_cue. Returns also the bifurcations in steps of FINE_DT.
    """
    exact = in_double(model)
    flow, branches = network_flow(exact), find_branches(exact, cues)
    curves, bifurcations = equilibrium_curves(flow, branches, model.dt)
    _, fine_bifurcations = equilibrium_curves(flow, branches, FINE_DT)
    cycles, without, states = continue_cycle(model, first_cue, cues, n_cycles)
    if not cycles:
        return Diagram(curves, bifurcations, cycles, without), fine_bifurcations
    end = find_end(model.dt, cycles, without, bifurcations)
    fine_end = end_in_fine_steps(model, end, states, fine_bifurcations)
    ends = [end] if fine_end is None else [end, fine_end]
    fold, onset = _onset(exact, bifurcations, cycles[0].cue, states)
    if fold is not None:  # between it and the first cycle others were only too slow to be found
        without = [cue for cue in without if not fold.p < cue < cycles[0].cue]
    manifold = manifold_below(flow, curves, fold, lambda x, cue: _run(exact, x, cue))
    diagram = Diagram(curves, bifurcations, cycles, without, fold, onset, manifold, ends)
    return diagram, fine_bifurcations


def _onset(model, bifurcations, first_cue, states):
    """The fold at which the cycle begins, or None; distances from it and periods, (M, 2).

    It is the last fold below the first cycle if there is a cycle just above that fold.
    """
    folds = [b for b in bifurcations if b.kind == "fold" and b.p < first_cue]
    if folds:
        fold = max(folds, key=lambda b: b.p)
        start = states[first_cue].to(model.w_hh).expand(len(ONSET_DISTANCES), -1)
        cycles, _ = settled_cycles(model, fold.p + ONSET_DISTANCES, start, ONSET_SECONDS)
        if cycles[0] is not None:
            return fold, np.array([[c.cue - fold.p, c.period] for c in cycles if c])
    return None, np.empty((0, 2))


def _run(model, x, cue):
    """One second of a run at a cue from x (N,): states (T, N)."""
    inputs = simulate.constant_cues([cue], round(1.0 / model.dt))
    return simulate.run(model, inputs, state=torch.tensor(x)[None], keep_states=True).states[0]
