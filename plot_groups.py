"""Draw the groups of units in a trained network, and the beat when some of them are lesioned.

Saves groups.png (when units fire), weights.png (how the groups are connected, beside the reduced
model), lesions.png (the beat without a group, or without a random fraction of the units), all
numbers in groups.json, and arrays in groups.npz: phases [tempos, N], cycles [tempos, phases, N],
masks [N]. The section `timing` of groups.json tells when I units fire relative to the E units.
python -m experiments.tabulate_populations FOLDER/groups.json prints the numbers as tables.

--config_path FILE   a configuration; keys it lacks come from config.yaml
--checkpoint FILE    the network, or shipped (default: training.save_path, else shipped)
--device NAME        auto, cpu or cuda
"""

from dataclasses import asdict
from itertools import product

import numpy as np

import models
from zrnn import activity, cli, configuration, figures
from zrnn.dynamics import reduced_model
from zrnn.figures import E_COLOUR, I_COLOUR, plt
from zrnn.populations import connections, groups, lesions
from zrnn.populations.inhibition_timing import describe_timing
from zrnn.task import context_cue

LINES = {  # colour and style of each group; dashed: between taps
    "tap-E": (E_COLOUR, "-"),
    "tap-I": (I_COLOUR, "-"),
    "tap": ("0.2", "-"),
    "inter-tap-E": ("#EF8A62", "--"),
    "inter-tap-I": ("#67A9CF", "--"),
    "inter-tap": ("0.5", "--"),
    "all E": (E_COLOUR, "-"),
    "early I": ("#053061", "-"),
    "late I": ("#4393C3", "-."),
}
TYPE_COLOURS = {"E": E_COLOUR, "I": I_COLOUR, "": "0.3"}
PHASE_EDGES = np.linspace(-0.5, 0.5, 21)  # [cycles] of the histogram of peak phases
SATURATED = 20  # [%] error of the ITI at which the colour of a cell is darkest


def draw_phases(panel, recording, types):
    """Peak phases, E upwards, I downwards; filled: weighted by mean rate, line: every unit is 1."""
    panel.axvspan(-activity.TAP_PHASE, activity.TAP_PHASE, color="0.9", zorder=0)
    for sign, (name, of_type) in zip((1, -1), types.items(), strict=False):
        units, colour = of_type & ~recording.groups[groups.SILENT], TYPE_COLOURS[name]
        phases = (recording.phases[units] + 0.5) % 1 - 0.5
        rates = recording.cycle[:, units].mean(axis=0)
        for weights, style in ((rates, dict(fill=True, alpha=0.6)), (np.ones(len(rates)), {})):
            weights = 100 * weights / max(weights.sum(), 1e-12)  # no unit of the type may be active
            percent = np.histogram(phases, PHASE_EDGES, weights=weights)[0]
            panel.stairs(sign * percent, PHASE_EDGES, color=colour, **style)
        style = dict(color=colour, weight="bold", va="center", transform=panel.transAxes)
        panel.text(0.03, 0.5 + 0.44 * sign, name, **style)
    panel.axhline(0, color="black", lw=0.8)
    panel.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")


