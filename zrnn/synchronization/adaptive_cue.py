"""A network with an adaptive cue: its period is corrected after each tap, by the asynchrony.

Times in [s] from the start of a run; B trials run side by side.
"""

import numpy as np
import torch

from zrnn import simulate
from zrnn.stimuli import click_trains
from zrnn.synchronization.protocols import FIRST_CLICK, LEAD_SECONDS
from zrnn.taps import HALF_HEIGHT, HYSTERESIS, find_taps
from zrnn.task import context_cue

N_CLICKS = 24  # to adapt to
CONTINUATION_SECONDS = 2.0  # [s] after the last click
BLOCK = 0.01  # [s] at most, between the end of a tap and the change of the cue
WINDOW = 1.5  # [s] of output that is searched for the last tap
MAX_PAUSE = 1.5  # [periods of the cue] without a click: the clicks have stopped


def adapted_period(period, asynchrony, usual_asynchrony, gain: float):
    """Period [s] of the cue after a tap, by period correction.

    A tap later than usual_asynchrony [s], the network's mean at this tempo, means that the cue is
    too slow; relative to 0, it would settle at a wrong tempo. This follows the bias current of
    Bose, Byrne & Rinzel (2019), which learns the tempo of clicks from the errors of its spikes.
    """
    return period - gain * (asynchrony - usual_asynchrony)


def click_times(lead_period: float, click_period: float) -> np.ndarray:
    """Clicks (K,) [s] of a trial, the last N_CLICKS at click_period; no others for a lead of 0."""
    lead = lead_period or click_period
    n_lead = np.ceil(LEAD_SECONDS / lead)
    first = FIRST_CLICK + lead * np.arange(n_lead if lead_period else 0)
    return np.append(first, FIRST_CLICK + n_lead * lead + click_period * np.arange(N_CLICKS))


def run_adaptive_cue(
    model, start_periods, lead_periods, click_periods, gains, usual, task, noise
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """B trials with a cue that adapts to clicks; periods (B,) [s].

    For LEAD_SECONDS the cue is fixed at start_periods, with clicks at lead_periods, or without
    where these are 0. Then N_CLICKS clicks come at click_periods, and the cue adapts to them with
    `gains` (B,); then the clicks stop. usual: ascending periods (M,) [s] and the asynchronies (M,)
    [s] at which these do not change; task: the config's section; noise: a generator or None.

    Returns the cue's period [s] at each of the N_CLICKS clicks (B, N_CLICKS) and after them (B,),
    and the mean ITI [s] after them (B,), NaN for fewer than three taps.
    """
    dt, size = model.dt, max(1, round(BLOCK / model.dt))
    trains = [click_times(*pair) for pair in zip(lead_periods, click_periods, strict=True)]
    last_clicks = np.array([times[-N_CLICKS:] for times in trains])
    n_steps = size * int(np.ceil((last_clicks.max() + CONTINUATION_SECONDS) / (size * dt)))
    clicks = click_trains(trains, n_steps, dt, task.click_width)
    period, cue_periods = start_periods.astype(float), []
    outputs, state, last_tap = np.zeros((len(trains), n_steps)), None, np.zeros(len(trains))
    for start in range(0, n_steps, size):
        end, window = start + size, max(0, start - round(WINDOW / dt))
        cue_periods.append(period.copy())
        cues = torch.as_tensor(context_cue(period, task.cue_constant)).float()
        inputs = torch.stack([clicks[:, start:end], cues[:, None].expand(-1, size)], -1)
        run = simulate.run(model, inputs, noise, state)
        outputs[:, start:end], state = run.outputs, run.end
        low = outputs[:, [start - 1, end - 1]] < HALF_HEIGHT - HYSTERESIS
        for b in np.flatnonzero(low[:, 1] & ~low[:, 0]):  # a tap has ended
            taps = (window + find_taps(outputs[b, window:end], dt)) * dt
            if len(taps) == 0 or taps[-1] <= last_tap[b] + dt:  # the same tap again
                continue
            last_tap[b], past = taps[-1], trains[b][trains[b] <= end * dt]
            if end * dt >= last_clicks[b, 0] and end * dt - past[-1] <= MAX_PAUSE * period[b]:
                # of the last click, or of one that is due whole periods from it
                asynchrony = (taps[-1] - past[-1] + period[b] / 2) % period[b] - period[b] / 2
                expected = np.interp(period[b], *usual)
                period[b] = adapted_period(period[b], asynchrony, expected, gains[b])
    blocks = np.floor(last_clicks / (size * dt)).astype(int)
    at_clicks = np.array(cue_periods)[blocks, np.arange(len(trains))[:, None]]
    itis = np.full(len(trains), np.nan)
    for b, output in enumerate(outputs):
        taps = find_taps(output, dt) * dt
        taps = taps[taps > trains[b][-1] + 2 * period[b]]
        if len(taps) > 2:
            itis[b] = np.diff(taps).mean()
    return at_clicks, period, itis
