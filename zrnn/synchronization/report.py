"""All measures of synchronisation of one network, in the order in which they need each other."""

from collections.abc import Callable, Sequence

import numpy as np

from zrnn.errors import UserError
from zrnn.synchronization import measures, perturbed, phase_response, protocols, trajectories

STATE_RUNS = 2  # whose mean gives the trajectories


def tempos_compared(periods: Sequence[float]) -> list[float]:
    """Slowest, middle and fastest of the trained periods [s]; the middle one is the reference."""
    ordered = sorted(set(periods), reverse=True)
    return sorted({ordered[0], ordered[len(ordered) // 2], ordered[-1]}, reverse=True)


@np.errstate(divide="ignore", invalid="ignore")  # of a tempo without a beat, or without noise
def measure(
    model, periods, task, n_runs: int, gain: float, seed: int, note: Callable = print
) -> tuple[dict, dict]:
    """Numbers for synchronization.json, and {name of a figure: {name: array}}.

    periods [s]: those that the network was trained on, from slow to fast; task: the config's
    section; gain: of `synchronization.adapted_period`; note(text) is told what comes next.
    Raises UserError where the network has no beat at the middle period.
    """
    compared = tempos_compared(periods)
    reference = compared[len(compared) // 2]
    note("free-running cycles and their phase response")
    free, b = phase_response.free_cycles(model, periods, task), periods.index(reference)
    if not np.isfinite(free.period[b]):
        raise UserError(
            f"the network has no beat at the cue of {reference} s; there is nothing to "
            "synchronise; train a network: python train.py"
        )
    numbers, arrays = {}, {}
    width = task.click_width
    numbers["phase_response"], arrays["phase_response"] = perturbed.responses(
        model, free, periods, width
    )
    note("locking")
    numbers["tongues"], arrays["tongues"] = perturbed.tongues(model, free, b, reference, width)
    note("metronomes that go on, and that stop")
    numbers |= steady(model, periods, task, n_runs, seed, free, arrays)
    note("more noise")
    numbers["drift"]["noise"], noisy = measures.with_more_noise(model, compared, task, n_runs, seed)
    arrays["drift"] |= noisy
    note("steps of the tempo")
    numbers["tempo_steps"], numbers["after_effect"], arrays["tempo_steps"] = perturbed.tempo_steps(
        model, reference, task, n_runs, seed
    )
    note("a cue that listens")
    known = np.isfinite(arrays["synchronization"]["asynchrony_ms"])
    by_period = np.array([periods, 1e-3 * arrays["synchronization"]["asynchrony_ms"]])[:, known]
    numbers["listening"], listened = perturbed.listen(
        model,
        reference,
        task,
        lambda period: np.interp(period, *by_period[:, ::-1]),
        gain,
        n_runs,
        seed,
    )
    arrays["tempo_steps"] |= listened
    return numbers, arrays


def steady(model, periods, task, n_runs: int, seed: int, free, arrays: dict) -> dict:
    """Measures at metronomes that go on, shift or stop; their arrays are added to `arrays`."""
    seconds = max(measures.SECONDS, measures.FEWEST_BEATS * max(periods))
    heard, silent = (
        protocols.keep_time(model, periods, task, seconds, clicks, n_runs, own, STATE_RUNS)
        for clicks, own in ((seconds, seed), (protocols.LEAD_SECONDS, seed + 1))
    )
    shifted = protocols.shift_clicks(model, periods, task, measures.SHIFTS, n_runs, seed)
    found = {
        "asynchrony_ms": measures.asynchrony(heard, periods),
        "iti": measures.intervals(heard, silent, periods),
        "wing_kristofferson": measures.clock_and_motor(silent, periods, seed),
        "alpha": measures.correction(heard, shifted, periods),
        "trajectories": trajectories.measure(heard.cycles, silent.cycles, periods),
    }
    arrays["synchronization"] = {k: v for _, own in found.values() for k, v in own.items()}
    numbers = {name: own for name, (own, _) in found.items()}
    numbers["drift"], arrays["drift"] = measures.drift(silent, free, periods)
    return numbers


def plain(value):
    """Numbers as JSON holds them: keys of text, six digits, None for what is not finite."""
    if isinstance(value, dict):
        return {str(key): plain(own) for key, own in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(own) for own in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value
