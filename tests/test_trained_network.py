"""A network as a dynamical system: Jacobian against autograd; equilibria and cycles by runs."""

import numpy as np
import pytest
import torch

import models
from zrnn import simulate
from zrnn.dynamics import equilibria, limit_cycle, network_diagram, trained_network

KINDS = ["ZemlianovaRNN", "RNN"]


def make(kind, gain=3.0):
    sizes = dict(input_dim=2, hidden_dim=20, output_dim=1, dt=0.002, tau=0.01)
    noise = dict(excit_percent=0.8, sigma_rec=0.01, sigma_input=0.01)
    generator = torch.Generator().manual_seed(0)
    model = models.build_model(kind, generator=generator, **sizes, **noise).double()
    with torch.no_grad():
        model.b_hh.normal_(0, 0.3, generator=generator)
        model.w_hh.mul_(gain)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_flow_of_a_network(kind):
    model = make(kind)
    flow, x = trained_network.network_flow(model), np.random.default_rng(0).normal(size=20)
    w = model.effective_w_hh().detach().numpy()
    w_in, b = model.w_ih.detach().numpy()[:, 1], model.b_hh.detach().numpy()
    expected = (-x + w @ np.maximum(x, 0) + 0.7 * w_in + b) / model.tau
    np.testing.assert_allclose(flow.f(x, 0.7), expected, rtol=1e-9, atol=1e-9)

    def velocity(x, cue):
        inputs = torch.stack([0 * cue, cue])[None]
        return (model.step(inputs, x[None])[1][0] - x) / model.dt

    cue = torch.tensor(0.7, dtype=torch.float64)
    by_x, by_cue = torch.autograd.functional.jacobian(velocity, (torch.from_numpy(x), cue))
    np.testing.assert_allclose(flow.jacobian(x, 0.7), by_x, atol=1e-9)
    np.testing.assert_allclose(flow.df_dp(x, 0.7), by_cue, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stable_network_settles_on_its_branch(kind):
    model = make(kind, gain=0.3)
    found = trained_network.find_branches(model, (-1.0, 2.0))
    assert len(found) == 1
    run = simulate.run(model, simulate.constant_cues([1.3], 250))
    flow = trained_network.network_flow(model)
    (x,) = equilibria.equilibria_at(flow, found, 1.3)
    np.testing.assert_allclose(run.end[0], x, atol=1e-8)
    np.testing.assert_allclose(run.outputs[0, -1], flow.output(x), atol=1e-8)
    assert equilibria.n_growing(equilibria.eigenvalues(flow.jacobian(x, 1.3)), model.dt) == 0
    assert equilibria.find_bifurcations(flow, found[0], model.dt) == []
    diagram, _ = network_diagram.solve(model, (-1.0, 2.0), 3, 0.5)
    assert not diagram.cycles and {-1.0, 0.5, 2.0} <= set(diagram.cues_without)
    assert diagram.manifold is None and not diagram.ends and len(diagram.onset) == 0


def test_the_cue_is_ramped(monkeypatch):
    """The ramp is read off a network that only integrates its cue."""
    model = make("RNN")
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
        model.w_ih[0, 1] = 1.0
    monkeypatch.setattr(network_diagram, "SETTLE_SECONDS", 0.2)
    monkeypatch.setattr(network_diagram, "RAMP_SECONDS", 0.2)
    end = network_diagram.ramp_cue(model, 1.0, np.array([2.0, 1.0]))
    # a leak lags a ramp by slope tau (1 - alpha)
    lag = (2.0 - 1.0) / 0.2 * model.tau * (1 - model.alpha)
    np.testing.assert_allclose(end[:, 0], [2.0 - lag, 1.0], atol=1e-6)


@pytest.mark.parametrize("period", [0.08, 0.5, 2.1])
def test_a_cycle_is_read_from_an_output(period):
    t = 0.001 * np.arange(10_000)
    wave = 0.3 + 0.5 * np.cos(2 * np.pi * t / period) ** 3
    found = network_diagram.read_cycle(0.7, wave, 0.001)
    assert (found.low, found.high) == (pytest.approx(-0.2, abs=1e-2), pytest.approx(0.8, abs=1e-2))
    assert found.period == pytest.approx(period, rel=1e-4) and found.cue == 0.7
    dying = 0.3 + np.exp(-t / 3) * (wave - 0.3)
    assert network_diagram.read_cycle(0.7, dying, 0.001) is None
    settling = wave + np.exp(-t / 0.3)  # slow at first, then as above
    assert network_diagram.read_cycle(0.7, settling, 0.001).period == pytest.approx(
        period, rel=1e-4
    )


def test_outputs_without_a_cycle():
    assert network_diagram.read_cycle(0.7, np.full(5000, 0.2), 0.001) is None
    once = np.exp(-((np.arange(5000) - 2500.0) ** 2) / 1e5)
    assert network_diagram.read_cycle(0.7, once, 0.001) is None


def test_the_cycle_is_continued_and_the_cue_of_its_onset_narrowed_down(make_oscillator):
    """The cue excites the E units of an oscillator, which without it is at rest."""
    model = make_oscillator()
    with torch.no_grad():
        model.w_ih[0:4, 1] = 0.4
        model.b_hh[0:4] -= 0.2  # at cue 0.5 as it was made
    found, without, states = network_diagram.continue_cycle(model, 0.5, (0.0, 1.0), 5)
    assert without[0] == 0.0 and len(found) >= 5
    assert found[0].cue - max(c for c in without if c < found[0].cue) < 1e-4
    (cycle,) = (cycle for cycle in found if cycle.cue == 0.5)
    other = limit_cycle.find_limit_cycles(model, [0.5], states[0.5][None], 1.0, 2.0)
    assert cycle.period == pytest.approx(other.period[0], rel=1e-3)
    assert (cycle.low, cycle.high) == pytest.approx((other.low[0], other.high[0]), abs=5e-3)
