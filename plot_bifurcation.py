"""Draw equilibria and cycle of a trained network against the cue, beside the reduced model's.

--config_path FILE   a configuration; keys it lacks come from config.yaml
--checkpoint FILE    the network, or shipped (default: training.save_path, else shipped)
--device NAME        auto, cpu or cuda

What both answer to the questions of the paper is printed side by side, and kept in bifurcation.json
with every bifurcation. trained.npz and reduced.npz hold what is drawn: of each branch of equilibria
curve0_cue, curve0_z and curve0_class (P,), the class as an index of `branches.CLASSES`;
cycle_cue_low_high_period (C, 4), periods in [s], and fine_cycle_..., the end of it in fine steps;
onset_distance_period (M, 2), the period next to the onset; silent_cues without a cycle; way_out0_z
and way_out1_z (T,), the ways out of the saddle.
"""

import numpy as np

from models import open_network
from zrnn import cli, configuration
from zrnn.dynamics import reduced_model, trained_network
from zrnn.dynamics.cycle_continuation import FINE_DT
from zrnn.dynamics.diagram import agreement, answers, listed, rows_of
from zrnn.dynamics.panels import draw_equilibria, draw_onset, draw_period, legend_of
from zrnn.figures import plt, save_results
from zrnn.task import context_cue

INSET = 0.06  # so far around the end of the cycle reaches the closer look at it


def draw(reduced, trained, fine_points, cues, cue_constant):
    """One row a model: equilibria and cycle, its period, and the period next to the onset."""
    figure, axes = plt.subplots(2, 3, figsize=(12, 8), layout="constrained")
    rows = ("Reduced model", reduced, "z (inter-tap-I)"), ("Trained network", trained, "output z")
    for row, (title, diagram, z) in zip(axes, rows, strict=True):
        draw_equilibria(row[0], diagram, z)
        row[0].set(title=f"{title}: equilibria and cycle", xlim=cues)
        reach = rows_of(diagram.cycles)[[0, -1], 0] if diagram.cycles else cues
        draw_period(row[1], diagram, (reach[0] - 0.05, reach[1] + 0.05))
        row[1].set_title("Period (dotted: folds, dashed: Hopf)")
        draw_onset(row[2], diagram)
        row[2].set_title("Period next to the onset")
    below, period, _ = axes[1]
    if trained.cycles:
        at, limits = rows_of(trained.cycles)[:, 0], period.get_ylim()
        at = at[at > 0]
        ideal = 1000 * context_cue(at, cue_constant)  # the same rule, cue and period exchanged
        period.plot(at, ideal, "k", lw=0.8, label=f"{cue_constant:g} s / cue")
        period.set_ylim(limits)
        period.legend(fontsize=10)
    hopfs = [(q, z) for q, z in fine_points if q.kind == "Hopf"]
    if hopfs and trained.cycles:
        draw_closer(below, trained, trained.cycles[-1].cue)
    label = f"Hopf and (inset) cycle in steps of {1000 * FINE_DT:g} ms"
    for point, z in hopfs:
        for panel in (below, *below.child_axes):
            panel.plot(point.p, z, "D-", ms=5, color="0.6", label=label, zorder=4)
    legend = legend_of(*axes[:, 0])
    figure.legend(legend.values(), legend, fontsize=10, loc="outside lower center", ncols=5)
    return figure


def draw_closer(axes, trained, end):
    """A closer look at the end of the cycle, in a corner for which room is made above."""
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top + 0.75 * (top - bottom))
    inset = axes.inset_axes((0.5, 0.62, 0.49, 0.37))
    draw_equilibria(inset, trained, "", numbers=False)
    left = end - INSET
    for fine in trained.ends[1:]:
        left = min(left, fine.cycles[0].cue)
        cue, low, high, _ = rows_of(fine.cycles).T
        inset.plot(cue, low, ".-", cue, high, ".-", color="0.6", lw=1.2, ms=4)
    _, low, high, _ = rows_of(trained.cycles).T
    inset.set(xlim=(left, end + INSET / 3), ylim=(low.min(), high.max()), xlabel="")
    inset.tick_params(labelsize=8)
    inset.set_xticks(np.round([left + 0.2 * INSET, end], 2))


def main(config_path=None, checkpoint=None, device="auto", **flags):
    config, model, made_by = open_network(config_path, checkpoint, device, flags)
    own, cue_constant = config.bifurcation, config.task.cue_constant
    cues = sorted(context_cue(p, cue_constant) for p in config.training.periods)

    trained, fine_points, searched = trained_network.solve(
        model, own.cues, own.n_cycles, cues[len(cues) // 2]
    )
    reduced, _ = reduced_model.solve([])
    rows = agreement(answers(reduced), answers(trained))
    for row in rows:
        print(f"{'agree ' if row['agree'] else 'DIFFER'} {row['question']}")
        print(f"         reduced: {row['reduced']}\n         trained: {row['trained']}")
    points = {"as driven": listed(trained.points), "fine steps": listed(fine_points)}
    for name, found in points.items():
        each = ", ".join(f"{q['kind']} at {q['cue']:.6f}" for q in found)
        print(f"bifurcations, {name}: {each or 'none'}")

    numbers = {"made_by": made_by, "agreement": rows, "bifurcations": points, "search": searched}
    save_results(
        own.folder,
        configuration.to_text(config, made_by),
        {"bifurcation": draw(reduced, trained, fine_points, own.cues, cue_constant)},
        config.plotting.format,
        {"trained": trained.arrays(), "reduced": reduced.arrays()},
        {"bifurcation": numbers},
    )


if __name__ == "__main__":
    cli.run(main)
