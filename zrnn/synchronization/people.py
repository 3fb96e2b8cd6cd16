"""Taps of people: reading of three CSV formats, and the measures that people and networks share.

Times in [s]. docs/people.md describes the formats of COLUMNS. Nothing here touches the disk.
"""

import ast
import csv
import io
from dataclasses import dataclass

import numpy as np
import torch

from zrnn.errors import UserError
from zrnn.synchronization import estimators
from zrnn.synchronization.estimators import autocorrelation, coefficient_of_variation, first_within
from zrnn.synchronization.protocols import FIRST_CLICK, run_phase_shifts, tap_along
from zrnn.taps import asynchronies
from zrnn.task import context_cue

PAZDERA, BAATH = "Pazdera & Trainor 2025", "Bååth & Madison 2012"
COLUMNS = {  # data set, None: one's own: the columns it must have
    None: ("subject", "trial", "period_ms", "phase", "tap_ms", "click_ms"),
    PAZDERA: ("subject", "event", "ioi", "tap_types", "tap_times", "tone_times"),
    BAATH: ("subject", "trial", "isi", "asynch"),
}
# the measures that noise and motor delays are compared by
MEAN, LAG_1 = "mean ITI [ms]", "lag 1 of ITIs without drift"
CV = "CV without drift, RMS over trials [%]"
N_CLICKS, N_TAPS = 8, 16  # of a trial: clicks, then taps in silence (Pazdera & Trainor 2025)
N_METRONOME = 31  # [clicks] of a trial with clicks throughout (Bååth & Madison 2012)
LAGS = [f"lag {k} of ITIs" for k in range(1, 6)]  # measures
STEADY = 0.1  # [periods] around the mean asynchrony: taps are steady
SETTLING_CLICKS = 4  # asynchronies with the first clicks are left out
SHIFT_PERIOD, SHIFTS = 0.5, np.array([-0.1, 0.1])  # [s]; [periods], negative: clicks come earlier
PUBLISHED = {  # {period [s]: {measure: text}}; docs/people.md says where they were read
    0.4: {"alpha, regular clicks": "0.35 to 0.64"},
    0.5: {
        "shift -50 ms: asynchrony 1 [ms]": "48",
        "shift -50 ms: asynchrony 2 [ms]": "18",
        "shift +50 ms: asynchrony 1 [ms]": "-52",
        "shift +50 ms: asynchrony 2 [ms]": "-12",
    },
    0.7: {"alpha, regular clicks": "0.49 to 0.78"},
}


@dataclass(frozen=True)
class Trial:
    """Times [s] of one trial: all taps, and `continuation`, those after the last click."""

    subject: str
    period: float
    clicks: np.ndarray
    taps: np.ndarray
    continuation: np.ndarray


def read_trials(text: str, name: str) -> tuple[str | None, list[Trial]]:
    """The data set of COLUMNS and the trials of a CSV file's text. UserError names the file."""
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff")))
    read = {None: _read_own, PAZDERA: _read_pazdera, BAATH: _read_baath}
    try:
        rows, columns = list(reader), reader.fieldnames or []
        known = [kind for kind, needed in COLUMNS.items() if set(needed) <= set(columns)]
        trials = read[known[0]](rows) if known else []
    except (csv.Error, ValueError, SyntaxError, TypeError, AttributeError) as error:
        raise UserError(f"{name}: a value cannot be read ({str(error)[:80]})") from None
    if not known:
        found = ", ".join(map(str, columns))[:100] or "none"
        raise UserError(f"{name}: columns {found!r}; allowed: {', '.join(COLUMNS[None])}")
    if not trials:
        raise UserError(f"{name}: no trials; allowed: a row for each tap")
    return known[0], trials


def _groups(rows, *keys) -> dict:
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[key].strip() for key in keys), []).append(row)
    return groups


def _seconds(rows, column: str) -> np.ndarray:
    """Cells in [ms], except empty ones, as times [s] in ascending order, each once."""
    times = np.array([float(row[column]) for row in rows if row[column].strip()]) / 1000
    if not np.isfinite(times).all():
        raise ValueError("a time is not finite")
    return np.unique(times)


def _read_own(rows):
    trials = []
    for (subject, _, period), some in _groups(rows, "subject", "trial", "period_ms").items():
        phases = _groups(some, "phase")
        if set(phases) - {("S",), ("C",)} or not 0 < float(period) < np.inf:
            raise ValueError("allowed: phase S or C, period_ms above 0")
        clicks = _seconds(phases.get(("S",), []), "click_ms")
        continuation = _seconds(phases.get(("C",), []), "tap_ms")
        taps = _seconds(some, "tap_ms")
        trials.append(Trial(subject, float(period) / 1000, clicks, taps, continuation))
    return trials


def _read_pazdera(rows):
    """Without practice. Some files are in [s], others in [ms]: the intervals of the clicks tell."""
    trials = []
    for row in (row for row in rows if row["event"] == "trial"):
        kinds, taps, tones = (ast.literal_eval(row[name]) for name in COLUMNS[PAZDERA][3:])
        continued = [kind in ("C", b"C") for kind in kinds]
        taps, clicks = np.array(taps, dtype=float), np.array(tones[:N_CLICKS], dtype=float)
        period = float(row["ioi"]) / 1000
        unit = 1000 if np.median(np.diff(clicks)) > 10 * period else 1
        taps, clicks = taps / unit, clicks / unit
        trials.append(Trial(row["subject"], period, clicks, taps, taps[continued]))
    return trials


