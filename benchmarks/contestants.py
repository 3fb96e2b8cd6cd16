"""What is timed: each function here gets the settings and returns a function that does it once.

Run as a process by race.py, `python contestants.py NAME SETTINGS`, so that each one's memory is its
own: it answers a line on stdin with the seconds that settings["goes"] goes took, and the end of
stdin with the peak memory [MB] above what it was before the first go. PyTorch is imported where it
is needed; the JAX contestant does without.
"""

import json
import math
import os
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from zrnn import configuration

CONFIG = configuration.load()
MODEL, TRAINING = CONFIG.model, CONFIG.training
RATE = 1e-4  # of Adam: small, so that the network stays what it is


def network(settings):
    """A fresh network of the settings' size and step."""
    import torch

    import models

    arguments = {**dict(MODEL), "hidden_dim": settings["hidden"], "dt": settings["dt"]}
    model = models.build_model(generator=torch.Generator().manual_seed(0), **arguments)
    return model.to(settings["device"])


def batches(settings):
    """Makes a batch, as the descent does: inputs (B, T, 2), target (B, T, 1), periods (B,)."""
    import torch

    from zrnn import task

    seconds, generator = settings["steps"] * settings["dt"], torch.Generator().manual_seed(0)
    return lambda: task.draw_trials(
        TRAINING.periods,
        settings["batch"],
        seconds,
        seconds / 2,
        settings["dt"],
        CONFIG.task,
        generator,
    )


def updates(settings, forward=None):
    """One update as the descent makes it, batch and noise included; forward: another way there."""
    import torch

    from zrnn.training import descent

    model, draw = network(settings), batches(settings)
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    noise = torch.Generator(settings["device"]).manual_seed(0)
    if forward:
        model.forward = lambda inputs, noise: forward(model, inputs, noise)
    if settings["products"] == "bfloat16":
        torch.set_float32_matmul_precision("medium")

    def go():
        inputs, target, periods = draw()
        trials = inputs.to(settings["device"]), target.to(settings["device"]), periods
        return descent.update_weights(model, optimizer, trials, noise, TRAINING)

    return go


def loops(settings):
    """The same update by a loop over the steps that autograd records; anew: W made in each."""
    import torch

    def forward(model, inputs, noise):
        w_hh, outputs, x = model.effective_w_hh(), [], model.initial_state(len(inputs))
        for u in inputs.unbind(1):
            w_hh = model.effective_w_hh() if settings["anew"] else w_hh
            drive = x.relu() @ w_hh.t() + u @ model.w_ih.t() + model.b_hh
            xi = torch.zeros_like(x)
            noise.add(xi[None])
            x = (1 - model.alpha) * x + model.alpha * drive + xi
            outputs.append(x.relu() @ model.w_ho.t() + model.b_ho)
        return torch.stack(outputs, 1), None

    return updates(settings, forward)


