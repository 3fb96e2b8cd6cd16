"""Draw figure 1 from model_outputs/: firing rates, trajectories, their lengths, ITI against cue.

--config_path FILE   a configuration; keys it lacks come from config.yaml
--checkpoint FILE    the network that was driven, or shipped (default: training.save_path, else
                     shipped); outputs of another network are refused

The arrays behind the pictures are in PCA_and_model_activity_stats.npz, {p} a trained period [s]:
path_{p} [T, 3], taps_{p} [samples], order_{p} [N] of the units, lengths_{p} [cycles] and
mean_cycle_length_{p}; cue, mean_iti_s, ok and trained of every driven period.
"""

import json
from pathlib import Path

import numpy as np

import models
from zrnn import activity, cli, configuration, figures
from zrnn.errors import UserError
from zrnn.figures import plt

PCA_EVERY = 5  # [steps] between the samples that enter the PCA
STATISTICS = "PCA_and_model_activity_stats"  # name of the figure and of the arrays behind it
AGAIN = "run python drive_model_and_save_outputs.py, with the same --name or --checkpoint"


def read_outputs(folder, made_by, seconds, n_excit):
    """The table of summary.csv, {trained period [s]: `read_trial`}, the drive's configuration.

    Raises UserError unless all files of a drive of this network are there in full length.
    """
    try:
        driven = json.loads((folder / "made_by.json").read_text(encoding="utf-8"))
        of, here = (f"{one['checkpoint']} ({one['sha256']:.8})" for one in (driven, made_by))
        if driven["sha256"] != made_by["sha256"]:
            advice = f"{AGAIN}, or name the network with --checkpoint"
            raise UserError(f"{folder}: made from {of}, not from {here}; {advice}")
        for name, size in driven["files"].items():
            if (folder / name).stat().st_size != size:
                raise ValueError(f"{name} is not whole")
        options = dict(delimiter=",", names=True, dtype=None, encoding="utf-8", comments=None)
        table = np.atleast_1d(np.genfromtxt(folder / "summary.csv", **options))
        if "trained" not in table.dtype.names:
            raise UserError(f"{folder}: of a drive with onsets; {AGAIN}, but no --drive.onsets")
        config, trials = configuration.load(folder / "config.yaml"), {}
        n_steps = round(seconds / config.model.dt)
        for row in table[table["trained"]]:
            trials[row["period_s"]] = read_trial(folder, row, n_steps, n_excit)
        return table, trials, config
    except (UserError, MemoryError):
        raise
    except Exception as error:  # a damaged file can fail anywhere inside its parser
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:150]
        raise UserError(f"{folder}: missing or damaged ({reason}); {AGAIN}") from None


def read_trial(folder, row, n_steps, n_excit):
    """The trial of a row of the table: its rates, a sample of them, and arrays to save.

    rates (T, N): the first n_steps, scaled to 0..1 unit by unit; sample (T', N): every PCA_EVERY-th
    step of all; arrays: taps (K,) [samples], order (N,) of the units by when they fire and, where
    there is a beat, lengths (K - 1,) of the trajectory in each cycle and mean_cycle_length.
    """
    if not row["hidden_states_file"]:
        advice = "drive with --drive.hidden_states trained"
        raise UserError(f"{folder} has no hidden states of {row['period_s']} s; {advice}")
    states = np.load(folder / row["hidden_states_file"], mmap_mode="r")[:, 0]
    if not np.isfinite(states).all():
        raise ValueError(f"hidden states of {row['period_s']} s: not finite")
    rates, taps = activity.normalise_rates(states), np.load(folder / row["taps_file"])
    arrays = {"taps": taps, "order": np.arange(rates.shape[1])}
    if row["result"] == "beat":
        arrays["order"] = activity.firing_order(rates, taps, n_excit)
        arrays["lengths"] = activity.cycle_lengths(rates, taps)
        arrays["mean_cycle_length"] = activity.closed_length(activity.mean_cycle(rates, taps))
    return rates[:n_steps].copy(), rates[::PCA_EVERY].copy(), arrays


