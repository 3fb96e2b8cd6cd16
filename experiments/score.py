"""Measures of the score card: sequences, trajectories, groups of I units, shift by noise.

Arrays in, numbers out. A cycle holds the rates of N units at P phases from tap to tap; phases and
lags are in cycles. Shapes: B tempos, from slow to fast, P phases, N units.
"""

import numpy as np
from scipy.stats import entropy
from sklearn.metrics import silhouette_score

from zrnn.populations.inhibition_timing import two_means

N_BINS = 20  # time bins of a cycle, for the peaks and the index of sequentiality
EVEN_FRACTION = 0.2  # of the mean number of peaks in a bin: a bin with more is covered
SHUFFLES = 20  # random draws for the value of shuffled units
NULL_DRAWS = 40  # random draws of a continuum of phases
QUANTILE = 0.95  # of these draws, which two clusters must exceed


def sequentiality_index(cycle: np.ndarray) -> float:
    """Index of sequentiality of a cycle (P, N) by Zhou, Masmanidis & Buonomano (2020), 0 to 1.

        SqI = sqrt(PE TS),   PE = -sum_j p_j log p_j / log M,
        TS = 1 - mean_t(-sum_i r_it log r_it) / log N

    p_j: fraction of the units whose peak is in time bin j of M; r_it: rate of unit i in bin t,
    divided by the sum over the units. Before, each rate is divided by the unit's largest.
    1: each unit is active alone in one bin; 0: all peak together, or all are always active.
    """
    bins = np.array([part.mean(axis=0) for part in np.array_split(cycle, N_BINS)])  # (M, N)
    bins = bins / bins.max(axis=0)
    peaks = np.bincount(bins.argmax(axis=0), minlength=N_BINS)
    bins = bins[bins.any(axis=1)]  # without any activity, a bin has no sparsity
    sparsity = 1 - entropy(bins, axis=1).mean() / np.log(bins.shape[1])
    return float(np.sqrt(entropy(peaks) / np.log(N_BINS) * sparsity))


def shuffled_index(cycle: np.ndarray, rng: np.random.Generator) -> float:
    """The index of a cycle (P, N) after every unit is moved by a random phase; mean over draws.

    The peaks are then evenly spread, and the widths of the units' activity are as before.
    """
    phases, units = np.arange(len(cycle))[:, None], np.arange(cycle.shape[1])
    draws = rng.integers(len(cycle), size=(SHUFFLES, cycle.shape[1]))
    moved = [cycle[(phases + shift) % len(cycle), units] for shift in draws]
    return float(np.mean([sequentiality_index(one) for one in moved]))


def peak_coverage(cycle: np.ndarray) -> float:
    """Fraction of the N_BINS bins of a cycle (P, N) that are covered by peaks of units."""
    counts = np.bincount(cycle.argmax(axis=0) * N_BINS // len(cycle), minlength=N_BINS)
    return float((counts >= EVEN_FRACTION * cycle.shape[1] / N_BINS).mean())


def order_kept(first: np.ndarray, second: np.ndarray, rng=None) -> float:
    """How equal the peak phases of the same units are in two cycles (P, N), 0 to 1.

    Length of the mean of exp(2 pi i difference) over the units. rng: shuffles the units of the
    second cycle; mean over draws.
    """
    ahead, behind = (2 * np.pi * (cycle.argmax(axis=0) / len(cycle)) for cycle in (first, second))
    draws = [behind] if rng is None else [rng.permutation(behind) for _ in range(SHUFFLES)]
    return float(np.mean([abs(np.exp(1j * (ahead - other)).mean()) for other in draws]))


def similarity(cycles: np.ndarray) -> float:
    """Correlation of the shapes of cycles (B, P, N), centred, mean over pairs of tempos."""
    centred = (cycles - cycles.mean(axis=1, keepdims=True)).reshape(len(cycles), -1)
    return float(np.corrcoef(centred)[np.triu_indices(len(cycles), 1)].mean())


def ordered_phases(cycles: np.ndarray) -> float:
    """Fraction of the phases at which the states (B, N) of cycles (B, P, N) lie in order of tempo.

    In order: along the first principal component of the B states at that phase.
    """
    centred = (cycles - cycles.mean(axis=0)).transpose(1, 0, 2)  # (P, B, N)
    steps = np.diff(np.linalg.svd(centred, full_matrices=False).U[..., 0], axis=1)
    return float(((steps > 0).all(axis=1) | (steps < 0).all(axis=1)).mean())


def silhouette(lags: np.ndarray) -> float:
    """Silhouette of the split of lags (K,) into two clusters on the circle; NaN without a split."""
    clusters = two_means(lags, np.ones(len(lags), dtype=bool), seed=0)
    if not clusters:
        return np.nan
    on_circle = np.stack([np.cos(2 * np.pi * lags), np.sin(2 * np.pi * lags)], axis=1)
    return float(silhouette_score(on_circle, next(iter(clusters.values()))))


def continuum_silhouette(lags: np.ndarray, rng: np.random.Generator) -> float:
    """The 95 % quantile of the silhouettes of random continua with as many lags (K,).

    The larger of two continua that are as concentrated as the given lags: one peak (von Mises),
    and an arc with evenly spread lags, the whole circle if they are not concentrated at all.
    """
    length, draws = abs(np.exp(2j * np.pi * lags).mean()), (NULL_DRAWS, len(lags))
    kappa = length * (2 - length**2) / (1 - length**2 + 1e-12)  # Banerjee et al. (2005)
    arcs = np.linspace(0, 1, 1001)[::-1]
    arc = np.interp(length, np.sinc(arcs), arcs)  # [cycles] its mean vector has this length
    continua = rng.vonmises(0, kappa, draws) / (2 * np.pi), arc * (rng.random(draws) - 0.5)
    return max(float(np.quantile([silhouette(one) for one in some], QUANTILE)) for some in continua)


def extrapolated_shift(less, more, factor: float):
    """The shift of the period by noise, from its shifts at SD / factor (less) and SD x factor.

    By symmetry the shift has even powers of the SD s only: shift = A s^2 + B s^4. This gives
    A + B, its value at s = 1.
    """
    square = factor**2
    powers = [[1 / square, 1 / square**2], [square, square**2]]
    return np.linalg.solve(powers, [less, more]).sum(axis=0)
