"""Train a network to keep a beat: saves best_model.pth, training_log.csv and plots/.

--model_type NAME    ZemlianovaRNN or RNN, short for --model.type
--config_path FILE   a configuration; keys it lacks come from config.yaml
--device NAME        auto, cpu or cuda
"""

import csv
import math
import time
from functools import partial
from pathlib import Path

import matplotlib
import torch
from tqdm import tqdm

import behaviour
import config as configuration
import task
from models import ModelError, build_model, has_bfloat16, pick_device, save_checkpoint

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (after the choice of a backend without a screen)


def learning_rate(stage, update):
    """Cosine decay from the stage's learning_rate to its final_rate share of it."""
    progress = update / stage["epochs"]
    share = stage["final_rate"] + (1 - stage["final_rate"]) * (1 + math.cos(math.pi * progress)) / 2
    return stage["learning_rate"] * share


def draw_trials(stage, task_config, batch_size, generator, device):
    """A batch of the stage's trials on the device: inputs (B, T, 2), target (B, T, 1), periods.

    With mirrored noise the second half of the batch repeats the trials of the first.
    """
    copies = 2 if stage["mirrored_noise"] else 1
    inputs, target, periods = task.draw_trials(
        stage["periods"], batch_size // copies, stage["trial_seconds"], stage["click_seconds"],
        stage["silent_periods"], stage["dt"], task_config, generator,
    )  # fmt: skip
    inputs, target = inputs.repeat(copies, 1, 1), target.repeat(copies, 1, 1)
    return inputs.to(device), target.to(device), periods.repeat(copies)


def weighted_loss(outputs, target, periods, power):
    """Mean squared error (B, T, 1), a trial counting in proportion to its period to a power.

    A beat that drifts by the same share of its period is as costly in a second of silence as it has
    cycles, so with power 0 the slow tempos are learned last and worst.
    """
    weights = (periods**power).to(outputs)
    return weights @ (outputs - target).square().mean(dim=(1, 2)) / weights.sum()


@torch.no_grad()
def validate(model, inputs, target, periods, stage):
    """Loss on a fixed batch with fixed recurrent noise and no input noise."""
    noise = torch.Generator(inputs.device).manual_seed(stage["seed"])
    outputs, _ = model(inputs, noise=noise, mirrored=stage["mirrored_noise"])
    return weighted_loss(outputs, target, periods, stage["period_weight"]).item()


def update_weights(model, optimizer, inputs, target, periods, noise, stage):
    """One step of gradient descent on the loss of a batch; returns the loss."""
    inputs = model.noisy_inputs(inputs, noise)
    outputs, _ = model(inputs, noise=noise, mirrored=stage["mirrored_noise"])
    loss = weighted_loss(outputs, target, periods, stage["period_weight"])
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), stage["max_grad_norm"])
    optimizer.step()
    return loss.item()


def train_stage(model, optimizer, stage, task_config, generator, noise, on_update):
    """Train at one dt and one level of recurrent noise.

    Calls on_update(learning rate, loss, validation loss or None) after each update.
    Ends with the weights of the lowest validation loss.
    """
    model.dt = stage["dt"]
    model.sigma_rec = model.arguments.get("sigma_rec", 0.0) * stage["noise_scale"]
    device = model.w_hh.device
    low = stage["products"] == "bfloat16" and has_bfloat16(device)
    model.products = torch.bfloat16 if low else None
    fixed = torch.Generator().manual_seed(stage["seed"])
    validation = draw_trials(stage, task_config, stage["validation_trials"], fixed, device)
    best_loss, best_weights = math.inf, model.state_dict()
    for update in range(1, stage["epochs"] + 1):
        rate = learning_rate(stage, update)
        for group in optimizer.param_groups:
            group["lr"] = rate
        trials = draw_trials(stage, task_config, stage["batch_size"], generator, device)
        loss = update_weights(model, optimizer, *trials, noise, stage)
        validation_loss = None
        if update % stage["validation_every"] == 0 or update == stage["epochs"]:
            validation_loss = validate(model, *validation, stage)
            if validation_loss < best_loss:
                best_loss = validation_loss
                best_weights = {k: v.clone() for k, v in model.state_dict().items()}
        on_update(rate, loss, validation_loss)
        if validation_loss is not None and validation_loss < stage["early_stopping_loss"]:
            break
    model.load_state_dict(best_weights)
    model.products = None
    return best_loss


