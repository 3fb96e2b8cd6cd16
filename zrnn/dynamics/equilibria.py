"""Equilibria of dx/dt = f(x, p) while one parameter p changes: branches, stability, bifurcations.

Nothing here knows a model: a flow is three functions. Whatever is asked of it is found by
Newton's method with the Jacobian that it brings, and followed by pseudo-arclength steps, so folds
are passed. f may have kinks (ReLU): there the branch has corners instead of smooth turns.

Shapes: N variables, P points of a branch. Time is in seconds, so eigenvalues are in 1/s.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from scipy.linalg import lu_factor, lu_solve
from scipy.optimize import brentq

CLASSES = ("stable node", "stable spiral", "saddle", "unstable node", "unstable spiral")
MIN_STEP = 1e-8  # along a branch; where no such step succeeds, the branch ends
MAX_POINTS = 5000  # of a branch
TOLERANCE = 1e-11  # of Newton's method, relative to 1 + the largest value


@dataclass(frozen=True)
class Flow:
    """dx/dt = f(x, p): f(x, p) (N,), its derivatives jacobian(x, p) (N, N) by x, and by p (N,)."""

    f: Callable[[Array, float], Array]
    jacobian: Callable[[Array, float], Array]
    by_parameter: Callable[[Array, float], Array]


@dataclass(frozen=True)
class Branch:
    """Equilibria x (P, N) at p (P,) with their eigenvalues (P, N) [1/s], in the order of following.

    tangents (P, N + 1) and steps (P - 1,) in (x / scale, p).
    """

    x: Array
    p: Array
    eigenvalues: Array
    tangents: Array
    steps: Array
    scale: float


@dataclass(frozen=True)
class Bifurcation:
    """Where growth rates of a branch change their sign, between its points `index` and index + 1.

    kind: fold, Hopf or branch point; x (N,); frequency [Hz] of the pair that crosses, 0 for a real
    eigenvalue; rates [1/s]: the growth rate that changes its sign, just before and just after: both
    near 0, unless f has a kink there.
    """

    kind: str
    p: float
    x: Array
    frequency: float
    rates: tuple[float, float]
    index: int


class NotConverged(ArithmeticError):
    """Newton's method found no equilibrium from there."""


def newton(flow: Flow, x: Array, p: float, max_steps: int = 60) -> Array:
    """The equilibrium f(x, p) = 0 that Newton's method reaches from x (N,). Raises NotConverged.

    A step that makes |f| larger is halved, a few times at most.
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
    """Eigenvalues (N,) of a Jacobian. Variables that act on no other one are split off first.

    A silent ReLU unit is such a variable: its column holds the leak alone, which is its eigenvalue.
    """
    leak = np.diag(jacobian)
    acts = (np.abs(jacobian) > 0).sum(axis=0) > (leak != 0)
    own = np.linalg.eigvals(jacobian[np.ix_(acts, acts)])
    return np.concatenate([own, leak[~acts]])


def flow_growth(eigenvalues: Array) -> Array:
    """Growth rates [1/s] of dx/dt = f: the real parts."""
    return eigenvalues.real


def euler_growth(dt: float) -> Callable[[Array], Array]:
    """Growth rates [1/s] of the map x -> x + dt f(x): above 0 where |1 + dt lambda| > 1."""
    return lambda eigenvalues: (np.abs(1 + dt * eigenvalues) - 1) / dt


def classify(eigenvalues: Array, growth=flow_growth) -> str:
    """One of CLASSES, by how many eigenvalues (N,) grow, and whether the leading one oscillates.

    None grows: stable. One: saddle. Two or more: unstable, whatever the others do.
    """
    rates = growth(eigenvalues)
    lead = eigenvalues[rates.argmax()]
    form = "spiral" if abs(lead.imag) > 1e-9 * abs(lead) else "node"
    n_unstable = (rates > 0).sum()
    return "saddle" if n_unstable == 1 else f"{'unstable' if n_unstable else 'stable'} {form}"


def _matrix(flow, y, scale):
    """d f / d (x / scale, p), (N, N + 1), at y = (x / scale, p)."""
    x, p = y[:-1] * scale, y[-1]
    return np.column_stack([flow.jacobian(x, p) * scale, flow.by_parameter(x, p)])


def _tangent(matrix, direction, orientation=None):
    """Unit tangent of the branch and the sign of det (matrix; tangent).

    It points along `direction`, or, where `orientation` is given, to the side on which that sign
    stays what it was. That is how a branch goes on behind a corner, however sharp: the matrices on
    both sides differ by one column, and the same variable must go on through its kink.
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
    """The point of the branch `length` further along `tangent` from y, or None."""
    guess = y + length * tangent
    new = guess.copy()
    for _ in range(max_steps):
        residual = np.append(flow.f(new[:-1] * scale, new[-1]), tangent @ (new - guess))
        try:
            change = np.linalg.solve(np.vstack([_matrix(flow, new, scale), tangent]), -residual)
        except np.linalg.LinAlgError:
            return None
        new = new + change
        if not np.linalg.norm(new - guess) <= length:  # another branch, or nowhere
            return None
        if np.abs(change).max() <= TOLERANCE * (1 + np.abs(new).max()):
            return new
    return None


