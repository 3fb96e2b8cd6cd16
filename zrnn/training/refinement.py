"""Refinement and calibration, the second and third part of the training: Newton's method on tempo.

A cycle's period has an exact gradient (`zrnn.dynamics.limit_cycle`), there are a handful of tempos and
some 250,000 weights: the smallest change of the weights that mends all of them at once is

    dw = -J' (J J' + lambda I)^-1 r,     J = dr / dw,   w = (W, W_in, b),
    r = [log(T_b / T*_b),  0.3 (max z_b - 1),  0.3 (min z_b - 0)]   for the cues b = 1 ... B.

`refine` keeps the periods T* while the step dt falls from that of the descent to that of the model,
without noise. `calibrate` makes the mean ITI under recurrent noise T*.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from zrnn import simulate
from zrnn.dynamics.limit_cycle import LimitCycles, find_limit_cycles, weight_jacobian
from zrnn.errors import UserError
from zrnn.recurrence import Noise
from zrnn.taps import find_taps

N_CUES = 16  # the trained ones and, evenly spread in log period, some between
ROW_WEIGHTS = np.array([1.0, 0.3, 0.3])  # of log period, highest and lowest output
DAMPING = 1e-4  # lambda, as a share of the largest eigenvalue of J J'
MAX_RESIDUALS = np.array([0.04, 0.2, 0.2])  # of them in one step, before they are weighted
SMALLEST_REACH = 0.05  # the share of these below which no step helps
MAX_ERROR = 0.3  # a period further off counts as lost
RUNG, SHORTEST_RUNG = 0.7, 0.99  # a dt of the ladder is at least, at most this times the one before
NEXT_RUNG = 0.02  # worst residual with which a shorter dt is tried
MAX_JUMP = 0.06  # worst residual with which a shorter dt is taken
REACHED = 0.0015  # worst error of a period with which refinement is done
CALIBRATED = 0.0003  # worst error with which a round of the calibration is done
SETTLE_FIRST = 2.0  # [s] from rest onto the cycles, the first half with clicks
MAX_STEPS = 200  # rungs and Newton steps, in all
SETTLE_SECONDS = 1.5  # onto the cycles of new weights; a lost beat takes as long to die
N_CYCLES = 3.6  # of the longest period, are measured: three rises even if it is 20 % too long
MAX_CALIBRATION_STEPS = 4  # of Newton's method in each
NOISY_PERIODS = 10, 60  # the longest ones, that runs with noise take in each round of calibration
NOISY_RUNS = 12  # at the longest period; fewer, in proportion, at shorter ones: as many taps
SHIFT_DEGREE = 5  # of the polynomial in log period that smooths the shifts


@dataclass(frozen=True)
class Step:
    """One look at the cycles: dt [s] and error of each log period (B,) against its target."""

    dt: float
    errors: np.ndarray

    @property
    def worst(self) -> float:
        """The largest error, as a share of the period; NaN where a cycle is lost."""
        return float(np.abs(self.errors).max())


class LostBeat(UserError):
    """A beat is lost, and no step brings it back; the network is the last good one."""


def targets_of(periods: list[float]) -> np.ndarray:
    """The periods [s] that refinement and calibration keep: the trained ones and some between."""
    n_between = max(N_CUES - len(periods), 0) if len(periods) > 1 else 0
    between = np.geomspace(min(periods), max(periods), n_between + 2)[1:-1]
    return np.sort(np.concatenate([periods, between]))


def onto_the_cycles(model, targets, task) -> torch.Tensor:
    """Where trials at the periods `targets` (B,) [s], begun with clicks, are in the end: (B, N)."""
    inputs = simulate.driving_inputs(targets, SETTLE_FIRST, model.dt, task, SETTLE_FIRST / 2)
    return simulate.run(model, inputs).end


def look(model, cues, targets, state) -> tuple[LimitCycles, np.ndarray]:
    """The cycles at `cues` (B,) from `state` (B, N) on, and errors of their log periods (B,)."""
    cycles = find_limit_cycles(model, cues, state, SETTLE_SECONDS, N_CYCLES * targets.max())
    errors = np.log(cycles.period / targets)
    return cycles, np.where(np.abs(errors) < MAX_ERROR, errors, np.nan)


def residuals(errors, cycles: LimitCycles) -> np.ndarray:
    """What Newton's method mends, (B, M): log period, highest and lowest output, weighted."""
    return ROW_WEIGHTS * np.stack([errors, cycles.high - 1, cycles.low], axis=1)


