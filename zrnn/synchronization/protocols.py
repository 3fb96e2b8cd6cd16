"""What a network is made to hear: metronomes that go on, stop, shift or change, and its taps.

All conditions of an experiment are driven side by side. Times in [s] from the start of a run;
shapes: B trials, R runs with different noise, T time steps, N units.
"""

from dataclasses import dataclass

import numpy as np
import torch

from zrnn import simulate, trajectories
from zrnn import task as tasks
from zrnn.synchronization import statistics as synchronization
from zrnn.taps import asynchronies, find_taps

ONSET = 0.05  # [s] of the first click
LEAD_SECONDS = 2.0  # [s] before anything is counted, changed or stopped
LATE_TAPS = 4  # taps from the fifth on are counted, at least
STATE_STRIDE = 0.005  # [s] between two states that are kept
N_PHASES = 50  # of a mean cycle
CLICKS_SHIFTED = 5
ITIS_STEPPED = 12  # ITIs looked at after a step of the tempo
ITIS_AFTER = 6  # and after the last click


def on_grid(times, dt: float) -> np.ndarray:
    """Times [s] moved to the nearest sample."""
    return np.round(np.asarray(times) / dt) * dt


def click_trains(trains, n_steps: int, dt: float, width: float, heights=None) -> torch.Tensor:
    """Clicks at given times, for each trial (K,) [s] -> (B, T). width [s]; heights (B,) or 1."""
    clicks = torch.zeros(len(trains), n_steps)
    for b, times in enumerate(trains):
        for first in np.round(np.asarray(times) / dt).astype(int):
            clicks[b, first : first + round(width / dt)] = 1.0 if heights is None else heights[b]
    return clicks


def tap_along(
    model, trains, cues, n_steps: int, width: float, heights=None, noise=None, state=None
) -> list[np.ndarray]:
    """Taps (K,) [s] of trials with clicks at `trains` and a cue, (B,) or (B, T).

    heights (B,) of the clicks, 1 by default; width [s] of a click; noise, state: as `simulate.run`.
    """
    cues = torch.as_tensor(np.asarray(cues), dtype=torch.float32)
    cues = cues[:, None].expand(-1, n_steps) if cues.ndim == 1 else cues
    clicks = click_trains(trains, n_steps, model.dt, width, heights)
    outputs = simulate.run(model, torch.stack([clicks, cues], -1), noise, state).outputs
    return [find_taps(output, model.dt) * model.dt for output in outputs]


@dataclass(frozen=True)
class Tapping:
    """Runs at B tempos, from the fifth click on: for each tempo and run a series of times [s].

    clicks: [tempo] -> (K,), when they are due, given or not; taps, maxima (of the output):
    [tempo][run] -> (K,); cycles (B, N_PHASES, N): mean rates from tap to tap, or None.
    """

    clicks: list
    taps: list
    maxima: list
    cycles: np.ndarray | None


def keep_time(
    model, periods, task, seconds: float, click_seconds: float, n_runs: int, noise, state_runs=0
) -> Tapping:
    """n_runs at each of periods (B,) [s], with clicks for click_seconds, from rest.

    state_runs: how many of them `Tapping.cycles` are the mean of.
    """
    dt, n_steps, n_tempos = model.dt, round(seconds / model.dt), len(periods)
    due = [on_grid(np.arange(ONSET, seconds, period), dt) for period in periods]
    trains = [times[times < click_seconds] for times in due] * n_runs
    heard = click_trains(trains, n_steps, dt, task.click_width)
    cues = tasks.context_cue(torch.as_tensor(periods), task.cue_constant).repeat(n_runs)
    inputs = torch.stack([heard, cues.float()[:, None].expand(-1, n_steps)], -1)
    outputs, rates, t, stride = [], [], 0, max(1, round(STATE_STRIDE / dt))
    for z, x in simulate.stream(model, inputs, noise):
        outputs.append(z.cpu())
        rates.append(x[-t % stride :: stride, : state_runs * n_tempos].relu().cpu())
        t += len(z)
    outputs, rates = torch.cat(outputs).t().numpy(), torch.cat(rates).numpy()

    clicks = []
    for times, period in zip(due, periods, strict=True):
        last = np.searchsorted(times, seconds - period)
        clicks.append(times[max(LATE_TAPS, np.searchsorted(times, LEAD_SECONDS)) : last])
    taps, maxima, cycles = [[[] for _ in periods] for _ in range(3)]
    for row, output in enumerate(outputs):
        b = row % n_tempos
        own = find_taps(output, dt)
        kept = own * dt > clicks[b][0] - periods[b] / 2
        taps[b].append(own[kept] * dt)
        maxima[b].append(synchronization.tap_maxima(output, own)[kept] * dt)
        if row < rates.shape[1] and kept.sum() > 1:
            cycles[b].append(trajectories.mean_cycle(rates[:, row], own[kept] / stride, N_PHASES))
    whole = state_runs > 0 and all(cycles)
    means = np.array([np.mean(own, axis=0) for own in cycles]) if whole else None
    return Tapping(clicks, taps, maxima, means)


