"""Taps of people: reading of three CSV formats, and the measures that people and networks share.

Times in [s]. The formats are those of COLUMNS: one's own (docs/people.md describes it), Pazdera &
Trainor (2025) and Bååth & Madison (2012). Nothing here touches the disk.
"""

import ast
import csv
import io
from dataclasses import dataclass

import numpy as np

from zrnn.errors import UserError
from zrnn.synchronization import statistics
from zrnn.synchronization.statistics import as_arrays
from zrnn.taps import asynchronies

PAZDERA, BAATH = "Pazdera & Trainor 2025", "Bååth & Madison 2012"
COLUMNS = {  # data set, None: one's own: the columns it must have
    None: ("subject", "trial", "period_ms", "phase", "tap_ms", "click_ms"),
    PAZDERA: ("subject", "event", "ioi", "tap_types", "tap_times", "tone_times"),
    BAATH: ("subject", "trial", "isi", "asynch"),
}
PAZDERA_CLICKS = 8  # tones of a trial that do not depend on the taps
MAX_LAG = 5  # [ITIs]
MIN_ITIS = 10  # of a continuation that is counted; the same for the asynchronies of a trial
REGULAR = 0.5, 1.5  # [periods] range of all ITIs of a continuation that is counted
SETTLING_CLICKS = 4  # the asynchronies of the first clicks are left out of mean, SD and alpha
STEADY = 0.1  # [periods] around the mean asynchrony: taps are steady


@dataclass(frozen=True)
class Trial:
    """Taps of one trial [s]: `taps` near the clicks, and `continuation`, those after the clicks."""

    subject: str
    period: float
    clicks: np.ndarray
    taps: np.ndarray
    continuation: np.ndarray


def read_trials(text: str, name: str) -> tuple[str | None, list[Trial]]:
    """The data set of COLUMNS and the trials of a CSV file's text. UserError names the file."""
    rows = csv.DictReader(io.StringIO(text.lstrip("\ufeff")))
    columns = rows.fieldnames or []
    known = [kind for kind, needed in COLUMNS.items() if set(needed) <= set(columns)]
    if not known:
        found = ", ".join(map(str, columns))[:100] or "none"
        raise UserError(f"{name}: columns {found!r}; allowed: {', '.join(COLUMNS[None])}")
    readers = {None: _read_own, PAZDERA: _read_pazdera, BAATH: _read_baath}
    try:
        trials = readers[known[0]](list(rows))
    except (ValueError, SyntaxError, TypeError) as error:
        raise UserError(f"{name}: a value cannot be read ({str(error)[:80]})") from None
    if not trials:
        raise UserError(f"{name}: no trial; allowed: a row for each tap below the names of columns")
    return known[0], trials


def _groups(rows, *keys) -> dict:
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[key].strip() for key in keys), []).append(row)
    return groups


def _seconds(texts) -> np.ndarray:
    """Texts in [ms], without the empty ones, as ascending times [s]. ValueError if not finite."""
    times = np.array([float(text) for text in texts if text and text.strip()])
    if not np.isfinite(times).all():
        raise ValueError("a time is not finite")
    return np.unique(times) / 1000


def _read_own(rows):
    trials = []
    for (subject, _, period), some in _groups(rows, "subject", "trial", "period_ms").items():
        phases = {phase: [r for r in some if r["phase"].strip() == phase] for phase in "SC"}
        if sum(map(len, phases.values())) < len(some):
            raise ValueError("a phase is neither S nor C")
        if not float(period) > 0:
            raise ValueError(f"period_ms is {period}")
        taps, continuation = (_seconds(r["tap_ms"] for r in phases[phase]) for phase in "SC")
        clicks = _seconds(r["click_ms"] for r in phases["S"])
        trials.append(Trial(subject, float(period) / 1000, clicks, taps, continuation))
    return trials


