"""Networks driven with clicks: extra ones, shifted ones, tempo steps, and an adaptive cue."""

import copy
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import models
import plot_synchronization
from zrnn import simulate, stimuli
from zrnn.checkpoints import SHIPPED, read_checkpoint
from zrnn.errors import UserError
from zrnn.evaluate import CLICKS, Evaluation, of_condition
from zrnn.figures import save_results
from zrnn.synchronization import adaptive_cue, estimators, measures, phase_response, protocols

TASK = SimpleNamespace(cue_constant=0.1, click_width=0.01)
SETTINGS = SimpleNamespace(noise_runs=2, gain=0.3, seed=0)


def test_clicks_with_and_without_a_lead():
    alone, after_lead = adaptive_cue.click_times(0.0, 0.25), adaptive_cue.click_times(0.2, 0.25)
    np.testing.assert_allclose(np.diff(alone), [0.25] * (adaptive_cue.N_CLICKS - 1))
    gaps = [*np.full(10, 0.2), *np.full(adaptive_cue.N_CLICKS - 1, 0.25)]
    np.testing.assert_allclose(np.diff(after_lead), gaps)
    assert min(alone[0], after_lead[10]) > protocols.LEAD_SECONDS


@pytest.fixture(scope="module")
def oscillator(make_oscillator):
    """The oscillator made by hand, with an input from the clicks; its output is 0 to 1."""
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
    _, variance = estimators.drift(taps, free.period[0], 20)
    assert estimators.diffusion(variance) == pytest.approx(free.diffusion[0], rel=0.15)


def test_a_network_locks_where_its_phase_response_says(oscillator, free):
    heights, ratios = [0.0, 3.0, 6.0], np.array([0.85, 0.95, 0.98, 1.02, 1.05, 1.15, 2.0])
    measured = phase_response.locking_patterns(oscillator, free, 0, ratios, heights, 0.01)
    curves = phase_response.click_responses(oscillator, free, 0, heights, 0.01)
    predicted = phase_response.predicted_patterns(curves, ratios)
    assert (measured == predicted).mean() > 0.85
    assert (measured[2, 2:4] == 1).all() and not measured[0, :6].any()


def test_clicks_are_as_wide_and_high_as_asked_for():
    clicks = stimuli.click_trains([[0.0, 0.02], [0.0304]], 50, 0.001, 0.01, [0.5, 2.0])
    assert clicks.sum(1).tolist() == pytest.approx([10.0, 20.0])
    assert clicks[0, 20:30].tolist() == [0.5] * 10 and clicks[1, 30:40].tolist() == [2.0] * 10


@pytest.mark.parametrize(
    "times, problem",
    [
        ([100, 500], "2 of 2 onsets lie outside 0 to 8 s; are they in seconds?"),
        ([-0.1, 1.0, np.nan], "2 of 3 onsets"),
        ([np.inf], "1 of 1 onsets"),
    ],
)
def test_clicks_outside_the_run_are_refused(times, problem):
    with pytest.raises(UserError, match=problem):
        stimuli.click_trains([[1.0], times], 8000, 0.001, 0.01)


def test_the_first_shifted_click_is_hardly_followed_by_the_same_tap(oscillator):
    periods = [0.08, 0.085]
    found = protocols.run_phase_shifts(oscillator, periods, TASK, [0.0, 0.1], 2, 0)
    assert found.shape == (2, 2, 3, protocols.N_SHIFTED_CLICKS)
    np.testing.assert_allclose(found[:, :, 0], found[:, :, 1], atol=1e-9)  # the same noise
    effect = (found[:, :, 2, 0] - found[:, :, 0, 0]) / np.array(periods)
    np.testing.assert_allclose(effect, -0.1, atol=0.02)


def test_itis_after_steps_of_the_tempo_and_after_the_clicks(oscillator):
    found = protocols.run_tempo_steps(oscillator, 0.0827, TASK, [0.05, -0.05], 2, 0)
    assert found[0].shape == (len(protocols.TEMPO_STEPS), 2, 2, protocols.N_ITIS_AFTER_STEP)
    assert found[1].shape == (2, 2, protocols.N_ITIS_AFTER_CLICKS)
    itis = protocols.itis_from(np.array([0.1, 0.3, 0.6]), 0.2, 3)
    np.testing.assert_allclose(itis, [0.3, np.nan, np.nan])


