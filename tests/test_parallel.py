"""Training on two processes, and the choice of the number of threads."""

import pytest
import torch

import train
from zrnn import threads
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
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_PORT", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    assert distributed.join("cpu") == (0, 1)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"LOCAL_RANK, MASTER_PORT, MASTER_ADDR does not fit"):
        distributed.join("cpu")
    monkeypatch.setattr(distributed.dist, "init_process_group", None)  # not reached
    whole = {"WORLD_SIZE": "2", "RANK": "2", "LOCAL_RANK": "0", "MASTER_PORT": "1"}
    for name, value in (whole | {"MASTER_ADDR": "localhost"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="WORLD_SIZE is 2, but RANK does not fit"):
        distributed.join("cpu")


@pytest.fixture
def used(monkeypatch):
    """used(n, {threads: seconds of a unit}) -> the numbers of threads of n units of work."""
    clock, number = [0.0], [2]
    monkeypatch.setattr(threads, "_candidates", [1, 2])
    monkeypatch.setattr(threads, "_measured", {})
    monkeypatch.setattr(threads.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(threads.torch, "get_num_threads", lambda: number[0])
    monkeypatch.setattr(threads.torch, "set_num_threads", lambda n: number.__setitem__(0, n))

    def used(n_units, seconds):
        numbers = []
        for _ in range(n_units):
            with threads.faster("work"):
                clock[0] += seconds[number[0]]
                numbers.append(number[0])
        return numbers

    return used


def test_the_faster_number_of_threads_is_used(used):
    assert used(10, {1: 1.0, 2: 0.6}) == [1, 1] + 8 * [2]
    # other processes begin: the next measurement, of one unit each, finds one thread faster
    later = used(threads.REPEAT, {1: 1.2, 2: 9.0})
    assert later.count(1) > 5 and later[-1] == 1 and threads.torch.get_num_threads() == 1


def test_a_number_that_is_much_slower_is_tried_once(used):
    assert used(10, {1: 1.0, 2: 5.0}) == [1, 1, 2] + 7 * [1]
