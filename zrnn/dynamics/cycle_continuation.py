"""The course of a network's cycle as the cue changes: driven without noise, from cue to cue.

Shapes: B copies, T time steps, N units.
"""

import numpy as np
import torch
from numpy import ndarray as Array
from torch import Tensor

from zrnn import simulate
from zrnn.dynamics.diagram import Cycle, CycleEnd, find_end
from zrnn.dynamics.limit_cycle import rises

SETTLE_SECONDS = 3.0  # from rest onto the cycle at the cue that the others are reached from
RAMP_SECONDS = 2.0  # the way from that cue to each other one
MAX_SECONDS = 10.0  # a copy is driven for so long at most
STRETCH = 2.0  # [s] copies are looked at so often
SETTLED = 5e-4  # height and period of the two halves of a run agree to this share
DRIFT = 0.02  # in the end to this, or there is no cycle
MIN_HEIGHT = 1e-3  # of a cycle, from its lowest to its highest output
SWEEP_CUES = 31  # cues, evenly spaced, at which the cycle is looked for at first
EDGE_CUES = 10  # so many more where it begins and ends, thrice,
EDGE_SECONDS = 20.0  # for so long: there copies settle slowly
FINE_DT = 1e-4  # [s] the end of the cycle is looked at again in such steps,
FINE_SECONDS = 20.0  # for so long,
FINE_OFFSETS = np.array([-20, -10, -5, -2, 2, 5, 10]) / 1000  # around the Hopf point
FAR = 0.2  # a Hopf point so far from the end of the cycle has nothing to do with it


