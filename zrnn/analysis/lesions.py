"""What a network does without some of its units: groups silenced, and random units in their place.

A lesion is a mask (N,) of the units that are silenced. Models and arrays in, numbers out; nothing
here touches the disk. Shapes: N units, K lesions, T time steps.
"""

import copy
from collections import Counter, namedtuple
from dataclasses import replace

import numpy as np
import torch

from zrnn.analysis import taps as tapping
from zrnn.network import drive as driving

STRONG = 1e3  # current that holds a unit silent: far above any that the network makes
CHUNK = 8  # lesions driven side by side: more do not go faster on a CPU

Lesion = namedtuple("Lesion", "group kind draw units")  # draw: which random choice; units: mask
# One group, kind and tempo over its draws: error (of the mean ITI, a share of the period) and cv
# are means over the `beats` runs of `runs` that beat, NaN if none does; verdict is the commonest.
Outcome = namedtuple("Outcome", "group kind n_units period runs beats error cv verdict")

INTACT = "intact"
WHOLE, HALF = "whole group", "half of it"
RANDOM_WHOLE, RANDOM_HALF = "as many at random", "half as many at random"


def plan(found, draws, seed):
    """What to silence, of `groups.Populations` -> list of `Lesion`.

    Nothing; the units that are silent at every recorded tempo; and for each group, and each part of
    the I units, the whole of it, a random half, and as many units of its type at random, from those
    that are not silent. Each comes `draws` times, for what is random in it and for the noise.
    """
    members = found.groups[found.reference.period]
    silent, rng = members["silent"], np.random.default_rng(seed)
    never = np.all([groups["silent"] for groups in found.groups.values()], axis=0)

    def some(pool, n_units):
        mask = np.zeros_like(pool)
        mask[rng.choice(np.flatnonzero(pool), n_units, replace=False)] = True
        return mask

    result = []
    for draw in range(draws):
        result.append(Lesion(INTACT, WHOLE, draw, np.zeros_like(silent)))
        result.append(Lesion("silent", WHOLE, draw, never))
    for name, own in {**members, **found.parts}.items():
        if name == "silent" or not own.any():
            continue
        peers = next(of_type for of_type in found.types.values() if (own & of_type).any())
        n_units, half = own.sum(), -(-own.sum() // 2)
        for draw in range(draws):
            result.append(Lesion(name, WHOLE, draw, own))
            result.append(Lesion(name, RANDOM_WHOLE, draw, some(peers & ~silent, n_units)))
            result.append(Lesion(name, HALF, draw, some(own, half)))
            result.append(Lesion(name, RANDOM_HALF, draw, some(peers & ~silent, half)))
    return result


def silencing(model, lesions):
    """A copy of the model with K more inputs; each, held at 1, silences the units of a lesion.

    lesions (K, N) of bool. The input is a current of -STRONG: the rates are then exactly 0, as if
    the units' columns of W and W_out were 0, and trials with different lesions make one batch.
    """
    copied = copy.deepcopy(model)
    currents = -STRONG * torch.as_tensor(lesions).to(model.w_ih)
    copied.w_ih = torch.nn.Parameter(torch.cat([model.w_ih.detach(), currents.t()], dim=1))
    return copied


def drive_lesioned(model, lesions, periods, config, noise):
    """Outputs (K, periods, T) of runs with lesions (K, N): clicks, then the kept silence."""
    n_lesions, n_periods = len(lesions), len(periods)
    inputs = driving.driving_inputs(periods, [True] * n_periods, model.dt, config)
    switch = torch.eye(n_lesions).repeat_interleave(n_periods, dim=0)  # (B, K)
    switch = switch[:, None].expand(-1, inputs.shape[1], -1)
    inputs = torch.cat([inputs.repeat(n_lesions, 1, 1), switch], dim=-1).to(model.w_hh.device)
    outputs, discard = [], round(config["drive"]["discard_seconds"] / model.dt)
    driving.drive_network(
        silencing(model, lesions), inputs, noise,
        lambda t, output, state: outputs.append(output) if t >= discard else None,
    )  # fmt: skip
    return torch.stack(outputs, dim=1).cpu().numpy().reshape(n_lesions, n_periods, -1)


def drive_all(model, plan, periods, config, on_lesion=None):
    """The beat after each lesion of the plan at periods [s], noise on: [[Beat] * periods] * plan.

    groups.lesion_seconds are kept. Where the output leaves +-groups.runaway, the verdict is
    "no beat: runs away", even if it oscillates: without inhibition it can swing at thousands of
    times the height of the target. on_lesion(n) is called after every n lesions.
    """
    config = {**config, "drive": {**config["drive"]}}
    config["drive"]["keep_seconds"] = config["groups"]["lesion_seconds"]
    noise = torch.Generator(model.w_hh.device).manual_seed(config["groups"]["seed"])
    beats = []
    for start in range(0, len(plan), CHUNK):
        masks = np.array([lesion.units for lesion in plan[start : start + CHUNK]])
        for outputs in drive_lesioned(model, masks, periods, config, noise):
            beats.append([_beat(output, model.dt, config) for output in outputs])
        if on_lesion:
            on_lesion(len(masks))
    return beats


def _beat(output, dt, config):
    beat = tapping.describe_beat(tapping.find_taps(output, dt), len(output), dt)
    within = np.abs(output).max() <= config["groups"]["runaway"]  # false where it is NaN
    return beat if within else replace(beat, ok=False, reason="runs away")


def outcomes(plan, beats, periods):
    """Beats of `drive_all` gathered over the draws -> list of `Outcome`."""
    gathered = {}
    for lesion, own in zip(plan, beats, strict=True):
        for period, beat in zip(periods, own, strict=True):
            key = lesion.group, lesion.kind, int(lesion.units.sum()), period
            gathered.setdefault(key, []).append(beat)
    result = []
    for key, runs in gathered.items():
        beating = [beat for beat in runs if beat.ok]
        error = np.mean([b.mean_iti for b in beating]) / key[-1] - 1 if beating else np.nan
        cv = np.mean([b.cv for b in beating]) if beating else np.nan
        verdict = Counter(beat.verdict for beat in runs).most_common(1)[0][0]
        result.append(Outcome(*key, len(runs), len(beating), float(error), float(cv), verdict))
    return result


def plain(outcome):
    """An `Outcome` as a dict for JSON: what is NaN becomes None."""
    return {k: None if v != v else v for k, v in outcome._asdict().items()}


def table(rows, periods):
    """What a person reads, one line a lesion: error and CV of the ITI [%] at each period."""
    lines = [f"{'silenced':<42}" + "".join(f"{f'{1 / p:.0f} Hz':>15}" for p in periods)]
    for start in range(0, len(rows), len(periods)):
        own = rows[start : start + len(periods)]
        line = f"{own[0].group}, {own[0].kind} ({own[0].n_units})"
        cells = []
        for row in own:
            some = f" {row.beats}/{row.runs}" if row.beats < row.runs else ""
            beat = f"{100 * row.error:+.1f}, {100 * row.cv:.1f}{some}"
            cells.append(beat if row.beats else row.verdict.removeprefix("no beat: "))
        lines.append(f"{line:<42}" + "".join(f"{cell:>15}" for cell in cells))
    return "\n".join([*lines, "error of the mean ITI [%], CV [%]; a word: no beat; n/m: some beat"])
