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
from zrnn.dynamics.diagram import Diagram, equilibrium_curves, find_end, find_fold
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
    found = dict(curves=curves, bifurcations=bifurcations, cycles=cycles)
    if not cycles:
        return Diagram(**found, cues_without=without), fine_bifurcations
    end = find_end(model.dt, cycles, without, bifurcations)
    fine_end = end_in_fine_steps(model, end, states, fine_bifurcations)
    folds = [b.p for b in bifurcations if b.kind == "fold" and b.p < cycles[0].cue]
    onset = np.empty((0, 2))
    if folds:
        onset = _periods_above(exact, max(folds), states[cycles[0].cue])
        if len(onset) and np.isclose(onset[0, 0], ONSET_DISTANCES[0]):
            # Between the fold and the first cycle the others were only too slow to be found.
            without = [c for c in without if not max(folds) < c < cycles[0].cue]
    fold = find_fold(bifurcations, cycles, without)
    manifold = manifold_below(flow, curves, fold, lambda x, cue: _run(exact, x, cue))
    ends = [end] if fine_end is None else [end, fine_end]
    diagram = Diagram(
        **found, cues_without=without, fold=fold, onset=onset, manifold=manifold, ends=ends
    )
    return diagram, fine_bifurcations


def _periods_above(model, fold, state):
    """Distance from a fold and period [s] of the cycles above it, (M, 2), from a state (N,)."""
    start = state.to(model.w_hh).expand(len(ONSET_DISTANCES), -1)
    cycles, _ = settled_cycles(model, fold + ONSET_DISTANCES, start, ONSET_SECONDS)
    return np.array([[c.cue - fold, c.period] for c in cycles if c]).reshape(-1, 2)


def _run(model, x, cue):
    """One second of a run from x (N,): outputs (T,) and last state (N,)."""
    inputs = simulate.constant_cues([cue], round(1.0 / model.dt))
    run = simulate.run(model, inputs, state=torch.tensor(x)[None])
    return run.outputs[0], run.end[0].numpy()
