"""The reduced model: tap-E, tap-I and inter-tap-I, three variables that keep a beat.

    tau_i ds_i/dt = -s_i + sum_j W_ij F_j(s_j) + W_in_i I_cc + I_b_i
    F_j(s) = c_j log(1 + exp(a_j s - b_j))

I_cc is the context cue. All constants are the paper's (Zemlianova, Bose & Rinzel, 2024).
Order of the variables: x tap-E, y tap-I, z inter-tap-I.
"""

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import expit

from equilibria import Flow

W = np.array([[8.949, -7.4, -2.952], [9.123, -7.386, -3.072], [8.935, -4.0, -1.0]])  # [post, pre]
W_IN = np.array([0.048, 0.055, 0.068])
I_B = np.array([0.0, 0.0, -0.1])
TAU = np.array([0.01, 0.01, 0.05])  # [s]
A = np.array([150.134, 62.873, 87.0])
B = np.array([-0.476, 0.481, -0.781])
C = np.array([0.007, 0.016, 0.012])
MAX_SECONDS = 100.0  # a few cycles take no longer, even next to the onset
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
        once = np.vstack([states[-2], run.y.T[run.t >= times[-2]]])
        state, size = states[-1], np.ptp(once, axis=0).max()
        if np.abs(states[-1] - states[-2]).max() < tolerance * size:
            return times[-1] - times[-2], once
    return None
