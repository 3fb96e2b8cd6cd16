"""Drive a trained network with clicks, then with the cue alone: saves model_outputs/.

For every period: valid_output_{p}.npy [T], peaks_{p}.npy [taps, in samples], plot_period_{p}.png;
for the trained ones hidden_states_{p}.npy [T, 1, N] (currents x) and, with --drive.sound true,
beat_{p}.wav, the last second of clicks (high) and ten seconds of silence, with the taps (low). And
summary.csv, config.yaml and made_by.json (the checkpoint's hash, versions, the size of every file).
The first simulate.discard_seconds, during which clicks are given, are not kept.

  --config_path FILE   a configuration; keys it lacks come from config.yaml
  --checkpoint FILE    the network, or shipped (default: training.save_path, else shipped)
  --device NAME        auto, cpu or cuda
"""

import csv
import json
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from scipy.io import wavfile
from tqdm import tqdm

import models
from zrnn import cli, configuration, figures, files, simulate, sound, task
from zrnn import taps as tapping
from zrnn.errors import UserError
from zrnn.figures import plt

# periods never trained are drawn as floor + exp(-decay (1 - U)), U ~ U(0, 1): denser where short
EXTRA_FLOOR, EXTRA_DECAY = 0.1, 5.0  # [s], none
DRAWS = 100  # for each period wanted; they are rounded to 1 ms, so that some come twice
PICTURE_SECONDS = 3.0  # [s] shown of an output: its end
PICTURE_BYTES, SOUND_BYTES = 50_000, 1_000_000  # of one, roughly
NAMES = "valid_output_*.npy peaks_*.npy hidden_states_*.npy plot_period_*.* summary.csv".split()
NAMES += ["beat_*.wav", "config.yaml", "made_by.json"]  # what a drive may leave in its folder


def extra_periods(n_periods, trained, seed):
    """n_periods [s] never trained, in whole ms, distinct, ascending. Raises UserError."""
    draws = np.random.default_rng(seed).random(DRAWS * n_periods)
    drawn = np.round(EXTRA_FLOOR + np.exp(-EXTRA_DECAY * (1 - draws)), 3)
    distinct = [period for period in dict.fromkeys(drawn.tolist()) if period not in trained]
    if len(distinct) < n_periods:
        raise UserError(
            f"drive.extra_periods is {n_periods}; allowed: at most {len(distinct)}, for there are "
            "no more of whole ms"
        )
    return sorted(distinct[:n_periods])


def new_array(path, *shape):
    """An open .npy file for float32 numbers, which are appended as they come."""
    file = open(path, "wb")
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file


def drive_into(folder, model, periods, n_hidden, config):
    """Drive all periods side by side; outputs, and hidden states of the first n_hidden, to files.

    They are written as they come: what is held in memory does not grow with the length.
    """
    own, dt = config.drive, model.dt
    n_kept, n_units = round(own.keep_seconds / dt), len(model.w_hh)

    noise = torch.Generator(model.w_hh.device).manual_seed(own.seed)
    # the last click has ended when the silence begins
    clicks = own.discard_seconds - config.task.click_width if own.clicks else 0.0
    with_clicks = simulate.driving_inputs(
        periods, own.discard_seconds, dt, config.task, clicks, own.onset
    )
    cues = task.context_cue(np.array(periods), config.task.cue_constant)
    total = with_clicks.shape[1] + n_kept
    arrays = {f"valid_output_{period}.npy": () for period in periods}
    arrays |= {f"hidden_states_{period}.npy": (1, n_units) for period in periods[:n_hidden]}
    with (
        ExitStack() as stack,
        tqdm(total=total, desc=f"{len(periods)} periods", unit="step") as bar,
    ):
        opened = [
            stack.enter_context(new_array(folder / name, n_kept, *rest))
            for name, rest in arrays.items()
        ]
        start = simulate.run(model, with_clicks, noise, on_steps=bar.update)
        for z, x in simulate.stream(model, simulate.constant_cues(cues, n_kept), noise, start.end):
            kept = [*z.t().cpu().numpy(), *x[:, :n_hidden].transpose(0, 1).cpu().numpy()]
            for file, values in zip(opened, kept, strict=True):
                file.write(np.asarray(values, "<f4").tobytes())
            bar.update(len(z))
    if own.sound:
        save_sounds(folder, config.training.periods, with_clicks[..., 0].numpy(), start.outputs, dt)


