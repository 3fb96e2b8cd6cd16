"""Simulation of a network: its inputs, and runs of any length, without gradients.

Shapes: B trials, T time steps, N units.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral

import numpy as np
import torch
from torch import Tensor

from zrnn import task as tasks
from zrnn import threads
from zrnn.errors import UserError


@dataclass(frozen=True)
class Run:
    """outputs z (B, T), currents x (B, T, N) or None, of the steps kept; end: the last x (B, N)."""

    outputs: np.ndarray
    states: np.ndarray | None
    end: Tensor


def driving_inputs(periods, seconds, dt, task, click_seconds=0.0, onset=0.05) -> Tensor:
    """Inputs (B, T, 2) of trials at `periods` (B,) [s]: the cue from the onset [s] on, and clicks.

    click_seconds, a number or (B,) [s]: until when, from the start of the trial, clicks are given;
    task: the config's section. Raises UserError for times that cannot be.
    """
    periods = torch.as_tensor(periods, dtype=torch.float64)
    if not 0 <= onset <= seconds:
        raise UserError(f"onset is {onset:g} s; allowed: 0 to {seconds:g} s, the end of the run")
    given = (torch.as_tensor(click_seconds, dtype=torch.float64) - onset).clamp_min(0)
    onsets = torch.full((len(periods),), float(onset))
    return tasks.make_trials(periods, onsets, seconds, given, dt, task)[0]


def constant_cues(cues, n_steps: int) -> Tensor:
    """Inputs (B, T, 2), float64, that hold the cues (B,) from the first step on, no clicks."""
    cues = torch.as_tensor(np.atleast_1d(np.asarray(cues, dtype=float)))
    return torch.stack([torch.zeros_like(cues), cues], 1)[:, None].expand(-1, n_steps, -1)


def as_generator(noise, device):
    """A generator with the seed `noise`; anything else than a whole number is returned as it is."""
    if isinstance(noise, Integral) and not isinstance(noise, bool):
        return torch.Generator(device).manual_seed(int(noise))
    return noise


@torch.no_grad()
def stream(model, inputs, noise=None, state=None) -> Iterator[tuple[Tensor, Tensor]]:
    """A run over inputs (B, T, 2), some steps at a time: (outputs (n, B), currents (n, B, N)), ...

    noise: a seed, a torch.Generator, xi (B, T, N), or `model.noise(...)`; None: no noise; state:
    x (B, N) before the first step, 0 if None. The tensors of one iteration are overwritten in the
    next one.
    """
    inputs, w_hh = model.as_inputs(inputs), model.effective_w_hh()
    state = model.initial_state(len(inputs)) if state is None else state
    state = torch.as_tensor(state).to(model.w_hh)
    noise = model.noise(as_generator(noise, state.device))
    # a seed gives the noise of parts of this length; a block of a part stays in a CPU's cache
    part, n_steps = min(200, max(20, 20_000 // len(inputs))), inputs.shape[1]
    size = min(part, 32 * max(1, 100 // len(inputs))) if state.device.type == "cpu" else part
    parts = [range(n_steps)[first : first + part] for first in range(0, n_steps, part)]
    starts = [start for steps in parts for start in steps[::size]]
    buffer = state.new_empty(size + 1, *state.shape)
    for start, stop in pairwise([*starts, n_steps]):
        block = inputs[:, start:stop].to(state).transpose(0, 1).contiguous()
        currents = buffer[: len(block) + 1]
        currents[0] = state
        with threads.faster(("run", *currents.shape)):
            model.run_block(currents, block, w_hh, noise, start)
            state, outputs = currents[-1].clone(), model.readout(currents[1:])[..., 0]
        yield outputs, currents[1:]


def run(model, inputs, noise=None, state=None, discard=0, keep_states=0, on_steps=None) -> Run:
    """A run over inputs (B, T, 2), of which the first `discard` steps are not kept.

    noise, state: as in `stream`; keep_states: 0: no currents are kept; n: those of every n-th of
    the steps kept (True: all); on_steps(n) is called after every n steps.
    """
    if discard < 0:
        raise ValueError(f"discard is {discard}; allowed: 0 or more steps")
    inputs, dtype, every = model.as_inputs(inputs), model.w_hh.dtype, int(keep_states)
    n_kept, n_trials = max(inputs.shape[1] - discard, 0), len(inputs)
    outputs = torch.empty(n_kept, n_trials, dtype=dtype)
    n_states = len(range(0, n_kept, every)) if every else 0
    states = torch.empty(n_states, n_trials, len(model.w_hh), dtype=dtype)
    end, t = model.initial_state(n_trials) if state is None else state, -discard
    for z, x in stream(model, inputs, noise, state):
        outputs[max(t, 0) : max(t + len(z), 0)] = z[max(-t, 0) :]
        if every:
            first = max(-t, -t % every)  # of the steps kept
            part = x[first::every]
            row = (t + first) // every
            states[row : row + len(part)] = part
        t, end = t + len(z), x[-1].clone()
        if on_steps:
            on_steps(len(z))
    kept = states.transpose(0, 1).numpy() if every else None
    return Run(outputs.t().contiguous().numpy(), kept, end)


def stepper(model, noise=None) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """One step at a time, for inputs that depend on what the network does.

    step(inputs (B, 2), currents (B, N)) -> outputs (B,), currents (B, N); noise: a seed or None.
    """
    w_hh = model.effective_w_hh().detach()
    noise = as_generator(noise, w_hh.device)

    @torch.no_grad()
    def step(inputs, states):
        outputs, states = model.step(inputs, states, noise, w_hh)
        return outputs[:, 0], states

    return step
