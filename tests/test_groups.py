"""Groups and lesions, on rates with known phases, hand-made weights and a hand-made oscillator."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import models
import plot_groups
from experiments import tabulate_populations
from zrnn import activity, checkpoints, configuration, simulate
from zrnn.errors import UserError
from zrnn.populations import connections, groups, inhibition_timing, lesions

HOME = Path(__file__).parents[1]
TYPES = {"E": np.arange(6) < 4, "I": np.arange(6) >= 4}
CONFIG = configuration.load(flags={"model.hidden_dim": 25, "model.sigma_rec": 0.001})
SHORT = {"groups.draws": 1, "groups.lesion_seconds": 2.0}
PERIODS, TASK = CONFIG.training.periods, CONFIG.task


def bumps(phases, n_phases=100):
    """Rates (n_phases, N) of units that fire for half a cycle around their phase."""
    t = np.arange(n_phases)[:, None] / n_phases
    return np.maximum(np.cos(2 * np.pi * (t - np.asarray(phases))), 0)


def test_units_of_known_phase_are_in_their_group():
    phases = np.array([0.05, 0.95, 0.5, 0.3, 0.81, 0.6])
    cycle = bumps(phases)
    cycle[:, 3] = 0
    found = groups.assign(phases, cycle, TYPES)
    members = {name: np.flatnonzero(units).tolist() for name, units in found.items()}
    assert members == {
        "tap-E": [0, 1],
        "tap-I": [4],
        "inter-tap-I": [5],
        "inter-tap-E": [2],
        "silent": [3],
    }
    found = groups.assign(phases, cycle, {"": np.ones(6, dtype=bool)})
    members = {name: np.flatnonzero(units).tolist() for name, units in found.items()}
    assert members == {"tap": [0, 1, 4], "inter-tap": [2, 5], "silent": [3]}


def test_mean_cycle_and_lag_of_shifted_waves():
    t, period = np.arange(2001), 100
    shifts = np.array([0.0, 0.1, -0.25])
    waves = np.cos(2 * np.pi * (t[:, None] / period - shifts))
    cycle = activity.mean_cycle(waves, np.arange(0, 2001, period))
    np.testing.assert_allclose(activity.peak_phases(waves, np.arange(0, 2001, period)), shifts % 1)
    for wave, shift in zip(cycle.T, shifts, strict=True):
        after, correlation = groups.lag_and_correlation(wave, cycle[:, 0])
        assert after == pytest.approx(shift)
        assert correlation == pytest.approx(np.cos(2 * np.pi * shift), abs=1e-6)


def test_fraction_of_units_near_the_border():
    even = (np.arange(1000) + 0.5) / 1000
    assert groups.fraction_near_border(even) == pytest.approx(0.2)
    assert groups.fraction_near_border(np.array([0.21, 0.78, 0.0, 0.5])) == 0.5


def test_the_fraction_of_active_units_that_stay_tap_or_inter_tap():
    recordings = []
    for phases in ([0.0, 0.1, 0.5, 0.6, 0.0, 0.4], [0.0, 0.5, 0.5, 0.6, 0.9, 0.4]):
        cycle = bumps(phases) * [1, 1, 1, len(recordings), 1, 1]  # the fourth is silent at first
        members = groups.assign(np.array(phases), cycle, TYPES)
        recordings.append(groups.Recording(0.5, 0.5, np.array(phases), cycle, members))
    found = groups.describe(groups.Populations(TYPES, recordings[0], recordings, {}, {}))
    agreement = found["agreement_across_tempos"]
    assert agreement["E"] == {"units": 3, "fraction": pytest.approx(2 / 3)}
    assert agreement["I"] == {"units": 2, "fraction": 1.0}


def test_two_populations_are_found_without_a_window():
    rng = np.random.default_rng(0)
    early, late = rng.normal(0.85, 0.01, 10), rng.normal(0.15, 0.01, 20)
    order = rng.permutation(30)
    cycle = bumps(np.concatenate([early, late])[order])
    units = np.ones(30, dtype=bool)
    clusters, silhouette = groups.cluster_by_shape(cycle, units, bumps([0.0])[:, 0], seed=0)
    assert set(order[clusters[0]]) == set(range(10)) and set(order[clusters[1]]) == set(
        range(10, 30)
    )
    assert silhouette > 0.9
    even = bumps((np.arange(30) + 0.5) / 30)
    assert groups.cluster_by_shape(even, units, bumps([0.0])[:, 0], seed=0)[1] < 0.5


def test_timing_of_rates_of_known_phase():
    phases = np.array([0, 0, 0.12, 0.34, 0.34, 0.45, 0.2])  # the last unit is too weak to count
    rates = np.tile(bumps(phases) * [1, 2, 1, 2, 2, 1, 0.01], (3, 1))  # three cycles
    found = inhibition_timing.describe_timing(rates, 3, np.arange(7) < 2)
    assert found["E"] == {
        "active_units": 2,
        "fraction_of_units_beyond": 0.0,
        "fraction_of_rate_beyond": 0.0,
    }
    assert found["I"]["active_units"] == 4
    assert found["I"]["fraction_of_units_beyond"] == 0.75
    assert found["I"]["fraction_of_rate_beyond"] == pytest.approx(5 / 6)
    assert found["I_lag_histogram"] == [0, 0, 0, 0, 0, 0, 1, 0, 2, 1]
    within, beyond = (found["I_groups"][name] for name in ("within", "beyond"))
    assert within["units"] == 1 and beyond["units"] == 3
    assert within["lag"] == pytest.approx(0.12)
    sum_of_vectors = 4 * np.exp(2j * np.pi * 0.34) + np.exp(2j * np.pi * 0.45)
    assert beyond["lag"] == pytest.approx(np.angle(sum_of_vectors) / (2 * np.pi))
    expected = np.corrcoef(rates[:, [3, 4, 5]].sum(axis=1), rates[:, 0])[0, 1]
    assert beyond["correlation"] == pytest.approx(expected) and expected < 0
    sizes = [found["I_groups"][f"2-means, {name}"]["units"] for name in ("nearer", "farther")]
    assert sizes == [1, 3]


def test_timing_does_not_depend_on_where_the_cycle_starts():
    rates = np.tile(bumps([0.0, 0.05, 0.3, 0.85]), (2, 1))
    is_excit = np.array([True, True, False, False])
    here, there = (
        inhibition_timing.describe_timing(r, 2, is_excit) for r in (rates, np.roll(rates, 37, 0))
    )
    assert here["I"] == there["I"] and here["I_lag_histogram"] == there["I_lag_histogram"]
    late, early = (here["I_groups"][name]["lag"] for name in ("beyond", "within"))
    assert late == pytest.approx(0.275) and early == pytest.approx(-0.175)
    assert there["I_groups"]["beyond"]["lag"] == pytest.approx(late)


def test_timing_of_the_oscillator(make_oscillator):
    populations = groups.find_populations(make_oscillator(), PERIODS, TASK, 0)
    cycle, is_excit = populations.reference.cycle, populations.types["E"]
    found = inhibition_timing.describe_timing(cycle, 1, is_excit)
    assert found["E"]["active_units"] == found["I"]["active_units"] == 4
    assert found["I"]["fraction_of_units_beyond"] == 0.0
    assert 0 < found["I_groups"]["within"]["lag"] < 0.25  # I units follow the E units
    assert found["I_groups"]["beyond"] == {"units": 0}


def test_block_means_and_total_inputs_by_hand():
    w_hh = np.array([[0.0, 2.0, -4.0], [1.0, 0.0, -6.0], [3.0, 5.0, 0.0]])  # [post, pre]
    masks = [np.array([True, True, False]), np.array([False, False, True])]
    np.testing.assert_allclose(connections.mean_weights(w_hh, masks), [[0.75, -5.0], [4.0, 0.0]])
    equal = connections.total_inputs(w_hh, masks, np.ones(3))
    np.testing.assert_allclose(equal, [[1.5, -5.0], [8.0, 0.0]])
    firing = connections.total_inputs(w_hh, masks, np.array([3.0, 1.0, 7.0]))
    np.testing.assert_allclose(firing, [[(2 + 3) / 2 / 2, -5.0], [(9 + 5) / 2, 0.0]])


@pytest.mark.parametrize("kind", ["ZemlianovaRNN", "RNN"])
def test_a_lesion_is_columns_of_zeros_and_held_units_send_their_mean(kind):
    generator = torch.Generator().manual_seed(0)
    model = models.build_model(**{**dict(CONFIG.model), "type": kind}, generator=generator)
    with torch.no_grad():
        model.w_hh.mul_(0.3)  # or the RNN runs away
        model.b_hh.normal_(0.2, 0.3, generator=generator)
    masks = np.random.default_rng(0).random((3, 25)) < [[0.0], [0.3], [1.0]]
    periods, discard = [0.5, 0.2], round(lesions.CLICK_SECONDS / model.dt)
    rates = np.random.default_rng(1).random((2, 25))  # of each unit at each period
    inputs = simulate.driving_inputs(periods, 3.0, model.dt, TASK, lesions.CLICK_SECONDS)
    silenced = lesions.drive_lesioned(model, masks, 0 * rates, periods, TASK, 1.0)
    held = lesions.drive_lesioned(model, masks, rates, periods, TASK, 1.0)
    assert silenced.shape == held.shape == (3, 2, 1000)
    for i, mask in enumerate(masks):
        oracle = copy.deepcopy(model)
        with torch.no_grad():
            oracle.w_hh[:, mask] = 0
            oracle.w_ho[:, mask] = 0
            expected = oracle(inputs)[0][:, discard:, 0]
        np.testing.assert_allclose(silenced[i], expected.numpy(), atol=2e-5)
        for j in range(2):
            own = copy.deepcopy(oracle)
            sent = torch.as_tensor(rates[j] * mask, dtype=torch.float32)
            with torch.no_grad():
                own.b_hh += model.effective_w_hh() @ sent
                own.b_ho += model.w_ho @ sent
                expected = own(inputs[j : j + 1])[0][0, discard:, 0]
            np.testing.assert_allclose(held[i, j], expected.numpy(), atol=2e-5)


def test_lesions_of_the_oscillator_do_what_they_must(make_oscillator):
    model = make_oscillator()
    found = groups.find_populations(model, PERIODS, TASK, 0)
    assert [r.period for r in found.compared] == [0.5, 0.2, 0.125]
    assert found.reference.period == pytest.approx(0.2)  # at cue 0.5, between 0.2 and 0.8
    members = found.reference.groups
    excit, inhib = (members[f"tap-{t}"] | members[f"inter-tap-{t}"] for t in "EI")
    assert np.flatnonzero(excit).tolist() == [0, 1, 2, 3]
    assert np.flatnonzero(inhib).tolist() == [20, 21, 22, 23]
    assert members["silent"].sum() == 17
    plan = [
        lesions.Lesion(name, lesions.GROUP, mask)
        for name, mask in (("none", excit & inhib), ("silent", members["silent"]))
        + (("E", excit), ("I", inhib))
    ]
    rows = lesions.outcomes(model, plan, found, TASK, 2.0, 0)
    of = {(row.group, row.method, row.period): row for row in rows}
    for method in (lesions.SILENCED, lesions.HELD):
        intact, silent = (of[name, method, 0.2] for name in ("none", "silent"))
        assert intact.beats == silent.beats == 1
        assert silent.error == pytest.approx(intact.error, abs=0.05)
    without_e, without_i = (of[name, lesions.SILENCED, 0.2] for name in "EI")
    assert without_e.result == "no beat: silent" and without_i.result == "no beat: runs away"
    assert without_e.error is None and lesions.in_short(without_i) == "runs away"
    assert of["I", lesions.HELD, 0.2].result == "no beat: silent"  # it stays, without running away


def test_the_plan_takes_as_many_of_the_same_type_and_shares_of_both(make_oscillator):
    found = groups.find_populations(make_oscillator(), PERIODS, TASK, 0)
    plan = lesions.plan(found, 1, 0)
    own = {lesion.kind: lesion for lesion in plan if lesion.group == "late I"}
    late, silent = found.i_clusters["late I"], found.reference.groups["silent"]
    assert (own[lesions.GROUP].units == late).all() and late.any()
    assert own[lesions.RANDOM].units.sum() == late.sum()
    for lesion in own.values():
        assert not (lesion.units & (silent | found.types["E"])).any()
    lost = {lesion.group: lesion.units for lesion in plan if lesion.kind == lesions.LOSS}
    assert list(lost) == ["5 %", "10 %", "20 %", "30 %", "50 %"]
    assert (lost["50 %"] & found.types["E"]).sum() == (lost["50 %"] & found.types["I"]).sum() == 2
    assert not (lost["50 %"] & silent).any()


def test_the_reference_cue_is_the_middle_of_the_trained_cues():
    assert groups.reference_cue(PERIODS, TASK.cue_constant) == 0.5
    assert groups.reference_cue([0.5, 0.4, 0.125], 0.1) == pytest.approx(0.5)
    assert groups.reference_cue([1.0], 0.2) == pytest.approx(0.2)


@pytest.mark.parametrize("kind", ["ZemlianovaRNN", "RNN"])
def test_the_script_on_the_oscillator(tmp_path, monkeypatch, make_oscillator, kind):
    monkeypatch.chdir(tmp_path)
    plain = configuration.plain(CONFIG)
    plain["model"]["type"] = kind
    checkpoints.save_checkpoint("best_model.pth", make_oscillator(kind), config=plain)
    plot_groups.main(**SHORT)
    folder = tmp_path / "groups_plotting"
    assert {f"{name}.png" for name in ("groups", "weights", "lesions")} <= {
        path.name for path in folder.iterdir()
    }
    numbers = json.loads((folder / "groups.json").read_text())
    silent = {"all": 17} if kind == "RNN" else {"E": 16, "I": 1}
    assert numbers["tempos"][0]["silent"] == silent
    assert np.load(folder / "groups.npz")["cycles"].shape == (3, 100, 25)
    if kind == "RNN":
        assert "timing" not in numbers
    else:
        assert [at_cue["cue"] for at_cue in numbers["timing"]] == pytest.approx([0.2, 0.5, 0.8])
    verdicts = {(r["group"], r["method"]): r["result"] for r in numbers["lesions"]}
    assert verdicts["intact", lesions.SILENCED] == "beat"
    assert "no beat: runs away" in verdicts.values()
    command = [
        sys.executable,
        "-m",
        "experiments.tabulate_populations",
        tmp_path / "groups_plotting/groups.json",
    ]
    done = subprocess.run(command, cwd=HOME, capture_output=True, text=True)
    assert done.returncode == 0 and "| silent" in done.stdout, done.stderr
    with pytest.raises(UserError, match="nix: not a groups.json"):
        tabulate_populations.main("nix")


def test_recordings_are_long_enough_for_slow_tempos(make_oscillator, monkeypatch):
    lengths, run = [], simulate.run

    def measure(model, inputs, **options):
        lengths.append(inputs.shape[1] * model.dt)
        return run(model, inputs, **options)

    monkeypatch.setattr(groups.simulate, "run", measure)
    model = make_oscillator()
    for longest in (0.5, 1.5):  # [s]; four taps are a beat
        groups.find_populations(model, [longest, 0.4], TASK, seed=0)
    assert lengths == pytest.approx([groups.CLICK_SECONDS + 4, groups.CLICK_SECONDS + 12])


def test_a_network_without_a_beat_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = models.build_model(**dict(CONFIG.model))
    checkpoints.save_checkpoint("best_model.pth", model, config=configuration.plain(CONFIG))
    with pytest.raises(UserError, match="at a period of 0.2 s without noise: no beat"):
        plot_groups.main(**SHORT)
    assert not (tmp_path / "groups_plotting").exists()
