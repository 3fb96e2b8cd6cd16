"""Training on two processes."""

import torch

TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")


def test_two_processes_make_the_same_updates_as_one(start, weights, quick):
    flags = quick | {"training.epochs": 4, "training.batch_size": 7}  # one process has a trial more
    one = start("train.py", **flags, **{"training.save_path": "one.pth"})
    assert one.communicate() and one.returncode == 0
    two = start("train.py", python=TWO, **flags, **{"training.save_path": "two.pth"})
    said, errors = two.communicate()
    assert two.returncode == 0, errors
    assert said.count("saved two.pth") == 1  # only rank 0 writes
    a, b = weights("one.pth"), weights("two.pth")
    for key in a:
        torch.testing.assert_close(a[key], b[key], rtol=1e-4, atol=1e-5)
