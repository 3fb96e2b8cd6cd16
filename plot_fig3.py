"""Draw figure 3: the reduced model, which oscillates between an onset and an end in the cue.

--config_path FILE   a configuration; keys it lacks come from config.yaml

fig_3.npz holds what is drawn: time (T,) [s] and activity (cue, T, 3) at time_cues, the variables
x, y, z last; path_0.3 (T, 3), once round the cycle at cue 0.3; and the diagram, whose arrays
`Diagram.arrays` explains in zrnn/dynamics/diagram.py. reduced_model.json holds the answers,
bifurcations and periods.
"""

import numpy as np

from zrnn import cli, configuration
from zrnn.checkpoints import provenance
from zrnn.dynamics import reduced_model
from zrnn.dynamics.diagram import local_exponents, plain, summary
from zrnn.dynamics.panels import draw_equilibria, draw_onset, draw_period, legend_of
from zrnn.figures import plt, save_results
from zrnn.files import check_folder

TIME = np.linspace(0, 0.5, 1000)  # [s] of the activity against time
PERIOD_CUES = (0.19, 1.0)  # range of the period against the cue

# x and y are close: x is drawn thin, over y
VARIABLES = (
    ("x: tap-E", "#D62728", 1.3),
    ("y: tap-I", "#1F4FB4", 3.5),
    ("z: inter-tap-I", "#56B4E9", 2.2),
)


def draw(activity, diagram, orbits):
    """Six panels: activity {cue: (T, 3)}, the diagram, orbits {cue: (period, (T, 3))}."""
    figure, axes = plt.subplots(2, 3, figsize=(12, 7.4), layout="constrained")
    for panel, (cue, states) in zip(axes[0], activity.items(), strict=True):
        for (name, colour, width), values in zip(VARIABLES, states.T, strict=True):
            panel.plot(TIME, values, color=colour, lw=width, label=name, zorder=4 - width)
        panel.set(title=f"cue {cue:g}", xlabel="time [s]", ylabel="activity")
    axes[0, 0].legend(fontsize=10)

    period, equilibria, plane = axes[1]
    draw_period(period, diagram, PERIOD_CUES)
    draw_onset(inset := period.inset_axes((0.46, 0.46, 0.52, 0.5)), diagram)
    inset.tick_params(labelsize=8)
    inset.set_ylabel("")
    inset.legend(fontsize=8)
    period.set_title("Period")
    draw_equilibria(equilibria, diagram, "z (inter-tap-I)")
    equilibria.set_title("Equilibria and cycle")
    legend = legend_of(equilibria)
    equilibria.legend(legend.values(), legend, fontsize=8, loc="lower right")
    colours = plt.get_cmap("viridis")(np.arange(len(orbits)) / max(len(orbits), 1))
    for colour, (cue, (seconds, states)) in zip(colours, orbits.items(), strict=True):
        plane.plot(states[:, 0], states[:, 2], color=colour, lw=1.8, label=f"cue {cue:g}")
        if PERIOD_CUES[0] <= cue <= PERIOD_CUES[1]:
            period.plot(cue, 1000 * seconds, "o", color=colour, mec="black", mew=0.5, ms=6)
    plane.set(title="Limit cycles", xlabel="x (tap-E)", ylabel="z (inter-tap-I)")
    plane.legend(fontsize=9)
    return figure


def main(config_path=None, **flags):
    config = configuration.load(config_path, flags)
    check_folder(config.fig3.folder)
    cues = config.fig3.time_cues
    activity = {cue: reduced_model.integrate(cue, TIME[-1], t_eval=TIME).y.T for cue in cues}
    diagram, orbits = reduced_model.solve(config.fig3.cycle_cues)
    answers, made_by = summary(diagram), provenance()
    for question, answer in answers.items():
        print(question, answer)
    numbers = {
        "made_by": made_by,
        "answers": answers,
        "bifurcations": plain(diagram.bifurcations),
        "onset_exponents": local_exponents(diagram.onset),
        "period_ms": {f"{cue:g}": 1000 * seconds for cue, (seconds, _) in orbits.items()},
    }
    states = np.array(list(activity.values()))
    arrays = {"time": TIME, "time_cues": np.array(cues), "activity": states, **diagram.arrays()}
    arrays |= {f"path_{cue:g}": states for cue, (_, states) in orbits.items()}
    figures, numbers = {"fig_3": draw(activity, diagram, orbits)}, {"reduced_model": numbers}
    text, suffix = configuration.to_text(config, made_by), config.plotting.format
    save_results(config.fig3.folder, text, figures, suffix, {"fig_3": arrays}, numbers)


if __name__ == "__main__":
    cli.run(main)
