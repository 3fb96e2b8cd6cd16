"""The measures of plot_synchronization.py: {name: array} of all tempos or conditions.

Arguments are in [s], results in [ms] where their names say so. _se: standard error over runs.
Shapes: B tempos, R runs with different noise, K taps, S shifts or steps, H heights of a click,
M ratios of periods, P phases, C conditions.
"""

import numpy as np
import torch

from zrnn.synchronization import estimators, phase_response, protocols
from zrnn.synchronization.adaptive_cue import run_adaptive_cue
from zrnn.synchronization.estimators import first_within, jackknife
from zrnn.taps import asynchronies, describe_beat

SIGNS = (1, -1)  # each size of a shift, step or error is given in both directions
RECORDED_RUNS = 2  # whose mean gives the trajectories
MAX_LAG = 10  # [ITIs] of the autocorrelation
MOTOR_SD = 0.01  # [s] of delays added to taps, as a test of the Wing-Kristofferson estimates
SHIFTS = np.outer((0.05, 0.1, 0.2, 0.3), SIGNS).ravel()  # [periods] of the clicks
DRIFT_BEATS = 16  # [taps] after any tap
ACTIVE = 0.1  # active units: their rates vary by more than this fraction of the largest variation
NOISE_SCALES = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0)  # factors of sigma_rec
SMALL_HEIGHT = 0.05  # of a click, to compare with the adjoint
HEIGHTS = np.arange(1, 9) / 4  # of clicks, for locking; in the task the height is 1
RATIOS = np.linspace(0.5, 2, 31)  # period of the clicks by that of the cycle, for locking
FINE_RATIOS = np.linspace(0.5, 2, 301)  # the same, for the prediction
STEPS = np.outer((0.05, 0.1, 0.2, 0.4), SIGNS).ravel()  # [periods] of the tempo
STEP_TOLERANCE = 0.05  # [periods] within which the tempo after a step is reached
CUE_CONDITIONS = ("wrong cue", "clicks step")  # of the adaptive cue
CUE_ERRORS = np.outer((0.1, 0.2, 0.4), SIGNS).ravel()  # [periods] between cue and clicks
CUE_TOLERANCE = 0.02  # [periods] within which the cue has reached the clicks' period
GAINS = (0.1, 0.3, 1.0)  # of the adaptive cue, compared at GAIN_ERRORS
GAIN_ERRORS = 0.2 * np.array(SIGNS)  # [periods] between cue and clicks


def describe(series, name: str) -> dict:
    """Mean, SD and autocorrelation (MAX_LAG,) of ITIs or asynchronies [run] -> (K,) [s]."""
    mean, sd = 1e3 * estimators.mean_and_sd(series)
    lags = estimators.autocorrelation(series, MAX_LAG)
    found = {"mean_ms": mean, "sd_ms": sd, "lag1": lags[0], "lags": lags}
    return {f"{name}_{measure}": value for measure, value in found.items()}


def synchronization(taps, maxima, clicks, period) -> dict:
    """Asynchronies, ITIs and alpha at a metronome, of taps and maxima, both [run] -> (K,)."""

    def estimates(runs):
        found = describe([asynchronies(run, clicks, period) for run in runs], "asynchrony")
        found |= describe([np.diff(run) for run in runs], "synchronization_iti")
        return found | {"alpha": estimators.phase_correction(runs, clicks, period)}

    of_taps, of_maxima = ([asynchronies(x, clicks, period) for x in xs] for xs in (taps, maxima))
    counts = {"clicks": np.size(of_taps), "clicks_without_tap": np.isnan(of_taps).sum()}
    return jackknife(estimates, taps) | describe(of_maxima, "asynchrony_of_maxima") | counts


def continuation(taps, period, predicted, rng) -> dict:
    """ITIs, clock and motor variance, and drift of taps [run] -> (K,) without clicks.

    predicted: diffusion [s^2] by the phase response; rng: of motor delays that are added as a test.
    """

    def clock_and_motor(runs):
        clock, motor = 1e6 * estimators.wing_kristofferson(runs)
        return {"clock_variance_ms2": clock, "motor_variance_ms2": motor}

    def estimates(runs):
        mean, variance = estimators.drift(runs, period, DRIFT_BEATS)
        position = {"drift_mean_ms": 1e3 * mean, "drift_variance_ms2": 1e6 * variance}
        position["diffusion_ms2"] = 1e6 * estimators.diffusion(variance)
        itis = describe([np.diff(run) for run in runs], "continuation_iti")
        return itis | clock_and_motor(runs) | position

    delayed = [run + MOTOR_SD * rng.standard_normal(len(run)) for run in taps]
    delayed = jackknife(clock_and_motor, delayed)
    found = jackknife(estimates, taps) | {"diffusion_predicted_ms2": 1e6 * predicted}
    return found | {f"delays_added_{name}": value for name, value in delayed.items()}


