"""Groups of units in a trained network: their activity, and how stable they are across tempos.

A unit belongs to a group by its type (E or I) and by the phase at which its mean current peaks:
near the tap (tap-E, tap-I) or between taps (inter-tap-E, inter-tap-I). A unit whose rate is 0 over
the whole cycle is silent. Networks without Dale's law have no types: tap, inter-tap, silent.
Nothing here touches the disk. Shapes: N units, P phases of a cycle. A group is a mask (N,).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zrnn import activity, simulate
from zrnn.errors import UserError
from zrnn.taps import describe_beat, find_taps
from zrnn.task import reference_cue

SILENT = "silent"
CLICK_SECONDS = 2.0  # [s] at the start of a recording, with clicks; not kept
RECORD_PERIODS = 8  # length of a recording without clicks, in longest periods; kept
BORDER = 0.05  # [cycles] phases closer than this to an end of the tap window are near its border

Groups = dict[str, np.ndarray]  # {name: mask (N,)}


@dataclass(frozen=True)
class Recording:
    """A noise-free run at one period [s].

    mean_iti [s]; phases (N,): where each unit's mean current peaks, in 0..1 from the tap;
    cycle (P, N): mean rates from tap to tap; groups: every unit is in exactly one.
    """

    period: float
    mean_iti: float
    phases: np.ndarray
    cycle: np.ndarray
    groups: Groups


@dataclass(frozen=True)
class Populations:
    """The groups of a network.

    types: E and I units, or {"": all units} without Dale's law; reference: the recording at the
    reference cue; recordings: one for each trained period, the longest first; i_clusters: early and
    late I units by the shape of their reference cycle; silhouettes: of such clusters, by type.
    """

    types: Groups
    reference: Recording
    recordings: list[Recording]
    i_clusters: Groups
    silhouettes: dict[str, float]

    @property
    def compared(self) -> list[Recording]:
        """The recordings at the slowest, the middle and the fastest trained period."""
        last = len(self.recordings) - 1
        return [self.recordings[i] for i in dict.fromkeys((0, (last + 1) // 2, last))]


def find_populations(model, trained: Sequence[float], task_section, seed: int) -> Populations:
    """The groups of a network trained at periods [s]; seed: of the clustering.

    Raises UserError where the network does not beat.
    """
    is_excit = np.arange(len(model.w_hh)) < (model.n_excit or 0)
    has_types = model.n_excit is not None
    types = {"E": is_excit, "I": ~is_excit} if has_types else {"": ~is_excit}
    cue_constant = task_section.cue_constant
    reference_period = cue_constant / reference_cue(trained, cue_constant)
    periods = [reference_period, *sorted(trained, reverse=True)]
    reference, *recordings = record(model, periods, task_section, types)
    cycle, clusters, silhouettes = reference.cycle, {}, {}
    for name in types if has_types else ():
        active = types[name] & ~reference.groups[SILENT]
        if active.sum() > 2:
            all_e = cycle[:, is_excit].mean(axis=1)
            clusters[name], silhouettes[name] = cluster_by_shape(cycle, active, all_e, seed)
    i_clusters = dict(zip(("early I", "late I"), clusters.get("I", ()), strict=False))
    return Populations(types, reference, recordings, i_clusters, silhouettes)


def record(model, periods: Sequence[float], task_section, types: Groups) -> list[Recording]:
    """Noise-free runs at periods [s], recorded after the clicks. UserError where one is no beat."""
    seconds = CLICK_SECONDS + RECORD_PERIODS * max(periods)
    inputs = simulate.driving_inputs(periods, seconds, model.dt, task_section, CLICK_SECONDS)
    run = simulate.run(model, inputs, discard=round(CLICK_SECONDS / model.dt), keep_states=True)
    recordings = []
    for period, output, states in zip(periods, run.outputs, run.states, strict=True):
        taps = find_taps(output, model.dt)
        beat = describe_beat(taps, len(output), model.dt)
        if not beat.ok:
            raise UserError(
                f"at a period of {period:g} s without noise: {beat.result}; allowed: a network "
                "that beats at every trained period and at the middle of their cues"
            )
        taps = np.round(taps).astype(int)
        phases = activity.peak_phases(states, taps)
        cycle = activity.mean_cycle(np.maximum(states, 0), taps)
        groups = assign(phases, cycle, types)
        recordings.append(Recording(period, beat.mean_iti, phases, cycle, groups))
    return recordings


def assign(phases: np.ndarray, cycle: np.ndarray, types: Groups) -> Groups:
    """The groups of units with these peak phases (N,) and mean rates (P, N)."""
    fires, is_tap, groups = cycle.max(axis=0) > 0, activity.tap_units(phases), {}
    for name, of_type in types.items():
        groups[f"tap-{name}".rstrip("-")] = of_type & is_tap & fires
    for name, of_type in reversed(types.items()):
        groups[f"inter-tap-{name}".rstrip("-")] = of_type & ~is_tap & fires
    return groups | {SILENT: ~fires}


def mean_rates(cycle: np.ndarray, groups: Groups) -> dict[str, np.ndarray]:
    """Mean rate (P,) of each group that has units."""
    return {name: cycle[:, units].mean(axis=1) for name, units in groups.items() if units.any()}


def lag_and_correlation(curve: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """How many cycles a curve (P,) comes after a reference (P,), and their correlation at lag 0.

    The lag, in -0.5..0.5, is where their circular cross-correlation is largest.
    """
    curve, reference = curve - curve.mean(), reference - reference.mean()
    overlap = [np.dot(np.roll(reference, k), curve) for k in range(len(curve))]
    shift = np.argmax(overlap) / len(curve)
    correlation = overlap[0] / np.linalg.norm(curve) / np.linalg.norm(reference)
    return float((shift + 0.5) % 1 - 0.5), float(correlation)


def two_clusters(points: np.ndarray, units: np.ndarray, seed: int) -> np.ndarray:
    """Masks (2, N) of the two clusters that 2-means makes of units (N,) at points (M, D)."""
    from sklearn.cluster import KMeans  # here: importing it takes long, also for --help

    clusters = np.zeros((2, len(units)), dtype=bool)
    clusters[:, units] = KMeans(2, n_init=10, random_state=seed).fit_predict(points) == [[0], [1]]
    return clusters


def cluster_by_shape(
    cycle: np.ndarray, units: np.ndarray, reference: np.ndarray, seed: int
) -> tuple[list[np.ndarray], float]:
    """Two clusters (masks) of units (N,) by the shape of their cycle (P, N), and the silhouette.

    The shape is the cycle scaled to norm 1; neither a tap nor a window is needed. The first cluster
    has the smaller lag behind the reference (P,). A silhouette near 1 means two separate classes; a
    continuum of evenly spread phases also gives 0.35 to 0.6.
    """
    from sklearn.metrics import silhouette_score

    shapes = cycle[:, units].T
    shapes = shapes / np.linalg.norm(shapes, axis=1, keepdims=True)
    clusters = two_clusters(shapes, units, seed)
    in_order = sorted(
        clusters, key=lambda c: lag_and_correlation(cycle[:, c].mean(axis=1), reference)[0]
    )
    return in_order, float(silhouette_score(shapes, clusters[1, units]))


def fraction_near_border(phases: np.ndarray) -> float:
    """Fraction of phases (M,) within BORDER of an end of the tap window; 4 BORDER if even."""
    from_end = np.minimum(phases, 1 - phases) - activity.TAP_PHASE
    return float(np.sum(np.abs(from_end) < BORDER) / max(len(phases), 1))


def describe(found: Populations) -> dict:
    """All numbers of the groups, in plain values for JSON.

    agreement_across_tempos: of the units active at all tempos compared, the fraction that is tap
    or inter-tap at all of them.
    """
    types = {name or "all": units for name, units in found.types.items()}
    is_tap = np.array([activity.tap_units(recording.phases) for recording in found.compared])
    active = ~np.any([recording.groups[SILENT] for recording in found.compared], axis=0)
    agreement, stays = {}, (is_tap == is_tap[0]).all(axis=0)
    for name, units in types.items():
        n_units = int((units & active).sum())
        fraction = float((units & active & stays).sum() / max(n_units, 1))
        agreement[name] = {"units": n_units, "fraction": fraction}
    return {
        "reference_period_s": found.reference.period,
        "tempos": [_at_tempo(found, types, r) for r in [found.reference, *found.compared]],
        "fraction_near_border_if_even": 4 * BORDER,
        "agreement_across_tempos": agreement,
        "i_clusters": {name: int(units.sum()) for name, units in found.i_clusters.items()},
        "silhouette_of_two_clusters": found.silhouettes,
    }


def _at_tempo(found, types, recording):
    """Sizes of the groups at one tempo, and their timing relative to all E (or all) units."""
    cycle, members, timing = recording.cycle, dict(recording.groups), {}
    silent = members.pop(SILENT)
    all_e = cycle[:, next(iter(types.values()))].mean(axis=1)
    for name, rate in mean_rates(cycle, members | found.i_clusters).items():
        numbers = rate.mean(), rate.argmax() / len(rate), *lag_and_correlation(rate, all_e)
        keys = "mean_rate", "peak_phase", "lag_cycles", "correlation"
        timing[name] = dict(zip(keys, map(float, numbers), strict=True))
    near = {t: fraction_near_border(recording.phases[of & ~silent]) for t, of in types.items()}
    return {
        "period_s": recording.period,
        "mean_iti_s": recording.mean_iti,
        "sizes": {name: int(units.sum()) for name, units in recording.groups.items()},
        "silent": {name: int((units & silent).sum()) for name, units in types.items()},
        "activity": timing,
        "fraction_near_border": near,
    }