def test_taps_are_counted_from_the_fifth_click_on(oscillator):
    tapping = protocols.run_metronome(oscillator, [0.0827, 0.5], TASK, 4.0, 4.0, 2, 0, 1)
    assert [len(runs) for runs in tapping.taps] == [2, 2]
    clicks = tapping.clicks[1]
    np.testing.assert_allclose(clicks, [2.05, 2.55, 3.05], atol=1e-9)
    assert tapping.taps[1][0][0] > clicks[0] - 0.25
    assert tapping.cycles.shape == (2, protocols.N_PHASES, 25)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_network_that_never_taps_has_no_numbers(oscillator):
    without_output = copy.deepcopy(oscillator)
    without_output.w_ho.data.zero_()
    free = phase_response.free_cycles(without_output, [0.2], TASK)
    assert np.isnan([free.period[0], free.diffusion[0], free.click[0, 0]]).all()
    found = measures.metronome(without_output, [0.2], TASK, 4.0, 2, 0, free.diffusion)
    assert found["clicks"] == found["clicks_without_tap"] > 0
    assert not any("radius" in name for name in found)
    for name in ("asynchrony_mean_ms", "alpha", "continuation_iti_lags", "diffusion_ms2"):
        assert np.isnan(found[name]).all()
    with pytest.raises(UserError, match="no beat at the cue of 0.2 s"):
        plot_synchronization.measure(without_output, [0.2], TASK, SETTINGS)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_all_measures_and_figures(oscillator, monkeypatch, tmp_path):
    few = {"SECONDS": 4.0, "NOISE_SECONDS": 4.0, "MIN_BEATS": 0}
    for name, value in few.items():
        monkeypatch.setattr(plot_synchronization, name, value)
    monkeypatch.setattr(measures, "NOISE_SCALES", (0.0, 4.0))
    monkeypatch.setattr(measures, "RATIOS", np.array([0.9, 1.0, 1.5]))
    monkeypatch.setattr(measures, "HEIGHTS", np.array([1.0, 2.0]))
    monkeypatch.setattr(adaptive_cue, "N_CLICKS", 5)
    periods = [0.25, 0.2, 0.166]  # which only name the cues: this network is faster
    with oscillator.temporarily(dt=0.001):
        results = plot_synchronization.measure(oscillator, periods, TASK, SETTINGS)
    drawings = plot_synchronization.DRAWINGS
    assert set(results) == set(drawings)
    n_shifts, n_clicks = len(measures.SHIFTS), protocols.N_SHIFTED_CLICKS
    assert results["synchronization"]["corrected_fraction"].shape == (3, n_shifts, n_clicks)
    figures = {name: draw(results[name], periods) for name, draw in drawings.items()}
    save_results(tmp_path, "", figures, "png", results, {"synchronization": results})
    plain = json.loads((tmp_path / "synchronization.json").read_text())
    assert np.shape(plain["drift"]["noise_fraction_lost"]) == (2, 3)
    assert plain["tempo_steps"]["cue_condition"][0] == "wrong cue"
    names = {path.name for path in tmp_path.iterdir()}
    assert {f"{name}.{end}" for name in figures for end in ("png", "npz")} <= names


def test_the_cue_of_the_shipped_network_adapts_to_a_tempo():
    model = models.load_network()
    period = sorted(models.configuration.load().training.periods)[3]
    evaluation = Evaluation.from_dict(read_checkpoint(SHIPPED)[1]["evaluation"])
    (usual,) = (
        r.asynchrony for r in of_condition(evaluation.statistics, CLICKS) if r.period == period
    )
    starts, clicks = period * np.array([1.1, 0.9]), np.full(2, period)
    noise = torch.Generator().manual_seed(0)
    gains = np.full(2, 0.5)
    cue, final, itis = adaptive_cue.run_adaptive_cue(
        model, starts, np.zeros(2), clicks, gains, ([period], [usual]), TASK, noise
    )
    np.testing.assert_allclose(cue[:, 0], starts)
    assert np.abs(final / period - 1).max() < 0.05
    np.testing.assert_allclose(itis, final, rtol=0.05)
