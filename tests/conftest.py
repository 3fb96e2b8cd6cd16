"""What the tests share: a quick training, a hand-made network, processes of the scripts."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import models
from zrnn import cli, configuration

HOME = Path(__file__).parents[1]

# the descent only, at dt = tau, of a small network, which is too short to learn the task
QUICK = {
    "model.hidden_dim": 40,
    "model.dt": 0.01,
    "training.epochs": 120,
    "training.batch_size": 2,
    "training.refine": False,
    "training.calibrate": False,
    "check.enable": False,
    "plotting.enable": False,
}


@pytest.fixture
def stop_signals():
    """Signals stop a run that is called in the test's process, as in a script's."""
    before = {number: signal.getsignal(number) for number in cli.SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored after a shell's &
    cli.catch_signals()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def quick():
    """Flags of a training that takes a second or two, {"section.key": value}."""
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


@pytest.fixture(scope="session")
def make_oscillator():
    """make_oscillator(kind) -> a hand-made network of 20 E and 5 I units that oscillates by itself.

    Four E units excite each other and four I units, which inhibit them; the other units are silent.
    It oscillates at every cue, a little faster where the E units receive the cue with `cue_weight`.
    The output is the mean rate of the E units.
    """

    def make(kind="ZemlianovaRNN", cue_weight=0.0):
        config = configuration.load(
            flags={"model.type": kind, "model.hidden_dim": 25, "model.sigma_rec": 0.001}
        )
        model = models.build_model(**dict(config.model))
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
            model.w_ih[excit, 1] = cue_weight
            model.w_ho[0, excit] = 0.25
        return model.eval()

    return make
