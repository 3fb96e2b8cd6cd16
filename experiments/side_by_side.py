"""Trainings side by side, each a process of its own, on one thread."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from zrnn import cli
from zrnn.checkpoints import HOME

LOOK_EVERY = 0.2  # [s] between two looks at whether one has ended
TRAIN = HOME / "train.py"
# train.py with constants of its modules set otherwise, by the statement that is put in
PATCHED = """import runpy, sys
import numpy as np
sys.path.insert(0, {home!r})
from zrnn.training import descent, refinement
{statement}
sys.argv[0] = {script!r}
runpy.run_path({script!r}, run_name="__main__")"""


def training(folder: Path, name: str, flags: dict, statement: str = "") -> list[str]:
    """The call of train.py that makes NAME.pth and its log in the folder, or goes on with it.

    flags: {"section.key" or "config_path": value}; statement: sets constants of the modules descent
    and refinement: "refinement.N_CUES = 8".
    """
    code = PATCHED.format(home=str(HOME), script=str(TRAIN), statement=statement)
    places = {"training.save_path": folder / f"{name}.pth"}
    places |= {"training.log_path": folder / f"{name}.csv", "plotting.enable": False}
    script = ["-c", code] if statement else [str(TRAIN)]
    resume = ["--resume"] * (folder / f"{name}.pth.state").exists()
    words = [f"--{key}={value}" for key, value in {**flags, **places}.items()]
    return [sys.executable, *script, *words, *resume]


def is_there(folder: Path, name: str) -> bool:
    """Whether NAME.pth was trained to the end."""
    return (folder / f"{name}.pth").exists() and not (folder / f"{name}.pth.state").exists()


def train_all(folder: Path, commands: dict[str, list[str]], jobs: int) -> list[str]:
    """Run the commands whose NAME.pth is not there, `jobs` at a time; the names of what failed.

    What they say goes to NAME.txt in the folder, how each ends is printed. If this process is
    stopped, they are told to stop, and have their time to save their state.
    """
    waiting = {name: words for name, words in commands.items() if not is_there(folder, name)}
    print(f"{len(waiting)} to train, {len(commands) - len(waiting)} are there", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    names, running, failed, began = list(waiting), {}, [], time.time()
    with cli.if_stopped("the same command goes on with it"), ExitStack() as stack:
        stack.callback(lambda: [process.wait() for process in running.values()])
        stack.callback(lambda: [process.terminate() for process in running.values()])
        while names or running:
            while names and len(running) < jobs:
                name = names.pop(0)
                log = stack.enter_context(open(folder / f"{name}.txt", "w"))
                running[name] = subprocess.Popen(
                    waiting[name], stdout=log, stderr=subprocess.STDOUT, env=environment
                )
            time.sleep(LOOK_EVERY)
            for name in [name for name, process in running.items() if process.poll() is not None]:
                code = running.pop(name).returncode
                failed += [name] * (code != 0)
                said = "trained" if code == 0 else last_line(folder / f"{name}.txt")
                print(f"{time.time() - began:6.0f} s  {name}: {said}", flush=True)
    if trained := len(waiting) - len(failed):
        hours = (time.time() - began) / 3600
        print(f"{trained / hours:.0f} networks an hour, {jobs} at a time")
    print(f"not trained: {', '.join(failed) or 'none'}\n")
    return failed


def last_line(log: Path) -> str:
    """The last line that a process has said; a progress bar is a line too."""
    lines = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "nothing said")
