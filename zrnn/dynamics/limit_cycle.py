"""The noise-free cycle of a network at a constant cue: its period, and the period's gradient.

A cycle's period has an exact gradient, the phase response: a push of the state at time t shifts
all later taps by dt_tap/dx_t, which is one backward pass of the recurrence (`adjoint`).

Shapes: B cues, T time steps, N units, M = 3 measures (log period, highest and lowest output).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zrnn.simulate import constant_cues

MIN_SWING = 0.3  # of the output, whose target swings by 1: less is no beat
HYSTERESIS = 0.1  # of the output's swing, around its middle
MEASURES = 3


@dataclass(frozen=True)
class Cycles:
    """Noise-free cycles at B cues; NaN where there is none.

    period (B,) [s]; high, low (B,): extremes of the output; slopes (T, B, M): derivative of log
    period, highest and lowest output by the outputs z_1 ... z_T; currents (T + 1, B, N).
    """

    period: np.ndarray
    high: np.ndarray
    low: np.ndarray
    slopes: np.ndarray
    currents: Tensor

    @property
    def end(self) -> Tensor:
        """Where the cycles were left, (B, N)."""
        return self.currents[-1].clone()


def rises(output: np.ndarray, level: float, margin: float) -> np.ndarray:
    """Times (K,) [samples] at which `output` (T,) rises through `level`, interpolated linearly.

    It must come from below level - margin and get above level + margin.
    """
    side = (output > level + margin) * 1 - (output < level - margin)
    marks = np.flatnonzero(side)
    up = np.flatnonzero(np.diff(side[marks]) > 0)
    low = np.maximum.accumulate(np.where(output <= level, np.arange(len(output)), -1))
    left = low[marks[up + 1]]
    return left + (level - output[left]) / (output[left + 1] - output[left])


def _extreme(z, j):
    """The extreme of the parabola through samples j - 1, j, j + 1 of z, and their weights in it."""
    left, centre, right = z[j - 1 : j + 2]
    bend = left - 2 * centre + right
    p = np.clip((left - right) / (2 * bend), -1, 1) if bend else 0.0
    weights = np.array([p * (p - 1) / 2, 1 - p * p, p * (p + 1) / 2])
    return weights @ z[j - 1 : j + 2], weights


def measure_cycle(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Period [samples], highest and lowest value of an output (T,), and their slopes (T, M).

    The period is (t_b - t_a) / k, t_a the second rise through the middle of the output's range
    (transients of a push before have died out by then), t_b the last, k cycles later. A rise
    between samples j and j + 1, through the middle m, is at

        t = j + (m - z_j) / (z_{j+1} - z_j),    dt/dz_j = -(z_{j+1} - m) / (z_{j+1} - z_j)^2,
        dt/dz_{j+1} = -(m - z_j) / (z_{j+1} - z_j)^2.

    The first row of slopes is that of the log period. All NaN (and slopes 0) without a cycle.
    """
    values, slopes = np.full(MEASURES, np.nan), np.zeros((len(z), MEASURES))
    swing = np.ptp(z) if np.isfinite(z).all() else 0.0
    if not MIN_SWING < swing < 1 / MIN_SWING:
        return values, slopes
    middle = (z.max() + z.min()) / 2
    times = rises(z, middle, HYSTERESIS * swing)
    if len(times) < 3:
        return values, slopes
    first, last = times[1], times[-1]
    values[0] = (last - first) / (len(times) - 2)
    for t, sign in ((last, 1), (first, -1)):
        j = int(t)
        scale = sign / ((z[j + 1] - z[j]) ** 2 * (last - first))
        slopes[j, 0] -= scale * (z[j + 1] - middle)
        slopes[j + 1, 0] -= scale * (middle - z[j])
    inside = z[int(first) : int(last) + 1]
    for row, j in ((1, inside.argmax()), (2, inside.argmin())):
        j = int(first) + int(np.clip(j, 1, len(inside) - 2))
        values[row], slopes[j - 1 : j + 2, row] = _extreme(z, j)
    return values, slopes


@torch.no_grad()
def find_cycles(model, cues, state: Tensor, settle_seconds: float, seconds: float) -> Cycles:
    """Noise-free runs at constant cues (B,) from `state` (B, N), measured after settle_seconds."""
    for part in (settle_seconds, seconds):
        inputs = constant_cues(cues, round(part / model.dt)).transpose(0, 1).to(state)
        currents = model.unroll(inputs, state)
        state = currents[-1]
    outputs = model.readout(currents[1:])[..., 0].cpu().double().numpy()
    found = [measure_cycle(z) for z in outputs.T]
    period, high, low = np.array([values for values, _ in found]).T
    slopes = np.stack([slopes for _, slopes in found], axis=1)
    return Cycles(period * model.dt, high, low, slopes, currents)


@torch.no_grad()
def jacobian(model, cues, cycles: Cycles, row_weights) -> list[Tensor]:
    """Derivatives J of the B M measures by w_hh, w_ih and b_hh: (B M, N, N), (B M, N, 2), (B M, N).

        dL/dW = alpha sum_t delta_t r'_{t-1},   dL/dW_in = alpha sum_t delta_t u',   and so on;

    dW/dw_hh, Dale's law, is elementwise. Row m of each cue is multiplied by row_weights[m].
    """
    currents, (n_cues, n_units) = cycles.currents, cycles.currents.shape[1:]
    slopes = torch.as_tensor(cycles.slopes * np.asarray(row_weights)).to(currents)  # (T, B, M)
    alpha = model.alpha
    parts = model.adjoint(currents, slopes.flatten(1, 2)[..., None])
    deltas = torch.cat([deltas for _, deltas, _ in list(parts)[::-1]])  # (T, B M, N)
    by_cue = deltas.view(-1, n_cues, MEASURES * n_units).permute(1, 2, 0)  # (B, M N, T)
    by_w = (by_cue @ currents[:-1].relu().transpose(0, 1)).view(-1, n_units, n_units)
    sums = alpha * deltas.sum(0)  # (B M, N)
    with torch.enable_grad():
        (chain,) = torch.autograd.grad(model.effective_w_hh().sum(), model.w_hh)
    inputs = constant_cues(cues, 1)[:, 0].to(sums).repeat_interleave(MEASURES, dim=0)  # (B M, 2)
    return [by_w.mul_(alpha * chain), sums[..., None] * inputs[:, None], sums]


@torch.no_grad()
def phase_response(model, cycles: Cycles) -> Tensor:
    """d log period / dx_t along the cycles, (T, B, N).

    A push e of the currents at step t makes the k periods that are measured longer by k T times
    this times e in all; pushed before the first rise that counts, by next to nothing.
    """
    slopes = torch.as_tensor(cycles.slopes[..., :1]).to(cycles.currents)  # (T, B, 1)
    parts = model.adjoint(cycles.currents, slopes)
    return torch.cat([deltas for _, deltas, _ in list(parts)[::-1]])
