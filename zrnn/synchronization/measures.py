"""A metronome that goes on, shifts or stops: numbers and arrays of what was tapped.

Each function returns numbers for synchronization.json and arrays for the .npz beside a figure.
Times are in [ms] where a key ends in _ms; `_se`: standard error, from runs with different noise.
Shapes: B tempos, R runs.
"""

import numpy as np

from zrnn.synchronization import protocols
from zrnn.synchronization import statistics as synchronization
from zrnn.synchronization.statistics import jackknife
from zrnn.taps import asynchronies, describe_beat

SECONDS = 20.0  # of each run with clicks, and in silence
MAX_LAG = 10
N_BEATS = 16  # counted after any tap, in silence
MOTOR_SD = 0.01  # [s] of the delays that are added to taps, to be found again
SHIFTS = np.array([s * sign for s in (0.05, 0.1, 0.2, 0.3) for sign in (1, -1)])
NOISE_SCALES = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0)
NOISE_SECONDS = 12.0
FEWEST_BEATS = 20  # of the slowest tempo; runs are longer where it needs more time


def with_errors(names, values, errors) -> dict:
    """{name: value, name_se: error} of numbers of the same order."""
    pairs = zip(names, np.ravel(values), np.ravel(errors), strict=True)
    return {
        key: float(x)
        for name, *both in pairs
        for key, x in zip((name, f"{name}_se"), both, strict=True)
    }


def asynchrony(tapping, periods) -> tuple[dict, dict]:
    """Asynchronies at a metronome, by midpoints of the taps and by maxima of the output."""
    numbers, rows = {}, []
    for b, period in enumerate(periods):
        clicks = tapping.clicks[b]
        runs = [asynchronies(taps, clicks, period) for taps in tapping.taps[b]]
        maxima = [asynchronies(taps, clicks, period) for taps in tapping.maxima[b]]

        def measures(runs):
            return np.append(
                1e3 * synchronization.mean_and_sd(runs), synchronization.autocorrelation(runs, 1)
            )

        names = "mean", "sd", "lag1"
        by_maxima = 1e3 * synchronization.mean_and_sd(maxima)
        numbers[period] = with_errors(names, *jackknife(measures, runs)) | {
            "mean_of_maxima": by_maxima[0],
            "sd_of_maxima": by_maxima[1],
            "clicks": len(clicks) * len(runs),
            "clicks_without_tap": int(sum(np.isnan(run).sum() for run in runs)),
        }
        rows.append([numbers[period][key] for key in ("mean", "sd", "lag1", "mean_of_maxima")])
    columns = np.array(rows).T
    names = "asynchrony_ms", "asynchrony_sd_ms", "asynchrony_lag1", "asynchrony_of_maxima_ms"
    return numbers, dict(zip(names, columns, strict=True))


def intervals(heard, silent, periods) -> tuple[dict, dict]:
    """ITIs with clicks and in silence: mean, SD, and correlations at lags 1 to MAX_LAG."""
    numbers, lags = {}, np.empty((2, len(periods), 2, MAX_LAG))
    for b, period in enumerate(periods):
        numbers[period] = {}
        for k, (name, tapping) in enumerate((("clicks", heard), ("silence", silent))):
            itis = [np.diff(taps) for taps in tapping.taps[b]]
            mean_sd = jackknife(lambda runs: 1e3 * synchronization.mean_and_sd(runs), itis)
            lag, lag_se = jackknife(lambda r: synchronization.autocorrelation(r, MAX_LAG), itis)
            lags[k, b] = lag, lag_se
            numbers[period][name] = with_errors(("mean_ms", "sd_ms"), *mean_sd) | {
                "lag1": lag[0],
                "lag1_se": lag_se[0],
                "lags": lag,
                "lags_se": lag_se,
                "n": sum(map(len, itis)),
            }
    return numbers, {"iti_lags_clicks": lags[0], "iti_lags_silence": lags[1]}


def clock_and_motor(silent, periods, seed: int) -> tuple[dict, dict]:
    """Wing and Kristofferson's variances in silence, as found and with known motor delays."""
    rng, numbers, rows = np.random.default_rng(seed), {}, []

    def variances(runs):
        found = synchronization.wing_kristofferson(runs)
        return 1e6 * np.array([found.clock, found.motor])

    for b, period in enumerate(periods):
        taps = silent.taps[b]
        delayed = [own + MOTOR_SD * rng.standard_normal(len(own)) for own in taps]
        numbers[period] = {}
        for name, series in (("network", taps), ("with_motor_delays", delayed)):
            found, errors = jackknife(variances, [np.diff(own) for own in series])
            sds = np.sqrt(np.maximum(found, 0))
            numbers[period][name] = with_errors(
                ("clock_variance_ms2", "motor_variance_ms2"), found, errors
            ) | {"clock_sd_ms": sds[0], "motor_sd_ms": sds[1]}
            rows.append(sds)
        numbers[period]["motor_sd_added_ms"] = 1e3 * MOTOR_SD
    sds = np.reshape(rows, (len(periods), 2, 2))
    return numbers, {"clock_and_motor_sd_ms": sds[:, 0], "with_motor_delays_sd_ms": sds[:, 1]}


