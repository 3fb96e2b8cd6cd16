"""Two real processes train as one does."""

import subprocess
import sys
from pathlib import Path

import torch
from test_reliability import RUN, start, weights

HOME = Path(__file__).parents[1]
FLAGS = [*RUN, "--training.epochs", 8, "--training.batch_size", 14]  # 7 pairs: uneven shares


def test_two_processes_give_the_update_of_one(tmp_path):
    assert start(tmp_path, "one.pth", *FLAGS, "--training.log_path", "one.csv").wait() == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += [HOME / "train.py", "--training.save_path", "two.pth", *map(str, FLAGS)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("saved two.pth") == 1  # only rank 0 writes
    a, b = weights(tmp_path / "one.pth"), weights(tmp_path / "two.pth")
    for key in a:
        torch.testing.assert_close(a[key], b[key], rtol=1e-4, atol=1e-5)
