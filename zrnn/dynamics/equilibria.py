"""Equilibria of dx/dt = f(x, p) against a parameter p: continuation, stability, bifurcations.

Newton's method finds an equilibrium, and pseudo-arclength continuation follows its branch through
folds. f may have kinks (ReLU): at a kink a branch has a corner, and eigenvalues jump.

Shapes: N variables, P points of a branch. Time is in seconds, so eigenvalues are in 1/s.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy import ndarray as Array
from scipy.linalg import lu_factor, lu_solve

CLASSES = ("stable node", "stable spiral", "saddle", "unstable node", "unstable spiral")
TOLERANCE = 1e-11  # of Newton's method: last change, relative to 1 + the largest value
SAME = 1e-6  # two equilibria closer than this are the same, absolute and relative
# Arclength is measured in y = (x / scale, p).
MAX_STEP = 0.02
MIN_STEP = 1e-8  # a branch ends where no step of this length succeeds
MAX_POINTS = 5000  # of a branch
PRECISION = 1e-10  # of the location of a bifurcation


@dataclass(frozen=True)
class Flow:
    """dx/dt = f(x, p), (N,); jacobian(x, p) = df/dx (N, N); df_dp(x, p) (N,).

    output: states (..., N) -> the scalar z (...) that is drawn of them; scale: change of x that
    counts as much as a change of p by 1.
    """

    f: Callable[[Array, float], Array]
    jacobian: Callable[[Array, float], Array]
    df_dp: Callable[[Array, float], Array]
    output: Callable[[Array], Array] = lambda x: x[..., 0]
    scale: float = 1.0


class Branch(NamedTuple):
    """Equilibria x (P, N) at p (P,), in order along the branch, and their eigenvalues [1/s] (P, N).

    p_rates (P,): dp / darclength, which changes its sign at a fold.
    """

    x: Array
    p: Array
    eigenvalues: Array
    p_rates: Array


@dataclass(frozen=True)
class Bifurcation:
    """A change of stability between the points `index` and `index` + 1 of a branch.

    kind: fold, Hopf or branch point; x (N,) and its output z; frequency [Hz] of the pair of
    eigenvalues that crosses, 0 for a real one; growth_rates [1/s]: of the eigenvalue that crosses,
    just before and just after; both are near 0, unless f has a kink there.
    """

    kind: str
    p: float
    x: Array
    z: float
    frequency: float
    growth_rates: tuple[float, float]
    index: int


class NotConverged(ArithmeticError):
    """Newton's method has not reached an equilibrium."""


def newton(flow: Flow, x: Array, p: float, max_steps: int = 60) -> Array:
    """The equilibrium f(x, p) = 0 that Newton's method reaches from x (N,). Raises NotConverged.

    A step that increases |f| is halved, six times at most.
    """
    value = flow.f(x, p)
    for _ in range(max_steps):
        try:
            change = np.linalg.solve(flow.jacobian(x, p), -value)
        except np.linalg.LinAlgError:
            break
        for _ in range(6):
            trial = flow.f(x + change, p)
            if np.linalg.norm(trial) <= np.linalg.norm(value):
                break
            change = change / 2
        x, value = x + change, trial
        if not np.isfinite(value).all():
            break
        if np.abs(change).max() <= TOLERANCE * (1 + np.abs(x).max()):
            return x
    raise NotConverged(f"no equilibrium found at p = {p:g}")


def eigenvalues(jacobian: Array) -> Array:
    """Eigenvalues (N,) of a Jacobian."""
    # The column of a silent ReLU unit holds only its leak, which is then an eigenvalue; the others
    # are those of the matrix without this unit.
    leak = np.diag(jacobian)
    acts = (np.abs(jacobian) > 0).sum(axis=0) > (leak != 0)
    return np.concatenate([np.linalg.eigvals(jacobian[np.ix_(acts, acts)]), leak[~acts]])


def growth_rates(eigenvalues: Array, dt: float = 0.0) -> Array:
    """Growth rates [1/s] under the flow (dt = 0), or under its Euler map in steps of dt [s]."""
    return (np.abs(1 + dt * eigenvalues) - 1) / dt if dt else eigenvalues.real


