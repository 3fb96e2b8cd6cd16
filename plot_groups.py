"""Draw the populations inside a trained network, and what it does without them.

Units are sorted by type and by whether they peak near the tap, as for figure 5. Saves groups.png
(where units peak, what the groups do over a cycle), weights.png (how they are connected, beside the
reduced model), lesions.png (the beat when a group is silenced) and the numbers in groups.json.

--config_path FILE   a configuration; keys it lacks come from config.yaml
--checkpoint FILE    the network, or shipped (default: training.save_path, else shipped)
--device NAME        auto, cpu or cuda
"""

import numpy as np
from tqdm import tqdm

from models import load_network
from zrnn.analysis import groups, lesions
from zrnn.dynamics import reduced_model
from zrnn.workshop import command_line, configuration, figures
from zrnn.workshop.figures import plt

# red: E, blue: I; full lines: near the tap, dashed: between taps
STYLES = {
    "tap-E": ("#B2182B", "-"), "tap-I": ("#2166AC", "-"), "tap": ("0.2", "-"),
    "inter-tap-E": ("#EF8A62", "--"), "inter-tap-I": ("#67A9CF", "--"), "inter-tap": ("0.5", "--"),
    "all E": ("#B2182B", "-"), "early I": ("#053061", "-"), "late I": ("#4393C3", "-."),
}  # fmt: skip
TYPE_COLOURS = {"E": "#B2182B", "I": "#2166AC", "": "0.3"}


def from_tap(curve):
    """A curve over one cycle (P,), the tap in its middle: phases -0.5..0.5 and values, closed."""
    turned = np.roll(curve, len(curve) // 2, axis=0)
    return np.linspace(-0.5, 0.5, len(curve) + 1), np.append(turned, turned[0])


def draw_phases(panel, recording, types, silent, tap_phase):
    """Where units peak: E upwards, I downwards; filled: weighted by mean rate, line: units."""
    edges = np.linspace(-0.5, 0.5, 21)
    panel.axvspan(-tap_phase, tap_phase, color="0.9", zorder=0)
    for sign, (name, of_type) in zip((1, -1), types.items(), strict=False):
        units = of_type & ~silent
        phases = (recording.phases[units] + 0.5) % 1 - 0.5
        rates = recording.cycle[:, units].mean(axis=0)
        for weights, look in ((rates, dict(fill=True, alpha=0.6)), (np.ones(len(rates)), {})):
            heights = 100 * np.histogram(phases, edges, weights=weights)[0] / weights.sum()
            panel.stairs(sign * heights, edges, color=TYPE_COLOURS[name], **look)
        if name:
            panel.text(0.03, 0.5 + 0.44 * sign, name, transform=panel.transAxes, va="center",
                       color=TYPE_COLOURS[name], weight="bold")  # fmt: skip
    panel.axhline(0, color="black", lw=0.8)
    panel.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")


def draw_groups(found, tap_phase):
    """One column a tempo; where units peak, the groups' mean rates, and those of the parts."""
    n_rows = 3 if found.parts else 2
    figure, axes = plt.subplots(
        n_rows, len(found.recordings), figsize=(9.5, 2.9 * n_rows), sharex=True, sharey="row",
        squeeze=False, layout="constrained",
    )  # fmt: skip
    all_e = {"all E": found.types["E"]} if found.parts else {}
    for column, r in zip(axes.T, found.recordings, strict=True):
        own = found.groups[r.period]
        draw_phases(column[0], r, found.types, own[groups.SILENT], tap_phase)
        shown = {name: units for name, units in own.items() if name != groups.SILENT}
        rows = [shown, {**all_e, **found.parts}]
        for panel, members in zip(column[1:], rows, strict=False):
            for name, curve in groups.mean_rates(r.cycle, members).items():
                colour, line = STYLES[name]
                label = f"{name} ({members[name].sum()})"
                panel.plot(*from_tap(curve), color=colour, ls=line, lw=2, label=label)
            panel.axvline(0, color="0.6", lw=0.8, zorder=0)
            panel.legend(fontsize=8, loc="upper left", handlelength=1.6, borderpad=0.1,
                         labelspacing=0.2, frameon=False)  # fmt: skip
        column[0].set_title(f"{1 / r.period:.0f} Hz, {own[groups.SILENT].sum()} units silent")
        column[-1].set_xlabel("phase from the tap [cycles]")
    highest = [max(np.abs(p.dataLim.intervaly).max() for p in row) for row in axes]
    axes[0, 0].set_ylim(-1.1 * highest[0] if len(found.types) > 1 else 0, 1.1 * highest[0])
    for row, top in zip(axes[1:], highest[1:], strict=True):
        row[0].set_ylim(0, 1.5 * top)  # room for the legend
    axes[0, 0].set_ylabel("peak phase [% of type]\nfilled: by rate; line: units")
    axes[1, 0].set_ylabel("mean rate of the group")
    if found.parts:
        axes[2, 0].set_ylabel("mean rate;\nI split by shape of its cycle")
    axes[0, 0].set_xlim(-0.5, 0.5)
    return figure


def draw_matrix(panel, matrix, names, title, form):
    """A matrix [post, pre] with its values, red positive and blue negative."""
    limit = np.abs(matrix).max()
    panel.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit)
    for (i, j), value in np.ndenumerate(matrix):
        colour = "white" if abs(value) > 0.6 * limit else "black"
        panel.text(j, i, format(value, form), ha="center", va="center", color=colour, fontsize=10)
    panel.set_xticks(range(len(names)), names, rotation=25, ha="right")
    panel.set_yticks(range(len(names)), names)
    panel.set(title=title, xlabel="from", ylabel="to")


