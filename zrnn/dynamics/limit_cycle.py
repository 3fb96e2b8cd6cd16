"""Noise-free limit cycles at constant cues: their measures, and the exact gradients of these.

One backward pass of the recurrence (`adjoint`) gives the derivative of the period by the state at
each time, which is the phase response, and by each weight.
Shapes: B cues, T time steps, N units, M = 3 measures: log period, highest and lowest output.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zrnn.simulate import constant_cues

MEASURES = 3
# peak-to-peak output; that of the target is 1. Less, or more than 1 / MIN_SWING, is no cycle
MIN_SWING = 0.3
HYSTERESIS = 0.1  # fraction of the output's swing, on both sides of its middle


@dataclass(frozen=True)
class LimitCycles:
    """Noise-free limit cycles at B cues; NaN where there is none.

    period (B,) [s]; high, low (B,): extremes of the output; slopes (T, B, M): derivatives of the
    measures by the outputs z_1 ... z_T; currents x_0 ... x_T (T + 1, B, N).
    """

    period: np.ndarray
    high: np.ndarray
    low: np.ndarray
    slopes: np.ndarray
    currents: Tensor

    @property
    def end(self) -> Tensor:
        """The last state, (B, N)."""
        return self.currents[-1].clone()


def upward_crossings(output: np.ndarray, level: float, margin: float) -> np.ndarray:
    """Times (K,) [samples] at which `output` (T,) rises through `level`, interpolated linearly.

    Only a rise from below level - margin to above level + margin counts.
    """
    side = (output > level + margin) * 1 - (output < level - margin)
    marks = np.flatnonzero(side)
    up = np.flatnonzero(np.diff(side[marks]) > 0)
    low = np.maximum.accumulate(np.where(output <= level, np.arange(len(output)), -1))
    left = low[marks[up + 1]]
    return left + (level - output[left]) / (output[left + 1] - output[left])


def measure_cycle(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Period [samples], highest and lowest z of an output (T,); their slopes (T, M).

    The slopes are the derivatives of log period, highest and lowest z with respect to the output.
    The period is (t_b - t_a) / k. t_a is the second rise through the middle m of the range of z:
    a perturbation before the first has decayed by then. t_b is the last rise, k cycles later. A
    rise between samples j and j + 1 is at

        t = j + (m - z_j) / (z_{j+1} - z_j),    dt/dz_j = -(z_{j+1} - m) / (z_{j+1} - z_j)^2,
        dt/dz_{j+1} = -(m - z_j) / (z_{j+1} - z_j)^2.

    Without a cycle the values are NaN and the slopes 0.
    """
    values, slopes = np.full(MEASURES, np.nan), np.zeros((len(z), MEASURES))
    swing = np.ptp(z) if np.isfinite(z).all() else 0.0
    if not MIN_SWING < swing < 1 / MIN_SWING:
        return values, slopes
    middle = (z.max() + z.min()) / 2
    times = upward_crossings(z, middle, HYSTERESIS * swing)
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
    for column, j in ((1, inside.argmax()), (2, inside.argmin())):
        j = int(first) + int(np.clip(j, 1, len(inside) - 2))
        near = slice(j - 1, j + 2)
        slopes[near, column] = _vertex_weights(*z[near])
        values[column] = slopes[near, column] @ z[near]
    return values, slopes


def _vertex_weights(left, centre, right):
    """Weights (3,) of three samples whose sum is the extreme of the parabola through them."""
    bend = left - 2 * centre + right
    p = np.clip((left - right) / (2 * bend), -1, 1) if bend else 0.0
    return np.array([p * (p - 1) / 2, 1 - p * p, p * (p + 1) / 2])


@torch.no_grad()
def find_limit_cycles(model, cues, state: Tensor, settle_seconds, seconds) -> LimitCycles:
    """The cycles of noise-free runs at cues (B,) from `state` (B, N), after settle_seconds."""
    for part in (settle_seconds, seconds):
        inputs = constant_cues(cues, round(part / model.dt)).transpose(0, 1).to(state)
        currents = model.unroll(inputs, state)
        state = currents[-1]
    outputs = model.readout(currents[1:])[..., 0].cpu().double().numpy()
    measured = [measure_cycle(z) for z in outputs.T]
    period, high, low = np.array([values for values, _ in measured]).T
    slopes = np.stack([slopes for _, slopes in measured], axis=1)
    return LimitCycles(period * model.dt, high, low, slopes, currents)


def _derivatives_by_state(model, cycles: LimitCycles, slopes) -> Tensor:
    """Derivatives of K measures by x_t along the cycles, (T, B K, N); slopes (T, B, K)."""
    slopes = torch.as_tensor(slopes).to(cycles.currents).flatten(1, 2)[..., None]
    blocks = list(model.adjoint(cycles.currents, slopes))
    return torch.cat([deltas for _, deltas, _ in reversed(blocks)])


@torch.no_grad()
def weight_jacobian(model, cues, cycles: LimitCycles, row_weights) -> list[Tensor]:
    """Derivatives of the B M measures by w_hh, w_ih, b_hh: (B M, N, N), (B M, N, 2), (B M, N).

        dL/dW = alpha sum_t delta_t r'_{t-1},   dL/dW_in = alpha sum_t delta_t u',   delta = dL/dx

    dW/dw_hh, Dale's law, is elementwise. Measure m of each cue is multiplied by row_weights[m].
    """
    n_cues, n_units = cycles.currents.shape[1:]
    deltas = _derivatives_by_state(model, cycles, cycles.slopes * np.asarray(row_weights))
    by_cue = deltas.view(-1, n_cues, MEASURES * n_units).permute(1, 2, 0)  # (B, M N, T)
    by_w = by_cue @ cycles.currents[:-1].relu().transpose(0, 1)
    sums = model.alpha * deltas.sum(0)  # (B M, N)
    with torch.enable_grad():
        (chain,) = torch.autograd.grad(model.effective_w_hh().sum(), model.w_hh)
    inputs = constant_cues(cues, 1)[:, 0].to(sums).repeat_interleave(MEASURES, dim=0)  # (B M, 2)
    by_w_hh = by_w.view(-1, n_units, n_units).mul_(model.alpha * chain)
    return [by_w_hh, sums[..., None] * inputs[:, None], sums]


@torch.no_grad()
def phase_response(model, cycles: LimitCycles) -> Tensor:
    """d log period / dx_t along the cycles, (T, B, N).

    A small change e of x_t changes the log period by e times this; one before the first rise has
    almost no effect.
    """
    return _derivatives_by_state(model, cycles, cycles.slopes[..., :1])
