"""A network that is made to hear clicks: extra ones, shifted ones, and with a cue that listens."""

import copy
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import models
from zrnn import simulate
from zrnn.checkpoints import SHIPPED, read_checkpoint
from zrnn.errors import UserError
from zrnn.evaluate import CLICKS, Verdict, rows_of
from zrnn.figures import save_results
from zrnn.synchronization import (
    adaptive_cue,
    measures,
    perturbed,
    phase_response,
    protocols,
    report,
)
from zrnn.synchronization import drawing as draw
from zrnn.synchronization import statistics as sync

TASK = SimpleNamespace(cue_constant=0.1, click_width=0.01)


def test_what_is_heard():
    clicks = 1 + 0.2 * np.arange(4)
    assert adaptive_cue.heard_asynchrony(1.23, clicks, 1.3, 0.2) == pytest.approx(0.03)
    assert adaptive_cue.heard_asynchrony(1.38, clicks, 1.39, 0.2) == pytest.approx(-0.02)
    assert adaptive_cue.heard_asynchrony(0.9, clicks, 0.95, 0.2) is None
    assert adaptive_cue.heard_asynchrony(2.0, clicks, 2.05, 0.2) is None
    trials = adaptive_cue.Trials(*np.array([[0.2, 0.3], [0.0, 0.2], [0.25, 0.25], [0.5, 0.5]]))
    trains, later = adaptive_cue.click_times(trials)
    np.testing.assert_allclose(np.diff(later), 0.25)
    np.testing.assert_allclose(trains[0], later[0])
    gaps = np.diff(trains[1])
    np.testing.assert_allclose(gaps, [*np.full(10, 0.2), *np.full(adaptive_cue.N_CLICKS - 1, 0.25)])


@pytest.fixture(scope="module")
def oscillator(make_oscillator):
    """The oscillator made by hand, which hears clicks; its output is 0 to 1."""
    model = make_oscillator(cue_weight=0.05).double()
    model.dt, model.sigma_rec = 0.0005, 0.0005
    with torch.no_grad():
        model.w_ih[:4, 0] = 0.02
        inputs = torch.tensor([0.0, 0.5]).expand(1, 4000, 2)
        state = 0.1 * torch.ones(1, 25)
        z = simulate.run(model, inputs, state=state).outputs[0, 2000:]
        model.w_ho.div_(float(np.ptp(z)))
        model.b_ho.fill_(-float(z.min() / np.ptp(z)))
    return model


@pytest.fixture(scope="module")
def free(oscillator):
    return phase_response.free_cycles(oscillator, [0.2], TASK)


def test_small_clicks_do_what_the_adjoint_says(oscillator, free):
    responses = phase_response.click_responses(oscillator, free, 0, [0.1], 0.01)[0] / 0.1
    np.testing.assert_allclose(responses, free.click[0], atol=0.08 * np.abs(free.click).max())


def test_noise_moves_the_taps_as_the_adjoint_says(oscillator, free):
    inputs = simulate.constant_cues([0.5] * 100, 8000)
    state = free.start.expand(100, -1)
    outputs = simulate.run(oscillator, inputs, 0, state, discard=500).outputs
    taps = [protocols.find_taps(z, oscillator.dt) * oscillator.dt for z in outputs]
    _, variance = sync.drift(taps, free.period[0], 20)
    assert sync.diffusion(variance) == pytest.approx(free.diffusion[0], rel=0.15)


def test_a_network_locks_where_its_phase_response_says(oscillator, free):
    heights, ratios = [0.0, 3.0, 6.0], np.array([0.85, 0.95, 0.98, 1.02, 1.05, 1.15, 2.0])
    at = oscillator, free, 0
    measured = phase_response.locking_patterns(*at, ratios, heights, 0.01)
    curves = phase_response.click_responses(*at, heights, 0.01)
    predicted = phase_response.predicted_patterns(curves, ratios)
    assert (measured == predicted).mean() > 0.85
    assert (measured[2, 2:4] == 1).all() and not measured[0, :6].any()


def test_clicks_are_as_wide_and_high_as_asked_for():
    clicks = protocols.click_trains([[0.0, 0.02], [0.0304]], 50, 0.001, 0.01, [0.5, 2.0])
    assert clicks.sum(1).tolist() == pytest.approx([10.0, 20.0])
    assert clicks[0, 20:30].tolist() == [0.5] * 10 and clicks[1, 30:40].tolist() == [2.0] * 10


def test_the_same_noise_gives_the_same_taps(oscillator):
    noise = protocols.same_noise(oscillator, 3, 1000, 5)
    cues = np.full(3, 0.5)
    taps = protocols.tap_along(oscillator, [[], [0.4], []], cues, 1000, 0.01, noise=noise)
    np.testing.assert_array_equal(taps[0], taps[2])
    assert len(taps[0]) > 3 and not np.array_equal(taps[0], taps[1])


def test_shifted_clicks_are_followed_by_the_taps_only_from_the_shift_on(oscillator):
    found = protocols.shift_clicks(oscillator, [0.08, 0.085], TASK, [0.1], 2, 0)
    assert found.shape == (2, 2, 2, protocols.CLICKS_SHIFTED)
    apart = (found[:, :, 1, 0] - found[:, :, 0, 0]) / np.array([0.08, 0.085])
    np.testing.assert_allclose(apart, -0.1, atol=0.02)  # at the click itself: hardly followed