def follow(flow: Flow, x: Array, p: float, bounds, step, scale, direction=1) -> Branch:
    """The branch of equilibria from x (N,) at p, until p leaves `bounds` or it comes back.

    step: longest step in (x / scale, p); scale: the change of x that counts like a change of p by
    1; direction: 1 or -1, whether p rises or falls at first. The branch ends at the bounds, with
    its last point on them, after MAX_POINTS, or where no step of MIN_STEP succeeds.
    """
    x = newton(flow, x, p)
    y = np.append(x / scale, p)
    start = np.append(np.zeros(len(x)), direction)
    tangent, orientation = _tangent(_matrix(flow, y, scale), start)
    points, tangents, steps, length = [y], [tangent], [], step
    while len(points) < MAX_POINTS:
        new = _step(flow, y, tangent, length, scale)
        if new is None and length > MIN_STEP:
            length /= 2
            continue
        if new is not None:
            tangent, orientation = _tangent(_matrix(flow, new, scale), tangent)
        else:  # a corner lies ahead, nearer than MIN_STEP
            for length in MIN_STEP * 4.0 ** np.arange(2, 8):
                behind = _matrix(flow, y + length * tangent, scale)
                turned, _ = _tangent(behind, tangent, orientation)
                new = _step(flow, y, turned, length, scale)
                if new is not None:
                    break
            if new is None:
                break
            tangent, _ = _tangent(_matrix(flow, new, scale), turned)
        if not bounds[0] <= new[-1] <= bounds[1]:
            edge = bounds[0] if new[-1] < bounds[0] else bounds[1]
            part = (edge - y[-1]) / (new[-1] - y[-1])
            guess = (y + part * (new - y))[:-1] * scale
            new = np.append(newton(flow, guess, edge) / scale, edge)
        points.append(new)
        tangents.append(tangent)
        steps.append(length)
        y, length = new, min(2 * length, step)
        if y[-1] in bounds:
            break
        if len(points) > 20 and np.linalg.norm(y - points[0]) < step / 2:  # a closed branch
            break
    points = np.array(points)
    x, p = points[:, :-1] * scale, points[:, -1]
    return Branch(x, p, _spectra(flow, x, p), np.array(tangents), np.array(steps), scale)


def _spectra(flow, x, p):
    """Eigenvalues (P, N) along a branch; between two kinks a Jacobian stays the same."""
    result, last = [], None
    for point in zip(x, p, strict=True):
        jacobian = flow.jacobian(*point)
        if last is None or not np.array_equal(jacobian, last):
            spectrum, last = eigenvalues(jacobian), jacobian
        result.append(spectrum)
    return np.array(result)


