"""Drive a trained network with clicks, then with the cue alone: saves model_outputs/.

For every period: valid_output_{p}.npy [T], peaks_{p}.npy [taps, in samples], plot_period_{p}.png;
for the trained ones hidden_states_{p}.npy [T, 1, N] (currents x) and, with --drive.sound true,
beat_{p}.wav: the last second of clicks (high) and ten seconds of silence, with the taps (low). Also
summary.csv, config.yaml and made_by.json (the checkpoint's hash, versions, the size of every file).
The first drive.discard_seconds, during which clicks are given, are not saved.

With --drive.onsets FILE instead: clicks at these onsets, which nothing is discarded of. The cue is
the file's, from each onset to the next, or in turn that of every trained period. Saves
valid_output_onsets.npy and peaks_onsets.npy, or ..._onsets_{p}.npy, and in summary.csv the
asynchronies: tap minus click, of the tap nearest to a click within half an interval. There are no
pictures, hidden states or sounds then, and drive.clicks and the periods of a drive have no effect.

  --config_path FILE   a configuration; keys it lacks come from config.yaml
  --checkpoint FILE    the network, or shipped (default: training.save_path, else shipped)
  --device NAME        auto, cpu or cuda
"""

import csv
from contextlib import ExitStack

import numpy as np
import torch
from scipy.io import wavfile

import models
from zrnn import cli, configuration, figures, files, simulate, sound, stimuli
from zrnn.errors import UserError
from zrnn.figures import plt
from zrnn.taps import asynchronies, describe_beat, find_taps
from zrnn.task import context_cue

# untrained periods are EXTRA_FLOOR + exp(-EXTRA_DECAY (1 - U)) [s], U ~ U(0, 1): denser where short
EXTRA_FLOOR, EXTRA_DECAY = 0.1, 5.0
DRAWS = 100  # for each untrained period; they are rounded to 1 ms, so that some coincide
AFTER_LAST = 2.0  # [s] of a run after the last of a user's onsets
PICTURE_SECONDS = 3.0  # [s] of an output in its picture: the end


def extra_periods(n_periods, trained, seed):
    """n_periods [s] that are not trained, in whole ms, distinct, ascending. Raises UserError."""
    draws = np.random.default_rng(seed).random(DRAWS * n_periods)
    drawn = np.round(EXTRA_FLOOR + np.exp(-EXTRA_DECAY * (1 - draws)), 3)
    distinct = [period for period in dict.fromkeys(drawn.tolist()) if period not in trained]
    if len(distinct) < n_periods:
        raise UserError(f"drive.extra_periods is {n_periods}; allowed: at most {len(distinct)}")
    return sorted(distinct[:n_periods])


def drive_into(folder, model, periods, n_hidden, config):
    """Drive all periods in parallel; save outputs, and hidden states of the first n_hidden.

    Files grow during the run, so that the memory needed does not depend on its length.
    """
    drive, dt, task = config.drive, model.dt, config.task
    n_kept = round(drive.keep_seconds / dt)
    noise = torch.Generator(model.w_hh.device).manual_seed(drive.seed)
    # the last click has ended when the silence begins
    click_end = drive.discard_seconds - task.click_width if drive.clicks else 0.0
    with_clicks = simulate.driving_inputs(
        periods, drive.discard_seconds, dt, task, click_end, drive.onset
    )
    silence = simulate.constant_cues(context_cue(np.array(periods), task.cue_constant), n_kept)
    shapes = {f"valid_output_{period}.npy": (n_kept,) for period in periods}
    states = n_kept, 1, len(model.w_hh)
    shapes |= {f"hidden_states_{period}.npy": states for period in periods[:n_hidden]}
    total = with_clicks.shape[1] + n_kept
    with ExitStack() as stack, cli.progress_bar(total, f"{len(periods)} periods") as bar:
        opened = [stack.enter_context(open(folder / name, "wb")) for name in shapes]
        for file, shape in zip(opened, shapes.values(), strict=True):
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
        start = simulate.run(model, with_clicks, noise, on_steps=bar.update)
        for z, x in simulate.stream(model, silence, noise, start.end):
            kept = [*z.t().cpu().numpy(), *x[:, :n_hidden].transpose(0, 1).cpu().numpy()]
            for file, values in zip(opened, kept, strict=True):
                file.write(np.asarray(values, "<f4").tobytes())
            bar.update(len(z))
    if drive.sound:
        save_sounds(folder, config.training.periods, with_clicks[..., 0].numpy(), start.outputs, dt)


