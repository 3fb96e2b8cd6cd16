"""What every script that takes a trained network begins with."""

import os

import config as configuration
import files
from models import pick_device, read_checkpoint, restore_model


def load_network(config_path, checkpoint, device, flags):
    """The resolved configuration, the network on its device, and what made them, {name: text}.

    The configuration is that of `config_path` and `flags`, with the checkpoint's own model, task
    and training sections; checkpoint: as in `models.read_checkpoint`. Prints all of it. Raises
    ConfigError, ModelError.
    """
    path, content = read_checkpoint(checkpoint, configuration.load(config_path, flags))
    config = configuration.load(config_path, flags, content.get("config"))
    model = restore_model(content, **config["model"]).to(pick_device(device))
    made_by = files.provenance() | {
        "checkpoint": os.path.relpath(path),
        "sha256": content["sha256"],
    }
    made_by["device"] = str(model.w_hh.device)
    print(configuration.to_text(config, made_by))
    return config, model, made_by
