"""Estimators of tapping: pure functions of the times of taps and clicks, all in [s].

`runs` are R series (K,) at one tempo, lists or arrays: taps, inter-tap intervals (ITIs), or
asynchronies (tap minus click). NaN stands for a tap at an unknown time or a click without a tap;
estimators leave it out unless they say otherwise. A trial of people has some 15 ITIs, and
estimators for short series.
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import zip_longest

import numpy as np
from scipy.linalg import solve_toeplitz

from zrnn.taps import asynchronies

REGULAR = 0.5, 1.5  # range of regular ITIs, by their median; above: a missed tap, below: a double
N_WITHIN = 3  # a tempo is reached when this many values in a row are near it
MIN_ITIS = 10  # of a continuation that is counted; also asynchronies of a trial, for alpha
BGLS_ITERATIONS = 20
FINE_SCALES = np.linspace(1, 4, 31)  # factors of the recurrent noise


def padded(runs) -> np.ndarray:
    """Series of different lengths as one array (R, K), with NaN after the end of each."""
    columns = list(zip_longest(*runs, fillvalue=np.nan))
    return np.array(columns, dtype=float).reshape(-1, len(runs)).T


def at_lag(values, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """The values (R, K) that have one `lag` columns earlier, and these, both (R, K - lag)."""
    return values[:, lag:], values[:, : max(values.shape[1] - lag, 0)]


def output_maxima(output, taps) -> np.ndarray:
    """Samples (K,) of the maximum of the output (T,) around each tap (K,) [samples].

    The mean difference to the midpoint, `taps.find_taps`, shows whether the wave is asymmetric.
    """
    if len(taps) == 0:
        return np.empty(0)
    borders = np.round((taps[1:] + taps[:-1]) / 2).astype(int)
    return np.array([part.argmax() for part in np.split(output, borders)]) + np.append(0, borders)


def jackknife(estimator: Callable, runs: Sequence) -> dict:
    """{name: value, name_se: its standard error} of estimator(runs) = {name: number or array}.

    The runs must be independent; the values in a run need not be.
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
    """Covariances (max_lag + 1,) at lags 0, 1, ... within the runs, around the mean of all runs."""
    deviations = padded(runs) - mean_and_sd(runs)[0]
    products = [np.multiply(*at_lag(deviations, lag)) for lag in range(max_lag + 1)]
    return np.array([np.nanmean(one) for one in products])


def autocorrelation(runs, max_lag: int) -> np.ndarray:
    """Correlations (max_lag,) at lags 1, 2, ...: `autocovariance` divided by the variance."""
    covariances = autocovariance(runs, max_lag)
    return covariances[1:] / covariances[0]


def _in_range(relative) -> np.ndarray:
    return (relative >= REGULAR[0]) & (relative <= REGULAR[1])


def regular_intervals(taps) -> np.ndarray:
    """ITIs (K - 1,) of taps (K,), NaN at and next to a missed, double or unknown tap."""
    itis = np.diff(np.asarray(taps, dtype=float))
    regular = np.pad(_in_range(itis / np.nanmedian(itis)), 1, constant_values=True)
    return np.where(regular[:-2] & regular[1:-1] & regular[2:], itis, np.nan)


def regular_asynchronies(taps, clicks, period: float) -> np.ndarray:
    """`taps.asynchronies` (K,) with clicks (K,), NaN unless the tap is at a regular interval."""
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
    """Alpha, the fraction of an asynchrony A that the next tap corrects, at regular clicks (K,).

    One minus the regression slope in A_{n+1} = (1 - alpha) A_n + noise. Motor noise would bias it;
    the network has none.
    """
    runs = [regular_asynchronies(taps, clicks, period) for taps in runs]
    return 1 - autocorrelation(runs, 1)[0]


def drift(runs, period: float, n_beats: int) -> tuple[np.ndarray, np.ndarray]:
    """Delay of taps behind a metronome that starts at any earlier tap: mean [s], variance [s^2].

    Both (n_beats,), 1 ... n_beats taps after the start, over all starts and runs.
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
    """Number (...), from 1, of the first of N_WITHIN errors (..., K) in a row that are small.

    That is, within tolerance; infinite where there are none.
    """
    near = np.abs(errors) <= tolerance
    near = np.lib.stride_tricks.sliding_window_view(near, N_WITHIN, axis=-1).all(-1)
    return np.where(near.any(-1), near.argmax(-1) + 1.0, np.inf)


def is_regular(itis, period: float) -> bool:
    """Whether at least MIN_ITIS ITIs are all REGULAR, and their median is, of the period."""
    median = np.median(itis)
    return len(itis) >= MIN_ITIS and _in_range(np.append(itis / median, median / period)).all()


def coefficient_of_variation(itis, degree: int = 0) -> float:
    """SD by mean of ITIs (K,); degree 1: SD around a line fitted to them, without the drift."""
    k = np.arange(len(itis))
    squares = np.square(itis - np.polyval(np.polyfit(k, itis, degree), k)).sum()
    return np.sqrt(squares / (len(itis) - 1 - degree)) / np.mean(itis)


def local_variation(itis) -> float:
    """SD of the differences of successive ITIs (K,), by sqrt(2) and by the mean ITI.

    Equals the CV where the ITIs are independent; a slow drift hardly counts.
    """
    return np.sqrt(np.mean(np.diff(itis) ** 2) / 2) / np.mean(itis)


@cache
def _forms(n: int, degree: int, max_lag: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums of lagged products of n residuals as quadratic forms of the series: (lags, n, n).

    And what each sum is on average, for each covariance of the series: (lags, lags).
    """
    powers = np.vander(np.linspace(-1, 1, n), degree + 1)
    residuals = np.eye(n) - powers @ np.linalg.pinv(powers)  # maps a series to its residuals
    lags = np.array([np.eye(n, k=k) + np.eye(n, k=-k) for k in range(max_lag + 1)])
    lags[0] /= 2
    forms = residuals @ lags @ residuals
    return forms, np.einsum("aij,bij->ab", forms, lags)


