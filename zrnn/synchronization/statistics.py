"""How well taps keep time with clicks, and with a metronome that has fallen silent.

Pure functions of the times of taps and clicks, all in [s]. A tapper's `runs` are a list of series
(K,) of one kind, asynchronies (`taps.asynchronies`, tap minus click, NaN for a click without a
tap) or inter-tap intervals (ITIs), all at one tempo.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

LOCKINGS = ((1, 1), (1, 2), (2, 1))  # taps, clicks in a pattern that repeats
MAX_SLIP = 0.05  # [cycles] a pattern that repeats moves by less in the second half of a run
STAY = 3  # a tempo is reached when so many ITIs in a row are near it


def tap_maxima(output, taps) -> np.ndarray:
    """Samples (K,) of the largest output (T,) around each tap (K,) [samples], half way to the next.

    Another mark of the same tap: noise moves it more than the midpoint of the output's rise and
    fall, but its mean says whether the wave is lopsided.
    """
    if len(taps) == 0:
        return np.empty(0)
    borders = np.round((taps[1:] + taps[:-1]) / 2).astype(int)
    return np.array([part.argmax() for part in np.split(output, borders)]) + np.append(0, borders)


def jackknife(measure: Callable, runs: Sequence) -> tuple[np.ndarray, np.ndarray]:
    """measure(runs), a number or an array, and its standard error, by leaving out one run a time.

    The runs must be independent; what happens within a run need not be.
    """
    value = np.asarray(measure(runs), dtype=float)
    if len(runs) < 2:
        return value, np.full_like(value, np.nan)
    left_out = np.array([measure([*runs[:i], *runs[i + 1 :]]) for i in range(len(runs))])
    return value, np.sqrt((len(runs) - 1) * left_out.var(axis=0))


def mean_and_sd(runs) -> np.ndarray:
    """Mean and SD over all values of the runs that are not NaN -> (2,)."""
    values = np.concatenate([np.asarray(run, dtype=float) for run in runs])
    values = values[np.isfinite(values)]
    return np.array([values.mean(), values.std(ddof=1)]) if len(values) > 1 else np.full(2, np.nan)


def autocovariance(runs, max_lag: int) -> np.ndarray:
    """Covariances (max_lag + 1,) at lags 0, 1, ... within the runs, around the mean of them all.

    A mean of each run's own would pull the covariances of short runs down.
    """
    mean = mean_and_sd(runs)[0]
    deviations = [np.asarray(run, dtype=float) - mean for run in runs]
    covariances = np.full(max_lag + 1, np.nan)
    for lag in range(max_lag + 1):
        products = np.concatenate([d[lag:] * d[: max(len(d) - lag, 0)] for d in deviations])
        if np.isfinite(products).any():
            covariances[lag] = np.nanmean(products)
    return covariances


def autocorrelation(runs, max_lag: int) -> np.ndarray:
    """Correlations (max_lag,) at lags 1, 2, ...: `autocovariance` by the variance."""
    covariances = autocovariance(runs, max_lag)
    return covariances[1:] / covariances[0]


@dataclass(frozen=True)
class ClockAndMotor:
    """Variances [s^2] of a clock and of motor delays; negative ones: the model does not hold."""

    clock: float
    motor: float


def wing_kristofferson(itis) -> ClockAndMotor:
    """Clock and motor variance in ITIs without clicks (Wing & Kristofferson 1973).

    A clock with independent intervals C_j triggers taps after independent motor delays D_j, so an
    ITI is C_j + D_j - D_{j-1}: lag-1 covariance -var(D), variance var(C) + 2 var(D).
    """
    variance, lag_1 = autocovariance(itis, 1)
    return ClockAndMotor(clock=variance + 2 * lag_1, motor=-lag_1)


def phase_correction(runs) -> float:
    """Alpha, the share of an asynchrony that the next tap makes good, at a regular metronome.

    One minus the slope of the regression of an asynchrony on the one before: of the linear model
    A_{n+1} = (1 - alpha) A_n + noise. Motor noise, which a network has not, would bias it.
    """
    variance, lag_1 = autocovariance(runs, 1)
    return 1 - lag_1 / variance


def corrected_share(asynchrony, undisturbed, shift: float) -> np.ndarray:
    """Share of a shift [s] of the clicks that the taps have followed, tap by tap -> (K,).

    asynchrony (K,): from the first shifted click on; undisturbed (K,) or a number: without shift.
    """
    return 1 + (np.asarray(asynchrony) - undisturbed) / shift


def drift(runs, period: float, n_beats: int) -> tuple[np.ndarray, np.ndarray]:
    """Position of taps (K,) against a metronome, k = 1 ... n_beats beats after any tap of theirs.

    Returns the mean [s] and the variance [s^2] (n_beats,) over all starting points and runs.
    """
    means, variances = np.full((2, n_beats), np.nan)
    for k in range(1, n_beats + 1):
        errors = np.concatenate([run[k:] - run[: max(len(run) - k, 0)] for run in runs])
        if len(errors) > 1:
            means[k - 1], variances[k - 1] = errors.mean() - k * period, errors.var(ddof=1)
    return means, variances


def diffusion(variances) -> float:
    """Variance (K,) that positions gain per beat, k = 1 ... K: its slope against k.

    Weighted by 1 / k, since a variance over k beats is known to a share of itself.
    """
    k = np.arange(1, len(variances) + 1)
    good = np.isfinite(variances)
    return np.polyfit(k[good], variances[good], 1, w=1 / k[good])[0] if good.sum() > 1 else np.nan


def taps_until(errors, tolerance: float) -> int | None:
    """After how many of them errors (K,) are within the tolerance, for STAY in a row at least.

    1: the first is. None: never.
    """
    near = np.abs(np.asarray(errors, dtype=float)) <= tolerance
    for k in range(len(near) - STAY + 1):
        if near[k : k + STAY].all():
            return k + 1
    return None


def adapted_period(period, asynchrony, usual, gain: float):
    """Listening: the period [s] that the cue stands for after a tap, by period correction.

    A tap later than usual (asynchrony above `usual` [s], the network's own at this tempo) says
    that the cue is too slow. In the manner of the bias current of Bose, Byrne & Rinzel (2019),
    which learns the tempo of the clicks from the timing errors of its own spikes. Against zero
    instead of `usual`, the cue would settle at a wrong tempo.
    """
    return period - gain * (asynchrony - usual)


def phases_at(times, taps) -> np.ndarray:
    """Phase [cycles] of a beat at times (K,): 0 at the first tap (M,), 1 at the second, and so on.

    Up to one ITI before the first tap and after the last, the phase goes on at their pace.
    """
    if len(taps) < 2:
        return np.full(len(times), np.nan)
    ends = [2 * taps[0] - taps[1], 2 * taps[-1] - taps[-2]]
    return np.interp(times, [ends[0], *taps, ends[1]], np.arange(-1.0, len(taps) + 1))


def wrapped(phases) -> np.ndarray:
    """Phases [cycles] in -1/2 ... 1/2."""
    return (np.asarray(phases) + 0.5) % 1 - 0.5


def locking(phases) -> tuple[int, int] | None:
    """Which of LOCKINGS, (taps, clicks), holds in the second half of phases at clicks (K,).

    p taps to q clicks: from click to q-th next click the phase grows by p, whatever the click.
    """
    second_half = np.asarray(phases)[len(phases) // 2 :]
    for p, q in LOCKINGS:
        slip = second_half[::q] - p * np.arange(len(second_half[::q]))
        if len(slip) > 2 and np.ptp(slip) < MAX_SLIP:
            return p, q
    return None


def shift_of_phase(response, phases) -> np.ndarray:
    """A phase-response curve (P,) [cycles], at phases 0, 1 / P, ..., at any phases [cycles].

    Linear between neighbours modulo a whole cycle; whole cycles are those of the nearer one.
    """
    at = np.asarray(phases) % 1 * len(response)
    left = np.floor(at).astype(int) % len(response)
    share = at - np.floor(at)
    jump = response[(left + 1) % len(response)] - response[left]
    cycles = np.round(jump)
    return response[left] + share * (jump - cycles) + np.where(share > 0.5, cycles, 0)


def iterate_response(response, ratios, n_clicks: int) -> np.ndarray:
    """Phases (n_clicks, R) [cycles] at clicks whose periods are `ratios` (R,) of the beat's own.

    Each click changes the phase by the response (P,); the first comes at a tap.
    """
    phases = np.zeros((n_clicks, len(ratios)))
    for now, following in zip(phases[:-1], phases[1:], strict=True):
        following[:] = now + shift_of_phase(response, now) + ratios
    return phases
