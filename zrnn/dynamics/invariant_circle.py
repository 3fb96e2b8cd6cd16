"""Whether a saddle and a node lie on an invariant circle: the sign of a SNIC bifurcation.

The unstable manifold of a saddle with one growing direction has two sides. If both reach the same
stable equilibrium, they form a closed invariant curve, and a limit cycle goes round it when saddle
and node have met (saddle-node on an invariant circle). Otherwise no cycle is born where they meet.

Shapes: N variables, T time steps.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy import ndarray as Array

from zrnn.dynamics.equilibria import Bifurcation, Flow, eigenvalues, equilibria_at

BELOW = 1e-4  # distance in p from the fold to where the manifold is followed
# Distances in the state space are fractions of that from the saddle to the nearest stable point.
KICK = 1e-3  # distance from the saddle at which a side begins
CLOSE = 1e-2  # distance from a stable equilibrium at which a side has reached it
MAX_PARTS = 100  # runs in a row, after which a side has no end


class UnstableManifold(NamedTuple):
    """Outputs z of its two sides at a cue, two arrays (T,); whether both reach the same node."""

    cue: float
    z: tuple[Array, Array]
    closes: bool


def manifold_below(
    flow: Flow, branches: list, fold: Bifurcation | None, run: Callable[[Array, float], Array]
) -> UnstableManifold | None:
    """The unstable manifold of the saddle that meets a node at `fold`, just below the fold.

    run(x, cue) -> states (T, N) from x (N,) on. None without a fold, a saddle or a stable
    equilibrium.
    """
    if fold is None:
        return None
    cue = fold.p - BELOW
    equilibria = equilibria_at(flow, branches, cue)
    n_growing = [(eigenvalues(flow.jacobian(x, cue)).real > 0).sum() for x in equilibria]
    saddles = [x for x, n in zip(equilibria, n_growing, strict=True) if n == 1]
    stable = [x for x, n in zip(equilibria, n_growing, strict=True) if n == 0]
    if not saddles or not stable:
        return None
    saddle = min(saddles, key=lambda x: np.linalg.norm(x - fold.x))
    unit = min(np.linalg.norm(x - saddle) for x in stable)
    values, vectors = np.linalg.eig(flow.jacobian(saddle, cue))
    growing = vectors[:, values.real.argmax()].real
    kick = KICK * unit * growing / np.linalg.norm(growing)
    sides, ends = [], []
    for x in (saddle - kick, saddle + kick):
        parts, end = [], None
        while end is None and len(parts) < MAX_PARTS:
            states = run(x, cue)
            parts.append(flow.output(states))
            x = states[-1]
            distances = [np.linalg.norm(point - x) for point in stable]
            end = int(np.argmin(distances)) if min(distances) < CLOSE * unit else None
        sides.append(np.concatenate(parts))
        ends.append(end)
    closes = ends[0] is not None and ends[0] == ends[1]
    return UnstableManifold(cue, tuple(sides), closes)
