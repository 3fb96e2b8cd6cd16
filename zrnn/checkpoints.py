"""Checkpoints: files that describe the network they hold. Nothing in them is ever executed."""

import hashlib
import io
import os
import warnings
from pathlib import Path

import torch

from zrnn import files
from zrnn.errors import UserError

SHIPPED = Path(__file__).parents[1] / "pretrained" / "ZemlianovaRNN_seed0.pth"
MAKE_ONE = "make one with python train.py"
PREDECESSORS_RNN = {"i2h.weight", "h2h.weight", "h2o.weight"}


def save_checkpoint(path, model, **about) -> None:
    """Write a checkpoint: the network's type, arguments and weights, and what `about` says."""
    content = {
        "model_type": type(model).__name__,
        "arguments": model.arguments,
        "state_dict": model.state_dict(),
        **about,
    }
    data = io.BytesIO()
    torch.save(content, data)
    with files.replacing(path) as part:
        part.write_bytes(data.getbuffer())


def find_checkpoint(checkpoint, save_path) -> Path:
    """The file that `--checkpoint` means: a path, "shipped", or what was trained, else shipped."""
    if checkpoint is None:
        checkpoint = save_path if Path(save_path).exists() else "shipped"
    if not isinstance(checkpoint, str | Path):
        raise UserError(f"checkpoint is {checkpoint!r}; allowed: a file, or shipped")
    return SHIPPED if checkpoint == "shipped" else Path(checkpoint)


def read_checkpoint(path, model_section=None) -> tuple[Path, dict]:
    """A checkpoint's path from here, and content: model_type, arguments, state_dict, sha256, more.

    model_section: type and arguments for a bare state dict, the predecessor's format, which does
    not say them. Raises UserError.
    """
    try:
        data = Path(path).read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the error below says it in one line
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail anywhere inside the unpickler
        reason = (str(error).strip() or "empty file").splitlines()[0]
        raise UserError(f"checkpoint {path}: cannot be read ({reason}); {MAKE_ONE}") from None
    if isinstance(content, dict) and PREDECESSORS_RNN & set(content):
        raise UserError(
            f"checkpoint {path}: the predecessor's vanilla RNN, which has no leak, does not run "
            "here; train one with python train.py --model_type RNN"
        )
    if isinstance(content, dict) and "w_hh" in content:
        content = {"state_dict": content}
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise UserError(f"checkpoint {path}: neither a checkpoint nor a state dict; {MAKE_ONE}")
    if "model_type" not in content and model_section is not None:
        arguments = dict(model_section)
        content |= {"model_type": arguments.pop("type"), "arguments": arguments}
    if content.get("model_type") not in ("ZemlianovaRNN", "RNN") or not isinstance(
        content.get("arguments"), dict
    ):
        raise UserError(f"checkpoint {path}: does not say what network it holds; {MAKE_ONE}")
    content["sha256"] = hashlib.sha256(data).hexdigest()
    return Path(os.path.relpath(path)), content


def check_weights(weights: dict, wanted: dict) -> dict:
    """The weights, as a state dict of the shapes `wanted`. UserError names what does not fit."""
    weights = {name: value for name, value in weights.items() if name != "b_ih"}  # never used
    wrong = [f"{name!s} is not known" for name in sorted(set(weights) - set(wanted), key=str)]
    for name, parameter in wanted.items():
        value, shape = weights.get(name), tuple(parameter.shape)
        if name not in weights:
            wrong.append(f"{name} is missing")
        elif not torch.is_tensor(value) or value.layout != torch.strided:
            wrong.append(f"{name} is no dense tensor")
        elif value.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
            wrong.append(f"{name} is of {value.dtype}, allowed: floating point")
        elif tuple(value.shape) != shape:
            wrong.append(f"{name} is {tuple(value.shape)}, allowed: {shape}")
        elif not value.isfinite().all():
            wrong.append(f"{name} has values that are not finite")
    if wrong:
        raise UserError(f"checkpoint: {'; '.join(wrong)} (model.hidden_dim sets the sizes)")
    return weights
