"""The form of the paper's reduced model, fitted to the group means of a trained network.

    tau_i ds_i/dt = -s_i + sum_j W_ij F_j(s_j) + W_in_i cue + b_i
    F_j(s) = c_j log(1 + exp(a_j s - d_j))

s: mean currents of G groups, F: their mean rates. Each step of the fit is a least-squares problem:
F to rates against currents; W, W_in, b and tau to the changes of the currents, which is linear;
then all together to short runs of the model from points on the network's cycles.
Shapes: C cues, T time steps, G groups. Time is in steps of dt [s], as the network's.
"""

from dataclasses import dataclass, fields

import numpy as np
from scipy.optimize import least_squares, lsq_linear

TAUS = np.geomspace(0.001, 0.1, 41)  # [s] time constants that are tried; 0.01 is one
SMALLEST = 1e-3  # a weight that starts at 0, as a fraction of the largest, so that it can change
SEGMENTS = (0.02, 0.06, 0.15, 0.4)  # [s] length of the short runs, one fit after the other
STARTS = 12  # of short runs on each cycle
EVALUATIONS = 25  # of each fit to short runs, at most
MAX_EXPONENT = 50.0  # of the exponential in F: beyond it, F is linear


@dataclass(frozen=True)
class Reduced:
    """The model's constants: w (G, G) [post, pre], all others (G,); tau in [s]."""

    w: np.ndarray
    tau: np.ndarray
    a: np.ndarray
    c: np.ndarray
    w_in: np.ndarray
    b: np.ndarray
    d: np.ndarray

    def rates(self, s):
        """F(s), (..., G)."""
        return self.c * np.logaddexp(0, np.clip(self.a * s - self.d, -MAX_EXPONENT, None))

    def run(self, starts, cues, n_steps: int, dt: float):
        """States (n_steps + 1, C, G) from starts (C, G) at cues (C,), in steps of dt [s]."""
        states, drive = [np.asarray(starts)], np.outer(cues, self.w_in) + self.b
        for _ in range(n_steps):
            s = states[-1]
            change = (-s + self.rates(s) @ self.w.T + drive) * dt / self.tau
            states.append(np.clip(s + change, -1e3, 1e3))  # a run that grows without bound
        return np.array(states)

    def packed(self) -> np.ndarray:
        """All constants in one vector; those that keep their sign as logarithms."""
        parts = [getattr(self, field.name) for field in fields(self)]
        small = SMALLEST * np.abs(self.w).max()
        logs = [np.log(np.maximum(np.abs(self.w), small)), *map(np.log, parts[1:4])]
        return np.concatenate([np.ravel(part) for part in (*logs, *parts[4:])])

    def unpacked(self, vector) -> "Reduced":
        """The model with the constants of a vector of `packed`, and the signs of this one's w."""
        n = len(self.tau)
        w, tau, a, c, w_in, b, d = np.split(vector, np.cumsum([n * n, *[n] * 5]))
        w, tau, a, c = (np.exp(np.clip(part, -30, 30)) for part in (w, tau, a, c))
        tau = np.clip(tau, TAUS[0], TAUS[-1])
        signs = np.copysign(1, self.w)  # also of a weight of -0
        return Reduced(w.reshape(n, n) * signs, tau, a, c, w_in, b, d)


def fit_softplus(s, rate) -> tuple[float, float, float, float]:
    """a, c, d of F by least squares to rates (T,) at currents s (T,); fraction explained."""
    width, top = np.ptp(s), rate.max()

    def residuals(v):
        a, c = np.exp(np.clip(v[:2], -30, 30))
        return (c * np.logaddexp(0, np.clip(a * s - v[2], -MAX_EXPONENT, None)) - rate) / top

    trials = []
    for steepness in (5.0, 20.0, 80.0):
        a = steepness / width
        c = top / max(a * (s.max() - np.median(s)), 1e-9)
        start = [np.log(a), np.log(max(c, 1e-9)), a * np.median(s)]
        trials.append(least_squares(residuals, start, x_scale="jac", max_nfev=300))
    best = min(trials, key=lambda one: one.cost)
    explained = 1 - np.square(best.fun * top).mean() / rate.var()
    return *np.exp(np.clip(best.x[:2], -30, 30)), best.x[2], explained


