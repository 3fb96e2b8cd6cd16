"""A trained network as a dynamical system: its equilibria and its cycle against the cue, no noise.

    tau dx/dt = -x + W max(x, 0) + W_in (0, cue) + b,   z = W_out max(x, 0) + b_out

The network itself is the Euler map of this, x -> x + dt dx/dt; both have the same equilibria, but
not always the same stability. Between two kinks of max(x, 0) the flow is linear: eigenvalues along
a branch of equilibria are constant there and jump at kinks.
Shapes: B copies, T time steps, N units.
"""

import copy

import numpy as np
import torch

from zrnn.dynamics.branches import (
    Flow,
    NotConverged,
    eigenvalues,
    euler_growth,
    holds,
    newton,
    whole_branch,
)


def stepper(model):
    """The noise-free network: cues (B,), states (B, N) -> outputs (B,), states (B, N)."""
    w_hh = model.effective_w_hh()

    @torch.no_grad()
    def step(cues, states):
        outputs, states = model.step(torch.stack([0 * cues, cues], dim=1), states, None, w_hh)
        return outputs[:, 0], states

    return step


def in_double(model):
    """A copy of the network in float64 on the CPU."""
    return copy.deepcopy(model).cpu().double()


def network_flow(model):
    """The `Flow` of a float64 network, p being the cue; its velocity is that of the model's step"""
    step, dt = stepper(model), model.dt
    w_hh = model.effective_w_hh().detach().numpy()
    by_cue = model.w_ih.detach().numpy()[:, 1] / model.tau

    def velocity(x, cue):
        new = step(torch.tensor([cue], dtype=torch.float64), torch.from_numpy(x)[None])[1]
        return (new[0].numpy() - x) / dt

    def jacobian(x, cue):
        return (w_hh * (x > 0) - np.eye(len(x))) / model.tau

    return Flow(velocity, jacobian, lambda x, cue: by_cue)


def outputs_of(model, x):
    """z (P,) of states x (P, N)."""
    rates = torch.from_numpy(np.maximum(x, 0))
    return (rates @ model.w_ho.detach().T + model.b_ho.detach())[:, 0].numpy()


def equilibrium(flow, x, cue):
    """The equilibrium that Newton's method reaches from x (N,), or None."""
    try:
        return newton(flow, x, cue, max_steps=30)
    except NotConverged:
        return None


def find_branches(model, own):
    """Branches of equilibria of a float64 network -> list of `Branch`, starts, starts that led on.

    Newton's method starts from the ends of noise-free runs from rest at the two ends of the cues,
    and from states along runs at search_cues; every equilibrium not on a branch yet is followed.
    own: the config's section bifurcation.
    """
    flow, scale = network_flow(model), np.sqrt(len(model.w_hh))
    seconds, branches, n_reached = own["search_seconds"], [], 0
    every = max(round(seconds / model.dt / own["search_states"]), 1)
    cues = [*own["cues"], *own["search_cues"]]
    states, starts = model.initial_state(len(cues)), []
    for _ in range(own["search_states"]):
        starts += zip(states.numpy()[2:], cues[2:], strict=True)
        states = drive_cues(model, cues, states, every * model.dt)[1]
    starts = [*zip(states.numpy()[:2], cues[:2], strict=True), *starts]
    for x, cue in starts:
        x = equilibrium(flow, x, cue)
        if x is None:
            continue
        n_reached += 1
        if not any(holds(branch, flow, x, cue) for branch in branches):
            branches.append(whole_branch(flow, x, cue, own["cues"], own["step"], scale))
    return branches, len(starts), n_reached


def equilibria_at(model, branches, cue):
    """Equilibria of a float64 network at a cue: [(x (N,), whether a run in steps of dt stays)]."""
    flow, found = network_flow(model), []
    for branch in branches:
        for i in np.flatnonzero(np.diff(np.sign(branch.p - cue))):
            share = (cue - branch.p[i]) / (branch.p[i + 1] - branch.p[i])
            x = equilibrium(flow, branch.x[i] + share * (branch.x[i + 1] - branch.x[i]), cue)
            if x is not None:
                growth = euler_growth(model.dt)(eigenvalues(flow.jacobian(x, cue)))
                found.append((x, bool(growth.max() < 0)))
    return found


