"""Train a network to keep a beat: saves best_model.pth, training_log.csv and plots/.

--model_type NAME    ZemlianovaRNN or RNN, short for --model.type
--config_path FILE   a configuration; keys it lacks come from config.yaml
                     (or a checkpoint, to repeat the run that made it)
--device NAME        auto, cpu or cuda
--resume             go on with the run that was stopped before it could save its network
"""

import csv
import math
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import torch
from tqdm import tqdm

from models import build_model
from zrnn.analysis import judge as behaviour
from zrnn.network import task
from zrnn.network.checkpoints import read_checkpoint, save_checkpoint
from zrnn.network.devices import has_bfloat16, pick_device
from zrnn.training.sharing import add_up, any_of, join, leave, own_rows
from zrnn.workshop import command_line, configuration, figures, files
from zrnn.workshop.errors import UserError
from zrnn.workshop.figures import plt
from zrnn.workshop.provenance import provenance

# dtypes of the products with W, forward and backward; None: that of the weights
PRODUCTS = {
    "float32": (None, None),
    "mixed": (None, torch.bfloat16),
    "bfloat16": (torch.bfloat16, torch.bfloat16),
}


def learning_rate(stage, update):
    """Cosine decay from the stage's learning_rate to its final_rate share of it."""
    progress = update / stage["epochs"]
    share = stage["final_rate"] + (1 - stage["final_rate"]) * (1 + math.cos(math.pi * progress)) / 2
    return stage["learning_rate"] * share


def draw_trials(stage, task_config, batch_size, generator, device):
    """A batch of the stage's trials on the device: inputs (B, T, 2), target (B, T, 1), weights (B,)

    With mirrored noise the second half of the batch repeats the trials of the first. The weights
    are what the trials count in the loss: in proportion to the period to a power, 1 together. A
    beat that drifts by the same share of its period is as costly in a second of silence as it has
    cycles, so with power 0 the slow tempos are learned last and worst.
    """
    copies = 2 if stage["mirrored_noise"] else 1
    inputs, target, periods = task.draw_trials(
        stage["periods"], batch_size // copies, stage["trial_seconds"], stage["click_seconds"],
        stage["silent_periods"], stage["dt"], task_config, generator,
    )  # fmt: skip
    inputs, target = inputs.repeat(copies, 1, 1), target.repeat(copies, 1, 1)
    weights = (periods ** stage["period_weight"]).float().repeat(copies)
    return inputs.to(device), target.to(device), (weights / weights.sum()).to(device)


def weighted_loss(outputs, target, weights):
    """Squared error of outputs (B, T, 1), mean over time, weighted over the trials."""
    return weights @ (outputs - target).square().mean(dim=(1, 2))


@torch.no_grad()
def validate(model, inputs, target, weights, stage):
    """Loss on a fixed batch with fixed recurrent noise and no input noise."""
    noise = torch.Generator(inputs.device).manual_seed(stage["seed"])
    outputs, _ = model(inputs, noise=noise, mirrored=stage["mirrored_noise"])
    return weighted_loss(outputs, target, weights).item()


def update_weights(model, optimizer, inputs, target, weights, noise, stage, rank=0, n_ranks=1):
    """One step of gradient descent on the loss of a batch, of which this process takes its trials.

    Returns the loss. Where the gradient is not finite the weights of the network stay as they are,
    and the loss returned is NaN.
    """
    copies = 2 if stage["mirrored_noise"] else 1
    batch = (model.noisy_inputs(inputs, noise), target, weights)
    inputs, target, weights = (own_rows(tensor, rank, n_ranks, copies) for tensor in batch)
    share = rank, n_ranks, len(batch[0]) // copies
    outputs, _ = model(inputs, noise=noise, mirrored=stage["mirrored_noise"], share=share)
    loss = weighted_loss(outputs, target, weights)
    optimizer.zero_grad()
    loss.backward()
    loss = loss.detach()
    add_up([loss, *(parameter.grad for parameter in model.parameters())])
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), stage["max_grad_norm"])
    if not norm.isfinite():
        return math.nan
    optimizer.step()
    return loss.item()


