"""Lengths and orders of signals with known answers."""

import numpy as np
import pytest

from zrnn import activity


def test_cycle_lengths_and_order():
    phase = 2 * np.pi * np.arange(501) / 100
    circle = np.stack([np.cos(phase), np.sin(phase)], axis=1)
    lengths = activity.cycle_lengths(circle, np.array([0, 100, 200, 500]))
    np.testing.assert_allclose(lengths, 2 * np.pi * np.array([1, 1, 3]), rtol=1e-3)
    taps, rng = np.arange(0, 50_001, 100), np.random.default_rng(0)
    phase = 2 * np.pi * np.arange(50_001) / 100
    noisy = np.stack([np.cos(phase), np.sin(phase)], axis=1) + 0.1 * rng.normal(size=(50_001, 2))
    single = activity.cycle_lengths(noisy, taps)
    mean = activity.closed_length(activity.mean_cycle(noisy, taps))
    assert single.mean() > 15 and mean == pytest.approx(2 * np.pi, rel=0.01)  # noise averages out
    rates = np.zeros((10, 4))
    rates[[5, 2, 7, 3], range(4)] = 1
    np.testing.assert_array_equal(activity.firing_order(rates, [0, 9], 2), [1, 0, 3, 2])