def _read_baath(rows):
    """Only asynchronies are known: the rows of a trial are taken as those of successive clicks."""
    trials = []
    for (subject, _, isi), some in _groups(rows, "subject", "trial", "isi").items():
        clicks = float(isi) / 1000 * np.arange(len(some))
        taps = clicks + [float(row["asynch"]) / 1000 for row in some]
        trials.append(Trial(subject, float(isi) / 1000, clicks, taps, np.empty(0)))
    return trials


def continuation_measures(runs) -> dict:
    """Of regular continuations [trial] -> (K,) [s] at one period; names end in units."""
    itis = [np.diff(run) for run in runs]
    slopes = [np.polyfit(np.arange(len(one)), one, 1)[0] for one in itis]
    mean, lags = np.mean(np.concatenate(itis)), estimators.unbiased_covariances(itis, 0, len(LAGS))
    variance, lag_1 = estimators.unbiased_covariances(itis, 1, 1)
    raw = autocorrelation([one - one.mean() for one in itis], 1)[0]
    return {
        MEAN: 1e3 * mean,
        "change of the ITI per tap [ms]": 1e3 * np.median(slopes),
        "CV [%]": 100 * np.median([coefficient_of_variation(one) for one in itis]),
        "CV without drift [%]": 100 * np.median([coefficient_of_variation(one, 1) for one in itis]),
        "CV, local [%]": 100 * np.median([estimators.local_variation(one) for one in itis]),
        "lag 1 of ITIs, not corrected": raw,
        **dict(zip(LAGS, lags[1:] / lags[0], strict=True)),
        LAG_1: lag_1 / variance,
        CV: 100 * np.sqrt(variance) / mean,
        "clock SD [ms]": 1e3 * np.sqrt(max(variance + 2 * lag_1, 0)),  # as wing_kristofferson
        "motor SD [ms]": 1e3 * np.sqrt(max(-lag_1, 0)),
    }


def synchronization_measures(trials) -> dict:
    """Of the taps with clicks, at one period; alpha and lag 1 of trials with enough clicks."""
    period = trials[0].period
    known = [asynchronies(trial.taps, trial.clicks, period) for trial in trials]
    settled = [one[SETTLING_CLICKS:] for one in known]
    settled = [one for one in settled if np.isfinite(one).sum() > 1]
    if not settled:
        return {}
    mean = np.nanmean(np.concatenate(settled))
    steady = [first_within(one - mean, STEADY * period) for one in known if len(one) > 2]
    variances = [np.nanvar(one, ddof=1) for one in settled]
    results = {
        "mean asynchrony [ms]": 1e3 * mean,
        "SD of asynchronies [ms]": 1e3 * np.sqrt(np.mean(variances)),
        "clicks until steady": np.median(steady),
    }
    long = [one for one in settled if np.isfinite(one).sum() >= estimators.MIN_ITIS]
    if long:
        lag_1 = autocorrelation([one - np.nanmean(one) for one in long], 1)[0]
        results |= {"lag 1 of asynchronies": lag_1, "alpha by regression": 1 - lag_1}
        results["alpha by bGLS"] = estimators.bgls(long)[0]
    return results


def measure(trials) -> dict:
    """{measure: number} of the trials of one subject at one period."""
    silent = [trial.continuation for trial in trials if len(trial.continuation)]
    regular = [taps for taps in silent if estimators.is_regular(np.diff(taps), trials[0].period)]
    results = {"continuations counted [%]": 100 * len(regular) / len(silent)} if silent else {}
    results |= continuation_measures(regular) if regular else {}
    return results | synchronization_measures(trials)


def measure_subjects(trials) -> list[dict]:
    """`measure` of each subject of trials at one period."""
    subjects = dict.fromkeys(trial.subject for trial in trials)
    return [measure([trial for trial in trials if trial.subject == one]) for one in subjects]


def drive(model, period: float, scales, task, runs: int, seed: int) -> dict:
    """{noise scale: {measure: number}} of a network at a period [s].

    Each: `runs` trials of clicks and silence; scale 1: also `runs` trials with clicks throughout.
    """
    n_clicks = [N_CLICKS] * len(scales) * runs + [N_METRONOME] * runs
    trains = [FIRST_CLICK + period * np.arange(n) for n in n_clicks]
    generator = torch.Generator(model.w_hh.device).manual_seed(seed)
    factors = torch.tensor([*np.repeat(scales, runs), *[1.0] * runs]).to(model.w_hh)
    noise = model.noise(generator, trial_scale=factors)
    cues = [context_cue(period, task.cue_constant)] * len(trains)
    n_steps = round((N_METRONOME + 1) * period / model.dt)
    taps = tap_along(model, trains, cues, n_steps, task.click_width, noise=noise)
    trials = {scale: [] for scale in scales}
    for scale, clicks, times in zip(factors.tolist(), trains, taps, strict=True):
        silent = times[times > clicks[-1] + period / 2][: N_TAPS if len(clicks) == N_CLICKS else 0]
        trials[scale].append(Trial("", period, clicks, times, silent))
    return {scale: measure(some) for scale, some in trials.items()}


def shift_clicks(model, task, runs: int, seed: int) -> dict:
    """{measure: mean asynchrony [ms]} with the first shifted clicks, minus that without shift."""
    found = run_phase_shifts(model, [SHIFT_PERIOD], task, SHIFTS, runs, seed)[:, 0]
    change = 1e3 * np.nanmean(found[:, 1:] - found[:, :1], axis=0)  # (shifts, clicks)
    return {
        f"shift {1e3 * shift * SHIFT_PERIOD:+.0f} ms: asynchrony {k} [ms]": value
        for shift, row in zip(SHIFTS, change, strict=True)
        for k, value in enumerate(row[:3], start=1)
    }
