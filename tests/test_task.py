"""The task sample by sample."""

import numpy as np
import pytest
import torch

from zrnn import configuration, task
from zrnn.training import descent

CONFIG = configuration.load()


@pytest.mark.parametrize("dt", [0.001, 0.005])
def test_trial_sample_by_sample(dt):
    periods = CONFIG.training.periods
    onsets = torch.linspace(0, 0.1, len(periods))
    inputs, target = task.make_trials(
        torch.tensor(periods, dtype=torch.float64), onsets, 2.0, 1.0, dt, CONFIG.task
    )
    for i, period in enumerate(periods):
        onset, width = round(float(onsets[i]) / dt), round(0.01 / dt)
        clicks = np.zeros(round(2 / dt))
        k = 0
        while k * period < 1.0 - 1e-9:
            start = onset + round(k * period / dt)
            clicks[start : start + width] = 1
            k += 1
        t = np.arange(len(clicks)) - onset
        np.testing.assert_array_equal(inputs[i, :, 0], clicks)
        np.testing.assert_allclose(inputs[i, :, 1], np.where(t >= 0, 0.1 / period, 0), rtol=1e-6)
        wave = (1 + np.cos(2 * np.pi * dt * t / period)) / 2
        np.testing.assert_allclose(target[i, :, 0], np.where(t >= 0, wave, 0), atol=1e-6)


def test_random_trials_take_every_period_equally_often():
    training, generator = CONFIG.training, torch.Generator().manual_seed(0)
    inputs, target, drawn = task.draw_trials(training, 0.001, CONFIG.task, generator)
    np.testing.assert_allclose(inputs[:, -1, 1], 0.1 / drawn, rtol=1e-6)
    assert inputs.shape == (14, 2000, 2) and target.shape == (14, 2000, 1)
    np.testing.assert_allclose(
        np.sort(inputs[:, -1, 1]), np.sort([0.1 / p for p in 2 * training.periods]), rtol=1e-6
    )
    times = [np.flatnonzero(clicks) * 0.001 for clicks in inputs[..., 0].numpy()]
    assert all(on[0] <= 0.1 for on in times) and len({on[0] for on in times}) > 10
    for on, period in zip(times, drawn.tolist(), strict=True):
        assert on[-1] - on[0] < 1.01 <= on[-1] - on[0] + period + 0.01


def test_slow_periods_grow_from_a_fast_one():
    slow = configuration.load(flags={"training.periods": [1.0, 0.5]}).training
    factors = [descent.time_factor(number, slow) for number in range(1, slow.epochs + 1)]
    begin, end = (round(fraction * slow.epochs) for fraction in descent.GROWING)
    assert factors[: begin - 1] == [0.25] * (begin - 1) and factors[end:] == [1] * (1400 - end)
    steps = np.diff(np.log(factors))
    assert (steps >= 0).all() and steps.max() < np.log(1.1) + 1e-9 and np.sum(steps > 0) == 15
    inputs, target, drawn = task.draw_trials(slow, 0.001, CONFIG.task, torch.Generator(), 0.25)
    assert inputs.shape == (14, 500, 2) and sorted(set(drawn.tolist())) == [0.125, 0.25]
    assert inputs[0, -1, 1] == pytest.approx(0.1 / drawn[0]) and not inputs[:, 360:, 0].any()
    default = CONFIG.training
    unchanged = [default] + [
        slow.model_copy(update=change) for change in ({"first_period": None}, {"start": "a.pth"})
    ]
    assert all(descent.time_factor(1, training) == 1 for training in unchanged)


@pytest.mark.parametrize("dt", [0.001, 0.01])
def test_no_click_depends_on_rounding_errors(dt):
    generator = np.random.default_rng(0)
    for n in range(400):
        period = generator.integers(200, 2000) * 0.0005  # often between two samples
        seconds = [0.3, 0.6, 1.1, 1.2, 2.4, 10 * period][n % 6]
        onset, n_steps, width = int(generator.integers(0, 50)), round(3 / dt), round(0.01 / dt)
        clicks = np.zeros(n_steps)
        for k in range(1000):
            start = onset + round(k * period / dt)
            if k * period < seconds - 1e-9 and start < n_steps:
                clicks[start : start + width] = 1
        given = task.click_input(
            torch.tensor([period], dtype=torch.float64),
            torch.tensor([onset]), n_steps, dt, 0.01, seconds,
        )  # fmt: skip
        assert np.array_equal(given[0], clicks), (period, seconds, onset)
