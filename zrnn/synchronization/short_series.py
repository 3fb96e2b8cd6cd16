"""Estimators for short trials of tapping, such as those of people. Times in [s].

A trial of people has some 15 inter-tap intervals (ITIs); `estimators` holds the estimators for
longer runs.
"""

from functools import cache

import numpy as np
from scipy.linalg import solve_toeplitz

MIN_ITIS = 10  # of a continuation that is counted; also asynchronies of a trial, for alpha
REGULAR = 0.5, 1.5  # range of the ITIs of a continuation that is counted, by their median
BGLS_ITERATIONS = 20
FINE_SCALES = np.linspace(1, 4, 31)  # factors of the recurrent noise


def is_regular(itis, period: float) -> bool:
    """Whether at least MIN_ITIS ITIs are all REGULAR, and their median is, of the period."""
    if len(itis) < MIN_ITIS:
        return False
    relative = np.append(itis / np.median(itis), np.median(itis) / period)
    return bool(REGULAR[0] <= relative.min() and relative.max() <= REGULAR[1])


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


def covariances(series, degree: int, max_lag: int) -> np.ndarray:
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

    scaled: {noise scale: (mean ITI, CV, lag 1)} of taps without delays, between which results are
    interpolated; delay_sds (D,), in the unit of mean ITI times CV: SD of independent delays, each
    added to a tap, so that the variance of the ITIs grows by 2 and their lag-1 covariance falls by
    1 times its square (Wing & Kristofferson 1973).
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


def nearest(grids, targets) -> tuple[int, ...]:
    """Indices at which grids, arrays of one shape, are nearest to targets.

    targets: [first quartile, median, third quartile, ...] for each grid. The distance is that from
    the medians, in units of the interquartile ranges; of the medians for a single subject.
    """
    squares = [
        np.square((grid - median) / (high - low or median))
        for grid, (low, median, high, *_) in zip(grids, targets, strict=True)
    ]
    return np.unravel_index(np.sum(squares, axis=0).argmin(), squares[0].shape)
