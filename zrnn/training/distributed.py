"""One training run on several processes, as torchrun starts them; without it, one process.

    torchrun --nproc-per-node=2 train.py

Every process draws the same seeded batch and the same noise and takes its own trials of them; the
gradients are added up. So the update is that of one process, to rounding.
"""

import os
import signal
import sys

import torch
import torch.distributed as dist

from zrnn import cli
from zrnn.errors import UserError


def join(device):
    """(rank, number of processes) of this one, after it has joined the others; device: its name.

    Raises UserError where the environment speaks of other processes, but not as torchrun does.
    """
    size = os.environ.get("WORLD_SIZE", "1")
    if size == "1":
        return 0, 1
    names = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_PORT")
    wrong = [name for name in names if not os.environ.get(name, "").isdigit()]
    if not wrong and int(os.environ["RANK"]) >= int(size):
        wrong = ["RANK"]
    if "MASTER_ADDR" not in os.environ:
        wrong.append("MASTER_ADDR")
    if wrong:
        advice = "start with torchrun, or unset WORLD_SIZE"
        raise UserError(f"WORLD_SIZE is {size}, but {', '.join(wrong)} does not fit; {advice}")
    on_cuda = torch.cuda.is_available() and device != "cpu"
    if on_cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # a process that waits for the others cannot run Python's handlers: a signal ends it at once
    caught = [number for number in cli.SIGNALS if callable(signal.getsignal(number))]
    handlers = {number: signal.signal(number, signal.SIG_DFL) for number in caught}
    try:
        dist.init_process_group("nccl" if on_cuda else "gloo")
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return dist.get_rank(), dist.get_world_size()


def add_up(tensors):
    """Replace each tensor by its sum over all processes."""
    if not dist.is_initialized():
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    for tensor, total in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(total.view_as(tensor))


def any_of(flag, device):
    """Whether the flag is set in any process, so that all stop after the same update."""
    count = torch.tensor([float(bool(flag))], device=device)
    add_up([count])
    return bool(count.item())


def leave():
    """Part from the others, all together. Only rank 0 returns; the other processes end here.

    They end without cleaning up, because communication threads may still be ending, and an ordinary
    exit then sometimes aborts.
    """
    if not dist.is_initialized():
        return
    rank = dist.get_rank()
    dist.barrier()
    dist.destroy_process_group()
    if rank > 0:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
