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
