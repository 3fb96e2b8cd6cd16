"""The populations inside a trained network: groups, their activity and their connections.

A unit belongs to a group by its type (E or I) and by where in the cycle it peaks: near the tap or
between taps; a unit that never fires is silent. Arrays and models in, arrays and numbers out;
nothing here touches the disk. Shapes: N units, P phases of a cycle, G groups.
A group is a mask (N,) of bool.
"""

from collections import namedtuple

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from zrnn.analysis import geometry
from zrnn.analysis import taps as tapping
from zrnn.network import drive as driving
from zrnn.workshop.errors import UserError

SILENT = "silent"

# cycle (P, N): mean rates from tap to tap; phases (N,): where the mean current peaks, 0 at the tap
Recording = namedtuple("Recording", "period mean_iti phases cycle")
# groups: {name: mask}; parts: {name: mask}, I units split by shape; silhouettes: {type: number}
Populations = namedtuple("Populations", "types reference recordings groups parts silhouettes")


def record(model, periods, config):
    """Noise-free runs at periods [s], clicks first and then the cue alone -> list of `Recording`.

    groups.record_seconds are kept. Raises UserError where the network has no beat.
    """
    config = {**config, "drive": {**config["drive"]}}
    config["drive"]["keep_seconds"] = config["groups"]["record_seconds"]
    inputs = driving.driving_inputs(periods, [True] * len(periods), model.dt, config)
    discard = round(config["drive"]["discard_seconds"] / model.dt)
    outputs, states = [], []

    def keep(t, output, state):
        if t >= discard:
            outputs.append(output)
            states.append(state)

    driving.drive_network(model, inputs.to(model.w_hh.device), None, keep)
    outputs, states = (torch.stack(kept).cpu().numpy() for kept in (outputs, states))
    recordings = []
    for i, period in enumerate(periods):
        taps = tapping.find_taps(outputs[:, i], model.dt)
        beat = tapping.describe_beat(taps, len(outputs), model.dt)
        if not beat.ok:
            raise UserError(
                f"at {period:g} s without noise: {beat.verdict}; allowed in groups.periods and as "
                f"task.cue_constant / fig5.tap_cue: periods at which the network beats"
            )
        taps = np.round(taps).astype(int)
        cycle = geometry.mean_cycle(np.maximum(states[:, i], 0), taps)
        phases = geometry.peak_phases(states[:, i], taps)
        recordings.append(Recording(period, beat.mean_iti, phases, cycle))
    return recordings


def unit_types(model):
    """{"E": mask, "I": mask} (N,), or {"": everything} where Dale's law does not hold (RNN)."""
    every = np.ones(model.w_hh.shape[0], dtype=bool)
    if not hasattr(model, "n_excit"):
        return {"": every}
    is_excit = np.arange(len(every)) < model.n_excit
    return {"E": is_excit, "I": ~is_excit}


def assign(phases, cycle, types, tap_phase):
    """The groups {name: mask}: tap-E, tap-I, inter-tap-I, inter-tap-E, and silent (cycle all 0).

    Without types (RNN): tap, inter-tap, silent. Every unit is in exactly one.
    """
    silent = cycle.max(axis=0) <= 0
    is_tap = geometry.tap_units(phases, tap_phase)
    tap = {f"tap-{t}".rstrip("-"): own & is_tap & ~silent for t, own in types.items()}
    between = {f"inter-tap-{t}".rstrip("-"): own & ~is_tap & ~silent for t, own in types.items()}
    return {**tap, **dict(reversed(between.items())), SILENT: silent}


def mean_rates(cycle, groups):
    """Mean rate of each group over the cycle, {name: (P,)}; empty groups are left out."""
    return {name: cycle[:, own].mean(axis=1) for name, own in groups.items() if own.any()}


def lag(of, behind):
    """By how many cycles the curve `of` (P,) comes after `behind` (P,): their best match, and r.

    -> (lag in -0.5..0.5 at the largest circular cross-correlation, correlation at lag 0)
    """
    of, behind = of - of.mean(), behind - behind.mean()
    overlap = [np.dot(np.roll(behind, k), of) for k in range(len(of))]
    shift = np.argmax(overlap) / len(of)
    return (shift + 0.5) % 1 - 0.5, overlap[0] / np.linalg.norm(of) / np.linalg.norm(behind)


def near_border(phases, tap_phase, border):
    """Share of phases (M,) closer than `border` to an end of the tap window +-tap_phase.

    4 border where phases are spread evenly; less where the window's ends lie in a gap.
    """
    return float(np.mean(np.abs(np.minimum(phases, 1 - phases) - tap_phase) < border))


def agreement(labels):
    """Share of units with the same label at every tempo: labels (tempos, M) -> a number."""
    return float(np.mean((labels == labels[:1]).all(axis=0)))


def split_by_shape(cycle, units, reference, seed):
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


def mean_weights(w_hh, groups):
    """Mean of W (N, N), [post, pre], within and between the groups -> (G, G), [post, pre]."""
    return np.array([[w_hh[np.ix_(i, j)].mean() for j in groups] for i in groups])


