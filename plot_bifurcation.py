"""Draw equilibria and limit cycle of a trained network against the cue, beside the reduced model's.

--config_path FILE   a configuration; keys it lacks come from config.yaml
--checkpoint FILE    the network, or shipped (default: training.save_path, else shipped)
--device NAME        auto, cpu or cuda

What the two diagrams show is printed side by side and saved in bifurcation.json, with every
bifurcation. trained.npz and reduced.npz hold what is drawn; `Diagram.arrays` explains the arrays
in zrnn/dynamics/diagram.py.
"""

import numpy as np

from models import open_network
from zrnn import cli, configuration
from zrnn.dynamics import network_diagram, reduced_model
from zrnn.dynamics.diagram import columns, plain, summary
from zrnn.dynamics.network_diagram import FINE_DT
from zrnn.dynamics.panels import draw_equilibria, draw_onset, draw_period, legend_of
from zrnn.figures import plt, save_results
from zrnn.task import context_cue, reference_cue

INSET = 0.06  # range of cues below the end of the cycle that the inset shows


def draw(reduced, trained, fine_bifurcations, cues, cue_constant):
    """One row for each model: equilibria and cycle, period, and period close to the onset."""
    figure, axes = plt.subplots(2, 3, figsize=(12, 8), layout="constrained")
    rows = ("Reduced model", reduced, "z (inter-tap-I)"), ("Trained network", trained, "output z")
    for row, (title, diagram, z) in zip(axes, rows, strict=True):
        draw_equilibria(row[0], diagram, z)
        row[0].set(title=f"{title}: equilibria and cycle", xlim=cues)
        first, last = columns(diagram.cycles)[0, [0, -1]] if diagram.cycles else cues
        draw_period(row[1], diagram, (first - 0.05, last + 0.05))
        row[1].set_title("Period (dotted: folds, dashed: Hopf)")
        draw_onset(row[2], diagram)
        row[2].set_title("Period next to the onset")
    equilibria, period, _ = axes[1]
    hopfs = [b for b in fine_bifurcations if b.kind == "Hopf"]
    if trained.cycles:
        limits, cue = period.get_ylim(), columns(trained.cycles)[0]
        cue = cue[cue > 0]
        # the period that a cue stands for: context_cue(cue) = cue_constant / cue
        label = f"{cue_constant:g} s / cue"
        period.plot(cue, 1000 * context_cue(cue, cue_constant), "k", lw=0.8, label=label)
        period.set_ylim(limits)
        period.legend(fontsize=10)
        if hopfs:
            draw_end(equilibria, trained)
    label = f"Hopf and (inset) cycle in steps of {1000 * FINE_DT:g} ms"
    for point in hopfs:
        for panel in (equilibria, *equilibria.child_axes):
            panel.plot(point.p, point.z, "D-", ms=5, color="0.6", label=label, zorder=4)
    legend = legend_of(*axes[:, 0])
    figure.legend(legend.values(), legend, fontsize=10, loc="outside lower center", ncols=5)
    return figure


def draw_end(axes, trained):
    """An inset with the end of the cycle; the axes are extended above to make space for it."""
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top + 0.75 * (top - bottom))
    inset = axes.inset_axes((0.5, 0.62, 0.49, 0.37))
    draw_equilibria(inset, trained, "", numbers=False)
    last = trained.cycles[-1].cue
    left = last - INSET
    for end in trained.ends[1:]:
        left = min(left, end.cycles[0].cue)
        cue, low, high, _ = columns(end.cycles)
        inset.plot(cue, low, ".-", cue, high, ".-", color="0.6", lw=1.2, ms=4)
    _, low, high, _ = columns(trained.cycles)
    inset.set(xlim=(left, last + INSET / 3), ylim=(low.min(), high.max()), xlabel="")
    inset.tick_params(labelsize=8)
    inset.set_xticks(np.round([left + 0.2 * INSET, last], 2))


def main(config_path=None, checkpoint=None, device="auto", **flags):
    config, model, made_by = open_network(config_path, checkpoint, device, flags, "bifurcation")
    cues, cue_constant = config.bifurcation.cues, config.task.cue_constant
    first_cue = reference_cue(config.training.periods, cue_constant)
    trained, fine_bifurcations = network_diagram.solve(
        model, cues, config.bifurcation.n_cycles, first_cue
    )
    reduced, _ = reduced_model.solve([])
    answers = {"reduced": summary(reduced), "trained": summary(trained)}
    for question, answer in answers["reduced"].items():
        other = answers["trained"].get(question, "no oscillation")
        print(f"{question}\n    reduced: {answer}\n    trained: {other}")
    found = {"as driven": plain(trained.bifurcations), "fine steps": plain(fine_bifurcations)}
    for name, bifurcations in found.items():
        texts = [f"{b['kind']} at {b['cue']:.6f}" for b in bifurcations]
        print(f"bifurcations, {name}: {', '.join(texts) or 'none'}")
    figure = draw(reduced, trained, fine_bifurcations, cues, cue_constant)
    folder, suffix = config.bifurcation.folder, config.plotting.format
    arrays = {"trained": trained.arrays(), "reduced": reduced.arrays()}
    numbers = {"bifurcation": {"made_by": made_by, "answers": answers, "bifurcations": found}}
    text = configuration.to_text(config, made_by)
    save_results(folder, text, {"bifurcation": figure}, suffix, arrays, numbers)


if __name__ == "__main__":
    cli.run(main)
