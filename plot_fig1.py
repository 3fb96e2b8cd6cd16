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
from pathlib import Path

import numpy as np

import models
from zrnn import activity, cli, configuration, figures
from zrnn.errors import UserError
from zrnn.figures import plt
from zrnn.taps import MIN_TAPS

PCA_EVERY = 5  # [steps] between the samples that enter the PCA
AGAIN = "run python drive_model_and_save_outputs.py, with the same --name or --checkpoint"


def check_outputs(folder, made_by):
    """Raises UserError unless all files of a drive of this network are there in full length."""
    driven = json.loads((folder / "made_by.json").read_text(encoding="utf-8"))
    if driven["sha256"] != made_by["sha256"]:
        raise UserError(
            f"{folder}: made from {driven['checkpoint']} ({driven['sha256'][:8]}), not from "
            f"{made_by['checkpoint']} ({made_by['sha256'][:8]}); {AGAIN}, or name the network "
            "with --checkpoint"
        )
    for name, size in driven["files"].items():
        if not (folder / name).is_file() or (folder / name).stat().st_size != size:
            raise UserError(f"{folder}/{name}: missing or not whole; {AGAIN}")


def read_outputs(folder, made_by, n_units, n_excit, seconds):
    """Rows of summary.csv, {trained period [s]: `read_trial`}, dt and the cue constant [s].

    Raises UserError where anything is missing or damaged.
    """
    try:
        check_outputs(folder, made_by)
        driven_with = configuration.load(folder / "config.yaml")
        dt, cue_constant = driven_with.model.dt, driven_with.task.cue_constant
        with open(folder / "summary.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            row.update({name: float(row[name]) for name in ("period_s", "cue", "mean_iti_s")})
            row.update(ok=row["result"] == "beat", trained=row["trained"] == "True")
            if not np.isclose(row["cue"], cue_constant / row["period_s"]):
                raise ValueError("summary.csv: a cue that is not that of its period")
            if row["ok"] and not 0 < row["mean_iti_s"] < np.inf:
                raise ValueError("summary.csv: a beat without a mean ITI")
        trials = {
            row["period_s"]: read_trial(folder, row, n_units, n_excit, round(seconds / dt))
            for row in rows
            if row["trained"]
        }
        if not trials:
            raise ValueError("summary.csv: no trained period")
        return rows, trials, dt, cue_constant
    except (UserError, MemoryError):
        raise
    except Exception as error:  # a damaged file can fail anywhere inside its parser
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:150]
        raise UserError(f"{folder}: missing or damaged ({reason}); {AGAIN}") from None


def read_trial(folder, row, n_units, n_excit, n_steps):
    """The trial of a row of summary.csv: its rates, a sample of them, and arrays to save.

    rates (T, N): the first n_steps, scaled to 0..1 unit by unit; sample (T', N): every PCA_EVERY-th
    step of all; arrays: taps (K,) [samples], order (N,) of the units by when they fire and, where
    there is a beat, lengths (K - 1,) of the trajectory in each cycle and mean_cycle_length.
    """
    period = row["period_s"]
    if not row["hidden_states_file"]:
        advice = "drive with --drive.hidden_states trained"
        raise UserError(f"{folder} has no hidden states of {period} s; {advice}")
    states = np.load(folder / row["hidden_states_file"], mmap_mode="r")
    taps = np.load(folder / row["taps_file"])
    of_kind = states.dtype.kind == "f" and states.shape == (len(states), 1, n_units)
    if not of_kind or not np.isfinite(states).all():
        raise ValueError(f"hidden states of {period} s: not finite, or not (T, 1, {n_units})")
    if taps.dtype.kind != "i" or taps.ndim != 1 or len(taps) < MIN_TAPS * row["ok"]:
        raise ValueError(f"taps of {period} s: not samples of a beat")
    if (np.diff(taps, prepend=-1, append=len(states)) <= 0).any():
        raise ValueError(f"taps of {period} s: not ascending samples of the run")
    rates = activity.normalise_rates(states[:, 0])
    arrays = {"taps": taps, "order": np.arange(n_units)}
    if row["ok"]:
        arrays["order"] = activity.firing_order(rates, taps, n_excit)
        arrays["lengths"] = activity.cycle_lengths(rates, taps)
        mean_cycle = activity.mean_cycle(rates, taps)
        arrays["mean_cycle_length"] = activity.closed_length(mean_cycle)
    return rates[:n_steps].copy(), rates[::PCA_EVERY].copy(), arrays