def correction(heard, shifted, periods) -> tuple[dict, dict]:
    """Alpha at a regular metronome, and after phase shifts; shifted as of `shift_clicks`."""
    numbers, alphas = {}, np.empty((len(periods), 2))
    shares = np.empty((len(shifted), len(periods), len(SHIFTS), shifted.shape[-1]))
    for b, period in enumerate(periods):
        runs = [asynchronies(taps, heard.clicks[b], period) for taps in heard.taps[b]]
        alphas[b] = jackknife(synchronization.phase_correction, runs)
        numbers[period] = with_errors(["regular"], *alphas[b][:, None]) | {"shifts": {}}
        for s, shift in enumerate(SHIFTS):
            own, undisturbed = shifted[:, b, 1 + s], shifted[:, b, 0]
            shares[:, b, s] = synchronization.corrected_share(own, undisturbed, shift * period)
            mean, error = over_runs(shares[:, b, s])
            names = "same_tap", "next_tap"
            numbers[period]["shifts"][f"{shift:+g}"] = with_errors(names, mean[:2], error[:2])
    return numbers, {"alpha_regular": alphas, "shifts": SHIFTS, "corrected_shares": shares}


def over_runs(values) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the runs (R, ...) and its standard error; NaN where no run has a value."""
    n = np.isfinite(values).sum(axis=0)
    mean = np.nansum(values, axis=0) / np.where(n, n, np.nan)
    squares = np.nansum((values - mean) ** 2, axis=0)
    return mean, np.sqrt(squares / np.where(n > 1, n * (n - 1.0), np.nan))


def drift(silent, free, periods) -> tuple[dict, dict]:
    """Position against a metronome k beats after any tap in silence, and what noise predicts."""
    numbers, k = {}, np.arange(1, N_BEATS + 1)
    means, variances = np.full((2, len(periods), 2, N_BEATS), np.nan)
    for b, period in enumerate(periods):
        taps = silent.taps[b]

        def of_runs(runs, period=period):
            mean, variance = synchronization.drift(runs, period, N_BEATS)
            return np.stack([1e3 * mean, 1e6 * variance])

        found, errors = jackknife(of_runs, taps)
        means[b], variances[b] = zip(found, errors, strict=True)
        per_beat = jackknife(lambda runs: synchronization.diffusion(of_runs(runs)[1]), taps)
        predicted = 1e6 * free.diffusion[b]
        numbers[period] = with_errors(
            ("mean_per_beat_ms", "diffusion_ms2"),
            [means[b, 0, -1] / N_BEATS, per_beat[0]],
            [means[b, 1, -1] / N_BEATS, per_beat[1]],
        ) | {
            "beats": N_BEATS,
            "predicted_diffusion_ms2": predicted,
            "measured_by_predicted": per_beat[0] / predicted,
            "sd_per_beat_share": 1e-3 * np.sqrt(max(per_beat[0], 0)) / period,
        }
    arrays = {"k": k, "drift_ms": means, "variance_ms2": variances}
    return numbers, arrays | {"predicted_diffusion_ms2": 1e6 * free.diffusion}


def with_more_noise(model, periods, task, n_runs: int, seed: int) -> tuple[dict, dict]:
    """The beat in silence with the recurrent noise times NOISE_SCALES."""
    numbers, found = {}, np.empty((len(NOISE_SCALES), len(periods), 3))
    seconds = max(NOISE_SECONDS, FEWEST_BEATS * max(periods))
    for k, scale in enumerate(NOISE_SCALES):
        with model.temporarily(noise_scale=scale):
            tapping = protocols.keep_time(
                model, periods, task, seconds, protocols.LEAD_SECONDS, n_runs, seed + k
            )
        numbers[f"{scale:g}"] = {}
        for b, period in enumerate(periods):
            found[k, b] = _beat(tapping.taps[b], tapping.clicks[b][0], seconds, model.dt, period)
            names = "error", "cv", "runs_without_beat"
            own = dict(zip(names, found[k, b], strict=True))
            numbers[f"{scale:g}"][period] = own
    arrays = {"noise_scales": np.array(NOISE_SCALES), "noise_error_cv_lost": found}
    return numbers, arrays


def _beat(runs, start, end, dt, period):
    """Error of the mean ITI, CV (means over the runs with a beat), and share without a beat."""
    n_steps = round((end - start) / dt)
    beats = [describe_beat((taps - start) / dt, n_steps, dt, period) for taps in runs]
    good = [(beat.mean_iti / period - 1, beat.cv) for beat in beats if beat.ok]
    return [*(np.mean(good, axis=0) if good else (np.nan,) * 2), 1 - len(good) / len(beats)]
