"""What is timed: each function gets settings and returns a function that does one unit of work."""

import math
import multiprocessing
import os
import re
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import models
from zrnn import configuration, task
from zrnn.errors import UserError
from zrnn.training import descent

CONFIG = configuration.load()
RATE = 1e-4  # learning rate, so small that the network hardly changes


@dataclass(frozen=True)
class Settings:
    """Numbers N, B and T of units, trials and steps; dt [s]; units of work timed together."""

    hidden: int
    batch: int
    steps: int
    dt: float
    repeat: int
    device: str
    threads: int

    def network(self):
        """A new network of this size and time step."""
        arguments = dict(CONFIG.model) | {"hidden_dim": self.hidden, "dt": self.dt}
        generator = torch.Generator().manual_seed(0)
        return models.build_model(generator=generator, **arguments).to(self.device)


def batch(settings):
    """Draw a batch, as the descent does: inputs (B, T, 2), target (B, T, 1), periods (B,) [s]."""
    seconds, generator = settings.steps * settings.dt, torch.Generator().manual_seed(0)
    changes = {"batch_size": settings.batch, "trial_seconds": seconds, "click_seconds": seconds / 2}
    training = CONFIG.training.model_copy(update=changes)
    return lambda: task.draw_trials(training, settings.dt, CONFIG.task, generator)


def noise(settings):
    """Draw the recurrent noise of an update."""
    model, generator = settings.network(), torch.Generator(settings.device).manual_seed(0)
    currents = model.initial_state(settings.batch).repeat(settings.steps, 1, 1)
    source = model.noise(generator, antithetic=True)
    blocks = [currents[block] for block in models.blocks(settings.steps, settings.batch)]
    return lambda: [source.add(block, 0) for block in blocks]


def update(settings, precision="float32", forward=None):
    """One update of the descent, with its batch and noise; forward: to use another forward pass."""
    model, draw = settings.network(), batch(settings)
    training = CONFIG.training.model_copy(update={"precision": precision})
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    generator = torch.Generator(settings.device).manual_seed(0)
    if forward:
        model.forward = lambda inputs, noise: forward(model, inputs, noise)

    def work():
        trials = [values.to(settings.device) for values in draw()]
        with descent.low_precision_matmul(training, settings.hidden):
            return descent.update_weights(model, optimizer, trials, generator, training)

    return work


def autograd_loop(settings, make_w_once=True):
    """The same update by a loop over the steps that autograd records."""

    def forward(model, inputs, noise):
        outputs, state = [], model.initial_state(len(inputs))
        w_hh = model.effective_w_hh() if make_w_once else None
        for u in inputs.unbind(1):
            z, state = model.step(u, state, noise, w_hh)
            outputs.append(z)
        return torch.stack(outputs, 1), None

    return update(settings, forward=forward)


