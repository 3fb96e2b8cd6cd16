"""Draw figure 3: the reduced model, from rest over an oscillation to rest again as the cue rises.

--config_path FILE   a configuration; keys it lacks come from config.yaml
"""

import numpy as np

from zrnn.dynamics import reduced_model
from zrnn.dynamics.diagram import describe, draw_equilibria, draw_onset, draw_period, legend_of
from zrnn.workshop import command_line, configuration, figures
from zrnn.workshop.figures import plt
from zrnn.workshop.provenance import provenance

# x and y are close: x is drawn thin, over y
VARIABLES = (
    ("x: tap-E", "#D62728", 1.3),
    ("y: tap-I", "#1F4FB4", 3.5),
    ("z: inter-tap-I", "#56B4E9", 2.2),
)


def draw(runs, diagram, cycles, period_cues):
    """Six panels: runs {cue: (t (T,), states (T, 3))}, the diagram, cycles {cue: (s, (T, 3))}."""
    figure, axes = plt.subplots(2, 3, figsize=(12, 7.4), layout="constrained")
    for panel, (cue, (t, states)) in zip(axes[0], runs.items(), strict=False):
        for (name, colour, width), values in zip(VARIABLES, states.T, strict=True):
            panel.plot(t, values, color=colour, lw=width, label=name, zorder=4 - width)
        panel.set(title=f"cue {cue:g}", xlabel="time [s]", ylabel="activity")
    axes[0, 0].legend(fontsize=10)

    colours = plt.get_cmap("viridis")(np.arange(len(cycles)) / max(len(cycles), 1))
    period, equilibria, plane = axes[1]
    draw_period(period, diagram, period_cues)
    draw_onset(inset := period.inset_axes((0.46, 0.46, 0.52, 0.5)), diagram)
    inset.tick_params(labelsize=8)
    inset.set_xlabel("cue - onset", fontsize=9)
    inset.set_ylabel("")
    inset.legend(fontsize=8)
    period.set_title("Period")
    draw_equilibria(equilibria, diagram, "z (inter-tap-I)")
    equilibria.set_title("Equilibria and cycle")
    legend = legend_of(equilibria)
    equilibria.legend(legend.values(), legend, fontsize=8, loc="lower right")
    for colour, (cue, (seconds, states)) in zip(colours, cycles.items(), strict=True):
        plane.plot(states[:, 0], states[:, 2], color=colour, lw=1.8, label=f"cue {cue:g}")
        if period_cues[0] <= cue <= period_cues[1]:
            period.plot(cue, 1000 * seconds, "o", color=colour, mec="black", mew=0.5, ms=6)
    plane.set(title="Limit cycles", xlabel="x (tap-E)", ylabel="z (inter-tap-I)")
    plane.legend(fontsize=9)
    return figure


def main(config_path=None, **flags):
    config = configuration.load(config_path, flags)
    text = configuration.to_text(config, provenance())
    print(text)
    fig3 = config["fig3"]
    t = np.linspace(0, fig3["time_seconds"], 1000)
    runs = {cue: (t, reduced_model.simulate(cue, t[-1], t_eval=t).y.T) for cue in fig3["time_cues"]}
    diagram, cycles = reduced_model.diagram(fig3)
    said = describe(diagram)
    for name, value in said.items():
        print(f"{name}: {value}")

    figure = draw(runs, diagram, cycles, fig3["period_cues"])
    (onset,), (hopf,) = said["folds"], said["Hopf points"]
    result = {
        "made_by": provenance(),
        "onset_cue": onset,
        "hopf_cue": hopf,
        "onset_exponent": said["local exponents"][0],
        "period_ms": {f"{cue:g}": 1000 * seconds for cue, (seconds, _) in cycles.items()},
        "no_cycle_at": diagram.silent,
        "onset_distance_and_period_ms": [[d, 1000 * s] for d, s in diagram.onset],
        "cycle_cue_low_high_period_ms": [[*row[:3], 1000 * row[3]] for row in diagram.cycles],
        "found": said,
        "settings": fig3,
    }
    figures.save_results(
        fig3["folder"], text, {"fig_3": figure}, config["plotting"]["format"],
        numbers={"reduced_model": result},
    )  # fmt: skip


if __name__ == "__main__":
    command_line.run(main)
