"""Limit cycles and their gradients, against autograd, finite differences and perturbations."""

import copy

import numpy as np
import pytest
import torch

from zrnn import simulate
from zrnn.dynamics import limit_cycle

CUES = np.array([0.3, 0.6])
DT = 0.0005


@pytest.fixture(params=["ZemlianovaRNN", "RNN"])
def oscillator(request, make_oscillator):
    """The oscillator made by hand, in steps short enough for finite differences."""
    model = make_oscillator(request.param, cue_weight=0.05).double()
    model.dt = DT
    return model


def settled(model):
    start = 0.1 * torch.ones(len(CUES), 25, dtype=torch.float64)
    return limit_cycle.find_limit_cycles(model, CUES, start, 2.0, 0.2).end


def test_each_row_of_the_jacobian_is_that_of_autograd(oscillator):
    state, weights = settled(oscillator), (1.0, 0.1, 0.2)
    found = limit_cycle.find_limit_cycles(oscillator, CUES, state, 0.0, 0.4)
    assert np.isfinite(found.period).all()
    rows = limit_cycle.weight_jacobian(oscillator, CUES, found, weights)
    inputs = simulate.constant_cues(CUES, len(found.slopes)).double()
    outputs = oscillator(inputs, state)[0][..., 0]  # (B, T)
    slopes = torch.as_tensor(found.slopes * np.array(weights))  # (T, B, M)
    wanted = oscillator.w_hh, oscillator.w_ih, oscillator.b_hh
    for row, (b, m) in enumerate(np.ndindex(2, 3)):
        total = slopes[:, b, m] @ outputs[b]
        oracle = torch.autograd.grad(total, wanted, retain_graph=True)
        for found_rows, gradient in zip(rows, oracle, strict=True):
            torch.testing.assert_close(found_rows[row], gradient)


def test_the_slopes_of_a_measured_cycle_against_finite_differences():
    t = np.arange(500)
    z = 0.5 + 0.5 * np.cos(2 * np.pi * t / 123.4) ** 3
    values, slopes = limit_cycle.measure_cycle(z)
    assert (slopes != 0).sum(axis=0).tolist() == [4, 3, 3]
    for j, row in zip(*np.nonzero(slopes), strict=True):
        pushed = z.copy()
        pushed[j] += 1e-7
        change = limit_cycle.measure_cycle(pushed)[0] - values
        change[0] /= values[0]  # the log of the period
        assert slopes[j, row] == pytest.approx(change[row] / 1e-7, rel=0.01, abs=1e-6)


@pytest.mark.parametrize("name, index", [("w_hh", (1, 0)), ("w_ih", (2, 1)), ("b_hh", (21,))])
def test_the_gradient_of_the_period_against_finite_differences(oscillator, name, index):
    state = settled(oscillator)
    found = limit_cycle.find_limit_cycles(oscillator, CUES, state, 0.0, 1.0)
    rows = limit_cycle.weight_jacobian(oscillator, CUES, found, (1.0, 1.0, 1.0))
    parts = dict(zip(("w_hh", "w_ih", "b_hh"), rows, strict=True))
    derivative = parts[name][(slice(None, None, 3), *index)]  # of the period
    logs, h = [], 1e-4  # small against the weights, large against errors of the interpolation
    for sign in (1, -1):
        pushed = copy.deepcopy(oscillator)
        with torch.no_grad():
            getattr(pushed, name)[index] += sign * h
        logs.append(np.log(limit_cycle.find_limit_cycles(pushed, CUES, state, 1.0, 2.0).period))
    np.testing.assert_allclose(derivative, (logs[0] - logs[1]) / (2 * h), rtol=0.1)


def test_a_kick_shifts_the_taps_as_the_adjoint_says(oscillator):
    state = settled(oscillator)
    found = limit_cycle.find_limit_cycles(oscillator, CUES, state, 0.0, 1.0)
    response = limit_cycle.phase_response(oscillator, found).numpy()  # (T, B, N)
    z = (found.currents[1:].relu() @ oscillator.w_ho.t())[:, 0, 0].detach().numpy()
    times = limit_cycle.upward_crossings(z, np.ptp(z) / 2 + z.min(), 0.1 * np.ptp(z))
    n_periods = len(times) - 2
    for t in np.linspace(times[1] + 2, times[2], 5).astype(int):
        kicked = found.currents[t + 1, :1].clone()
        kicked[:, 1] += 1e-6
        rest = limit_cycle.find_limit_cycles(
            oscillator, CUES[:1], kicked, 0.0, (len(z) - t - 1) * DT
        )
        after = (rest.currents[1:].relu() @ oscillator.w_ho.t())[:, 0, 0].detach().numpy()
        middle = np.ptp(z) / 2 + z.min()
        last = limit_cycle.upward_crossings(after, middle, 0.1 * np.ptp(z))[-1] + t + 1
        shift = (last - times[-1]) / 1e-6  # [samples] per unit of current
        predicted = response[t, 0, 1] * (times[-1] - times[1])
        assert predicted == pytest.approx(
            shift, rel=0.02, abs=0.02 * np.abs(response[:, 0, 1]).max()
        )
    assert n_periods > 2


def test_no_cycle_is_nan():
    values, slopes = limit_cycle.measure_cycle(np.full(100, 0.5))
    assert np.isnan(values).all() and not slopes.any()
    t = np.arange(1000)
    values, _ = limit_cycle.measure_cycle(0.5 + 0.5 * np.cos(2 * np.pi * t / 123.4))
    np.testing.assert_allclose(values, [123.4, 1.0, 0.0], rtol=1e-4, atol=1e-4)
