"""What a network does without some of its units: groups, random units in their place, and shares.

A lesion is a mask (N,) of units that are silenced, or held at the mean rate that they have in the
intact network at the same tempo. Silence takes away what they send and its mean with it: without
inhibition the activity then runs away, whichever I units go. Held units send their mean, so that
only its course over the cycle is lost. Models and arrays in, numbers out; nothing here touches the
disk. Shapes: N units, K lesions, P periods, B = K P trials, T time steps.
"""

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from zrnn import simulate
from zrnn import taps as tapping
from zrnn.populations.groups import SILENT, Populations
from zrnn.taps import Beat

STRONG = 1e3  # current that holds a unit silent: far above any that the network makes
CHUNK = 8  # lesions driven side by side: more do not go faster on a CPU
RUNAWAY = 10.0  # an output beyond +-this has run away and is no beat (target: 0..1)
CLICK_SECONDS = 2.0  # [s] start of a run, with clicks; not kept
SHARES = 0.05, 0.1, 0.2, 0.3, 0.5  # of all active units, lost at random

INTACT, LOSS = "intact", "units lost at random"
GROUP, RANDOM = "group", "as many at random"
SILENCED, HELD = "silenced", "held at the mean rate"


@dataclass(frozen=True)
class Lesion:
    """Units (N,) of bool, of a group or at random in its place; draw: which random choice."""

    group: str
    kind: str
    draw: int
    units: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """One lesion at one period [s], over its draws.

    how: SILENCED or HELD; beats: of the `runs`, how many beat; error (of the mean ITI, a share of
    the period) and cv: means over these, None where there are none; verdict: the commonest.
    """

    group: str
    kind: str
    how: str
    n_units: int
    period: float
    runs: int
    beats: int
    error: float | None
    cv: float | None
    verdict: str


def plan(found: Populations, draws: int, seed: int) -> list[Lesion]:
    """What to take away, each `draws` times: for what is random in it, and for the noise.

    Nothing; the units that are silent at every tempo; each group, and each part of the I units,
    and as many units of its type at random, from those that are not silent; and SHARES of the E
    and of the I units that are not silent.
    """
    groups, rng = found.reference.groups, np.random.default_rng(seed)
    never = np.all([r.groups[SILENT] for r in [found.reference, *found.recordings]], axis=0)
    pools = [of_type & ~groups[SILENT] for of_type in found.types.values()]

    def some(pool, n_units):
        mask = np.zeros_like(pool)
        mask[rng.choice(np.flatnonzero(pool), n_units, replace=False)] = True
        return mask

    lesions = []
    for draw in range(draws):
        lesions.append(Lesion(INTACT, GROUP, draw, np.zeros_like(never)))
        lesions.append(Lesion(SILENT, GROUP, draw, never))
    for name, own in {**groups, **found.parts}.items():
        if name == SILENT or not own.any():
            continue
        peers = next(pool for pool in pools if (own & pool).any())
        for draw in range(draws):
            lesions.append(Lesion(name, GROUP, draw, own))
            lesions.append(Lesion(name, RANDOM, draw, some(peers, own.sum())))
    for share in SHARES:
        for draw in range(draws):
            lost = [some(pool, round(share * pool.sum())) for pool in pools]
            lesions.append(Lesion(f"{100 * share:.0f} %", LOSS, draw, np.any(lost, axis=0)))
    return lesions


def lesioned(model, masks: np.ndarray, rates: np.ndarray | None = None):
    """A copy of the model with biases of its own for each of B trials, made by lesions (B, N).

    A current of -STRONG silences the units: their rates are exactly 0, as if their columns of W
    and W_out were 0. rates (B, N): where given, what the units send at these rates is added.
    """
    copied, device = copy.deepcopy(model), model.w_hh.device
    masks = torch.as_tensor(masks, device=device)
    b_hh, b_ho = model.b_hh.detach() - STRONG * masks.to(model.b_hh), model.b_ho.detach()
    if rates is not None:
        sent = torch.as_tensor(rates).to(b_hh) * masks
        b_hh = b_hh + sent @ model.effective_w_hh().detach().t()
        b_ho = b_ho + sent @ model.w_ho.detach().t()
    copied.b_hh, copied.b_ho = torch.nn.Parameter(b_hh), torch.nn.Parameter(b_ho)
    return copied


