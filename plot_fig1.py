"""Draw figure 1 from model_outputs/: firing rates, trajectories, their lengths, ITI against cue.

--config_path FILE   a configuration; keys it lacks come from config.yaml
--checkpoint FILE    the network that was driven, or shipped (default: training.save_path, else
                     shipped); outputs of another network are refused

The arrays behind the pictures are in PCA_and_model_activity_stats.npz, {p} a trained period [s]:
path_{p} [T, 3], taps_{p} [samples], order_{p} [N] of the units, lengths_{p} [cycles] and
mean_cycle_length_{p}; cue, mean_iti_s, ok and trained of every driven period.
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import models
from zrnn import cli, configuration, figures, trajectories
from zrnn.errors import UserError
from zrnn.figures import plt

PCA_EVERY = 5  # [steps] every so many steps enter the PCA


def check_outputs(folder, checkpoint, sha256):
    """Raises UserError unless `folder` holds a whole drive of the network with that hash."""
    again = "python drive_model_and_save_outputs.py, with the same --name or --checkpoint"
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


@dataclass(frozen=True)
class Trial:
    """What figure 1 shows of one driven period [s]; rates are stretched to 0..1 unit by unit.

    taps (K,) [samples]; order (N,) of the units by when they fire; start (T, N), the first rates;
    sample (T', N), every so many of all; lengths (K - 1,) of the trajectory's cycles and
    mean_cycle_length, both None where there is no beat.
    """

    period: float
    verdict: str
    taps: np.ndarray
    order: np.ndarray
    start: np.ndarray
    sample: np.ndarray
    lengths: np.ndarray | None = None
    mean_cycle_length: float | None = None

    def arrays(self):
        """Those to keep beside the figure."""
        kept = {"taps": self.taps, "order": self.order}
        if self.lengths is not None:
            kept |= {"lengths": self.lengths, "mean_cycle_length": self.mean_cycle_length}
        return {f"{name}_{self.period}": array for name, array in kept.items()}


def read_trial(folder, row, n_excit, n_followed):
    """One driven period, of which the first n_followed steps are kept. Raises UserError."""
    if not row["hidden_states_file"]:
        raise UserError(
            f"{folder} has no hidden states of {row['period_s']} s; drive with "
            "--drive.hidden_states trained"
        )
    states = np.load(folder / row["hidden_states_file"], mmap_mode="r")[:, 0]
    taps, rates = np.load(folder / row["taps_file"]), trajectories.normalise_rates(states)
    order, lengths = np.arange(rates.shape[1]), {}
    if row["ok"]:
        order = trajectories.firing_order(rates, taps, n_excit)
        lengths["lengths"] = trajectories.cycle_lengths(trajectories.path_steps(rates), taps)
        lengths["mean_cycle_length"] = trajectories.closed_length(
            trajectories.mean_cycle(rates, taps)
        )
    start, sample = rates[:n_followed].copy(), rates[::PCA_EVERY].copy()
    return Trial(row["period_s"], row["verdict"], taps, order, start, sample, **lengths)


def read_outputs(folder):
    """The rows of a drive's summary.csv, its step dt [s] and its cue constant [s]."""
    with open(folder / "summary.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row.update({name: float(row[name]) for name in ("period_s", "cue", "mean_iti_s")})
        row.update(ok=row["verdict"] == "beat", trained=row["trained"] == "True")
    driven_with = configuration.read(folder / "config.yaml")
    return rows, driven_with["model"]["dt"], driven_with["task"]["cue_constant"]


def draw_rates(rates, taps, n_excit, dt, title):
    """Sorted firing rates (T, N) in 0..1, E in red above I in blue, taps as lines."""
    n_units = rates.shape[1]
    heights = [max(n_excit, 1), max(n_units - n_excit, 1)]
    shared = dict(sharex=True, height_ratios=heights, layout="constrained")
    figure, axes = plt.subplots(2, 1, figsize=(9, 5), **shared)
    groups = [("E units", "Reds", slice(0, n_excit)), ("I units", "Blues", slice(n_excit, None))]
    for panel, (label, colours, units) in zip(axes, groups, strict=True):
        shown = rates[:, units].T
        if shown.size:
            look = dict(cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
            image = panel.imshow(shown, extent=(0, len(rates) * dt, len(shown), 0), **look)
            figure.colorbar(image, ax=panel, label="rate, 0..1", pad=0.01)
        for tap in taps[taps < len(rates)]:
            panel.axvline(tap * dt, color="black", ls="--", lw=1)
        panel.set_ylabel(label)
    axes[0].set_title(title)
    axes[1].set_xlabel("time in silence [s]; dashed: taps")
    return figure


def draw_trajectories(panel, paths, taps, explained, colours):
    """Paths {period: (T, 3)} in the space of the first three principal components, with taps."""
    panel.set_title("Trajectories; black: taps")
    if not explained.any():
        panel.text2D(0.5, 0.5, "no unit fires", ha="center", transform=panel.transAxes)
        panel.set_axis_off()
        return
    for period, path in paths.items():
        label = figures.label_of(period, paths)
        panel.plot(*path.T, color=colours[period], lw=0.6, label=label)
        panel.plot(*path[taps[period]].T, "o", color="black", ms=3)
    for i, share in enumerate(explained):
        getattr(panel, f"set_{'xyz'[i]}label")(f"PC{i + 1} ({share:.0%})")
    panel.set_box_aspect(None, zoom=0.85)  # or the label of PC3 leaves the panel
    panel.legend(fontsize=8, loc="upper left")


def draw_lengths(panel, trials, colours, dt):
    """Mean and SD of the trajectory's length per cycle; in a corner, that of the mean cycle.

    A noisy path is the longer the longer it lasts: its length measures noise x time. In the mean
    cycle, of which there is one and so no SD, noise is averaged out.
    """
    panel.set_title("Trajectory lengths: noise x time")
    beating = [trial for trial in trials if trial.lengths is not None]
    if not beating:
        panel.text(
            0.5, 0.5, "no beat at any trained period", ha="center", transform=panel.transAxes
        )
        panel.set_axis_off()
        return
    corner = panel.inset_axes([0.62, 0.14, 0.36, 0.24])
    for trial in beating:
        point = trial.lengths.mean(), trial.lengths.std(ddof=1)
        colour, label = colours[trial.period], figures.label_of(trial.period, colours)
        panel.plot(*point, "o", color=colour)
        panel.annotate(label, point, (6, -4), textcoords="offset points")
        mean_iti = 1000 * dt * np.diff(trial.taps).mean()
        corner.plot(mean_iti, trial.mean_cycle_length, "o", mec=colour, mfc="none")
    panel.set(xlabel="mean length per cycle", ylabel="SD of the length")
    panel.margins(0.12)
    corner.margins(0.15)
    corner.set(ylim=(0, None), xlabel="mean ITI [ms]", ylabel="length")
    corner.set_title("mean cycle: without noise", fontsize=9)


def draw_intervals(panel, rows, cue_constant):
    """Mean ITI against cue for all driven periods, beside the ideal."""
    cues = np.linspace(min(r["cue"] for r in rows), max(r["cue"] for r in rows), 200)
    ideal = f"ideal: {cue_constant} s / cue"
    panel.plot(cues, 1000 * cue_constant / cues, color="black", lw=1, label=ideal)
    for trained, colour, label in ((False, "0.5", "never trained"), (True, "gold", "trained")):
        own = [
            (r["cue"], 1000 * r["mean_iti_s"]) for r in rows if r["ok"] and r["trained"] == trained
        ]
        look = dict(color=colour, mec="black", mew=0.4, ms=6, label=label)
        if own:
            panel.plot(*np.transpose(own), "o", **look)
    silent = [row["cue"] for row in rows if not row["ok"]]
    if silent:
        panel.plot(silent, np.zeros(len(silent)), "x", color="#D55E00", label="no beat")
    panel.set(xlabel="context cue", ylabel="mean ITI [ms]", title="Inter-tap interval")
    panel.legend()


def main(config_path=None, checkpoint=None, **flags):
    config, model, made_by = models.open_network(config_path, checkpoint, "cpu", flags)
    print(configuration.changes_text(config))
    fig1, source = config.fig1, Path(config.drive.folder)
    check_outputs(source, made_by["checkpoint"], made_by["sha256"])
    rows, dt, cue_constant = read_outputs(source)
    text = configuration.to_text(config, made_by | {"drawn from": source})
    n_excit = len(model.w_hh) if model.n_excit is None else model.n_excit

    n_shown, n_followed = (round(s / dt) for s in (fig1.window_seconds, fig1.trajectory_seconds))
    trials = [read_trial(source, row, n_excit, n_followed) for row in rows if row["trained"]]
    colours = figures.period_colours([trial.period for trial in trials])
    mean, axes, explained = trajectories.fit_plane(np.concatenate([t.sample for t in trials]), 3)
    paths = {t.period: trajectories.project(t.start, mean, axes) for t in trials}
    taps = {t.period: t.taps[t.taps < len(t.start)] for t in trials}

    drawn, arrays = {}, {}
    for trial in trials:
        title = f"Firing rates, period {trial.period:g} s: {trial.verdict}"
        window = trial.start[:n_shown, trial.order]
        drawn[f"firing_rate_plot_{trial.period}"] = draw_rates(
            window, trial.taps, n_excit, dt, title
        )
        arrays |= trial.arrays() | {f"path_{trial.period}": paths[trial.period]}
    figure = plt.figure(figsize=(15, 5), layout="constrained")
    space = figure.add_subplot(1, 3, 1, projection="3d")
    draw_trajectories(space, paths, taps, explained, colours)
    draw_lengths(figure.add_subplot(1, 3, 2), trials, colours, dt)
    draw_intervals(figure.add_subplot(1, 3, 3), rows, cue_constant)
    for key in ("cue", "mean_iti_s", "ok", "trained"):
        arrays[key] = np.array([row[key] for row in rows])
    name = "PCA_and_model_activity_stats"
    drawn[name] = figure
    figures.save_results(fig1.folder, text, drawn, config.plotting.format, {name: arrays})


if __name__ == "__main__":
    cli.run(main)
