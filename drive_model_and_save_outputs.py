"""Drive a trained network with clicks, then with the cue alone: saves model_outputs/.

For every period: valid_output_{p}.npy [T], peaks_{p}.npy [taps, in samples], plot_period_{p}.png;
for the trained ones hidden_states_{p}.npy [T, 1, N] (currents x). And summary.csv, config.yaml and
made_by.json (the checkpoint's hash, versions, the size of every file).
The first drive.discard_seconds, during which clicks are given, are not kept.

  --config_path FILE   a configuration; keys it lacks come from config.yaml
  --checkpoint FILE    the network, or shipped (default: training.save_path, else shipped)
  --device NAME        auto, cpu or cuda
"""

import csv
import json
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from models import load_network
from zrnn.analysis import taps as tapping
from zrnn.network import drive as driving
from zrnn.network import task
from zrnn.workshop import command_line, configuration, figures, files
from zrnn.workshop.figures import plt

CHUNK = 1000  # steps between two writes of hidden states
PICTURE_BYTES = 50_000  # of one picture, roughly
NAMES = "valid_output_*.npy peaks_*.npy hidden_states_*.npy plot_period_*.* summary.csv".split()
NAMES += ["config.yaml", "made_by.json"]  # what a drive may leave in its folder


def extra_periods(drive, trained):
    """Periods never trained, distinct: round(floor + exp(-decay (1 - U)), 3), ascending."""
    rng = np.random.default_rng(drive["seed"])
    periods = set()
    while len(periods) < drive["extra_periods"]:
        drawn = drive["extra_floor"] + np.exp(-drive["extra_decay"] * (1 - rng.random()))
        periods |= {round(float(drawn), 3)} - set(trained)
    return sorted(periods)


def save_picture(path, output, taps, dt, title, made_by):
    """The last three seconds of an output and its taps."""
    first = max(0, len(output) - round(3 / dt))
    seconds = dt * np.arange(first, len(output))
    shown = taps[taps >= first]
    figure, axes = plt.subplots(figsize=(7, 2.2), layout="constrained")
    axes.plot(seconds, output[first:], color="black", lw=1, label="output z")
    axes.plot(dt * shown, output[shown], "o", color="#D55E00", ms=5, label="taps")
    axes.set(xlabel="time in silence [s]", ylabel="output z", title=title)
    axes.set_xlim(seconds[0], seconds[-1])
    axes.title.set_fontsize(10)
    axes.legend(loc="upper right", fontsize=8)
    figures.save_figure(figure, path, made_by, dpi=80)
    plt.close(figure)


def main(config_path=None, checkpoint=None, device="auto", **flags):
    # config and network
    config, model, made_by = load_network(config_path, checkpoint, device, flags)
    text = configuration.to_text(config, made_by)
    drive, dt, suffix = config["drive"], model.dt, config["plotting"]["format"]

    # one trial a period, all in one batch
    trained = config["training"]["periods"]
    periods = trained + extra_periods(drive, trained)
    discard, keep = round(drive["discard_seconds"] / dt), round(drive["keep_seconds"] / dt)
    kept = {"trained": len(trained), "all": len(periods), "none": 0}[drive["hidden_states"]]
    size = (keep, 1, config["model"]["hidden_dim"])
    n_bytes = keep * 4 * (len(periods) + kept * size[-1])
    n_bytes += PICTURE_BYTES * len(periods) * config["plotting"]["enable"]
    files.check_space(drive["folder"], n_bytes, "less with --drive.hidden_states none")
    clicks = [drive["clicks"]] * len(periods)
    inputs = driving.driving_inputs(periods, clicks, dt, config)
    inputs = inputs.to(model.w_hh.device)
    noise = torch.Generator(inputs.device).manual_seed(drive["seed"])

    # everything is written beside the folder, which it replaces when it is complete
    folder = Path(drive["folder"])
    with files.claimed(folder), files.replacing_folder(folder, NAMES) as part:
        hidden = [
            np.lib.format.open_memmap(part / f"hidden_states_{p}.npy", "w+", np.float32, size)
            for p in periods[:kept]
        ]
        outputs = np.empty((len(periods), keep), dtype=np.float32)
        chunk, bar = [], tqdm(total=discard + keep, desc=f"{len(periods)} periods", unit="step")

        def on_step(t, output, state):
            bar.update()
            if t < discard:
                return
            outputs[:, t - discard] = output.cpu()
            if not kept:
                return
            chunk.append(state[:kept])
            if len(chunk) == CHUNK or t == discard + keep - 1:
                states = torch.stack(chunk, dim=1).cpu().numpy()
                stop = t - discard + 1
                for file, own in zip(hidden, states, strict=True):
                    file[stop - len(chunk) : stop, 0] = own
                chunk.clear()

        driving.drive_network(model, inputs, noise, on_step)
        bar.close()
        hidden.clear()  # closes the files

        # taps, pictures, summary
        rows = []
        for i, (period, output) in enumerate(
            tqdm(list(zip(periods, outputs, strict=True)), "pictures")
        ):
            times = tapping.find_taps(output, dt)
            taps, beat = np.round(times).astype(int), tapping.describe_beat(times, keep, dt)
            names = {
                "output_file": f"valid_output_{period}.npy",
                "taps_file": f"peaks_{period}.npy",
                "hidden_states_file": f"hidden_states_{period}.npy" if i < kept else "",
            }
            np.save(part / names["output_file"], output)
            np.save(part / names["taps_file"], taps)
            title = f"period {period} s: {beat.verdict}, mean ITI {beat.mean_iti:.4f} s"
            if config["plotting"]["enable"]:
                save_picture(part / f"plot_period_{period}.{suffix}", output, taps, dt, title, text)
            cue = task.context_cue(period, config["task"]["cue_constant"])
            error = (beat.mean_iti / period - 1) * 100
            about_beat = {"verdict": beat.verdict, "taps": beat.n_taps, "mean_iti_s": beat.mean_iti}
            about_beat |= {"sd_iti_s": beat.sd_iti, "cv": beat.cv, "error_percent": error}
            about_beat |= {"missed": beat.missed, "extra": beat.extra}
            rows.append(
                {"period_s": period, "cue": cue, "trained": i < len(trained)} | about_beat | names
            )
        with open(part / "summary.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        (part / "config.yaml").write_text(text)
        sizes = {file.name: file.stat().st_size for file in part.iterdir()}
        (part / "made_by.json").write_text(json.dumps(made_by | {"files": sizes}, indent=1))

    print(f"\n{'period':>8} {'taps':>5} {'mean ITI':>9} {'error':>8} {'CV':>7}  verdict")
    for row in rows[: len(trained)]:
        print(
            f"{row['period_s']:6} s {row['taps']:5} {row['mean_iti_s']:7.4f} s "
            f"{row['error_percent']:+6.2f} % {100 * row['cv']:5.2f} %  {row['verdict']}, "
            f"{row['missed']} missed, {row['extra']} extra"
        )
    silent = sum(row["verdict"] != "beat" for row in rows[len(trained) :])
    print(f"{silent} of {len(rows) - len(trained)} periods never trained have no beat")
    print(f"saved in {folder}/")


if __name__ == "__main__":
    command_line.run(main)