def train_stage(
    model, stage, progress, optimizer, task_config, generator, noise, on_update, ranks
):  # fmt: skip
    """Train at one dt and one level of recurrent noise, on from progress["update"].

    Keeps progress up to date and calls on_update(learning rate, loss, validation loss or None)
    after each update. Ends with the weights of the lowest validation loss. ranks: (rank, number)
    of the processes that share the batches.
    """
    model.dt = stage["dt"]
    model.sigma_rec = model.arguments.get("sigma_rec", 0.0) * stage["noise_scale"]
    device = model.w_hh.device
    if has_bfloat16(device):
        model.products = PRODUCTS[stage["products"]]
    model.recompute = stage["recompute"]
    fixed = torch.Generator().manual_seed(stage["seed"])
    validation = draw_trials(stage, task_config, stage["validation_trials"], fixed, device)
    while (
        progress["update"] < stage["epochs"]
        and progress["best_loss"] >= stage["early_stopping_loss"]
    ):
        progress["update"] += 1
        rate = learning_rate(stage, progress["update"])
        for group in optimizer.param_groups:
            group["lr"] = rate
        trials = draw_trials(stage, task_config, stage["batch_size"], generator, device)
        loss = update_weights(model, optimizer, *trials, noise, stage, *ranks)
        validation_loss = None
        at_end = progress["update"] == stage["epochs"]
        if at_end or progress["update"] % stage["validation_every"] == 0:
            validation_loss = validate(model, *validation, stage)
            if validation_loss < progress["best_loss"]:
                weights = {k: v.clone() for k, v in model.state_dict().items()}
                progress.update(best_loss=validation_loss, best_weights=weights)
        on_update(rate, loss, validation_loss)
    if progress["best_weights"] is not None:
        model.load_state_dict(progress["best_weights"])
    model.products, model.recompute = PRODUCTS["float32"], False


def train(model, stages, progress, *args):
    """Train through all stages, on from where `progress` says; args: as in `train_stage`."""
    for stage in stages[progress["stage"] :]:
        train_stage(model, stage, progress, *args)
        if not math.isfinite(progress["best_loss"]):
            raise UserError(
                f"the validation loss is not finite after stage {progress['stage'] + 1}; lower "
                "training.learning_rate"
            )
        progress.update(stage=progress["stage"] + 1, validation_loss=progress["best_loss"])
        progress.update(update=0, best_loss=math.inf, best_weights=None)


@torch.no_grad()
def save_pictures(model, config, folder, made_by):
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
        figures.save_figure(figure, folder / name, made_by, dpi=100)
        plt.close(figure)


def state_file(save_path):
    """Where a run that will save its network in save_path keeps the state to go on from."""
    return Path(f"{save_path}.state")


def starting_point(config_path, flags, resume, device):
    """The configuration of a run and, with resume, the state in which it was stopped (else None).

    Raises UserError.
    """
    if str(config_path).endswith(".pth"):
        path, content = read_checkpoint(config_path)
        if "config" not in content:
            raise UserError(f"checkpoint {path}: does not say which configuration made it")
        config_path = content["config"]
    config = configuration.load(config_path, flags)
    if not resume:
        return config, None
    path = state_file(config["training"]["save_path"])
    if not path.exists():
        raise UserError(f"{path} is missing: no run to resume; start one without --resume")
    state = read_checkpoint(path)[1]
    if "progress" not in state:
        raise UserError(f"{path}: not the state of a stopped run; start one without --resume")
    started = configuration.load(state["config"])
    wanted = configuration.load(config_path or state["config"], flags)
    differing = configuration.differences(wanted, started)
    differing += [("device", device.type, state["device"])] * (device.type != state["device"])
    for key, new, old in differing:
        raise UserError(
            f"{key} is {new!r}; allowed: {old!r}, with which the run to resume was started"
        )
    return started, state


def save_state(path, model, optimizer, generator, noise, progress, config):
    """Everything from which a run goes on as if it had never been stopped."""
    generators = [generator.get_state(), noise.get_state()]
    save_checkpoint(
        path, model, config=config, device=noise.device.type, progress=progress,
        optimizer=optimizer.state_dict(), generators=generators,
    )  # fmt: skip


def restore_state(state, model, optimizer, generator, noise):
    """The inverse of `save_state`; returns the progress."""
    model.load_state_dict(state["state_dict"])
    optimizer.load_state_dict(state["optimizer"])
    for own, saved in zip((generator, noise), state["generators"], strict=True):
        own.set_state(saved)
    return state["progress"]


def judge_network(model, config):
    """Drive the network as the check section says: what a person reads, and a dict to keep."""
    model.eval()
    seconds = config["drive"]["discard_seconds"] + config["drive"]["keep_seconds"]
    with tqdm(total=round(seconds / model.dt), desc="driving", unit="step") as bar:
        rows = behaviour.measure(model, config, bar.update)
    findings = behaviour.judge(rows, config["check"])
    kept = dict(rows=[r._asdict() for r in rows], findings=[f._asdict() for f in findings])
    return behaviour.table(rows, findings), kept | {"met": all(f.met for f in findings)}


