"""Gradient descent on the loss of the task, the first of the three parts of the training.

    loss = mean over trials and time of (z - target)^2,  under recurrent and input noise

Shapes: B trials, T time steps.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from zrnn.network import task as tasks
from zrnn.training import sharing
from zrnn.workshop.errors import UserError

ADAM_BETAS = 0.9, 0.99
WARM_UP = 100  # updates at half the rate; without them some seeds run away or learn nothing
SMOOTHING = 20  # updates over whose losses the mean is taken that may stop the descent early


@dataclass(frozen=True)
class Update:
    """One update of the weights: its number, learning rate, noise times sigma_rec, and loss."""

    number: int
    learning_rate: float
    noise_scale: float
    loss: float


def schedule(number: int, training) -> tuple[float, float]:
    """Learning rate and recurrent noise (times model.sigma_rec) of an update, 1 to epochs.

    A warm-up at half the rate, then cosine decay to final_rate of it; meanwhile the noise rises
    from noise_scale to final_noise_scale along the same cosine.
    """
    warm_up = min(WARM_UP, training.epochs // 10)
    if number <= warm_up:
        return training.learning_rate / 2, training.noise_scale
    share = (1 + math.cos(math.pi * (number - warm_up) / (training.epochs - warm_up))) / 2  # 1 to 0
    rate = training.learning_rate * (training.final_rate + (1 - training.final_rate) * share)
    rise = training.final_noise_scale - training.noise_scale
    return rate, training.noise_scale + (1 - share) * rise


def update_weights(model, optimizer, inputs, target, noise, max_grad_norm, ranks=(0, 1)) -> float:
    """One step of gradient descent on the loss of a batch, of which this process takes its trials.

    inputs (B, T, 2), target (B, T, 1); noise: a generator; ranks: rank and number of processes.
    Returns the loss. Where it or its gradient is not finite, the weights stay as they are and NaN
    is returned.
    """
    rank, n_ranks = ranks
    n_trials, inputs = len(inputs), model.noisy_inputs(inputs, noise)
    outputs, _ = model(inputs[rank::n_ranks], noise=noise, share=(rank, n_ranks, n_trials))
    loss = (outputs - target[rank::n_ranks]).square().sum() / target.numel()
    optimizer.zero_grad()
    loss.backward()
    loss = loss.detach()
    sharing.add_up([loss, *(parameter.grad for parameter in model.parameters())])
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
    if not norm.isfinite():
        return math.nan
    optimizer.step()
    return loss.item()


def descend(run, training, task, ranks=(0, 1)) -> Iterator[Update]:
    """Train run.model at its dt, on from where the run is; yields after each update.

    run: a `state.TrainingRun`, which the updates change; training, task: the config's sections.
    Ends after training.epochs updates, or once the mean loss of the last few is below
    early_stopping_loss. Raises UserError where the loss is not finite.
    """
    device = run.model.w_hh.device
    while len(run.losses) < training.epochs:
        recent = run.losses[-SMOOTHING:]
        if len(recent) == SMOOTHING and sum(recent) / SMOOTHING < training.early_stopping_loss:
            return
        number = len(run.losses) + 1
        rate, noise_scale = schedule(number, training)
        for group in run.optimizer.param_groups:
            group["lr"] = rate
        with run.model.at(dt=training.dt, noise_scale=noise_scale):
            inputs, target = tasks.draw_trials(
                training.periods, training.batch_size, training.trial_seconds,
                training.click_seconds, run.model.dt, task, run.generator,
            )  # fmt: skip
            loss = update_weights(
                run.model, run.optimizer, inputs.to(device), target.to(device), run.noise,
                training.max_grad_norm, ranks,
            )  # fmt: skip
        if not math.isfinite(loss):
            raise UserError(
                f"the loss or its gradient is not finite at update {number}; lower "
                "training.learning_rate or training.max_grad_norm"
            )
        run.losses.append(loss)
        yield Update(number, rate, noise_scale, loss)
