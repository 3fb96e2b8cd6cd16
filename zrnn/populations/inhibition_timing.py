"""How inhibition is timed: when in the cycle I units fire, relative to the E units together.

The phase of a rate is that of its first harmonic over whole cycles. A lag is a phase relative to
the summed E rate, in cycles, -0.5..0.5, positive if later. Shapes: T time steps, N units.
"""

import numpy as np

from zrnn.populations.groups import two_clusters

ACTIVE_RATE = 0.02  # a unit is active if its rate exceeds this at some time
BEYOND = 0.25  # [cycles] a larger lag, of either sign, is beyond a quarter of a cycle
BIN_EDGES = np.linspace(-0.5, 0.5, 11)  # [cycles] of the histogram of lags


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