def save_sounds(folder, periods, clicks, with_clicks, dt):
    """beat_{p}.wav of each period, from the clicks and outputs (B, T) before its silence."""
    for i, period in enumerate(periods):
        in_silence = np.load(folder / f"valid_output_{period}.npy", mmap_mode="r")
        samples = sound.excerpt(clicks[i], with_clicks[i], in_silence, dt)
        wavfile.write(folder / f"beat_{period}.wav", sound.RATE, samples)


def output_picture(dt):
    """A figure for the end of an output, and a function that draws another one into it.

    draw(output (T,), taps [samples], title) -> the figure. To make a new one takes three times as
    long.
    """
    figure, axes = plt.subplots(figsize=(7.6, 2.2))
    figure.subplots_adjust(left=0.09, right=0.87, bottom=0.24, top=0.88)
    (line,) = axes.plot([], [], color="black", lw=1, label="z")
    (dots,) = axes.plot([], [], "o", color="#D55E00", ms=5, label="taps")
    axes.set(xlabel="time in silence [s]", ylabel="output z")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)

    def draw(output, taps, title):
        first = max(0, len(output) - round(PICTURE_SECONDS / dt))
        late = taps[taps >= first]
        line.set_data(dt * np.arange(first, len(output)), output[first:])
        dots.set_data(dt * late, output[late])
        axes.relim()
        axes.autoscale_view(scalex=False)
        axes.set_xlim(dt * first, dt * len(output))
        axes.set_title(title, fontsize=10)
        return figure

    return draw


def describe_output(folder, period, is_trained, has_states, config, draw, text):
    """Save the taps of one period and its picture; returns its row of summary.csv."""
    output_file, taps_file = f"valid_output_{period}.npy", f"peaks_{period}.npy"
    states_file, dt = f"hidden_states_{period}.npy" if has_states else "", config.model.dt
    output = np.load(folder / output_file)
    times = find_taps(output, dt)
    taps = np.round(times).astype(int)
    target = period if is_trained else None  # an untrained tempo may differ and still be a beat
    beat = describe_beat(times, len(output), dt, target)
    np.save(folder / taps_file, taps)
    if config.plotting.enable:
        title = f"period {period} s: {beat.result}, mean ITI {beat.mean_iti:.4f} s"
        path = folder / f"plot_period_{period}.{config.plotting.format}"
        figures.save_figure(draw(output, taps, title), path, text, dpi=80)
    return dict(
        period_s=period, cue=context_cue(period, config.task.cue_constant), trained=is_trained,
        result=beat.result, taps=beat.n_taps, mean_iti_s=beat.mean_iti, sd_iti_s=beat.sd_iti,
        cv=beat.cv, error_percent=(beat.mean_iti / period - 1) * 100, missed=beat.missed,
        extra=beat.extra, output_file=output_file, taps_file=taps_file,
        hidden_states_file=states_file,
    )  # fmt: skip


