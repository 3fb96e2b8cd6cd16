"""Refinement and calibration, the second and third part of the training: Newton's method on tempo.

The period of a limit cycle has an exact gradient (`zrnn.dynamics.limit_cycle`). There are few
tempos and some 250,000 weights, so many changes of the weights correct all periods at once. The
smallest of them (with a damping lambda) is

    dw = -J' (J J' + lambda I)^-1 r,     J = dr / dw,   w = (W, W_in, b),
    r = [log(T_b / T*_b),  0.3 (max z_b - 1),  0.3 (min z_b - 0)]   for the cues b = 1 ... B.

`refine` keeps the periods T* while the time step falls from that of the descent to that of the
model, without noise. `calibrate` makes the mean ITI under recurrent noise equal to T*.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from zrnn import simulate
from zrnn.dynamics.limit_cycle import LimitCycles, find_limit_cycles, weight_jacobian
from zrnn.errors import UserError
from zrnn.taps import find_taps

# Which cycles are corrected, and how they are measured
N_CUES = 16  # the trained cues and, evenly spaced in log period, some between them
FIRST_SETTLING = 2.0  # [s] from x = 0 onto the cycles; clicks in the first half
SETTLING = 1.5  # [s] after a change of the weights, so that no transient counts as a cycle
N_PERIODS = 3.6  # length of a measurement, in longest periods: three rises if 20 % too long
LOST_ERROR = 0.3  # of a log period; beyond it the cycle counts as lost

# Newton's method
ROW_WEIGHTS = np.array([1.0, 0.3, 0.3])  # of log period, highest and lowest output
DAMPING = 1e-4  # lambda, fraction of the largest eigenvalue of J J'
MAX_RESIDUALS = np.array([0.04, 0.2, 0.2])  # corrected in one step, before ROW_WEIGHTS
MIN_CLIP_SCALE = 0.05  # smallest clip scale that is tried, as a fraction of MAX_RESIDUALS

# Refinement
DT_FACTOR = 0.7  # smallest factor from one time step to the next
MAX_DT_FACTOR = 0.99  # largest one that is tried before refinement gives up
NEXT_DT_RESIDUAL = 0.02  # largest residual with which a shorter time step is tried
MAX_DT_RESIDUAL = 0.06  # largest residual with which a shorter time step is accepted
REFINED_ERROR = 0.0015  # largest error of a log period at the end
MAX_STEPS = 200  # time steps and Newton steps together

# Calibration
CALIBRATED_ERROR = 0.0003  # largest error at which a round ends
MAX_CALIBRATION_STEPS = 4  # Newton steps in a round
NOISY_PERIODS = 10, 60  # length of the runs with noise in each round, in longest periods
NOISY_RUNS = 12  # at the longest period; in proportion fewer at shorter ones, which have more taps
SHIFT_DEGREE = 5  # of the polynomial in log period that smooths the shifts by noise


@dataclass(frozen=True)
class Progress:
    """State after a measurement: dt [s] and the error of each log period (B,)."""

    dt: float
    errors: np.ndarray

    @property
    def worst(self) -> float:
        """The largest error, as a fraction of the period; NaN where a cycle is lost."""
        return float(np.abs(self.errors).max())


class LostCycle(UserError):
    """A limit cycle is lost, or no step helps; the network is the last good one."""


def targets_of(periods: list[float]) -> np.ndarray:
    """The target periods [s]: the trained ones and some between them, ascending."""
    n_between = max(N_CUES - len(periods), 0) if len(periods) > 1 else 0
    between = np.geomspace(min(periods), max(periods), n_between + 2)[1:-1]
    return np.sort(np.concatenate([periods, between]))


def settle(model, targets, task) -> torch.Tensor:
    """Currents (B, N) on the cycles of periods `targets` (B,) [s], after runs with clicks."""
    inputs = simulate.driving_inputs(targets, FIRST_SETTLING, model.dt, task, FIRST_SETTLING / 2)
    return simulate.run(model, inputs).end


def measure_cycles(model, cues, targets, state) -> tuple[LimitCycles, np.ndarray]:
    """The limit cycles at `cues` (B,) from `state` (B, N) on; errors of their log periods (B,)."""
    cycles = find_limit_cycles(model, cues, state, SETTLING, N_PERIODS * targets.max())
    errors = np.log(cycles.period / targets)
    return cycles, np.where(np.abs(errors) < LOST_ERROR, errors, np.nan)


def residuals(errors, cycles: LimitCycles) -> np.ndarray:
    """Residuals r (B, M): errors of log period, highest and lowest output, weighted."""
    return ROW_WEIGHTS * np.stack([errors, cycles.high - 1, cycles.low], axis=1)


@torch.no_grad()
def newton_step(model, cues, cycles: LimitCycles, errors, clip_scale=1.0) -> None:
    """Change the weights by the smallest step that corrects the periods and the outputs' ranges.

    The residuals are clipped to clip_scale times MAX_RESIDUALS.
    """
    limits = clip_scale * ROW_WEIGHTS * MAX_RESIDUALS
    clipped = residuals(errors, cycles).clip(-limits, limits).ravel()
    rows = [part.flatten(1) for part in weight_jacobian(model, cues, cycles, ROW_WEIGHTS)]
    gram = sum(part @ part.t() for part in rows).double()
    gram.diagonal().add_(DAMPING * torch.linalg.eigvalsh(gram)[-1])
    solved = torch.linalg.solve(gram, torch.as_tensor(clipped).to(gram)).to(rows[0])
    for parameter, part in zip((model.w_hh, model.w_ih, model.b_hh), rows, strict=True):
        parameter.sub_((solved @ part).view_as(parameter))


def damped_step(model, cues, targets, cycles: LimitCycles, errors, clip_scale, shift=0.0):
    """A Newton step that keeps every cycle: new cycles, their errors, and the next clip scale.

    A step is accepted if the largest period error becomes smaller or is below REFINED_ERROR, or if
    the largest residual becomes smaller; the clip scale is then doubled, to at most 1. Otherwise
    the weights are restored and it is halved. shift (B,) is added to the errors. Raises LostCycle.
    """
    worst = np.abs(errors + shift).max(), np.abs(residuals(errors + shift, cycles)).max()
    weights = copy.deepcopy(model.state_dict())
    while clip_scale > MIN_CLIP_SCALE:
        newton_step(model, cues, cycles, errors + shift, clip_scale)
        found, new = measure_cycles(model, cues, targets, cycles.end)
        now = np.abs(new + shift).max(), np.abs(residuals(new + shift, found)).max()
        if now[0] < max(worst[0], REFINED_ERROR) or now[1] < worst[1]:
            return found, new, min(2 * clip_scale, 1.0)
        model.load_state_dict(weights)
        clip_scale /= 2
    cue = cues[np.abs(residuals(errors + shift, cycles)).max(axis=1).argmax()]
    raise LostCycle(f"no step helps at dt {1000 * model.dt:.3g} ms, cue {cue:.3g}")


def refine(model, periods, task, final_dt) -> Iterator[Progress]:
    """Reduce the time step from model.dt to final_dt [s] and keep the period at each cue.

    As soon as all residuals are small, a shorter time step is tried; Newton steps follow. If a
    cycle is lost, a residual exceeds MAX_DT_RESIDUAL or no Newton step helps, the previous time
    step and weights are restored and a longer time step is tried. If no Newton step helps at the
    first time step, shorter ones are tried with larger residuals. Yields after each measurement.
    Ends at final_dt when all periods are right or no step helps any more. Raises LostCycle.
    """
    targets = targets_of(periods)
    cues, dt_factor, clip_scale, before = task.cue_constant / targets, DT_FACTOR, 1.0, None
    next_residual = NEXT_DT_RESIDUAL
    cycles, errors = measure_cycles(model, cues, targets, settle(model, targets, task))
    if np.isnan(errors).any():
        lost = cues[np.isnan(errors).argmax()]
        raise LostCycle(f"after the descent there is no rhythm at cue {lost:.3g}")
    for _ in range(MAX_STEPS):
        yield Progress(model.dt, errors)
        at_end, worst = model.dt <= final_dt, np.abs(residuals(errors, cycles)).max()
        if at_end and np.abs(errors).max() < REFINED_ERROR:
            return
        if not at_end and worst <= next_residual:  # try a shorter time step
            before = model.dt, copy.deepcopy(model.state_dict()), cycles, errors
            model.dt = max(model.dt * dt_factor, final_dt)
            cycles, errors = measure_cycles(model, cues, targets, cycles.end)
            if np.abs(residuals(errors, cycles)).max() < MAX_DT_RESIDUAL:
                dt_factor = max(dt_factor**1.5, DT_FACTOR)
                continue
        else:
            try:
                cycles, errors, clip_scale = damped_step(
                    model, cues, targets, cycles, errors, clip_scale
                )
                continue
            except LostCycle:
                if at_end:  # every cycle exists; the evaluation tells its error
                    return
                if before is None:
                    if worst >= MAX_DT_RESIDUAL:
                        raise
                    next_residual = worst
                    continue
        # that time step was too short: restore the previous one and try a longer one
        lost = cues[np.nan_to_num(np.abs(errors), nan=9.0).argmax()]
        model.dt, weights, cycles, errors = before
        model.load_state_dict(weights)
        dt_factor, clip_scale = dt_factor**0.5, 1.0
        if dt_factor > MAX_DT_FACTOR:
            raise LostCycle(f"the rhythm is lost below dt {1000 * model.dt:.3g} ms, cue {lost:.3g}")
    if at_end:
        return
    raise LostCycle(f"not converged at dt {1000 * model.dt:.3g} ms: largest residual {worst:.3g}")


def noise_shift(model, cues, periods, state, noise, seconds) -> np.ndarray:
    """log(mean ITI under recurrent noise / noise-free period) at each cue, (B,).

    periods (B,) [s]: noise-free; state (B, N): on the cycles; noise: a torch.Generator, whose noise
    is antithetic. NaN where taps are missing.
    """
    n_runs = np.ceil(NOISY_RUNS / 2 * periods / periods.max()).astype(int)
    rows = np.repeat(np.arange(len(cues)), n_runs)
    rows = np.concatenate([rows, rows])  # the second half gets the opposite noise
    inputs = simulate.constant_cues(cues[rows], round(seconds / model.dt))
    noise = model.noise(noise, antithetic=True)
    outputs = simulate.run(model, inputs, noise, state[rows]).outputs
    taps = [find_taps(output, model.dt) for output in outputs]
    spans, counts = np.zeros(len(cues)), np.zeros(len(cues))
    for row, times in zip(rows, taps, strict=True):
        enough = len(times) > max(2, 0.8 * seconds / periods[row])
        spans[row] += times[-1] - times[0] if enough else np.nan
        counts[row] += len(times) - 1
    return np.log(spans * model.dt / counts / periods)


def calibrate(model, periods, task, noise) -> Iterator[Progress]:
    """Make the mean ITIs under recurrent noise equal to the target periods.

    Noise shifts the mean ITI by a fraction that is smooth in the tempo. This shift is measured,
    smoothed by a polynomial in the log period, and subtracted from the targets of Newton's method.
    There are two rounds, because the shift changes with the weights. noise: a torch.Generator.
    Yields after each measurement and each step. Raises LostCycle.
    """
    targets = targets_of(periods)
    cues, clip_scale = task.cue_constant / targets, 1.0
    degree = min(SHIFT_DEGREE, len(set(periods)) - 1)
    cycles, errors = measure_cycles(model, cues, targets, settle(model, targets, task))
    if np.isnan(errors).any():
        raise LostCycle(f"calibration finds no rhythm at cue {cues[np.isnan(errors).argmax()]:.3g}")
    yield Progress(model.dt, errors)  # the weights have not changed: a stopped run continues here
    for seconds in (n_periods * max(periods) for n_periods in NOISY_PERIODS):
        shifts = noise_shift(model, cues, cycles.period, cycles.end, noise, seconds)
        if np.isnan(shifts).any():
            raise LostCycle(
                f"under noise the rhythm is lost at cue {cues[np.isnan(shifts).argmax()]:.3g}"
            )
        shift = np.polyval(np.polyfit(np.log(targets), shifts, degree), np.log(targets))
        yield Progress(model.dt, errors + shift)
        for _ in range(MAX_CALIBRATION_STEPS):
            try:
                cycles, errors, clip_scale = damped_step(
                    model, cues, targets, cycles, errors, clip_scale, shift
                )
            except LostCycle:  # no step helps any more, and every cycle exists
                break
            yield Progress(model.dt, errors + shift)
            if np.abs(errors + shift).max() < CALIBRATED_ERROR:
                break
