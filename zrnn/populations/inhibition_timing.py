"""How inhibition is timed: when in the cycle I units fire, relative to the E units together.

The phase of a rate is that of its first harmonic over whole cycles. A lag is a phase relative to
the summed E rate, in cycles, -0.5..0.5, positive if later. Shapes: T time steps, N units.
"""

from collections.abc import Sequence

import numpy as np

from zrnn import simulate
from zrnn.populations.groups import two_clusters
from zrnn.taps import find_taps
from zrnn.task import context_cue

RUN_SECONDS = 3.5  # [s] of a noise-free run
CLICK_SECONDS = 1.0  # [s] from its start, during which clicks are given
SETTLE_SECONDS = 1.5  # [s] from its start, before which no cycle is taken
ACTIVE_RATE = 0.02  # a unit is active if its rate exceeds this at some time
BEYOND = 0.25  # [cycles] a larger lag, of either sign, is beyond a quarter of a cycle
BIN_EDGES = np.linspace(-0.5, 0.5, 11)  # [cycles] of the histogram of lags


def timing_at_cues(model, cues: Sequence[float], task_section) -> list[dict]:
    """`describe_timing` of a noise-free run at each cue; only the cue where taps are too few."""
    periods = context_cue(np.array(cues), task_section.cue_constant)
    inputs = simulate.driving_inputs(periods, RUN_SECONDS, model.dt, task_section, CLICK_SECONDS)
    run = simulate.run(model, inputs, keep_states=True)
    is_excit, described = np.arange(len(model.w_hh)) < model.n_excit, []
    for cue, output, states in zip(cues, run.outputs, run.states, strict=True):
        taps = find_taps(output, model.dt)
        taps = np.round(taps[taps > SETTLE_SECONDS / model.dt]).astype(int)
        described.append({"cue": float(cue)})
        if len(taps) > 2:
            rates = np.maximum(states[taps[0] : taps[-1]], 0)
            described[-1] |= describe_timing(rates, len(taps) - 1, is_excit)
    return described


def lags_to(rates: np.ndarray, reference: np.ndarray, n_cycles: int = 1) -> np.ndarray:
    """Lags (N,) of rates (T, N) to a reference rate (T,), both over n_cycles; positive if later."""
    waves = np.exp(2j * np.pi * n_cycles * np.arange(len(rates)) / len(rates))
    return np.angle((waves @ rates) / (waves @ reference)) / (2 * np.pi)


def describe_timing(rates: np.ndarray, n_cycles: int, is_excit: np.ndarray, seed: int = 0) -> dict:
    """The timing of rates (T, N) over n_cycles; is_excit (N,): E units; seed: of the 2-means."""
    rate_of_e = rates[:, is_excit].sum(axis=1)
    lags, active = lags_to(rates, rate_of_e, n_cycles), rates.max(axis=0) > ACTIVE_RATE
    inhib, beyond, described = ~is_excit & active, np.abs(lags) > BEYOND, {}
    for name, units in (("E", is_excit & active), ("I", inhib)):
        described[name] = {
            "active_units": int(units.sum()),
            "fraction_of_units_beyond": float((units & beyond).sum() / max(units.sum(), 1)),
            "fraction_of_rate_beyond": float(
                rates[:, units & beyond].sum() / max(rates[:, units].sum(), 1e-12)
            ),
        }
    described["I_lag_histogram"] = np.histogram(lags[inhib], BIN_EDGES)[0].tolist()
    groups = {"within": inhib & ~beyond, "beyond": inhib & beyond, **two_means(lags, inhib, seed)}
    described["I_groups"] = {name: {"units": int(units.sum())} for name, units in groups.items()}
    for name, units in groups.items():
        if units.any():
            rate = rates[:, units].sum(axis=1)
            (lag,) = lags_to(rate[:, None], rate_of_e, n_cycles)
            correlation = np.corrcoef(rate, rate_of_e)[0, 1]
            described["I_groups"][name] |= {"lag": float(lag), "correlation": float(correlation)}
    return described


def two_means(lags: np.ndarray, units: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Two clusters (masks) of units (N,) by their lags (N,) on the unit circle, nearer first."""
    angles = 2 * np.pi * lags[units]
    if len(np.unique(angles)) < 2:
        return {}
    clusters = two_clusters(np.stack([np.cos(angles), np.sin(angles)], axis=1), units, seed)
    clusters = sorted(clusters, key=lambda cluster: -np.cos(2 * np.pi * lags[cluster]).mean())
    return dict(zip(("2-means, nearer", "2-means, farther"), clusters, strict=True))
