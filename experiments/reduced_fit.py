"""The form of the paper's reduced model, fitted to the group means of a trained network.

    tau_i ds_i/dt = -s_i + sum_j W_ij F_j(s_j) + W_in_i cue + b_i
    F_j(s) = c_j log(1 + exp(a_j s - d_j))

s: mean currents of G groups, F: their mean rates. Each step of the fit is a least-squares problem:
F to rates against currents; W, W_in, b and tau to the changes of the currents, which is linear;
then all together to short runs of the model from points on the network's cycles.
Shapes: C cues, T time steps, G groups. Time is in steps of dt [s], as the network's.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares, lsq_linear

from zrnn.dynamics.network_diagram import read_cycle

TAUS = np.geomspace(0.001, 0.1, 41)  # [s] time constants that are tried; 0.01 is one
SMALLEST = 1e-3  # a weight that starts at 0, as a fraction of the largest, so that it can change
SEGMENTS = (0.02, 0.06, 0.15, 0.4)  # [s] length of the short runs, one fit after the other
STARTS = 12  # of short runs on each cycle
EVALUATIONS = 25  # of each fit to short runs, at most
CUES = np.linspace(-0.5, 2.0, 101)  # at which the fitted model is run besides the trained ones,
RUN_SECONDS = 6.0  # for so long


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
        return self.c * np.logaddexp(0, self.a * s - self.d)

    def run(self, starts, cues, n_steps: int, dt: float):
        """States (n_steps + 1, C, G) from starts (C, G) at cues (C,), in steps of dt [s]."""
        states, drive = [starts], np.outer(cues, self.w_in) + self.b
        for _ in range(n_steps):
            s = states[-1]
            change = (-s + self.rates(s) @ self.w.T + drive) * dt / self.tau
            states.append(np.clip(s + change, -1e3, 1e3))  # a run that grows without bound
        return np.array(states)

    def packed(self) -> np.ndarray:
        """All constants in one vector; those that keep their sign as logarithms."""
        w = np.abs(self.w).ravel()
        logs = np.log(np.concatenate([np.maximum(w, SMALLEST * w.max()), self.tau, self.a, self.c]))
        return np.concatenate([logs, self.w_in, self.b, self.d])

    def unpacked(self, vector) -> "Reduced":
        """The model with the constants of a vector of `packed`, and the signs of this one's w."""
        n = len(self.tau)
        w, tau, a, c, w_in, b, d = np.split(vector, np.cumsum([n * n, *[n] * 5]))
        w, tau, a, c = (np.exp(np.clip(part, -30, 30)) for part in (w, tau, a, c))
        tau = np.clip(tau, TAUS[0], TAUS[-1])
        signs = np.copysign(1, self.w)  # also of a weight of -0
        return Reduced(w.reshape(n, n) * signs, tau, a, c, w_in, b, d)


def group_means(currents, masks) -> tuple[np.ndarray, np.ndarray]:
    """Mean currents and mean rates (C, T, G) of groups, masks (N,), of units' currents (T, N)."""
    n_steps, rates = min(map(len, currents)), [np.maximum(x, 0) for x in currents]
    return tuple(
        np.stack([[x[:n_steps, mask].mean(axis=1) for x in some] for mask in masks], axis=-1)
        for some in (currents, rates)
    )


def fit_softplus(s, rate) -> tuple[float, float, float, float]:
    """a, c, d of F by least squares to rates (T,) at currents s (T,); fraction explained."""
    width, top, middle = np.ptp(s), rate.max(), np.median(s)

    def residuals(v):
        a, c = np.exp(np.clip(v[:2], -30, 30))
        return (c * np.logaddexp(0, a * s - v[2]) - rate) / top

    trials = []
    for steepness in (5.0, 20.0, 80.0):
        a = steepness / width
        c = max(top / max(a * (s.max() - middle), 1e-9), 1e-9)
        start = [np.log(a), np.log(c), a * middle]
        trials.append(least_squares(residuals, start, x_scale="jac", max_nfev=300))
    best = min(trials, key=lambda one: one.cost)
    explained = 1 - np.square(best.fun * top).mean() / rate.var()
    return *np.exp(np.clip(best.x[:2], -30, 30)), best.x[2], explained


