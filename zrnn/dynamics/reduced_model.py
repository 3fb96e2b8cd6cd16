"""The reduced model of the paper: three variables that keep a beat.

    tau_i ds_i/dt = -s_i + sum_j W_ij F_j(s_j) + W_in_i cue + I_b_i
    F_j(s) = c_j log(1 + exp(a_j s - b_j))

All constants are those of Zemlianova, Bose & Rinzel (2024). The variables s are x tap-E, y tap-I
and z inter-tap-I, in this order. Time is in seconds.
"""

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import expit

from zrnn.dynamics import diagram
from zrnn.dynamics.diagram import Diagram, StableCycle
from zrnn.dynamics.equilibria import Flow, find_branches

W = np.array([[8.949, -7.4, -2.952], [9.123, -7.386, -3.072], [8.935, -4.0, -1.0]])  # [post, pre]
W_IN = np.array([0.048, 0.055, 0.068])
I_B = np.array([0.0, 0.0, -0.1])
TAU = np.array([0.01, 0.01, 0.05])  # [s]
A = np.array([150.134, 62.873, 87.0])
B = np.array([-0.476, 0.481, -0.781])
C = np.array([0.007, 0.016, 0.012])

START = np.array([0.075, 0.075, -0.01])  # of runs
SETTLE_SECONDS = 3.0  # from START to an equilibrium
# Equilibria
CUES = (-2.0, 2.0)  # range of the continuation
SCALE = 0.1  # change of s that counts as much as a change of the cue by 1
# Limit cycles
MAX_SECONDS = 100.0  # longest run for RETURNS of the cycle
RETURNS = 5  # to the Poincare section in one run
MAX_RUNS = 40  # for one cycle
PRECISION = 1e-5  # difference of two returns in a row, as a fraction of the cycle's size
FINER = 10  # points of a cycle for each step of the solver
N_CYCLES = 40  # cues between the onset and the Hopf point
ONSET_DISTANCES = np.geomspace(1e-6, 0.1, 26)  # cues above the fold at which the cycle begins
BEYOND = (0.001, 0.01, 0.1)  # cues below the fold and above the Hopf point, without a cycle


def velocity(s, cue):
    """ds/dt [1/s] (3,) of s (3,) at a cue."""
    return (-s + W @ (C * np.logaddexp(0, A * s - B)) + W_IN * cue + I_B) / TAU


def jacobian(s, cue):
    """d velocity / ds, (3, 3) [1/s]."""
    return (W * (C * A * expit(A * s - B)) - np.eye(3)) / TAU[:, None]


FLOW = Flow(velocity, jacobian, lambda s, cue: W_IN / TAU, lambda s: s[..., 2], SCALE)


def integrate(cue, seconds, start=START, **options):
    """SciPy's solution of the model at a cue from start (3,)."""
    options = {"method": "DOP853", "rtol": 1e-9, "atol": 1e-11, **options}
    return solve_ivp(lambda t, s: velocity(s, cue), (0, seconds), start, **options)


def find_orbit(cue, section, start=START):
    """The limit cycle reached from start (3,): period [s], states (T, 3) once round; or None.

    The Poincare section is x = section, crossed upwards.
    """

    def crossing(t, s):
        return s[0] - section

    crossing.direction, crossing.terminal = 1, RETURNS
    state = np.asarray(start, dtype=float)
    for _ in range(MAX_RUNS):
        run = integrate(cue, MAX_SECONDS, state, events=crossing)
        times, states = run.t_events[0], run.y_events[0]
        if len(times) < RETURNS:
            return None
        state, size = states[-1], np.ptp(run.y[:, run.t >= times[-2]], axis=1).max()
        if np.abs(states[-1] - states[-2]).max() < PRECISION * size:
            period = times[-1] - times[-2]
            once = integrate(cue, period, state, dense_output=True)
            steps = np.arange(len(once.t))  # the solver's steps are short where the cycle is fast
            finer = np.linspace(0, steps[-1], FINER * steps[-1] + 1)
            return period, once.sol(np.interp(finer, steps, once.t)).T
    return None


def solve(orbit_cues) -> tuple[Diagram, dict[float, tuple[float, np.ndarray]]]:
    """The `Diagram` of the model, and the orbits {cue: (period [s], states (T, 3))} at some cues.

    Raises ValueError unless there is one fold (the onset of the cycle) and one Hopf point.
    """
    starts = [(integrate(cue, SETTLE_SECONDS).y[:, -1], cue) for cue in CUES]
    branches = find_branches(FLOW, starts, CUES)
    curves, bifurcations = diagram.equilibrium_curves(FLOW, branches)
    (fold,) = [b for b in bifurcations if b.kind == "fold"]
    (hopf,) = [b for b in bifurcations if b.kind == "Hopf"]
    (inner,) = [b for b in branches if np.ptp(b.p) == np.ptp(CUES)]  # inside the cycle
    inner_x = np.unique(np.column_stack([inner.p, inner.x[:, 0]]), axis=0).T

    def orbits(cues, start=START):  # each from the one before
        result = {}
        for cue in cues:
            orbit = find_orbit(cue, np.interp(cue, *inner_x), start)
            if orbit is not None:
                result[cue], start = orbit, orbit[1][-1]
        return result

    near = orbits(fold.p + ONSET_DISTANCES)
    dense = np.linspace(1, 0, N_CYCLES, endpoint=False)[::-1] ** 2  # dense close to the Hopf point
    far = orbits((hopf.p - (hopf.p - fold.p - ONSET_DISTANCES[-1]) * dense)[::-1])
    beyond = [(fold.p - d, near[min(near)]) for d in BEYOND]
    beyond += [(hopf.p + d, far[max(far)]) for d in BEYOND]
    cues_without = [cue for cue, (_, path) in beyond if not orbits([cue], path[-1])]
    cycles = [
        StableCycle(cue, path[:, 2].min(), path[:, 2].max(), period)
        for cue, (period, path) in sorted((near | far).items())
    ]
    cycles.append(StableCycle(hopf.p, hopf.x[2], hopf.x[2], 1 / hopf.frequency))
    onset = np.array([[cue - fold.p, period] for cue, (period, _) in near.items()])
    manifold = diagram.manifold_below(FLOW, curves, fold, lambda s, cue: integrate(cue, 1.0, s).y.T)
    ends = [diagram.find_end(0.0, cycles, cues_without, bifurcations)]
    found = Diagram(curves, bifurcations, cycles, cues_without, fold, onset, manifold, ends)
    return found, orbits(orbit_cues)
