"""What is timed: each function here gets the settings and returns a function that does it once.

Run as a process by benchmarks/run.py, `python contestants.py NAME SETTINGS`, so that each one's
memory is its own: it answers a line on stdin with the seconds one go took, and at the end of stdin
with the peak memory [MB] above what it was before the first go. PyTorch is imported where it is
needed; the JAX contestant does without.
"""

import json
import math
import os
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from zrnn.workshop import configuration

CONFIG = configuration.load()
ADAM_RATE, MAX_NORM = 1e-4, CONFIG["training"]["max_grad_norm"]
KEEP = 300  # steps of a drive that are timed


def network(settings):
    import torch

    import models

    arguments = {**CONFIG["model"], "hidden_dim": settings["hidden"]}
    if not settings["noise"]:
        arguments |= {"sigma_rec": 0.0, "sigma_input": 0.0}
    model = models.build_model(generator=torch.Generator().manual_seed(0), **arguments)
    model.products = (torch.bfloat16 if settings["products"] == "bfloat16" else None,) * 2
    model.recompute = settings["recompute"]
    return model.to(settings["device"])


def trials(settings):
    """Makes a batch, as train.py does: inputs (B, T, 2) and target (B, T, 1)."""
    import torch

    from zrnn.network import task

    training, dt = configuration.stages(CONFIG)[0], CONFIG["model"]["dt"]
    generator, seconds = torch.Generator().manual_seed(0), settings["steps"] * dt
    return lambda: task.draw_trials(
        training["periods"], settings["batch"], seconds, seconds / 2,
        training["silent_periods"], dt, CONFIG["task"], generator,
    )[:2]  # fmt: skip


