"""Stimuli of tapping experiments, and the taps of a network: metronomes, phase shifts, tempo steps.

All conditions of an experiment run side by side. Times in [s] from the start of a run; `task` is
the config's section, `noise` is as in `simulate.run`.
Shapes: B tempos or trials, R runs with different noise, S shifts or steps, T time steps, N units.
"""

from dataclasses import dataclass

import numpy as np
import torch

from zrnn import activity, simulate
from zrnn.stimuli import make_inputs
from zrnn.synchronization.estimators import output_maxima
from zrnn.taps import asynchronies, find_taps
from zrnn.task import context_cue

FIRST_CLICK = 0.05  # [s]
LEAD_SECONDS = 2.0  # [s] of regular clicks before they change or stop, or before taps are counted
MIN_LEAD_CLICKS = 4  # taps are counted from the fifth click on, at the earliest
STATE_INTERVAL = 0.005  # [s] between two recorded states
N_PHASES = 50  # of a mean cycle
N_SHIFTED_CLICKS = 3
N_ITIS_AFTER_STEP = 12
N_ITIS_AFTER_CLICKS = 6
TEMPO_STEPS = {  # condition: (whether the clicks step, None: they stop; whether the cue steps)
    "clicks and cue step": (True, True),
    "cue steps, no clicks": (None, True),
    "cue steps, clicks stay": (False, True),
    "clicks step, cue stays": (True, False),
}


def tap_along(
    model, trains, cues, n_steps: int, width: float, heights=None, noise=None, state=None
) -> list[np.ndarray]:
    """Taps (K,) [s] of each trial; inputs: see `make_inputs`; noise, state: see `simulate.run`."""
    inputs = make_inputs(trains, cues, n_steps, model.dt, width, heights)
    outputs = simulate.run(model, inputs, noise, state).outputs
    return [find_taps(output, model.dt) * model.dt for output in outputs]


@dataclass(frozen=True)
class Tapping:
    """Taps at B tempos, counted from the fifth click on or later. Times in [s].

    clicks: [tempo] -> (K,), when clicks are due, also after they have stopped;
    taps, maxima (of the output): [tempo][run] -> (K,);
    cycles (B, N_PHASES, N): mean rates from tap to tap; None where not recorded or without taps.
    """

    clicks: list
    taps: list
    maxima: list
    cycles: np.ndarray | None


def run_metronome(
    model, periods, task, seconds: float, click_seconds: float, n_runs: int, noise, n_recorded=0
) -> Tapping:
    """n_runs at each of periods (B,) [s], from rest, with clicks until click_seconds.

    `Tapping.cycles` are the mean of the first n_recorded runs.
    """
    dt, stride = model.dt, max(1, round(STATE_INTERVAL / model.dt))
    due = [np.round(np.arange(FIRST_CLICK, seconds, period) / dt) * dt for period in periods]
    trains = [times[times < click_seconds] for times in due] * n_runs
    cues = np.tile(context_cue(np.array(periods), task.cue_constant), n_runs)
    inputs = make_inputs(trains, cues, round(seconds / dt), dt, task.click_width)
    run = simulate.run(model, inputs, noise, keep_states=stride if n_recorded else 0)
    clicks = []
    for times, period in zip(due, periods, strict=True):
        first = max(MIN_LEAD_CLICKS, np.searchsorted(times, LEAD_SECONDS))
        clicks.append(times[first : np.searchsorted(times, seconds - period)])
    taps, maxima, cycles = [[[] for _ in periods] for _ in range(3)]
    for row, output in enumerate(run.outputs):
        b = row % len(periods)
        found = find_taps(output, dt)
        counted = found * dt > clicks[b][0] - periods[b] / 2
        taps[b].append(found[counted] * dt)
        maxima[b].append(output_maxima(output, found)[counted] * dt)
        if row < n_recorded * len(periods) and counted.sum() > 1:
            rates = run.states[row].clip(min=0)
            cycles[b].append(activity.mean_cycle(rates, found[counted] / stride, N_PHASES))
    mean_cycles = np.array([np.mean(runs, axis=0) for runs in cycles]) if all(cycles) else None
    return Tapping(clicks, taps, maxima, mean_cycles)


