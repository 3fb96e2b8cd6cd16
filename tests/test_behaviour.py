"""The judgement of a network, on clocks whose tempo is known."""

import math

import numpy as np
import pytest
import torch

from zrnn.analysis import judge as behaviour
from zrnn.workshop import configuration

CONFIG = configuration.load(
    flags={"drive.keep_seconds": 20, "check.noise_runs": 2, "check.untrained_periods": 5}
)


class Clock:
    """Stands in for a network: a phase that the cue turns, and a beat read off it.

    slow: the periods are this many times too long. skips: the amplitude falls to 0 for 1 s at 10 s.
    """

    dt = 0.001

    def __init__(self, slow=1.0, skips=False):
        self.slow, self.skips, self.w_hh, self.t = slow, skips, torch.zeros(2, 2), 0

    def effective_w_hh(self):
        return self.w_hh

    def initial_state(self, batch_size):
        return torch.tensor([[0.5, 0.0]]).repeat(batch_size, 1)

    def step(self, inputs, state, noise, w_hh):
        self.t += 1
        turn = 2 * math.pi * self.dt * inputs[:, 1] / CONFIG["task"]["cue_constant"] / self.slow
        (x, y), cos, sin = state.T, turn.cos(), turn.sin()
        state = torch.stack([x * cos - y * sin, x * sin + y * cos], dim=1)
        silent = self.skips and 10_000 < self.t < 11_000
        return 0.5 + (0 if silent else 1) * state[:, :1], state


def findings_of(clock):
    rows = behaviour.measure(clock, CONFIG)
    found = {f.measure: f for f in behaviour.judge(rows, CONFIG["check"])}
    return rows, found


@pytest.mark.parametrize("slow", [1.0, 1.004, 1.02])
def test_a_clock_that_is_late(slow):
    rows, found = findings_of(Clock(slow))
    assert len(rows) == 7 + 7 + 5 and all(row.beats == row.runs for row in rows)
    for row in rows:
        assert row.error == pytest.approx(slow - 1, abs=1e-3)
    assert found["ITI error, trained periods"].met == (slow < 1.005)
    assert found["ITI error, cue alone from rest"].met == (slow < 1.005)
    assert found["ITI error, periods never trained"].met == (slow < 1.01)
    assert found["ITI falls as the cue rises"].met and found["taps in silence"].met
    # the circle has diameter 1, stretched to rates 0..1 from max(x, 0): half of it is flat
    lengths = [row.lengths[0] for row in rows[:7]]
    np.testing.assert_allclose(lengths, lengths[0], rtol=0.02)


def test_a_clock_that_skips_is_told_without_knowing_its_period():
    rows, found = findings_of(Clock(skips=True))
    assert not found["taps in silence"].met
    assert all(row.missed >= row.runs for row in rows if row.condition == behaviour.CLICKS)


def test_a_dead_network_meets_nothing():
    clock = Clock()
    clock.initial_state = lambda batch_size: torch.zeros(batch_size, 2)
    rows, found = findings_of(clock)
    assert not any(finding.met for finding in found.values())
    text = behaviour.table(rows, list(found.values()))
    assert "nan%" not in text and text.count("NOT MET") == len(found)
