"""Draw equilibria and cycle of a trained network against the cue, beside the reduced model's.

--config_path FILE   a configuration; keys it lacks come from config.yaml
--checkpoint FILE    the network, or shipped (default: training.save_path, else shipped)
--device NAME        auto, cpu or cuda
"""

import numpy as np

from models import load_network
from zrnn.dynamics import network as dynamics
from zrnn.dynamics import reduced_model
from zrnn.dynamics.branches import bifurcations, euler_growth, flow_growth
from zrnn.dynamics.diagram import (
    Diagram,
    agreement,
    answers,
    curve,
    describe,
    draw_equilibria,
    draw_onset,
    draw_period,
    legend_of,
)  # fmt: skip
from zrnn.workshop import command_line, configuration, figures
from zrnn.workshop.figures import plt


def network_diagram(model, own):
    """The `Diagram` of the network as it is driven, an Euler map; and what else is to be kept.

    own: the config's section bifurcation. Returns the diagram, the bifurcations of the flow, dt to
    0, as [(Bifurcation, z)], and {name: value} of how the branches were searched.
    """
    exact = dynamics.in_double(model)
    branches, n_starts, n_reached = dynamics.find_branches(exact, own)
    flow, mapped = dynamics.network_flow(exact), euler_growth(model.dt)

    def z(x):
        return dynamics.outputs_of(exact, x)

    def points(growth):
        return [bifurcations(flow, branch, growth) for branch in branches]

    def with_z(found):
        return [(q, float(z(q.x[None])[0])) for own_points in found for q in own_points]

    of_map, of_flow = points(mapped), points(flow_growth)
    curves = [curve(b, z, q, mapped) for b, q in zip(branches, of_map, strict=True)]
    cycles, silent, onset = network_cycles(model, exact, [q for own in of_map for q in own], own)

    near = []  # equilibria just below Hopf points, where a second cycle may be
    for branch, own_points in zip(branches, of_map, strict=True):
        for hopf in (q for q in own_points if q.kind == "Hopf"):
            for cue in np.linspace(hopf.p - own["small_range"], hopf.p, own["n_edge"] + 2)[1:-1]:
                guess = branch.x[np.abs(branch.p - cue).argmin()]
                near.append((cue, dynamics.equilibrium(flow, guess, cue)))
    near = [(cue, x) for cue, x in near if x is not None]
    small = dynamics.small_cycles(model, near, own) if near else np.empty((0, 4))
    if len(cycles):  # only what is not the cycle itself
        large = np.interp(small[:, 0], cycles[:, 0], cycles[:, 2] - cycles[:, 1])
        small = small[small[:, 2] - small[:, 1] < large / 2]
    searched = {"Newton starts": n_starts, "that reached an equilibrium": n_reached}
    return Diagram(curves, with_z(of_map), cycles, silent, onset, small), with_z(of_flow), searched


def network_cycles(model, exact, points, own):
    """The cycle: rows (cue, low, high, period [s]), cues without, and periods next to the fold."""
    cues = np.linspace(*own["cycle_cues"], own["n_cycles"])
    found, states = dynamics.find_cycles(model, cues, own)
    finer = [np.linspace(*e, own["n_edge"] + 2)[1:-1] for e in dynamics.edges(found)]
    low, high = own["cycle_cues"]
    finer += [[q.p + 1e-6] for q in points if q.kind == "Hopf" and low < q.p < high]
    if finer:
        more = dynamics.find_cycles(model, np.concatenate(finer), own)
        found, states = found | more[0], states | more[1]
    rows = np.array([[c, *found[c]] for c in sorted(found) if found[c]]).reshape(-1, 4)
    silent = [float(c) for c in sorted(found) if found[c] is None]
    folds = [q.p for q in points if q.kind == "fold"]
    if not len(rows) or not folds:
        return rows, silent, np.empty((0, 2))
    fold = min(folds, key=lambda p: abs(p - rows[0, 0]))
    onset = dynamics.periods_near(exact, fold, states[rows[0, 0]], own)
    return rows, [c for c in silent if not fold < c < rows[0, 0]], onset  # too slow to be seen


