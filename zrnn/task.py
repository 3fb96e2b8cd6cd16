"""The synchronization-continuation task: clicks and a context cue in, a beat out.

A trial starts with clicks at the period to keep; they stop, and the network goes on alone. The
context cue stays on and names the tempo:

    cue(t)    = cue_constant / period          from the onset T0 on, 0 before
    target(t) = (1 + cos(2 pi (t - T0) / period)) / 2    from T0 on; its maxima are the taps

Times are counted in samples of dt, so that all clicks have the same number of samples.
Shapes: B trials, T time steps.
"""

import math

import torch
from torch import Tensor

from zrnn.errors import UserError


def context_cue(period, cue_constant: float):
    """The cue that stands for a period [s]: cue_constant [s] / period, as a number or an array.

    Raises UserError for periods that are not above 0.
    """
    if not (torch.as_tensor(period) > 0).all():  # true for NaN as well
        raise UserError(f"period is {period} s; allowed: above 0")
    return cue_constant / period


def reference_cue(periods, cue_constant: float) -> float:
    """The middle of the range of trained cues, at which the groups of units are determined."""
    return cue_constant * (1 / min(periods) + 1 / max(periods)) / 2


def cue_input(cues: Tensor, onsets: Tensor, n_steps: int) -> Tensor:
    """The cue over time: `cues` (B,) from sample `onsets` (B,) on, 0 before -> (B, T)."""
    return cues[:, None] * (torch.arange(n_steps) >= onsets[:, None])


def click_input(periods, onsets, n_steps, dt, click_width, click_seconds) -> Tensor:
    """Pulses of height 1, `click_width` [s] wide, one a period, the first at the onset -> (B, T).

    periods (B,) [s]; onsets (B,) [samples]; clicks start less than `click_seconds` (B,) or a number
    [s] after the onset. The k-th click starts at sample onset + round(k period / dt).
    """
    periods, click_seconds = periods.double(), torch.as_tensor(click_seconds, dtype=torch.float64)
    since_onset = torch.arange(n_steps) - onsets[:, None]  # (B, T) [samples]
    width = round(click_width / dt)
    # k: the last click that has started. 1e-9: rounding errors decide neither about a click midway
    # between two samples nor, below, about one due at the end of the clicks, which is not given
    k = torch.floor((since_onset.double() + 0.5) * dt / periods[:, None] + 1e-9)
    start = torch.round(k * periods[:, None] / dt)
    on = (since_onset >= start) & (since_onset < start + width) & (since_onset >= 0)
    given = k * periods[:, None] < click_seconds.reshape(-1, 1) - 1e-9
    return (on & given).float()


def target_output(periods: Tensor, onsets: Tensor, n_steps: int, dt: float) -> Tensor:
    """The beat to produce: (1 + cos(2 pi (t - T0) / period)) / 2 from T0 on -> (B, T)."""
    since_onset = torch.arange(n_steps) - onsets[:, None]  # (B, T) [samples]
    phase = 2 * math.pi * dt * since_onset.double() / periods[:, None].double()
    return ((1 + torch.cos(phase)) / 2 * (since_onset >= 0)).float()


def make_trials(periods, onsets, trial_seconds, click_seconds, dt, task) -> tuple[Tensor, Tensor]:
    """Trials of the task: inputs (B, T, 2) (clicks, cue) and target (B, T, 1).

    periods (B,) [s]; onsets (B,) [s], moved to the nearest sample; trial_seconds [s];
    click_seconds, how long clicks are given, (B,) or a number [s]; task: the config's task section.
    """
    n_steps = round(trial_seconds / dt)
    onsets = torch.round(onsets.double() / dt).long()
    clicks = click_input(periods, onsets, n_steps, dt, task.click_width, click_seconds)
    cue = cue_input(context_cue(periods, task.cue_constant), onsets, n_steps)
    target = target_output(periods, onsets, n_steps, dt)
    return torch.stack([clicks, cue], dim=-1).float(), target[..., None]


def draw_trials(training, dt, task, generator: torch.Generator, factor=1.0) -> tuple[Tensor, ...]:
    """A batch of random trials: inputs (B, T, 2), target (B, T, 1), periods (B,) [s].

    training, task: sections of the configuration; dt [s]; factor: of the periods and of the length
    of the trials. Every period comes equally often (to within one trial), in random order; onsets
    are uniform in 0 to task.max_onset.
    """
    periods = factor * torch.tensor(training.periods, dtype=torch.float64)
    order = torch.randperm(len(periods), generator=generator)
    rows = order.repeat(-(-training.batch_size // len(periods)))[: training.batch_size]
    onsets = task.max_onset * torch.rand(training.batch_size, generator=generator)
    lengths = factor * training.trial_seconds, factor * training.click_seconds
    inputs, target = make_trials(periods[rows], onsets, *lengths, dt, task)
    return inputs, target, periods[rows]