def phase_shifts(shifted, period) -> dict:
    """Fraction of a shift of the clicks by SHIFTS that taps correct: mean over runs, (S, clicks).

    shifted (R, 1 + S, clicks): as of `run_phase_shifts`. Column 0: the tap at the first shifted
    click, column 1: the next tap.
    """
    fractions = 1 + (shifted[:, 1:] - shifted[:, :1]) / (SHIFTS * period)[:, None]
    errors = np.nanstd(fractions, axis=0, ddof=1) / np.sqrt(np.isfinite(fractions).sum(axis=0))
    return {"corrected_fraction": np.nanmean(fractions, axis=0), "corrected_fraction_se": errors}


def trajectories(cycles, periods, phase: str) -> dict:
    """Shape of mean cycles (B, P, N), rates of N units from tap to tap; empty for None."""
    if cycles is None:
        return {}
    centred = cycles - cycles.mean(axis=1, keepdims=True)
    segments = np.linalg.norm(np.roll(cycles, -1, axis=1) - cycles, axis=-1)  # (B, P)
    variation = np.ptp(cycles, axis=1)  # (B, N)
    first, second = np.triu_indices(len(cycles), 1)  # pairs of tempos
    return {
        f"{phase}_radius": np.sqrt(np.square(centred).sum(-1).mean(-1)),
        f"{phase}_speed": segments.sum(-1) / np.asarray(periods),
        f"{phase}_active_units": (variation > ACTIVE * variation.max()).sum(-1),
        f"{phase}_distance": np.linalg.norm(cycles[first] - cycles[second], axis=-1).mean(0),
    }


def metronome(model, periods, task, seconds: float, n_runs: int, seed: int, diffusion) -> dict:
    """All measures above, at each of periods (B,); diffusion (B,) [s^2]: as predicted."""
    clicked, alone = (
        protocols.run_metronome(model, periods, task, seconds, end, n_runs, noise, RECORDED_RUNS)
        for end, noise in ((seconds, seed), (protocols.LEAD_SECONDS, seed + 1))
    )
    shifted = protocols.run_phase_shifts(model, periods, task, SHIFTS, n_runs, seed)
    rows, rng = [], np.random.default_rng(seed)
    for b, period in enumerate(periods):
        row = synchronization(clicked.taps[b], clicked.maxima[b], clicked.clicks[b], period)
        row |= continuation(alone.taps[b], period, diffusion[b], rng)
        rows.append(row | phase_shifts(shifted[:, b], period))
    results = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    results |= trajectories(clicked.cycles, periods, "synchronization")
    results |= trajectories(alone.cycles, periods, "continuation")
    return results | {"periods": periods, "shifts": SHIFTS}


def scaled_noise(model, periods, task, seconds: float, n_runs: int, seed: int) -> dict:
    """The beat in the continuation, with recurrent noise multiplied by NOISE_SCALES: (scales, B).

    Error of the mean ITI and CV are means over the runs with a beat.
    """
    error, cv, lost = np.full((3, len(NOISE_SCALES), len(periods)), np.nan)
    for k, scale in enumerate(NOISE_SCALES):
        n_different = n_runs if scale else 1  # without noise, all runs are the same
        run = model, periods, task, seconds, protocols.LEAD_SECONDS, n_different, seed + k
        with model.temporarily(noise_scale=scale):
            tapping = protocols.run_metronome(*run)
        for b, period in enumerate(periods):
            start, dt = tapping.clicks[b][0], model.dt
            runs, n_steps = tapping.taps[b], round((seconds - start) / dt)
            beats = [describe_beat((taps - start) / dt, n_steps, dt, period) for taps in runs]
            good = [(beat.mean_iti / period - 1, beat.cv) for beat in beats if beat.ok]
            lost[k, b] = 1 - len(good) / len(beats)
            if good:
                error[k, b], cv[k, b] = np.mean(good, axis=0)
    scales = {"noise_scales": np.array(NOISE_SCALES)}
    return scales | {"noise_error": error, "noise_cv": cv, "noise_fraction_lost": lost}


