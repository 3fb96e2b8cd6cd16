"""Print the tables of docs/performance.md: every row beside what it is to reach, misses bold.

python benchmarks/run.py

--only NAMES         some of the tables, as updates+descent+scripts+larger+cuda
--threads 2          of every process
--repeats 5          turns of which medians are taken
--jax_python FILE    a Python that has JAX, if this one has not
"""

import csv
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from race import HOME, race, script

sys.path.insert(0, str(HOME))

from experiments.tables import markdown
from zrnn import cli, configuration
from zrnn.checkpoints import provenance
from zrnn.errors import UserError

CONFIG = configuration.load()
N_STEPS = round(CONFIG.training.trial_seconds / CONFIG.training.dt)  # of the descent's trials
FIGURES = ["drive_model_and_save_outputs", "plot_fig1", "plot_fig3", "plot_fig5", "plot_cue_range"]
FIGURES += ["plot_bifurcation", "plot_groups", "plot_synchronization"]
LONG = ["--drive.keep_seconds", 518, "--drive.hidden_states", "none", "--plotting.enable", False]
HELP_SECONDS, FIGURES_SECONDS, TEST_SECONDS = 2.0, 120.0, 150.0  # to reach
DRIVE_SECONDS, DRIVE_MEMORY = 20.0, 1000.0  # [s], [MB]
LARGER = {"model.hidden_dim": 2000, "training.epochs": 8, "training.refine": False}
LARGER |= {"training.calibrate": False, "check.enable": False, "plotting.enable": False}


def settings(threads, **changes) -> dict:
    """Settings of a contestant: those of long trials at dt = 1 ms, but for the changes."""
    own = {"hidden": CONFIG.model.hidden_dim, "batch": 64, "steps": 1000, "dt": 0.001, "goes": 1}
    own |= {"products": "float32", "anew": False, "at_once": False, "device": "cpu"}
    return own | {"threads": threads} | changes


def against(value: float, bound: float, unit="") -> str:
    """A bound to reach, bold where it is missed."""
    return f"at most {bound:g}{unit}" if value <= bound else f"**at most {bound:g}{unit}**"


def race_table(title, times, floor, bounds) -> str:
    """Contestants against the one called `floor`; bounds: {name: largest ratio to it}."""
    rows = [[title, "median", "least to most", "memory", "x products", "to reach"]]
    for name, own in times.items():
        ratio = own.median / times[floor].median
        rows.append(
            [
                name,
                f"{1e3 * own.median:.1f} ms",
                f"{1e3 * min(own.seconds):.1f} to {1e3 * max(own.seconds):.1f} ms",
                f"{own.memory:.0f} MB",
                f"{ratio:.2f}",
                against(ratio, bounds[name]) if name in bounds else "",
            ]
        )
    return markdown(rows)


def updates(threads, repeats, jax_python) -> str:
    """Long trials at dt = 1 ms: the engine against other ways to do the same."""
    floor, tables = "its products alone, torch.mm", []
    for steps in (1000, 2000):
        own = settings(threads, steps=steps)
        contestants = {"this project": ("updates", own)}
        if steps == 1000:
            contestants["plain loop, autograd, W made once"] = "loops", own
            contestants["plain loop, W made at every step"] = "loops", own | {"anew": True}
            if subprocess.run([jax_python, "-c", "import jax"], capture_output=True).returncode:
                print("JAX is not installed here; its row is left out.\n")
            else:
                contestants["JAX, jit of lax.scan"] = "jax_scan", own
        contestants[floor] = "products", own
        times = race(contestants, repeats, {"JAX, jit of lax.scan": jax_python})
        title = f"update, batch 64, {steps} steps, float32"
        tables.append(race_table(title, times, floor, {"this project": 1.2}))
    return "\n\n".join(tables)


def descent(threads, repeats, _) -> str:
    """The update of the descent as committed, and what is spent on batches and noise."""
    own = settings(
        threads, batch=CONFIG.training.batch_size, steps=N_STEPS, dt=CONFIG.training.dt, goes=10
    )
    first, floor = "as committed, products in bfloat16", "its products alone, float32, three calls"
    batch, noise = "making the batch", "drawing the noise"
    contestants = {
        first: ("updates", own | {"products": "bfloat16"}),
        "products in float32": ("updates", own),
        "its products alone, float32, step by step": ("products", own),
        floor: ("products", own | {"at_once": True}),
        batch: ("batches", own),
        noise: ("noises", own),
    }
    times = race(contestants, repeats)
    title = f"update of the descent, batch {own['batch']}, {N_STEPS} steps"
    share = 100 * (times[batch].median + times[noise].median) / times[first].median
    return (
        race_table(title, times, floor, {first: 1.5})
        + f"\n\nBatch and noise are {share:.1f} % of an update; to reach: {against(share, 5, ' %')}"
    )


