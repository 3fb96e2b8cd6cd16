"""What is read off a run: normalised rates and planes.

Arrays and tensors in, arrays out; nothing here reads a file or knows which period was asked for.
Shapes: T time steps, N units.
"""

import numpy as np
from sklearn.decomposition import PCA

TAP_PHASE = 0.2  # [cycles] tap units peak within this of the tap


def normalise_rates(states):
    """Firing rates max(x, 0) of currents (T, N), each unit stretched to 0..1 over the run.

    A unit whose rate never changes stays at 0.
    """
    rates = np.maximum(states, 0)
    low, high = rates.min(axis=0), rates.max(axis=0)
    return (rates - low) / np.where(high > low, high - low, 1)


def firing_order(rates, taps, n_excit):
    """Units (N,) sorted by the time of their largest rate within the first ITI, E before I.

    rates (T, N); taps, samples; E and I units are sorted apart.
    """
    peak_time = rates[taps[0] : taps[1]].argmax(axis=0)
    order = np.argsort(peak_time, kind="stable")
    return np.concatenate([order[order < n_excit], order[order >= n_excit]])


def path_steps(rates):
    """How far the trajectory (T, N) comes in each step, 0 in the first -> (T,)."""
    return np.concatenate([[0], np.linalg.norm(np.diff(rates, axis=0), axis=1)])


def cycle_lengths(steps, taps):
    """Length of a trajectory of `path_steps` (T,) in each cycle from tap to tap -> (taps - 1,)."""
    return np.add.reduceat(steps[taps[0] + 1 : taps[-1] + 1], taps[:-1] - taps[0])


def closed_length(cycle):
    """Length of the closed path through the points of a cycle (P, N)."""
    return np.linalg.norm(cycle - np.roll(cycle, 1, axis=0), axis=1).sum()


def fit_plane(states: np.ndarray, n_components: int = 2) -> tuple[np.ndarray, ...]:
    """Principal components of states (samples, N): (mean (N,), axes (n_components, N), explained).

    The mean is the only centring, and `project` uses the same one. explained: share of variance, 0
    where nothing varies.
    """
    with np.errstate(invalid="ignore"):
        pca = PCA(n_components, svd_solver="covariance_eigh").fit(states)
    return pca.mean_, pca.components_, np.nan_to_num(pca.explained_variance_ratio_)


def project(states: np.ndarray, mean: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Coordinates of states (..., N) along the axes -> (..., n_components)."""
    return (states - mean) @ axes.T


def mean_cycle(signals, taps, n_phases=100):
    """Mean of signals (T, N) over the cycles from tap to tap, at n_phases phases -> (n_phases, N).

    taps, samples; row k is the phase k / n_phases of a cycle, row 0 is the tap.
    """
    phases = np.arange(n_phases) / n_phases
    samples = np.concatenate(
        [a + phases * (b - a) for a, b in zip(taps[:-1], taps[1:], strict=True)]
    )
    cycles = signals[np.round(samples).astype(int)].reshape(len(taps) - 1, n_phases, -1)
    return cycles.mean(axis=0)


def peak_phases(states, taps):
    """Phase in 0..1 (0: at the tap) at which each unit's mean current is largest -> (N,).

    states (T, N); taps, samples; the mean is over the cycles from tap to tap.
    """
    cycle = mean_cycle(states, taps)
    return cycle.argmax(axis=0) / len(cycle)


def tap_units(phases, tap_phase=TAP_PHASE):
    """Which units peak within tap_phase of a cycle around the tap: (N,) of bool."""
    return np.minimum(phases, 1 - phases) < tap_phase
