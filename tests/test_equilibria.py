"""Equilibria, bifurcations and invariant circles that are known; the reduced model."""

import dataclasses

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from zrnn.dynamics import diagram, equilibria, reduced_model
from zrnn.dynamics.equilibria import Bifurcation, Branch, Flow

RNG = np.random.default_rng(0)


def one_variable(f, slope):
    """A flow of one variable from scalar functions; df/dp = 1."""
    return Flow(
        lambda x, p: np.array([f(x[0], p)]),
        lambda x, p: np.array([[slope(x[0], p)]]),
        lambda x, p: np.ones(1),
    )


def relu_flow(w, w_in, b):
    """dx/dt = -x + W max(x, 0) + W_in p + b."""
    return Flow(
        lambda x, p: -x + w @ np.maximum(x, 0) + w_in * p + b,
        lambda x, p: w * (x > 0) - np.eye(len(x)),
        lambda x, p: w_in,
        scale=np.sqrt(len(w)),
    )


def test_linear_flow_has_one_straight_branch_without_bifurcations():
    matrix, vector = RNG.normal(size=(4, 4)) - 4 * np.eye(4), RNG.normal(size=4)
    flow = Flow(lambda x, p: matrix @ x + vector * p, lambda x, p: matrix, lambda x, p: vector)
    (branch,) = equilibria.find_branches(flow, [(RNG.normal(size=4), 0.3)], (-1, 2))
    assert sorted(branch.p[[0, -1]]) == [-1, 2] and np.all(np.diff(branch.p) > 0)
    np.testing.assert_allclose(branch.x, -np.outer(branch.p, np.linalg.solve(matrix, vector)))
    np.testing.assert_allclose(
        np.sort_complex(branch.eigenvalues[5]), np.sort_complex(np.linalg.eigvals(matrix))
    )
    assert equilibria.find_bifurcations(flow, branch) == []


def test_fold_of_the_saddle_node_normal_form():
    flow = one_variable(lambda x, p: p - 0.3 + x**2, lambda x, p: 2 * x)
    (branch,) = equilibria.find_branches(flow, [(np.array([-1.0]), -0.7)], (-1, 1))
    np.testing.assert_allclose(branch.p, 0.3 - branch.x[:, 0] ** 2, atol=1e-9)
    assert list(branch.p[[0, -1]]) == [-1, -1] and np.prod(branch.x[[0, -1]]) < 0
    (fold,) = equilibria.find_bifurcations(flow, branch)
    assert fold.kind == "fold" and abs(fold.p - 0.3) < 1e-9 and abs(fold.x[0]) < 1e-6
    assert max(np.abs(fold.growth_rates)) < 1e-6
    stable = branch.x[:, 0] < 0
    names = {equilibria.classify(e) for e in branch.eigenvalues[stable]}
    assert names == {"stable node"}
    assert {equilibria.classify(e) for e in branch.eigenvalues[~stable]} == {"saddle"}


def test_a_sharp_corner_is_a_fold():
    flow = one_variable(lambda x, p: p - 0.3 + 20 * abs(x), lambda x, p: 20 * np.sign(x))
    (branch,) = equilibria.find_branches(flow, [(np.array([-0.03]), -0.3)], (-1, 1))
    assert list(branch.p[[0, -1]]) == [-1, -1] and np.prod(branch.x[[0, -1]]) < 0
    (fold,) = equilibria.find_bifurcations(flow, branch)
    assert fold.kind == "fold" and abs(fold.p - 0.3) < 1e-6
    assert sorted(fold.growth_rates) == pytest.approx([-20, 20])


def test_a_transcritical_point_is_no_fold():
    flow = one_variable(lambda x, p: (p - x) * (x + 0.2), lambda x, p: p - 2 * x - 0.2)
    flow = dataclasses.replace(flow, df_dp=lambda x, p: x + 0.2)
    (branch,) = equilibria.find_branches(flow, [(np.array([-1.0]), -1.0)], (-1, 1))
    (point,) = equilibria.find_bifurcations(flow, branch)
    assert point.kind == "branch point" and abs(point.p + 0.2) < 1e-6


@pytest.mark.parametrize("dt", [0, 0.01])
def test_hopf_point_of_the_stuart_landau_oscillator(dt):
    turn = 2 * np.pi * 3  # 3 Hz

    def f(x, p):
        return (p - 0.3 - x @ x) * x + turn * np.array([-x[1], x[0]])

    def jacobian(x, p):
        radial = (p - 0.3 - x @ x) * np.eye(2) - 2 * np.outer(x, x)
        return radial + turn * np.array([[0, -1], [1, 0]])

    flow = Flow(f, jacobian, lambda x, p: x)
    (branch,) = equilibria.find_branches(flow, [(np.array([0.01, 0.02]), 1.0)], (-2, 2))
    (hopf,) = equilibria.find_bifurcations(flow, branch, dt)
    # |1 + dt (p - 0.3 + i turn)| = 1 for the Euler map, p = 0.3 for the flow
    exact = 0.3 + ((np.sqrt(1 - (dt * turn) ** 2) - 1) / dt if dt else 0)
    assert hopf.kind == "Hopf" and abs(hopf.p - exact) < 1e-8
    assert hopf.frequency == pytest.approx(3, rel=1e-9)
    names = [equilibria.classify(e, dt) for e in branch.eigenvalues]
    assert set(names) == {"stable spiral", "unstable spiral"}


