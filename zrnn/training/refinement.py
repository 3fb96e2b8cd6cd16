"""Refinement and calibration, the second and third part of the training: Newton's method on tempo.

A cycle's period has an exact gradient (`zrnn.dynamics.cycles`), there are a handful of tempos and
some 250,000 weights: the smallest change of the weights that mends all of them at once is

    dw = -J' (J J' + lambda I)^-1 r,     J = dr / dw,   w = (W, W_in, b),
    r = [log(T_b / T*_b),  0.1 (max z_b - 1),  0.1 (min z_b - 0)]   for the cues b = 1 ... B.

`refine` keeps the periods T* while the step dt falls from that of the descent to that of the model,
without noise. `calibrate` makes the mean ITI under recurrent noise T*.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from zrnn.analysis.taps import find_taps
from zrnn.dynamics.cycles import Cycles, find_cycles, jacobian
from zrnn.network import drive
from zrnn.workshop.errors import UserError

N_CUES = 16  # spread over the trained range and a little beyond
BEYOND = 0.04  # of the period, at both ends
ROW_WEIGHTS = np.array([1.0, 0.1, 0.1])  # of log period, highest and lowest output
DAMPING = 1e-4  # lambda, as a share of the largest eigenvalue of J J'
MAX_RESIDUAL = 0.04  # residuals are clipped to this in one step
MAX_ERROR = 0.3  # a period further off counts as lost
RUNG = 0.8  # each dt of the ladder is this times the one before
NEXT_RUNG = 0.03  # worst error of the log periods with which the next rung is tried
REACHED = 0.0015  # and with which the last one is done
MAX_STEPS = 60  # of Newton's method, in all
SETTLE_SECONDS = 0.5  # from where the last cycles were left onto the cycles of the new weights
N_CYCLES = 3.1  # of the longest period, are measured
CALIBRATION_ROUNDS = 2
MAX_CALIBRATION_STEPS = 4  # of Newton's method in each
NOISY_SECONDS = 10.0  # of each run with noise
NOISY_RUNS = 16  # at the longest period; fewer, in proportion, at shorter ones: as many taps
SHIFT_DEGREE = 3  # of the polynomial in log period that smooths the shifts


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
    """No step helps; the network is the last good one, at the dt it has."""


def targets_of(periods: list[float]) -> np.ndarray:
    """The periods [s] that refinement and calibration keep: the trained ones and some between."""
    low, high = min(periods) * (1 - BEYOND), max(periods) * (1 + BEYOND)
    between = np.geomspace(low, high, max(N_CUES - len(periods), 2))
    return np.sort(np.concatenate([periods, between]))


def look(model, cues, targets, state, settle_seconds=SETTLE_SECONDS) -> tuple[Cycles, np.ndarray]:
    """The cycles at `cues` (B,) from `state` (B, N) on, and errors of their log periods (B,)."""
    cycles = find_cycles(model, cues, state, settle_seconds, N_CYCLES * targets.max())
    errors = np.log(cycles.period / targets)
    return cycles, np.where(np.abs(errors) < MAX_ERROR, errors, np.nan)


@torch.no_grad()
def newton_step(model, cues, cycles: Cycles, errors, max_residual=MAX_RESIDUAL) -> None:
    """Change the weights by the smallest step that mends the errors and the outputs' ranges."""
    residuals = np.stack([errors, cycles.high - 1, cycles.low], axis=1)
    residuals = ROW_WEIGHTS * residuals.clip(-max_residual, max_residual)
    rows = jacobian(model, cues, cycles, ROW_WEIGHTS)
    gram = (rows @ rows.t()).double()
    gram.diagonal().add_(DAMPING * torch.linalg.eigvalsh(gram)[-1])
    solved = torch.linalg.solve(gram, torch.as_tensor(residuals.ravel()).to(gram))
    step = -rows.t().mv(solved.to(rows.dtype))
    for parameter in (model.w_hh, model.w_ih, model.b_hh):
        part, step = step[: parameter.numel()], step[parameter.numel() :]
        parameter.add_(part.view_as(parameter))


