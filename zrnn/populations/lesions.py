"""What a network does without some of its units: a group, as many random units, a random fraction.

Lesioned units are silenced, or held at the mean rate that they have in the intact network at the
same tempo. Silencing also removes the mean of what they send, and without inhibition the activity
diverges. Held units still send their mean; only the modulation of their rates is lost.
Shapes: N units, K lesions, P periods, B = K P trials, T time steps.
"""

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch

from zrnn import simulate
from zrnn.populations.groups import CLICK_SECONDS, SILENT, Populations
from zrnn.taps import Beat, describe_beat, find_taps

SILENCING_CURRENT = -1e3  # far below any current of the network, so that the rate is exactly 0
LESIONS_AT_ONCE = 8  # simulated side by side; more are not faster on a CPU
MAX_OUTPUT = 10.0  # a run whose output exceeds +-this has diverged (the target is within 0..1)
FRACTIONS = 0.05, 0.1, 0.2, 0.3, 0.5  # of the active E and I units, lost at random

INTACT, LOSS = "intact", "units lost at random"
GROUP, RANDOM = "group", "as many at random"
SILENCED, HELD = "silenced", "held at the mean rate"


@dataclass(frozen=True)
class Lesion:
    """Units (N,), a mask, that are lesioned; kind: GROUP, RANDOM (in its place) or LOSS."""

    group: str
    kind: str
    units: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """What one lesion does at one period [s], over several runs.

    method: SILENCED or HELD; beats: how many of the runs make a beat; error of the mean ITI
    (fraction of the period) and cv: means over these runs, None if there are none; result: of the
    `Beat` of most runs.
    """

    group: str
    kind: str
    method: str
    n_units: int
    period: float
    runs: int
    beats: int
    error: float | None
    cv: float | None
    result: str


def plan(found: Populations, draws: int, seed: int) -> list[Lesion]:
    """The lesions, each `draws` times; every time, random units are drawn anew.

    No units; units that are silent at every tempo; each group, and as many active units of its
    type at random; FRACTIONS of the active E and I units.
    """
    groups, rng = found.reference.groups, np.random.default_rng(seed)
    silent = np.all([r.groups[SILENT] for r in [found.reference, *found.recordings]], axis=0)
    active = [of_type & ~groups[SILENT] for of_type in found.types.values()]

    def some(units, n_units):
        mask = np.zeros_like(units)
        mask[rng.choice(np.flatnonzero(units), n_units, replace=False)] = True
        return mask

    nothing = np.zeros_like(silent)
    lesions = [Lesion(INTACT, GROUP, nothing), Lesion("silent units", GROUP, silent)] * draws
    for name, units in {**groups, **found.i_clusters}.items():
        if name == SILENT or not units.any():
            continue
        same_type = next(of_type for of_type in active if (units & of_type).any())
        for _ in range(draws):
            lesions.append(Lesion(name, GROUP, units))
            lesions.append(Lesion(name, RANDOM, some(same_type, units.sum())))
    for fraction in FRACTIONS:
        for _ in range(draws):
            lost = [some(of_type, round(fraction * of_type.sum())) for of_type in active]
            lesions.append(Lesion(f"{100 * fraction:.0f} %", LOSS, np.any(lost, axis=0)))
    return lesions


@torch.no_grad()
def drive_lesioned(
    model, masks, rates, periods: Sequence[float], task_section, seconds: float, noise=None
) -> np.ndarray:
    """Outputs (K, P, T) with lesions masks (K, N), over the `seconds` [s] after the clicks.

    rates (P, N): at which lesioned units are held at each period, 0 where they are silenced. Every
    trial has biases of its own: SILENCING_CURRENT makes the rates 0, as if the units' columns of W
    and W_out were 0, and what they would send at `rates` is added.
    """
    copied, n_lesions, n_periods = copy.deepcopy(model), len(masks), len(periods)
    lesioned = torch.as_tensor(np.repeat(masks, n_periods, axis=0)).to(model.b_hh)  # (B, N)
    sent = torch.as_tensor(np.tile(rates, (n_lesions, 1))).to(model.b_hh) * lesioned
    b_hh = model.b_hh + SILENCING_CURRENT * lesioned + sent @ model.effective_w_hh().t()
    copied.b_hh = torch.nn.Parameter(b_hh)
    copied.b_ho = torch.nn.Parameter(model.b_ho + sent @ model.w_ho.t())
    inputs = simulate.driving_inputs(
        periods, CLICK_SECONDS + seconds, model.dt, task_section, CLICK_SECONDS
    )
    discard = round(CLICK_SECONDS / model.dt)
    run = simulate.run(copied, inputs.repeat(n_lesions, 1, 1), noise, discard=discard)
    return run.outputs.reshape(n_lesions, n_periods, -1)


def outcomes(
    model, lesions: list[Lesion], found: Populations, task_section, seconds, seed, on_lesions=None
) -> list[Outcome]:
    """The effect of each lesion, silenced and held, at the compared tempos, with noise.

    seconds [s] are kept of each run; on_lesions(n), if given, is called after every n lesions, each
    of which is run twice.
    """
    periods = [recording.period for recording in found.compared]
    mean_rates = np.array([recording.cycle.mean(axis=0) for recording in found.compared])
    noise, beats = torch.Generator(model.w_hh.device).manual_seed(seed), {}
    for method, rates in ((SILENCED, 0 * mean_rates), (HELD, mean_rates)):
        for start in range(0, len(lesions), LESIONS_AT_ONCE):
            chunk = lesions[start : start + LESIONS_AT_ONCE]
            masks = np.array([lesion.units for lesion in chunk])
            driven = drive_lesioned(model, masks, rates, periods, task_section, seconds, noise)
            trials = zip(product(chunk, periods), driven.reshape(-1, driven.shape[-1]), strict=True)
            for (lesion, period), output in trials:
                key = lesion.group, lesion.kind, method, int(lesion.units.sum()), period
                beats.setdefault(key, []).append(_beat(output, model.dt))
            if on_lesions:
                on_lesions(len(chunk))
    return [_outcome(key, runs) for key, runs in beats.items()]


def _beat(output, dt) -> Beat:
    """The beat of an output (T,), which is none where the output has diverged."""
    beat = describe_beat(find_taps(output, dt), len(output), dt)
    is_bounded = np.abs(output).max() <= MAX_OUTPUT  # False where it is NaN
    return beat if is_bounded else replace(beat, ok=False, reason="runs away")


def _outcome(key, runs: list[Beat]) -> Outcome:
    """The outcome of several runs; key: group, kind, method, number of units, period [s]."""
    beats, error, cv = [beat for beat in runs if beat.ok], None, None
    if beats:
        error = float(np.mean([beat.mean_iti for beat in beats]) / key[-1] - 1)
        cv = float(np.mean([beat.cv for beat in beats]))
    result = Counter(beat.result for beat in runs).most_common(1)[0][0]
    return Outcome(*key, len(runs), len(beats), error, cv, result)


def in_short(outcome: Outcome) -> str:
    """Error and CV of the ITI [%], with the number of runs that beat if not all do, or why none."""
    if not outcome.beats:
        return outcome.result.removeprefix("no beat: ")
    some = f" ({outcome.beats}/{outcome.runs})" if outcome.beats < outcome.runs else ""
    return f"{100 * outcome.error:+.1f}, {100 * outcome.cv:.1f}{some}"
