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
from zrnn.analysis import geometry, groups, lesions
from zrnn.network import checkpoints
from zrnn.network import drive as driving
from zrnn.workshop import configuration

HOME = Path(__file__).parents[1]
TYPES = {"E": np.arange(6) < 4, "I": np.arange(6) >= 4}
SHORT = {"hidden_dim": 25, "sigma_rec": 0.001}
CONFIG = configuration.load(
    flags={f"model.{key}": value for key, value in SHORT.items()}
    | {
        "drive.discard_seconds": 1.0,
        "drive.keep_seconds": 1.0,
        "groups.record_seconds": 2.0,
        "groups.lesion_seconds": 2.0,
    }
    | {"groups.draws": 1, "groups.periods": [0.5, 0.25]}
)


def oscillator(kind="ZemlianovaRNN"):
    """Four E units excite each other and four I units, which stop them; the other units are silent.

    It beats by itself, whatever the cue. The output is the mean rate of the E units.
    """
    model = models.build_model(**{**CONFIG["model"], "type": kind})  # 20 E, 5 I
    excit, inhib = slice(0, 4), slice(20, 24)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.w_hh[excit, excit] = 2.5 / 3 * (1 - torch.eye(4))
        model.w_hh[inhib, excit] = 1.5 / 4
        model.w_hh[excit, inhib] = -1.5 / 4  # |.| and the sign of the column, or as it is (RNN)
        model.b_hh.fill_(-1.0)
        model.b_hh[excit] = torch.tensor([0.08, 0.09, 0.11, 0.12])
        model.b_hh[inhib] = torch.tensor([-0.08, -0.06, -0.04, -0.02])
        model.w_ho[0, excit] = 0.25
    return model.eval()


def bumps(phases, n_phases=100):
    """Rates (n_phases, N) of units that fire for half a cycle around their phase."""
    t = np.arange(n_phases)[:, None] / n_phases
    return np.maximum(np.cos(2 * np.pi * (t - np.asarray(phases))), 0)


def test_units_of_known_phase_are_in_their_group():
    phases = np.array([0.05, 0.95, 0.5, 0.3, 0.81, 0.6])
    cycle = bumps(phases)
    cycle[:, 3] = 0
    found = groups.assign(phases, cycle, TYPES, 0.2)
    members = {name: np.flatnonzero(own).tolist() for name, own in found.items()}
    assert members == {
        "tap-E": [0, 1], "tap-I": [4], "inter-tap-I": [5], "inter-tap-E": [2], "silent": [3],
    }  # fmt: skip
    found = groups.assign(phases, cycle, {"": np.ones(6, dtype=bool)}, 0.2)
    members = {name: np.flatnonzero(own).tolist() for name, own in found.items()}
    assert members == {"tap": [0, 1, 4], "inter-tap": [2, 5], "silent": [3]}


def test_mean_cycle_and_lag_of_shifted_waves():
    t, period = np.arange(2001), 100
    shifts = np.array([0.0, 0.1, -0.25])
    waves = np.cos(2 * np.pi * (t[:, None] / period - shifts))
    cycle = geometry.mean_cycle(waves, np.arange(0, 2001, period))
    np.testing.assert_allclose(geometry.peak_phases(waves, np.arange(0, 2001, period)), shifts % 1)
    for wave, shift in zip(cycle.T, shifts, strict=True):
        after, correlation = groups.lag(wave, cycle[:, 0])
        assert after == pytest.approx(shift)
        assert correlation == pytest.approx(np.cos(2 * np.pi * shift), abs=1e-6)


def test_shares_at_the_border_and_across_tempos():
    even = (np.arange(1000) + 0.5) / 1000
    assert groups.near_border(even, 0.2, 0.05) == pytest.approx(0.2)
    assert groups.near_border(np.array([0.21, 0.78, 0.0, 0.5]), 0.2, 0.05) == 0.5
    labels = np.array([[True, True, False, False], [True, False, False, True]])
    assert groups.agreement(labels) == 0.5


def test_two_populations_are_found_without_a_window():
    rng = np.random.default_rng(0)
    early, late = rng.normal(0.85, 0.01, 10), rng.normal(0.15, 0.01, 20)
    order = rng.permutation(30)
    cycle = bumps(np.concatenate([early, late])[order])
    units = np.ones(30, dtype=bool)
    parts, silhouette = groups.split_by_shape(cycle, units, bumps([0.0])[:, 0], seed=0)
    assert set(order[parts[0]]) == set(range(10)) and set(order[parts[1]]) == set(range(10, 30))
    assert silhouette > 0.9
    even = bumps((np.arange(30) + 0.5) / 30)
    assert groups.split_by_shape(even, units, bumps([0.0])[:, 0], seed=0)[1] < 0.5


def test_block_means_and_total_inputs_by_hand():
    w_hh = np.array([[0.0, 2.0, -4.0], [1.0, 0.0, -6.0], [3.0, 5.0, 0.0]])  # [post, pre]
    masks = [np.array([True, True, False]), np.array([False, False, True])]
    np.testing.assert_allclose(groups.mean_weights(w_hh, masks), [[0.75, -5.0], [4.0, 0.0]])
    equal = groups.total_inputs(w_hh, masks, np.ones(3))
    np.testing.assert_allclose(equal, [[1.5, -5.0], [8.0, 0.0]])
    firing = groups.total_inputs(w_hh, masks, np.array([3.0, 1.0, 7.0]))
    np.testing.assert_allclose(firing, [[(2 + 3) / 2 / 2, -5.0], [(9 + 5) / 2, 0.0]])


