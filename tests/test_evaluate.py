"""The evaluation of a network, on clocks whose tempo, noise and lateness are known."""

from dataclasses import replace

import numpy as np
import pytest

from zrnn import configuration, evaluate, simulate

CONFIG = configuration.load()
PERIODS = CONFIG.training.periods
OTHERS = evaluate.untrained_periods(PERIODS, 5)


class Clock:
    """Replaces the simulation of a network: a phase that advances with the cue, and its cosine.

    slow: factor of all periods; late: taps minus clicks [s]; cv: of the ITIs, from a phase that
    diffuses; silent: start and end [s] of a time in which the output is 0.
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
        if on_steps:
            on_steps(len(steps))
        return simulate.Run(np.where(silent, 0, outputs)[:, discard:], None, None)


@pytest.fixture
def evaluated(monkeypatch):
    """evaluated(clock): its Evaluation, and {measure: Criterion}."""

    def evaluated(clock, periods=PERIODS, others=OTHERS):
        monkeypatch.setattr(simulate, "run", clock.run)
        n_steps = []
        statistics = evaluate.period_statistics(
            clock,
            periods,
            CONFIG.task,
            runs=3,
            others=others,
            keep_seconds=20.0,
            on_steps=n_steps.append,
        )
        assert sum(n_steps) == 22_000
        found = evaluate.criteria(
            statistics, max_error=0.005, max_untrained_error=0.01, max_cv=0.019
        )
        return evaluate.Evaluation(statistics, found), {c.measure: c for c in found}

    return evaluated


@pytest.mark.parametrize("slow", [1.0, 1.007, 1.02])
def test_error_and_drift_of_a_slow_clock(evaluated, slow):
    evaluation, found = evaluated(Clock(slow, cv=0.001))
    assert len(evaluation.statistics) == 7 + 7 + 5
    assert all(one.beats == one.runs for one in evaluation.statistics)
    for one in evaluation.statistics:
        assert one.error == pytest.approx(slow - 1, abs=5e-4)
        assert one.drift == pytest.approx((1 - 1 / slow) * 20 / one.period, abs=0.1)
    assert found["ITI error, trained periods"].met == (slow < 1.005)
    assert found["ITI error, cue alone from rest"].met == (slow < 1.005)
    assert found["ITI error, periods never trained"].met == (slow < 1.01)
    assert found["ITI falls as the cue rises"].met and found["taps in silence"].met


def test_cv_and_slope_of_a_noisy_clock(evaluated):
    evaluation, found = evaluated(Clock(cv=0.02))
    clicked = evaluate.of_condition(evaluation.statistics, evaluate.CLICKS)
    for one in clicked:  # a midpoint keeps sqrt(3/4) of the CV of a phase that diffuses
        assert one.cv == pytest.approx(0.02 * np.sqrt(3 / 4), rel=0.15)
        assert one.drift_sd < 1
    assert evaluate.weber_slope(clicked) == pytest.approx(1, abs=0.1)
    assert found["slope of log SD against log mean ITI"].met and found["CV of ITIs"].met
    assert not evaluated(Clock(cv=0.03))[1]["CV of ITIs"].met
    steady = [replace(one, sd_iti=0.002) for one in clicked]  # the same SD at every tempo
    assert evaluate.weber_slope(steady) == pytest.approx(0, abs=1e-6)


def test_asynchrony_of_a_late_clock(evaluated):
    evaluation, _ = evaluated(Clock(late=0.02, cv=0.0005))
    for one in evaluate.of_condition(evaluation.statistics, evaluate.CLICKS):
        assert one.asynchrony == pytest.approx(0.02, abs=0.002) and one.clicks_without_tap == 0
    assert "clicks without a tap: 0" in evaluate.table(evaluation)


@pytest.mark.parametrize("slow", [2.0, 0.5])
def test_half_and_double_tempo_are_not_beats(evaluated, slow):
    evaluation, found = evaluated(Clock(slow))
    assert all(one.beats == 0 for one in evaluation.statistics)
    for measure in ("taps in silence", "taps, cue alone from rest", "taps, periods never trained"):
        assert not found[measure].met
    missed_or_extra = "missed" if slow > 1 else "extra"
    assert all(getattr(one, missed_or_extra) > 0 for one in evaluation.statistics)


def test_missed_taps_of_a_clock_that_pauses(evaluated):
    evaluation, found = evaluated(Clock(silent=(10, 11)))
    assert not found["taps in silence"].met
    clicked = evaluate.of_condition(evaluation.statistics, evaluate.CLICKS)
    assert all(one.missed >= one.runs for one in clicked)


def test_clicks_without_a_tap_are_counted(evaluated):
    evaluation, _ = evaluated(Clock(silent=(1, 2)))
    clicked = evaluate.of_condition(evaluation.statistics, evaluate.CLICKS)
    assert all(one.clicks_without_tap > 0 for one in clicked)
    n_clicks = sum(one.clicks_without_tap for one in clicked)
    assert f"clicks without a tap: {n_clicks}" in evaluate.table(evaluation)


def test_a_silent_network_meets_no_criterion(evaluated):
    evaluation, found = evaluated(Clock(silent=(-1, 100)))  # NaN meets no bound
    assert not evaluation.met and not any(criterion.met for criterion in found.values())
    text = evaluate.table(evaluation)
    assert "nan%" not in text and text.count("NOT MET") == len(found)
    assert evaluate.table(evaluate.Evaluation.from_dict(evaluation.to_dict())) == text


def test_criteria_that_need_several_periods_are_left_out_with_one(evaluated):
    evaluation, found = evaluated(Clock(), [0.3], evaluate.untrained_periods([0.3], 5))
    assert "slope of log SD against log mean ITI" not in found and evaluation.met


def test_range_of_beat_is_the_range_around_a_cue(monkeypatch):
    cues = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    monkeypatch.setattr(simulate, "run", Clock().run)
    beat = evaluate.beats_at_cues(Clock(), cues, CONFIG.task, 5.0, on_steps=int)
    assert [b.mean_iti for b in beat] == pytest.approx([0.1 / cue for cue in cues], rel=0.02)
    beats = [replace(beat[0], ok=bool(ok)) for ok in (1, 0, 1, 1, 1, 0)]
    assert evaluate.range_of_beat(cues, beats, 0.4) == (0.3, 0.5)
    assert np.isnan(evaluate.range_of_beat(cues, beats[1:2] * 6, 0.4)).all()


@pytest.mark.parametrize("discard, onset", [(2.0, 0.05), (1.0, 0.3), (0.0, 0.0)])
def test_the_evaluation_uses_the_configured_run(monkeypatch, discard, onset):
    flags = {"drive.discard_seconds": discard, "drive.onset": onset, "drive.keep_seconds": 5}
    few = {"check.noise_runs": 1, "check.untrained_periods": 3, "check.untrained_runs": 1}
    shapes, clock = [], Clock(cv=0.001)

    def run(model, inputs, noise, **options):
        cued = inputs[:, :, 1].numpy() > 0
        shapes.append((inputs.shape[1], set(cued.argmax(axis=1)), bool(inputs[:, :, 0].any())))
        return clock.run(model, inputs, noise, **options)

    monkeypatch.setattr(simulate, "run", run)
    evaluation = evaluate.evaluate(clock, configuration.load(flags=flags | few))
    n_steps = round((discard + 5) / clock.dt)
    assert shapes == [(n_steps, {round(onset / clock.dt)}, discard > 0)]
    assert all(one.beats == one.runs for one in evaluation.statistics) and evaluation.met
    assert evaluate.table(evaluation)
