"""The reduced model: tap-E, tap-I and inter-tap-I, three variables that keep a beat.

    tau_i ds_i/dt = -s_i + sum_j W_ij F_j(s_j) + W_in_i I_cc + I_b_i
    F_j(s) = c_j log(1 + exp(a_j s - b_j))

I_cc is the context cue. All constants are the paper's (Zemlianova, Bose & Rinzel, 2024).
Order of the variables: x tap-E, y tap-I, z inter-tap-I.
"""

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import expit

from zrnn.dynamics.branches import Flow, bifurcations, holds, newton, whole_branch
from zrnn.dynamics.diagram import Diagram, curve

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


def diagram(own):
    """The `Diagram` of the model, z its third variable, and its cycles at own's cycle_cues.

    own: the config's section fig3. Returns the diagram and {cue: (period [s], states (T, 3))}.
    The equilibria are followed from where START runs to at the two ends of own["cues"].
    """
    branches, found = [], []
    for cue in own["cues"]:
        x = newton(FLOW, simulate(cue, SETTLE_SECONDS).y[:, -1], cue)
        if not any(holds(branch, FLOW, x, cue) for branch in branches):
            branches.append(whole_branch(FLOW, x, cue, own["cues"], own["step"], SCALE))
            found.append(bifurcations(FLOW, branches[-1]))
    points = [q for own_points in found for q in own_points]
    (onset,) = [q.p for q in points if q.kind == "fold"]
    (hopf,) = [q for q in points if q.kind == "Hopf"]
    (inner,) = [b for b in branches if np.ptp(b.p) == np.ptp(own["cues"])]  # inside the cycle
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

    distances = np.geomspace(*own["onset_distances"], own["n_distances"])
    near = cycles(onset + distances)
    dense = np.linspace(1, 0, own["n_cycles"], endpoint=False)[::-1] ** 2  # towards the Hopf point
    far = cycles((hopf.p - (hopf.p - onset - distances[-1]) * dense)[::-1])
    beyond = [onset - d for d in own["beyond"]], [hopf.p + d for d in own["beyond"]]
    ends = near[onset + distances[0]][1][-1], far[max(far)][1][-1]
    tried = [(cue, end) for cues, end in zip(beyond, ends, strict=True) for cue in cues]
    silent = [cue for cue, end in tried if cycle(cue, end) is None]
    rows = [
        [cue, path[:, 2].min(), path[:, 2].max(), period]
        for cue, (period, path) in sorted({**near, **far}.items())
    ]
    rows.append([hopf.p, hopf.x[2], hopf.x[2], 1 / hopf.frequency])
    return Diagram(
        [curve(b, lambda x: x[:, 2], q) for b, q in zip(branches, found, strict=True)],
        [(q, float(q.x[2])) for q in points],
        np.array(rows),
        silent,
        np.array([[cue - onset, period] for cue, (period, _) in near.items()]),
        np.empty((0, 4)),
    ), cycles(own["cycle_cues"])
