"""The bifurcation diagram of a trained network: equilibria and limit cycle against the cue.

The cycle is followed from cue to cue by noise-free runs.

Shapes: B copies of the network, T time steps, N units.
"""

from itertools import pairwise

import numpy as np
import torch
from numpy import ndarray as Array
from torch import Tensor

from zrnn import simulate
from zrnn.dynamics import diagram, trained_network
from zrnn.dynamics.diagram import CycleEnd, Diagram, StableCycle
from zrnn.dynamics.limit_cycle import upward_crossings

# Reading a cycle from an output
MIN_AMPLITUDE = 1e-3  # output, peak to peak
MAX_DRIFT = 5e-4  # fraction by which period and amplitude of both halves of a run may differ
MAX_FINAL_DRIFT = 0.02  # the same, once the time for settling is over

# Search for the cycle
SETTLE_SECONDS = 3.0  # from rest onto the cycle at the first cue
RAMP_SECONDS = 2.0  # from the first cue to another
PART_SECONDS = 2.0  # between two tests whether a copy has settled
SWEEP_CUES = 31  # evenly spaced, in the first search
SWEEP_SECONDS = 10.0  # longest run at each of them
EDGE_CUES = 10  # further cues between neighbours with and without a cycle, three times
EDGE_SECONDS = 20.0  # longest run at each of them, since copies settle slowly there
ONSET_DISTANCES = np.geomspace(1e-6, 0.1, 11)  # cues above the fold at which the cycle begins
ONSET_SECONDS = 150.0  # longest run at each of them

# The end of the cycle in fine integration steps
FINE_DT = 1e-4  # [s]
FINE_SECONDS = 20.0  # longest run at each cue
FINE_OFFSETS = np.array([-20, -10, -5, -2, 2, 5, 10]) / 1000  # cues around the Hopf point
MAX_HOPF_DISTANCE = 0.2  # in the cue; a Hopf point further from the end does not belong to it


def solve(
    model, cues: tuple[float, float], n_cycles: int, first_cue: float
) -> tuple[Diagram, list]:
    """The `Diagram` of a network between two cues, z being its output.

    The diagram is that of the Euler map in steps of model.dt, as the network is driven. The cycle
    is continued from first_cue. Returns also the bifurcations in steps of FINE_DT.
    """
    exact = trained_network.in_double(model)
    flow = trained_network.network_flow(exact)
    branches = trained_network.find_branches(exact, cues)
    curves, bifurcations = diagram.equilibrium_curves(flow, branches, model.dt)
    _, fine_bifurcations = diagram.equilibrium_curves(flow, branches, FINE_DT)
    cycles, without, states = continue_cycle(model, first_cue, cues, n_cycles)
    if not cycles:
        return Diagram(curves, bifurcations, cycles, without), fine_bifurcations
    end = diagram.find_end(model.dt, cycles, without, bifurcations)
    fine_end = end_in_fine_steps(model, end, states, fine_bifurcations)
    ends = [end] if fine_end is None else [end, fine_end]
    fold, onset = _onset(exact, bifurcations, cycles[0].cue, states)
    if fold is not None:  # between it and the first cycle others were only too slow to be found
        without = [cue for cue in without if not fold.p < cue < cycles[0].cue]

    def run(x, cue):  # one second
        inputs, start = simulate.constant_cues([cue], round(1.0 / exact.dt)), torch.tensor(x)[None]
        return simulate.run(exact, inputs, state=start, keep_states=True).states[0]

    manifold = diagram.manifold_below(flow, curves, fold, run)
    found = Diagram(curves, bifurcations, cycles, without, fold, onset, manifold, ends)
    return found, fine_bifurcations


