"""The reduced model: tap-E, tap-I and inter-tap-I, three variables that keep a beat.

    tau_i ds_i/dt = -s_i + sum_j W_ij F_j(s_j) + W_in_i I_cc + I_b_i
    F_j(s) = c_j log(1 + exp(a_j s - b_j))

I_cc is the context cue. All constants are the paper's (Zemlianova, Bose & Rinzel, 2024).
Order of the variables: x tap-E, y tap-I, z inter-tap-I.
"""

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import expit

from zrnn.dynamics.diagram import Cycle, Diagram, curve_of, find_end
from zrnn.dynamics.equilibria import (
    Flow,
    bifurcations,
    equilibria_at,
    holds,
    newton,
    whole_branch,
)
from zrnn.dynamics.invariant_circle import circle_below

W = np.array([[8.949, -7.4, -2.952], [9.123, -7.386, -3.072], [8.935, -4.0, -1.0]])  # [post, pre]
W_IN = np.array([0.048, 0.055, 0.068])
I_B = np.array([0.0, 0.0, -0.1])
TAU = np.array([0.01, 0.01, 0.05])  # [s]
A = np.array([150.134, 62.873, 87.0])
B = np.array([-0.476, 0.481, -0.781])
C = np.array([0.007, 0.016, 0.012])
SCALE = 0.1  # a change of the activities by this counts like a change of the cue by 1
SETTLE_SECONDS = 3.0  # long enough to come to rest
MAX_SECONDS = 100.0  # a few cycles take no longer, even next to the onset
FINER = 10  # points of a cycle for each step of the solver
START = np.array([0.075, 0.075, -0.01])
CUES = (-2.0, 2.0)  # range of the equilibria
STEP = 0.02  # longest step along a branch, in units of the cue
N_CYCLES = 40  # cues between the onset and the Hopf point at which the cycle is found
ONSET_DISTANCES = np.geomspace(1e-6, 0.1, 26)  # cues above the onset: how the period grows there
BEYOND = (0.001, 0.01, 0.1)  # a cycle is looked for so far below the onset and above the Hopf point
BELOW = 1e-4  # so far below the onset the ways out of the saddle are followed


def rates(s):
    """F(s), (..., 3), without overflow."""
    return C * np.logaddexp(0, A * s - B)


def velocity(s, cue):
    """ds/dt [1/s] (3,) of s (3,) at a cue."""
    return (-s + W @ rates(s) + W_IN * cue + I_B) / TAU


def jacobian(s, cue):
    """d velocity / ds, (3, 3) [1/s]."""
    return (W * (C * A * expit(A * s - B)) - np.eye(3)) / TAU[:, None]


FLOW = Flow(velocity, jacobian, lambda s, cue: W_IN / TAU)


def simulate(cue, seconds, start=START, **options):
    """SciPy's solution of the model at a cue, for so many seconds from start (3,)."""
    options = {"method": "DOP853", "rtol": 1e-9, "atol": 1e-11, **options}
    return solve_ivp(lambda t, s: velocity(s, cue), (0, seconds), start, **options)


def limit_cycle(cue, section, start=START, tolerance=1e-5, returns=5, rounds=40):
    """The cycle that start (3,) runs onto: period [s] and states (T, 3) once round; None if none.

    A cycle begins where x rises through `section`, a value between its lowest and its highest. It
    is there when two such points in a row differ by less than `tolerance` of the cycle's size; the
    search is given up after `rounds` times so many `returns`, or where x returns no more.
    """

    def rises(t, s):
        return s[0] - section

    rises.direction, rises.terminal = 1, returns
    state = np.asarray(start, dtype=float)
    for _ in range(rounds):
        run = simulate(cue, MAX_SECONDS, state, events=rises)
        times, states = run.t_events[0], run.y_events[0]
        if len(times) < returns:
            return None
        state, size = states[-1], np.ptp(run.y[:, run.t >= times[-2]], axis=1).max()
        if np.abs(states[-1] - states[-2]).max() < tolerance * size:
            period = times[-1] - times[-2]
            once = simulate(cue, period, state, dense_output=True)
            steps = np.arange(len(once.t))  # they are short where the cycle is fast
            finer = np.linspace(0, steps[-1], FINER * steps[-1] + 1)
            return period, once.sol(np.interp(finer, steps, once.t)).T
    return None


def advance(s, cue):
    """One second of a run from s (3,) at a cue: z (T,) on the way, state (3,) at its end."""
    once = simulate(cue, 1.0, s)
    return once.y[2], once.y[:, -1]


def find_equilibria():
    """Branches from where START runs to at both ends of CUES, and their bifurcations, a list each.

    Raises ValueError unless there is one fold (the onset) and one Hopf point.
    """
    branches = []
    for cue in CUES:
        x = newton(FLOW, simulate(cue, SETTLE_SECONDS).y[:, -1], cue)
        if not holds(FLOW, branches, x, cue):
            branches.append(whole_branch(FLOW, x, cue, CUES, STEP, SCALE))
    return branches, [bifurcations(FLOW, branch) for branch in branches]


def solve(cycle_cues) -> tuple[Diagram, dict[float, tuple[float, np.ndarray]]]:
    """The `Diagram` of the model, z its third variable; {cue: (period [s], states (T, 3))}."""
    branches, found = find_equilibria()
    points = [(q, float(q.x[2])) for own in found for q in own]
    (onset,) = [q for q, _ in points if q.kind == "fold"]
    (hopf,) = [q for q, _ in points if q.kind == "Hopf"]
    (inner,) = [b for b in branches if np.ptp(b.p) == np.ptp(CUES)]  # inside the cycle
    inner_x = np.unique(np.column_stack([inner.p, inner.x[:, 0]]), axis=0).T

    def cycle(cue, start):
        return limit_cycle(cue, np.interp(cue, *inner_x), start)

    def cycles(cues):
        """Cycles at cues, each looked for from the one before."""
        start, found = START, {}
        for cue in cues:
            result = cycle(cue, start)
            if result is not None:
                found[cue], start = result, result[1][-1]
        return found

    near = cycles(onset.p + ONSET_DISTANCES)
    dense = np.linspace(1, 0, N_CYCLES, endpoint=False)[::-1] ** 2  # towards the Hopf point
    far = cycles((hopf.p - (hopf.p - onset.p - ONSET_DISTANCES[-1]) * dense)[::-1])
    beyond = [(onset.p - d, near[min(near)]) for d in BEYOND]
    beyond += [(hopf.p + d, far[max(far)]) for d in BEYOND]
    silent = [cue for cue, (_, path) in beyond if cycle(cue, path[-1]) is None]
    seen = [
        Cycle(cue, path[:, 2].min(), path[:, 2].max(), period)
        for cue, (period, path) in sorted({**near, **far}.items())
    ]
    seen.append(Cycle(hopf.p, hopf.x[2], hopf.x[2], 1 / hopf.frequency))
    curves = [curve_of(b, lambda x: x[:, 2], q) for b, q in zip(branches, found, strict=True)]
    below = onset.p - BELOW
    return Diagram(
        curves,
        points,
        seen,
        silent,
        np.array([[cue - onset.p, period] for cue, (period, _) in near.items()]),
        circle_below(FLOW, equilibria_at(FLOW, curves, below), onset.x, below, advance),
        [find_end(0.0, seen, silent, points)],
    ), cycles(cycle_cues)