def test_a_step_of_the_cue_alone_and_what_follows_the_clicks(oscillator):
    stepped, after = protocols.step_tempo(oscillator, 0.0827, TASK, [0.05, -0.05], 2, 0)
    assert set(stepped) == set(protocols.CONDITIONS)
    assert stepped["cue, no clicks"].shape == (2, 2, protocols.ITIS_STEPPED)
    assert after["clicks, not cue"].shape == (2, 2, protocols.ITIS_AFTER)
    assert protocols.itis_from(np.array([0.1, 0.3, 0.6]), 0.2, 3)[0] == pytest.approx(0.3)


def test_a_run_gives_taps_from_the_fifth_click_on_and_mean_rates(oscillator):
    tapping = protocols.keep_time(oscillator, [0.0827, 0.5], TASK, 4.0, 4.0, 2, 0, 1)
    assert [len(own) for own in tapping.taps] == [2, 2]
    clicks = tapping.clicks[1]
    np.testing.assert_allclose(clicks, [2.05, 2.55, 3.05], atol=1e-9)
    assert tapping.taps[1][0][0] > clicks[0] - 0.25
    assert tapping.cycles.shape == (2, protocols.N_PHASES, 25)


def test_a_network_that_never_taps_has_no_numbers(oscillator):
    silent = copy.deepcopy(oscillator)
    silent.w_ho.data.zero_()
    tapping = protocols.keep_time(silent, [0.2], TASK, 4.0, 4.0, 2, 0, 1)
    assert tapping.cycles is None and [len(own) for own in tapping.taps[0]] == [0, 0]
    own = measures.asynchrony(tapping, [0.2])[0][0.2]
    assert np.isnan(own["mean"]) and own["clicks"] == own["clicks_without_tap"]
    assert np.isnan(measures.intervals(tapping, tapping, [0.2])[0][0.2]["silence"]["lag1"])
    free = phase_response.free_cycles(silent, [0.2], TASK)
    assert np.isnan([free.period[0], free.diffusion[0], free.click[0, 0]]).all()
    assert np.isnan(measures.drift(tapping, free, [0.2])[0][0.2]["diffusion_ms2"])
    with pytest.raises(UserError, match="no beat at the cue of 0.2 s"):
        report.measure(silent, [0.2], TASK, 2, 0.5, 0, note=lambda text: None)


def test_all_measures_and_figures(oscillator, monkeypatch, tmp_path):
    few = {"SECONDS": 4.0, "NOISE_SECONDS": 4.0, "FEWEST_BEATS": 0, "NOISE_SCALES": (0.0, 4.0)}
    for name, value in few.items():
        monkeypatch.setattr(measures, name, value)
    monkeypatch.setattr(perturbed, "RATIOS", np.array([0.9, 1.0, 1.5]))
    monkeypatch.setattr(perturbed, "HEIGHTS", np.array([1.0, 2.0]))
    monkeypatch.setattr(adaptive_cue, "N_CLICKS", 5)
    periods = [0.25, 0.2, 0.166]  # which only name the cues: this network is faster
    with oscillator.temporarily(dt=0.001):
        numbers, arrays = report.measure(oscillator, periods, TASK, 2, 0.3, 0, lambda text: None)
    assert set(numbers) == {
        "asynchrony_ms",
        "iti",
        "wing_kristofferson",
        "alpha",
        "phase_response",
        "tongues",
        "tempo_steps",
        "drift",
        "listening",
        "after_effect",
        "trajectories",
    }
    assert {"clicks", "silence"} == set(numbers["iti"][0.2])
    assert set(numbers["alpha"][0.2]["shifts"]) == {f"{s:+g}" for s in measures.SHIFTS}
    assert {"start", "clicks", "gain"} <= set(numbers["listening"])
    learnt = {"taps_to_2_percent", "cue_error", "iti_in_silence"}
    assert learnt <= set(numbers["listening"]["start"]["+0.1"])
    json.dumps(plain := report.plain(numbers), allow_nan=False)
    assert plain["drift"]["noise"]["4"]["0.2"]["runs_without_beat"] is not None
    drawn = {
        "synchronization": draw.synchronization(arrays["synchronization"], periods, periods),
        "phase_response": draw.phase_response(arrays["phase_response"], periods),
        "tongues": draw.tongues(arrays["tongues"]),
        "tempo_steps": draw.tempo_steps(arrays["tempo_steps"]),
        "drift": draw.drift(arrays["drift"], periods, periods),
    }
    save_results(tmp_path, "", drawn, "png", arrays, {"synchronization": plain})
    names = {path.name for path in tmp_path.iterdir()}
    assert {f"{name}.{end}" for name in drawn for end in ("png", "npz")} <= names


def test_the_shipped_network_learns_a_tempo_by_listening():
    model = models.load_network()
    period = sorted(models.configuration.load().training.periods)[3]
    verdict = Verdict.from_dict(read_checkpoint(SHIPPED)[1]["behaviour"])
    (usual,) = (r.asynchrony for r in rows_of(verdict.rows, CLICKS) if r.period == period)
    starts = period * np.array([1.1, 0.9])
    trials = adaptive_cue.Trials(starts, np.zeros(2), np.full(2, period), np.full(2, 0.5))
    noise = torch.Generator().manual_seed(0)
    found = adaptive_cue.listen(model, trials, lambda own: usual, TASK, noise)
    np.testing.assert_allclose(found.periods[:, 0], trials.starts)
    assert np.abs(found.end / period - 1).max() < 0.05
    np.testing.assert_allclose(found.itis, found.end, rtol=0.05)