def read_cycle(cue: float, output: Array, dt: float, drift: float = SETTLED) -> Cycle | None:
    """The cycle that an output (T,) is on at a cue; None without one.

    The output must go round twice, rising through the middle of its range, and the first and the
    second half of the rounds must agree to `drift`, a share, in mean period and in height. If they
    do not, the second half of the output is looked at, for the first may be the way onto the cycle.
    """
    for kept in (output, output[len(output) // 2 :]):
        low, high = kept.min(), kept.max()
        level = (low + high) / 2
        times = rises(kept, level, margin=0.0)
        if high - low < MIN_HEIGHT or len(times) < 3:
            continue
        left, half = times.astype(int), len(times) // 2
        parts = ((0, half), (half, len(times) - 1))
        periods = [(times[b] - times[a]) / (b - a) for a, b in parts]
        heights = [np.ptp(kept[left[a] : left[b] + 2]) for a, b in parts]
        if all(max(v) - min(v) <= drift * max(v) for v in (periods, heights)):
            inside = kept[left[0] : left[-1] + 2]
            period = (times[-1] - times[0]) / (len(times) - 1) * dt
            return Cycle(float(cue), float(inside.min()), float(inside.max()), float(period))
    return None


def settled_cycles(model, cues, states: Tensor, seconds: float) -> tuple[list, Tensor]:
    """The cycles that copies (B, N) settle on at cues (B,): `Cycle` or None; where they were left.

    A copy is driven until it has settled, and for so many seconds at most.
    """
    cues, states = np.asarray(cues, dtype=float), states.clone()
    found, outputs = [None] * len(cues), [np.empty(0)] * len(cues)
    waiting = np.arange(len(cues))
    while seconds > 0 and len(waiting):
        inputs = simulate.constant_cues(cues[waiting], round(STRETCH / model.dt))
        run = simulate.run(model, inputs, state=states[waiting])
        states[waiting] = run.end.to(states)
        seconds -= STRETCH
        for i, output in zip(waiting, run.outputs, strict=True):
            outputs[i] = np.append(outputs[i], output)
            drift = SETTLED if seconds > 0 else DRIFT
            found[i] = read_cycle(cues[i], outputs[i], model.dt, drift)
        waiting = np.array([i for i in waiting if found[i] is None], dtype=int)
    return found, states


def lead_to(model, beat_cue: float, cues, seconds: float, ramp_seconds: float) -> Tensor:
    """Currents (B, N) of copies led from rest onto the cycle at beat_cue, then slowly to cues (B,).

    The cue stays at beat_cue for `seconds` and goes to its value in ramp_seconds.
    """
    start = simulate.run(model, simulate.constant_cues([beat_cue], round(seconds / model.dt))).end
    ramp = torch.linspace(0, 1, round(ramp_seconds / model.dt) + 1, dtype=torch.float64)[1:, None]
    inputs = simulate.constant_cues(cues, len(ramp))
    inputs = beat_cue * (1 - ramp) * torch.tensor([0.0, 1.0]) + inputs * ramp
    return simulate.run(model, inputs, state=start.expand(len(inputs), -1)).end


def find_cycles(
    model, beat_cue: float, bounds: tuple[float, float], n_cycles: int
) -> tuple[list[Cycle], list[float], dict[float, Tensor]]:
    """The cycle, led from beat_cue to cues within bounds: n_cycles, more where it begins or ends.

    Returns the cycles, rising in the cue; cues without one; {cue: currents (N,)}.
    """
    found, states = {}, {}

    def look(cues, start, seconds):
        cycles, ends = settled_cycles(model, cues, start, seconds)
        found.update(zip(cues, cycles, strict=True))
        states.update(zip(cues, ends, strict=True))

    def led(cues):
        return lead_to(model, beat_cue, cues, SETTLE_SECONDS, RAMP_SECONDS)

    cues = np.unique([*np.linspace(*bounds, SWEEP_CUES), beat_cue]).tolist()
    look(cues, led(cues), MAX_SECONDS)
    for _ in range(3):
        edge = _edge_cues(found, EDGE_CUES)
        if edge:
            start = torch.stack([states[neighbour] for _, neighbour in edge])
            look([cue for cue, _ in edge], start, EDGE_SECONDS)
    beating = [cue for cue in sorted(found) if found[cue]]
    if beating:
        cues = np.linspace(beating[0], beating[-1], n_cycles + 2)[1:-1].tolist()
        look(cues, led(cues), MAX_SECONDS)
    silent = [cue for cue in sorted(found) if not found[cue]]
    return [found[cue] for cue in sorted(found) if found[cue]], silent, states


def _edge_cues(found, n):
    """n cues between any two neighbours of {cue: cycle} of which one has a cycle, and that one."""
    cues, result = sorted(found), []
    for a, b in zip(cues[:-1], cues[1:], strict=True):
        if bool(found[a]) != bool(found[b]):
            result += [
                (cue, a if found[a] else b) for cue in np.linspace(a, b, n + 2)[1:-1].tolist()
            ]
    return result


def fine_end(
    model, cycles: list[Cycle], silent: list[float], states: dict, points: list
) -> CycleEnd | None:
    """The end of `find_cycles`' cycles once more, in steps of FINE_DT, always from a larger cycle.

    points: bifurcations in such steps and their z. None where the cycle has no end, or no cycle is
    found around it.
    """
    end = find_end(FINE_DT, cycles, silent, points)
    if not np.isfinite(end.first_without):
        return None
    centre = end.last
    if end.hopf is not None and abs(end.hopf - end.last) < FAR:
        centre = end.hopf
    cues = centre + FINE_OFFSETS
    beyond = np.linspace(cues[-1], end.first_without, 8)[1:]  # where the coarse steps had it
    cues = np.unique([*cues, *beyond[beyond > cues[-1]]])
    before = [c.cue for c in cycles if c.cue <= cues[0]] or [cycles[0].cue]
    start = states[before[-1]].expand(len(cues), -1)
    with model.temporarily(dt=FINE_DT):
        found, _ = settled_cycles(model, cues, start, FINE_SECONDS)
    fine = [cycle for cycle in found if cycle]
    without = [float(cue) for cue, cycle in zip(cues, found, strict=True) if not cycle]
    largest = max(c.high - c.low for c in cycles)
    return find_end(FINE_DT, fine, without, points, largest) if fine else None
