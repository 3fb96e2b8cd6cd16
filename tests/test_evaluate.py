"""The judgement of a network, on clocks whose tempo, noise and lateness are known."""

from dataclasses import replace

import numpy as np
import pytest

from zrnn import configuration, evaluate, simulate

CONFIG = configuration.load()
PERIODS = CONFIG.training.periods
OTHERS = evaluate.untrained_periods(PERIODS, 5)


class Clock:
    """Stands in for a network that is driven: a phase that the cue turns, and a beat read off it.

    slow: the periods are so many times too long; late: taps come so many [s] after the clicks;
    cv: of the ITIs, from a phase that diffuses; silent: [s] from, to; the output is 0 there.
    """

    dt = 0.001

    def __init__(self, slow=1.0, late=0.0, cv=0.01, silent=(0, 0)):
        self.slow, self.late, self.cv, self.silent = slow, late, cv, silent

    def run(self, model, inputs, noise, discard=0, on_steps=None):
        rng = np.random.default_rng(noise)
        turns = self.dt * inputs[:, :, 1].numpy() / CONFIG.task.cue_constant / self.slow
        lag = np.round(self.late / self.dt).astype(int)
        start = (turns > 0).argmax(axis=1)[:, None] + lag  # the first tap
        steps = np.arange(turns.shape[1])
        turns = np.where(steps > start, turns, 0)
        turns = turns + self.cv * np.sqrt(turns) * rng.normal(size=turns.shape)
        outputs = np.where(steps < start, 0, (1 + np.cos(2 * np.pi * turns.cumsum(axis=1))) / 2)
        silent = (self.dt * steps > self.silent[0]) & (self.dt * steps < self.silent[1])
        on_steps(len(steps))
        return simulate.Run(np.where(silent, 0, outputs)[:, discard:], None, None)


@pytest.fixture
def verdict_of(monkeypatch):
    def verdict_of(clock, periods=PERIODS, others=OTHERS):
        monkeypatch.setattr(simulate, "run", clock.run)
        n_steps = []
        rows = evaluate.period_statistics(
            clock,
            periods,
            CONFIG.task,
            runs=3,
            others=others,
            keep_seconds=20.0,
            on_steps=n_steps.append,
        )
        assert sum(n_steps) == 22_000
        found = evaluate.criteria(rows, max_error=0.005, max_untrained_error=0.01, max_cv=0.019)
        return evaluate.Evaluation(rows, found), {f.measure: f for f in found}

    return verdict_of


@pytest.mark.parametrize("slow", [1.0, 1.007, 1.02])
def test_a_clock_that_is_late(verdict_of, slow):
    verdict, found = verdict_of(Clock(slow, cv=0.001))
    assert len(verdict.statistics) == 7 + 7 + 5 and all(
        row.beats == row.runs for row in verdict.statistics
    )
    for row in verdict.statistics:
        assert row.error == pytest.approx(slow - 1, abs=5e-4)
        assert row.drift == pytest.approx((1 - 1 / slow) * 20 / row.period, abs=0.1)
    assert found["ITI error, trained periods"].met == (slow < 1.005)
    assert found["ITI error, cue alone from rest"].met == (slow < 1.005)
    assert found["ITI error, periods never trained"].met == (slow < 1.01)
    assert found["ITI falls as the cue rises"].met and found["taps in silence"].met


def test_cv_and_slope_of_a_noisy_clock(verdict_of):
    verdict, found = verdict_of(Clock(cv=0.02))
    clicked = evaluate.of_condition(verdict.statistics, evaluate.CLICKS)
    for row in clicked:  # a midpoint keeps sqrt(3/4) of the CV of a phase that diffuses
        assert row.cv == pytest.approx(0.02 * np.sqrt(3 / 4), rel=0.15)
        assert row.drift_sd < 1
    assert evaluate.weber_slope(clicked) == pytest.approx(1, abs=0.1)
    assert found["slope of log SD against log mean ITI"].met and found["CV of ITIs"].met
    assert not verdict_of(Clock(cv=0.03))[1]["CV of ITIs"].met
    steady = [replace(row, sd_iti=0.002) for row in clicked]  # an SD that is the same at all tempos
    assert evaluate.weber_slope(steady) == pytest.approx(0, abs=1e-6)


def test_lateness_is_the_asynchrony(verdict_of):
    verdict, _ = verdict_of(Clock(late=0.02, cv=0.0005))
    for row in evaluate.of_condition(verdict.statistics, evaluate.CLICKS):
        assert row.asynchrony == pytest.approx(0.02, abs=0.002) and row.clicks_without_tap == 0
    assert "every click has its tap" in evaluate.table(verdict)


@pytest.mark.parametrize("slow, word", [(2.0, "0.5 times"), (0.5, "2.0 times")])
def test_half_and_double_tempo_do_not_pass(verdict_of, slow, word):
    verdict, found = verdict_of(Clock(slow))
    assert all(row.beats == 0 for row in verdict.statistics)
    for measure in ("taps in silence", "taps, cue alone from rest", "taps, periods never trained"):
        assert not found[measure].met
    missed_or_extra = "missed" if slow > 1 else "extra"
    assert all(getattr(row, missed_or_extra) > 0 for row in verdict.statistics)


def test_a_clock_that_skips_is_told_without_knowing_its_period(verdict_of):
    verdict, found = verdict_of(Clock(silent=(10, 11)))
    assert not found["taps in silence"].met
    assert all(
        row.missed >= row.runs for row in evaluate.of_condition(verdict.statistics, evaluate.CLICKS)
    )


def test_clicks_without_a_tap_are_counted(verdict_of):
    verdict, _ = verdict_of(Clock(silent=(1, 2)))
    assert all(
        row.clicks_without_tap > 0
        for row in evaluate.of_condition(verdict.statistics, evaluate.CLICKS)
    )
    assert "clicks have no tap" in evaluate.table(verdict)


def test_a_dead_network_meets_nothing_and_a_verdict_survives_its_checkpoint(verdict_of):
    verdict, found = verdict_of(Clock(silent=(-1, 100)))
    assert not verdict.met and not any(finding.met for finding in found.values())
    text = evaluate.table(verdict)
    assert "nan%" not in text and text.count("NOT MET") == len(found)
    assert evaluate.table(evaluate.Evaluation.from_dict(verdict.to_dict())) == text


def test_few_tempos_leave_out_what_needs_several(verdict_of):
    verdict, found = verdict_of(Clock(), [0.3], evaluate.untrained_periods([0.3], 5))
    assert "slope of log SD against log mean ITI" not in found and verdict.met


def test_the_range_of_the_beat_is_the_one_around_a_cue(monkeypatch):
    cues = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    monkeypatch.setattr(simulate, "run", Clock().run)
    beat = evaluate.beats_at_cues(Clock(), cues, CONFIG.task, 5.0, on_steps=int)
    assert [b.mean_iti for b in beat] == pytest.approx([0.1 / cue for cue in cues], rel=0.02)
    beats = [replace(beat[0], ok=bool(ok)) for ok in (1, 0, 1, 1, 1, 0)]
    assert evaluate.range_of_beat(cues, beats, 0.4) == (0.3, 0.5)
    assert np.isnan(evaluate.range_of_beat(cues, beats[1:2] * 6, 0.4)).all()