def same_noise(model, n_trials: int, n_steps: int, seed: int) -> torch.Tensor:
    """Noise xi (B, T, N) that is the same in every trial, and takes the room of one."""
    generator = torch.Generator().manual_seed(seed)
    xi = torch.randn(1, n_steps, len(model.w_hh), generator=generator)
    return xi.to(model.w_hh).expand(n_trials, -1, -1)


def shift_clicks(model, periods, task, shifts, n_runs: int, seed: int) -> np.ndarray:
    """Asynchronies (R, B, 1 + S, CLICKS_SHIFTED) [s] from the click on that is shifted.

    The click and all later ones come later by `shifts` (S,) times the period; the first of 1 + S
    is without shift, under the same noise.
    """
    trains = []
    for period in periods:
        n_before = int(np.ceil(LEAD_SECONDS / period))
        beats = np.arange(n_before + CLICKS_SHIFTED)
        late = [0.0, *shifts]
        trains += [ONSET + period * (beats + share * (beats >= n_before)) for share in late]
    trains = [on_grid(times, model.dt) for times in trains]
    own_periods = np.repeat(periods, 1 + len(shifts))
    cues = tasks.context_cue(own_periods, task.cue_constant)
    n_steps = round((max(times[-1] for times in trains) + max(periods)) / model.dt)
    found = []
    for run in range(n_runs):
        noise = same_noise(model, len(trains), n_steps, seed + run)
        taps = tap_along(model, trains, cues, n_steps, task.click_width, noise=noise)
        found.append(
            [
                asynchronies(own, clicks, period)[-CLICKS_SHIFTED:]
                for own, clicks, period in zip(taps, trains, own_periods, strict=True)
            ]
        )
    return np.array(found).reshape(n_runs, len(periods), -1, CLICKS_SHIFTED)


# what steps with the tempo: the clicks (None: there are none any more), and the cue
CONDITIONS = {
    "clicks and cue": (True, True),
    "cue, no clicks": (None, True),
    "cue, not clicks": (False, True),
    "clicks, not cue": (True, False),
}


def step_tempo(model, period, task, steps, n_runs: int, noise) -> tuple[dict, dict]:
    """ITIs [s] after the period steps by `steps` (S,), shares of it, in each of CONDITIONS.

    Returns {condition: (S, R, ITIS_STEPPED)} from the step on, and {condition: (S, R,
    ITIS_AFTER)} from the last click on, NaN where there are no more taps.
    """
    dt, n_before = model.dt, int(np.ceil(LEAD_SECONDS / period))
    at = ONSET + n_before * period
    seconds = at + (ITIS_STEPPED + ITIS_AFTER + 2) * period * (1 + max(steps))
    n_steps, trains, cues, ends = round(seconds / dt), [], [], []
    before = ONSET + period * np.arange(n_before + 1)
    for clicks_step, cue_steps in CONDITIONS.values():
        for step in np.repeat(steps, n_runs):
            new = period * (1 + step)
            after = at + (new if clicks_step else period) * np.arange(1, ITIS_STEPPED + 1)
            trains.append(before if clicks_step is None else np.append(before, after))
            ends.append(trains[-1][-1])
            own = np.where(np.arange(n_steps) * dt < at, period, new if cue_steps else period)
            cues.append(tasks.context_cue(own, task.cue_constant))
    taps = tap_along(model, trains, np.array(cues), n_steps, task.click_width, noise=noise)
    shape = len(CONDITIONS), len(steps), n_runs, -1
    stepped = np.array([itis_from(own, at - period / 2, ITIS_STEPPED) for own in taps])
    after = [
        itis_from(own, end - period / 2, ITIS_AFTER) for own, end in zip(taps, ends, strict=True)
    ]
    stepped, after = stepped.reshape(shape), np.array(after).reshape(shape)
    names = list(CONDITIONS)
    return dict(zip(names, stepped, strict=True)), dict(zip(names, after, strict=True))


def itis_from(taps, start: float, number: int) -> np.ndarray:
    """ITIs (number,) [s] of taps (K,) from the first tap after `start` on, NaN where none is."""
    itis = np.diff(taps[taps > start])[:number]
    return np.pad(itis, (0, number - len(itis)), constant_values=np.nan)
