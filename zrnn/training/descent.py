"""Gradient descent on the task, the first part of the training.

    loss = sum over trials of weight x mean over time of (z - target)^2,  weight ~ noise^2

The recurrent noise of a trial grows with its period, noise ~ period^training.noise_exponent. With
equal noise, slow tempos would have the larger CV: in one second of silence the phase error of a
slow rhythm, as a fraction of its cycle, contributes less to the loss than that of a fast one.

Shapes: B trials, T time steps.
"""

import math
from contextlib import contextmanager

import torch
from torch import Tensor

from zrnn.training import distributed

FULL_NOISE = 0.7  # fraction of the updates after the warm-up at which the noise is largest,
LAST_NOISE = 0.9  # and at which it begins to return
GROWING = 0.3, 0.65  # fractions of the updates between which slow periods grow to their values
GROWTH = 1.1  # factor by which they grow at a time
LOW_PRECISION_UNITS = 300  # in smaller networks, products in bfloat16 are slower than in float32


def schedule(number: int, training) -> tuple[float, float]:
    """Learning rate, and recurrent noise in units of model.sigma_rec, of update 1 to epochs.

    The learning rate is halved during the warm-up and then decays as a cosine to final_rate. After
    noise_onset the noise rises quadratically from noise_scale to peak_noise_scale. At the end it
    returns, because a network trained with strong noise alone may need it to oscillate.
    """
    warm_up = min(training.warm_up, training.epochs // 10)
    progress = max(number - warm_up, 0) / max(training.epochs - warm_up, 1)
    cosine = (1 + math.cos(math.pi * progress)) / 2  # 1 to 0
    rate = training.learning_rate * (training.final_rate + (1 - training.final_rate) * cosine)
    onset = training.noise_onset
    rise = min(max(progress - onset, 0) / (FULL_NOISE - onset), 1.0) ** 2
    rise *= min((1 - progress) / (1 - LAST_NOISE), 1.0)
    noise = training.noise_scale + rise * (training.peak_noise_scale - training.noise_scale)
    return (rate if number > warm_up else training.learning_rate / 2), noise


def time_factor(number: int, training) -> float:
    """Factor of the periods and of the length of the trials in update 1 to epochs, at most 1.

    Slow periods alone are not learned from random weights, because they take too many time steps.
    Therefore the shortest period is training.first_period at first. The factor then grows to 1, in
    steps of GROWTH. A network that training.start names has a rhythm already: its factor is 1.
    """
    first, (begin, end) = training.first_period, GROWING
    if first is None or training.start is not None or first >= min(training.periods):
        return 1.0
    n_steps = math.ceil(math.log(min(training.periods) / first, GROWTH) - 1e-9)
    done = min(max((number / training.epochs - begin) / (end - begin), 0.0), 1.0)
    return max(first / min(training.periods), GROWTH ** -(n_steps - math.floor(done * n_steps)))


def is_finished(losses: list[float], training) -> bool:
    """Whether all updates are done, or the mean loss is below training.early_stopping_loss."""
    recent = losses[-training.early_stopping_updates :]
    converged = len(recent) == training.early_stopping_updates and (
        sum(recent) / len(recent) < training.early_stopping_loss
    )
    return converged or len(losses) >= training.epochs


def trial_weights(periods: Tensor, exponent: float) -> tuple[Tensor, Tensor]:
    """Weights of the trials in the loss (B,), of sum 1; and their noise (B,), of mean square 1."""
    noise = periods**exponent
    weights = noise.square() / noise.square().sum()
    return weights.float(), (weights * len(weights)).sqrt().float()


@contextmanager
def low_precision_matmul(training, n_units: int):
    """Let PyTorch compute float32 products in bfloat16, if training.precision allows it."""
    before = torch.get_float32_matmul_precision()
    if training.precision == "bfloat16" and n_units >= LOW_PRECISION_UNITS:
        torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def update_weights(model, optimizer, trials, noise, training, ranks=(0, 1), graph=None) -> float:
    """One Adam step on the loss of a batch; several processes may share its trials.

    trials: inputs (B, T, 2), target (B, T, 1), periods (B,) [s]; noise: a torch.Generator;
    training: that section of the configuration; ranks: (rank, number of processes); graph: a
    `RecordedStep`, which takes the step on a GPU. Returns the loss, or infinity if its gradient is
    not finite: the weights are then useless, and `TrainingRun.record_loss` restores earlier ones.
    """
    inputs, target, periods = trials
    weights, trial_scale = trial_weights(periods, training.noise_exponent)
    batch = inputs, target, weights.to(inputs), trial_scale.to(inputs)

    def step(*batch):
        return adam_step(model, optimizer, *batch, noise, training, ranks)

    loss, norm = step(*batch) if graph is None else graph(step, model, batch, noise)
    return loss.item() if norm.isfinite() else math.inf


def adam_step(
    model, optimizer, inputs, target, weights, trial_scale, noise, training, ranks
) -> tuple[Tensor, Tensor]:
    """The step of `update_weights`: its loss and the norm of the gradient, both still tensors.

    Nothing is read from the device, so that a CUDA graph can record the step.
    """
    rank, n_ranks = ranks
    inputs = model.noisy_inputs(inputs, noise)[rank::n_ranks]
    recurrent_noise = model.noise(noise, training.antithetic, trial_scale, ranks)
    outputs, _ = model(inputs, noise=recurrent_noise)
    errors = (outputs - target[rank::n_ranks]).square().mean(dim=(1, 2))
    loss = weights[rank::n_ranks] @ errors
    optimizer.zero_grad()
    loss.backward()
    loss = loss.detach()
    distributed.add_up([loss, *(parameter.grad for parameter in model.parameters())])
    limit = math.inf if training.max_grad_norm is None else training.max_grad_norm
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), limit)
    optimizer.step()
    return loss, norm
