"""Drive a trained network with clicks, then with the cue alone: saves model_outputs/."""

import csv
import shutil
from pathlib import Path

import matplotlib
import numpy as np
import torch
from tqdm import tqdm

import analysis
import config as configuration
import task
from models import ModelError, pick_device, read_checkpoint, restore_model

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (after the choice of a backend without a screen)

CHUNK = 1000  # steps between two writes of hidden states


def extra_periods(drive, trained):
    """Periods never trained: distinct values of round(floor + exp(-decay (1 - U)), 3), ascending."""
    rng = np.random.default_rng(drive["seed"])
    periods = set()
    while len(periods) < drive["extra_periods"]:
        drawn = drive["extra_floor"] + np.exp(-drive["extra_decay"] * (1 - rng.random()))
        periods |= {round(float(drawn), 3)} - set(trained)
    return sorted(periods)


@torch.no_grad()
def drive_network(model, inputs, noise, on_chunk):
    """Drive with inputs (B, T, 2) from rest; outputs (B, T) as an array.

    on_chunk(first step, states (B, steps, N)) is given the hidden states as they come.
    """
    w_hh = model.effective_w_hh()
    state = model.initial_state(len(inputs))
    outputs, states = [], []
    for t in range(inputs.shape[1]):
        output, state = model.step(inputs[:, t], state, noise, w_hh)
        outputs.append(output[:, 0])
        states.append(state)
        if len(states) == CHUNK or t == inputs.shape[1] - 1:
            on_chunk(t + 1 - len(states), torch.stack(states, dim=1))
            states = []
    return torch.stack(outputs, dim=1).cpu().numpy()


