"""Checkpoints: files that describe the network they hold and what made it. Nothing is executed."""

import hashlib
import io
import os
import platform
import subprocess
import warnings
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

from zrnn.errors import UserError
from zrnn.files import replacing

HOME = Path(__file__).parents[1]
SHIPPED = HOME / "pretrained" / "ZemlianovaRNN_seed0.pth"
ORIGINAL = HOME / "pretrained" / "original" / "ZemlianovaRNN_seed0.pth"  # of configs/original.yaml
MAKE_ONE = "make one with python train.py"
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "matplotlib")


def pick_device(name: str) -> torch.device:
    """The torch device of that name; "auto" is CUDA if there is any, else the CPU. UserError."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, TypeError):
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UserError(f"device is {name!r}; allowed here: auto or cpu or a CUDA device")
    return device


@cache
def provenance() -> dict[str, str]:
    """What runs: versions, commit, and whether the files are as committed."""

    def git(*words):
        command = ["git", "-C", str(HOME), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    about = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    try:
        changed = git("status", "--porcelain", "-uno")
        commit = f"{git('rev-parse', 'HEAD')}, {'with changes' if changed else 'as committed'}"
    except (OSError, subprocess.CalledProcessError):
        commit = "not in a git repository"
    return about | {"commit": commit}


def save_checkpoint(path, model, **about) -> None:
    """Write a checkpoint: the network's type, arguments and weights, and `about`."""
    content = {
        "model_type": type(model).__name__,
        "arguments": model.arguments,
        "state_dict": model.state_dict(),
        **about,
    }
    data = io.BytesIO()
    torch.save(content, data)
    with replacing(path) as part:
        part.write_bytes(data.getbuffer())


def find_checkpoint(checkpoint, save_path) -> Path:
    """The file that `--checkpoint` names: a path, "shipped" or "original".

    None: the network at save_path if there is one, else the shipped one.
    """
    if checkpoint is None:
        checkpoint = save_path if Path(save_path).exists() else "shipped"
    return {"shipped": SHIPPED, "original": ORIGINAL}.get(checkpoint) or Path(checkpoint)


def read_checkpoint(path, model_section=None) -> tuple[Path, dict]:
    """A checkpoint's path, relative to the current folder, and its content.

    The content is {model_type, arguments, state_dict, sha256 and what `save_checkpoint` got}.
    model_section: type and arguments for a state dict alone, the original code's format, which
    does not say them. Raises UserError.
    """
    try:
        data = Path(path).read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the error below says it in one line
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"checkpoint {path}: cannot be read ({reason}); {MAKE_ONE}") from None
    except Exception as error:  # a damaged file can fail anywhere inside the unpickler
        reason = (str(error).strip() or "empty file").splitlines()[0]
        if "weights_only" in str(error) or "Weights only" in str(error):
            reason = "it holds Python objects; save model.state_dict() instead of the model"
        raise UserError(f"checkpoint {path}: cannot be read ({reason}); {MAKE_ONE}") from None
    if isinstance(content, dict) and "w_hh" in content:
        content = {"state_dict": content}
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        names = ", ".join(map(str, content))[:80] if isinstance(content, dict) else "none"
        raise UserError(
            f"checkpoint {path}: neither a checkpoint nor a state dict (keys: {names}); {MAKE_ONE}"
        )
    if "model_type" not in content and model_section is not None:
        arguments = dict(model_section)
        content |= {"model_type": arguments.pop("type"), "arguments": arguments}
    if content.get("model_type") not in ("ZemlianovaRNN", "RNN") or not isinstance(
        content.get("arguments"), dict
    ):
        raise UserError(f"checkpoint {path}: does not say what network it holds; {MAKE_ONE}")
    content["sha256"] = hashlib.sha256(data).hexdigest()
    return Path(os.path.relpath(path)), content


def check_weights(weights: dict, target: dict) -> dict:
    """The weights, as a state dict of the shapes of `target`. UserError names what does not fit."""
    weights = {name: value for name, value in weights.items() if name != "b_ih"}  # never used
    wrong = [f"{name!s} is not known" for name in sorted(set(weights) - set(target), key=str)]
    for name, parameter in target.items():
        value, shape = weights.get(name), tuple(parameter.shape)
        if name not in weights:
            wrong.append(f"{name} is missing")
        elif not torch.is_tensor(value) or value.layout != torch.strided:
            wrong.append(f"{name} is no dense tensor")
        elif not value.is_floating_point() or value.dtype.itemsize < 2:
            wrong.append(f"{name} is of {value.dtype}, allowed: floating point")
        elif tuple(value.shape) != shape:
            wrong.append(f"{name} is {tuple(value.shape)}, allowed: {shape}")
        elif not value.isfinite().all():
            wrong.append(f"{name} has values that are not finite")
    if wrong:
        raise UserError(f"checkpoint: {'; '.join(wrong)} (model.hidden_dim sets the sizes)")
    return weights