def read_cycle(cue: float, output: Array, dt: float, max_drift=MAX_DRIFT) -> StableCycle | None:
    """The cycle that an output (T,) follows at a cue, or None.

    The output must rise three times through the middle of its range, and the two halves of its
    periods must agree to `max_drift` in mean period and amplitude. If they do not, the first half
    of the output is taken as the transient, and the second half is read alone.
    """
    for kept in (output, output[len(output) // 2 :]):
        low, high = kept.min(), kept.max()
        times = upward_crossings(kept, (low + high) / 2, margin=0.0)
        if high - low < MIN_AMPLITUDE or len(times) < 3:
            continue
        left, half = times.astype(int), len(times) // 2
        parts = ((0, half), (half, len(times) - 1))
        periods = [(times[b] - times[a]) / (b - a) for a, b in parts]
        amplitudes = [np.ptp(kept[left[a] : left[b] + 2]) for a, b in parts]
        if all(max(v) - min(v) <= max_drift * max(v) for v in (periods, amplitudes)):
            inside = kept[left[0] : left[-1] + 2]
            period = (times[-1] - times[0]) / (len(times) - 1) * dt
            return StableCycle(float(cue), float(inside.min()), float(inside.max()), float(period))
    return None


def settled_cycles(model, cues, states: Tensor, seconds: float) -> tuple[list, Tensor]:
    """The cycles on which copies (B, N) settle at cues (B,), or None; their last states (B, N).

    Each copy runs until it has settled, for `seconds` at most.
    """
    cues, states = np.asarray(cues, dtype=float), states.clone()
    cycles, outputs = [None] * len(cues), [np.empty(0)] * len(cues)
    waiting = np.arange(len(cues))
    while seconds > 0 and len(waiting):
        inputs = simulate.constant_cues(cues[waiting], round(PART_SECONDS / model.dt))
        run = simulate.run(model, inputs, state=states[waiting])
        states[waiting] = run.end.to(states)
        seconds -= PART_SECONDS
        for i, output in zip(waiting, run.outputs, strict=True):
            outputs[i] = np.append(outputs[i], output)
            max_drift = MAX_DRIFT if seconds > 0 else MAX_FINAL_DRIFT
            cycles[i] = read_cycle(cues[i], outputs[i], model.dt, max_drift)
        waiting = np.array([i for i in waiting if cycles[i] is None], dtype=int)
    return cycles, states


def ramp_cue(model, first_cue: float, cues) -> Tensor:
    """States (B, N) after a run from rest at first_cue and a linear ramp from it to cues (B,)."""
    inputs = simulate.constant_cues([first_cue], round(SETTLE_SECONDS / model.dt))
    start = simulate.run(model, inputs).end
    ramp = torch.linspace(0, 1, round(RAMP_SECONDS / model.dt) + 1, dtype=torch.float64)[1:, None]
    inputs = simulate.constant_cues(cues, len(ramp))
    inputs = first_cue * (1 - ramp) * torch.tensor([0.0, 1.0]) + inputs * ramp
    return simulate.run(model, inputs, state=start.expand(len(inputs), -1)).end


def continue_cycle(
    model, first_cue: float, bounds: tuple[float, float], n_cues: int
) -> tuple[list[StableCycle], list[float], dict[float, Tensor]]:
    """The cycle from first_cue to both bounds of the cue, at n_cues and at more near its ends.

    Returns the cycles, rising in the cue; the cues without one; {cue: last state (N,)}.
    """
    found, states = {}, {}

    def search(cues, start, seconds):
        cycles, ends = settled_cycles(model, cues, start, seconds)
        found.update(zip(cues, cycles, strict=True))
        states.update(zip(cues, ends, strict=True))

    def sweep(cues):
        search(cues.tolist(), ramp_cue(model, first_cue, cues), SWEEP_SECONDS)

    sweep(np.unique([*np.linspace(*bounds, SWEEP_CUES), first_cue]))
    for _ in range(3):
        starts = {  # cue: state of the neighbour with a cycle
            cue: states[a if found[a] else b]
            for a, b in pairwise(sorted(found))
            if bool(found[a]) != bool(found[b])
            for cue in np.linspace(a, b, EDGE_CUES + 2)[1:-1].tolist()
        }
        if starts:
            search(list(starts), torch.stack(list(starts.values())), EDGE_SECONDS)
    with_cycle = [cue for cue in sorted(found) if found[cue]]
    if with_cycle:
        sweep(np.linspace(with_cycle[0], with_cycle[-1], n_cues + 2)[1:-1])
    cycles = [found[cue] for cue in sorted(found) if found[cue]]
    return cycles, [cue for cue in sorted(found) if not found[cue]], states


def end_in_fine_steps(model, coarse: CycleEnd, states: dict, bifurcations: list) -> CycleEnd | None:
    """The end of the cycle in integration steps of FINE_DT, started from a larger cycle.

    coarse: the end in steps of model.dt; states: as of `continue_cycle`; bifurcations: in fine
    steps. None where the cycle has no end, or no cycle is found around it.
    """
    cycles, first_without = coarse.cycles, coarse.first_without
    if not np.isfinite(first_without):
        return None
    hopf = diagram.find_end(FINE_DT, cycles, [first_without], bifurcations).hopf
    centre = hopf if abs(hopf - coarse.last) < MAX_HOPF_DISTANCE else coarse.last
    cues = centre + FINE_OFFSETS
    beyond = np.linspace(cues[-1], first_without, 8)[1:]
    cues = np.unique([*cues, *beyond[beyond > cues[-1]]])
    before = [c.cue for c in cycles if c.cue <= cues[0]] or [cycles[0].cue]
    start = states[before[-1]].expand(len(cues), -1)
    with model.temporarily(dt=FINE_DT):
        found, _ = settled_cycles(model, cues, start, FINE_SECONDS)
    fine = [cycle for cycle in found if cycle]
    without = [float(cue) for cue, cycle in zip(cues, found, strict=True) if not cycle]
    largest = max(c.high - c.low for c in cycles)
    return diagram.find_end(FINE_DT, fine, without, bifurcations, largest) if fine else None


def _onset(model, bifurcations, first_cue, states):
    """The fold at which the cycle begins, or None; distances from it and periods, (M, 2).

    It is the last fold below the first cycle if there is a cycle just above that fold.
    """
    folds = [b for b in bifurcations if b.kind == "fold" and b.p < first_cue]
    if folds:
        fold = max(folds, key=lambda b: b.p)
        start = states[first_cue].to(model.w_hh).expand(len(ONSET_DISTANCES), -1)
        cycles, _ = settled_cycles(model, fold.p + ONSET_DISTANCES, start, ONSET_SECONDS)
        if cycles[0] is not None:
            return fold, np.array([[c.cue - fold.p, c.period] for c in cycles if c])
    return None, np.empty((0, 2))
