"""The flow of a network in a plane of its states, without noise: what figure 5 draws.

Shapes: T time steps, N units, G points along a side of the grid.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy import ndarray as Array
from torch import Tensor

from zrnn import simulate, trajectories
from zrnn.dynamics import trained_network as dynamics
from zrnn.dynamics.equilibria import equilibria_at
from zrnn.errors import UserError
from zrnn.taps import find_taps

PLANE_CUES = np.linspace(-1.0, 0.2, 100)  # of the runs that span the plane, as the predecessor's
PLANE_SECONDS = 0.5  # length of those runs
TAP_SECONDS = 4.0  # of the run that tells them, half of it the way onto the cycle


@dataclass(frozen=True)
class Plane:
    """mean (N,) and axes (2, N); explained (2,): their share of the variance."""

    mean: Array
    axes: Array
    explained: Array

    def of(self, states: Array) -> Array:
        """Coordinates (..., 2) of states (..., N)."""
        return trajectories.project(states, self.mean, self.axes)


@dataclass(frozen=True)
class Field:
    """The flow at a cue after some seconds, on a square grid around a centre (2,).

    arrows (G, G, 2): change of the coordinates in a step, rows along the second axis; speed (G, G):
    norm of the whole change; path (T, 2): a trajectory so long; equilibria (E, 3): coordinates, and
    1 where a run in steps of dt stays, else 0.
    """

    cue: float
    seconds: float
    centre: Array
    arrows: Array
    speed: Array
    path: Array
    equilibria: Array


def states_of(model, cues, start: Tensor, seconds: float) -> Array:
    """Currents (B, T, N) of runs at constant cues (B,) from start (N,)."""
    inputs = simulate.constant_cues(cues, round(seconds / model.dt))
    return simulate.run(model, inputs, state=start.expand(len(cues), -1), keep_states=True).states


def initial_condition(model, beat_cue: float, seed: int) -> tuple[Tensor, Array]:
    """Every unit ~ U(-1, 1), but all tap units one value ~ U(0, 1) -> (N,); which those are (N,).

    Tap units are told at beat_cue. Raises UserError where the network does not beat there.
    """
    rng, n_half = np.random.default_rng(seed), round(TAP_SECONDS / 2 / model.dt)
    inputs = simulate.constant_cues([beat_cue], 2 * n_half)
    run = simulate.run(model, inputs, discard=n_half, keep_states=True)
    taps = find_taps(run.outputs[0], model.dt)
    if len(taps) < 2:
        raise UserError(
            f"the network does not beat at cue {beat_cue:g}, the middle one of its training, and "
            "so has no tap units to start from; train it for longer, or name another: --checkpoint"
        )
    is_tap = trajectories.tap_units(trajectories.peak_phases(run.states[0], taps))
    start = rng.uniform(-1, 1, len(is_tap))
    start[is_tap] = rng.uniform(0, 1)
    return torch.as_tensor(start).to(model.w_hh), is_tap


def find_plane(model, start: Tensor) -> Plane:
    """The plane of runs at PLANE_CUES from start (N,)."""
    states = states_of(model, PLANE_CUES, start, PLANE_SECONDS)
    return Plane(*trajectories.fit_plane(states.reshape(-1, states.shape[-1])))


def equilibria_in(plane: Plane, model, cues) -> dict[float, Array]:
    """All equilibria at each of the cues, {cue: (E, 3)} as in `Field`."""
    exact, reach = dynamics.in_double(model), [*PLANE_CUES, *cues]
    branches, _ = dynamics.find_branches(exact, (min(reach), max(reach)))
    flow, result = dynamics.network_flow(exact), {}
    for cue in cues:
        found = equilibria_at(flow, branches, cue)
        rows = [[*plane.of(x), dynamics.stays(flow, x, cue, model.dt)] for x in found]
        result[cue] = np.reshape(rows, (-1, 3)).astype(float)
    return result


def find_fields(
    model, start: Tensor, cue, times, plane: Plane, grid, span, equilibria, centre=None
) -> list[Field]:
    """The fields at a cue after `times` [s], with the trajectory from start (N,).

    grid: points along a side; span: from the centre to a side; centre (2,): by default where the
    trajectory ends; equilibria: as in `Field`.
    """
    steps = [round(seconds / model.dt) for seconds in times]
    path = plane.of(states_of(model, [cue], start, max(times))[0])
    centre = path[-1] if centre is None else centre
    step, inputs = simulate.stepper(model), torch.tensor([[0.0, cue]]).to(model.w_hh)
    found = trajectories.vector_field(
        lambda states: step(inputs.expand(len(states), 2), states)[1],
        start,
        trajectories.plane_grid(centre, span, grid),
        plane.mean,
        plane.axes,
        steps,
    )
    fields = []
    for n, seconds in zip(steps, times, strict=True):
        arrows, speed = found[n][0].reshape(grid, grid, 2), found[n][1].reshape(grid, grid)
        fields.append(Field(cue, seconds, centre, arrows, speed, path[:n], equilibria))
    return fields
