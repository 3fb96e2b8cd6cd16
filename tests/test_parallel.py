"""Training on two processes."""

import pytest
import torch

import train
from zrnn.errors import UserError
from zrnn.training import distributed

TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")


def test_two_processes_make_the_same_updates_as_one(tmp_path, monkeypatch, start, weights, quick):
    quick |= {"training.epochs": 4, "training.batch_size": 7}  # one process has a trial more
    two = start("train.py", python=TWO, **quick, **{"training.save_path": "two.pth"})
    monkeypatch.chdir(tmp_path)
    train.main(device="cpu", **quick, **{"training.save_path": "one.pth"})
    said, errors = two.communicate()
    assert two.returncode == 0, errors
    assert said.count("saved two.pth") == 1  # only rank 0 writes
    a, b = weights("one.pth"), weights("two.pth")
    for key in a:
        torch.testing.assert_close(a[key], b[key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "environment", [{"WORLD_SIZE": "2"}, {"WORLD_SIZE": "two", "RANK": "0"}], ids=str
)
def test_other_processes_without_torchrun_are_refused(monkeypatch, environment):
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert distributed.join("cpu") == (0, 1)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"LOCAL_RANK, MASTER_PORT is no number; start with torch"):
        distributed.join("cpu")