def jax_scan(settings):
    """The same update by JAX: jit of lax.scan, gradient, clipping and Adam, on a given batch."""
    import jax
    import jax.numpy as jnp
    from jax.example_libraries import optimizers

    n, n_trials, steps = settings.hidden, settings.batch, settings.steps
    rng, alpha = np.random.default_rng(0), settings.dt / CONFIG.model.tau
    scale = math.sqrt(2 * alpha) * CONFIG.model.sigma_rec
    signs = np.where(np.arange(n) < round(CONFIG.model.excit_percent * n), 1.0, -1.0)
    signs = jnp.asarray((signs * (1 - np.eye(n))).astype(np.float32))
    sizes = dict(w_ih=(n, 2), w_hh=(n, n), b_hh=(n,), w_ho=(1, n), b_ho=(1,))
    weights = {k: rng.normal(0, 0.05 / n**0.5, s).astype(np.float32) for k, s in sizes.items()}
    inputs = rng.random((steps, n_trials, 2), dtype=np.float32)
    target = rng.random((steps, n_trials, 1), dtype=np.float32)
    start, adam, weights_of = optimizers.adam(RATE)

    def loss(p, key):
        w_hh = jnp.abs(p["w_hh"]) * signs

        def step(x, u_xi):
            u, xi = u_xi
            drive = jax.nn.relu(x) @ w_hh.T + u @ p["w_ih"].T + p["b_hh"]
            x = (1 - alpha) * x + alpha * drive + scale * xi
            return x, jax.nn.relu(x) @ p["w_ho"].T + p["b_ho"]

        xi = jax.random.normal(key, (steps, n_trials // 2, n))
        xi = jnp.concatenate([xi, -xi], axis=1)
        outputs = jax.lax.scan(step, jnp.zeros((n_trials, n)), (inputs, xi))[1]
        return jnp.mean((outputs - target) ** 2)

    @jax.jit
    def step(count, state, key):
        key, noise_key = jax.random.split(key)
        gradients = jax.grad(loss)(weights_of(state), noise_key)
        gradients = optimizers.clip_grads(gradients, CONFIG.training.max_grad_norm)
        return count + 1, adam(count, gradients, state), key

    now = [0, start(weights), jax.random.PRNGKey(0)]

    def work():
        now[:] = jax.block_until_ready(step(*now))

    return work


def products(settings, at_once=False):
    """The three products of an update alone, by torch.mm in float32, 2 T B N^2 operations each.

    Rates by W and deltas by W', step by step, and the gradient of W, a block of steps at a time;
    at_once: each of the three in one call, which no recurrence can do.
    """
    n, steps, n_trials = settings.hidden, settings.steps, settings.batch
    rates = torch.randn(steps * n_trials, n, device=settings.device)
    matrix, gradient = rates.new_empty(n, n).normal_(), rates.new_zeros(n, n)
    blocks = [n_trials * (block.stop - block.start) for block in models.blocks(steps, n_trials)]
    step_rows, block_rows = ([len(rates)],) * 2 if at_once else ([n_trials] * steps, blocks)

    @torch.no_grad()
    def work():
        for weights in (matrix.t(), matrix):
            for part in rates.split(step_rows):
                torch.mm(part, weights)
        for part in rates.split(block_rows):
            gradient.addmm_(part.t(), part)

    return work


def peak_memory(device: str) -> float:
    """Peak memory [MB] of this process (Linux), or of its tensors on a CUDA device."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1e3


process = {}  # what `prepare` has made in the process of a contestant


def prepare(contestant, settings):
    """Begin the process of a contestant."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: settings.threads])  # JAX obeys this
    torch.set_num_threads(settings.threads)
    process.update(settings=settings, work=contestant(settings))
    process["memory"] = peak_memory(settings.device)


def measure() -> tuple[float, float]:
    """Seconds of a unit of work, and the peak memory [MB] of all work so far."""
    settings, began = process["settings"], time.perf_counter()
    for _ in range(settings.repeat):
        process["work"]()
    if settings.device == "cuda":
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - began) / settings.repeat
    return seconds, peak_memory(settings.device) - process["memory"]


def race(contestants: dict, settings, repetitions: int) -> dict[str, tuple[list[float], float]]:
    """{name: (seconds of each repetition, MB)} of contestants {name: function}.

    Each has its own process. They are timed in turn, so that other load of the machine affects all
    of them alike. Raises UserError.
    """
    spawn, found = multiprocessing.get_context("spawn"), {name: [] for name in contestants}
    with ExitStack() as stack:
        pools = {
            name: stack.enter_context(ProcessPoolExecutor(1, spawn, prepare, (function, settings)))
            for name, function in contestants.items()
        }
        for name in [*contestants] * (1 + repetitions):  # the first time compiles and allocates
            try:
                found[name].append(pools[name].submit(measure).result())
            except BrokenProcessPool:
                raise UserError(f"{name} cannot be timed; its error is above") from None
    return {name: ([s for s, _ in some[1:]], some[-1][1]) for name, some in found.items()}