def fit_currents(s, rates, cues, signs, dt: float) -> tuple[np.ndarray, ...]:
    """w, w_in, b, tau by linear least squares to the changes of s; fraction explained (G,).

    s, rates: of each cue (T, G), of successive steps. signs (G,): 1 for an E group, -1 for an I
    group, of their columns of w. tau is the one of TAUS with the smallest residuals.
    """
    inputs = np.concatenate(
        [
            np.column_stack([r[:-1] * signs, np.full(len(r) - 1, cue), np.ones(len(r) - 1)])
            for r, cue in zip(rates, cues, strict=True)
        ]
    )
    scale = np.abs(inputs).max(axis=0)
    now = np.concatenate([x[:-1] for x in s])
    change = np.concatenate([np.diff(x, axis=0) for x in s]) / dt
    n = len(signs)
    lowest = np.array([0.0] * n + [-np.inf] * 2)
    found = []
    for i in range(n):
        trials = []
        for tau in TAUS:  # tau ds/dt + s = w F + w_in cue + b
            target = now[:, i] + tau * change[:, i]
            one = lsq_linear(inputs / scale, target, (lowest, np.inf))
            trials.append((one.cost / tau**2, tau, one.x / scale))
        cost, tau, solution = min(trials, key=lambda trial: trial[0])
        explained = 1 - 2 * cost / len(change) / change[:, i].var()
        found.append((solution[:n] * signs, solution[n], solution[n + 1], tau, explained))
    return tuple(map(np.array, zip(*found, strict=True)))


def fit(s, rates, cues, signs, dt: float) -> tuple[Reduced, dict]:
    """The model fitted to s and rates, of each cue (T, G); {what is explained: (G,)}.

    signs (G,): as in `fit_currents`; the refined model keeps them (Dale's law).
    """
    columns = np.concatenate(s).T, np.concatenate(rates).T
    a, c, d, of_rates = np.array([fit_softplus(*one) for one in zip(*columns, strict=True)]).T
    w, w_in, b, tau, of_currents = fit_currents(s, rates, cues, signs, dt)
    model = refine(Reduced(w, tau, a, c, w_in, b, d), s, cues, dt)
    return model, {"explained_rates": of_rates, "explained_changes": of_currents}


def refine(model: Reduced, s, cues, dt: float) -> Reduced:
    """The model fitted to short runs from points of s, of each cue (T, G), longer and longer."""
    scale = np.concatenate(s).std(axis=0)
    for seconds in SEGMENTS:
        n_steps = round(seconds / dt)
        every = max(n_steps // 10, 1)
        starts, targets, at = [], [], []
        for x, cue in zip(s, cues, strict=True):
            for first in np.linspace(0, len(x) - n_steps - 1, STARTS).astype(int):
                starts.append(x[first])
                targets.append(x[first : first + n_steps + 1 : every])
                at.append(cue)
        starts, targets, at = np.array(starts), np.array(targets).swapaxes(0, 1), np.array(at)

        def residuals(vector, model=model, starts=starts, targets=targets, at=at, n=n_steps):
            with np.errstate(all="ignore"):
                states = model.unpacked(vector).run(starts, at, n, dt)[:: max(n // 10, 1)]
            return np.nan_to_num(np.clip((states - targets) / scale, -10, 10), nan=10).ravel()

        before = residuals(model.packed())
        found = least_squares(residuals, model.packed(), x_scale="jac", max_nfev=EVALUATIONS)
        if 2 * found.cost < before @ before:
            model = model.unpacked(found.x)
    return model