def updating(settings, outputs_of):
    """One update of train.py around a forward pass: noise, loss, gradient, clipping, Adam."""
    import torch

    model = network(settings)
    optimizer = torch.optim.Adam(model.parameters(), ADAM_RATE)
    inputs, target = (part.to(settings["device"]) for part in trials(settings)())
    noise = torch.Generator(settings["device"]).manual_seed(0)

    def update():
        outputs = outputs_of(model, model.noisy_inputs(inputs, noise), noise)
        loss = (outputs - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        optimizer.step()
        return loss.item()

    return update


def project(settings):
    def outputs_of(model, inputs, noise):
        return model(inputs, noise=noise, mirrored=settings["mirrored"])[0]

    return updating(settings, outputs_of)


def plain_loop(settings):
    """The same update by a loop over the steps that autograd records; anew: W made in each."""
    import torch

    def outputs_of(model, inputs, noise):
        alpha, w_hh = model.alpha, model.effective_w_hh()
        scale, outputs = math.sqrt(2 * alpha) * model.sigma_rec, []
        x = model.initial_state(len(inputs))
        for u in inputs.unbind(1):
            w_hh = model.effective_w_hh() if settings["anew"] else w_hh
            drive = x.relu() @ w_hh.t() + u @ model.w_ih.t() + model.b_hh
            x = (1 - alpha) * x + alpha * drive
            if scale:
                x = x + scale * torch.empty_like(x).normal_(generator=noise)
            outputs.append(x.relu() @ model.w_ho.t() + model.b_ho)
        return torch.stack(outputs, 1)

    return updating(settings, outputs_of)


def jax_scan(settings):
    """The same update by JAX: jit of lax.scan, its gradient, clipping and Adam."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    n, batch, steps = settings["hidden"], settings["batch"], settings["steps"]
    model, rng = CONFIG["model"], np.random.default_rng(0)
    alpha = model["dt"] / model["tau"]
    scale = math.sqrt(2 * alpha) * model["sigma_rec"] * settings["noise"]
    signs = np.where(np.arange(n) < round(model["excit_percent"] * n), 1.0, -1.0)
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

        make = jax.random.normal if scale else lambda key, size: jnp.zeros(size)
        xi = make(key, (steps, batch, n))
        outputs = jax.lax.scan(step, jnp.zeros((batch, n)), (inputs, xi))[1]
        return jnp.mean((outputs - target) ** 2)

    @jax.jit
    def update(p, m, v, count, key):
        key, own = jax.random.split(key)
        value, g = jax.value_and_grad(loss)(p, own)
        norm = jnp.sqrt(sum(jnp.sum(x**2) for x in g.values()))
        g = {k: x * jnp.minimum(1, MAX_NORM / norm) for k, x in g.items()}
        m = {k: 0.9 * m[k] + 0.1 * g[k] for k in g}
        v = {k: 0.999 * v[k] + 0.001 * g[k] ** 2 for k in g}
        rate = ADAM_RATE * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        p = {k: p[k] - rate * m[k] / (jnp.sqrt(v[k]) + 1e-8) for k in g}
        return value, (p, m, v, count + 1, key)

    zeros = {k: jnp.zeros(s) for k, s in sizes.items()}
    state = [(weights, zeros, zeros, 1.0, jax.random.PRNGKey(0))]

    def go():
        value, state[0] = update(*state[0])
        jax.block_until_ready(state[0])
        return float(value)

    return go


def _products(settings, step, whole):
    """Three passes of 2 T B N^2: rates with W, deltas with W', and the gradient of W."""
    import torch

    from zrnn.network import recurrence

    dtype = torch.bfloat16 if settings["products"] == "bfloat16" else torch.float32
    n, steps = settings["hidden"], settings["steps"]
    torch.set_grad_enabled(False)
    rows = torch.randn(settings["batch"], n, dtype=dtype, device=settings["device"])
    matrix, total = rows.new_empty(n, n).normal_(), rows.new_zeros(n, n)
    parts = recurrence.blocks(steps, len(rows))
    tall = rows.repeat(parts[0].stop, 1)

    def go():
        forward, back = step(matrix), step(matrix.t())
        for product in (forward, back):
            for _ in range(steps):
                product(rows)
        for part in parts:
            some = tall[: len(rows) * (part.stop - part.start)]
            whole(total, some)

    return go


def products_mm(settings):
    def step(matrix):
        return lambda rows: rows @ matrix.t()

    return _products(settings, step, lambda total, some: total.addmm_(some.t(), some))


def products_packed(settings):
    """The products taken as models.py takes them."""
    from zrnn.network import recurrence

    def step(matrix):
        packed, total = recurrence.pack(matrix), matrix.new_zeros(settings["batch"], len(matrix))
        return lambda rows: recurrence.add_product(total, rows, packed, 1.0)

    def whole(total, some):
        recurrence.add_product(total, some.t(), recurrence.pack(some.t()), 1.0)

    return _products(settings, step, whole)


def noise(settings):
    """The recurrent noise of one update, drawn as the network draws it."""
    import torch

    from zrnn.network import recurrence

    generator = torch.Generator(settings["device"]).manual_seed(0)
    batch = settings["batch"] // (2 if settings["mirrored"] else 1)

    def go():
        for part in recurrence.blocks(settings["steps"], settings["batch"]):
            shape = part.stop - part.start, batch, settings["hidden"]
            torch.empty(shape, device=settings["device"]).normal_(generator=generator)

    return go


def drive(settings):
    """`KEEP` steps of all cues as one batch, as the drive script does it."""
    import torch

    from zrnn.network.drive import drive_network

    model = network(settings)
    inputs = torch.rand(settings["batch"], KEEP, 2).to(settings["device"])
    generator = torch.Generator(settings["device"]).manual_seed(0)
    return lambda: drive_network(model, inputs, generator, lambda *at: None)


def drive_one(settings):
    """`KEEP` steps of one cue, step by step; anew: W made in each."""
    import torch

    model = network(settings)
    inputs = torch.rand(1, KEEP, 2)
    generator = torch.Generator().manual_seed(0)

    @torch.no_grad()
    def go():
        x, w_hh = model.initial_state(1), None if settings["anew"] else model.effective_w_hh()
        for t in range(KEEP):
            _, x = model.step(inputs[:, t], x, generator, w_hh)

    return go


def main(name, settings):
    threads = settings["threads"]
    if hasattr(os, "sched_setaffinity"):  # JAX has no other switch
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    if name != "jax_scan":
        import torch

        torch.set_num_threads(threads)
    go = globals()[name](settings)
    clock = time.process_time if settings["clock"] == "cpu" else time.perf_counter

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3

    before = peak()
    go()  # warm
    print("ready", flush=True)
    for _ in sys.stdin:
        began = clock()
        go()
        if settings["device"] == "cuda":
            torch.cuda.synchronize()
        print(clock() - began, flush=True)
    if settings["device"] == "cuda":
        print(torch.cuda.max_memory_allocated() / 1e6)
    else:
        print(peak() - before)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