def run_phase_shifts(model, periods, task, shifts, n_runs: int, seed: int) -> np.ndarray:
    """Asynchronies (R, B, 1 + S, N_SHIFTED_CLICKS) [s] from the first shifted click on.

    That click and all later ones are delayed by `shifts` (S,) times the period. The first of 1 + S
    trials has no shift. All trials of a run have the same noise.
    """
    dt, shifts, trains = model.dt, [0.0, *shifts], []
    for period in periods:
        n_before = int(np.ceil(LEAD_SECONDS / period))
        beats = np.arange(n_before + N_SHIFTED_CLICKS)
        for shift in shifts:
            times = FIRST_CLICK + period * (beats + shift * (beats >= n_before))
            trains.append(np.round(times / dt) * dt)
    trial_periods = np.repeat(periods, len(shifts))
    cues = context_cue(trial_periods, task.cue_constant)
    n_steps = round((max(times[-1] for times in trains) + max(periods)) / dt)
    found = []
    for run in range(n_runs):
        generator = torch.Generator().manual_seed(seed + run)
        xi = torch.randn(1, n_steps, len(model.w_hh), generator=generator).to(model.w_hh)
        noise = xi.expand(len(trains), -1, -1)  # without copies
        taps = tap_along(model, trains, cues, n_steps, task.click_width, noise=noise)
        trials = zip(taps, trains, trial_periods, strict=True)
        found.append([asynchronies(*trial)[-N_SHIFTED_CLICKS:] for trial in trials])
    return np.reshape(found, (n_runs, len(periods), len(shifts), N_SHIFTED_CLICKS))


def run_tempo_steps(model, period, task, steps, n_runs: int, noise) -> tuple[np.ndarray, ...]:
    """ITIs [s] after the period has changed by `steps` (S,) times itself, in each of TEMPO_STEPS.

    Returns ITIs from the step on, (conditions, S, R, N_ITIS_AFTER_STEP), and from the last click
    of the last condition on, (S, R, N_ITIS_AFTER_CLICKS), NaN where there are no more taps.
    """
    dt, n_before = model.dt, int(np.ceil(LEAD_SECONDS / period))
    before = FIRST_CLICK + period * np.arange(n_before + 1)
    step_time, beats = FIRST_CLICK + n_before * period, np.arange(1, N_ITIS_AFTER_STEP + 1)
    n_periods = N_ITIS_AFTER_STEP + N_ITIS_AFTER_CLICKS + 2
    n_steps = round((step_time + n_periods * period * (1 + max(steps))) / dt)
    times, trains, cues = np.arange(n_steps) * dt, [], []
    for clicks_step, cue_steps in TEMPO_STEPS.values():
        for new in np.repeat(period * (1 + np.asarray(steps)), n_runs):
            after = step_time + (new if clicks_step else period) * beats
            trains.append(before if clicks_step is None else np.append(before, after))
            tempo = np.where(times < step_time, period, new if cue_steps else period)
            cues.append(context_cue(tempo, task.cue_constant))
    taps = tap_along(model, trains, np.array(cues), n_steps, task.click_width, noise=noise)
    early = period / 2  # a tap at a click may come before it
    after_step = [itis_from(run, step_time - early, N_ITIS_AFTER_STEP) for run in taps]
    last = list(zip(taps, trains, strict=True))[-len(steps) * n_runs :]
    after_clicks = [itis_from(run, clicks[-1] - early, N_ITIS_AFTER_CLICKS) for run, clicks in last]
    shape = len(steps), n_runs, -1
    return np.reshape(after_step, (len(TEMPO_STEPS), *shape)), np.reshape(after_clicks, shape)


def itis_from(taps, start: float, number: int) -> np.ndarray:
    """ITIs (number,) [s] of taps (K,) from the first tap after `start` on, NaN where none is."""
    itis = np.diff(taps[taps > start])[:number]
    return np.pad(itis, (0, number - len(itis)), constant_values=np.nan)
