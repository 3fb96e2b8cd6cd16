"""Stimuli at given times: clicks and cues as inputs of a network, and onsets read from a file."""

import csv
from pathlib import Path

import numpy as np
import torch

from zrnn.errors import UserError

LONGEST_INTERVAL = 10.0  # [s] median; a longer one is no rhythm, and suggests another unit


def click_trains(trains, n_steps: int, dt: float, width: float, heights=None) -> torch.Tensor:
    """Clicks that begin at given times, for each trial (K,) [s] -> (B, T).

    width [s]; heights (B,), 1 by default. Raises UserError for times outside the run.
    """
    clicks = torch.zeros(len(trains), n_steps)
    for b, times in enumerate(trains):
        starts = np.round(np.asarray(times, dtype=float) / dt)
        inside = (starts >= 0) & (starts <= n_steps)  # False for NaN
        if not inside.all():
            outside = f"{(~inside).sum()} of {len(starts)} onsets lie outside"
            raise UserError(f"{outside} 0 to {n_steps * dt:g} s; are they in seconds?")
        for start in starts.astype(int):
            clicks[b, start : start + round(width / dt)] = 1.0 if heights is None else heights[b]
    return clicks


def make_inputs(trains, cues, n_steps: int, dt: float, width: float, heights=None) -> torch.Tensor:
    """Inputs (B, T, 2): clicks as of `click_trains`, and cues (B,) or (B, T)."""
    cues = torch.as_tensor(np.asarray(cues), dtype=torch.float32)
    cues = cues[:, None].expand(-1, n_steps) if cues.ndim == 1 else cues
    return torch.stack([click_trains(trains, n_steps, dt, width, heights), cues], -1)


def read_onsets(path, min_interval: float) -> tuple[np.ndarray, np.ndarray | None]:
    """Onsets (K,) [s] and cues (K,), or None, of a text file: one onset a line, or CSV.

    The CSV has a column onset_s and may have a column cue; others are ignored. min_interval [s]: of
    onsets that two clicks can show. Raises UserError.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
        names = [name.strip() for name in next(csv.reader(lines[:1], skipinitialspace=True), [])]
        columns = [names.index(name) for name in ("onset_s", "cue") if name in names] or [0]
        is_csv = "onset_s" in names
        if len(lines) < 2 + is_csv:
            raise ValueError("allowed: at least two onsets")
        options = dict(delimiter=",", quotechar='"', comments=None, usecols=columns)
        table = np.loadtxt(lines[is_csv:], ndmin=2, **options if is_csv else {})
        if table.shape[1] > len(columns):
            raise ValueError("two numbers in a line; allowed: one, or CSV with a column onset_s")
        intervals = np.diff(table[:, 0])
        if np.median(intervals) > LONGEST_INTERVAL:
            raise ValueError(f"median interval {np.median(intervals):g}; are they in seconds?")
        in_order = min(table[0, 0], *intervals - min_interval) > -1e-9
        if not (in_order and np.isfinite(table).all() and (np.abs(table[:, 1:]) <= 100).all()):
            apart = f"ascending, at least {min_interval:g} s apart"
            raise ValueError(f"allowed: onsets from 0 on, {apart}; cues of -100 to 100")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise UserError(f"onsets {path}: {reason[:150]}") from None
    return table[:, 0], table[:, 1] if len(columns) > 1 else None
