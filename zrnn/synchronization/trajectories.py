"""The shape of trajectories at several tempos, as it is measured in recordings of monkeys.

Mean cycles (B, P, N): rates of N units at P phases from tap to tap, noise averaged out, B tempos.
"""

import numpy as np

ACTIVE = 0.1  # a unit is active if its rate swings by more than this share of the largest swing


def radius(cycles) -> np.ndarray:
    """RMS distance of a cycle from its centre -> (B,)."""
    centred = cycles - cycles.mean(axis=1, keepdims=True)
    return np.sqrt(np.square(centred).sum(-1).mean(-1))


def speed(cycles, periods) -> np.ndarray:
    """Length of the closed trajectory by its period [s] -> (B,) [1/s]."""
    steps = np.linalg.norm(np.roll(cycles, -1, axis=1) - cycles, axis=-1)
    return steps.sum(-1) / np.asarray(periods)


def active_units(cycles) -> np.ndarray:
    """How many units take part: (B,)."""
    swing = np.ptp(cycles, axis=1)
    return (swing > ACTIVE * swing.max()).sum(-1)


def apart(cycles) -> np.ndarray:
    """Distance between cycles at the same phase, mean over pairs of tempos -> (P,)."""
    first, second = np.triu_indices(len(cycles), 1)
    return np.linalg.norm(cycles[first] - cycles[second], axis=-1).mean(0)


def measure(heard, silent, periods) -> tuple[dict, dict]:
    """Numbers and arrays of mean cycles with clicks and in silence; empty where one is None."""
    if heard is None or silent is None:
        return {}, {}
    numbers, arrays = {}, {}
    for name, cycles in (("clicks", heard), ("silence", silent)):
        distance = apart(cycles)
        own = {
            "radius": radius(cycles),
            "speed": speed(cycles, periods),
            "active_units": active_units(cycles),
        }
        numbers[name] = own | {
            "apart_at_the_tap": distance[0],
            "apart_at_most": distance.max(),
            "apart_in_the_mean": distance.mean(),
        }
        arrays |= {f"{key}_{name}": value for key, value in own.items()}
        arrays[f"apart_{name}"] = distance
    numbers["between_clicks_and_silence"] = np.linalg.norm(heard - silent, axis=-1).mean(1)
    return numbers, arrays
