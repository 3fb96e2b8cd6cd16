"""The populations inside a trained network: groups, their activity and their connections.

A unit belongs to a group by its type (E or I) and by where in the cycle it peaks: near the tap or
between taps; a unit that never fires is silent. Arrays and models in, arrays and numbers out;
nothing here touches the disk. Shapes: N units, P phases of a cycle, G groups.
A group is a mask (N,) of bool.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from zrnn import simulate, trajectories
from zrnn import taps as tapping
from zrnn.errors import UserError

SILENT = "silent"
CLICK_SECONDS, RECORD_SECONDS = 2.0, 4.0  # [s] of a recording: not kept, and kept
BORDER = 0.05  # [cycles] closer to an end of the tap window than this: near its border

Groups = dict[str, np.ndarray]  # {name: mask (N,)}


@dataclass(frozen=True)
class Recording:
    """What a network does at one period [s] without noise.

    phases (N,): where each unit's mean current peaks, in 0..1 from the tap; cycle (P, N): mean
    rates from tap to tap; groups: of these phases, every unit in exactly one.
    """

    period: float
    mean_iti: float
    phases: np.ndarray
    cycle: np.ndarray
    groups: Groups


@dataclass(frozen=True)
class Populations:
    """The groups of a network.

    types: E and I units, or {"": all of them} where Dale's law does not hold; reference: the
    recording at the middle of the trained cues; recordings: those at every trained period, from
    the longest to the shortest; parts: the active I units in two, split by the shape of their cycle
    at the reference (none where there are no types); silhouettes: {type: of such a split}.
    """

    types: Groups
    reference: Recording
    recordings: list[Recording]
    parts: Groups
    silhouettes: dict[str, float]

    @property
    def compared(self) -> list[Recording]:
        """The slowest, the middle and the fastest tempo."""
        last = len(self.recordings) - 1
        return [self.recordings[i] for i in dict.fromkeys((0, (last + 1) // 2, last))]


def record(model, periods: Sequence[float], task_section, types: Groups) -> list[Recording]:
    """Noise-free runs at periods [s], clicks first and then the cue alone.

    Raises UserError where the network has no beat.
    """
    inputs = simulate.driving_inputs(
        periods, CLICK_SECONDS + RECORD_SECONDS, model.dt, task_section, CLICK_SECONDS
    )
    kept = simulate.run(model, inputs, discard=round(CLICK_SECONDS / model.dt), keep_states=True)
    recordings = []
    for period, output, states in zip(periods, kept.outputs, kept.states, strict=True):
        taps = tapping.find_taps(output, model.dt)
        beat = tapping.describe_beat(taps, len(output), model.dt)
        if not beat.ok:
            raise UserError(
                f"at a period of {period:g} s without noise: {beat.verdict}; allowed: a network "
                "that beats at every trained period and at the middle of their cues"
            )
        taps = np.round(taps).astype(int)
        phases = trajectories.peak_phases(states, taps)
        cycle = trajectories.mean_cycle(np.maximum(states, 0), taps)
        groups = assign(phases, cycle, types)
        recordings.append(Recording(period, beat.mean_iti, phases, cycle, groups))
    return recordings


def unit_types(n_units: int, n_excit: int | None) -> Groups:
    """{"E": mask, "I": mask} (N,), or {"": everything} where Dale's law does not hold (None)."""
    if n_excit is None:
        return {"": np.ones(n_units, dtype=bool)}
    is_excit = np.arange(n_units) < n_excit
    return {"E": is_excit, "I": ~is_excit}


def assign(phases: np.ndarray, cycle: np.ndarray, types: Groups) -> Groups:
    """The groups: tap-E, tap-I, inter-tap-I, inter-tap-E, and silent (cycle all 0).

    Without types: tap, inter-tap, silent. Every unit is in exactly one.
    """
    silent = cycle.max(axis=0) <= 0
    is_tap = trajectories.tap_units(phases)
    tap = {f"tap-{t}".rstrip("-"): own & is_tap & ~silent for t, own in types.items()}
    between = {f"inter-tap-{t}".rstrip("-"): own & ~is_tap & ~silent for t, own in types.items()}
    return {**tap, **dict(reversed(between.items())), SILENT: silent}


