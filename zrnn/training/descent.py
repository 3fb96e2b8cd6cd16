"""Gradient descent on the loss of the task, the first of the three parts of the training.

    loss = sum over trials of weight x mean over time of (z - target)^2,  weight ~ noise^2

under input noise and a recurrent noise that grows while the network learns, and with the period,
noise ~ period^training.noise_exponent. A beat at 8 Hz has eight cycles in a second of silence, one
at 2 Hz has two: at the same CV of its intervals the slow beat has strayed half as far by then, as a
share of a cycle. More noise and more weight at slow tempos bring their CVs nearer to each other.

Shapes: B trials, T time steps.
"""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from zrnn import task as tasks
from zrnn.errors import UserError
from zrnn.recurrence import Noise
from zrnn.training import distributed

FULL_NOISE, LAST_NOISE = 0.7, 0.9  # shares of the updates between which the noise is at its most
RUNAWAY = 1.0  # a loss above it is a network that runs away: a constant output costs 0.15
SAFE_EVERY = 20  # updates between two copies to go back to then
SAFE_FROM = 40  # updates; before, going back leads there again, and it recovers by itself
MAX_RETURNS = 20  # of these in one training
COARSE_FROM = 300  # units; products of smaller networks take longer in bfloat16 than in float32


class RunsAway(UserError):
    """The network runs away again and again, however often it goes back to an earlier one."""


@dataclass(frozen=True)
class Update:
    """One update of the weights: its number, learning rate, noise times sigma_rec, and loss."""

    number: int
    learning_rate: float
    noise_scale: float
    loss: float


def schedule(number: int, training) -> tuple[float, float]:
    """Learning rate and recurrent noise (times model.sigma_rec) of an update, 1 to epochs.

    A warm-up at half the rate, then cosine decay to final_rate of it. The noise rises from
    noise_scale to peak_noise_scale, at first slowly, and comes back in the end: a network that has
    only known strong noise may need it to beat.
    """
    warm_up = min(training.warm_up, training.epochs // 10)
    progress = max(number - warm_up, 0) / max(training.epochs - warm_up, 1)
    share = (1 + math.cos(math.pi * progress)) / 2  # 1 to 0
    rate = training.learning_rate * (training.final_rate + (1 - training.final_rate) * share)
    rise = min(progress / FULL_NOISE, 1.0) ** 2 * min((1 - progress) / (1 - LAST_NOISE), 1.0)
    noise = training.noise_scale + rise * (training.peak_noise_scale - training.noise_scale)
    return (rate if number > warm_up else training.learning_rate / 2), noise


def shares_of(periods: Tensor, exponent: float) -> tuple[Tensor, Tensor]:
    """What the trials (B,) weigh in the loss, 1 together; and their noise, 1 in the mean square."""
    noise = periods**exponent
    weights = noise.square() / noise.square().sum()
    return weights.float(), (weights * len(weights)).sqrt().float()


@contextmanager
def coarse_products(precision: str, n_units: int):
    """Let PyTorch take float32 products in bfloat16 where that is faster (its own switch)."""
    before, coarse = torch.get_float32_matmul_precision(), precision == "bfloat16"
    torch.set_float32_matmul_precision("medium" if coarse and n_units >= COARSE_FROM else before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def update_weights(model, optimizer, trials, noise, training, ranks=(0, 1)) -> float:
    """One step of gradient descent on the loss of a batch, of which this process takes its trials.

    trials: inputs (B, T, 2), target (B, T, 1), periods (B,); noise: a generator; training: the
    config's section; ranks: rank and number of processes. Returns the loss. Where it or its
    gradient is not finite, the weights stay as they are and infinity is returned.
    """
    rank, n_ranks = ranks
    inputs, target, periods = trials
    parts = shares_of(periods, training.noise_exponent)
    weights, noise_shares = (part.to(inputs)[rank::n_ranks] for part in parts)
    share = rank, n_ranks, len(inputs)
    inputs = model.noisy_inputs(inputs, noise)[rank::n_ranks]
    scales = model.alpha, model.sigma_rec
    own_noise = Noise(noise, *scales, share, training.antithetic, by_trial=noise_shares)
    outputs, _ = model(inputs, noise=own_noise)
    loss = weights @ (outputs - target[rank::n_ranks]).square().mean(dim=(1, 2))
    optimizer.zero_grad()
    loss.backward()
    loss = loss.detach()
    distributed.add_up([loss, *(parameter.grad for parameter in model.parameters())])
    largest = training.max_grad_norm or math.inf
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), largest)
    if not norm.isfinite():
        return math.inf
    optimizer.step()
    return loss.item()


def descend(run, training, task, ranks=(0, 1)) -> Iterator[Update]:
    """Train run.model at training.dt, on from where the run is; yields after each update.

    run: a `state.TrainingRun`, which the updates change; training, task: the config's sections.
    A network that runs away goes back to a copy of a few updates before. Ends after
    training.epochs updates, or once the mean loss of the last few is below early_stopping_loss.
    Raises RunsAway where going back does not help.
    """
    device, n_units = run.model.w_hh.device, len(run.model.w_hh)
    while len(run.losses) < training.epochs:
        recent = run.losses[-training.early_stopping_updates :]
        if len(recent) == training.early_stopping_updates:
            if sum(recent) / len(recent) < training.early_stopping_loss:
                return
        number = len(run.losses) + 1
        rate, noise_scale = schedule(number, training)
        for group in run.optimizer.param_groups:
            group["lr"] = rate
        with (
            run.model.at(dt=training.dt, noise_scale=noise_scale),
            coarse_products(training.precision, n_units),
        ):
            inputs, target, periods = tasks.draw_trials(
                training.periods,
                training.batch_size,
                training.trial_seconds,
                training.click_seconds,
                run.model.dt,
                task,
                run.generator,
            )
            trials = inputs.to(device), target.to(device), periods
            loss = update_weights(run.model, run.optimizer, trials, run.noise, training, ranks)
        run.losses.append(min(loss, 1e30))
        if loss > RUNAWAY and (number > SAFE_FROM or math.isinf(loss)):
            run.returns += 1
            if run.returns > MAX_RETURNS:
                raise RunsAway(
                    f"the network runs away again and again, the last time at update {number}; "
                    "lower training.learning_rate or training.noise_scale"
                )
            run.model.load_state_dict(run.safe[0])
            run.optimizer.load_state_dict(copy.deepcopy(run.safe[1]))  # it keeps what it is given
            run.fresher = run.safe
        elif loss <= RUNAWAY and number % SAFE_EVERY == 0:
            run.safe = run.fresher
            run.fresher = copy.deepcopy((run.model.state_dict(), run.optimizer.state_dict()))
        yield Update(number, rate, noise_scale, loss)
