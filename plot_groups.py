"""Draw the populations inside a trained network, and what it does without them.

Saves groups.png (where units peak, what the groups do over a cycle), weights.png (how they are
connected, beside the reduced model) and lesions.png (the beat when a group is silenced or held at
its mean rate, or a share of all units is lost), the numbers in groups.json, and the arrays behind
the pictures in .npz: phases [tempos, N], cycles [tempos, phases of a cycle, N], masks [N].

--config_path FILE   a configuration; keys it lacks come from config.yaml
--checkpoint FILE    the network, or shipped (default: training.save_path, else shipped)
--device NAME        auto, cpu or cuda
"""

from dataclasses import asdict

import numpy as np
from tqdm import tqdm

import models
from zrnn import cli, configuration, figures, trajectories
from zrnn.figures import E_COLOUR, I_COLOUR, plt
from zrnn.populations import connections, groups, lesions

# full lines: near the tap, dashed: between taps
STYLES = {
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
SATURATED = 20  # [%] error of the ITI at which the colour of a cell no longer changes


def draw_phases(panel, recording, types):
    """Where units peak, E upwards, I downwards; filled: weighted by mean rate, line: units."""
    edges = np.linspace(-0.5, 0.5, 21)
    panel.axvspan(-trajectories.TAP_PHASE, trajectories.TAP_PHASE, color="0.9", zorder=0)
    for sign, (name, of_type) in zip((1, -1), types.items(), strict=False):
        units = of_type & ~recording.groups[groups.SILENT]
        phases = (recording.phases[units] + 0.5) % 1 - 0.5
        rates = recording.cycle[:, units].mean(axis=0)
        for weights, look in ((rates, dict(fill=True, alpha=0.6)), (np.ones(len(rates)), {})):
            heights = 100 * np.histogram(phases, edges, weights=weights)[0]
            heights = heights / max(weights.sum(), 1e-12)  # there may be no such unit
            panel.stairs(sign * heights, edges, color=TYPE_COLOURS[name], **look)
        look = dict(color=TYPE_COLOURS[name], weight="bold", va="center")
        panel.text(0.03, 0.5 + 0.44 * sign, name, transform=panel.transAxes, **look)
    panel.axhline(0, color="black", lw=0.8)
    panel.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")


def draw_curves(panel, curves, sizes):
    """Mean rates {name: (P,)} over one cycle, the tap in its middle."""
    for name, curve in curves.items():
        turned = np.roll(curve, len(curve) // 2)
        phases, closed = np.linspace(-0.5, 0.5, len(curve) + 1), np.append(turned, turned[0])
        colour, line = STYLES[name]
        label = f"{name} ({sizes[name].sum()})"
        panel.plot(phases, closed, color=colour, ls=line, lw=2, label=label)
    panel.axvline(0, color="0.6", lw=0.8, zorder=0)
    narrow = dict(handlelength=1.6, borderpad=0.1, labelspacing=0.2, frameon=False)
    panel.legend(fontsize=8, loc="upper left", **narrow)


def draw_groups(found):
    """One column a tempo: where units peak, the groups' mean rates, and those of the parts."""
    n_rows, recordings = 3 if found.parts else 2, found.compared
    shared = dict(sharex=True, sharey="row", squeeze=False, layout="constrained")
    figure, axes = plt.subplots(n_rows, len(recordings), figsize=(9.5, 2.9 * n_rows), **shared)
    all_e = {"all E": found.types["E"]} if found.parts else {}
    periods = [r.period for r in recordings]
    for column, r in zip(axes.T, recordings, strict=True):
        draw_phases(column[0], r, found.types)
        shown = {name: units for name, units in r.groups.items() if name != groups.SILENT}
        for panel, members in zip(column[1:], (shown, {**all_e, **found.parts}), strict=False):
            draw_curves(panel, groups.mean_rates(r.cycle, members), members)
        n_silent = r.groups[groups.SILENT].sum()
        column[0].set_title(f"{figures.label_of(r.period, periods)}, {n_silent} units silent")
        column[-1].set_xlabel("phase from the tap [cycles]")
    highest = [max(np.abs(p.dataLim.intervaly).max() for p in row) for row in axes]
    axes[0, 0].set_ylim(-1.1 * highest[0] if len(found.types) > 1 else 0, 1.1 * highest[0])
    for row, top in zip(axes[1:], highest[1:], strict=True):
        row[0].set_ylim(0, 1.5 * top)  # room for the legend
    labels = "peak phase [% of type]\nfilled: by rate; line: units", "mean rate of the group"
    for row, label in zip(
        axes, (*labels, "mean rate;\nI split by shape of its cycle"), strict=False
    ):
        row[0].set_ylabel(label)
    axes[0, 0].set_xlim(-0.5, 0.5)
    return figure


def draw_weights(matrices):
    """Matrices of `connections`, two in a row, red positive."""
    n_rows = -(-len(matrices) // 2)
    figure, axes = plt.subplots(
        n_rows, 2, figsize=(8.5, 3.9 * n_rows), layout="constrained", squeeze=False
    )
    for panel in axes.flat[len(matrices) :]:
        panel.remove()
    for panel, own in zip(axes.flat, matrices, strict=False):
        values, names = own.post_pre, own.names
        limit = np.abs(values).max()
        panel.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit)
        for (i, j), value in np.ndenumerate(values):
            colour = "white" if abs(value) > 0.6 * limit else "black"
            panel.text(j, i, f"{value:{own.digits}}", ha="center", va="center", color=colour)
        panel.set_xticks(range(len(names)), names, rotation=25, ha="right")
        panel.set_yticks(range(len(names)), names)
        panel.set(title=own.what, xlabel="from", ylabel="to")
    return figure


def draw_lesions(rows, periods):
    """A column each for silenced and for held units; groups, random units, shares: ITI and CV."""
    kinds = {kind: [] for kind in (lesions.GROUP, lesions.RANDOM, lesions.LOSS)}
    for row in rows:
        if (row.group, row.n_units) not in kinds[row.kind]:
            kinds[row.kind].append((row.group, row.n_units))
    heights = [len(names) for names in kinds.values()]
    shared = dict(sharex=True, sharey="row", height_ratios=heights, layout="constrained")
    figure, axes = plt.subplots(len(kinds), 2, figsize=(9.5, 0.42 * sum(heights) + 1.8), **shared)
    for line, (kind, names) in zip(axes, kinds.items(), strict=True):
        for panel, how in zip(line, (lesions.SILENCED, lesions.HELD), strict=True):
            image = np.full((len(names), len(periods)), np.nan)
            for row in rows:
                if (row.kind, row.how) == (kind, how):
                    i, j = names.index((row.group, row.n_units)), periods.index(row.period)
                    image[i, j] = 100 * row.error if row.beats else np.nan
                    dark = not abs(image[i, j]) < 0.7 * SATURATED
                    look = dict(color="white" if dark else "black", fontsize=9)
                    panel.text(j, i, lesions.in_short(row), ha="center", va="center", **look)
            panel.set_facecolor("0.35")
            drawn = panel.imshow(image, cmap="PuOr", vmin=-SATURATED, vmax=SATURATED, aspect="auto")
            panel.hlines(np.arange(1, len(names)) - 0.5, -0.5, len(periods) - 0.5, "white", lw=1.5)
            panel.set_title(f"{kind}: {how}", fontsize=10)
        # "silent" alone would read as what the network then is
        labels = [f"{g} units ({n})" if g == groups.SILENT else f"{g} ({n})" for g, n in names]
        line[0].set_yticks(range(len(names)), labels)
        line[0].set_xticks(range(len(periods)), [figures.label_of(p, periods) for p in periods])
    bar = figure.colorbar(drawn, ax=axes, shrink=0.6, extend="both", pad=0.01)
    bar.set_label(
        "error of the mean ITI [%]\n"
        "in a cell: error, CV [%] (runs that beat, where not all do); grey: no beat"
    )
    return figure


def main(config_path=None, checkpoint=None, device="auto", **flags):
    config, model, made_by = models.open_network(config_path, checkpoint, device, flags)
    own = config.groups

    found = groups.find_populations(model, config.training.periods, config.task, own.seed)
    numbers = made_by | groups.describe(found)
    matrices = connections.matrices(model.effective_w_hh().detach().cpu().numpy(), found)
    numbers["connections"] = [asdict(matrix) for matrix in matrices]
    print(groups.table(numbers))

    planned = lesions.plan(found, own.draws, own.seed)
    with tqdm(total=2 * len(planned), desc="lesions", unit="lesion") as bar:
        rows = lesions.outcomes(
            model, planned, found, config.task, own.lesion_seconds, own.seed, bar.update
        )
    numbers["lesions"] = [asdict(row) for row in rows]
    print(lesions.table(rows))

    periods = [recording.period for recording in found.compared]
    drawn = {"groups": draw_groups(found), "weights": draw_weights(matrices)}
    drawn["lesions"] = draw_lesions(rows, periods)
    arrays = {
        "periods": np.array(periods),
        "phases": np.array([recording.phases for recording in found.compared]),
        "cycles": np.array([recording.cycle for recording in found.compared]),
        **{f"mask {name}": own for name, own in {**found.reference.groups, **found.parts}.items()},
    }
    text, suffix = configuration.to_text(config, made_by), config.plotting.format
    figures.save_results(own.folder, text, drawn, suffix, {"groups": arrays}, {"groups": numbers})


if __name__ == "__main__":
    cli.run(main)
