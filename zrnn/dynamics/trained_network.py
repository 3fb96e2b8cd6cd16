"""A trained network as a dynamical system: its equilibria and its cycle against the cue, no noise.

    tau dx/dt = -x + W max(x, 0) + W_in (0, cue) + b,   z = W_out max(x, 0) + b_out

The network itself is the Euler map of this, x -> x + dt dx/dt; both have the same equilibria, but
not always the same stability. Between two kinks of max(x, 0) the flow is linear: eigenvalues along
a branch of equilibria are constant there and jump at kinks.
Shapes: B copies, T time steps, N units.
"""

import copy

import numpy as np
import torch
from numpy import ndarray as Array

from zrnn import simulate
from zrnn.dynamics.cycle_continuation import FINE_DT, find_cycles, fine_end, settled_cycles
from zrnn.dynamics.diagram import Cycle, Diagram, curve_of, find_end, fold_at_onset
from zrnn.dynamics.equilibria import (
    Branch,
    Flow,
    NotConverged,
    bifurcations,
    eigenvalues,
    equilibria_at,
    euler_growth,
    holds,
    newton,
    whole_branch,
)
from zrnn.dynamics.invariant_circle import Circle, circle_below

STEP = 0.02  # longest step along a branch, of the cue and the RMS current together
SEARCH_CUES = 9  # runs at so many cues, evenly spaced, give starts for Newton's method,
SEARCH_STATES = 6  # so many each,
SEARCH_SECONDS = 1.0  # within so long from rest
ONSET_DISTANCES = np.geomspace(1e-6, 0.1, 11)  # cues above the onset: how the period grows there
ONSET_SECONDS = 150.0  # longest run there
BELOW = 1e-4  # so far below the onset the ways out of the saddle are followed


def in_double(model):
    """A copy of the network in float64 on the CPU."""
    return copy.deepcopy(model).cpu().double()


def network_flow(model) -> Flow:
    """The `Flow` of a float64 network, p being the cue; its velocity is that of the model's step"""
    step, dt = simulate.stepper(model), model.dt
    w_hh = model.effective_w_hh().detach().numpy()
    by_cue = model.w_ih.detach().numpy()[:, 1] / model.tau

    def velocity(x, cue):
        inputs = torch.tensor([[0.0, cue]], dtype=torch.float64)
        return (step(inputs, torch.from_numpy(x)[None])[1][0].numpy() - x) / dt

    def jacobian(x, cue):
        return (w_hh * (x > 0) - np.eye(len(x))) / model.tau

    return Flow(velocity, jacobian, lambda x, cue: by_cue)


def outputs_of(model, x: Array) -> Array:
    """z (P,) of currents x (P, N)."""
    rates = torch.from_numpy(np.maximum(x, 0))
    return (rates @ model.w_ho.detach().T + model.b_ho.detach())[:, 0].numpy()


def stays(flow: Flow, x: Array, cue: float, dt: float) -> bool:
    """Whether a run in steps of dt stays at the equilibrium x (N,)."""
    return bool(euler_growth(dt)(eigenvalues(flow.jacobian(x, cue))).max() < 0)


def find_branches(model, cues: tuple[float, float]) -> tuple[list[Branch], dict[str, int]]:
    """Branches of equilibria of a float64 network between two cues; how many starts led to them.

    Newton's method starts from the ends of noise-free runs from rest at both cues and from states
    along runs at cues between them; every equilibrium not on a branch yet is followed.
    """
    flow, scale = network_flow(model), np.sqrt(len(model.w_hh))
    every = max(round(SEARCH_SECONDS / model.dt / SEARCH_STATES), 1)
    at = np.array([*cues, *np.linspace(*cues, SEARCH_CUES + 2)[1:-1]])
    run = simulate.run(model, simulate.constant_cues(at, every * SEARCH_STATES), keep_states=True)
    starts = list(zip(run.end.numpy()[:2], at[:2], strict=True))
    starts += [
        (x, cue) for states, cue in zip(run.states, at, strict=True) for x in states[::every]
    ]
    branches, n_reached = [], 0
    for x, cue in starts:
        try:
            x = newton(flow, x, cue, max_steps=30)
        except NotConverged:
            continue
        n_reached += 1
        if not holds(flow, branches, x, cue):
            branches.append(whole_branch(flow, x, cue, cues, STEP, scale))
    searched = {"Newton starts": len(starts), "that reached an equilibrium": n_reached}
    return branches, searched


def next_to_onset(model, fold: float, state) -> list[Cycle | None]:
    """The cycles of a float64 network just above a fold, at ONSET_DISTANCES, from a state (N,)."""
    start = state.to(model.w_hh).expand(len(ONSET_DISTANCES), -1)
    return settled_cycles(model, fold + ONSET_DISTANCES, start, ONSET_SECONDS)[0]


def circle_at(model, curves, fold) -> Circle | None:
    """The ways out of the saddle of a float64 network just below a fold, a `Bifurcation`."""
    flow, cue, n_steps = network_flow(model), fold.p - BELOW, round(1.0 / model.dt)

    def advance(x, cue):
        run = simulate.run(
            model, simulate.constant_cues([cue], n_steps), state=torch.tensor(x)[None]
        )
        return run.outputs[0], run.end[0].numpy()

    return circle_below(flow, equilibria_at(flow, curves, cue), fold.x, cue, advance)


def solve(
    model, cues: tuple[float, float], n_cycles: int, beat_cue: float
) -> tuple[Diagram, list, dict[str, int]]:
    """The `Diagram` of a network between two cues, z its output, and how it was searched.

    It is that of the network as it is driven, an Euler map. Returns also the bifurcations in steps
    of FINE_DT, as `Diagram.points`, and {name: number} of Newton's starts.
    """
    exact = in_double(model)
    branches, searched = find_branches(exact, cues)
    flow = network_flow(exact)

    def with_z(branch, dt):
        found = bifurcations(flow, branch, euler_growth(dt))
        return [(q, float(outputs_of(exact, q.x[None])[0])) for q in found]

    def z(x):
        return outputs_of(exact, x)

    own = [with_z(branch, model.dt) for branch in branches]
    curves = [
        curve_of(branch, z, [q for q, _ in found], euler_growth(model.dt))
        for branch, found in zip(branches, own, strict=True)
    ]
    points, fine = sum(own, []), sum((with_z(branch, FINE_DT) for branch in branches), [])
    cycles, silent, states = find_cycles(model, beat_cue, cues, n_cycles)
    onset, circle, ends = np.empty((0, 2)), None, []
    if cycles:
        ends = [find_end(model.dt, cycles, silent, points)]
        ends += filter(None, [fine_end(model, cycles, silent, states, fine)])
        folds = [q for q, _ in points if q.kind == "fold" and q.p < cycles[0].cue]
        if folds:
            fold = max(folds, key=lambda q: q.p)
            near = next_to_onset(exact, fold.p, states[cycles[0].cue])
            onset = np.array([[c.cue - fold.p, c.period] for c in near if c]).reshape(-1, 2)
            if near[0]:  # where there was none between the fold and the first, it was too slow
                silent = [c for c in silent if not fold.p < c < cycles[0].cue]
        if fold := fold_at_onset(points, cycles, silent):
            circle = circle_at(exact, curves, fold)
    return Diagram(curves, points, cycles, silent, onset, circle, ends), fine, searched
