"""A network as a dynamical system: Jacobian against autograd; equilibria and cycles by driving."""

import numpy as np
import pytest
import torch
from test_network import KINDS, make

from zrnn.dynamics import branches
from zrnn.dynamics import network as dynamics

OWN = dict(
    cues=[-1.0, 2.0], step=0.05, search_cues=[0.0, 0.5], search_seconds=0.2, search_states=2,
    beat_cue=0.5, settle_seconds=1.0, ramp_seconds=0.5, keep_seconds=2.0, min_height=0.01,
    onset_distances=[1e-3, 1e-1], n_distances=4, onset_seconds=3, small_seconds=0.5,
    small_height=1e-3,
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_flow_of_a_network(kind):
    model = make(kind)
    flow, x = dynamics.network_flow(model), np.random.default_rng(0).normal(size=20)
    w = model.effective_w_hh().detach().numpy()
    w_in, b = model.w_ih.detach().numpy()[:, 1], model.b_hh.detach().numpy()
    own = (-x + w @ np.maximum(x, 0) + 0.7 * w_in + b) / model.tau
    np.testing.assert_allclose(flow.f(x, 0.7), own, rtol=1e-9, atol=1e-9)

    def velocity(x, cue):
        inputs = torch.stack([0 * cue, cue])[None]
        return (model.step(inputs, x[None])[1][0] - x) / model.dt

    cue = torch.tensor(0.7, dtype=torch.float64)
    by_x, by_cue = torch.autograd.functional.jacobian(velocity, (torch.from_numpy(x), cue))
    np.testing.assert_allclose(flow.jacobian(x, 0.7), by_x, atol=1e-9)
    np.testing.assert_allclose(flow.by_parameter(x, 0.7), by_cue, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stable_network_rests_on_its_branch(kind):
    model = make(kind)
    with torch.no_grad():
        model.w_hh.mul_(0.1)
    found, n_starts, n_reached = dynamics.find_branches(model, OWN)
    assert len(found) == 1 and n_starts == n_reached == 6
    outputs, states = dynamics.drive_cues(model, [1.3], model.initial_state(1), 0.5, keep=0.01)
    flow = dynamics.network_flow(model)
    x = dynamics.equilibrium(flow, np.zeros(20), 1.3)
    np.testing.assert_allclose(states[0], x, atol=1e-8)
    assert branches.holds(found[0], flow, x, 1.3)
    np.testing.assert_allclose(outputs[-1], dynamics.outputs_of(model, x[None]), atol=1e-8)
    ((own, stable),) = dynamics.equilibria_at(model, found, 1.3)
    np.testing.assert_allclose(own, x, atol=1e-8)
    assert stable
    growth = branches.euler_growth(model.dt)
    assert branches.bifurcations(flow, found[0], growth) == []
    assert dynamics.find_cycles(model, np.array([0.0, 1.0]), OWN)[0] == {
        0.0: None,
        1.0: None,
    }


def test_the_cue_rises_and_stays():
    """The ramp is read off a network that only integrates its cue."""
    model = make("RNN")
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
        model.w_ih[0, 1] = model.w_ho[0, 0] = 1.0
    outputs, _ = dynamics.drive_cues(
        model, [2.0], model.initial_state(1), 0.0, ramp=0.2, ramp_from=1.0, keep=0.3
    )
    # a leak lags a ramp by slope tau (1 - alpha), and one step later by (1 - alpha) of that
    assert outputs[0, 0] == pytest.approx(2.0 - 5 * model.tau * (1 - model.alpha) ** 2, abs=1e-6)
    assert outputs[-1, 0] == pytest.approx(2.0, abs=1e-6)


@pytest.mark.parametrize("period", [0.08, 0.5, 2.1])
def test_a_cycle_is_read_off_an_output(period):
    t = 0.001 * np.arange(10_000)
    wave = 0.3 + 0.5 * np.cos(2 * np.pi * t / period) ** 3
    low, high, found = dynamics.find_cycle(wave, 0.001, 0.01)
    assert (low, high) == (pytest.approx(-0.2, abs=1e-2), pytest.approx(0.8, abs=1e-2))
    assert found == pytest.approx(period, rel=1e-4)
    assert dynamics.find_cycle(wave, 0.001, 1.1) is None
    dying = 0.3 + np.exp(-t / 3) * (wave - 0.3)
    assert dynamics.find_cycle(dying, 0.001, 0.01) is None
    assert dynamics.find_cycle(np.full(5000, 0.2), 0.001, 0.01) is None


def test_the_edges_of_a_cycle():
    assert dynamics.edges({2: None, 1: (0, 1, 1), 0: None, 3: None}) == [(0, 1), (1, 2)]