def n_growing(eigenvalues: Array, dt: float = 0.0) -> Array:
    """Number of growing directions: eigenvalues (..., N) -> (...)."""
    return (growth_rates(eigenvalues, dt) > 0).sum(axis=-1)


def classify(eigenvalues: Array, dt: float = 0.0) -> str:
    """One of CLASSES. A saddle has one growing direction, an unstable node or spiral has more."""
    lead = eigenvalues[growth_rates(eigenvalues, dt).argmax()]
    form = "spiral" if abs(lead.imag) > 1e-9 * abs(lead) else "node"
    n = n_growing(eigenvalues, dt)
    return "saddle" if n == 1 else f"{'unstable' if n else 'stable'} {form}"


def _matrix(flow, y):
    """Derivative of f by y = (x / scale, p), (N, N + 1)."""
    x, p = y[:-1] * flow.scale, y[-1]
    return np.column_stack([flow.jacobian(x, p) * flow.scale, flow.df_dp(x, p)])


def _tangent(flow, y, direction):
    """Unit tangent of the branch at y, along `direction`, (N + 1,)."""
    factors = lu_factor(np.vstack([_matrix(flow, y), direction]), check_finite=False)
    tangent = lu_solve(factors, np.eye(len(y))[-1], check_finite=False)
    return tangent / np.linalg.norm(tangent)


def _step(flow, y, tangent, length, max_steps=8):
    """The point (x / scale, p) of the branch `length` further along `tangent` from y, or None."""
    new = guess = y + length * tangent
    for _ in range(max_steps):
        residual = np.append(flow.f(new[:-1] * flow.scale, new[-1]), tangent @ (new - guess))
        try:
            change = np.linalg.solve(np.vstack([_matrix(flow, new), tangent]), -residual)
        except np.linalg.LinAlgError:
            return None
        new = new + change
        if not np.linalg.norm(new - guess) <= length:  # it went to another branch, or diverged
            return None
        if np.abs(change).max() <= TOLERANCE * (1 + np.abs(new).max()):
            return new
    return None


def _next_point(flow, y, tangent, length):
    """The next point of the branch, the tangent there, and the length of the step; or None.

    The step is halved until it succeeds. Before a sharp corner none does. The branch goes on behind
    it where det (matrix; tangent) keeps its sign: the matrices on both sides of a kink differ by
    one column, and the same variable must pass through its kink.
    """
    while length > MIN_STEP / 2:
        new = _step(flow, y, tangent, length)
        if new is not None:
            return new, _tangent(flow, new, tangent), length
        length /= 2

    def sign(y):
        return np.linalg.slogdet(np.vstack([_matrix(flow, y), tangent]))[0]

    for length in MIN_STEP * 4.0 ** np.arange(2, 8):
        ahead = y + length * tangent
        turned = _tangent(flow, ahead, tangent) * sign(ahead) * sign(y)
        new = _step(flow, y, turned, length)
        if new is not None:
            return new, _tangent(flow, new, turned), length
    return None


def follow_branch(flow: Flow, x: Array, p: float, bounds, direction=1) -> Branch:
    """The branch of equilibria from x (N,) at p, with p rising (direction 1) or falling (-1) first.

    It ends on the `bounds` of p, when it returns to its start, after MAX_POINTS, or where no step
    succeeds.
    """
    y = np.append(newton(flow, x, p) / flow.scale, p)
    tangent = _tangent(flow, y, direction * np.eye(len(y))[-1])
    points, p_rates, length = [y], [tangent[-1]], MAX_STEP
    while len(points) < MAX_POINTS and (step := _next_point(flow, y, tangent, length)):
        new, tangent, length = step
        edge = np.clip(new[-1], *bounds)
        if edge != new[-1]:  # end exactly on the bound
            part = (edge - y[-1]) / (new[-1] - y[-1])
            guess = (y + part * (new - y))[:-1] * flow.scale
            try:
                new = np.append(newton(flow, guess, edge) / flow.scale, edge)
            except NotConverged:
                break
        points.append(new)
        p_rates.append(tangent[-1])
        y, length = new, min(2 * length, MAX_STEP)
        if y[-1] in bounds or (len(points) > 20 and np.linalg.norm(y - points[0]) < MAX_STEP / 2):
            break
    points = np.array(points)
    x, p = points[:, :-1] * flow.scale, points[:, -1]
    return Branch(x, p, _spectra(flow, x, p), np.array(p_rates))