def unbiased_covariances(series, degree: int, max_lag: int) -> np.ndarray:
    """Covariances (max_lag + 1,) of short series [trial] -> (K,), each without its own trend.

    Trend: its mean (degree 0) or a line (degree 1). Subtracting it from some 15 ITIs biases the
    covariances towards negative values. The bias is removed: the sums of products are what they
    are on average for the result, if covariances at longer lags than max_lag are zero.
    """
    found, expected = np.zeros(max_lag + 1), np.zeros((max_lag + 1, max_lag + 1))
    for one in series:
        forms, averages = _forms(len(one), degree, max_lag)
        found += np.einsum("aij,i,j->a", forms, one, one)
        expected += averages
    return np.linalg.solve(expected, found)


def bgls(runs) -> np.ndarray:
    """Alpha, clock and motor variance [s^2] of asynchronies [run] -> (K,) with regular clicks.

    Bounded generalized least squares (Jacoby, Tishby, Repp, Ahissar & Keller 2015), of the model
    A_{k+1} = (1 - alpha) A_k + C_k + D_{k+1} - D_k: intervals C of a clock, motor delays D. The
    noise has the lag-1 covariance -var(D), which biases a regression; it is estimated from the
    residuals, with var(D) between 0 and var(C), and weights the next fit. NaN cuts a run in two;
    NaN is returned where nothing varies.
    """
    centred = [np.ma.masked_invalid(run - np.nanmean(run)) for run in runs]
    pieces = [run.data[known] for run in centred for known in np.ma.clump_unmasked(run)]
    pairs = [(piece[:-1], np.diff(piece)) for piece in pieces if len(piece) > 2]
    if not any(np.ptp(change) > 1e-9 for _, change in pairs):  # [s]; too few, or all the same
        return np.full(3, np.nan)
    clock, motor = 1.0, 0.0
    for _ in range(BGLS_ITERATIONS):
        products = np.zeros(2)
        for before, change in pairs:
            noise = np.pad([clock + 2 * motor, -motor], (0, len(before) - 2))  # at lags 0, 1, ...
            products += before @ solve_toeplitz(noise, np.stack([before, change], 1))
        alpha = -products[1] / products[0]
        residuals = [change + alpha * before for before, change in pairs]
        variance = np.mean(np.concatenate(residuals) ** 2)
        lag_1 = np.mean(np.concatenate([r[1:] * r[:-1] for r in residuals]))
        motor = np.clip(-lag_1, 0, variance / 3)
        clock = variance - 2 * motor
    return np.array([alpha, clock, motor])


def add_motor_delays(scaled: dict, delay_sds) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean ITI, CV and lag 1 with more noise and motor delays, each (FINE_SCALES, D).

    Interpolated in scaled: {noise scale: (mean ITI, CV, lag 1)} without delays. Independent delays
    of SD delay_sds (D,), in the unit of mean ITI times CV, add twice their variance to that of the
    ITIs and take it once from the lag-1 covariance (Wing & Kristofferson 1973).
    """
    scales, squares = sorted(scaled), np.square(delay_sds)
    columns = np.transpose([scaled[scale] for scale in scales])
    mean, cv, lag_1 = (np.interp(FINE_SCALES, scales, one)[:, None] for one in columns)
    variance = np.square(cv * mean)
    delayed = variance + 2 * squares
    return mean + 0 * squares, np.sqrt(delayed) / mean, (lag_1 * variance - squares) / delayed


def quartiles(found: list[dict]) -> dict:
    """{measure: [first quartile, median, third quartile, n]} of n subjects' measures.

    Quartiles are values of subjects, so that "never", an infinite number of clicks, can be one.
    """
    summary = {}
    for name in dict.fromkeys(name for one in found for name in one):
        values = [one[name] for one in found if not np.isnan(one.get(name, np.nan))]
        if values:
            three = np.percentile(values, [25, 50, 75], method="inverted_cdf")
            summary[name] = [*three.tolist(), len(values)]
    return summary