def jax_scan(settings):
    """The same update by JAX: jit of lax.scan, its gradient, clipping and Adam; the batch given."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    n, batch, steps = settings["hidden"], settings["batch"], settings["steps"]
    rng, alpha = np.random.default_rng(0), settings["dt"] / MODEL.tau
    scale = math.sqrt(2 * alpha) * MODEL.sigma_rec
    signs = np.where(np.arange(n) < round(MODEL.excit_percent * n), 1.0, -1.0)
    signs = jnp.asarray((signs * (1 - np.eye(n))).astype(np.float32))
    sizes = dict(w_ih=(n, 2), w_hh=(n, n), b_hh=(n,), w_ho=(1, n), b_ho=(1,))
    weights = {k: rng.normal(0, 0.05 / n**0.5, s).astype(np.float32) for k, s in sizes.items()}
    weights["w_hh"] = abs(weights["w_hh"])
    inputs = rng.random((steps, batch, 2), dtype=np.float32)
    target = rng.random((steps, batch, 1), dtype=np.float32)

    def loss(p, key):
        w_hh = jnp.abs(p["w_hh"]) * signs

        def step(x, at):
            u, xi = at
            drive = jax.nn.relu(x) @ w_hh.T + u @ p["w_ih"].T + p["b_hh"]
            x = (1 - alpha) * x + alpha * drive + scale * xi
            return x, jax.nn.relu(x) @ p["w_ho"].T + p["b_ho"]

        xi = jax.random.normal(key, (steps, batch // 2, n))
        xi = jnp.concatenate([xi, -xi], axis=1)
        outputs = jax.lax.scan(step, jnp.zeros((batch, n)), (inputs, xi))[1]
        return jnp.mean((outputs - target) ** 2)

    @jax.jit
    def update(p, m, v, count, key):
        key, own = jax.random.split(key)
        value, g = jax.value_and_grad(loss)(p, own)
        norm = jnp.sqrt(sum(jnp.sum(x**2) for x in g.values()))
        g = {k: x * jnp.minimum(1, TRAINING.max_grad_norm / norm) for k, x in g.items()}
        m = {k: 0.9 * m[k] + 0.1 * g[k] for k in g}
        v = {k: 0.99 * v[k] + 0.01 * g[k] ** 2 for k in g}
        rate = RATE * jnp.sqrt(1 - 0.99**count) / (1 - 0.9**count)
        p = {k: p[k] - rate * m[k] / (jnp.sqrt(v[k]) + 1e-8) for k in g}
        return value, (p, m, v, count + 1, key)

    zeros = {k: jnp.zeros(s) for k, s in sizes.items()}
    state = [(weights, zeros, zeros, 1.0, jax.random.PRNGKey(0))]

    def go():
        value, state[0] = update(*state[0])
        jax.block_until_ready(state[0])
        return float(value)

    return go


def products(settings):
    """The three products of an update alone, by torch.mm in float32, 2 T B N^2 each.

    Rates with W and deltas with W', step by step, and the gradient of W, a block of steps at a
    time; at_once: each of the three in one call, which no recurrence can do.
    """
    import torch

    from zrnn import recurrence

    n, steps, batch = (settings[key] for key in ("hidden", "steps", "batch"))
    tall = torch.randn(steps * batch, n, device=settings["device"])
    matrix, total = tall.new_empty(n, n).normal_(), tall.new_zeros(n, n)
    n_rows = [batch * (part.stop - part.start) for part in recurrence.blocks(steps, batch)]
    rows = [batch] * steps
    if settings["at_once"]:
        rows = n_rows = [steps * batch]

    @torch.no_grad()
    def go():
        for weights in (matrix.t(), matrix):
            for some in tall.split(rows):
                torch.mm(some, weights)
        for some in tall.split(n_rows):
            total.addmm_(some.t(), some)

    return go


def noises(settings):
    """The recurrent noise of one update, drawn as the network draws it."""
    import torch

    from zrnn import recurrence

    generator = torch.Generator(settings["device"]).manual_seed(0)
    source = recurrence.Noise(generator, 1.0, 0.01, mirrored=True)
    steps, batch = settings["steps"], settings["batch"]
    currents = torch.zeros(steps, batch, settings["hidden"], device=settings["device"])

    def go():
        for part in recurrence.blocks(steps, batch):
            source.add(currents[part])

    return go


def main(name, settings):
    threads = settings["threads"]
    if hasattr(os, "sched_setaffinity"):  # JAX has no other switch
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    wait = lambda: None  # noqa: E731
    if name != "jax_scan":
        import torch

        torch.set_num_threads(threads)
        if settings["device"] == "cuda":
            wait = torch.cuda.synchronize
    go = globals()[name](settings)

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3

    before = peak()
    go()  # warm
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        for _ in range(settings["goes"]):
            go()
        wait()
        print((time.perf_counter() - began) / settings["goes"], flush=True)
    on_cuda = settings["device"] == "cuda"
    print(torch.cuda.max_memory_allocated() / 1e6 if on_cuda else peak() - before)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
