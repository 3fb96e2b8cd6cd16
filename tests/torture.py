"""Kill a training run at 30 random moments and a drive at 10 (SIGKILL); by `make torture`."""

import random
import subprocess
import sys
import time
from pathlib import Path

import torch
from test_reliability import RUN, start, weights

HOME = Path(__file__).parents[1]
RESUME = ("--resume", "--training.save_path")


def test_thirty_kills(tmp_path):
    flags = [*RUN, "--training.epochs", 4000]
    whole = start(tmp_path, "whole.pth", *flags, "--training.log_path", "whole.csv")
    assert whole.communicate() and whole.returncode == 0
    moments = random.Random(0)
    state, done, resumed_at = tmp_path / "killed.pth.state", tmp_path / "killed.pth", []
    saves = "--training.save_seconds", 0.2
    process = start(tmp_path, "killed.pth", *flags, *saves)
    for _ in range(30):
        while not (state.exists() or done.exists()):
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 4))  # some while starting, some while training
        process.kill()
        process.communicate()
        if not state.exists():
            break
        log = torch.load(state, weights_only=True)["progress"]["log"]  # whole, or this fails
        resumed_at.append(len(log))
        process = start(tmp_path, "killed.pth", "--resume")
    print("\nkilled at updates", resumed_at)
    assert process.communicate() and (process.returncode == 0 or not state.exists())
    assert len(resumed_at) == 30 and resumed_at == sorted(resumed_at)
    a, b = weights(tmp_path / "whole.pth"), weights(done)
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not list(tmp_path.glob(".part-*"))


def test_ten_kills_of_a_drive(tmp_path):
    command = [sys.executable, HOME / "drive_model_and_save_outputs.py", "--checkpoint", "shipped"]
    command += "--drive.keep_seconds 5 --drive.extra_periods 3".split()

    def contents():
        return {f.name: f.read_bytes() for f in (tmp_path / "model_outputs").iterdir()}

    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0
    before, moments = contents(), random.Random(1)
    for _ in range(10):
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(moments.uniform(2, 7))
        process.kill()
        process.wait()
        now = contents()
        assert now.keys() == before.keys()
        assert all(now[k] == before[k] for k in before if k.endswith(".npy"))
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0
    assert [f.name for f in tmp_path.iterdir() if not f.name.startswith(".lock")] == [
        "model_outputs"
    ]
