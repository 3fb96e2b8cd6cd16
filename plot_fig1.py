"""Draw figure 1 from model_outputs/: firing rates, trajectories, their lengths, ITI against cue.

--config_path FILE   a configuration; keys it lacks come from config.yaml
--checkpoint FILE    the network that was driven, or shipped (default: training.save_path, else
                     shipped); outputs of another network are refused
"""

import csv
import json
import os
from pathlib import Path

import numpy as np

from models import restore_model
from zrnn.analysis import geometry
from zrnn.network.checkpoints import read_checkpoint
from zrnn.workshop import command_line, configuration, figures
from zrnn.workshop.errors import UserError
from zrnn.workshop.figures import plt
from zrnn.workshop.provenance import provenance


def check_outputs(folder, checkpoint, sha256):
    """Raises UserError unless `folder` holds a whole drive of the network with that hash."""
    again = "python drive_model_and_save_outputs.py"
    try:
        made_by = json.loads((folder / "made_by.json").read_text())
        driven, driven_sha256, sizes = (made_by[k] for k in ("checkpoint", "sha256", "files"))
    except (OSError, ValueError, KeyError):
        raise UserError(f"{folder}/made_by.json: missing or damaged; run {again}") from None
    if driven_sha256 != sha256:
        raise UserError(
            f"{folder}: made from {driven} ({driven_sha256[:8]}), not from {checkpoint} "
            f"({sha256[:8]}); run {again}, or name the network with --checkpoint"
        )
    for name, size in sizes.items():
        if not (folder / name).is_file() or (folder / name).stat().st_size != size:
            raise UserError(f"{folder}/{name}: missing or not whole; run {again}")


