"""Driving a network: inputs, and a run. Shapes: B trials, T time steps, N units."""

import torch

from zrnn.network import task
from zrnn.network.recurrence import pack


def driving_inputs(periods, clicks, dt, config):
    """Inputs (B, T, 2) of a drive: the cue from the onset on, clicks while nothing is kept yet.

    periods (B,) [s]; clicks (B,) of bool: whether a trial has clicks.
    """
    drive = config["drive"]
    given = (drive["discard_seconds"] - drive["onset"]) * torch.as_tensor(clicks).double()
    periods = torch.as_tensor(periods, dtype=torch.float64)
    onsets = torch.full((len(periods),), drive["onset"])
    seconds = drive["discard_seconds"] + drive["keep_seconds"]
    return task.make_trials(periods, onsets, seconds, given, dt, config["task"])[0]


@torch.no_grad()
def drive_network(model, inputs, noise, on_step):
    """Drive with inputs (B, T, 2) from rest; calls on_step(t, outputs (B,), states (B, N))."""
    w_hh = pack(model.effective_w_hh())
    state = model.initial_state(len(inputs))
    for t in range(inputs.shape[1]):
        output, state = model.step(inputs[:, t], state, noise, w_hh)
        on_step(t, output[:, 0], state)