def drive_lesioned(
    model,
    masks: np.ndarray,
    periods: Sequence[float],
    task_section,
    seconds: float,
    noise=None,
    rates: np.ndarray | None = None,
) -> np.ndarray:
    """Outputs (K, P, T) with lesions (K, N): clicks, then `seconds` of silence, which are kept.

    rates (P, N): at which the units are held; silenced without.
    """
    n_lesions, n_periods = len(masks), len(periods)
    inputs = simulate.driving_inputs(
        periods, CLICK_SECONDS + seconds, model.dt, task_section, CLICK_SECONDS
    )
    copied = lesioned(
        model,
        np.repeat(masks, n_periods, axis=0),
        None if rates is None else np.tile(rates, (n_lesions, 1)),
    )
    discard = round(CLICK_SECONDS / model.dt)
    kept = simulate.run(copied, inputs.repeat(n_lesions, 1, 1), noise, discard=discard).outputs
    return kept.reshape(n_lesions, n_periods, -1)


def outcomes(
    model,
    lesions: list[Lesion],
    found: Populations,
    task_section,
    seconds: float,
    seed: int,
    on_lesions: Callable[[int], object] = lambda n: None,
) -> list[Outcome]:
    """What each lesion does, silenced and held, at the tempos compared in `found`, noise on.

    on_lesions(n) is called after every n lesions, each of which comes twice.
    """
    periods = [recording.period for recording in found.compared]
    rates = np.array([recording.cycle.mean(axis=0) for recording in found.compared])
    noise = torch.Generator(model.w_hh.device).manual_seed(seed)
    gathered = {}
    for how, held in ((SILENCED, None), (HELD, rates)):
        for start in range(0, len(lesions), CHUNK):
            chunk = lesions[start : start + CHUNK]
            masks = np.array([lesion.units for lesion in chunk])
            outputs = drive_lesioned(model, masks, periods, task_section, seconds, noise, held)
            for lesion, own in zip(chunk, outputs, strict=True):
                for period, output in zip(periods, own, strict=True):
                    key = lesion.group, lesion.kind, how, int(lesion.units.sum()), period
                    gathered.setdefault(key, []).append(_beat(output, model.dt))
            on_lesions(len(chunk))
    return [_outcome(*key, beats) for key, beats in gathered.items()]


def _beat(output, dt) -> Beat:
    """Without inhibition an output can swing at thousands of times its height: no beat either."""
    beat = tapping.describe_beat(tapping.find_taps(output, dt), len(output), dt)
    within = np.abs(output).max() <= RUNAWAY  # false where it is NaN
    return beat if within else replace(beat, ok=False, reason="runs away")


def _outcome(group, kind, how, n_units, period, beats) -> Outcome:
    beating = [beat for beat in beats if beat.ok]
    error = float(np.mean([beat.mean_iti for beat in beating]) / period - 1) if beating else None
    cv = float(np.mean([beat.cv for beat in beating])) if beating else None
    verdict = Counter(beat.verdict for beat in beats).most_common(1)[0][0]
    return Outcome(group, kind, how, n_units, period, len(beats), len(beating), error, cv, verdict)


def in_short(outcome: Outcome) -> str:
    """Error and CV of the ITI [%] (runs that beat, where not all do), or why none does."""
    if not outcome.beats:
        return outcome.verdict.removeprefix("no beat: ")
    some = f" ({outcome.beats}/{outcome.runs})" if outcome.beats < outcome.runs else ""
    return f"{100 * outcome.error:+.1f}, {100 * outcome.cv:.1f}{some}"


def table(rows: list[Outcome]) -> str:
    """What a person reads, one line a lesion: error and CV of the ITI [%] at each period."""
    lines, gathered = [], {}
    for row in rows:
        name = f"{row.group}, {row.kind} ({row.n_units}), {row.how}"
        gathered.setdefault(name, []).append(row)
    periods = [row.period for row in next(iter(gathered.values()))]
    lines.append(f"{'lesion':<60}" + "".join(f"{f'{p:g} s':>16}" for p in periods))
    for name, own in gathered.items():
        lines.append(f"{name:<60}" + "".join(f"{in_short(row):>16}" for row in own))
    return "\n".join(
        [
            *lines,
            "error, CV of the ITI [%] (runs that beat, where not all do); a word: no beat",
        ]
    )