def draw_rates(panel, cycle, members):
    """Mean rates of groups over the cycle (P, N), with the tap in its middle."""
    for name, curve in groups.mean_rates(cycle, members).items():
        turned = np.roll(curve, len(curve) // 2)
        phases, closed = np.linspace(-0.5, 0.5, len(curve) + 1), np.append(turned, turned[0])
        (colour, line), label = LINES[name], f"{name} ({members[name].sum()})"
        panel.plot(phases, closed, color=colour, ls=line, lw=2, label=label)
    panel.axvline(0, color="0.6", lw=0.8, zorder=0)
    narrow = dict(handlelength=1.6, borderpad=0.1, labelspacing=0.2, frameon=False)
    panel.legend(fontsize=8, loc="upper left", **narrow)


def draw_groups(found):
    """A column for each tempo: peak phases, rates of the groups, rates of early and late I."""
    rows = ["peak phase [% of type]\nfilled: by rate; line: units", "mean rate of the group"]
    rows += ["mean rate;\nI split by shape of its cycle"] * bool(found.i_clusters)
    shared = dict(sharex=True, sharey="row", squeeze=False, layout="constrained")
    size = 9.5, 2.9 * len(rows)
    figure, axes = plt.subplots(len(rows), len(found.compared), figsize=size, **shared)
    periods = [recording.period for recording in found.compared]
    for column, recording in zip(axes.T, found.compared, strict=True):
        members = dict(recording.groups)
        silent = members.pop(groups.SILENT)
        draw_phases(column[0], recording, found.types)
        draw_rates(column[1], recording.cycle, members)
        if found.i_clusters:
            members = {"all E": found.types["E"], **found.i_clusters}
            draw_rates(column[2], recording.cycle, members)
        label = figures.label_of(recording.period, periods)
        column[0].set_title(f"{label}, {silent.sum()} units silent")
        column[-1].set_xlabel("phase from the tap [cycles]")
    for i, (row, label) in enumerate(zip(axes, rows, strict=True)):
        top = max(np.abs(panel.dataLim.intervaly).max() for panel in row)
        limits = (0, 1.5 * top) if i else (-1.1 * top if len(found.types) > 1 else 0, 1.1 * top)
        row[0].set(ylabel=label, ylim=limits)  # 1.5: room for the legend
    axes[0, 0].set_xlim(-0.5, 0.5)
    return figure


def draw_weights(matrices):
    """Matrices of weights, two in a row, red positive."""
    n_rows = -(-len(matrices) // 2)
    figure = plt.figure(figsize=(8.5, 3.9 * n_rows), layout="constrained")
    for i, matrix in enumerate(matrices):
        panel, weights = figure.add_subplot(n_rows, 2, i + 1), matrix["weights"]
        limit, names = np.abs(weights).max(), matrix["groups"]
        panel.imshow(weights, cmap="RdBu_r", vmin=-limit, vmax=limit)
        for (to, origin), value in np.ndenumerate(weights):
            colour = "white" if abs(value) > 0.6 * limit else "black"
            panel.text(origin, to, f"{value:.2f}", ha="center", va="center", color=colour)
        panel.set_xticks(range(len(names)), names, rotation=25, ha="right")
        panel.set_yticks(range(len(names)), names)
        panel.set(title=matrix["title"], xlabel="from", ylabel="to")
    return figure


def draw_lesions(outcomes, periods):
    """Error and CV of the ITI: columns silenced and held; groups, random units, random loss."""
    rows = {kind: {} for kind in (lesions.GROUP, lesions.RANDOM, lesions.LOSS)}
    for outcome in outcomes:
        rows[outcome.kind][f"{outcome.group} ({outcome.n_units})"] = None
    heights = [len(names) for names in rows.values()]
    shared = dict(sharex=True, sharey="row", height_ratios=heights, layout="constrained")
    figure, axes = plt.subplots(3, 2, figsize=(9.5, 0.42 * sum(heights) + 1.8), **shared)
    kinds = product(rows, (lesions.SILENCED, lesions.HELD))
    for panel, (kind, method) in zip(axes.flat, kinds, strict=True):
        shown = [one for one in outcomes if (one.kind, one.method) == (kind, method)]
        errors = 100 * np.array([one.error for one in shown], dtype=float)  # NaN: no beat
        errors = errors.reshape(-1, len(periods))
        for (row, column), outcome in zip(np.ndindex(errors.shape), shown, strict=True):
            colour = "black" if abs(errors[row, column]) < 0.7 * SATURATED else "white"
            style = dict(ha="center", va="center", color=colour, fontsize=9)
            panel.text(column, row, lesions.in_short(outcome), **style)
        panel.set_facecolor("0.35")
        image = panel.imshow(errors, cmap="PuOr", vmin=-SATURATED, vmax=SATURATED, aspect="auto")
        panel.hlines(np.arange(1, len(errors)) - 0.5, -0.5, len(periods) - 0.5, "white", lw=1.5)
        panel.set_title(f"{kind}: {method}", fontsize=10)
        panel.set_yticks(range(len(errors)), rows[kind])
        panel.set_xticks(range(len(periods)), [figures.label_of(p, periods) for p in periods])
    figure.colorbar(image, ax=axes, shrink=0.6, extend="both", pad=0.01).set_label(
        "error of the mean ITI [%]\n"
        "in a cell: error, CV [%] (runs that beat, where not all do); grey: no beat"
    )
    return figure


def main(config_path=None, checkpoint=None, device="auto", **flags):
    config, model, made_by = models.open_network(config_path, checkpoint, device, flags, "groups")
    section, task = config.groups, config.task
    found = groups.find_populations(model, config.training.periods, task, section.seed)
    periods = [recording.period for recording in found.compared]
    numbers = made_by | groups.describe(found)

    w_hh = model.effective_w_hh().detach().cpu().numpy()
    matrices = numbers["connections"] = connections.between_groups(w_hh, found)
    if model.n_excit is not None:
        of_model = {"groups": ["tap-E", "tap-I", "inter-tap-I"], "weights": reduced_model.W}
        matrices.append({"title": "reduced model's W", **of_model})
        slow_to_fast = found.recordings[0], found.reference, found.recordings[-1]
        numbers["timing"] = [
            {"cue": context_cue(recording.period, task.cue_constant)}
            | describe_timing(recording.cycle, 1, found.types["E"])
            for recording in slow_to_fast
        ]

    planned = lesions.plan(found, section.draws, section.seed)
    with cli.progress_bar(2 * len(planned), "lesions", "lesion") as bar:
        outcomes = lesions.outcomes(
            model, planned, found, task, section.lesion_seconds, section.seed, bar.update
        )
    numbers["lesions"] = [asdict(outcome) for outcome in outcomes]

    drawn = {"groups": draw_groups(found), "weights": draw_weights(matrices)}
    drawn["lesions"] = draw_lesions(outcomes, periods)
    masks = found.reference.groups | found.i_clusters
    arrays = {"periods": periods} | {f"mask {name}": mask for name, mask in masks.items()}
    arrays["phases"] = [recording.phases for recording in found.compared]
    arrays["cycles"] = [recording.cycle for recording in found.compared]
    text, suffix = configuration.to_text(config, made_by), config.plotting.format
    arrays, numbers = {"groups": arrays}, {"groups": numbers}
    figures.save_results(section.folder, text, drawn, suffix, arrays, numbers)


if __name__ == "__main__":
    cli.run(main)
