"""Phase response of a trained network, measured by extra clicks and by the adjoint, and locking.

Without noise throughout. The response to a click is the change of phase it leaves behind, in
cycles: positive where all later taps come earlier. Phase 0 is the tap.

Shapes: B cues, P phases, H heights of a click, R ratios of periods, T time steps, N units.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zrnn import simulate
from zrnn import task as tasks
from zrnn.dynamics import limit_cycle
from zrnn.synchronization import protocols
from zrnn.synchronization import statistics as synchronization
from zrnn.taps import find_taps

N_PHASES = 40
READ_AFTER = 8.5  # [cycles] after the first of the phases at which a click comes: it has settled
SETTLE_SECONDS = 2.0
CYCLES_SEEN = 6.2  # of the slowest beat, for the adjoint; pushes have 3 to die out
CYCLES_LOCKING = 30  # [cycles] of clicks at another tempo


@dataclass(frozen=True)
class FreeCycles:
    """Cycles without clicks at B cues, and how they respond to first order; NaN without a beat.

    cues (B,); period (B,) [s]; start (B, N): currents somewhere on the cycle; first_tap (B,) [s]
    after them; click (B, P): response to a click that begins at phase p / P, by its height;
    diffusion (B,) [s^2]: variance that recurrent noise adds to the times of taps in each cycle.
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

    The adjoint gives dt/dx_t, the shift of a far tap by a push of the currents at step t. A click
    pushes by alpha W_in e_0 times its height, in each of its steps, noise by sqrt(2 alpha)
    sigma_rec xi in every step:

        click(t) = -alpha / T  sum_{t <= s < t + width}  dt/dx_s . W_in e_0
        diffusion = 2 alpha sigma_rec^2  sum_{s in a cycle}  |dt/dx_s|^2
    """
    cues = tasks.context_cue(np.asarray(periods), task.cue_constant)
    with_clicks = simulate.driving_inputs(
        periods, 2 * SETTLE_SECONDS, model.dt, task, SETTLE_SECONDS
    )
    state = simulate.run(model, with_clicks).end
    found = limit_cycle.find_limit_cycles(
        model, cues, state, SETTLE_SECONDS, CYCLES_SEEN * max(periods)
    )
    slopes = limit_cycle.phase_response(model, found)  # d log period / dx_t, (T, B, N)
    pushes = (slopes @ model.w_ih[:, 0]).double().cpu().numpy() * model.alpha
    squares = slopes.square().sum(-1).double().cpu().numpy()
    outputs = (found.currents[1:].relu() @ model.w_ho.t() + model.b_ho)[..., 0].cpu().numpy()

    first_tap, diffusion = np.full((2, len(cues)), np.nan)
    click = np.full((len(cues), N_PHASES), np.nan)
    width = np.ones(round(task.click_width / model.dt))
    for b in np.flatnonzero(np.isfinite(found.period)):
        taps, period = find_taps(outputs[:, b], model.dt), found.period[b] / model.dt
        counted = np.flatnonzero(found.slopes[:, b, 0])  # beside the rises that are measured
        n_cycles = round((counted[-1] - counted[0]) / period)
        begin = taps[taps > counted[0] + 1][0]  # from here on a push moves only the last rise
        whole = np.convolve(pushes[:, b], width, "valid")
        at = begin + np.arange(N_PHASES) / N_PHASES * period
        click[b] = -n_cycles * np.interp(at, np.arange(len(whole)), whole)
        in_cycle = squares[round(begin) : round(begin + period), b].sum()
        diffusion[b] = in_cycle * (n_cycles * found.period[b] * model.sigma_rec) ** 2
        first_tap[b] = taps[0] * model.dt
    start = found.currents[0].clone()
    return FreeCycles(cues, found.period, start, first_tap, click, 2 * model.alpha * diffusion)


def drive_cycle(model, free: FreeCycles, b: int, clicks, heights, n_steps, click_width) -> list:
    """Taps [s], one array a row, of cycle b with clicks at given times.

    clicks: for each row, times (K,) [s] after free.start; heights (rows,); click_width [s].
    """
    return protocols.tap_along(
        model,
        clicks,
        np.full(len(clicks), free.cues[b]),
        n_steps,
        click_width,
        heights,
        state=free.start[b].expand(len(clicks), -1),
    )


def click_responses(model, free: FreeCycles, b: int, heights, click_width) -> np.ndarray:
    """Response (H, P) of cycle b to one click of each height (H,) at each phase p / P.

    NaN where the beat has stopped by the time when the response is read.
    """
    period, first = free.period[b], free.first_tap[b]
    phases = np.arange(N_PHASES) / N_PHASES
    clicks = [[], *([first + phase * period] for _ in heights for phase in phases)]
    rows = [0.0, *np.repeat(heights, N_PHASES)]
    n_steps = round((first + (READ_AFTER + 1.5) * period) / model.dt)
    taps = drive_cycle(model, free, b, clicks, rows, n_steps, click_width)
    at = first + READ_AFTER * period
    end = np.array([synchronization.phases_at([at], own)[0] for own in taps])
    for k, own in enumerate(taps):
        if not ((own > at - 1.5 * period) & (own <= at)).any() or own[-1] < at:
            end[k] = np.nan
    return (end[1:] - end[0]).reshape(len(heights), N_PHASES)


def locking_patterns(model, free: FreeCycles, b: int, ratios, heights, click_width) -> np.ndarray:
    """What cycle b does with clicks of each height at `ratios` (R,) times its own period.

    Returns (H, R) of 1 + the pattern's place in synchronization.LOCKINGS, 0: none of them.
    """
    period, first = free.period[b], free.first_tap[b]
    trains = [first + np.arange(0, CYCLES_LOCKING, ratio) * period for ratio in ratios]
    clicks = trains * len(heights)
    n_steps = round((first + (CYCLES_LOCKING + 1.5) * period) / model.dt)
    taps = drive_cycle(
        model, free, b, clicks, np.repeat(heights, len(ratios)), n_steps, click_width
    )
    phases = [synchronization.phases_at(*pair) for pair in zip(clicks, taps, strict=True)]
    return np.array([_place(own) for own in phases]).reshape(len(heights), len(ratios))


def predicted_patterns(responses, ratios) -> np.ndarray:
    """What the phase-response curves (H, P) alone say: as `locking_patterns`, (H, R)."""
    n_clicks = 2 * CYCLES_LOCKING  # as many as the fastest clicks that are measured
    runs = [synchronization.iterate_response(own, ratios, n_clicks) for own in responses]
    return np.array([[_place(phases) for phases in run.T] for run in runs])


def _place(phases):
    pattern = synchronization.locking(phases)
    return 1 + synchronization.LOCKINGS.index(pattern) if pattern else 0