def scripts(threads, *_) -> str:
    """Help, time and peak memory of every script, the training as a whole, and the tests."""
    rows = [["script", "--help", "to reach", "time", "to reach", "peak memory", "to reach"]]
    shipped, total = ["--checkpoint", "shipped"], 0.0
    plans = {"train": ["train.py"]}
    plans |= {name: [f"{name}.py", *shipped * (name != "plot_fig3")] for name in FIGURES}
    plans["drive, 520 s"] = [f"{FIGURES[0]}.py", *shipped, *LONG]
    with tempfile.TemporaryDirectory() as folder:
        for name, (file, *words) in plans.items():
            helped = script([HOME / file, "--help"], folder, threads).median
            time = script([HOME / file, *words], folder, threads)
            total += time.median if name in FIGURES else 0
            bound = {FIGURES[0]: against(time.median, DRIVE_SECONDS, " s")}
            memory = (
                against(time.memory, DRIVE_MEMORY, " MB") if file == plans[FIGURES[0]][0] else ""
            )
            rows.append(
                [
                    name,
                    f"{helped:.1f} s",
                    against(helped, HELP_SECONDS, " s"),
                    f"{time.median:.1f} s",
                    bound.get(name, ""),
                    f"{time.memory:.0f} MB",
                    memory,
                ]
            )
        test = script(["-m", "pytest", "-q", HOME / "tests"], folder, threads).median
    rows.append(["make figures", "", "", f"{total:.0f} s", against(total, FIGURES_SECONDS, " s")])
    rows.append(["make test", "", "", f"{test:.0f} s", against(test, TEST_SECONDS, " s")])
    return markdown([row + [""] * (7 - len(row)) for row in rows])


def larger(threads, *_) -> str:
    """Seconds an update of a large network takes, alone and shared by two processes."""
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node=2"]
    ways = {"one process, 1 thread": ([], 1), f"one process, {threads} threads": ([], threads)}
    ways["torchrun, 2 processes, 1 thread each"] = torchrun, 1
    rows = [[f"update of the descent, N = {LARGER['model.hidden_dim']}", "batch 14", "batch 112"]]
    for name, (words, n_threads) in ways.items():
        row = [name]
        for batch in (14, 112):
            flags = [f"--{k}={v}" for k, v in {**LARGER, "training.batch_size": batch}.items()]
            with tempfile.TemporaryDirectory() as folder:
                script([*words, HOME / "train.py", *flags], folder, n_threads)
                with open(Path(folder) / "training_log.csv", encoding="utf-8") as file:
                    at = [float(line["seconds"]) for line in csv.DictReader(file)]
            row.append(f"{median(b - a for a, b in zip(at[1:], at[2:], strict=False)):.2f} s")
        rows.append(row)
    return markdown(rows)


def cuda(threads, repeats, _) -> str:
    """The update on a GPU, of the descent and of a large batch at dt = 1 ms."""
    code = "import torch; torch.zeros(1).cuda()"
    if subprocess.run([sys.executable, "-c", code], capture_output=True).returncode:
        return "There is no CUDA device here."
    tables = []
    for batch, steps, dt in ((CONFIG.training.batch_size, N_STEPS, 0.01), (512, 2000, 0.001)):
        own = settings(threads, batch=batch, steps=steps, dt=dt, device="cuda")
        contestants = {"this project": ("updates", own), "its products": ("products", own)}
        times = race(contestants, repeats)
        tables.append(race_table(f"CUDA, batch {batch}, {steps} steps", times, "its products", {}))
    return "\n\n".join(tables)


def machine(threads, repeats) -> str:
    """What ran, in one line."""
    about, cpu = provenance(), platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        known = dict(line.replace("\t", "").split(":", 1) for line in lines if ":" in line)
        cpu = f"{known.get('model name', cpu).strip()} (family{known.get('cpu family', ' ?')})"
        cpu += ", AVX512-BF16" * ("avx512_bf16" in known.get("flags", ""))
    versions = ", ".join(f"{name} {about[name]}" for name in ("python", "torch", "numpy", "scipy"))
    return (
        f"{cpu}, {os.cpu_count()} cores; {versions}; commit {about['commit']}; {threads} threads, "
        f"wall time, medians of {repeats} turns; N = {CONFIG.model.hidden_dim}"
    )


TABLES = {f.__name__: f for f in (updates, descent, scripts, larger, cuda)}


def main(only: str = "+".join(TABLES), threads=2, repeats=5, jax_python=sys.executable):
    if unknown := set(only.split("+")) - set(TABLES):
        raise UserError(f"--only {min(unknown)} is no table; allowed: {', '.join(TABLES)}")
    print(machine(threads, repeats), flush=True)
    for name in only.split("+"):
        print(f"\n{TABLES[name](threads, repeats, jax_python)}", flush=True)


if __name__ == "__main__":
    cli.run(main)
