"""The measures of the score card find the known answers of systems made for it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import models
from experiments import claims, reduced_fit, reproduction, score
from zrnn import checkpoints, configuration, evaluate, simulate
from zrnn.dynamics import reduced_model
from zrnn.errors import UserError
from zrnn.populations import inhibition_timing

PHASES = np.arange(100) / 100
PERIODS = np.array([0.5, 0.25, 0.125])


def bumps(peaks, width=0.03):
    """Rates (100, N) with a bump at each of peaks (N,) [cycles]."""
    distance = (PHASES[:, None] - peaks + 0.5) % 1 - 0.5
    return np.exp(-((distance / width) ** 2))


def rng():
    return np.random.default_rng(0)


def judged(claim, **recorded):
    """{label: value} and what must be met, of a network of which this is recorded."""
    numbers, met = claim(SimpleNamespace(**recorded))
    return {number.label: number.value for number in numbers}, met


def test_a_unit_in_each_bin_is_a_perfect_sequence():
    cycle = np.repeat(np.eye(score.N_BINS), 5, axis=0)  # (100, 20)
    assert score.sequentiality_index(cycle) == pytest.approx(1)
    assert score.peak_coverage(cycle) == 1
    assert score.shuffled_index(cycle, rng()) < 0.95  # peaks fall into the same bins by chance


def test_synchronous_and_constant_units_are_no_sequence():
    together = bumps(np.full(50, 0.5))
    assert score.sequentiality_index(together) == 0
    assert score.peak_coverage(together) == pytest.approx(1 / score.N_BINS)
    assert score.shuffled_index(together, rng()) > 0.5
    assert score.sequentiality_index(np.ones((100, 50))) == 0


def test_the_index_is_the_published_formula():
    cycle = np.random.default_rng(1).random((score.N_BINS, 7))
    scaled = cycle / cycle.max(axis=0)
    p = np.array([(scaled.argmax(axis=0) == j).mean() for j in range(score.N_BINS)])
    entropy = -sum(x * np.log(x) for x in p if x) / np.log(score.N_BINS)
    sparsity = []
    for row in scaled:
        r = row / row.sum()
        sparsity.append(1 + (r * np.log(r)).sum() / np.log(7))
    expected = np.sqrt(entropy * np.mean(sparsity))
    assert score.sequentiality_index(cycle) == pytest.approx(expected)


def test_peak_phases_are_kept_if_units_keep_their_order():
    first = bumps(np.linspace(0, 1, 60, endpoint=False))
    assert score.order_kept(first, first) == pytest.approx(1)
    assert score.order_kept(first, first, rng()) < 0.2
    is_excit = np.arange(60) % 2 == 0
    found, met = judged(claims.fires_in_sequence, cycles=np.array([first] * 2), is_excit=is_excit)
    assert all(met) and found["E: cycle covered by peaks"] == 1
    assert found["I: peak phases kept from 2 to 8 Hz"] == pytest.approx(1)


def rings(exponent):
    """Circles in a plane, of radius period^exponent, (3, 100, 2)."""
    ring = np.stack([np.cos(2 * np.pi * PHASES), np.sin(2 * np.pi * PHASES)], axis=1)
    return PERIODS[:, None, None] ** exponent * ring


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_rings_have_the_exponents_they_were_made_with(exponent):
    cycles = rings(exponent) + PERIODS[:, None, None]
    found, _ = judged(claims.shapes_trajectories, cycles=cycles, periods=PERIODS)
    assert found["radius ~ period to the power"] == pytest.approx(exponent)
    assert found["speed ~ period to the power"] == pytest.approx(exponent - 1)
    assert found["correlation of shapes"] == pytest.approx(1)
    assert found["phases in order"] == 1


def test_rings_through_one_point_converge_there():
    cycles = rings(1.0)
    cycles = cycles - cycles[:, :1]
    found, met = judged(claims.shapes_trajectories, cycles=cycles, periods=PERIODS)
    assert found["distance at the tap by half a cycle later"] == pytest.approx(0) and met[-1]


def test_two_clusters_of_phases_exceed_a_continuum_and_a_ring_does_not(monkeypatch):
    monkeypatch.setattr(score, "NULL_DRAWS", 15)
    noise = 0.03 * rng().standard_normal(60)
    clusters = np.where(np.arange(60) < 40, 0.0, 0.5) + noise
    ring = np.linspace(-0.5, 0.5, 60, endpoint=False)
    for lags, two in ((clusters, True), (ring, False), (0.2 * rng().standard_normal(60), False)):
        assert (score.silhouette(lags) > score.continuum_silhouette(lags, rng())) == two


def test_lags_are_those_of_shifted_bumps():
    rates, reference = bumps(np.array([0.5, 0.6, 0.0])), bumps(np.array([0.5]))[:, 0]
    lags = inhibition_timing.lags_to(rates, reference)
    np.testing.assert_allclose(lags[:2], [0, 0.1], atol=1e-9)
    assert abs(lags[2]) == pytest.approx(0.5)


def test_the_shift_by_noise_is_exact_to_the_fourth_power():
    def shift(s):
        return 0.02 * s**2 + 0.003 * s**4

    found = score.extrapolated_shift(shift(1 / 1.5), shift(1.5), 1.5)
    assert found == pytest.approx(shift(1.0))
    shifts = {0.0: np.array([-0.01]), 1.0: np.array([-0.01 + shift(1.0)])}
    for factor in (1 / claims.NOISE_FACTOR, claims.NOISE_FACTOR):
        shifts[factor] = shifts[0.0] + shift(factor)
    found, met = judged(claims.explains_error, shifts=shifts)
    assert found["left, worst tempo"] == pytest.approx(0, abs=1e-12) and all(met)


def test_onset_and_end_of_the_reduced_model_are_those_known():
    diagram, _ = reduced_model.solve([])
    onset, met = judged(claims.begins_on_circle, diagram=diagram)
    assert onset["cue of the fold"] == pytest.approx(0.189940, abs=1e-6) and all(met)
    end, met = judged(claims.ends_at_hopf, diagram=diagram)
    assert end["1 ms: Hopf point"] == pytest.approx(1.581202, abs=1e-6)
    assert met == [True, False, False]  # in continuous time there are no finer steps


def test_an_end_away_from_a_hopf_point_is_told():
    end = SimpleNamespace(last=0.9, hopf=0.8, first_without=0.91, amplitude=0.3)
    assert not any(judged(claims.ends_at_hopf, diagram=SimpleNamespace(ends=[end, end]))[1])


def statistic(condition, period, iti, missed=0):
    return evaluate.PeriodStatistics(
        condition, period, 1, 1, iti, 0.01, 0.01, iti / period - 1, missed, 0, 0, 0, 0, 0
    )


def test_tempos_that_are_lost_or_out_of_order_are_told():
    trained = [statistic(evaluate.CLICKS, p, 1.02 * p) for p in PERIODS]
    others = [statistic(evaluate.UNTRAINED, p, p) for p in (0.6, 0.4, 0.2, 0.11)]
    found, met = judged(claims.keeps_tempos, statistics=trained)
    assert found["worst ITI error"] == pytest.approx(0.02) and all(met)
    lost = statistic(evaluate.CLICKS, 0.5, 0.6, missed=2)
    assert judged(claims.keeps_tempos, statistics=[*trained, lost])[1] == [False, False]
    _, met = judged(claims.cue_sets_tempo, statistics=trained + others, periods=PERIODS)
    assert met == [True, True]
    others[1] = statistic(evaluate.UNTRAINED, 0.4, 0.6)
    others[3] = statistic(evaluate.UNTRAINED, 0.11, 0.11, missed=2)
    found, _ = judged(claims.cue_sets_tempo, statistics=trained + others, periods=PERIODS)
    assert found["cues beyond that beat"] == 0.5 and found["neighbouring ITIs in order"] < 1


W = np.array([[2.5, -1.5, -0.4], [1.5, 0.0, -0.2], [0.7, -0.5, 0.0]])  # [post, pre]
W_IN = np.array([0.1, 0.05, -0.08])
B = np.array([0.1, -0.05, 0.02])


def three_populations():
    """A network of four E and two times two I units, and silent ones; W between the groups."""
    config = configuration.load(flags={"model.hidden_dim": 25})
    model = models.build_model(**dict(config.model))
    groups = slice(0, 4), slice(20, 22), slice(22, 24)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for i, post in enumerate(groups):
            for j, pre in enumerate(groups):
                n = pre.stop - pre.start
                model.w_hh[post, pre] = abs(W[i, j]) / (n - (i == j))  # no self-connections
            model.w_ih[post, 1], model.b_hh[post] = float(W_IN[i]), float(B[i])
            model.b_hh[post] += torch.linspace(-0.02, 0.02, post.stop - post.start)
    return model.double().eval(), groups


def test_weights_between_three_populations_are_found():
    model, groups = three_populations()
    cues = np.linspace(0.1, 1.0, 8)
    start = torch.randn(8, 25, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    run = simulate.run(model, simulate.constant_cues(cues, 100), state=start, keep_states=True)
    states = np.concatenate([start.numpy()[:, None], run.states], axis=1)
    s, rates = reduced_fit.group_means(states, groups)
    found = reduced_fit.fit_currents(s, rates, cues, np.array([1, -1, -1]), model.dt)
    for value, expected in zip(found, (W, W_IN, B, 0.01, 1.0), strict=True):
        np.testing.assert_allclose(value, np.broadcast_to(expected, value.shape), atol=1e-4)


def test_the_papers_reduced_model_is_found_again():
    r = reduced_model
    paper = reduced_fit.Reduced(r.W, r.TAU, r.A, r.C, r.W_IN, r.I_B, r.B)
    cues, dt = np.array([0.3, 0.5, 0.8, 1.2]), 0.001
    states = paper.run(np.tile(r.START, (4, 1)), cues, 2500, dt)[1500:].swapaxes(0, 1)
    signs, rates = np.array([1, -1, -1]), paper.rates(states)
    model, of_rates, of_changes = reduced_fit.fit(states, rates, cues, signs, dt)
    assert min(of_rates) > 0.9999 and min(of_changes) > 0.999
    np.testing.assert_allclose(model.tau, r.TAU, rtol=0.05)
    again = model.run(states[:, 0], cues, 1000, dt).swapaxes(0, 1)
    assert np.abs(again - states).max() < 0.1 * np.ptp(states[..., 0])
    found = reduced_fit.cycles(model, states[:, 0], cues, dt)[:4]
    known = reduced_fit.cycles(paper, states[:, 0], cues, dt)[:4]
    for cycle, expected in zip(found, known, strict=True):
        assert cycle.period == pytest.approx(expected.period, rel=0.02)


def test_packing_keeps_a_model():
    r = reduced_model
    paper = reduced_fit.Reduced(r.W, r.TAU, r.A, r.C, r.W_IN, r.I_B, r.B)
    again = paper.unpacked(paper.packed())
    for name, value in vars(paper).items():
        np.testing.assert_allclose(getattr(again, name), value)


def test_the_table_says_mean_worst_and_answer():
    networks = {}
    for name, answer, *values in (("a", "yes", 0.01, 0.02), ("b", "no", 0.2, np.nan)):
        labels = ("worst ITI error", "worst CV")
        shown = [claims.Number(*one, ".2%", max) for one in zip(labels, values, strict=True)]
        networks[name] = {1: (answer, shown)}
    text = reproduction.table({"default recipe": networks})
    assert "worst ITI error: 10.50% (20.00%)" in text
    assert "worst CV: 2.00% (2.00%) [1 of 2 networks]" in text
    assert "yes (1), no (1)" in text and len(text.splitlines()) == 3


def test_a_network_is_asked_and_its_numbers_saved(tmp_path, make_oscillator, capsys):
    path = tmp_path / "original" / "best.pth"
    model = make_oscillator(cue_weight=0.05)
    checkpoints.save_checkpoint(path, model)
    reproduction.main(str(path), only="3+4", folder=str(tmp_path / "found"))
    assert (tmp_path / "found" / "reproduction.json").exists()
    assert "original recipe: mean (worst), n = 1" in capsys.readouterr().out
    with pytest.raises(UserError, match="--only"):
        reproduction.main(only="12")