def draw_output(output, taps, dt, title):
    """The end of an output (T,) and its taps [samples]."""
    first = max(0, len(output) - round(PICTURE_SECONDS / dt))
    shown = taps[taps >= first]
    figure, axes = plt.subplots(figsize=(7.6, 2.2), layout="constrained")
    axes.plot(dt * np.arange(first, len(output)), output[first:], color="black", lw=1, label="z")
    axes.plot(dt * shown, output[shown], "o", color="#D55E00", ms=5, label="taps")
    axes.set(xlabel="time in silence [s]", ylabel="output z", xlim=(dt * first, dt * len(output)))
    axes.set_title(title, fontsize=10)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)  # beside the beats
    return figure


def describe_output(folder, period, is_trained, has_states, config, text):
    """Save the taps of one period and its picture; a row of summary.csv."""
    dt, names = config.model.dt, {"output_file": f"valid_output_{period}.npy"}
    output = np.load(folder / names["output_file"])
    times = tapping.find_taps(output, dt)
    taps = np.round(times).astype(int)
    asked = period if is_trained else None  # far from the trained ones it is off, and still a beat
    beat = tapping.describe_beat(times, len(output), dt, asked)
    names["taps_file"] = f"peaks_{period}.npy"
    names["hidden_states_file"] = f"hidden_states_{period}.npy" if has_states else ""
    np.save(folder / names["taps_file"], taps)
    if config.plotting.enable:
        title = f"period {period} s: {beat.verdict}, mean ITI {beat.mean_iti:.4f} s"
        figure = draw_output(output, taps, dt, title)
        path = folder / f"plot_period_{period}.{config.plotting.format}"
        figures.save_figure(figure, path, text, dpi=80)
    about = {"period_s": period, "cue": task.context_cue(period, config.task.cue_constant)}
    about |= {"trained": is_trained, "verdict": beat.verdict, "taps": beat.n_taps}
    about |= {"mean_iti_s": beat.mean_iti, "sd_iti_s": beat.sd_iti, "cv": beat.cv}
    about |= {"error_percent": (beat.mean_iti / period - 1) * 100}
    return beat.ok, about | {"missed": beat.missed, "extra": beat.extra} | names


def save_sounds(folder, periods, clicks, with_clicks, dt):
    """A beat_{p}.wav for each period, of the clicks and outputs (B, T) before its silence."""
    for i, period in enumerate(periods):
        in_silence = np.load(folder / f"valid_output_{period}.npy", mmap_mode="r")
        samples = sound.excerpt(clicks[i], with_clicks[i], in_silence, dt)
        wavfile.write(folder / f"beat_{period}.wav", sound.RATE, samples)


def table(rows):
    """What a person reads of the trained periods."""
    lines = [f"\n{'period':>8} {'taps':>5} {'mean ITI':>9} {'error':>8} {'CV':>7}  verdict"]
    for row in rows:
        lines.append(
            f"{row['period_s']:6} s {row['taps']:5} {row['mean_iti_s']:7.4f} s "
            f"{row['error_percent']:+6.2f} % {100 * row['cv']:5.2f} %  {row['verdict']}, "
            f"{row['missed']} missed, {row['extra']} extra"
        )
    return "\n".join(lines)


def main(config_path=None, checkpoint=None, device="auto", **flags):
    # config, network, periods
    config, model, made_by = models.open_network(config_path, checkpoint, device, flags)
    text, own = configuration.to_text(config, made_by), config.drive
    trained = list(config.training.periods)
    periods = trained + extra_periods(own.extra_periods, trained, own.seed)
    n_hidden = {"trained": len(trained), "all": len(periods), "none": 0}[own.hidden_states]
    floats = (len(periods) + n_hidden * len(model.w_hh)) * round(own.keep_seconds / model.dt)
    n_bytes = 4 * floats + PICTURE_BYTES * len(periods) * config.plotting.enable
    n_bytes += SOUND_BYTES * len(trained) * own.sound
    files.check_space(own.folder, n_bytes, "less with --drive.hidden_states none")

    # everything is written beside the folder, which it replaces when it is complete
    folder = Path(own.folder)
    with files.claimed(folder), files.replacing_folder(folder, NAMES) as part:
        drive_into(part, model, periods, n_hidden, config)
        oks, rows = [], []
        for i, period in enumerate(tqdm(periods, "taps and pictures")):
            ok, row = describe_output(part, period, i < len(trained), i < n_hidden, config, text)
            oks.append(ok)
            rows.append(row)
        with open(part / "summary.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        (part / "config.yaml").write_text(text, encoding="utf-8")
        sizes = {file.name: file.stat().st_size for file in part.iterdir()}
        made_by = json.dumps(made_by | {"files": sizes}, indent=1)
        (part / "made_by.json").write_text(made_by, encoding="utf-8")

    print(table(rows[: len(trained)]))
    silent = oks[len(trained) :].count(False)
    print(f"{silent} of {len(rows) - len(trained)} periods never trained have no beat")
    print(f"saved in {folder}/")


if __name__ == "__main__":
    cli.run(main)