@torch.no_grad()
def save_pictures(model, config, folder):
    """One picture a trained period: clicks, cue, target and the output of the network, noise on."""
    last = configuration.stages(config)[-1]
    periods = torch.tensor(last["periods"], dtype=torch.float64)
    onsets = torch.full((len(periods),), config["task"]["max_onset"])
    inputs, target = task.make_trials(
        periods, onsets, last["trial_seconds"], last["click_seconds"], model.dt, config["task"]
    )
    device = model.w_hh.device
    noise = torch.Generator(device).manual_seed(last["seed"])
    outputs = model(inputs.to(device), noise=noise)[0].cpu()
    seconds = model.dt * torch.arange(inputs.shape[1])
    folder.mkdir(parents=True, exist_ok=True)
    for i, period in enumerate(last["periods"]):
        figure, axes = plt.subplots(2, 1, figsize=(8, 4), sharex=True, layout="constrained")
        axes[0].plot(seconds, inputs[i, :, 0], color="0.4", lw=1, label="clicks")
        axes[0].plot(seconds, inputs[i, :, 1], color="#009E73", label="context cue")
        axes[1].plot(seconds, target[i, :, 0], color="black", lw=1, ls="--", label="target")
        axes[1].plot(seconds, outputs[i, :, 0], color="#D55E00", lw=1.5, label="output z")
        axes[0].set(ylabel="inputs", title=f"Period {period:.3f} s")
        axes[1].set(xlabel="time [s]", ylabel="output")
        for panel in axes:
            panel.legend(loc="upper right", fontsize=8)
        name = f"Period_{period:.3f}_seconds.{config['plotting']['format']}"
        figure.savefig(folder / name, dpi=100)
        plt.close(figure)


def main(config_path=None, device="auto", **flags):
    config = configuration.load(config_path, flags)
    stages = configuration.stages(config)
    device = pick_device(device)
    about = {"train.py on": device, "bfloat16 products": has_bfloat16(device)}
    print(configuration.to_text(config, about))

    training = config["training"]
    generator = torch.Generator().manual_seed(training["seed"])  # weights and batches
    noise = torch.Generator(device).manual_seed(training["seed"])
    model = build_model(generator=generator, **config["model"]).to(device)
    optimizer = torch.optim.Adam(model.parameters())

    log, began = [], time.time()
    bar = tqdm(total=sum(stage["epochs"] for stage in stages), unit="update")

    def on_update(stage, rate, loss, validation_loss):
        log.append((len(log) + 1, stage, rate, loss, validation_loss, time.time() - began))
        if not math.isfinite(loss):
            raise ModelError(
                f"the loss is {loss} at update {len(log)}; lower training.learning_rate"
            )
        seen = [row[4] for row in log if row[1] == stage and row[4] is not None]
        bar.set_postfix(stage=stage, loss=f"{loss:.4f}", best=f"{min(seen, default=math.nan):.4f}")
        bar.update()

    for number, stage in enumerate(stages, 1):
        validation_loss = train_stage(
            model, optimizer, stage, config["task"], generator, noise, partial(on_update, number)
        )
    bar.close()
    model.dt = config["model"]["dt"]
    model.sigma_rec = model.arguments.get("sigma_rec", 0.0)

    about = dict(
        config=config, seed=training["seed"], updates=len(log), validation_loss=validation_loss,
        training_seconds=log[-1][-1],
    )  # fmt: skip
    save_checkpoint(training["save_path"], model, **about)
    with open(training["log_path"], "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["update", "stage", "learning_rate", "loss", "validation_loss", "seconds"])
        writer.writerows(log)
    print(f"validation loss {validation_loss:.5f} after {len(log)} updates, {log[-1][-1]:.0f} s")
    print(f"saved {training['save_path']} and {training['log_path']}")
    if config["plotting"]["enable"]:
        save_pictures(model, config, Path(config["plotting"]["folder"]))
        print(f"saved pictures in {config['plotting']['folder']}/")
    if config["check"]["enable"]:
        model.eval()
        steps = config["drive"]["discard_seconds"] + config["drive"]["keep_seconds"]
        with tqdm(total=round(steps / model.dt), desc="driving", unit="step") as bar:
            rows = behaviour.measure(model, config, bar.update)
        findings = behaviour.judge(rows, config["check"])
        print(behaviour.table(rows, findings))
        verdict = dict(rows=[row._asdict() for row in rows])
        verdict |= dict(findings=[f._asdict() for f in findings], met=all(f.met for f in findings))
        save_checkpoint(training["save_path"], model, **about, behaviour=verdict)
        print(f"verdict kept in {training['save_path']}")


if __name__ == "__main__":
    configuration.command_line(main, ModelError)
