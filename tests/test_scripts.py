"""A network of one's own: a run with a name from training to figures, and what may be changed."""

import csv
import itertools
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

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
from zrnn.training import recipe
from zrnn.training.state import TrainingRun

HOME = Path(__file__).parents[1]
TRAINING = "--model.hidden_dim 40 --model.dt 0.005 --training.epochs 12 --training.refine False"
TRAINING += " --training.calibrate False --drive.keep_seconds 3 --check.noise_runs 1"
TRAINING += " --check.untrained_periods 3 --check.untrained_runs 1"


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """A folder in which a network of 40 units was trained a little, --name mine; what was said."""
    folder = tmp_path_factory.mktemp("mine")
    command = [sys.executable, HOME / "train.py", "--name", "mine", *TRAINING.split()]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_training_a_run_with_a_name(mine):
    folder, said = mine
    assert "model.hidden_dim: 40" in said and "everything goes to runs/mine/" in said
    assert "12 updates planned, about " in said
    assert "NOT MET taps in silence: 0/7 beat" in said  # twelve updates make no beat
    assert [path.name for path in folder.iterdir()] == ["runs"]
    run = folder / "runs" / "mine"
    assert {path.name for path in run.iterdir()} == {"best_model.pth", "training_log.csv", "plots"}
    assert len(list((run / "plots").glob("Period_*_seconds.png"))) == 7
    with open(run / "training_log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["number"] for row in rows] == [str(number) for number in range(1, 13)]
    kept = torch.load(run / "best_model.pth", weights_only=True)
    assert not Verdict.from_dict(kept["evaluation"]).met
    assert len(kept["evaluation"]["rows"]) == 7 + 7 + 3 and kept["updates"] == 12


def test_every_analysis_of_a_run_with_a_name(mine, monkeypatch, capsys):
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
        with pytest.raises(UserError, match="beat"):  # and nothing is made
            script.main(**short)
    plot_bifurcation.main(**short, **{"bifurcation.n_cycles": 3, "bifurcation.cues": [0, 1]})
    compare.main("mine", "runs/mine", **{k: short[k] for k in short if k != "name"})
    run = Path("runs") / "mine"
    made = {"model_outputs", "fig1_plotting", "cue_range_plotting", "bifurcation_plotting"}
    assert {p.name for p in run.iterdir() if p.is_dir()} == {"plots"} | made
    assert {path.name for path in Path().iterdir()} == {"runs", "comparison"}
    assert len(list((run / "model_outputs").glob("valid_output_*.npy"))) == 9
    assert len(list((run / "model_outputs").glob("hidden_states_*.npy"))) == 7


def test_a_mistyped_name_is_not_taken_for_the_shipped_network(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for script in (drive_script, plot_fig1, plot_fig5):
        with pytest.raises(UserError, match="checkpoint runs/mien/best_model.pth: cannot be read"):
            script.main(name="mien")
    assert not list(tmp_path.iterdir()) and not capsys.readouterr().out


@pytest.mark.parametrize("kind", ["ZemlianovaRNN", "RNN"])
def test_same_seed_same_network(tmp_path, monkeypatch, weights, quick, kind):
    monkeypatch.chdir(tmp_path)
    for name in ("a.pth", "b.pth"):
        train.main(device="cpu", model_type=kind, **quick | {"training.epochs": 3}, **places(name))
    a, b = weights("a.pth"), weights("b.pth")
    assert all(torch.equal(a[key], b[key]) for key in a)


def places(name):
    return {"training.save_path": name, "training.log_path": f"{name}.csv"}


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
def test_any_one_key_can_be_changed_alone_and_training_starts(key, values):
    for value in values:
        starts(configuration.load(flags={key: value}))


def starts(config):
    run = TrainingRun.begin(models.build_model, config)
    for row in itertools.islice(recipe.train(run, config), 2):
        assert row.part == "descent" and math.isfinite(row.loss), row


def test_the_small_configuration_is_one_of_a_small_network():
    config = configuration.load(HOME / "configs" / "small.yaml")
    assert 100 <= config.model.hidden_dim <= 200
    starts(config)


def test_a_plan_says_how_long_it_takes_and_a_long_one_what_is_shorter():
    assert train.plan_text(1500, 12.4) == "1500 updates planned, about 12 s"
    assert train.plan_text(1100, 130) == "1100 updates planned, about 2 minutes"
    text = train.plan_text(10_000, 11 * 3600)
    assert "10000 updates planned, about 11 hours; " in text
    assert "config.yaml" in text and "--config_path configs/small.yaml" in text