def test_silent_units_leave_the_spectrum_as_it_is():
    x, w = RNG.normal(size=12), RNG.normal(size=(12, 12))
    jacobian = relu_flow(w, w[0], w[1]).jacobian(x, 0)
    np.testing.assert_allclose(
        np.sort_complex(equilibria.eigenvalues(jacobian)),
        np.sort_complex(np.linalg.eigvals(jacobian)),
        atol=1e-9,
    )


def exact_folds(w, w_in, b, p, bounds):
    """Where the branch of a ReLU network folds, found straight piece by straight piece.

    Between kinks x = x0 + v p with (1 - W D) (x0, v) = (b, W_in). At a kink one unit changes side,
    and p moves on in the direction that takes this unit further into its new side.
    """
    n, direction, folds = len(b), 1, []
    x = equilibria.newton(relu_flow(w, w_in, b), np.zeros(n), p)
    active, last = x > 0, None
    while True:
        x0, v = np.linalg.solve(np.eye(n) - w * active, np.column_stack([b, w_in])).T
        if last is not None:
            turned = 1 if (v[last] > 0) == active[last] else -1
            if turned != direction:
                folds.append(p)
            direction = turned
        zeros = -x0 / v
        ahead = (zeros - p) * direction
        ahead[[last] if last is not None else []] = np.inf
        ahead[ahead < 0] = np.inf
        last = int(ahead.argmin())
        p = zeros[last]
        if np.isinf(ahead[last]) or not bounds[0] < p < bounds[1]:
            return folds
        active = active.copy()
        active[last] = not active[last]


# gains of E and I, seed, number of folds; two of the last but one's are 0.0006 apart
@pytest.mark.parametrize(
    "excite, inhibit, seed, n_folds",
    [
        (2.2, 1.5, 0, 0),
        (3.5, 3, 10, 1),
        (3.5, 3, 11, 3),
        (3.5, 3, 24, 3),
        (5, 5, 2, 4),
        (8, 8, 2, 2),
    ],
)
def test_a_relu_network_against_its_exact_branch(excite, inhibit, seed, n_folds):
    rng, n, bounds = np.random.default_rng(seed), 40, (-1.0, 1.0)
    w = np.abs(rng.normal(size=(n, n))) * np.where(np.arange(n) < 28, excite, -inhibit) / n
    w_in, b = rng.normal(0.3, 1, size=n), rng.normal(0, 0.5, size=n)
    flow = relu_flow(w, w_in, b)
    folds = exact_folds(w, w_in, b, bounds[0], bounds)
    branch = equilibria.follow_branch(flow, np.zeros(n), bounds[0], bounds)
    found = [q.p for q in equilibria.find_bifurcations(flow, branch) if q.kind == "fold"]
    assert len(folds) == n_folds
    np.testing.assert_allclose(found, folds, atol=1e-6)
    for x, p in zip(branch.x, branch.p, strict=True):
        np.testing.assert_allclose(flow.f(x, p), 0, atol=1e-8)


def test_no_equilibrium_is_said_so():
    flow = one_variable(lambda x, p: 1 + x**2, lambda x, p: 2 * x)
    with pytest.raises(equilibria.NotConverged):
        equilibria.newton(flow, np.array([0.3]), 0.0)


def test_jacobian_of_the_reduced_model():
    s, cue, h = np.array([0.004, 0.012, -0.003]), 0.7, 1e-6
    numeric = [
        (reduced_model.velocity(s + e, cue) - reduced_model.velocity(s - e, cue)) / (2 * h)
        for e in h * np.eye(3)
    ]
    np.testing.assert_allclose(reduced_model.jacobian(s, cue), np.transpose(numeric), rtol=1e-5)


def test_an_orbit_of_the_reduced_model_against_a_long_run():
    period, cycle = reduced_model.find_orbit(0.5, 0.01)
    np.testing.assert_allclose(cycle[0], cycle[-1], atol=1e-5)
    t = np.arange(0, 8, 1e-3)
    x = reduced_model.integrate(0.5, 8.0, t_eval=t).y[0, 4000:] > 0.01
    rises = np.flatnonzero(x[1:] & ~x[:-1])
    assert period == pytest.approx(np.diff(rises).mean() * 1e-3, rel=1e-3)
    assert reduced_model.find_orbit(1.8, 0.0) is None