@pytest.mark.parametrize("kind", ["ZemlianovaRNN", "RNN"])
def test_a_lesion_is_columns_of_zeros(kind):
    generator = torch.Generator().manual_seed(0)
    model = models.build_model(**{**CONFIG["model"], "type": kind}, generator=generator)
    with torch.no_grad():
        model.w_hh.mul_(0.3)  # or the RNN runs away
        model.b_hh.normal_(0.2, 0.3, generator=generator)
    masks = np.random.default_rng(0).random((3, 25)) < [[0.0], [0.3], [1.0]]
    outputs = lesions.drive_lesioned(model, masks, [0.5, 0.2], CONFIG, None)
    inputs = driving.driving_inputs([0.5, 0.2], [True, True], model.dt, CONFIG)
    for mask, own in zip(masks, outputs, strict=True):
        oracle = copy.deepcopy(model)
        with torch.no_grad():
            oracle.w_hh[:, mask] = 0
            oracle.w_ho[:, mask] = 0
            expected = oracle(inputs)[0][:, 1000:, 0]
        np.testing.assert_allclose(own, expected.numpy()[:, : own.shape[1]], atol=2e-5)


def test_lesions_of_the_oscillator_do_what_they_must():
    model = oscillator()
    found = groups.find_populations(model, CONFIG)
    members = found.groups[found.reference.period]
    excit, inhib = (members[f"tap-{t}"] | members[f"inter-tap-{t}"] for t in "EI")
    assert np.flatnonzero(excit).tolist() == [0, 1, 2, 3]
    assert np.flatnonzero(inhib).tolist() == [20, 21, 22, 23]
    assert members["silent"].sum() == 17
    plan = [
        lesions.Lesion(name, lesions.WHOLE, 0, mask)
        for name, mask in (("none", excit & inhib), ("silent", members["silent"]))
        + (("E", excit), ("I", inhib))
    ]
    beats = lesions.drive_all(model, plan, [0.2], CONFIG)
    intact, silent, without_e, without_i = (own[0] for own in beats)
    assert intact.ok and silent.ok
    assert silent.mean_iti == pytest.approx(intact.mean_iti, rel=0.05)
    assert without_e.reason == "silent" and without_i.reason == "runs away"
    rows = lesions.outcomes(plan, beats, [0.2])
    assert [row.beats for row in rows] == [1, 1, 0, 0] and np.isnan(rows[2].error)


def test_the_plan_silences_as_many_of_the_same_type():
    found = groups.find_populations(oscillator(), CONFIG)
    own = {lesion.kind: lesion for lesion in lesions.plan(found, 1, 0) if lesion.group == "late I"}
    late, silent = found.parts["late I"], found.groups[found.reference.period]["silent"]
    assert (own[lesions.WHOLE].units == late).all() and late.any()
    assert own[lesions.RANDOM_WHOLE].units.sum() == late.sum()
    assert own[lesions.HALF].units.sum() == own[lesions.RANDOM_HALF].units.sum()
    assert not (own[lesions.HALF].units & ~late).any()
    for lesion in own.values():
        assert not (lesion.units & (silent | found.types["E"])).any()


def run(folder, *flags):
    flags = [*flags, "--groups.draws", "1", "--groups.lesion_seconds", "2"]
    command = [sys.executable, HOME / "plot_groups.py", *flags]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("kind", ["ZemlianovaRNN", "RNN"])
def test_the_script_on_the_oscillator(tmp_path, kind):
    checkpoints.save_checkpoint(tmp_path / "best_model.pth", oscillator(kind), config=CONFIG)
    done = run(
        tmp_path,
        "--model.type",
        kind,
        "--drive.discard_seconds",
        "1",
        "--groups.record_seconds",
        "2",
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "groups_plotting"
    assert {f"{name}.png" for name in ("groups", "weights", "lesions")} <= {
        path.name for path in folder.iterdir()
    }
    numbers = json.loads((folder / "groups.json").read_text())
    silent = {"all": 17} if kind == "RNN" else {"E": 16, "I": 1}
    assert numbers["tempos"][0]["silent"] == silent
    verdicts = {(r["group"], r["kind"]): r["verdict"] for r in numbers["lesions"]}
    assert verdicts["intact", lesions.WHOLE] == "beat" and "runs away" in done.stdout
    command = [sys.executable, HOME / "experiments/populations.py", "groups_plotting/groups.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "| silent" in done.stdout, done.stderr


def test_a_network_without_a_beat_is_one_line(tmp_path):
    model = models.build_model(**CONFIG["model"])
    checkpoints.save_checkpoint(tmp_path / "best_model.pth", model, config=CONFIG)
    done = run(tmp_path)
    assert done.returncode == 2 and "fig5.tap_cue" in done.stderr and "no beat" in done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / "groups_plotting").exists()