def drive_onsets(folder, model, onsets, cues, config):
    """Drive with clicks at onsets (K,) [s]; saves outputs and taps, returns rows of summary.csv.

    cues (K,): each from its onset to the next; None: a run with the cue of each trained period.
    """
    drive, dt, task, trained = config.drive, model.dt, config.task, config.training.periods
    starts, trials = np.round(onsets / dt), {"onsets": cues}
    if cues is None:
        trials = {f"onsets_{p}": [context_cue(p, task.cue_constant)] * len(onsets) for p in trained}
    n_steps = round(max(drive.discard_seconds + drive.keep_seconds, onsets[-1] + AFTER_LAST) / dt)
    last = np.searchsorted(starts, np.arange(n_steps), side="right")  # number of onsets so far
    courses = [np.append(0.0, cues)[last] for cues in trials.values()]
    trains, width = [starts * dt] * len(trials), task.click_width
    inputs = stimuli.make_inputs(trains, np.array(courses), n_steps, dt, width)
    with cli.progress_bar(n_steps, f"{len(onsets)} onsets") as bar:
        outputs = simulate.run(model, inputs, drive.seed, on_steps=bar.update).outputs
    before, after = np.diff(starts, prepend=-np.inf), np.diff(starts, append=np.inf)
    rows = []
    for name, output in zip(trials, outputs, strict=True):
        taps = find_taps(output, dt)
        late = 1000 * dt * asynchronies(taps, starts, np.minimum(before, after))
        late = late[~np.isnan(late)]
        np.save(folder / f"valid_output_{name}.npy", output)
        np.save(folder / f"peaks_{name}.npy", np.round(taps).astype(int))
        row = {"stimulus": name, "taps": len(taps), "clicks": len(onsets)}
        row["clicks_without_tap"] = len(onsets) - len(late)
        row["asynchrony_mean_ms"] = late.mean() if len(late) else np.nan
        row["asynchrony_sd_ms"] = late.std(ddof=1) if len(late) > 1 else np.nan
        rows.append(row)
    return rows


def table(rows):
    """The trained periods, one line each, and how many of the others have no beat."""
    lines = [f"\n{'period':>8} {'taps':>5} {'mean ITI':>9} {'error':>8} {'CV':>7}  result"]
    trained, others = ([row for row in rows if row["trained"] == kind] for kind in (True, False))
    for row in trained:
        lines.append(
            f"{row['period_s']:6} s {row['taps']:5} {row['mean_iti_s']:7.4f} s "
            f"{row['error_percent']:+6.2f} % {100 * row['cv']:5.2f} %  {row['result']}, "
            f"{row['missed']} missed, {row['extra']} extra"
        )
    silent = sum(row["result"] != "beat" for row in others)
    return "\n".join([*lines, f"{silent} of {len(others)} periods never trained have no beat"])


def drive_periods(folder, model, config, text):
    """Drive at trained and untrained periods; saves their files, returns rows of summary.csv.

    Raises UserError where they do not fit on the disk.
    """
    drive, trained = config.drive, list(config.training.periods)
    periods = trained + [period for period in drive.periods if period not in trained]
    periods += extra_periods(drive.extra_periods, periods, drive.seed)
    n_hidden = {"trained": len(trained), "all": len(periods), "none": 0}[drive.hidden_states]
    floats = (len(periods) + n_hidden * len(model.w_hh)) * round(drive.keep_seconds / model.dt)
    files.check_space(drive.folder, 4 * floats, "less with --drive.hidden_states none")
    drive_into(folder, model, periods, n_hidden, config)
    draw, rows = output_picture(model.dt) if config.plotting.enable else None, []
    for i, period in enumerate(periods):
        kinds = i < len(trained), i < n_hidden
        rows.append(describe_output(folder, period, *kinds, config, draw, text))
    return rows


def main(config_path=None, checkpoint=None, device="auto", **flags):
    config, model, made_by = models.open_network(config_path, checkpoint, device, flags)
    text, drive = configuration.to_text(config, made_by), config.drive
    if drive.onsets is not None:
        stimulus = stimuli.read_onsets(drive.onsets, 2 * config.task.click_width)
    # the folder replaces an earlier one when it is complete
    with files.claimed(drive.folder), files.replacing_folder(drive.folder, made_by) as part:
        if drive.onsets is None:
            rows = drive_periods(part, model, config, text)
        else:
            rows = drive_onsets(part, model, *stimulus, config)
        with open(part / "summary.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        (part / "config.yaml").write_text(text, encoding="utf-8")
    if drive.onsets is None:
        print(table(rows))
    else:
        for row in rows:
            print(*(f"{key} {value}," for key, value in row.items()))
    print(f"saved in {drive.folder}/")


if __name__ == "__main__":
    cli.run(main)
