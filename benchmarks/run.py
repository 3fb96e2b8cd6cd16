"""Time one update of training, and driving, against other ways to do the same; a Markdown table.

python benchmarks/run.py [--batch 64] [--steps 2000] [--hidden 500] [--threads 2] [--repeats 5]
    [--products float32] [--noise True] [--only NAMES] [--jax_python PATH] [--json FILE]
    [--clock wall]

steps: of dt = 1 ms. products: bfloat16 for all. only: names of contestants, separated by commas.
jax_python: a Python that has JAX, if this one has not. clock: cpu counts the time of all threads
on the CPU; with one thread that is what a quiet machine would need, also on a busy one. Every
contestant is a process of its own; they take turns, so that whatever else the machine does hits
all alike. Medians, least and most.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import fire

HOME = Path(__file__).parent
CUES, DRIVE_STEPS, KEEP = 107, 52000, 300
UPDATES = {  # name: (what it is, contestant, changes to the settings)
    "own": ("this project", "project", {}),
    "bfloat16": ("this project, bfloat16 products", "project", {"products": "bfloat16"}),
    "recompute": ("this project, recompute", "project", {"recompute": True}),
    "mirrored": ("this project, mirrored noise", "project", {"mirrored": True}),
    "loop": ("plain loop, autograd, W made once", "plain_loop", {}),
    "loop_anew": ("plain loop, autograd, W made at every step", "plain_loop", {"anew": True}),
    "jax": ("JAX, jit of lax.scan", "jax_scan", {}),
    "floor": ("the products alone, torch.mm (floor)", "products_mm", {}),
    "packed": ("the products alone, as taken here", "products_packed", {}),
    "trials": ("making a batch", "trials", {}),
    "noise": ("drawing the noise", "noise", {}),
    "half_noise": ("drawing the noise, mirrored", "noise", {"mirrored": True}),
    "cuda": ("this project on CUDA, batch 512", "project", {"device": "cuda", "batch": 512}),
}
DRIVES = {
    "drive": (f"{CUES} cues as one batch", "drive", {"batch": CUES}),
    "single": ("one cue at a time, W made once", "drive_one", {}),
    "single_anew": ("one cue at a time, W made at every step", "drive_one", {"anew": True}),
}


class Contestant:
    """A process that does its thing when told to."""

    def __init__(self, function, settings, python):
        threads = str(settings["threads"])
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        command = [python, HOME / "contestants.py", function, json.dumps(settings)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.seconds = []
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{function} did not start; its error is above")

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.seconds.append(float(self.process.stdout.readline()))

    def finish(self):
        """The result: seconds of each go, and the peak of memory [MB]."""
        memory = float(self.process.communicate()[0])
        return {"median": median(self.seconds), "seconds": self.seconds, "memory_mb": memory}


def can(python, code):
    return subprocess.run([python, "-c", code], capture_output=True).returncode == 0


def main(
    batch=64, steps=2000, hidden=500, threads=2, repeats=5, products="float32", noise=True,
    only=None, jax_python=sys.executable, clock="wall", **flags,
):  # fmt: skip
    file = flags.pop("json", None)
    if flags:
        sys.exit(f"error: unknown flag --{next(iter(flags))}; see the head of {__file__}")
    settings = dict(batch=batch, steps=steps, hidden=hidden, threads=threads, products=products)
    settings |= dict(noise=noise, mirrored=False, recompute=False, device="cpu", clock=clock)
    settings["anew"] = False  # W, by Dale's law, once an update or at every step
    every = UPDATES | DRIVES
    names = list(every) if only is None else only if isinstance(only, tuple) else only.split(",")
    if "jax" in names and not can(jax_python, "import jax, yaml, fire"):
        names.remove("jax")
        print("JAX is not installed here (with yaml and fire): its row is left out.\n")
    if "cuda" in names and not can(sys.executable, "import torch; torch.zeros(1).cuda()"):
        names.remove("cuda")
        print("There is no CUDA device here: its row is left out.\n")

    # all start before any is timed, then they take turns
    running = {}
    for name in names:
        _, function, changes = every[name]
        python = jax_python if name == "jax" else sys.executable
        running[name] = Contestant(function, settings | changes, python)
    for _ in range(repeats):
        for contestant in running.values():
            contestant.go()
    results = {name: contestant.finish() for name, contestant in running.items()}

    print(f"N = {hidden}, {steps} steps, batch {batch}, {threads} threads, {products} products,")
    with_noise = "with" if noise else "without"
    print(f"{with_noise} noise; {clock} time, medians of {repeats}, taking turns.\n")
    own, floor = (results.get(name, {}).get("median") for name in ("own", "floor"))
    print("| one update | median | least to most | memory | x project | x floor |")
    print("|---|---|---|---|---|---|")
    for name in (n for n in names if n in UPDATES):
        r = results[name]
        ratios = [f"{r['median'] / by:.2f}" if by else "" for by in (own, floor)]
        spread = f"{min(r['seconds']):.3f} to {max(r['seconds']):.3f} s"
        row = [UPDATES[name][0], f"{r['median']:.3f} s", spread, f"{r['memory_mb']:.0f} MB"]
        print(f"| {' | '.join(row + ratios)} |")
    if {"own", "trials", "noise"} <= set(names):
        share = (results["trials"]["median"] + results["noise"]["median"]) / own
        print(f"\nMaking a batch and drawing its noise: {share:.1%} of an update;")
    if {"mirrored", "trials", "half_noise"} <= set(names):
        part = results["trials"]["median"] + results["half_noise"]["median"]
        print(f"with mirrored noise {part / results['mirrored']['median']:.1%}.")
    if set(DRIVES) & set(names):
        print(f"\n| driving | one step | {CUES} cues x {DRIVE_STEPS} steps | x batch |")
        print("|---|---|---|---|")
    for name in (n for n in names if n in DRIVES):
        step = results[name]["median"] / KEEP
        runs = 1 if name == "drive" else CUES
        ratio = ""
        if "drive" in results:
            ratio = f"{runs * results[name]['median'] / results['drive']['median']:.0f}"
        whole = f"{runs * step * DRIVE_STEPS:.0f} s"
        print(f"| {DRIVES[name][0]} | {1e3 * step:.3f} ms | {whole} | {ratio} |")
    if file:
        Path(file).write_text(json.dumps({"settings": settings, "results": results}, indent=1))


if __name__ == "__main__":
    fire.Fire(main)
