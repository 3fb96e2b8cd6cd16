"""Processes side by side, each on one thread, each with a log file."""

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

LOOK_EVERY = 0.2  # [s] between two looks at whether one has ended


def run_all(
    commands: dict[str, list],
    folder,
    jobs: int,
    ended: Callable[[str, int], object] = lambda name, code: None,
) -> dict[str, int]:
    """Run every command, `jobs` at a time, and return their exit codes, {name: code}.

    What a command says goes to NAME.txt in the folder; ended(name, code) is called after each. If
    this process is stopped, they are told to stop, and have their time to save what they save.
    """
    waiting, running, codes = list(commands), {}, {}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    Path(folder).mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.callback(lambda: [process.wait() for process in running.values()])
        stack.callback(lambda: [process.terminate() for process in running.values()])
        while waiting or running:
            while waiting and len(running) < jobs:
                name = waiting.pop(0)
                log = stack.enter_context(open(Path(folder) / f"{name}.txt", "a"))
                running[name] = subprocess.Popen(
                    [str(word) for word in commands[name]],
                    stdout=log, stderr=subprocess.STDOUT, env=environment,
                )  # fmt: skip
            time.sleep(LOOK_EVERY)
            for name in [name for name, process in running.items() if process.poll() is not None]:
                codes[name] = running.pop(name).returncode
                ended(name, codes[name])
    return codes


def last_line(folder, name: str) -> str:
    """The last line that a command has said; progress bars are lines too."""
    text = (Path(folder) / f"{name}.txt").read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines()]
    return next((line for line in reversed(lines) if line), "nothing said")