def _spectra(flow, x, p):
    """Eigenvalues (P, N) along a branch; the Jacobian is constant between two kinks."""
    spectra, last = [], None
    for point in zip(x, p, strict=True):
        jacobian = flow.jacobian(*point)
        spectra.append(spectra[-1] if np.array_equal(jacobian, last) else eigenvalues(jacobian))
        last = jacobian
    return np.array(spectra)


def find_branches(flow: Flow, starts, bounds) -> list[Branch]:
    """Whole branches, as of `follow_branch`, that Newton's method reaches from `starts` (x, p)."""
    branches = []
    for x, p in starts:
        try:
            x = newton(flow, x, p, max_steps=30)
        except NotConverged:
            continue
        if any(np.allclose(x, y, SAME, SAME) for y in equilibria_at(flow, branches, p)):
            continue
        if p not in bounds:  # go to one end of the branch first
            back = follow_branch(flow, x, p, bounds, direction=-1)
            x, p = back.x[-1], back.p[-1]
        direction = -1 if p == bounds[1] else 1
        branches.append(follow_branch(flow, x, p, bounds, direction))
    return branches


def equilibria_at(flow: Flow, branches: list, p: float) -> list[Array]:
    """The equilibria x (N,) at p on branches, by Newton's method from between their points.

    Close to a fold they are found if the fold itself is a point of the branch, as in a `Curve`.
    """
    found = [x for branch in branches for x in branch.x[branch.p == p]]
    for branch in branches:
        for i in np.flatnonzero((branch.p[:-1] - p) * (branch.p[1:] - p) < 0):
            part = (p - branch.p[i]) / (branch.p[i + 1] - branch.p[i])
            with suppress(NotConverged):
                guess = branch.x[i] + part * (branch.x[i + 1] - branch.x[i])
                found.append(newton(flow, guess, p))
    return found


def find_bifurcations(flow: Flow, branch: Branch, dt: float = 0.0) -> list[Bifurcation]:
    """The points of a branch where the number of growing directions changes.

    One real eigenvalue crosses: a fold where p turns back, else a branch point. A pair crosses: a
    Hopf point. Two changes that cancel between neighbouring points of the branch are not seen.
    """
    y = np.column_stack([branch.x / flow.scale, branch.p])
    points = list(zip(y, branch.eigenvalues, strict=True))
    found = []
    for i in np.flatnonzero(np.diff(n_growing(branch.eigenvalues, dt))).tolist():
        for (y, before), (_, after) in _crossings(flow, *points[i : i + 2], dt):
            low, high = sorted([n_growing(before, dt), n_growing(after, dt)])
            turns_back = branch.p_rates[i] * branch.p_rates[i + 1] < 0
            kind, frequency = "fold" if turns_back else "branch point", 0.0
            if high - low > 1:
                pair = before[np.argsort(-growth_rates(before, dt))[low]]
                kind, frequency = "Hopf", float(abs(pair.imag) / (2 * np.pi))
            x, p = y[:-1] * flow.scale, float(y[-1])
            rates = [float(np.sort(growth_rates(s, dt))[::-1][low]) for s in (before, after)]
            found.append(Bifurcation(kind, p, x, float(flow.output(x)), frequency, rates, i))
    return found


def _crossings(flow, first, last, dt):
    """Pairs of neighbouring points, PRECISION apart, at which the stability changes.

    They are found by halving the chord between two points; a point is (x / scale, p), eigenvalues.
    """
    if n_growing(first[1], dt) == n_growing(last[1], dt):
        return []
    chord = last[0] - first[0]
    length = np.linalg.norm(chord)
    y = _step(flow, first[0], chord / length, length / 2) if length > PRECISION else None
    if y is None:  # near enough, or around a sharp corner
        return [(first, last)]
    middle = y, eigenvalues(flow.jacobian(y[:-1] * flow.scale, y[-1]))
    return _crossings(flow, first, middle, dt) + _crossings(flow, middle, last, dt)
