"""Measures of a run: normalised rates, firing order, mean cycle, principal components.

Arrays in, arrays out. Shapes: T time steps, N units, P phases of a cycle, K taps.
"""

import numpy as np

TAP_PHASE = 0.2  # [cycles] a tap unit has the peak of its current within this of the tap


def normalise_rates(states):
    """Rates max(x, 0) of currents x (T, N), each unit scaled to 0..1 over the run.

    A unit whose rate never changes is 0 throughout.
    """
    rates = np.maximum(states, 0)
    low, high = rates.min(axis=0), rates.max(axis=0)
    return (rates - low) / np.where(high > low, high - low, 1)


def firing_order(rates, taps, n_excit):
    """Units (N,) in the order of their largest rate (T, N) between the first two taps [samples].

    The first n_excit units (E) are sorted among themselves and come before the others (I).
    """
    peak_time = rates[taps[0] : taps[1]].argmax(axis=0)
    order = np.argsort(peak_time, kind="stable")
    return np.concatenate([order[order < n_excit], order[order >= n_excit]])


def cycle_lengths(rates, taps):
    """Length of the trajectory rates (T, N) from each of the taps (K,) to the next -> (K - 1,)."""
    steps = np.linalg.norm(np.diff(rates, axis=0), axis=1).astype(float)
    return np.add.reduceat(steps[taps[0] : taps[-1]], taps[:-1] - taps[0])


def closed_length(cycle):
    """Length of the closed curve through the points (P, N) of a cycle."""
    return np.linalg.norm(cycle - np.roll(cycle, 1, axis=0), axis=1).sum()


def fit_plane(states: np.ndarray, n_components: int = 2) -> tuple[np.ndarray, ...]:
    """Principal components of states (samples, N): mean (N,), axes (n_components, N), explained.

    explained (n_components,): fraction of the variance, 0 where nothing varies. `project` subtracts
    the same mean.
    """
    from sklearn.decomposition import PCA  # here: importing it takes long, also for --help

    with np.errstate(invalid="ignore"):
        pca = PCA(n_components, svd_solver="covariance_eigh").fit(states)
    return pca.mean_, pca.components_, np.nan_to_num(pca.explained_variance_ratio_)


def project(states: np.ndarray, mean: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Coordinates of states (..., N) along the axes -> (..., n_components)."""
    return (states - mean) @ axes.T


def mean_cycle(signals, taps, n_phases=100):
    """Mean of signals (T, N) over the cycles between taps (K,) [samples] -> (n_phases, N).

    Row k is the phase k / n_phases of the cycle; row 0 is the tap.
    """
    phases = np.arange(n_phases) / n_phases
    samples = np.concatenate(
        [a + phases * (b - a) for a, b in zip(taps[:-1], taps[1:], strict=True)]
    )
    cycles = signals[np.round(samples).astype(int)].reshape(len(taps) - 1, n_phases, -1)
    return cycles.mean(axis=0)


def peak_phases(states, taps):
    """Phase in 0..1, from the tap, at which the mean current (T, N) of each unit peaks -> (N,)."""
    cycle = mean_cycle(states, taps)
    return cycle.argmax(axis=0) / len(cycle)


def tap_units(phases, tap_phase=TAP_PHASE):
    """Which units peak within tap_phase [cycles] before or after the tap: phases (N,) -> (N,)."""
    return np.minimum(phases, 1 - phases) < tap_phase