def whole_branch(flow: Flow, x: Array, p: float, bounds, step, scale) -> Branch:
    """The whole branch through x (N,) at p: back to its one end, and from there to the other."""
    if p not in bounds:
        back = follow(flow, x, p, bounds, step, scale, direction=-1)
        x, p = back.x[-1], back.p[-1]
    return follow(flow, x, p, bounds, step, scale, direction=-1 if p == bounds[1] else 1)


def equilibria_at(flow: Flow, branches: list, p: float) -> list[Array]:
    """The equilibria x (N,) at p on branches, by Newton's method from between their points.

    Closer to a fold than its neighbours on the branch it takes the fold as a point as well.
    """
    found = [x for branch in branches for x in branch.x[branch.p == p]]
    for branch in branches:
        for i in np.flatnonzero((branch.p[:-1] - p) * (branch.p[1:] - p) < 0):
            share = (p - branch.p[i]) / (branch.p[i + 1] - branch.p[i])
            try:
                guess = branch.x[i] + share * (branch.x[i + 1] - branch.x[i])
                found.append(newton(flow, guess, p))
            except NotConverged:
                continue
    return found


def holds(flow: Flow, branches: list[Branch], x: Array, p: float, tolerance=1e-6) -> bool:
    """Whether the equilibrium x (N,) at p lies on one of the branches."""
    near = tolerance * (1 + np.abs(x).max())
    return any(np.abs(y - x).max() <= near for y in equilibria_at(flow, branches, p))


def bifurcations(
    flow: Flow, branch: Branch, growth=flow_growth, tolerance=1e-10
) -> list[Bifurcation]:
    """Where eigenvalues of a `follow`ed branch begin or cease to grow -> list of `Bifurcation`.

    One real eigenvalue: a fold where p turns back, else a branch point. A pair: a Hopf point.
    Each is located along the branch to `tolerance` of its arclength. Where f has kinks,
    eigenvalues jump, and the point is the kink where they do. Two that undo each other between two
    points of the branch are not seen.
    """
    n_unstable = (growth(branch.eigenvalues) > 0).sum(axis=1)
    found = []
    for i in np.flatnonzero(np.diff(n_unstable)):
        before, after = n_unstable[i], n_unstable[i + 1]
        y = np.append(branch.x[i] / branch.scale, branch.p[i])

        def at(length, i=i, y=y):
            new = _step(flow, y, branch.tangents[i], length, branch.scale) if length > 0 else y
            if new is None:  # beyond a sharp corner
                return branch.x[i + 1], branch.p[i + 1], branch.eigenvalues[i + 1]
            x, p = new[:-1] * branch.scale, new[-1]
            return x, p, eigenvalues(flow.jacobian(x, p))

        def rate(length, k, at=at):  # the k-th fastest growth rate, from 0
            return np.sort(growth(at(length)[2]))[::-1][k]

        span, ranks = branch.steps[i], range(min(before, after), max(before, after))
        where = [  # without a change of sign the end of the step: only where a rate is exactly 0
            brentq(rate, 0, span, (k,), tolerance) if rate(0, k) * rate(span, k) < 0 else span
            for k in ranks
        ]
        turns = branch.tangents[i, -1] * branch.tangents[i + 1, -1] < 0
        for j, (k, length) in enumerate(zip(ranks, where, strict=True)):
            x, p, spectrum = at(max(length - 2 * tolerance, 0))
            value = spectrum[np.argsort(-growth(spectrum))[k]]
            near = [abs(other - length) < 1e3 * tolerance for other in where]
            if sum(near) == 1:
                kind, frequency = "fold" if turns else "branch point", 0.0
            elif j == near.index(True):
                kind, frequency = "Hopf", float(abs(value.imag) / (2 * np.pi))
            else:
                continue  # the other one of the pair
            rates = rate(length - 2 * tolerance, k), rate(length + 2 * tolerance, k)
            found.append(Bifurcation(kind, float(p), x, frequency, rates, int(i)))
    return found