def total_inputs(w_hh, groups, rates):
    """Summed weight from group j to a unit of group i, each synapse as its sender fires -> (G, G).

        T_ij = mean over i of sum over j of W_ij rates_j / mean rate of group j

    so that T_ij times the mean rate of j is the current that j gives i: the reduced model's W_ij.
    With equal rates it is the mean weight times the size of j. rates (N,).
    """
    return np.array(
        [[(w_hh[np.ix_(i, j)] @ rates[j]).mean() / rates[j].mean() for j in groups] for i in groups]
    )


def find_populations(model, config):
    """Everything that `record`, `assign` and `split_by_shape` tell of a model -> `Populations`.

    reference, a `Recording`, is at the cue fig5.tap_cue; groups {period: groups} are those of each
    tempo, parts those of the reference, in which a network of one type has none.
    """
    own, fig5, types = config["groups"], config["fig5"], unit_types(model)
    period = config["task"]["cue_constant"] / fig5["tap_cue"]
    reference, *recordings = record(model, [period, *own["periods"]], config)
    groups = {
        r.period: assign(r.phases, r.cycle, types, fig5["tap_phase"])
        for r in [reference, *recordings]
    }
    parts, silhouettes = {}, {}
    for name, of_type in types.items():
        active = of_type & ~groups[period][SILENT]
        if len(types) > 1 and active.sum() > 2:
            all_e = reference.cycle[:, types["E"]].mean(axis=1)
            halves, silhouettes[name] = split_by_shape(reference.cycle, active, all_e, own["seed"])
            if name == "I":
                parts = dict(zip(("early I", "late I"), halves, strict=True))
    return Populations(types, reference, recordings, groups, parts, silhouettes)


def describe(found, config):
    """The numbers of `Populations` in plain values, as they are written to JSON."""
    fig5, border, tempos = config["fig5"], config["groups"]["border"], []
    for r in [found.reference, *found.recordings]:
        groups = found.groups[r.period]
        curves = mean_rates(r.cycle, {**groups, **found.parts})
        first, all_of = next(iter(groups)), next(iter(found.types))  # tap-E, or tap; E, or all
        against = {first: curves[first]} if first in curves else {}
        against[f"all {all_of}".strip()] = r.cycle[:, found.types[all_of]].mean(axis=1)
        activity = {}
        for name in [name for name in curves if name != SILENT]:
            activity[name] = {
                "mean_rate": float(curves[name].mean()),
                "peak_phase": float(curves[name].argmax() / len(curves[name])),
            }
            for other, curve in against.items():
                after, correlation = lag(curves[name], curve)
                activity[name][f"lag_to_{other}_cycles"] = float(after)
                activity[name][f"correlation_with_{other}"] = float(correlation)
        border_shares = {
            name or "all": near_border(r.phases[own & ~groups[SILENT]], fig5["tap_phase"], border)
            for name, own in found.types.items()
        }
        tempos.append(
            {
                "period_s": r.period,
                "mean_iti_s": float(r.mean_iti),
                "sizes": {name: int(own.sum()) for name, own in groups.items()},
                "silent": {
                    n or "all": int((own & groups[SILENT]).sum()) for n, own in found.types.items()
                },
                "activity": activity,
                "share_near_border": border_shares,
            }
        )
    return {
        "reference_period_s": found.reference.period,
        "tempos": tempos,
        "share_near_border_if_even": 4 * border,
        "agreement_across_tempos": across_tempos(found, fig5["tap_phase"]),
        "parts": {name: int(own.sum()) for name, own in found.parts.items()},
        "silhouette_of_two_parts": found.silhouettes,
    }


def across_tempos(found, tap_phase):
    """Of the units active at all of groups.periods, the share that is tap, or inter-tap, at all."""
    active = ~np.any([found.groups[r.period][SILENT] for r in found.recordings], axis=0)
    is_tap = np.array([geometry.tap_units(r.phases, tap_phase) for r in found.recordings])
    return {
        name or "all": {
            "units": int((own & active).sum()),
            "share": agreement(is_tap[:, own & active]),
        }
        for name, own in found.types.items()
    }


def table(numbers):
    """What a person reads of `describe`: a line for each tempo and group."""
    one, other = "to the first group", "to all E (or all units)"
    lines = [f"{'':<44}{one:^20}{other:^20}"]
    heads = ("units", "mean rate", "peak", "lag", "r", "lag", "r")
    lines.append(f"{'':<9}{'group':<13}" + "".join(f"{head:>10}" for head in heads))
    for tempo in numbers["tempos"]:
        sizes = {**tempo["sizes"], **numbers["parts"]}
        for name, own in tempo["activity"].items():
            line = f"{1 / tempo['period_s']:4.1f} Hz  {name:<13}{sizes[name]:>10}"
            lines.append(line + "".join(f"{value:>10.3f}" for value in own.values()))
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
