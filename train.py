"""Train a network to keep a beat: saves best_model.pth, training_log.csv and plots/."""

import csv
import math
import time
from pathlib import Path

import matplotlib
import torch
from tqdm import tqdm

import config as configuration
import task
from models import ModelError, build_model, pick_device, save_checkpoint

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (after the choice of a backend without a screen)


def learning_rate(stage, update):
    """Cosine decay from the stage's learning_rate to its final_rate share of it."""
    progress = update / stage["epochs"]
    share = stage["final_rate"] + (1 - stage["final_rate"]) * (1 + math.cos(math.pi * progress)) / 2
    return stage["learning_rate"] * share


def draw_trials(stage, task_config, batch_size, generator, device):
    """A batch of the stage's trials on the device: inputs (B, T, 2), target (B, T, 1)."""
    inputs, target, _ = task.draw_trials(
        stage["periods"], batch_size, stage["trial_seconds"], stage["click_seconds"], stage["dt"],
        task_config, generator,
    )  # fmt: skip
    return inputs.to(device), target.to(device)


@torch.no_grad()
def validate(model, inputs, target, seed):
    """Loss on a fixed batch with fixed recurrent noise and no input noise."""
    noise = torch.Generator(inputs.device).manual_seed(seed)
    outputs, _ = model(inputs, noise=noise)
    return torch.nn.functional.mse_loss(outputs, target).item()


def update_weights(model, optimizer, inputs, target, noise, max_grad_norm):
    """One step of gradient descent on the mean squared error; returns the loss."""
    outputs, _ = model(model.noisy_inputs(inputs, noise), noise=noise)
    loss = torch.nn.functional.mse_loss(outputs, target)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
    optimizer.step()
    return loss.item()


def train_stage(model, optimizer, stage, task_config, generator, noise, on_update):
    """Train at one dt; calls on_update(loss, validation loss or None) after each update.

    Ends with the weights of the lowest validation loss.
    """
    model.dt = stage["dt"]
    device = model.w_hh.device
    fixed = torch.Generator().manual_seed(stage["seed"])
    validation = draw_trials(stage, task_config, stage["validation_trials"], fixed, device)
    best_loss, best_weights = math.inf, None
    for update in range(1, stage["epochs"] + 1):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(stage, update)
        trials = draw_trials(stage, task_config, stage["batch_size"], generator, device)
        loss = update_weights(model, optimizer, *trials, noise, stage["max_grad_norm"])
        validation_loss = None
        if update % stage["validation_every"] == 0 or update == stage["epochs"]:
            validation_loss = validate(model, *validation, stage["seed"])
            if validation_loss < best_loss:
                best_loss = validation_loss
                best_weights = {k: v.clone() for k, v in model.state_dict().items()}
        on_update(loss, validation_loss)
        if validation_loss is not None and validation_loss < stage["early_stopping_loss"]:
            break
    model.load_state_dict(best_weights)
    return best_loss


def main(config_path=None, device="auto", **flags):
    config = configuration.load(config_path, flags)
    stages = configuration.stages(config)
    device = pick_device(device)
    print(configuration.to_text(config, {"train.py on": device}))

    seed = config["training"]["seed"]
    generator = torch.Generator().manual_seed(seed)
    noise = torch.Generator(device).manual_seed(seed)
    model = build_model(generator=generator, **config["model"]).to(device)
    optimizer = torch.optim.Adam(model.parameters())
    bar = tqdm(total=sum(s["epochs"] for s in stages)); t0=time.time()
    rows=[]
    def on(l,v):
        bar.update(1); rows.append((l,v,time.time()-t0))
        if v is not None: print(len(rows), f'{l:.5f} {v:.5f} {time.time()-t0:.1f}', flush=True)
    for stage in stages:
        validation_loss = train_stage(model, optimizer, stage, config["task"], generator, noise, on)
    save_checkpoint(config["training"]["save_path"], model, config=config, seed=seed, updates=len(rows), validation_loss=validation_loss)

if __name__ == "__main__":
    configuration.command_line(main, ModelError)
