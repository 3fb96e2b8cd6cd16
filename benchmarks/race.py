"""Processes that are timed: contestants that take turns, and scripts from start to end."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

HOME = Path(__file__).parents[1]


@dataclass(frozen=True)
class Time:
    """Seconds of every go, and the peak of memory [MB]."""

    seconds: list[float]
    memory: float

    @property
    def median(self) -> float:
        return median(self.seconds)


def _environment(threads):
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}


def race(contestants: dict[str, tuple], repeats: int, pythons: dict | None = None) -> dict:
    """{name: Time} of contestants, {name: (function of contestants.py, settings)}.

    All start before any is timed, then they take turns, so that whatever else the machine does hits
    all alike. pythons: {name: another Python}.
    """
    running = {}
    for name, (function, settings) in contestants.items():
        python = (pythons or {}).get(name, sys.executable)
        script = Path(__file__).with_name("contestants.py")
        running[name] = subprocess.Popen(
            [python, script, function, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=_environment(settings["threads"]),
        )
        if running[name].stdout.readline() != "ready\n":
            raise RuntimeError(f"{function} did not start; its error is above")
    seconds = {name: [] for name in running}
    for _ in range(repeats):
        for name, process in running.items():
            process.stdin.write("\n")
            process.stdin.flush()
            seconds[name].append(float(process.stdout.readline()))
    memory = {name: float(process.communicate()[0]) for name, process in running.items()}
    return {name: Time(seconds[name], memory[name]) for name in running}


def script(words: list, folder, threads: int) -> Time:
    """A Python process from start to end, in a folder. Raises RuntimeError where it fails."""
    with open(Path(folder) / "said.txt", "w+", encoding="utf-8") as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *map(str, words)],
            cwd=folder,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=_environment(threads),
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{words[0]} failed: {said.read()[-500:]}")
    return Time([seconds], usage.ru_maxrss / 1e3)
