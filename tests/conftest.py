"""What the tests share: a small network to train, and processes of the scripts."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

HOME = Path(__file__).parents[1]
sys.path.insert(0, str(HOME))

# descent alone, at dt = tau, of a network that learns nothing in so short a time
QUICK = {
    "model.hidden_dim": 40,
    "model.dt": 0.01,
    "training.epochs": 200,
    "training.batch_size": 2,
    "training.refine": False,
    "training.calibrate": False,
    "check.enable": False,
    "plotting.enable": False,
}


@pytest.fixture
def quick():
    """Flags of a training of a second or two, {"section.key": value}."""
    return dict(QUICK)


@pytest.fixture
def start(tmp_path):
    """start(script, *words, **flags) starts a process of a script in the test's folder."""

    def start(script, *words, python=(), **flags):
        pairs = [text for key, value in flags.items() for text in (f"--{key}", value)]
        command = [sys.executable, *python, HOME / script, *words, *pairs]
        return subprocess.Popen(
            [str(word) for word in command],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def weights(tmp_path):
    """weights(name): the state dict of a checkpoint in the test's folder."""
    return lambda name: torch.load(tmp_path / name, weights_only=True)["state_dict"]