@torch.no_grad()
def newton_step(model, cues, cycles: LimitCycles, errors, reach=1.0) -> None:
    """Change the weights by the smallest step that mends the errors and the outputs' ranges.

    reach: 1 for a full step, in which the residuals are clipped to MAX_RESIDUALS, or less.
    """
    limits = reach * ROW_WEIGHTS * MAX_RESIDUALS
    wanted = residuals(errors, cycles).clip(-limits, limits).ravel()
    rows = [part.flatten(1) for part in weight_jacobian(model, cues, cycles, ROW_WEIGHTS)]
    gram = sum(part @ part.t() for part in rows).double()
    gram.diagonal().add_(DAMPING * torch.linalg.eigvalsh(gram)[-1])
    solved = torch.linalg.solve(gram, torch.as_tensor(wanted).to(gram)).to(rows[0])
    for parameter, part in zip((model.w_hh, model.w_ih, model.b_hh), rows, strict=True):
        parameter.sub_((solved @ part).view_as(parameter))


def mend(model, cues, targets, cycles: LimitCycles, errors, reach, shift=0.0):
    """A Newton step that keeps every beat: new cycles and errors, and the reach for the next.

    Where a beat would be lost, or neither the periods get better (nor are they right already) nor
    the residuals as a whole, the weights go back and the reach is halved.
    shift (B,): what is added to the errors before. Raises LostBeat.
    """
    worst = np.abs(errors + shift).max(), np.abs(residuals(errors + shift, cycles)).max()
    weights = copy.deepcopy(model.state_dict())
    while reach > SMALLEST_REACH:
        newton_step(model, cues, cycles, errors + shift, reach)
        found, new = look(model, cues, targets, cycles.end)
        now = np.abs(new + shift).max(), np.abs(residuals(new + shift, found)).max()
        if now[0] < max(worst[0], REACHED) or now[1] < worst[1]:
            return found, new, min(2 * reach, 1.0)
        model.load_state_dict(weights)
        reach /= 2
    cue = cues[np.abs(residuals(errors + shift, cycles)).max(axis=1).argmax()]
    raise LostBeat(f"no step helps at dt {1000 * model.dt:.3g} ms, cue {cue:.3g}")


def refine(model, periods, task, final_dt) -> Iterator[Step]:
    """Carry the network from model.dt to final_dt [s], keeping a period at each of many cues.

    A shorter dt is tried as soon as all periods are near enough, as much shorter as they bear;
    then Newton steps follow. Where a beat is lost or no step helps, it goes back to the dt before
    and tries one less short. Yields after each; ends at final_dt where all periods are right, or
    where no step helps any more. Raises LostBeat.
    """
    targets = targets_of(periods)
    cues, rung, reach, before = task.cue_constant / targets, RUNG, 1.0, None
    cycles, errors = look(model, cues, targets, onto_the_cycles(model, targets, task))
    if np.isnan(errors).any():
        raise LostBeat(f"the descent left no beat at cue {cues[np.isnan(errors).argmax()]:.3g}")
    for _ in range(MAX_STEPS):
        yield Step(model.dt, errors)
        at_end, worst = model.dt <= final_dt, np.abs(residuals(errors, cycles)).max()
        if at_end and np.abs(errors).max() < REACHED:
            return
        if not at_end and worst < NEXT_RUNG:  # try a shorter dt
            before = model.dt, copy.deepcopy(model.state_dict()), cycles, errors
            model.dt = max(model.dt * rung, final_dt)
            cycles, errors = look(model, cues, targets, cycles.end)
            if np.abs(residuals(errors, cycles)).max() < MAX_JUMP:
                rung = max(rung**1.5, RUNG)
                continue
        else:
            try:
                cycles, errors, reach = mend(model, cues, targets, cycles, errors, reach)
                continue
            except LostBeat:
                if at_end:  # every beat is there; how far off it is, is for the verdict to say
                    return
                if before is None:
                    raise
        # that was too short: go back, and try one less so
        lost = cues[np.nan_to_num(np.abs(errors), nan=9.0).argmax()]
        model.dt, weights, cycles, errors = before
        model.load_state_dict(weights)
        rung, reach = rung**0.5, 1.0
        if rung > SHORTEST_RUNG:
            raise LostBeat(f"the beat is lost below dt {1000 * model.dt:.3g} ms, cue {lost:.3g}")
    if at_end:
        return
    raise LostBeat(f"no end at dt {1000 * model.dt:.3g} ms: a period is off by {worst:.1%}")


