"""Phase response of a network, measured by extra clicks and by the adjoint, and phase locking.

Without noise throughout. The response to a click is the lasting change of phase, in cycles:
positive where all later taps are earlier. Phase 0 is the tap.

Shapes: B cues, P phases, H heights of a click, M ratios of periods, T time steps, N units.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zrnn import simulate
from zrnn.dynamics import limit_cycle
from zrnn.synchronization.protocols import tap_along
from zrnn.taps import find_taps
from zrnn.task import context_cue

PHASES = np.arange(40) / 40  # [cycles] at which an extra click begins
READ_AFTER = 8.5  # [cycles] from phase 0 of the cycle with the click until its response is read
SETTLE_SECONDS = 2.0  # [s] with clicks, then without, before the cycle is measured
ADJOINT_CYCLES = 6.2  # [cycles of the slowest beat] of the run with the adjoint
LOCKING_PATTERNS = ((1, 1), (1, 2), (2, 1))  # (taps, clicks) of one repetition
MAX_SLIP = 0.05  # [cycles] by which a locked phase may vary in the second half of a run
LOCKING_CYCLES = 30  # [cycles] of clicks at another tempo


@dataclass(frozen=True)
class FreeCycles:
    """Noise-free cycles without clicks at B cues, and their first-order response; NaN without one.

    cues (B,); period (B,) [s]; start (B, N): currents on the cycle; first_tap (B,) [s]: the first
    tap after the start; click (B, P): response to a click that begins at phase p / P, divided by
    its height; diffusion (B,) [s^2]: variance that recurrent noise adds to a tap in each cycle.
    """

    cues: np.ndarray
    period: np.ndarray
    start: Tensor
    first_tap: np.ndarray
    click: np.ndarray
    diffusion: np.ndarray


@torch.no_grad()
def free_cycles(model, periods, task) -> FreeCycles:
    """The `FreeCycles` at the cues of `periods` (B,) [s]; task: the config's section.

    The adjoint gives dt/dx_s, the delay of a much later tap by a perturbation of the currents at
    step s. A click adds alpha W_in e_0 times its height to them in each of its steps, noise
    sqrt(2 alpha) sigma_rec xi in every step:

        click(t) = -alpha / T  sum_{t <= s < t + width}  dt/dx_s . W_in e_0
        diffusion = 2 alpha sigma_rec^2  sum_{s in a cycle}  |dt/dx_s|^2
    """
    cues = context_cue(np.asarray(periods), task.cue_constant)
    dt, settle, seconds = model.dt, SETTLE_SECONDS, ADJOINT_CYCLES * max(periods)
    state = simulate.run(model, simulate.driving_inputs(periods, 2 * settle, dt, task, settle)).end
    cycles = limit_cycle.find_limit_cycles(model, cues, state, settle, seconds)
    slopes = limit_cycle.phase_response(model, cycles)  # d log period / dx_t, (T, B, N)
    by_clicks = (slopes @ model.w_ih[:, 0]).double().cpu().numpy() * model.alpha
    squares = slopes.square().sum(-1).double().cpu().numpy()
    outputs = model.readout(cycles.currents[1:])[..., 0].cpu().numpy()

    first_tap, diffusion = np.full((2, len(cues)), np.nan)
    click = np.full((len(cues), len(PHASES)), np.nan)
    width = np.ones(round(task.click_width / dt))
    for b in np.flatnonzero(np.isfinite(cycles.period)):
        taps, period = find_taps(outputs[:, b], dt), cycles.period[b] / dt
        crossings = np.flatnonzero(cycles.slopes[:, b, 0])  # samples at the first and last rise
        n_cycles = round((crossings[-1] - crossings[0]) / period)
        begin = taps[taps > crossings[0] + 1][0]  # from here on only the last rise is delayed
        summed = np.convolve(by_clicks[:, b], width, "valid")
        samples = begin + PHASES * period
        click[b] = -n_cycles * np.interp(samples, np.arange(len(summed)), summed)
        in_cycle = squares[round(begin) : round(begin + period), b].sum()
        diffusion[b] = in_cycle * (n_cycles * cycles.period[b] * model.sigma_rec) ** 2
        first_tap[b] = taps[0] * dt
    start = cycles.currents[0].clone()
    return FreeCycles(cues, cycles.period, start, first_tap, click, 2 * model.alpha * diffusion)


def tap_from_cycle(model, free: FreeCycles, b: int, trains, heights, n_cycles, width) -> list:
    """Taps [trial] -> (K,) of cycle b with clicks at `trains`; both in cycles after a tap."""
    first, period = free.first_tap[b], free.period[b]
    trains = [first + np.asarray(clicks) * period for clicks in trains]
    cues, state = np.full(len(trains), free.cues[b]), free.start[b].expand(len(trains), -1)
    n_steps = round((first + n_cycles * period) / model.dt)
    taps = tap_along(model, trains, cues, n_steps, width, heights, state=state)
    return [(run - first) / period for run in taps]


def click_responses(model, free: FreeCycles, b: int, heights, click_width) -> np.ndarray:
    """Response (H, P) of cycle b to one click of each height (H,) at each phase p / P.

    NaN where the beat has stopped by the time when the response is read.
    """
    trains = [[], *([phase] for _ in heights for phase in PHASES)]
    rows = [0.0, *np.repeat(heights, len(PHASES))]
    taps = tap_from_cycle(model, free, b, trains, rows, READ_AFTER + 1.5, click_width)
    ends = np.array([phases_at([READ_AFTER], run)[0] for run in taps])
    for k, run in enumerate(taps):
        before = (run > READ_AFTER - 1.5) & (run <= READ_AFTER)
        if not before.any() or run[-1] < READ_AFTER:
            ends[k] = np.nan
    return (ends[1:] - ends[0]).reshape(len(heights), -1)


def locking_patterns(model, free: FreeCycles, b: int, ratios, heights, click_width) -> np.ndarray:
    """`locking_pattern` (H, M) of cycle b, with clicks at `ratios` (M,) times its period."""
    trains = [np.arange(0, LOCKING_CYCLES, ratio) for ratio in ratios] * len(heights)
    rows = np.repeat(heights, len(ratios))
    taps = tap_from_cycle(model, free, b, trains, rows, LOCKING_CYCLES + 1.5, click_width)
    patterns = [locking_pattern(phases_at(*pair)) for pair in zip(trains, taps, strict=True)]
    return np.reshape(patterns, (len(heights), len(ratios)))


def phases_at(times, taps) -> np.ndarray:
    """Phase [cycles] of the beat at times (M,): 0 at the first tap (K,), 1 at the second, ...

    Linear between taps, and for one ITI before the first and after the last.
    """
    if len(taps) < 2:
        return np.full(len(times), np.nan)
    extended = [2 * taps[0] - taps[1], *taps, 2 * taps[-1] - taps[-2]]
    return np.interp(times, extended, np.arange(-1, len(taps) + 1))


def wrapped(phases) -> np.ndarray:
    """Phases [cycles] in -1/2 ... 1/2."""
    return (np.asarray(phases) + 0.5) % 1 - 0.5


def locking_pattern(phases) -> int:
    """1 + the index in LOCKING_PATTERNS of the pattern of phases (K,) [cycles] at clicks, or 0.

    p taps to q clicks: over q clicks the phase grows by p, throughout the second half of the run.
    """
    second_half = np.asarray(phases)[len(phases) // 2 :]
    for number, (p, q) in enumerate(LOCKING_PATTERNS, start=1):
        slip = second_half[::q] - p * np.arange(len(second_half[::q]))
        if len(slip) > 2 and np.ptp(slip) < MAX_SLIP:
            return number
    return 0


def interpolate_response(response, phases) -> np.ndarray:
    """A phase-response curve (P,) [cycles], known at phases p / P, at any phases [cycles].

    Linear between neighbours modulo one cycle; whole cycles are those of the nearer neighbour.
    """
    response, position = np.asarray(response), np.asarray(phases) % 1 * len(response)
    left = np.floor(position).astype(int) % len(response)
    fraction = position - np.floor(position)
    jump = response[(left + 1) % len(response)] - response[left]
    cycles = np.round(jump)
    return response[left] + fraction * (jump - cycles) + np.where(fraction > 0.5, cycles, 0)


def predicted_patterns(responses, ratios) -> np.ndarray:
    """`locking_patterns` (H, M) as the phase-response curves (H, P) alone predict them.

    Each click adds the response to the phase; the first click comes at a tap.
    """
    patterns, n_clicks = [], 2 * LOCKING_CYCLES  # the number of the fastest clicks of all ratios
    for response in responses:
        phases = [np.zeros(len(ratios))]
        while len(phases) < n_clicks:
            phases.append(phases[-1] + interpolate_response(response, phases[-1]) + ratios)
        patterns.append([locking_pattern(run) for run in np.transpose(phases)])
    return np.array(patterns)