def _read_pazdera(rows):
    """The trials without practice; tones that taps triggered are left out.

    Some subjects' times are in [s], the others' in [ms]; the interval between clicks tells.
    """
    trials = []
    for row in (row for row in rows if row["event"] == "trial"):
        kinds, taps, tones = (
            ast.literal_eval(row[name]) for name in ("tap_types", "tap_times", "tone_times")
        )
        kinds = np.array([k.decode() if isinstance(k, bytes) else k for k in kinds])
        taps, clicks = np.array(taps, dtype=float), np.array(tones[:PAZDERA_CLICKS], dtype=float)
        period = float(row["ioi"]) / 1000
        unit = 1000 if np.median(np.diff(clicks)) > 10 * period else 1
        taps, clicks = taps / unit, clicks / unit
        trials.append(Trial(row["subject"], period, clicks, taps, taps[kinds == "C"]))
    return trials


def _read_baath(rows):
    """Only asynchronies are known: the rows of a trial are taken as those of successive clicks."""
    trials = []
    for (subject, _, isi), some in _groups(rows, "subject", "trial", "isi").items():
        period = float(isi) / 1000
        clicks = period * np.arange(1, len(some) + 1)
        taps = clicks + np.array([float(row["asynch"]) for row in some]) / 1000
        trials.append(Trial(subject, period, clicks, taps, np.empty(0)))
    return trials


def without_trend(series, degree: int) -> np.ndarray:
    """A series (K,) minus its mean (degree 0), or minus the line fitted to it (degree 1)."""
    k = np.arange(len(series))
    return np.asarray(series) - np.polyval(np.polyfit(k, series, degree), k)


def coefficient_of_variation(itis, degree: int = 0) -> float:
    """SD by mean of ITIs (K,); degree 1: of their deviations from a line, without the drift."""
    squares = np.square(without_trend(itis, degree)).sum()
    return np.sqrt(squares / (len(itis) - 1 - degree)) / np.mean(itis)


def local_variation(itis) -> float:
    """SD of the differences of successive ITIs (K,), by sqrt(2) and by their mean.

    Equals the CV where the ITIs are independent; a slow drift does not count.
    """
    return np.sqrt(np.mean(np.diff(itis) ** 2) / 2) / np.mean(itis)


def bgls(runs, n_iterations: int = 20) -> np.ndarray:
    """Alpha, clock and motor variance [s^2] of asynchronies [run] -> (K,) with regular clicks.

    Bounded generalized least squares (Jacoby, Tishby, Repp, Ahissar & Keller 2015), of the model
    A_{k+1} = (1 - alpha) A_k + C_k + D_{k+1} - D_k: intervals C of a clock, motor delays D. The
    noise has the lag-1 covariance -var(D), which biases a regression; it is estimated from the
    residuals, with var(D) between 0 and var(C), and weights the next fit. NaN cuts a run in two.
    """
    pieces = []
    for run in as_arrays(runs):
        run = run - np.nanmean(run) if np.isfinite(run).any() else run
        cuts = np.flatnonzero(~np.isfinite(run))
        pieces += [piece[np.isfinite(piece)] for piece in np.split(run, cuts)]
    pairs = [(piece[:-1], np.diff(piece)) for piece in pieces if len(piece) > 2]
    if not pairs:
        return np.full(3, np.nan)
    clock, motor = 1.0, 0.0
    for _ in range(n_iterations):
        products = np.zeros(2)
        for before, change in pairs:
            n = len(before)
            noise = (clock + 2 * motor) * np.eye(n) - motor * (np.eye(n, k=1) + np.eye(n, k=-1))
            products += before @ np.linalg.solve(noise, np.stack([before, change], 1))
        alpha = -products[1] / products[0]
        residuals = [change + alpha * before for before, change in pairs]
        variance = np.mean(np.concatenate(residuals) ** 2)
        lag_1 = np.mean(np.concatenate([r[1:] * r[:-1] for r in residuals]))
        motor = min(max(-lag_1, 0), variance / 3)
        clock = variance - 2 * motor
    return np.array([alpha, clock, motor])