def mean_rates(cycle: np.ndarray, groups: Groups) -> dict[str, np.ndarray]:
    """Mean rate of each group over the cycle, {name: (P,)}; empty groups are left out."""
    return {name: cycle[:, own].mean(axis=1) for name, own in groups.items() if own.any()}


def lag(of: np.ndarray, behind: np.ndarray) -> tuple[float, float]:
    """By how many cycles the curve `of` (P,) comes after `behind` (P,): their best match, and r.

    -> (lag in -0.5..0.5 at the largest circular cross-correlation, correlation at lag 0)
    """
    of, behind = of - of.mean(), behind - behind.mean()
    overlap = [np.dot(np.roll(behind, k), of) for k in range(len(of))]
    shift = np.argmax(overlap) / len(of)
    correlation = overlap[0] / np.linalg.norm(of) / np.linalg.norm(behind)
    return float((shift + 0.5) % 1 - 0.5), float(correlation)


def near_border(phases: np.ndarray) -> float:
    """Share of phases (M,) closer than BORDER to an end of the tap window.

    4 BORDER where phases are spread evenly; less where the window's ends lie in a gap.
    """
    from_end = np.minimum(phases, 1 - phases) - trajectories.TAP_PHASE
    return float(np.sum(np.abs(from_end) < BORDER) / max(len(phases), 1))


def agreement(labels: np.ndarray) -> float:
    """Share of units with the same label at every tempo: labels (tempos, M) -> a number."""
    return float((labels == labels[:1]).all(axis=0).sum() / max(labels.shape[1], 1))


def split_by_shape(
    cycle: np.ndarray, units: np.ndarray, reference: np.ndarray, seed: int
) -> tuple[list[np.ndarray], float]:
    """Two clusters of units by the shape of their mean cycle alone -> (2 masks, silhouette).

    k-means of the cycles (P, N) of units, each of length 1; no window, no tap. The first is the one
    whose mean comes earlier against the curve reference (P,). silhouette: 1 where the clusters are
    apart; a continuum of evenly spread phases gives 0.35 to 0.6 too, the more the narrower it is.
    """
    shapes = cycle[:, units].T
    shapes = shapes / np.linalg.norm(shapes, axis=1, keepdims=True)
    labels = KMeans(2, n_init=10, random_state=seed).fit_predict(shapes)
    parts = [np.zeros(len(units), dtype=bool) for _ in range(2)]
    for k, part in enumerate(parts):
        part[units] = labels == k
    parts.sort(key=lambda part: lag(cycle[:, part].mean(axis=1), reference)[0])
    return parts, float(silhouette_score(shapes, labels))


def find_populations(model, trained: Sequence[float], task_section, seed: int) -> Populations:
    """Everything that `record` and `split_by_shape` tell of a model trained at periods [s].

    seed: of the split. Raises UserError where there is no beat.
    """
    types = unit_types(len(model.w_hh), model.n_excit)
    cues = task_section.cue_constant / np.array(trained)
    middle = float(task_section.cue_constant / ((cues.min() + cues.max()) / 2))
    periods = sorted(trained, reverse=True)
    reference, *recordings = record(model, [middle, *periods], task_section, types)
    parts, silhouettes = {}, {}
    for name, of_type in types.items():
        active = of_type & ~reference.groups[SILENT]
        if len(types) > 1 and active.sum() > 2:
            all_e = reference.cycle[:, types["E"]].mean(axis=1)
            halves, silhouettes[name] = split_by_shape(reference.cycle, active, all_e, seed)
            if name == "I":
                parts = dict(zip(("early I", "late I"), halves, strict=True))
    return Populations(types, reference, recordings, parts, silhouettes)


