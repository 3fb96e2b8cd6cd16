"""Every script end to end on a tiny network, from an empty folder; and a user's mistakes."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

HOME = Path(__file__).parents[1]
TINY = "--model.hidden_dim 40 --training.batch_size 4 --training.epochs 3".split()
TINY += "--check.noise_runs 1 --check.untrained_periods 3".split()


def run(folder, script, *flags):
    command = [sys.executable, HOME / script, *map(str, flags)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("kind", ["ZemlianovaRNN", "RNN"])
def test_the_chain(tmp_path, kind):
    done = run(tmp_path, "train.py", "--model_type", kind, "--drive.keep_seconds", 3, *TINY)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "training_log.csv").exists()
    assert len(list((tmp_path / "plots").glob("Period_0.500_seconds.png"))) == 1
    assert "NOT MET taps in silence: 0/" in done.stdout  # three updates make no beat
    kept = torch.load(tmp_path / "best_model.pth", weights_only=True)["behaviour"]
    assert not kept["met"] and len(kept["rows"]) == 7 + 7 + 3
    short = "--drive.keep_seconds 3 --drive.discard_seconds 0.5 --drive.extra_periods 2".split()
    done = run(tmp_path, "drive_model_and_save_outputs.py", *short)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "model_outputs").glob("valid_output_*.npy"))) == 9
    assert len(list((tmp_path / "model_outputs").glob("hidden_states_*.npy"))) == 7
    assert not (tmp_path / "model_outputs.part").exists()
    done = run(tmp_path, "plot_fig1.py")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "fig1_plotting" / "PCA_and_model_activity_stats.png").exists()
    done = run(
        tmp_path, "plot_cue_range.py", "--cue_range.n_cues", 3, "--cue_range.keep_seconds", 2
    )
    assert done.returncode == 0 and "0 of 3 cues beat" in done.stdout, done.stderr
    assert (tmp_path / "cue_range_plotting" / "ITI_against_cue.png").exists()
    done = run(tmp_path, "experiments/results.py", "best_model.pth")
    assert done.returncode == 0 and "| **0/7 beat" in done.stdout, done.stderr


def test_same_seed_same_network(tmp_path):
    for name in ("a", "b"):
        save_to = ["--training.save_path", f"{name}.pth"]
        done = run(tmp_path, "train.py", "--check.enable", False, *TINY, *save_to)
        assert done.returncode == 0, done.stderr
    a, b = (torch.load(tmp_path / f"{n}.pth", weights_only=True)["state_dict"] for n in "ab")
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_plotting_before_driving(tmp_path):
    done = run(tmp_path, "plot_fig1.py")
    assert done.returncode == 2 and "run python drive_model" in done.stderr


def test_benchmark_of_an_update(tmp_path):
    sizes = "--hidden 20 --steps 30 --batch 4 --threads 1 --repeats 1".split()
    done = run(tmp_path, "benchmarks/run.py", "--only", "own,loop,floor,drive,single", *sizes)
    assert done.returncode == 0 and "| plain loop, autograd" in done.stdout, done.stderr