def click_responses(model, free, click_width) -> dict:
    """Phase response of free cycles to one click, full or small, and by the adjoint, (B, P)."""
    small, full = np.full((2, *free.click.shape), np.nan)
    for b in np.flatnonzero(np.isfinite(free.period)):
        heights = [SMALL_HEIGHT, 1.0]
        small[b], full[b] = phase_response.click_responses(model, free, b, heights, click_width)
    small, advances = small / SMALL_HEIGHT, phase_response.wrapped(full)
    error = np.sqrt(np.mean((small - free.click) ** 2, 1) / np.mean(free.click**2, 1))
    return {
        "period_ms": 1e3 * free.period,
        "largest_advance": np.nanmax(advances, axis=1),
        "largest_delay": np.nanmin(advances, axis=1),
        "mean_advance": np.nanmean(advances.clip(min=0), axis=1),
        "mean_delay": np.nanmean(advances.clip(max=0), axis=1),
        "fraction_of_phases_that_stop_the_beat": np.isnan(full).mean(axis=1),
        "adjoint_error": error,  # by the RMS of the adjoint's response
        "phases": phase_response.PHASES,
        "small_clicks": small,
        "clicks": full,
        "adjoint": free.click,
    }


def arnold_tongues(model, free, b: int, click_width) -> dict:
    """`locking_pattern` of cycle b, measured and predicted by its phase-response curves, (H, M)."""
    measured = phase_response.locking_patterns(model, free, b, RATIOS, HEIGHTS, click_width)
    curves = phase_response.click_responses(model, free, b, HEIGHTS, click_width)
    predicted = phase_response.predicted_patterns(curves, RATIOS)
    return {
        "heights": HEIGHTS,
        "ratios": RATIOS,
        "measured": measured,
        "predicted": predicted,
        "fraction_predicted": (measured == predicted).mean(),
        "fine_ratios": FINE_RATIOS,
        "fine_predicted": phase_response.predicted_patterns(curves, FINE_RATIOS),
    }


def tempo_steps(model, period, task, n_runs: int, noise) -> dict:
    """ITIs [periods before the step] after steps of the tempo, in the C conditions of TEMPO_STEPS.

    And after the clicks have stopped, in the last condition, where they alone had stepped.
    """
    after_step, after_clicks = protocols.run_tempo_steps(model, period, task, STEPS, n_runs, noise)
    medians = np.nanmedian(after_step / period, axis=2)  # (C, S, ITIs)
    cue_steps = np.array([cue_steps for _, cue_steps in protocols.TEMPO_STEPS.values()])
    cues = 1 + cue_steps[:, None, None] * STEPS[:, None]  # tempos after the step, (C, S, 1)
    return {
        "conditions": list(protocols.TEMPO_STEPS),
        "steps": STEPS,
        "itis_to_5_percent_of_cue": first_within(medians / cues - 1, STEP_TOLERANCE),
        "median_itis": medians,
        "median_itis_after_clicks": np.nanmedian(after_clicks / period, axis=1),
        "itis": after_step / period,
        "itis_after_clicks": after_clicks / period,
    }


def adaptive_cue(model, period, task, usual, gain: float, n_runs: int, seed: int) -> dict:
    """A cue that adapts to clicks at the period, or, if the clicks step, from it.

    In CUE_CONDITIONS with this gain, and from a wrong cue with GAINS. usual: as in
    `run_adaptive_cue`. Medians over runs (C,); errors by the clicks' period.
    """
    rows = [(condition, size, gain) for condition in CUE_CONDITIONS for size in CUE_ERRORS]
    rows += [(f"gain {other:g}", size, other) for other in GAINS for size in GAIN_ERRORS]
    conditions, sizes, gains = (np.repeat(column, n_runs) for column in zip(*rows, strict=True))
    steps, other = conditions == "clicks step", period * (1 + sizes)
    cues, leads = np.where(steps, period, other), np.where(steps, period, 0)
    clicks = np.where(steps, other, period)
    noise = torch.Generator(model.w_hh.device).manual_seed(seed)
    found = run_adaptive_cue(model, cues, leads, clicks, gains, usual, task, noise)
    cue_errors = (found[0] / clicks[:, None] - 1).reshape(len(rows), n_runs, -1)
    final_errors = (found[1] / clicks - 1).reshape(len(rows), n_runs)
    needed = first_within(cue_errors, CUE_TOLERANCE)
    return {
        "cue_condition": conditions[::n_runs],
        "cue_or_clicks_change": sizes[::n_runs],
        "cue_clicks_to_2_percent": np.median(needed, axis=1),
        "cue_fraction_within_2_percent": np.isfinite(needed).mean(axis=1),
        "cue_final_error": np.nanmedian(final_errors, axis=1),
        "cue_continuation_iti": np.nanmedian(found[2].reshape(len(rows), n_runs), axis=1),
        "cue_errors": cue_errors,
    }


def tempos_compared(periods) -> list[float]:
    """First, middle and last of the trained periods [s]; the middle one is the reference."""
    return list(dict.fromkeys([periods[0], periods[len(periods) // 2], periods[-1]]))