def noise_shift(model, cues, periods, state, noise, seconds) -> np.ndarray:
    """log(mean ITI under recurrent noise / noise-free period) at each cue, (B,).

    periods (B,) [s]: noise-free; state (B, N): on the cycles; noise: a generator. Each run comes
    twice, with the noise and with its negative. NaN where taps are missing.
    """
    n_runs = np.ceil(NOISY_RUNS / 2 * periods / periods.max()).astype(int)
    rows = np.repeat(np.arange(len(cues)), n_runs)
    rows = np.concatenate([rows, rows])  # the second half is mirrored
    inputs = simulate.constant_cues(cues[rows], round(seconds / model.dt))
    noise = Noise(noise, model.alpha, model.sigma_rec, mirrored=True)
    outputs = simulate.run(model, inputs, noise, state[rows]).outputs
    taps = [find_taps(output, model.dt) for output in outputs]
    spans, counts = np.zeros(len(cues)), np.zeros(len(cues))
    for row, own in zip(rows, taps, strict=True):
        enough = len(own) > max(2, 0.8 * seconds / periods[row])
        spans[row] += own[-1] - own[0] if enough else np.nan
        counts[row] += len(own) - 1
    return np.log(spans * model.dt / counts / periods)


def calibrate(model, periods, task, noise) -> Iterator[Step]:
    """Make the mean ITIs under recurrent noise what the cues ask for; noise: a generator.

    Noise makes the beat slower, or faster, by a share that is smooth in the tempo: it is measured,
    smoothed by a polynomial in the log period, and taken off the periods that Newton's method aims
    at. The share changes with the weights, so all of it comes twice. Yields after each measurement
    and each step; a round ends where no step helps any more. Raises LostBeat.
    """
    targets = targets_of(periods)
    cues, reach, degree = task.cue_constant / targets, 1.0, min(SHIFT_DEGREE, len(set(periods)) - 1)
    cycles, errors = look(model, cues, targets, onto_the_cycles(model, targets, task))
    yield Step(model.dt, errors)  # nothing has changed yet: a stopped run goes on from here
    for seconds in (n_periods * max(periods) for n_periods in NOISY_PERIODS):
        shifts = noise_shift(model, cues, cycles.period, cycles.end, noise, seconds)
        if np.isnan(shifts).any():
            raise LostBeat(
                f"under noise the beat is lost at cue {cues[np.isnan(shifts).argmax()]:.3g}"
            )
        shift = np.polyval(np.polyfit(np.log(targets), shifts, degree), np.log(targets))
        yield Step(model.dt, errors + shift)
        for _ in range(MAX_CALIBRATION_STEPS):
            try:
                cycles, errors, reach = mend(model, cues, targets, cycles, errors, reach, shift)
            except LostBeat:  # as near as it gets, and still a beat
                break
            yield Step(model.dt, errors + shift)
            if np.abs(errors + shift).max() < CALIBRATED:
                break
