"""Equilibria of dx/dt = f(x, p) against a parameter p: continuation, stability, bifurcations.

Newton's method finds an equilibrium, and pseudo-arclength continuation follows its branch through
folds. f may have kinks (ReLU): at a kink a branch has a corner, and eigenvalues jump.

Shapes: N variables, P points of a branch. Time is in seconds, so eigenvalues are in 1/s.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from scipy.linalg import lu_factor, lu_solve
from scipy.optimize import brentq

CLASSES = ("stable node", "stable spiral", "saddle", "unstable node", "unstable spiral")
TOLERANCE = 1e-11  # of Newton's method: last change, relative to 1 + the largest value
SAME = 1e-6  # two equilibria closer than this are the same, absolute and relative
MIN_STEP = 1e-8  # arclength; a branch ends where no step of this length succeeds
MAX_POINTS = 5000  # of a branch
PRECISION = 1e-10  # arclength; of the location of a bifurcation


@dataclass(frozen=True)
class Flow:
    """dx/dt = f(x, p), (N,); jacobian(x, p) = df/dx (N, N); df_dp(x, p) (N,).

    output: states (..., N) -> the scalar z (...) that is drawn of them.
    """

    f: Callable[[Array, float], Array]
    jacobian: Callable[[Array, float], Array]
    df_dp: Callable[[Array, float], Array]
    output: Callable[[Array], Array] = lambda x: x[..., 0]


@dataclass(frozen=True)
class Branch:
    """Equilibria x (P, N) at p (P,) with their eigenvalues (P, N) [1/s], in order along the branch.

    tangents (P, N + 1) and steps (P - 1,) are those of the continuation, in (x / scale, p).
    """

    x: Array
    p: Array
    eigenvalues: Array
    tangents: Array
    steps: Array
    scale: float


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


def classify(eigenvalues: Array, dt: float = 0.0) -> str:
    """One of CLASSES. A saddle has one growing direction, an unstable node or spiral has more."""
    rates = growth_rates(eigenvalues, dt)
    lead = eigenvalues[rates.argmax()]
    form = "spiral" if abs(lead.imag) > 1e-9 * abs(lead) else "node"
    n_unstable = (rates > 0).sum()
    return "saddle" if n_unstable == 1 else f"{'unstable' if n_unstable else 'stable'} {form}"


def _matrix(flow, y, scale):
    """Derivative of f by (x / scale, p), (N, N + 1), at y = (x / scale, p)."""
    x, p = y[:-1] * scale, y[-1]
    return np.column_stack([flow.jacobian(x, p) * scale, flow.df_dp(x, p)])


def _tangent(matrix, direction, orientation=None):
    """Unit tangent of the branch, (N + 1,), and the sign of det (matrix; tangent).

    The tangent points along `direction`. With `orientation` it points to the side where that sign
    is kept, which is how a branch goes on behind a corner: the matrices on both sides of a kink
    differ by one column, and the same variable must pass through its kink.
    """
    n = len(direction)
    factors, swaps = lu_factor(np.vstack([matrix, direction]), check_finite=False)
    tangent = lu_solve((factors, swaps), np.eye(n)[-1], check_finite=False)
    tangent /= np.linalg.norm(tangent)
    sign = np.prod(np.sign(np.diag(factors))) * (-1) ** (swaps != np.arange(n)).sum()
    if orientation is not None and sign != orientation:
        return -tangent, orientation
    return tangent, sign


def _step(flow, y, tangent, length, scale, max_steps=8):
    """The point (x / scale, p) of the branch `length` further along `tangent` from y, or None."""
    new = guess = y + length * tangent
    for _ in range(max_steps):
        residual = np.append(flow.f(new[:-1] * scale, new[-1]), tangent @ (new - guess))
        try:
            change = np.linalg.solve(np.vstack([_matrix(flow, new, scale), tangent]), -residual)
        except np.linalg.LinAlgError:
            return None
        new = new + change
        if not np.linalg.norm(new - guess) <= length:  # it went to another branch, or diverged
            return None
        if np.abs(change).max() <= TOLERANCE * (1 + np.abs(new).max()):
            return new
    return None


def _step_behind_corner(flow, y, tangent, orientation, scale):
    """First point behind a corner within MIN_STEP of y, or None; tangent there; step length."""
    for length in MIN_STEP * 4.0 ** np.arange(2, 8):
        turned, _ = _tangent(_matrix(flow, y + length * tangent, scale), tangent, orientation)
        new = _step(flow, y, turned, length, scale)
        if new is not None:
            return new, _tangent(_matrix(flow, new, scale), turned)[0], length
    return None, tangent, length


def follow_branch(flow: Flow, x: Array, p: float, bounds, step, scale, direction=1) -> Branch:
    """The branch of equilibria from x (N,) at p, with p rising (direction 1) or falling (-1) first.

    It ends on the `bounds` of p, when it returns to its start, after MAX_POINTS, or where no step
    succeeds. step: longest step in (x / scale, p); scale: change of x that counts as 1 in p.
    """
    y = np.append(newton(flow, x, p) / scale, p)
    tangent, orientation = _tangent(_matrix(flow, y, scale), direction * np.eye(len(y))[-1])
    points, tangents, steps, length = [y], [tangent], [], step
    while len(points) < MAX_POINTS:
        new = _step(flow, y, tangent, length, scale)
        if new is None and length > MIN_STEP:
            length /= 2
            continue
        if new is None:
            new, tangent, length = _step_behind_corner(flow, y, tangent, orientation, scale)
            if new is None:
                break
        else:
            tangent, orientation = _tangent(_matrix(flow, new, scale), tangent)
        edge = np.clip(new[-1], *bounds)
        if edge != new[-1]:  # end exactly on the bound
            part = (edge - y[-1]) / (new[-1] - y[-1])
            guess = (y + part * (new - y))[:-1] * scale
            new = np.append(newton(flow, guess, edge) / scale, edge)
        points.append(new)
        tangents.append(tangent)
        steps.append(length)
        y, length = new, min(2 * length, step)
        if y[-1] in bounds or (len(points) > 20 and np.linalg.norm(y - points[0]) < step / 2):
            break
    points = np.array(points)
    x, p = points[:, :-1] * scale, points[:, -1]
    return Branch(x, p, _spectra(flow, x, p), np.array(tangents), np.array(steps), scale)


def _spectra(flow, x, p):
    """Eigenvalues (P, N) along a branch; the Jacobian is constant between two kinks."""
    spectra, last = [], None
    for point in zip(x, p, strict=True):
        jacobian = flow.jacobian(*point)
        changed = last is None or not np.array_equal(jacobian, last)
        spectra.append(eigenvalues(jacobian) if changed else spectra[-1])
        last = jacobian
    return np.array(spectra)


def find_branches(flow: Flow, starts, bounds, step, scale) -> list[Branch]:
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
            back = follow_branch(flow, x, p, bounds, step, scale, direction=-1)
            x, p = back.x[-1], back.p[-1]
        direction = -1 if p == bounds[1] else 1
        branches.append(follow_branch(flow, x, p, bounds, step, scale, direction))
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
    n_unstable = (growth_rates(branch.eigenvalues, dt) > 0).sum(axis=1)
    found = []
    for i in np.flatnonzero(np.diff(n_unstable)):
        ranks = range(*sorted(n_unstable[i : i + 2]))
        found += _crossings(flow, branch, int(i), ranks, dt)
    return found


def _crossings(flow, branch, i, ranks, dt):
    """Bifurcations between points i and i + 1, where growth rates of these ranks change sign."""
    y, span = np.append(branch.x[i] / branch.scale, branch.p[i]), branch.steps[i]

    def equilibrium(length):  # x, p and eigenvalues at this arclength behind point i
        new = _step(flow, y, branch.tangents[i], length, branch.scale) if length > 0 else y
        if new is None:  # behind a sharp corner
            return branch.x[i + 1], branch.p[i + 1], branch.eigenvalues[i + 1]
        x, p = new[:-1] * branch.scale, new[-1]
        return x, p, eigenvalues(flow.jacobian(x, p))

    def rate(length, rank):
        return np.sort(growth_rates(equilibrium(length)[2], dt))[::-1][rank]

    def locate(rank):
        if rate(0, rank) * rate(span, rank) < 0:
            return brentq(rate, 0, span, (rank,), PRECISION)
        return span  # the rate is exactly 0 at one of the two points

    lengths = np.array([locate(rank) for rank in ranks])
    found = []
    for j, (rank, length) in enumerate(zip(ranks, lengths, strict=True)):
        together = np.flatnonzero(np.abs(lengths - length) < 1e3 * PRECISION)
        if j != together[0]:
            continue  # a pair is reported once
        x, p, spectrum = equilibrium(max(length - 2 * PRECISION, 0))
        turns_back = branch.tangents[i, -1] * branch.tangents[i + 1, -1] < 0
        kind, frequency = "fold" if turns_back else "branch point", 0.0
        if len(together) > 1:
            value = spectrum[np.argsort(-growth_rates(spectrum, dt))[rank]]
            kind, frequency = "Hopf", float(abs(value.imag) / (2 * np.pi))
        rates = rate(length - 2 * PRECISION, rank), rate(length + 2 * PRECISION, rank)
        found.append(Bifurcation(kind, float(p), x, float(flow.output(x)), frequency, rates, i))
    return found
