"""The flow of a noise-free network in a plane of its state space: what figure 5 draws.

Shapes: T time steps, N units, G points along a side of the grid, E equilibria.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy import ndarray as Array
from torch import Tensor

from zrnn import activity, simulate
from zrnn.dynamics import trained_network
from zrnn.dynamics.equilibria import classify, eigenvalues, equilibria_at
from zrnn.errors import UserError
from zrnn.taps import find_taps

PLANE_CUES = np.linspace(-1.0, 0.2, 100)  # of the runs that span the plane, as in the original code
PLANE_SECONDS = 0.5  # length of those runs
TAP_SECONDS = 4.0  # run that defines the tap units; its first half, the transient, is not used
# [change of a current in one step] A copy in which no current changes more has settled and is not
# stepped on. This changes arrows and speeds of 0.8 to 1.9 by 1.5e-4 at most.
SETTLED = 1e-5
SETTLED_EVERY = 50  # steps between two tests
# copies stepped together: on a CPU as many as its cache holds
CHUNK = {"cpu": 1024, "cuda": 65_536}


@dataclass(frozen=True)
class Plane:
    """A plane through mean (N,) along axes (2, N); explained (2,): fractions of the variance."""

    mean: Array
    axes: Array
    explained: Array

    def project(self, states: Array) -> Array:
        """Coordinates (..., 2) of states (..., N)."""
        return activity.project(states, self.mean, self.axes)


@dataclass(frozen=True)
class Field:
    """The flow at a cue after some seconds, on a square grid around centre (2,).

    arrows (G, G, 2): change of the coordinates in a step, rows along the second axis; speed (G, G):
    norm of the whole change; path (T, 2): trajectory up to this time; equilibria (E, 3): two
    coordinates, and 1 where stable, else 0.
    """

    cue: float
    seconds: float
    centre: Array
    arrows: Array
    speed: Array
    path: Array
    equilibria: Array


def initial_condition(model, cue: float, seed: int) -> tuple[Tensor, Array]:
    """Currents (N,) ~ U(-1, 1), but one value ~ U(0, 1) for all tap units; and their mask (N,).

    Tap units are those of the beat at the cue. Raises UserError where the network has none.
    """
    rng, n_half = np.random.default_rng(seed), round(TAP_SECONDS / 2 / model.dt)
    inputs = simulate.constant_cues([cue], 2 * n_half)
    run = simulate.run(model, inputs, discard=n_half, keep_states=True)
    taps = find_taps(run.outputs[0], model.dt)
    if len(taps) < 2:
        raise UserError(
            f"the network does not beat at cue {cue:g}, the middle one of its training, and "
            "so has no tap units to start from; train it for longer, or name another: --checkpoint"
        )
    is_tap = activity.tap_units(activity.peak_phases(run.states[0], taps))
    start = rng.uniform(-1, 1, len(is_tap))
    start[is_tap] = rng.uniform(0, 1)
    return torch.as_tensor(start).to(model.w_hh), is_tap


def _states(model, cues, start, seconds):
    """Currents (B, T, N) of runs at constant cues (B,) from start (N,). Raises UserError."""
    inputs = simulate.constant_cues(cues, round(seconds / model.dt))
    run = simulate.run(model, inputs, state=start.expand(len(cues), -1), keep_states=True)
    for cue, states in zip(cues, run.states, strict=True):
        if not np.isfinite(states[-1]).all():
            raise UserError(
                f"the activity of the network grows without bound at cue {cue:g}, where figure 5 "
                "needs it; change fig5.cues or fig5.seed, or name another network: --checkpoint"
            )
    return run.states


def find_plane(model, start: Tensor) -> Plane:
    """The first two principal components of runs at PLANE_CUES from start (N,)."""
    states = _states(model, PLANE_CUES, start, PLANE_SECONDS)
    return Plane(*activity.fit_plane(states.reshape(-1, states.shape[-1])))


def find_equilibria(model, cues, plane: Plane) -> dict[float, Array]:
    """All equilibria at each of the cues, {cue: (E, 3)} as in `Field`."""
    exact, all_cues = trained_network.in_double(model), [*PLANE_CUES, *cues]
    flow = trained_network.network_flow(exact)
    branches = trained_network.find_branches(exact, (min(all_cues), max(all_cues)))
    found = {cue: np.empty((0, 3)) for cue in cues}
    for cue in cues:
        for x in equilibria_at(flow, branches, cue):
            name = classify(eigenvalues(flow.jacobian(x, cue)), model.dt)
            row = [*plane.project(x), name.startswith("stable")]
            found[cue] = np.vstack([found[cue], row])
    return found


@torch.no_grad()
def vector_field(model, cue: float, start: Tensor, grid: Array, plane: Plane, times) -> Array:
    """The flow in a plane at K times [steps]: change of two coordinates, and speed, (K, P, 3).

    Each point of `grid` (P, 2) is one copy of the network. It starts at `start` (N,), moved within
    the plane to its point. After each step the two components in the plane are reset to the point,
    while the other N - 2 evolve. The first two values are the change of these two components in a
    step, the speed is the norm of the whole change.
    """
    mean, axes, grid = (torch.as_tensor(a).to(start) for a in (plane.mean, plane.axes, grid))
    step, inputs = simulate.stepper(model), torch.tensor([[0.0, cue]]).to(start)
    times = np.asarray(times)

    def inside(vectors):  # the part in the plane
        return vectors @ axes.T @ axes

    def flow(states):
        change = step(inputs.expand(len(states), 2), states)[1] - states
        return torch.cat([change @ axes.T, change.norm(dim=1, keepdim=True)], dim=1)

    # A step of which the part in the plane is left out is one of a network with other weights.
    w, bias = model.effective_w_hh(), inputs @ model.w_ih.T + model.b_hh
    w, bias = w - inside(w.T).T, bias - inside(bias)
    field = start.new_empty(len(times), len(grid), 3)
    for rows in torch.arange(len(grid), device=start.device).split(CHUNK[start.device.type]):
        states = start - inside(start - mean) + grid[rows] @ axes
        drive = model.alpha * (bias + inside(states))
        for n in range(1, times.max() + 1):
            for k in np.flatnonzero(times == n):
                field[k, rows] = flow(states)
            before, states = states, model.advance(drive.clone(), states, w, model.alpha)
            if n % SETTLED_EVERY == 0:
                moving = (states - before).abs().amax(dim=1) >= SETTLED
                for k in np.flatnonzero(times > n):
                    field[k, rows[~moving]] = flow(before[~moving])
                rows, states, drive = rows[moving], states[moving], drive[moving]
    return field.cpu().numpy()


def find_fields(
    model, start: Tensor, cue: float, times, plane: Plane, grid, span, equilibria, centre=None
) -> list[Field]:
    """The fields at a cue after each of `times` [s], with the trajectory from start (N,).

    grid: points along a side; span: from the centre to a side; centre (2,): the end of the
    trajectory if None; equilibria (E, 3): as in `Field`.
    """
    steps = [round(seconds / model.dt) for seconds in times]
    path = plane.project(_states(model, [cue], start, max(times))[0])
    centre = path[-1] if centre is None else centre
    first, second = np.meshgrid(*(centre[:, None] + np.linspace(-span, span, grid)))
    points = np.stack([first.ravel(), second.ravel()], axis=1)
    found = vector_field(model, cue, start, points, plane, steps).reshape(-1, grid, grid, 3)
    return [
        Field(cue, seconds, centre, flow[..., :2], flow[..., 2], path[:n], equilibria)
        for seconds, n, flow in zip(times, steps, found, strict=True)
    ]