def _activity(found, recording):
    """Of each group that fires: mean rate, peak, and lag and correlation to two curves."""
    curves = mean_rates(recording.cycle, {**recording.groups, **found.parts})
    first, all_of = next(iter(recording.groups)), next(iter(found.types))  # tap-E or tap; E or all
    against = {
        first: curves.get(first),
        f"all {all_of}".strip(): recording.cycle[:, found.types[all_of]].mean(axis=1),
    }
    activity = {}
    for name in [name for name in curves if name != SILENT]:
        activity[name] = {
            "mean_rate": float(curves[name].mean()),
            "peak_phase": float(curves[name].argmax() / len(curves[name])),
        }
        for other, curve in against.items():
            after, correlation = (None, None) if curve is None else lag(curves[name], curve)
            activity[name][f"lag_to_{other}_cycles"] = after
            activity[name][f"correlation_with_{other}"] = correlation
    return activity


def describe(found: Populations) -> dict:
    """The numbers of `Populations` in plain values, as they are written to JSON."""
    tempos = []
    for r in [found.reference, *found.compared]:
        silent = r.groups[SILENT]
        of_types = {name or "all": own for name, own in found.types.items()}
        tempos.append(
            {
                "period_s": r.period,
                "mean_iti_s": r.mean_iti,
                "sizes": {name: int(own.sum()) for name, own in r.groups.items()},
                "silent": {name: int((own & silent).sum()) for name, own in of_types.items()},
                "activity": _activity(found, r),
                "share_near_border": {
                    name: near_border(r.phases[own & ~silent]) for name, own in of_types.items()
                },
            }
        )
    return {
        "reference_period_s": found.reference.period,
        "tempos": tempos,
        "share_near_border_if_even": 4 * BORDER,
        "agreement_across_tempos": across_tempos(found),
        "parts": {name: int(own.sum()) for name, own in found.parts.items()},
        "silhouette_of_two_parts": found.silhouettes,
    }


def across_tempos(found: Populations) -> dict:
    """Of the units active at all tempos compared, the share that is tap, or inter-tap, at all."""
    active = ~np.any([r.groups[SILENT] for r in found.compared], axis=0)
    is_tap = np.array([trajectories.tap_units(r.phases) for r in found.compared])
    return {
        name or "all": {
            "units": int((own & active).sum()),
            "share": agreement(is_tap[:, own & active]),
        }
        for name, own in found.types.items()
    }


def table(numbers: dict) -> str:
    """What a person reads of `describe`: a line for each tempo and group."""
    one, other = "to the first group", "to all E (or all units)"
    lines = [f"{'':<44}{one:^20}{other:^20}"]
    heads = ("units", "mean rate", "peak", "lag", "r", "lag", "r")
    lines.append(f"{'':<9}{'group':<13}" + "".join(f"{head:>10}" for head in heads))
    for tempo in numbers["tempos"]:
        sizes = {**tempo["sizes"], **numbers["parts"]}
        for name, own in tempo["activity"].items():
            line = f"{1 / tempo['period_s']:4.1f} Hz  {name:<13}{sizes[name]:>10}"
            cells = ("none" if value is None else f"{value:.3f}" for value in own.values())
            lines.append(line + "".join(f"{cell:>10}" for cell in cells))
        silent = ", ".join(f"{name} {n}" for name, n in tempo["silent"].items())
        shares = ", ".join(f"{n} {share:.0%}" for n, share in tempo["share_near_border"].items())
        lines.append(f"{'':<9}silent: {silent}; near the border of the tap window: {shares}")
    lines.append(
        "peak: phase of the largest mean rate; lag [cycles]; r: correlation without lag\n"
        f"near the border if spread evenly: {numbers['share_near_border_if_even']:.0%}"
    )
    for name, own in numbers["agreement_across_tempos"].items():
        lines.append(
            f"{name}: {own['share']:.0%} of {own['units']} units active at all tempos keep to tap "
            "or inter-tap"
        )
    for name, value in numbers["silhouette_of_two_parts"].items():
        lines.append(f"{name}: silhouette of two clusters by shape {value:.2f}")
    return "\n".join(lines)
