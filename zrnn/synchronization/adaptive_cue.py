"""A network whose cue listens: the loop closed from its taps, over the clicks, to its cue.

Times in [s] from the start of a run; B trials side by side.
"""

from dataclasses import dataclass

import numpy as np
import torch

from zrnn import simulate
from zrnn import task as tasks
from zrnn.synchronization import protocols
from zrnn.synchronization.statistics import adapted_period
from zrnn.taps import HALF_HEIGHT, HYSTERESIS, find_taps

N_CLICKS = 24  # of the tempo to be learnt
SILENCE = 2.0  # [s] after the last of them
BLOCK = 0.01  # [s] the cue changes so soon, at the latest, after a tap is over
WINDOW = 1.5  # [s] of output in which the last tap is looked for
PATIENCE = 1.5  # periods of the cue without a click: the clicks have stopped


@dataclass(frozen=True)
class Trials:
    """B trials. For protocols.LEAD_SECONDS the cue stands for the periods `starts` (B,) [s] and
    does not listen, clicks come at the periods `before` (B,) [s], where these are not 0. Then it
    listens to N_CLICKS at the periods `clicks` (B,) [s], after which they stop, with the gains
    (B,) of `synchronization.adapted_period`.
    """

    starts: np.ndarray
    before: np.ndarray
    clicks: np.ndarray
    gains: np.ndarray


@dataclass(frozen=True)
class Listened:
    """periods (B, N_CLICKS) [s]: what the cue stood for when each click began; end (B,) [s]: and
    in the silence; itis (B,) [s]: mean ITI in the silence, NaN where there are no taps.
    """

    periods: np.ndarray
    end: np.ndarray
    itis: np.ndarray


def heard_asynchrony(tap: float, clicks, now: float, period: float) -> float | None:
    """Asynchrony [s] of the last tap, from the clicks (K,) [s] heard until `now`.

    Against the last click, or the one that its tempo lets expect: in -1/2 ... 1/2 of the `period`
    of the cue. None: no clicks (any more).
    """
    heard = clicks[clicks <= now]
    if len(heard) == 0 or now - heard[-1] > PATIENCE * period:
        return None
    return (tap - heard[-1] + period / 2) % period - period / 2


def click_times(trials: Trials) -> tuple[list[np.ndarray], np.ndarray]:
    """Clicks of each trial, B arrays (K,) [s], and the N_CLICKS to be learnt, (B, N_CLICKS) [s]."""
    silent = trials.before == 0
    apart = np.where(silent, trials.clicks, trials.before)
    n_before = np.ceil(protocols.LEAD_SECONDS / apart)
    later = protocols.ONSET + (n_before * apart)[:, None]
    later = later + trials.clicks[:, None] * np.arange(N_CLICKS)
    first = [
        protocols.ONSET + period * np.arange(n)
        for period, n in zip(apart, np.where(silent, 0, n_before), strict=True)
    ]
    return [np.append(*pair) for pair in zip(first, later, strict=True)], later


def listen(model, trials: Trials, usual, task, noise) -> Listened:
    """Trials with a cue that adapts to clicks that come, change their tempo and stop.

    usual: a function of a period [s], the asynchrony [s] at which it needs no change; noise: a
    torch.Generator or None.
    """
    dt, size = model.dt, max(1, round(BLOCK / model.dt))
    period = trials.starts.astype(float)
    trains, later = click_times(trials)
    n_steps = size * int(np.ceil((later.max() + SILENCE) / (size * dt)))
    clicks = protocols.click_trains(trains, n_steps, dt, task.click_width)
    outputs, cued = np.zeros((len(trains), n_steps)), []
    state, last, low = None, np.zeros(len(trains)), HALF_HEIGHT - HYSTERESIS
    for now in range(0, n_steps, size):
        cued.append(period.copy())
        cues = torch.as_tensor(tasks.context_cue(period, task.cue_constant)).float()
        heard = clicks[:, now : now + size]
        inputs = torch.stack([heard, cues[:, None].expand(-1, size)], -1)
        run = simulate.run(model, inputs, noise, state)
        outputs[:, now : now + size], state = run.outputs, run.end
        end, past = now + size, max(0, now - round(WINDOW / dt))
        for b in np.flatnonzero((outputs[:, now - 1] >= low) & (outputs[:, end - 1] < low)):
            taps = (past + find_taps(outputs[b, past:end], dt)) * dt
            if len(taps) and taps[-1] > last[b] + dt:  # not the same one again
                last[b] = taps[-1]
                if end * dt < later[b, 0]:
                    continue
                own = heard_asynchrony(last[b], trains[b], end * dt, period[b])
                if own is not None:
                    expected = usual(period[b])
                    period[b] = adapted_period(period[b], own, expected, trials.gains[b])
    at = np.floor(later / (size * dt)).astype(int)
    silent = [
        mean_iti(find_taps(output, dt) * dt, train[-1] + 2 * own)
        for output, train, own in zip(outputs, trains, period, strict=True)
    ]
    return Listened(np.array(cued)[at, np.arange(len(trains))[:, None]], period, np.array(silent))


def mean_iti(taps, start: float) -> float:
    """Mean ITI [s] of taps (K,) [s] after `start`; NaN of fewer than three."""
    later = taps[taps > start]
    return np.diff(later).mean() if len(later) > 2 else np.nan
