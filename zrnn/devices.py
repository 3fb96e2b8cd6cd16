"""The device that a network runs on."""

import torch

from zrnn.errors import UserError


def pick_device(name: str) -> torch.device:
    """The torch device of that name; "auto" is CUDA if there is any, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, TypeError):
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UserError(f"device is {name!r}; allowed here: auto or cpu or a CUDA device")
    return device