def test_local_exponents():
    distance = np.geomspace(1e-6, 1e-2, 9)
    slopes = diagram.local_exponents(np.column_stack([distance, 0.3 * distance**-0.5]))
    np.testing.assert_allclose(slopes, [-0.5] * 4)
    slopes = diagram.local_exponents(np.column_stack([distance, 1 - 0.3 * np.log(distance)]))
    assert len(slopes) == 4 and np.all(np.diff(slopes) < 0) and slopes[0] > -0.08
    assert diagram.local_exponents(np.empty((0, 2))) == []


def test_equilibria_at_a_cue_have_their_class_right_up_to_the_bifurcation(monkeypatch):
    monkeypatch.setattr(equilibria, "MAX_STEP", 0.05)
    flow = one_variable(lambda x, p: p + x**2, lambda x, p: 2 * x)
    (branch,) = equilibria.find_branches(flow, [(np.array([-1.0]), -1.0)], (-1, 1))
    curves, _ = diagram.equilibrium_curves(flow, [branch])
    np.testing.assert_array_equal(curves[0].z, curves[0].x[:, 0])
    for p in (-0.25, -1e-9):
        assert diagram.classes_at(curves, p) == ["stable node", "saddle"]
        both = np.sort(np.ravel(equilibria.equilibria_at(flow, curves, p)))
        np.testing.assert_allclose(both, [-np.sqrt(-p), np.sqrt(-p)], atol=1e-7)
    assert diagram.classes_at(curves, 0.1) == [] == equilibria.equilibria_at(flow, curves, 0.1)


def planar_flow(around, slope):
    """dr/dt = r (1 - r^2), dphi/dt = p + around(phi), in x = r cos(phi), y = r sin(phi)."""

    def f(x, p):
        turn = p + around(np.arctan2(x[1], x[0]))
        return (1 - x @ x) * x + turn * np.array([-x[1], x[0]])

    def jacobian(x, p):
        turn, square = p + around(np.arctan2(x[1], x[0])), x @ x
        by_x = slope(np.arctan2(x[1], x[0])) * np.array([-x[1], x[0]]) / square
        radial = (1 - square) * np.eye(2) - 2 * np.outer(x, x)
        return radial + turn * np.array([[0, -1], [1, 0]]) + np.outer([-x[1], x[0]], by_x)

    return Flow(f, jacobian, lambda x, p: np.array([-x[1], x[0]]))


def manifold_at(flow, points, fold_x, p):
    """The manifold at p of the saddle among the equilibria `points` that is nearest to fold_x."""

    def run(x, p):
        return solve_ivp(lambda t, x: flow.f(x, p), (0, 5), x, rtol=1e-8, atol=1e-10).y.T

    fold = Bifurcation("fold", p + diagram.BELOW, fold_x, 0.0, 0.0, (0.0, 0.0), 0)
    for x in points:
        np.testing.assert_allclose(flow.f(x, p), 0, atol=1e-9)
    p = fold.p - diagram.BELOW  # as it is rounded there
    branch = Branch(np.array(points), np.full(len(points), p), None, None)
    return diagram.manifold_below(flow, [branch], fold, run)


def on_circle(*angles):
    return [np.array([np.cos(angle), np.sin(angle)]) for angle in angles]


def test_a_saddle_and_a_node_on_an_invariant_circle():
    flow = planar_flow(lambda phi: 1 - np.cos(phi), np.sin)
    p = -0.01
    angle = np.arccos(1 + p)  # saddle at +angle, node at -angle, which meet at p = 0
    found = manifold_at(flow, on_circle(angle, -angle), np.array([1.0, 0.0]), p)
    assert found.closes
    # one side leads back to the node at once, the other all the way round
    assert sorted(z.min() for z in found.z) == pytest.approx([-1, np.cos(angle)], abs=1e-2)


def test_a_saddle_between_two_nodes_is_on_no_invariant_circle():
    flow = planar_flow(lambda phi: 1 - np.cos(2 * phi), lambda phi: 2 * np.sin(2 * phi))
    p = -0.01
    angle = np.arccos(1 + p) / 2
    points = on_circle(angle, -angle, np.pi + angle, np.pi - angle)
    found = manifold_at(flow, points, np.array([1.0, 0.0]), p)
    assert not found.closes


def test_a_side_that_reaches_no_equilibrium_closes_no_circle(monkeypatch):
    monkeypatch.setattr(diagram, "MAX_PARTS", 10)
    flow = one_variable(lambda x, p: p + min(x**2, 1), lambda x, p: 2 * x * (x**2 < 1))
    found = manifold_at(flow, [np.array([-0.5]), np.array([0.5])], np.zeros(1), -0.25)
    assert not found.closes and found.z[0][-1] < -0.49 and found.z[1][-1] > 10
