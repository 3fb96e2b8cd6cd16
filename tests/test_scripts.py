"""A network of a user's own: a named run from training to figures, and what may be changed."""

import contextlib
import csv
import io
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import compare
import drive_model_and_save_outputs as drive_script
import models
import plot_bifurcation
import plot_cue_range
import plot_fig1
import plot_fig5
import plot_groups
import plot_synchronization
import train
from zrnn import configuration
from zrnn.dynamics import reduced_model
from zrnn.errors import UserError
from zrnn.evaluate import Evaluation
from zrnn.training.state import TrainingRun

HOME = Path(__file__).parents[1]
TRAINING = {
    "model.hidden_dim": 40,
    "model.dt": 0.005,
    "training.epochs": 12,
    "training.refine": False,
    "training.calibrate": False,
    "drive.keep_seconds": 3,
    "check.noise_runs": 1,
    "check.untrained_periods": 3,
    "check.untrained_runs": 1,
}


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """A folder with a network of 40 units that was trained a little with --name mine; its output"""
    folder, output = tmp_path_factory.mktemp("mine"), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(output):
        patch.chdir(folder)
        train.main(device="cpu", name="mine", **TRAINING)
    return folder, output.getvalue()


def test_training_a_named_run(mine):
    folder, output = mine
    assert "model.hidden_dim: 40" in output and "everything goes to runs/mine/" in output
    assert "NOT MET taps in silence: 0/7 beat" in output  # after twelve updates there is no beat
    assert [path.name for path in folder.iterdir()] == ["runs"]
    run = folder / "runs" / "mine"
    assert {path.name for path in run.iterdir()} == {"best_model.pth", "training_log.csv", "plots"}
    assert len(list((run / "plots").glob("Period_*_seconds.png"))) == 7
    with open(run / "training_log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["number"] for row in rows] == [str(number) for number in range(1, 13)]
    saved = torch.load(run / "best_model.pth", weights_only=True)
    evaluation = Evaluation.from_dict(saved["evaluation"])
    assert len(evaluation.statistics) == 7 + 7 + 3 and not evaluation.met
    assert saved["updates"] == 12 and saved["rollbacks"] == 0


def test_every_analysis_of_a_named_run(mine, monkeypatch, capsys):
    monkeypatch.chdir(mine[0])
    monkeypatch.setattr(compare, "KEEP_SECONDS", 3.0)
    monkeypatch.setattr(reduced_model, "N_CYCLES", 4)
    monkeypatch.setattr(reduced_model, "ONSET_DISTANCES", np.geomspace(1e-3, 0.1, 5))
    short = {"name": "mine", "cue_range.n_cues": 3, "cue_range.keep_seconds": 2}
    drive_script.main(**short, **{"drive.keep_seconds": 3, "drive.extra_periods": 2})
    plot_fig1.main(**short)
    plot_cue_range.main(**short)
    assert "0 of 3 cues beat" in capsys.readouterr().out
    for script in (plot_groups, plot_synchronization, plot_fig5):
        with pytest.raises(UserError, match="beat"):  # and nothing is saved
            script.main(**short)
    plot_bifurcation.main(**short, **{"bifurcation.n_cycles": 3, "bifurcation.cues": [0, 1]})
    compare.main("mine", "runs/mine", **short)
    run = Path("runs") / "mine"
    saved = {"model_outputs", "fig1_plotting", "cue_range_plotting", "bifurcation_plotting"}
    assert {p.name for p in run.iterdir() if p.is_dir()} == {"plots", "comparison"} | saved
    assert [path.name for path in Path().iterdir()] == ["runs"]
    assert len(list((run / "model_outputs").glob("valid_output_*.npy"))) == 9
    assert len(list((run / "model_outputs").glob("hidden_states_*.npy"))) == 7


def test_a_mistyped_name_does_not_mean_the_shipped_network(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for script in (drive_script, plot_fig1, plot_fig5):
        with pytest.raises(UserError, match="checkpoint runs/mien/best_model.pth: cannot be read"):
            script.main(name="mien")
    assert not list(tmp_path.iterdir()) and not capsys.readouterr().out


def test_a_drive_of_a_users_own_periods(mine, monkeypatch):
    monkeypatch.chdir(mine[0])
    flags = {"drive.periods": "[0.3, 0.5, 1]", "drive.extra_periods": 0, "drive.keep_seconds": 2}
    flags |= {"drive.folder": "mine", "drive.discard_seconds": 0, "drive.onset": 0}
    flags |= {"plotting.enable": False, "drive.sound": True}  # without clicks
    checkpoint = "runs/mine/best_model.pth"
    drive_script.main(checkpoint=checkpoint, **flags)
    with open("mine/summary.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["period_s"] for row in rows if row["trained"] == "False"] == ["0.3", "1.0"]
    with pytest.raises(UserError, match="drive.periods: each period once"):
        drive_script.main(checkpoint=checkpoint, **flags | {"drive.periods": "[0.3, 0.3]"})


@pytest.mark.parametrize("kind", ["ZemlianovaRNN", "RNN"])
def test_same_seed_same_network(tmp_path, monkeypatch, weights, quick, kind):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        flags = {"training.epochs": 3, "training.save_path": f"{name}.pth"}
        train.main(device="cpu", model_type=kind, **quick | flags)
    a, b = weights("a.pth"), weights("b.pth")
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_training_that_starts_from_a_network(tmp_path, monkeypatch, weights, quick):
    monkeypatch.chdir(tmp_path)
    quick |= {"training.epochs": 1, "training.learning_rate": 1e-9}
    train.main(device="cpu", **quick | {"training.save_path": "a.pth", "training.seed": 1})
    train.main(device="cpu", **quick | {"training.save_path": "b.pth", "training.start": "a.pth"})
    a, b = weights("a.pth"), weights("b.pth")
    assert all(torch.allclose(a[key], b[key], atol=1e-7) for key in a)
    again = {"config_path": "b.pth", "training.save_path": "c.pth"}
    train.main(device="cpu", **again, **{"check.enable": False, "plotting.enable": False})
    assert all(torch.equal(b[key], value) for key, value in weights("c.pth").items())
    (tmp_path / "a.pth").write_bytes((tmp_path / "c.pth").read_bytes())
    with pytest.raises(UserError, match="a.pth, which is another network than when the run to re"):
        train.main(device="cpu", overwrite=True, **again)
    for start in ("missing.pth", "shipped"):
        with pytest.raises(UserError, match="^checkpoint"):
            train.main(device="cpu", overwrite=True, **quick | {"training.start": start})


@pytest.mark.parametrize(
    "key, values",
    {
        "model.hidden_dim": [20, 200],
        "model.dt": [0.0005, 0.003, 0.01],
        "model.tau": [0.001, 0.007, 0.1],
        "model.excit_percent": [0, 0.5, 1],
        "training.periods": [[1.0], [0.6, 0.4], [0.02]],
        "training.epochs": [2, 100_000],
    }.items(),
)
def test_a_training_begins_with_any_one_key_changed(key, values):
    for value in values:
        small = {} if key == "model.hidden_dim" else {"model.hidden_dim": 60}
        begin(configuration.load(flags=small | {key: value}))


def begin(config):
    """The first two updates of a training."""
    model = models.build_model(**dict(config.model))
    run = TrainingRun(model, torch.Generator(), torch.Generator(), config.training.adam_beta2)
    for row in itertools.islice(train.train(run, config), 2):
        assert row["part"] == "descent" and math.isfinite(row["loss"]), row


@pytest.mark.parametrize("path", sorted((HOME / "configs").glob("*.yaml")), ids=lambda p: p.name)
def test_the_configurations_that_are_shipped(path):
    config = configuration.load(path, {"model.hidden_dim": 60, "training.batch_size": 2})
    begin(config)
    if path.name == "small.yaml":
        assert 100 <= configuration.load(path).model.hidden_dim <= 200


def test_original_yaml_is_the_original_recipe():
    config = configuration.load(HOME / "configs/original.yaml")
    expected = yaml.safe_load(
        "{w_hh_start: rectified, dt: 0.001, epochs: 10000, batch_size: 512, learning_rate: 0.001, "
        "final_rate: 1.0, warm_up: 0, adam_beta2: 0.999, noise_scale: 1.0, peak_noise_scale: 1.0, "
        "noise_exponent: 0.0, antithetic: false, precision: float32, max_grad_norm: null, "
        "trial_seconds: 2.0, click_seconds: 1.0, early_stopping_loss: 0.017, "
        "early_stopping_updates: 1, refine: false, calibrate: false}"
    )
    found = config.model.model_dump() | config.training.model_dump()
    assert {key: found[key] for key in expected} == expected
    changed = configuration.differences(config, configuration.load())
    assert {key.partition(".")[2] for key, *_ in changed} <= set(expected)
