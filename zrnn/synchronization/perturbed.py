"""Extra clicks, other tempos and steps of the tempo: numbers and arrays of what was tapped.

Each function returns numbers for synchronization.json and arrays for the .npz beside a figure.
Shapes: B tempos, R runs with different noise, H heights of a click, S steps.
"""

import numpy as np
import torch

from zrnn.synchronization import adaptive_cue, phase_response, protocols
from zrnn.synchronization.statistics import LOCKINGS, STAY, taps_until, wrapped

STEPS = np.array([s * sign for s in (0.05, 0.1, 0.2, 0.4) for sign in (1, -1)])
REACHED, LEARNT = 0.05, 0.02  # shares of a tempo: near enough
WRONG = np.array([s * sign for s in (0.1, 0.2, 0.4) for sign in (1, -1)])
GAINS = (0.1, 0.3, 1.0)  # compared where the cue starts WRONG_FOR_GAINS off
WRONG_FOR_GAINS = np.array([0.2, -0.2])
SMALL_HEIGHT = 0.05  # of a click, to compare with the infinitesimal one
HEIGHTS = np.arange(1, 9) / 4  # of clicks, for locking; a click's own is 1
RATIOS = np.linspace(0.5, 2, 31)  # of the clicks' period to the cycle's own
FINE_RATIOS = np.linspace(0.5, 2, 301)


def responses(model, free, periods, click_width) -> tuple[dict, dict]:
    """Phase-response curves by an extra click, small and whole, and by the adjoint."""
    found = np.full((2, len(periods), phase_response.N_PHASES), np.nan)
    numbers = {}
    for b, period in enumerate(periods):
        if np.isfinite(free.period[b]):
            heights = [SMALL_HEIGHT, 1.0]
            found[:, b] = phase_response.click_responses(model, free, b, heights, click_width)
        small, adjoint = found[0, b] / SMALL_HEIGHT, free.click[b]
        whole, beats = wrapped(found[1, b]), np.isfinite(found[1, b])
        known = whole[beats] if beats.any() else np.array([np.nan])
        numbers[period] = {
            "period_ms": 1e3 * free.period[b],
            "largest_advance": known.max(),
            "largest_delay": known.min(),
            "mean_advance": known.clip(min=0).mean(),
            "mean_delay": known.clip(max=0).mean(),
            "phases_that_stop_the_beat": 1 - beats.mean(),
            "small_click": SMALL_HEIGHT,
            "small_largest_advance": small.max(),
            "small_largest_delay": small.min(),
            "adjoint_error": np.sqrt(np.mean((small - adjoint) ** 2) / np.mean(adjoint**2)),
        }
    phases = np.arange(phase_response.N_PHASES) / phase_response.N_PHASES
    arrays = {"phases": phases, "small_clicks": found[0] / SMALL_HEIGHT, "clicks": found[1]}
    return numbers, arrays | {"adjoint": free.click}


def tongues(model, free, b: int, period, click_width) -> tuple[dict, dict]:
    """Which clicks cycle b locks to, and what its phase-response curves alone predict."""
    at = (model, free, b)
    measured = phase_response.locking_patterns(*at, RATIOS, HEIGHTS, click_width)
    curves = phase_response.click_responses(*at, HEIGHTS, click_width)
    predicted = phase_response.predicted_patterns(curves, RATIOS)
    fine = phase_response.predicted_patterns(curves, FINE_RATIOS)
    borders = {}
    for place, (taps, clicks) in enumerate(LOCKINGS, start=1):
        borders[f"{taps}:{clicks}"] = {
            f"{height:g}": {
                "measured": _range(RATIOS, row == place),
                "predicted": _range(FINE_RATIOS, own == place),
            }
            for height, row, own in zip(HEIGHTS, measured, fine, strict=True)
        }
    numbers = {
        "cue_period": period,
        "pattern": "taps:clicks",
        "ratio": "period of the clicks by that of the cycle, lowest and highest that lock",
        "borders": borders,
        "points_predicted": float((measured == predicted).mean()),
    }
    arrays = {"ratios": RATIOS, "heights": HEIGHTS, "measured": measured, "predicted": predicted}
    return numbers, arrays | {"fine_ratios": FINE_RATIOS, "fine_predicted": fine}


def _range(ratios, where):
    return [float(ratios[where].min()), float(ratios[where].max())] if where.any() else None


