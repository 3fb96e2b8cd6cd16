"""Number of CPU threads: one or all cores, whichever completes a unit of work sooner.

With several threads, each of the many products of a sequence waits for the slowest thread. On cores
that other processes use as well, this can take many times as long as one thread. Therefore both are
measured. Weights were identical to the bit with one and two threads where that was compared.
"""

import time
from contextlib import contextmanager

import torch

TRIALS = 2  # units of work with each number of threads before one is chosen
TOO_SLOW = 2  # times the best: a number that took longer in its first unit gets no second one
REPEAT = 300  # units of work, in which each number is measured again once
_cores = torch.get_num_threads()  # at the start: all cores, or OMP_NUM_THREADS
_candidates = [1, _cores] if _cores > 1 else [1]
_measured: dict = {}  # {kind of work: (number of units so far, {threads: time of a unit [s]})}


def fix(number: int) -> None:
    """Use this number of threads from now on, without measuring."""
    _candidates[:] = [number]
    torch.set_num_threads(number)


@contextmanager
def faster(kind):
    """Run the block, one of many equal units of work of this kind, with the faster number."""
    if len(_candidates) == 1:
        yield
        return
    count, seconds = _measured.get(kind, (0, {}))
    number = _next(count, seconds)
    if number != torch.get_num_threads():
        torch.set_num_threads(number)
    began = time.perf_counter()
    yield
    elapsed = time.perf_counter() - began
    first = count < TRIALS * len(_candidates)
    seconds[number] = min(elapsed, seconds.get(number, elapsed)) if first else elapsed
    _measured[kind] = count + 1, seconds
    # the work that follows, of whatever kind, uses the faster number
    torch.set_num_threads(min(seconds, key=seconds.get))


def _next(count: int, seconds: dict) -> int:
    if count < TRIALS * len(_candidates):
        number = _candidates[count // TRIALS]
        if number not in seconds or seconds[number] < TOO_SLOW * min(seconds.values()):
            return number
    if count % REPEAT < len(_candidates):
        return _candidates[count % REPEAT]
    return min(seconds, key=seconds.get)


def used() -> dict:
    """The number of threads that is used now, and those it was chosen from."""
    return {"threads": torch.get_num_threads(), "threads_measured": list(_candidates)}