def draw_rates(rates, taps, n_excit, dt, title):
    """Sorted rates (T, N) in 0..1, E in red above I in blue; dashed lines: taps [samples]."""
    heights = [max(n_excit, 1), max(rates.shape[1] - n_excit, 1)]
    shared = dict(sharex=True, height_ratios=heights, layout="constrained")
    figure, axes = plt.subplots(2, 1, figsize=(9, 5), **shared)
    of_types = np.split(rates, [n_excit], axis=1)
    for panel, name, colours, shown in zip(axes, "EI", ("Reds", "Blues"), of_types, strict=True):
        if shown.size:
            style = dict(cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
            extent = 0, len(rates) * dt, shown.shape[1], 0
            image = panel.imshow(shown.T, extent=extent, **style)
            figure.colorbar(image, ax=panel, label="rate, 0..1", pad=0.01)
        for tap in taps[taps < len(rates)]:
            panel.axvline(tap * dt, color="black", ls="--", lw=1)
        panel.set_ylabel(f"{name} units")
    axes[0].set_title(title)
    axes[1].set_xlabel("time in silence [s]; dashed: taps")
    return figure


def draw_trajectories(panel, trials, paths, explained, colours):
    """Paths {period: (T, 3)} along the first three principal components, with their taps."""
    for period, path in paths.items():
        label, taps = figures.label_of(period, paths), trials[period][2]["taps"]
        panel.plot(*path.T, color=colours[period], lw=0.6, label=label)
        panel.plot(*path[taps[taps < len(path)]].T, "o", color="black", ms=3)
    labels = [f"PC{i} ({fraction:.0%})" for i, fraction in enumerate(explained, 1)]
    panel.set(**dict(zip(("xlabel", "ylabel", "zlabel"), labels, strict=True)))
    panel.set_title("Trajectories; black: taps")
    panel.set_box_aspect(None, zoom=0.85)  # otherwise the label of PC3 leaves the panel
    panel.legend(fontsize=8, loc="upper left")


def draw_lengths(panel, trials, colours, dt):
    """Mean and SD of the trajectory's length per cycle; in a corner, the length of the mean cycle.

    Noise lengthens a path in proportion to its duration, so the main panel measures noise x time.
    In the mean cycle noise is averaged out; there is one of them, and so no SD.
    """
    corner = panel.inset_axes([0.62, 0.14, 0.36, 0.24])
    points = []
    for period, (_, _, arrays) in trials.items():
        if "lengths" in arrays:
            lengths, colour = arrays["lengths"], colours[period]
            point, label = (lengths.mean(), lengths.std(ddof=1)), figures.label_of(period, colours)
            points.append(point)
            panel.plot(*point, "o", color=colour)
            panel.annotate(label, point, (6, -4), textcoords="offset points")
            mean_iti = 1000 * dt * np.diff(arrays["taps"]).mean()
            corner.plot(mean_iti, arrays["mean_cycle_length"], "o", mec=colour, mfc="none")
    panel.set(xlabel="mean length per cycle", ylabel="SD of the length")
    panel.set_title("Trajectory lengths: noise x time")
    panel.margins(x=0.2, y=0.12)
    low, high = np.array([panel.get_xlim(), panel.get_ylim()]).T
    x, y = ((np.reshape(points, (-1, 2)) - low) / (high - low)).T  # as fractions of the panel
    if ((x > 0.55) & (y < 0.42)).any():  # make room for the corner below all points
        panel.set_ylim(low[1] - 0.7 * (high[1] - low[1]), high[1])
    corner.axhline(0, lw=0)  # the range of the lengths includes 0
    corner.margins(0.15)
    corner.set(ylim=(0, None), xlabel="mean ITI [ms]", ylabel="length")
    corner.set_title("mean cycle: without noise", fontsize=9)


def draw_intervals(panel, table, cue_constant):
    """Mean ITI against cue of all driven periods, beside the ideal."""
    cue, beats, trained = table["cue"], table["result"] == "beat", table["trained"]
    cues, itis = np.linspace(cue.min(), cue.max(), 200), 1000 * table["mean_iti_s"]
    ideal = f"ideal: {cue_constant} s / cue"
    panel.plot(cues, 1000 * cue_constant / cues, color="black", lw=1, label=ideal)
    for label, colour, of in (("never trained", "0.5", ~trained), ("trained", "gold", trained)):
        style = dict(color=colour, mec="black", mew=0.4, ms=6, label=label)
        if (of & beats).any():
            panel.plot(cue[of & beats], itis[of & beats], "o", **style)
    if not beats.all():
        panel.plot(cue[~beats], 0 * cue[~beats], "x", color="#D55E00", label="no beat")
    panel.set(xlabel="context cue", ylabel="mean ITI [ms]", title="Inter-tap interval")
    panel.legend()


def main(config_path=None, checkpoint=None, **flags):
    config, model, made_by = models.open_network(config_path, checkpoint, "cpu", flags, "fig1")
    section, folder = config.fig1, Path(config.drive.folder)
    n_excit = len(model.w_hh) if model.n_excit is None else model.n_excit
    table, trials, driven = read_outputs(folder, made_by, section.trajectory_seconds, n_excit)
    dt, colours = driven.model.dt, figures.period_colours(trials)
    samples = np.concatenate([sample for _, sample, _ in trials.values()])
    mean, axes, explained = activity.fit_plane(samples, 3)

    drawn, paths = {}, {}
    arrays = {key: table[key] for key in ("cue", "mean_iti_s", "trained")}
    arrays["ok"] = table["result"] == "beat"
    results = dict(zip(table["period_s"], table["result"], strict=True))
    for period, (rates, _, of_trial) in trials.items():
        paths[period] = arrays[f"path_{period}"] = activity.project(rates, mean, axes)
        arrays |= {f"{key}_{period}": array for key, array in of_trial.items()}
        window = rates[: round(section.window_seconds / dt), of_trial["order"]]
        title = f"Firing rates, period {period:g} s: {results[period]}"
        figure = draw_rates(window, of_trial["taps"], n_excit, dt, title)
        drawn[f"firing_rate_plot_{period}"] = figure
    figure = plt.figure(figsize=(15, 5), layout="constrained")
    space = figure.add_subplot(1, 3, 1, projection="3d")
    draw_trajectories(space, trials, paths, explained, colours)
    draw_lengths(figure.add_subplot(1, 3, 2), trials, colours, dt)
    draw_intervals(figure.add_subplot(1, 3, 3), table, driven.task.cue_constant)
    drawn[STATISTICS], made_by["drawn from"] = figure, folder
    text, suffix = configuration.to_text(config, made_by), config.plotting.format
    figures.save_results(section.folder, text, drawn, suffix, {STATISTICS: arrays})


if __name__ == "__main__":
    cli.run(main)
