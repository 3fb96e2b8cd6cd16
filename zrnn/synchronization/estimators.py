"""Estimators of tapping: pure functions of the times of taps and clicks, all in [s].

`runs` are R series (K,) at one tempo, lists or arrays: taps, inter-tap intervals (ITIs), or
asynchronies (tap minus click). NaN stands for a tap at an unknown time or a click without a tap;
every estimator leaves it out.
"""

from collections.abc import Callable, Sequence
from itertools import zip_longest

import numpy as np

from zrnn.taps import asynchronies

MISSED, DOUBLE = 1.5, 0.5  # an ITI above 1.5 medians: a missed tap; below 0.5: a double tap
N_WITHIN = 3  # a tempo is reached when this many values in a row are near it
LOCKING_PATTERNS = ((1, 1), (1, 2), (2, 1))  # (taps, clicks) of one repetition
MAX_SLIP = 0.05  # [cycles] by which a locked phase may vary in the second half of a run


def padded(runs) -> np.ndarray:
    """Series of different lengths as one array (R, K), with NaN after the end of each."""
    columns = list(zip_longest(*runs, fillvalue=np.nan))
    return np.array(columns, dtype=float).reshape(-1, len(runs)).T


def at_lag(values, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """The values (R, K) that have one `lag` columns earlier, and these, both (R, K - lag)."""
    return values[:, lag:], values[:, : max(values.shape[1] - lag, 0)]


def output_maxima(output, taps) -> np.ndarray:
    """Samples (K,) of the maximum of the output (T,) around each tap (K,) [samples].

    A second definition of the time of a tap. Noise moves it more than the midpoint that is
    `taps.find_taps`, but the mean difference shows whether the wave is asymmetric.
    """
    if len(taps) == 0:
        return np.empty(0)
    borders = np.round((taps[1:] + taps[:-1]) / 2).astype(int)
    return np.array([part.argmax() for part in np.split(output, borders)]) + np.append(0, borders)


def jackknife(estimator: Callable, runs: Sequence) -> dict:
    """{name: value, name_se: its standard error} of estimator(runs) = {name: number or array}.

    Leaves out one run at a time. The runs must be independent; the values in a run need not be.
    """
    n, results = len(runs), {}
    left_out = [estimator([*runs[:i], *runs[i + 1 :]]) for i in range(n) if n > 1]
    for name, value in estimator(runs).items():
        variance = np.var([row[name] for row in left_out], axis=0) if n > 1 else value * np.nan
        results |= {name: value, f"{name}_se": np.sqrt((n - 1) * variance)}
    return results


def mean_and_sd(runs) -> np.ndarray:
    """Mean and SD over all values of the runs -> (2,)."""
    values = padded(runs)
    return np.array([np.nanmean(values), np.nanstd(values, ddof=1)])


def autocovariance(runs, max_lag: int) -> np.ndarray:
    """Covariances (max_lag + 1,) at lags 0, 1, ... within the runs, around the mean of all runs.

    The mean of each single run would bias the covariances of short runs towards negative values.
    """
    deviations = padded(runs) - mean_and_sd(runs)[0]
    products = [np.multiply(*at_lag(deviations, lag)) for lag in range(max_lag + 1)]
    return np.array([np.nanmean(one) for one in products])


def autocorrelation(runs, max_lag: int) -> np.ndarray:
    """Correlations (max_lag,) at lags 1, 2, ...: `autocovariance` divided by the variance."""
    covariances = autocovariance(runs, max_lag)
    return covariances[1:] / covariances[0]


def regular_intervals(taps) -> np.ndarray:
    """ITIs (K - 1,) of taps (K,), NaN at and next to a missed, double or unknown tap."""
    itis = np.diff(np.asarray(taps, dtype=float))
    relative = itis / np.nanmedian(itis)
    regular = np.pad((relative >= DOUBLE) & (relative <= MISSED), 1, constant_values=True)
    return np.where(regular[:-2] & regular[1:-1] & regular[2:], itis, np.nan)


def regular_asynchronies(taps, clicks, period: float) -> np.ndarray:
    """`taps.asynchronies` (K,) with clicks (K,), of the taps that begin or end a regular interval.

    NaN for the other clicks.
    """
    known = np.pad(np.isfinite(regular_intervals(taps)), 1)
    regular = (known[:-1] | known[1:])[: len(taps)]
    return asynchronies(np.asarray(taps, dtype=float)[regular], np.asarray(clicks), period)


def wing_kristofferson(runs) -> np.ndarray:
    """Clock and motor variance (2,) [s^2] of taps without clicks (Wing & Kristofferson 1973).

    A clock with independent intervals C_j triggers taps after independent motor delays D_j, so that
    an ITI is C_j + D_j - D_{j-1}: its variance is var(C) + 2 var(D), its lag-1 covariance -var(D).
    A negative variance means that the model does not hold.
    """
    variance, lag_1 = autocovariance([regular_intervals(taps) for taps in runs], 1)
    return np.array([variance + 2 * lag_1, -lag_1])


def phase_correction(runs, clicks, period: float) -> float:
    """Alpha, the fraction of an asynchrony that the next tap corrects, at a regular metronome.

    Of taps, all runs with the same clicks (K,), one each `period`. One minus the regression slope
    of an asynchrony on the one before: A_{n+1} = (1 - alpha) A_n + noise. Motor noise would bias
    the estimate; the network has none.
    """
    runs = [regular_asynchronies(taps, clicks, period) for taps in runs]
    return 1 - autocorrelation(runs, 1)[0]


def drift(runs, period: float, n_beats: int) -> tuple[np.ndarray, np.ndarray]:
    """Position of taps relative to a metronome, k = 1 ... n_beats taps after any of the taps.

    Returns its mean [s] and variance [s^2], (n_beats,), over all starting taps and runs.
    """
    beats = np.arange(1, n_beats + 1)
    elapsed = [np.subtract(*at_lag(padded(runs), k)) for k in beats]
    means = np.array([np.nanmean(one) for one in elapsed]) - beats * period
    return means, np.array([np.nanvar(one, ddof=1) for one in elapsed])


def diffusion(variances) -> float:
    """Variance that the position gains in each beat: slope of variances (K,) against k = 1 ... K.

    Weighted by 1 / k, because the uncertainty of a variance grows in proportion to it.
    """
    k = 1 + np.flatnonzero(np.isfinite(variances))
    return np.polyfit(k, np.asarray(variances)[k - 1], 1, w=1 / k)[0] if len(k) > 1 else np.nan


def first_within(errors, tolerance: float) -> np.ndarray:
    """Number, from 1, of the first of N_WITHIN errors (..., K) in a row that are within tolerance.

    Of shape (...); infinite where there are none.
    """
    near = np.abs(errors) <= tolerance
    near = np.lib.stride_tricks.sliding_window_view(near, N_WITHIN, axis=-1).all(-1)
    return np.where(near.any(-1), near.argmax(-1) + 1.0, np.inf)


def phases_at(times, taps) -> np.ndarray:
    """Phase [cycles] of the beat at times (M,): 0 at the first tap (K,), 1 at the second, ...

    The phase grows linearly between taps, and for one ITI before the first and after the last.
    """
    if len(taps) < 2:
        return np.full(len(times), np.nan)
    extended = [2 * taps[0] - taps[1], *taps, 2 * taps[-1] - taps[-2]]
    return np.interp(times, extended, np.arange(-1, len(taps) + 1))


def wrapped(phases) -> np.ndarray:
    """Phases [cycles] in -1/2 ... 1/2."""
    return (np.asarray(phases) + 0.5) % 1 - 0.5


def locking_pattern(phases) -> int:
    """1 + the index in LOCKING_PATTERNS of the pattern of phases (K,) [cycles] at clicks, or 0.

    p taps to q clicks: over q clicks the phase grows by p, throughout the second half of the run.
    """
    second_half = np.asarray(phases)[len(phases) // 2 :]
    for number, (p, q) in enumerate(LOCKING_PATTERNS, start=1):
        slip = second_half[::q] - p * np.arange(len(second_half[::q]))
        if len(slip) > 2 and np.ptp(slip) < MAX_SLIP:
            return number
    return 0


def interpolate_response(response, phases) -> np.ndarray:
    """A phase-response curve (P,) [cycles], known at phases p / P, at any phases [cycles].

    Linear between neighbours modulo one cycle; whole cycles are those of the nearer neighbour.
    """
    response, position = np.asarray(response), np.asarray(phases) % 1 * len(response)
    left = np.floor(position).astype(int) % len(response)
    fraction = position - np.floor(position)
    jump = response[(left + 1) % len(response)] - response[left]
    cycles = np.round(jump)
    return response[left] + fraction * (jump - cycles) + np.where(fraction > 0.5, cycles, 0)


def iterate_phase_map(response, ratios, n_clicks: int) -> np.ndarray:
    """Phases (n_clicks, M) [cycles] at clicks whose periods are `ratios` (M,) of the beat's period.

    Each click adds the response (P,) to the phase; the first click comes at a tap.
    """
    phases = [np.zeros(len(ratios))]
    for _ in range(n_clicks - 1):
        phases.append(phases[-1] + interpolate_response(response, phases[-1]) + ratios)
    return np.array(phases)