def refine(model, periods, cue_constant, final_dt) -> Iterator[Step]:
    """Carry the network from model.dt to final_dt [s], keeping a period at each of many cues.

    At each rung of the ladder Newton steps follow until the worst period is near enough; where a
    cycle is lost, back to the last weights that had all of them, with a shorter rung or a smaller
    step. Yields after each look. Raises LostBeat.
    """
    targets = targets_of(periods)
    cues, rung, reach, good = cue_constant / targets, RUNG, MAX_RESIDUAL, None
    state = drive.run(model, drive.constant_cues(cues, round(2.0 / model.dt))).end
    for _ in range(MAX_STEPS):
        cycles, errors = look(model, cues, targets, state)
        seen = Step(model.dt, errors)
        yield seen
        if math.isnan(seen.worst):
            where = f"at dt {1000 * model.dt:.3g} ms, cue {cues[np.isnan(errors).argmax()]:.3g}"
            if good is None:
                raise LostBeat(f"after the descent there is no beat {where}")
            failed_dt, (weights, model.dt, cycles, errors) = model.dt, good
            model.load_state_dict(weights)
            rung, reach = (rung**0.5, reach) if failed_dt < model.dt else (rung, reach / 2)
            if rung > 0.98 or reach < MAX_RESIDUAL / 16:
                raise LostBeat(f"refinement lost the beat {where}")
        else:
            good = {k: v.clone() for k, v in model.state_dict().items()}, model.dt, cycles, errors
        state, worst, at_end = cycles.end, np.abs(errors).max(), model.dt <= final_dt
        if at_end and worst < REACHED:
            return
        if not at_end and worst < NEXT_RUNG:
            model.dt = max(model.dt * rung, final_dt)
        else:
            newton_step(model, cues, cycles, errors, reach)
    raise LostBeat(
        f"refinement came to no end at dt {1000 * model.dt:.3g} ms: a period is off by {worst:.1%}"
    )


def noise_shift(model, cues, periods, state, noise) -> np.ndarray:
    """log(mean ITI under recurrent noise / noise-free period) at each cue, (B,).

    periods (B,) [s]: noise-free; state (B, N): on the cycles; noise: a generator. Each run comes
    twice, with the noise and with its negative. NaN where taps are missing.
    """
    n_runs = np.ceil(NOISY_RUNS / 2 * periods / periods.max()).astype(int)
    rows = np.repeat(np.arange(len(cues)), n_runs)
    rows = np.concatenate([rows, rows])  # the second half is mirrored
    inputs = drive.constant_cues(cues[rows], round(NOISY_SECONDS / model.dt))
    outputs = drive.run(model, inputs, noise, state[rows], mirrored=True).outputs
    taps = [find_taps(output, model.dt) for output in outputs]
    spans, counts = np.zeros(len(cues)), np.zeros(len(cues))
    for row, own in zip(rows, taps, strict=True):
        spans[row] += own[-1] - own[0] if len(own) > 2 else np.nan
        counts[row] += len(own) - 1
    return np.log(spans * model.dt / counts / periods)


def calibrate(model, periods, cue_constant, noise) -> Iterator[Step]:
    """Make the mean ITIs under recurrent noise what the cues ask for; noise: a generator.

    Noise makes the beat slower by a share that is smooth in the tempo and hardly changes with small
    steps of the weights: it is measured, averaged over the rounds, smoothed by a polynomial in the
    log period, and taken off the periods that Newton's method aims at. Yields after each look.
    Raises LostBeat.
    """
    targets = targets_of(periods)
    cues, shifts = cue_constant / targets, []
    state = drive.run(model, drive.constant_cues(cues, round(2.0 / model.dt))).end
    cycles, errors = look(model, cues, targets, state)
    for _ in range(CALIBRATION_ROUNDS):
        shifts.append(noise_shift(model, cues, cycles.period, cycles.end, noise))
        degree = min(SHIFT_DEGREE, len(set(periods)) - 1)
        fit = np.polyfit(np.log(targets), np.mean(shifts, axis=0), degree)
        shift = np.polyval(fit, np.log(targets))
        for _ in range(MAX_CALIBRATION_STEPS):
            seen = Step(model.dt, errors + shift)
            yield seen
            if math.isnan(seen.worst):
                lost = np.isnan(seen.errors).argmax()
                raise LostBeat(f"calibration lost the beat at cue {cues[lost]:.3g}")
            if seen.worst < REACHED:
                break
            newton_step(model, cues, cycles, seen.errors)
            cycles, errors = look(model, cues, targets, cycles.end)