def draw_rates(rates, taps, n_excit, dt, title):
    """Sorted rates (T, N) in 0..1, E in red above I in blue; dashed lines: taps [samples]."""
    heights = [max(n_excit, 1), max(rates.shape[1] - n_excit, 1)]
    shared = dict(sharex=True, height_ratios=heights, layout="constrained")
    figure, axes = plt.subplots(2, 1, figsize=(9, 5), **shared)
    types = [("E units", "Reds", slice(0, n_excit)), ("I units", "Blues", slice(n_excit, None))]
    for panel, (label, colours, units) in zip(axes, types, strict=True):
        shown = rates[:, units].T
        if shown.size:
            style = dict(cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
            image = panel.imshow(shown, extent=(0, len(rates) * dt, len(shown), 0), **style)
            figure.colorbar(image, ax=panel, label="rate, 0..1", pad=0.01)
        for tap in taps[taps < len(rates)]:
            panel.axvline(tap * dt, color="black", ls="--", lw=1)
        panel.set_ylabel(label)
    axes[0].set_title(title)
    axes[1].set_xlabel("time in silence [s]; dashed: taps")
    return figure


def draw_trajectories(panel, paths, taps, explained, colours):
    """Paths {period: (T, 3)} along the first three principal components, with their taps."""
    panel.set_title("Trajectories; black: taps")
    for period, path in paths.items():
        label = figures.label_of(period, paths)
        panel.plot(*path.T, color=colours[period], lw=0.6, label=label)
        panel.plot(*path[taps[period]].T, "o", color="black", ms=3)
    for i, fraction in enumerate(explained):
        getattr(panel, f"set_{'xyz'[i]}label")(f"PC{i + 1} ({fraction:.0%})")
    panel.set_box_aspect(None, zoom=0.85)  # otherwise the label of PC3 leaves the panel
    panel.legend(fontsize=8, loc="upper left")


def draw_lengths(panel, arrays, colours, dt):
    """Mean and SD of the trajectory's length per cycle; in a corner, the length of the mean cycle.

    Noise lengthens a path in proportion to its duration, so the main panel measures noise x time.
    In the mean cycle noise is averaged out; there is one of them, and so no SD.
    """
    panel.set_title("Trajectory lengths: noise x time")
    corner = panel.inset_axes([0.62, 0.14, 0.36, 0.24])
    for period in [period for period in colours if f"lengths_{period}" in arrays]:
        lengths, colour = arrays[f"lengths_{period}"], colours[period]
        point, label = (lengths.mean(), lengths.std(ddof=1)), figures.label_of(period, colours)
        panel.plot(*point, "o", color=colour)
        panel.annotate(label, point, (6, -4), textcoords="offset points")
        mean_iti = 1000 * dt * np.diff(arrays[f"taps_{period}"]).mean()
        corner.plot(mean_iti, arrays[f"mean_cycle_length_{period}"], "o", mec=colour, mfc="none")
    panel.set(xlabel="mean length per cycle", ylabel="SD of the length")
    panel.margins(0.12)
    corner.margins(0.15)
    corner.set(ylim=(0, None), xlabel="mean ITI [ms]", ylabel="length")
    corner.set_title("mean cycle: without noise", fontsize=9)


def draw_intervals(panel, rows, cue_constant):
    """Mean ITI against cue of all driven periods, beside the ideal."""
    cues = np.linspace(min(r["cue"] for r in rows), max(r["cue"] for r in rows), 200)
    ideal = f"ideal: {cue_constant} s / cue"
    panel.plot(cues, 1000 * cue_constant / cues, color="black", lw=1, label=ideal)
    for trained, colour, label in ((False, "0.5", "never trained"), (True, "gold", "trained")):
        shown = [row for row in rows if row["ok"] and row["trained"] == trained]
        if shown:
            points = [row["cue"] for row in shown], [1000 * row["mean_iti_s"] for row in shown]
            panel.plot(*points, "o", color=colour, mec="black", mew=0.4, ms=6, label=label)
    silent = [row["cue"] for row in rows if not row["ok"]]
    if silent:
        panel.plot(silent, np.zeros(len(silent)), "x", color="#D55E00", label="no beat")
    panel.set(xlabel="context cue", ylabel="mean ITI [ms]", title="Inter-tap interval")
    panel.legend()


def main(config_path=None, checkpoint=None, **flags):
    config, model, made_by = models.open_network(config_path, checkpoint, "cpu", flags, "fig1")
    section, folder, n_units = config.fig1, Path(config.drive.folder), len(model.w_hh)
    n_excit = n_units if model.n_excit is None else model.n_excit
    rows, trials, dt, cue_constant = read_outputs(
        folder, made_by, n_units, n_excit, section.trajectory_seconds
    )
    colours, name = figures.period_colours(trials), "PCA_and_model_activity_stats"
    samples = np.concatenate([sample for _, sample, _ in trials.values()])
    mean, axes, explained = activity.fit_plane(samples, 3)

    drawn, paths, taps = {}, {}, {}
    arrays = {k: np.array([row[k] for row in rows]) for k in ("cue", "mean_iti_s", "ok", "trained")}
    results = {row["period_s"]: row["result"] for row in rows}
    for period, (rates, _, of_trial) in trials.items():
        paths[period] = activity.project(rates, mean, axes)
        taps[period] = of_trial["taps"][of_trial["taps"] < len(rates)]
        arrays |= {f"{key}_{period}": array for key, array in of_trial.items()}
        arrays[f"path_{period}"] = paths[period]
        window = rates[: round(section.window_seconds / dt), of_trial["order"]]
        title = f"Firing rates, period {period:g} s: {results[period]}"
        figure = draw_rates(window, of_trial["taps"], n_excit, dt, title)
        drawn[f"firing_rate_plot_{period}"] = figure
    figure = plt.figure(figsize=(15, 5), layout="constrained")
    space = figure.add_subplot(1, 3, 1, projection="3d")
    draw_trajectories(space, paths, taps, explained, colours)
    draw_lengths(figure.add_subplot(1, 3, 2), arrays, colours, dt)
    draw_intervals(figure.add_subplot(1, 3, 3), rows, cue_constant)
    drawn[name] = figure
    text = configuration.to_text(config, made_by | {"drawn from": folder})
    figures.save_results(section.folder, text, drawn, config.plotting.format, {name: arrays})


if __name__ == "__main__":
    cli.run(main)