def drive_cues(model, cues, states, seconds, ramp=0.0, ramp_from=0.0, keep=0.0):
    """Noise-free copies at cues (B,), from states (B, N) on, without clicks.

    The cue goes from ramp_from (a number) to its value in `ramp` [s], then stays for `seconds`,
    then for `keep` [s]. Returns the outputs of the last (T, B), and the states at its end (B, N).
    """
    step = stepper(model)
    cues = torch.as_tensor(np.asarray(cues)).to(model.w_hh)
    n_ramp, n_wait, n_keep = (round(s / model.dt) for s in (ramp, seconds, keep))
    outputs = cues.new_empty(n_keep, len(cues))
    for t in range(n_ramp + n_wait + n_keep):
        part = min((t + 1) / n_ramp, 1.0) if n_ramp else 1.0
        output, states = step(ramp_from + part * (cues - ramp_from), states)
        if t >= n_ramp + n_wait:
            outputs[t - n_ramp - n_wait] = output
    return outputs.cpu().numpy(), states


def find_cycles(model, cues, own):
    """The cycle of the network, led from beat_cue to each of cues (B,).

    own: the config's section bifurcation. Returns {cue: `find_cycle`} and {cue: state (N,)}.
    """
    beat, settle = own["beat_cue"], own["settle_seconds"]
    start = drive_cues(model, [beat], model.initial_state(1), settle)[1]
    outputs, states = drive_cues(
        model, cues, start.expand(len(cues), -1), settle,
        own["ramp_seconds"], beat, own["keep_seconds"],
    )  # fmt: skip
    found = [find_cycle(output, model.dt, own["min_height"]) for output in outputs.T]
    return dict(zip(cues, found, strict=True)), dict(zip(cues, states, strict=True))


def edges(found):
    """Neighbouring cues of `find_cycles` of which one has a cycle and the other has none."""
    cues = sorted(found)
    pairs = zip(cues[:-1], cues[1:], strict=True)
    return [(a, b) for a, b in pairs if (found[a] is None) != (found[b] is None)]


def small_cycles(model, points, own):
    """Cycles next to an equilibrium: [(cue, x (N,))] -> rows (S, 4): cue, low, high, period [s].

    Each copy starts from its equilibrium, displaced by 1e-3 in a random direction.
    """
    cues = np.array([cue for cue, _ in points])
    states = torch.from_numpy(np.array([x for _, x in points])).to(model.w_hh)
    noise = torch.randn(states.shape, generator=torch.Generator().manual_seed(0))
    states = states + 1e-3 * noise.to(states)
    seconds = own["small_seconds"]
    outputs, _ = drive_cues(model, cues, states, seconds, keep=own["keep_seconds"])
    found = [find_cycle(output, model.dt, own["small_height"]) for output in outputs.T]
    rows = [[cue, *cycle] for cue, cycle in zip(cues, found, strict=True) if cycle]
    return np.array(rows).reshape(-1, 4)


def periods_near(model, fold, state, own):
    """Periods at cues just above a fold (M, 2): distance, period [s]; from `state` (N,) on.

    A copy is driven until its output has risen twice through the middle, after it has once.
    """
    distances = np.geomspace(*own["onset_distances"], own["n_distances"])
    states = state.to(model.w_hh).expand(len(distances), -1)
    waiting, outputs, rows = np.arange(len(distances)), [[] for _ in distances], []
    for _ in range(round(own["onset_seconds"])):
        output, states = drive_cues(model, fold + distances[waiting], states, 0.0, keep=1.0)
        going = []
        for j, i in enumerate(waiting):
            outputs[i].append(output[:, j])
            cycle = find_cycle(np.concatenate(outputs[i]), model.dt, own["min_height"])
            if cycle is None:
                going.append(j)
            else:
                rows.append((distances[i], cycle[2]))
        waiting, states = waiting[going], states[going]
        if len(waiting) == 0:
            break
    return np.array(sorted(rows)).reshape(-1, 2)


def find_cycle(output, dt, min_height):
    """Lowest and highest value and period [s] of a cycle in an output (T,); None if there is none.

    A round lasts from one rise through the middle to the next. There must be two; the last must be
    min_height high, and no lower than 0.98 of the one half-way. All is read off those in between.
    """
    above = output > (output.min() + output.max()) / 2
    rises = np.flatnonzero(above[1:] & ~above[:-1])
    if len(rises) < 3:
        return None
    heights = [np.ptp(output[a : b + 1]) for a, b in zip(rises[:-1], rises[1:], strict=True)]
    half = (len(heights) - 1) // 2
    if heights[-1] < max(min_height, 0.98 * heights[half]):
        return None
    kept = output[rises[half] : rises[-1] + 2]
    level = (kept.min() + kept.max()) / 2
    ups = np.flatnonzero((kept[1:] > level) & (kept[:-1] <= level))
    times = (ups + (level - kept[ups]) / (kept[ups + 1] - kept[ups])) * dt
    if len(times) < 2:
        return None
    return float(kept.min()), float(kept.max()), float((times[-1] - times[0]) / (len(times) - 1))