def tempo_steps(model, period, task, n_runs: int, noise) -> tuple[dict, dict, dict]:
    """Steps of the tempo, and the beat after clicks at another tempo than the cue's have stopped.

    Returns tempo_steps, after_effect and arrays; ITIs are medians over the runs.
    """
    stepped, after = protocols.step_tempo(model, period, task, STEPS, n_runs, noise)
    numbers, arrays = {}, {"steps": STEPS, "period": period}
    for name, (clicks_step, cue_steps) in protocols.CONDITIONS.items():
        itis = stepped[name] / period  # (S, R, ITIs)
        arrays[f"itis, {name}"] = itis
        numbers[name] = {}
        for step, own in zip(STEPS, median(itis, 1), strict=True):
            cue, clicks = 1 + step * cue_steps, 1 + step * bool(clicks_step)
            numbers[name][f"{step:+g}"] = {
                "taps_to_5_percent_of_cue": taps_until(own / cue - 1, REACHED),
                "taps_to_5_percent_of_clicks": (
                    None if clicks_step is None else taps_until(own / clicks - 1, REACHED)
                ),
                "first_iti": own[0],
                "last_itis": median(own[-STAY:], 0),
            }
    name = "clicks, not cue"
    arrays["itis after"] = after[name] / period
    in_step = np.abs(stepped[name][..., -STAY:] / period / (1 + STEPS[:, None, None]) - 1)
    effect = {
        f"{step:+g}": {"itis": own, "runs_in_step_with_the_clicks": np.mean(near)}
        for step, own, near in zip(
            STEPS, median(after[name] / period, 1), (in_step < REACHED).all(-1), strict=True
        )
    }
    return numbers, effect, arrays


def median(values, axis):
    """Median that leaves out NaN, and says so without a warning where nothing is left."""
    ordered = np.ma.median(np.ma.masked_invalid(values), axis=axis)
    return np.ma.filled(np.ma.asarray(ordered, dtype=float), np.nan)


def listen(model, period, task, usual, gain: float, n_runs: int, seed: int) -> tuple[dict, dict]:
    """A cue that adapts: from a wrong start, to a step of the clicks, and with other gains.

    usual: a function of a period [s], the asynchrony [s] at which the cue needs no change.
    """
    start, clicks, gains = (np.ones(0),) * 3
    for wrong, stepped, own in [
        (WRONG, 0 * WRONG, gain),
        (0 * WRONG, WRONG, gain),
        *((WRONG_FOR_GAINS, 0 * WRONG_FOR_GAINS, own) for own in GAINS),
    ]:
        start, clicks = np.append(start, 1 + wrong), np.append(clicks, 1 + stepped)
        gains = np.append(gains, np.full(len(wrong), own))
    before = np.where(clicks == 1, 0, period)  # the clicks step, or the cue starts off
    rows = (start * period, before, clicks * period, gains)
    trials = adaptive_cue.Trials(*(np.repeat(row, n_runs) for row in rows))
    noise = torch.Generator(model.w_hh.device).manual_seed(seed)
    found = adaptive_cue.listen(model, trials, usual, task, noise)

    errors = (found.periods / trials.clicks[:, None] - 1).reshape(len(start), n_runs, -1)
    at_end = (found.end / trials.clicks - 1).reshape(len(start), n_runs)
    itis = found.itis.reshape(len(start), n_runs)
    rows = [_learnt(*row) for row in zip(errors, at_end, itis, strict=True)]
    keys = [f"{wrong:+g}" for wrong in WRONG]
    n, two = len(WRONG), [f"{wrong:+g}" for wrong in WRONG_FOR_GAINS]
    by_gain = zip(rows[2 * n :: 2], rows[2 * n + 1 :: 2], strict=True)
    numbers = {
        "cue_period": period,
        "usual_gain": gain,
        "start": dict(zip(keys, rows[:n], strict=True)),
        "clicks": dict(zip(keys, rows[n : 2 * n], strict=True)),
        "gain": {
            f"{own:g}": dict(zip(two, pair, strict=True))
            for own, pair in zip(GAINS, by_gain, strict=True)
        },
    }
    arrays = {
        "wrong": WRONG,
        "cue_errors_start": errors[:n],
        "cue_errors_clicks": errors[n : 2 * n],
    }
    return numbers, arrays | {"cue_errors_gain": errors[2 * n :], "iti_in_silence": itis / period}


def _learnt(errors, at_end, itis):
    """Numbers of one condition: cue errors (R, clicks), errors at the end (R,), ITIs (R,) [s]."""
    taps = [taps_until(run, LEARNT) for run in errors]
    needed = np.median([np.inf if n is None else n for n in taps])
    return {
        "taps_to_2_percent": None if np.isinf(needed) else float(needed),
        "runs_that_get_there": float(np.mean([n is not None for n in taps])),
        "cue_error": median(at_end, 0),
        "iti_in_silence": median(itis, 0),
    }
