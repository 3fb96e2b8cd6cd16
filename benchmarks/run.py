"""Print the tables of docs/performance.md: a value that misses its target is bold.

python -m benchmarks.run --threads 2

--only NAMES         some of the tables updates, descent, scripts, as updates+descent
--hidden 500         number of units in the first two tables
--device cpu         or cuda, in the first two tables
--repetitions 5      of which medians are given

Ratios are of one run. All of it takes less than ten minutes on two cores without other load.
"""

import csv
import importlib.util
import os
import platform
import re
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median

import torch

from benchmarks import contestants
from benchmarks.contestants import CONFIG, Settings
from experiments.tables import markdown
from zrnn import checkpoints, cli
from zrnn.errors import UserError

UPDATES = {
    "this project": contestants.update,
    "loop, autograd, W made once": contestants.autograd_loop,
    "loop, autograd, W made at every step": partial(contestants.autograd_loop, make_w_once=False),
    "JAX, jit of lax.scan": contestants.jax_scan,
    "its products alone, torch.mm": contestants.products,
}
DESCENT = {
    "products in bfloat16": partial(contestants.update, precision="bfloat16"),
    "products in float32": contestants.update,
    "making the batch": contestants.batch,
    "drawing the noise": contestants.noise,
    "its products alone, step by step": contestants.products,
    "its products alone, three calls": partial(contestants.products, at_once=True),
}
SCRIPTS = "train drive_model_and_save_outputs plot_fig1 plot_fig3 plot_fig5 plot_cue_range "
SCRIPTS += "plot_bifurcation plot_groups plot_synchronization"
TARGETS = {"this project": 1.25, "products in bfloat16": 1.5}  # times the last line of the table
HELP_SECONDS = 1.5  # target of --help [s]
# runs a command; prints its seconds and its peak memory [MB], without that of the benchmark
MEASURE = """import resource, subprocess, sys, time
began = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3)"""


def race_table(functions, settings, repetitions: int) -> str:
    """Times and memory of contestants {name: function}, and ratios to the time of the last one."""
    if not importlib.util.find_spec("jax"):
        functions = {name: f for name, f in functions.items() if f != contestants.jax_scan}
    rows, found = [], contestants.race(functions, settings, repetitions)
    baseline = median([*found.values()][-1][0])
    for name, (seconds, memory) in found.items():
        ratio, target = median(seconds) / baseline, TARGETS.get(name, "")
        row = {f"batch {settings.batch}, {settings.steps} steps": name}
        row["median"] = f"{1e3 * median(seconds):.1f} ms"
        row["range"] = f"{1e3 * min(seconds):.1f} to {1e3 * max(seconds):.1f} ms"
        row |= {"memory": f"{memory:.0f} MB", "x products": f"{ratio:.2f}"}
        rows.append(row | {"target": bold(f"at most {target}", ratio > target) if target else ""})
    return markdown(rows)


def bold(text: str, missed: bool) -> str:
    return f"**{text}**" if missed else text


def measure_script(folder, *words) -> tuple[float, float]:
    """Seconds and peak memory [MB] of a Python process in a folder. Raises UserError."""
    command = [sys.executable, "-c", MEASURE, sys.executable, *map(str, words)]
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if process.returncode:
        raise UserError(f"{words} failed: {process.stderr[-500:]}")
    seconds, memory = map(float, process.stdout.split())
    return seconds, memory


def script_table() -> str:
    """Time and peak memory of every script, once (train without evaluation); parts of training."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in SCRIPTS.split():
            script = checkpoints.HOME / f"{name}.py"
            words = () if name == "plot_fig3" else ("--checkpoint", "shipped")
            if name == "train":  # the evaluation takes as long as the training
                words = "--check.enable", "false"
            help_seconds, _ = measure_script(folder, script, "--help")
            seconds, memory = measure_script(folder, script, *words)
            help_text = bold(f"{help_seconds:.1f} s", help_seconds > HELP_SECONDS)
            row = {"script": name, f"--help (target: {HELP_SECONDS:g} s)": help_text}
            rows.append(row | {"time": f"{seconds:.1f} s", "peak memory": f"{memory:.0f} MB"})
        with open(Path(folder) / CONFIG.training.log_path, encoding="utf-8") as log:
            ends = {line["part"]: line["seconds"] for line in csv.DictReader(log)}
    rows += [{"script": f"train, end of {part}", "time": f"{t} s"} for part, t in ends.items()]
    return markdown(rows)


def machine() -> str:
    """What runs: CPU, cores, versions, commit."""
    about, cpus = checkpoints.provenance(), Path("/proc/cpuinfo")
    cpu = re.search(r"model name\s*: (.*)", cpus.read_text() if cpus.exists() else "")
    versions = [f"{name} {about[name]}" for name in ("python", "torch", "numpy", "scipy", "commit")]
    return ", ".join([cpu[1] if cpu else platform.machine(), f"{os.cpu_count()} cores", *versions])


def main(only="updates+descent+scripts", hidden=500, device="cpu", repetitions=5):
    if not set(only.split("+")) <= {"updates", "descent", "scripts"}:
        raise UserError(f"--only is {only!r}; allowed: updates, descent, scripts, joined by +")
    if not (2 <= hidden <= 20_000 and 1 <= repetitions <= 1000):
        raise UserError("allowed: --hidden 2 to 20000, --repetitions 1 to 1000")
    threads, device = torch.get_num_threads(), checkpoints.pick_device(device).type
    print(f"{machine()}; {threads} threads, N = {hidden}, {device}", flush=True)
    training = CONFIG.training
    steps = round(training.trial_seconds / training.dt)
    long = Settings(hidden, 64, 1000, 0.001, 1, device, threads)
    short = Settings(hidden, training.batch_size, steps, training.dt, 10, device, threads)
    tables = {
        "updates": lambda: race_table(UPDATES, long, repetitions),
        "descent": lambda: race_table(DESCENT, short, repetitions),
        "scripts": script_table,
    }
    for name in only.split("+"):
        print(f"\n{tables[name]()}", flush=True)


if __name__ == "__main__":
    cli.run(main)
