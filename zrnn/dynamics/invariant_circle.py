"""Whether a saddle and a node lie on an invariant circle, as they do before a rhythm begins on it.

A saddle has one growing direction. The two ways out along it are its unstable manifold. If both
come to rest at the same stable equilibrium, they make a closed curve that the flow keeps: an
invariant circle, and where the two equilibria meet, a cycle goes round it (SNIC). If they end at
two different ones, or nowhere, a saddle and a node that meet leave no cycle behind.

Shapes: N variables, T points of a way.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array

from zrnn.dynamics.equilibria import Flow, eigenvalues

KICK = 1e-3  # how far off the saddle a way begins, as a share of the saddle's distance to the rests
CLOSE = 1e-2  # a way has come to rest when it is so near, the same measure
MAX_STRETCHES = 100  # a way that has not come to rest by then goes on


@dataclass(frozen=True)
class Circle:
    """The two ways out of a saddle at `cue`.

    z: what is drawn of them, two (T,); ends: the equilibria they rest at, two indices or None;
    closes: whether both rest at the same one.
    """

    cue: float
    z: tuple[Array, Array]
    ends: tuple[int | None, int | None]

    @property
    def closes(self) -> bool:
        return self.ends[0] is not None and self.ends[0] == self.ends[1]


def ways_out(
    flow: Flow,
    saddle: Array,
    rests: list[Array],
    cue: float,
    advance: Callable[[Array, float], tuple[Array, Array]],
) -> Circle:
    """Follow both ways out of a saddle (N,) at a cue to one of the stable equilibria `rests` (N,).

    advance(x, cue) -> (z (T,), x (N,)): a stretch of the run from x (N,).
    """
    values, vectors = np.linalg.eig(flow.jacobian(saddle, cue))
    out = vectors[:, values.real.argmax()].real
    unit = min(np.linalg.norm(rest - saddle) for rest in rests)
    kick = KICK * unit * out / np.linalg.norm(out)
    ways, ends = [], []
    for x in (saddle - kick, saddle + kick):
        way, end = [], None
        for _ in range(MAX_STRETCHES):
            z, x = advance(x, cue)
            way.append(z)
            distances = [np.linalg.norm(rest - x) for rest in rests]
            if min(distances) < CLOSE * unit:
                end = int(np.argmin(distances))
                break
        ways.append(np.concatenate(way))
        ends.append(end)
    return Circle(cue, tuple(ways), tuple(ends))


def circle_below(flow, equilibria: list[Array], fold: Array, cue: float, advance) -> Circle | None:
    """`ways_out` of the saddle nearest to a fold (N,), of all equilibria at a cue just below it.

    None where there is no saddle or nothing stable.
    """
    n_growing = [(eigenvalues(flow.jacobian(x, cue)).real > 0).sum() for x in equilibria]
    saddles = [x for x, n in zip(equilibria, n_growing, strict=True) if n == 1]
    rests = [x for x, n in zip(equilibria, n_growing, strict=True) if n == 0]
    if not saddles or not rests:
        return None
    saddle = min(saddles, key=lambda x: np.linalg.norm(x - fold))
    return ways_out(flow, saddle, rests, cue, advance)