def main(config_path=None, device="auto", resume=False, **flags):
    # config
    ranks = rank, n_ranks = join(device)
    device = pick_device(device)
    config, state = starting_point(config_path, flags, resume, device)
    stages, training = configuration.stages(config), config["training"]
    save_path, log_path = Path(training["save_path"]), Path(training["log_path"])
    state_path = state_file(save_path)
    made_by = provenance() | {"device": str(device), "threads": torch.get_num_threads()}
    made_by["bfloat16 products"] = has_bfloat16(device)
    made_by["processes"] = n_ranks
    if len({path.absolute() for path in (save_path, log_path, state_path)}) < 3:
        raise UserError(f"training.log_path is {log_path}; allowed: not that of the network")
    for stage in stages:
        if n_ranks > stage["batch_size"] // (2 if stage["mirrored_noise"] else 1):
            raise UserError(
                f"training.batch_size is {stage['batch_size']}; allowed: a trial for each of the "
                f"{n_ranks} processes, two with mirrored_noise"
            )
    if rank == 0:
        print(configuration.to_text(config, {"made by": "train.py"} | made_by))
        if state_path.exists() and not resume:
            print(f"{state_path} is of a stopped run, with which --resume goes on; starting anew")

    # model
    generator = torch.Generator().manual_seed(training["seed"])  # weights and batches
    noise = torch.Generator(device).manual_seed(training["seed"])
    model = build_model(generator=generator, **config["model"]).to(device)
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, training["adam_beta2"]))
    progress = dict(stage=0, update=0, best_loss=math.inf, best_weights=None, log=[])
    if state:
        progress = restore_state(state, model, optimizer, generator, noise)
    log = progress["log"]

    # loop
    began = saved = time.time()
    began -= log[-1][-1] if log else 0
    n_updates = sum(stage["epochs"] for stage in stages)
    bar = tqdm(total=n_updates, initial=len(log), unit="update", disable=rank > 0)

    def save():
        save_state(state_path, model, optimizer, generator, noise, progress, config)

    def on_update(rate, loss, validation_loss):
        nonlocal saved
        stage, update = progress["stage"] + 1, len(log) + 1
        if not math.isfinite(loss):
            raise UserError(
                f"the loss or its gradient is not finite at update {update}; lower "
                f"training.learning_rate or training.max_grad_norm; {save_path} is as it was"
            )
        log.append((update, stage, rate, loss, validation_loss, time.time() - began))
        bar.set_postfix(stage=stage, loss=f"{loss:.4f}", best=f"{progress['best_loss']:.4f}")
        bar.update()
        stop = any_of(signals, device)
        if rank == 0 and (stop or time.time() - saved >= training["save_seconds"]):
            save()
            saved = time.time()
        if stop:
            bar.close()
            leave()
            if rank == 0:
                again = f"--resume --training.save_path {save_path}"
                print(f"stopped after update {update}; go on with {again}", file=sys.stderr)
            sys.exit(128 + (signals or [signal.SIGTERM])[0])

    pictures = Path(config["plotting"]["folder"])
    with ExitStack() as claims:
        if rank == 0:
            for path in (save_path, log_path, pictures / "Period.png"):
                files.check_file(path)
            for path in (save_path, log_path):
                claims.enter_context(files.claimed(path))
        with files.held_signals() as signals:
            train(
                model, stages, progress, optimizer, config["task"], generator, noise, on_update,
                ranks,
            )  # fmt: skip
        leave()
        bar.close()
        save()  # so that a run stopped from here on is not trained again
        model.dt = config["model"]["dt"]
        model.sigma_rec = model.arguments.get("sigma_rec", 0.0)

        # save
        about = dict(
            config=config, seed=training["seed"], made_by=made_by, updates=len(log),
            validation_loss=progress["validation_loss"], training_seconds=log[-1][-1],
        )  # fmt: skip
        save_checkpoint(save_path, model, **about)
        with files.replacing(log_path) as part, open(part, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow("update stage learning_rate loss validation_loss seconds".split())
            writer.writerows(log)
        print(f"{len(log)} updates in {log[-1][-1]:.0f} s, ", end="")
        print(f"validation loss {progress['validation_loss']:.5f}; saved {save_path}, {log_path}")
        if config["plotting"]["enable"]:
            save_pictures(model, config, pictures, configuration.to_text(config, made_by))
            print(f"saved pictures in {pictures}/")
        if config["check"]["enable"]:
            text, verdict = judge_network(model, config)
            print(text)
            save_checkpoint(save_path, model, **about, behaviour=verdict)
            print(f"verdict kept in {save_path}")
        state_path.unlink()


if __name__ == "__main__":
    command_line.run(main)
