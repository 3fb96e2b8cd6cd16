"""Checkpoints: files that describe the network they hold."""

import hashlib
import io
import warnings
from pathlib import Path

import torch

from zrnn.workshop import files

SHIPPED = Path(__file__).parents[2] / "pretrained" / "ZemlianovaRNN_seed4.pth"


class ModelError(ValueError):
    """A checkpoint or a device that cannot be used; the message is one line for the user."""


def save_checkpoint(path, model, **about):
    """Write a checkpoint that describes itself: type, arguments and weights, and what `about` says.

    Raises FileError.
    """
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


def read_checkpoint(path, config=None):
    """A checkpoint's path and content: model_type, arguments, state_dict, config, sha256 and so on.

    path: None takes the config's training.save_path if there is one, else the shipped network;
    "shipped" always takes that.
    A bare state dict, the predecessor's format, becomes {"state_dict": ..., "sha256": ...}. Nothing
    but tensors and plain values is ever unpickled. Raises ModelError.
    """
    if path == "shipped":
        path = SHIPPED
    if path is None:
        trained = Path(config["training"]["save_path"])
        path = trained if trained.exists() else SHIPPED
    try:
        data = Path(path).read_bytes()
        with warnings.catch_warnings(action="ignore"):  # the error below says it in one line
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail anywhere inside the unpickler
        reason = (str(error).strip() or "empty file").splitlines()[0]
        raise ModelError(
            f"checkpoint {path}: cannot be read ({reason}); make one with python train.py"
        ) from None
    if isinstance(content, dict) and "w_hh" in content:
        content = {"state_dict": content}
    if not isinstance(content, dict) or "state_dict" not in content:
        raise ModelError(f"checkpoint {path}: neither a checkpoint of train.py nor a state dict")
    return path, {**content, "sha256": hashlib.sha256(data).hexdigest()}