def fit_currents(s, rates, cues, signs, dt: float) -> tuple[np.ndarray, ...]:
    """w, w_in, b, tau by linear least squares to the changes of s; fraction explained (G,).

    s, rates (C, T, G): of successive steps. signs (G,): 1 for an E group, -1 for an I group, of
    their columns of w. tau is the one of TAUS with the smallest residuals.
    """
    now, change = s[:, :-1].reshape(-1, len(signs)), np.diff(s, axis=1).reshape(-1, len(signs)) / dt
    sent = (rates[:, :-1] * signs).reshape(now.shape)
    inputs = np.column_stack([sent, np.repeat(cues, s.shape[1] - 1), np.ones(len(now))])
    scale, lowest = np.abs(inputs).max(axis=0), [0.0] * len(signs) + [-np.inf] * 2
    found = []
    for i in range(len(signs)):
        trials = []
        for tau in TAUS:  # tau ds/dt + s = w F + w_in cue + b
            target = now[:, i] + tau * change[:, i]
            one = lsq_linear(inputs / scale, target, (lowest, np.inf))
            trials.append((one.cost / tau**2, tau, one.x / scale))
        cost, tau, solution = min(trials, key=lambda trial: trial[0])
        explained = 1 - 2 * cost / len(change) / change[:, i].var()
        found.append((solution[:-2] * signs, *solution[-2:], tau, explained))
    return tuple(map(np.array, zip(*found, strict=True)))


def refine(model: Reduced, s, cues, seconds: float, dt: float) -> Reduced:
    """The model fitted to runs of so many seconds [s] from points of s (C, T, G)."""
    n_steps = round(seconds / dt)
    every, scale = max(n_steps // 10, 1), np.concatenate(s).std(axis=0)
    first = np.linspace(0, s.shape[1] - n_steps - 1, STARTS).astype(int)
    times = first + np.arange(0, n_steps + 1, every)[:, None]
    targets = s[:, times].swapaxes(0, 1).reshape(len(times), -1, s.shape[2])
    cues = np.repeat(cues, STARTS)

    def residuals(vector):
        with np.errstate(all="ignore"):
            states = model.unpacked(vector).run(targets[0], cues, n_steps, dt)[::every]
        return np.nan_to_num(np.clip((states - targets) / scale, -10, 10), nan=10).ravel()

    before = residuals(model.packed())
    found = least_squares(residuals, model.packed(), x_scale="jac", max_nfev=EVALUATIONS)
    return model.unpacked(found.x) if 2 * found.cost < before @ before else model


def fit(s, rates, cues, signs, dt: float) -> tuple[Reduced, np.ndarray, np.ndarray]:
    """The model fitted to s and rates (C, T, G); of the rates and of the changes of s, explained.

    signs (G,): as in `fit_currents`; the refined model keeps them (Dale's law). The last steps fit
    longer and longer runs.
    """
    columns = np.concatenate(s).T, np.concatenate(rates).T
    a, c, d, of_rates = np.array([fit_softplus(*one) for one in zip(*columns, strict=True)]).T
    w, w_in, b, tau, of_changes = fit_currents(s, rates, cues, signs, dt)
    model = Reduced(w, tau, a, c, w_in, b, d)
    for seconds in SEGMENTS:
        model = refine(model, s, cues, seconds, dt)
    return model, of_rates, of_changes


def cycles(model: Reduced, starts, cues, dt: float) -> list:
    """Cycles of the model, or None, at cues (C,) and at CUES; from starts (C, G)."""
    all_cues = np.concatenate([cues, CUES])
    nearest = np.abs(np.subtract.outer(all_cues, cues)).argmin(axis=1)
    outputs = model.run(starts[nearest], all_cues, round(RUN_SECONDS / dt), dt)[..., 0].T
    return [read_cycle(cue, x[len(x) // 3 :], dt) for cue, x in zip(all_cues, outputs, strict=True)]