def read_outputs(folder):
    """The rows of a drive's summary.csv, and the configuration that made it."""
    with open(folder / "summary.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = ("period_s", "cue", "mean_iti_s")
    rows = [{**row, **{name: float(row[name]) for name in numbers}} for row in rows]
    return rows, configuration.load(folder / "config.yaml")


def draw_rates(rates, taps, n_excit, dt, title):
    """Sorted firing rates (T, N) in 0..1, E in red above I in blue, taps as lines."""
    n_units = rates.shape[1]
    figure, axes = plt.subplots(
        2, 1, sharex=True, figsize=(9, 5), layout="constrained",
        height_ratios=[max(n_excit, 1), max(n_units - n_excit, 1)],
    )  # fmt: skip
    groups = [("E units", "Reds", slice(0, n_excit)), ("I units", "Blues", slice(n_excit, None))]
    for panel, (label, colours, units) in zip(axes, groups, strict=True):
        shown = rates[:, units].T
        if shown.size:
            extent = (0, len(rates) * dt, len(shown), 0)
            image = panel.imshow(
                shown, aspect="auto", cmap=colours, vmin=0, vmax=1, extent=extent,
                interpolation="nearest",
            )  # fmt: skip
            figure.colorbar(image, ax=panel, label="rate, 0..1", pad=0.01)
        for tap in taps[taps < len(rates)]:
            panel.axvline(tap * dt, color="black", ls="--", lw=1)
        panel.set_ylabel(label)
    axes[0].set_title(title)
    axes[1].set_xlabel("time in silence [s]; dashed: taps")
    return figure


def draw_panels(trajectories, lengths, explained, rows, colours, cue_constant):
    """Trajectories [(T, 3), taps], cycle lengths, and ITI against cue."""
    figure = plt.figure(figsize=(15, 5), layout="constrained")
    space = figure.add_subplot(1, 3, 1, projection="3d")
    middle, right = figure.add_subplot(1, 3, 2), figure.add_subplot(1, 3, 3)
    for period, (path, taps) in trajectories.items():
        space.plot(*path.T, color=colours[period], lw=0.6, label=f"{1 / period:.0f} Hz")
        space.plot(*path[taps].T, "o", color="black", ms=3)
    space.set(
        **{
            f"{a}label": f"PC{i + 1} ({e:.0%})"
            for i, (a, e) in enumerate(zip("xyz", explained, strict=True))
        }
    )
    space.set_box_aspect(None, zoom=0.85)  # or the label of PC3 leaves the panel
    space.set_title("Trajectories; black: taps")
    space.legend(fontsize=8, loc="upper left")
    for i, (period, own) in enumerate(lengths.items()):
        point = own.mean(), own.std(ddof=1)
        middle.plot(*point, "o", color=colours[period])
        beside = (
            (-12, 9) if i % 2 else (-12, -17)
        )  # above and below in turn: the fast ones are near
        middle.annotate(f"{1 / period:.0f} Hz", point, beside, textcoords="offset points")
    middle.set(
        xlabel="mean length per cycle", ylabel="SD of the length", title="Trajectory lengths"
    )
    middle.margins(0.12)
    beats = [row for row in rows if row["verdict"] == "beat"]
    silent = [row["cue"] for row in rows if row["verdict"] != "beat"]
    cues = np.linspace(min(r["cue"] for r in rows), max(r["cue"] for r in rows), 200)
    right.plot(
        cues,
        1000 * cue_constant / cues,
        color="black",
        lw=1,
        label=f"ideal: {cue_constant} s / cue",
    )
    for trained, colour, label in (("False", "0.5", "never trained"), ("True", "gold", "trained")):
        points = [(r["cue"], 1000 * r["mean_iti_s"]) for r in beats if r["trained"] == trained]
        if points:
            right.plot(
                *np.transpose(points), "o", color=colour, mec="black", mew=0.4, ms=6, label=label
            )
    if silent:
        right.plot(silent, np.zeros(len(silent)), "x", color="#D55E00", label="no beat")
    right.set(xlabel="context cue", ylabel="mean ITI [ms]", title="Inter-tap interval")
    right.legend()
    return figure


def main(config_path=None, checkpoint=None, **flags):
    config = configuration.load(config_path, flags)
    path, content = read_checkpoint(checkpoint, config)
    fig1, source = config["fig1"], Path(config["drive"]["folder"])
    check_outputs(source, path, content["sha256"])
    rows, driven_with = read_outputs(source)
    made_by = provenance() | {"drawn from": source, "checkpoint": os.path.relpath(path)}
    text = configuration.to_text(config, made_by | {"sha256": content["sha256"]})
    print(text)
    drawn = {}
    dt = driven_with["model"]["dt"]
    # the vanilla RNN has no Dale's law: one group
    model = restore_model(content, **driven_with["model"])
    n_excit = getattr(model, "n_excit", model.w_hh.shape[0])

    trained = [row for row in rows if row["trained"] == "True"]
    colour_map = plt.get_cmap("viridis")
    colours = {r["period_s"]: colour_map(i / len(trained)) for i, r in enumerate(trained)}
    taps, lengths, samples, first = {}, {}, [], {}
    for row in trained:
        period = row["period_s"]
        if not row["hidden_states_file"]:
            raise UserError(
                f"{source} has no hidden states of {period} s; drive with hidden_states trained"
            )
        taps[period] = np.load(source / row["taps_file"])
        states = np.load(source / row["hidden_states_file"], mmap_mode="r")[:, 0]
        rates = geometry.normalise_rates(states)
        if row["verdict"] == "beat":
            order = geometry.firing_order(rates, taps[period], n_excit)
            lengths[period] = geometry.cycle_lengths(geometry.path_steps(rates), taps[period])
        else:
            order = np.arange(rates.shape[1])
        window = rates[: round(fig1["window_seconds"] / dt), order]
        title = f"Firing rates, period {period:g} s: {row['verdict']}"
        figure = draw_rates(window, taps[period], n_excit, dt, title)
        drawn[f"firing_rate_plot_{period}"] = figure
        samples.append(rates[:: fig1["pca_every"]])
        first[period] = rates[: round(fig1["trajectory_seconds"] / dt)].copy()
    mean, axes, explained = geometry.fit_plane(np.concatenate(samples), 3)
    trajectories = {
        p: (geometry.project(own, mean, axes), taps[p][taps[p] < len(own)])
        for p, own in first.items()
    }
    figure = draw_panels(
        trajectories, lengths, explained, rows, colours, driven_with["task"]["cue_constant"]
    )
    drawn["PCA_and_model_activity_stats"] = figure
    figures.save_results(fig1["folder"], text, drawn, config["plotting"]["format"])


if __name__ == "__main__":
    command_line.run(main)