def draw(reduced, trained, of_flow, own, cue_constant):
    """One row a model: equilibria and cycle, its period, and the period next to the onset."""
    figure, axes = plt.subplots(2, 3, figsize=(12, 8), layout="constrained")
    rows = ("Reduced model", reduced, "z (inter-tap-I)"), ("Trained network", trained, "output z")
    for row, (title, diagram, z) in zip(axes, rows, strict=True):
        draw_equilibria(row[0], diagram, z)
        row[0].set(title=f"{title}: equilibria and cycle", xlim=own["cues"])
        reach = diagram.cycles[[0, -1], 0] if len(diagram.cycles) else own["cues"]
        draw_period(row[1], diagram, (reach[0] - 0.05, reach[1] + 0.05))
        row[1].set_title("Period (dotted: folds, dashed: Hopf)")
        draw_onset(row[2], diagram)
        row[2].set_title("Period next to the onset")
        if len(diagram.onset):
            row[2].legend(fontsize=10)
    below, period, _ = axes[1]
    hopfs = [(q, z) for q, z in trained.points if q.kind == "Hopf"]
    if len(trained.cycles):
        cues = trained.cycles[:, 0]
        period.plot(cues, 1000 * cue_constant / cues, "k", lw=0.8, label=f"{cue_constant} s / cue")
        period.legend(fontsize=10)
    if len(hopfs) == 1 and len(trained.cycles):  # a closer look at the end of the cycle
        point, z = hopfs[0]
        bottom, top = below.get_ylim()
        below.set_ylim(bottom, top + 0.75 * (top - bottom))  # room for it
        inset = below.inset_axes((0.5, 0.62, 0.49, 0.37))
        draw_equilibria(inset, trained, "", numbers=False)
        inset.set(
            xlim=(point.p - own["small_range"], trained.cycles[-1, 0] + own["small_range"] / 4),
            ylim=(trained.cycles[:, 1].min(), trained.cycles[:, 2].max()), xlabel="",
        )  # fmt: skip
        inset.tick_params(labelsize=8)
        inset.set_xticks(np.round([inset.get_xlim()[0] + 0.01, point.p], 2))
    for point, z in (pair for pair in of_flow if pair[0].kind == "Hopf"):
        for panel in (below, *below.child_axes):
            panel.plot(point.p, z, "D", ms=5, color="0.6", label="Hopf at dt = 0", zorder=4)
    legend = legend_of(*axes[:, 0])
    figure.legend(legend.values(), legend, fontsize=10, loc="outside lower center", ncols=5)
    return figure


def main(config_path=None, checkpoint=None, device="auto", **flags):
    config, model, made_by = load_network(config_path, checkpoint, device, flags)
    own = config["bifurcation"]

    trained, of_flow, searched = network_diagram(model, own)
    reduced, _ = reduced_model.diagram(config["fig3"])
    found = {"reduced": describe(reduced), "trained": describe(trained)}
    rows = agreement(answers(found["reduced"]), answers(found["trained"]))
    for question, one, other, agree in rows:
        print(f"{'agree ' if agree else 'DIFFER'} {question}\n         reduced: {one}")
        print(f"         trained: {other}")
    at = {
        name: [dict(kind=q.kind, cue=q.p, frequency_hz=q.frequency, z=z) for q, z in points]
        for name, points in (("network", trained.points), ("dt_to_0", of_flow))
    }
    for name, points in at.items():
        print(f"{name}: {', '.join('{kind} at {cue:.6f}'.format(**p) for p in points) or 'none'}")

    figure = draw(reduced, trained, of_flow, own, config["task"]["cue_constant"])
    result = {
        "made_by": made_by,
        "bifurcations": at,
        "search": searched,
        "found": found,
        "agreement": [
            dict(zip(("question", "reduced", "trained", "agree"), r, strict=True)) for r in rows
        ],
        "cycle_cue_low_high_period_ms": [[*row[:3], 1000 * row[3]] for row in trained.cycles],
        "onset_distance_and_period_ms": [[d, 1000 * s] for d, s in trained.onset],
        "settings": own,
    }
    figures.save_results(
        own["folder"], configuration.to_text(config, made_by), {"bifurcation": figure},
        config["plotting"]["format"], numbers={"bifurcation": result},
    )  # fmt: skip


if __name__ == "__main__":
    command_line.run(main)