def clicks_until_steady(asynchronies, mean: float, period: float) -> float:
    """Number of the first click from which three asynchronies (K,) in a row are near the mean."""
    return statistics.first_within(np.asarray(asynchronies) - mean, STEADY * period)


def regular_continuations(trials) -> list[np.ndarray]:
    """The continuations of at least MIN_ITIS ITIs, all within REGULAR."""
    low, high = REGULAR
    itis = [np.diff(trial.continuation) / trial.period for trial in trials]
    good = [len(some) >= MIN_ITIS and low <= min(some) and max(some) <= high for some in itis]
    return [trial.continuation for trial, ok in zip(trials, good, strict=True) if ok]


def continuation_measures(runs) -> dict:
    """Of continuations [trial] -> (K,) [s] at one period, at least one; names end in units."""
    itis = [np.diff(run) for run in runs]
    centred, straight = ([without_trend(one, degree) for one in itis] for degree in (0, 1))
    lags = statistics.autocorrelation(centred, MAX_LAG)
    mean = np.mean(np.concatenate(itis))
    steady = [np.cumsum(np.append(0, mean + one)) for one in straight]  # taps without drift
    clock, motor = statistics.wing_kristofferson(steady)
    return {
        "mean ITI [ms]": 1e3 * np.median([one.mean() for one in itis]),
        "change of the ITI per tap [ms]": 1e3
        * np.median([np.polyfit(np.arange(len(one)), one, 1)[0] for one in itis]),
        "CV [%]": 100 * np.median([coefficient_of_variation(one) for one in itis]),
        "CV without drift [%]": 100 * np.median([coefficient_of_variation(one, 1) for one in itis]),
        "CV, local [%]": 100 * np.median([local_variation(one) for one in itis]),
        **{f"lag {k} of ITIs": lag for k, lag in enumerate(lags, start=1)},
        "lag 1 of ITIs without drift": statistics.autocorrelation(straight, 1)[0],
        "clock SD [ms]": 1e3 * np.sqrt(max(clock, 0)),
        "motor SD [ms]": 1e3 * np.sqrt(max(motor, 0)),
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
    steady = [clicks_until_steady(one, mean, period) for one in known if len(one) > 2]
    variance = np.mean([np.nanvar(one, ddof=1) for one in settled])
    results = {
        "mean asynchrony [ms]": 1e3 * mean,
        "SD of asynchronies [ms]": 1e3 * np.sqrt(variance),
        "clicks until steady": np.median(steady),
    }
    long = [one - np.nanmean(one) for one in settled if np.isfinite(one).sum() >= MIN_ITIS]
    if long:
        lag_1 = statistics.autocorrelation(long, 1)[0]
        results |= {"lag 1 of asynchronies": lag_1, "alpha by regression": 1 - lag_1}
        results["alpha by bGLS"] = bgls(long)[0]
    return results


def measure(trials) -> dict:
    """{measure: number} of the trials of one subject at one period."""
    silent = [trial for trial in trials if len(trial.continuation)]
    regular = regular_continuations(silent)
    results = {"continuations counted [%]": 100 * len(regular) / len(silent)} if silent else {}
    results |= continuation_measures(regular) if regular else {}
    return results | synchronization_measures(trials)


def over_subjects(trials) -> dict:
    """{measure: first quartile, median, third quartile, number of subjects} at one period.

    Quartiles are values of subjects, so that "never", an infinite number of clicks, is one.
    """
    subjects = {}
    for trial in trials:
        subjects.setdefault(trial.subject, []).append(trial)
    found = [measure(some) for some in subjects.values()]
    summary = {}
    for name in dict.fromkeys(name for one in found for name in one):
        values = [one[name] for one in found if not np.isnan(one.get(name, np.nan))]
        if values:
            quartiles = np.percentile(values, [25, 50, 75], method="inverted_cdf")
            summary[name] = [*quartiles.tolist(), len(values)]
    return summary