def draw_weights(matrices):
    """Matrices [(names, matrix, title, format)], two in a row."""
    n_rows = -(-len(matrices) // 2)
    figure, axes = plt.subplots(
        n_rows, 2, figsize=(8.5, 3.9 * n_rows), layout="constrained", squeeze=False
    )
    for panel in axes.flat[len(matrices) :]:
        panel.remove()
    for panel, (names, matrix, title, form) in zip(axes.flat, matrices, strict=False):
        draw_matrix(panel, matrix, names, title, form)
    return figure


def row_label(name, n_units):
    """A row of the lesions; "silent" alone would read as what the network then is."""
    return f"{name} units ({n_units})" if name == groups.SILENT else f"{name} ({n_units})"


def draw_lesions(rows, periods):
    """A panel each for whole groups, halves, and as many random units: error and CV of the ITI."""
    kinds = [lesions.WHOLE, lesions.RANDOM_WHOLE, lesions.HALF, lesions.RANDOM_HALF]
    names = list(dict.fromkeys(row.group for row in rows))
    figure, axes = plt.subplots(
        2, 2, figsize=(11.5, max(0.85 * len(names) + 2, 5.5)), layout="constrained", squeeze=False
    )
    scale = 20  # [%] error at which the colour saturates
    for panel, kind in zip(axes.flat, kinds, strict=True):
        own = [row for row in rows if row.kind == kind]
        shown = [name for name in names if any(row.group == name for row in own)]
        image = np.full((len(shown), len(periods)), np.nan)
        for row in own:
            i, j = shown.index(row.group), periods.index(row.period)
            image[i, j] = 100 * row.error
            text, colour = row.verdict.removeprefix("no beat: ").replace(" ", "\n"), "white"
            if row.beats:
                text = f"{100 * row.error:+.1f}\n{100 * row.cv:.1f}"
                text += f" ({row.beats}/{row.runs})" if row.beats < row.runs else ""
                colour = "white" if abs(image[i, j]) > 0.7 * scale else "black"
            panel.text(j, i, text, ha="center", va="center", color=colour, fontsize=8)
        panel.set_facecolor("0.35")
        drawn = panel.imshow(image, cmap="PuOr", vmin=-scale, vmax=scale, aspect="auto")
        sizes = {row.group: row.n_units for row in own}
        panel.set_yticks(range(len(shown)), [row_label(name, sizes[name]) for name in shown])
        panel.set_xticks(range(len(periods)), [f"{1 / p:.0f} Hz" for p in periods])
        panel.set_title(f"silenced: {kind}")
        panel.hlines(np.arange(1, len(shown)) - 0.5, -0.5, len(periods) - 0.5, "white", lw=1.5)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.6, extend="both", pad=0.01)
    bar.set_label("error of the mean ITI [%]\nin a cell: above the CV [%]; grey: no beat")
    return figure


def connection_matrices(w_hh, found):
    """What `draw_weights` shows: means, summed inputs, the parts, and the reduced model.

    A mean weight grows as a group shrinks; the summed input does not, and is what the reduced
    model's W stands for. Its size still differs: a variable there is a group and a gain in one.
    """
    rates = found.reference.cycle.mean(axis=0)

    def of(members):
        return {name: own for name, own in members.items() if own.any() and name != groups.SILENT}

    four = of(found.groups[found.reference.period])
    masks = list(four.values())
    matrices = [
        (list(four), 1000 * groups.mean_weights(w_hh, masks), "mean weight x 1000", ".1f"),
        (list(four), groups.total_inputs(w_hh, masks, rates), "total input weight", ".2f"),
    ]
    if found.parts:
        three = of({"all E": found.types["E"], **found.parts})
        total = groups.total_inputs(w_hh, list(three.values()), rates)
        matrices.append((list(three), total, "total input weight, I split by shape", ".2f"))
    if len(found.types) > 1:
        reduced = ["tap-E", "tap-I", "inter-tap-I"]
        matrices.append((reduced, reduced_model.W, "reduced model's W", ".2f"))
    return matrices


def main(config_path=None, checkpoint=None, device="auto", **flags):
    config, model, made_by = load_network(config_path, checkpoint, device, flags)
    own, periods = config["groups"], config["training"]["periods"]

    found = groups.find_populations(model, config)
    numbers = made_by | groups.describe(found, config)
    matrices = connection_matrices(model.effective_w_hh().detach().cpu().numpy(), found)
    numbers["connections"] = [
        {"what": title, "names": names, "post_pre": matrix.tolist()}
        for names, matrix, title, _ in matrices
    ]
    print(groups.table(numbers))

    plan = lesions.plan(found, own["draws"], own["seed"])
    bar = tqdm(total=len(plan), desc="lesions", unit="lesion")
    beats = lesions.drive_all(model, plan, periods, config, bar.update)
    bar.close()
    rows = lesions.outcomes(plan, beats, periods)
    numbers["lesions"] = [lesions.plain(row) for row in rows]
    print(lesions.table(rows, periods))

    drawn = {
        "groups": draw_groups(found, config["fig5"]["tap_phase"]),
        "weights": draw_weights(matrices),
        "lesions": draw_lesions(rows, periods),
    }
    text, suffix = configuration.to_text(config, made_by), config["plotting"]["format"]
    figures.save_results(own["folder"], text, drawn, suffix, numbers={"groups": numbers})


if __name__ == "__main__":
    command_line.run(main)
