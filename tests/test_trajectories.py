"""Lengths, orders and fields of signals and systems with known answers."""

import numpy as np
import pytest
import torch

from zrnn import trajectories


def test_cycle_lengths_and_order():
    phase = 2 * np.pi * np.arange(501) / 100
    circle = np.stack([np.cos(phase), np.sin(phase)], axis=1)
    lengths = trajectories.cycle_lengths(circle, np.array([0, 100, 200, 500]))
    np.testing.assert_allclose(lengths, 2 * np.pi * np.array([1, 1, 3]), rtol=1e-3)
    taps, rng = np.arange(0, 50_001, 100), np.random.default_rng(0)
    phase = 2 * np.pi * np.arange(50_001) / 100
    noisy = np.stack([np.cos(phase), np.sin(phase)], axis=1) + 0.1 * rng.normal(size=(50_001, 2))
    single = trajectories.cycle_lengths(noisy, taps)
    mean = trajectories.closed_length(trajectories.mean_cycle(noisy, taps))
    assert single.mean() > 15 and mean == pytest.approx(2 * np.pi, rel=0.01)  # noise averages out
    rates = np.zeros((10, 4))
    rates[[5, 2, 7, 3], range(4)] = 1
    np.testing.assert_array_equal(trajectories.firing_order(rates, [0, 9], 2), [1, 0, 3, 2])


def test_vector_field_of_a_linear_map():
    rng = np.random.default_rng(0)
    matrix = torch.tensor(0.3 * rng.normal(size=(5, 5)))
    axes = np.linalg.qr(rng.normal(size=(5, 2)))[0].T
    mean, start = rng.normal(size=5), torch.tensor(rng.normal(size=5))
    grid = trajectories.plane_grid([0.5, -1.0], 2.0, 4)
    field = trajectories.vector_field(
        lambda x: x @ matrix.T, start, grid, mean, axes, [1, 60], chunk=7
    )
    for n in (1, 60):
        for g, point in enumerate(grid):
            x = start.numpy()
            for _ in range(n):
                x = x + (point - trajectories.project(x, mean, axes)) @ axes
                change = matrix.numpy() @ x - x
                x = x + change
            np.testing.assert_allclose(field[n][0][g], axes @ change, atol=1e-5)
            np.testing.assert_allclose(field[n][1][g], np.linalg.norm(change), atol=1e-5)
