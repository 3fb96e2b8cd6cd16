"""The task sample by sample; lengths and fields on signals and systems with known answers."""

import numpy as np
import pytest
import torch

from zrnn.analysis import geometry
from zrnn.network import task
from zrnn.workshop import configuration as config

CONFIG = config.load()


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


def test_random_trials_take_all_periods_alike():
    periods, generator = CONFIG.training.periods, torch.Generator().manual_seed(0)
    inputs, target = task.draw_trials(periods, 14, 2.0, 1.0, 0.001, CONFIG.task, generator)
    assert inputs.shape == (14, 2000, 2) and target.shape == (14, 2000, 1)
    np.testing.assert_allclose(
        np.sort(inputs[:, -1, 1]), np.sort([0.1 / p for p in 2 * periods]), rtol=1e-6
    )
    on = [np.flatnonzero(clicks) * 0.001 for clicks in inputs[..., 0].numpy()]
    assert all(own[0] <= 0.1 for own in on) and len({own[0] for own in on}) > 10
    for own, cue in zip(on, inputs[:, -1, 1].tolist(), strict=True):
        assert own[-1] - own[0] < 1.01 <= own[-1] - own[0] + 0.1 / cue + 0.01


def test_cycle_lengths_and_order():
    phase = 2 * np.pi * np.arange(501) / 100
    circle = np.stack([np.cos(phase), np.sin(phase)], axis=1)
    lengths = geometry.cycle_lengths(geometry.path_steps(circle), np.array([0, 100, 200, 500]))
    np.testing.assert_allclose(lengths, 2 * np.pi * np.array([1, 1, 3]), rtol=1e-3)
    taps, rng = np.arange(0, 50_001, 100), np.random.default_rng(0)
    phase = 2 * np.pi * np.arange(50_001) / 100
    noisy = np.stack([np.cos(phase), np.sin(phase)], axis=1) + 0.1 * rng.normal(size=(50_001, 2))
    single = geometry.cycle_lengths(geometry.path_steps(noisy), taps)
    mean = geometry.closed_length(geometry.mean_cycle(noisy, taps))
    assert single.mean() > 15 and mean == pytest.approx(2 * np.pi, rel=0.01)  # noise averages out
    rates = np.zeros((10, 4))
    rates[[5, 2, 7, 3], range(4)] = 1
    np.testing.assert_array_equal(geometry.firing_order(rates, [0, 9], 2), [1, 0, 3, 2])


def test_vector_field_of_a_linear_map():
    rng = np.random.default_rng(0)
    matrix = torch.tensor(0.3 * rng.normal(size=(5, 5)))
    axes = np.linalg.qr(rng.normal(size=(5, 2)))[0].T
    mean, start = rng.normal(size=5), torch.tensor(rng.normal(size=5))
    grid = geometry.plane_grid([0.5, -1.0], 2.0, 4)
    field = geometry.vector_field(lambda x: x @ matrix.T, start, grid, mean, axes, [1, 60], chunk=7)
    for n in (1, 60):
        for g, point in enumerate(grid):
            x = start.numpy()
            for _ in range(n):
                x = x + (point - geometry.project(x, mean, axes)) @ axes
                change = matrix.numpy() @ x - x
                x = x + change
            np.testing.assert_allclose(field[n][0][g], axes @ change, atol=1e-5)
            np.testing.assert_allclose(field[n][1][g], np.linalg.norm(change), atol=1e-5)
