"""Draw how far the beat reaches: ITI against cue, well below and above the trained cues.

Each cue is given alone, from rest, without clicks, with recurrent noise. Saves the picture and the
numbers behind it in cue_range_plotting/.

--config_path FILE   a configuration; keys it lacks come from config.yaml
--checkpoint FILE    the network, or shipped (default: training.save_path, else shipped)
--device NAME        auto, cpu or cuda
"""

from dataclasses import asdict

import matplotlib
import numpy as np
import torch
from tqdm import tqdm

from models import load_network
from zrnn.analysis import taps as tapping
from zrnn.network import drive as driving
from zrnn.network import task
from zrnn.workshop.errors import UserError
from zrnn.workshop import command_line, configuration, files

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (after the choice of a backend without a screen)


def beats_at(model, cues, config):
    """One `Beat` a cue: driven from rest by the cue alone, drive.discard_seconds thrown away."""
    periods = task.context_cue(np.asarray(cues), config["task"]["cue_constant"])  # its own inverse
    inputs = driving.driving_inputs(periods, [False] * len(cues), model.dt, config)
    inputs = inputs.to(model.w_hh.device)
    noise = torch.Generator(inputs.device).manual_seed(config["drive"]["seed"])
    discard = round(config["drive"]["discard_seconds"] / model.dt)
    outputs = inputs.new_empty(inputs.shape[1], len(cues))
    bar = tqdm(total=len(outputs), desc=f"{len(cues)} cues", unit="step")

    def keep(t, output, state):
        outputs[t] = output
        bar.update()

    driving.drive_network(model, inputs, noise, keep)
    bar.close()
    kept = outputs[discard:].T.cpu().numpy()
    return [
        tapping.describe_beat(tapping.find_taps(output, model.dt), len(output), model.dt)
        for output in kept
    ]


def draw(cues, beats, trained, cue_constant):
    """ITI against cue, and its error; trained cues and range, and where the beat starts and ends"""
    figure, axes = plt.subplots(
        2, 1, figsize=(9, 7), sharex=True, layout="constrained", height_ratios=[2, 1]
    )
    beating = np.array([beat.ok for beat in beats])
    itis = np.array([beat.mean_iti for beat in beats])
    sds = np.array([beat.sd_iti for beat in beats])
    ideal = cue_constant / cues
    trained_cues = cue_constant / np.array(trained)
    for panel in axes:
        panel.axvspan(trained_cues.min(), trained_cues.max(), color="0.9", label="trained range")
    axes[0].plot(cues, ideal, color="black", lw=1, label=f"ideal: {cue_constant} s / cue")
    axes[0].errorbar(
        cues[beating], itis[beating], sds[beating], fmt="o", ms=3.5, lw=1, color="#0072B2",
        label="mean ITI, bars: SD",
    )  # fmt: skip
    axes[0].plot(
        trained_cues, trained, "o", ms=9, mfc="none", mec="#E69F00", mew=1.5, label="trained"
    )
    if not beating.all():
        axes[0].plot(
            cues[~beating], np.full((~beating).sum(), ideal.min() / 1.5), "x", color="#D55E00",
            label="no beat",
        )  # fmt: skip
    edges = [i for i in range(1, len(cues)) if beating[i] != beating[i - 1]]
    for i in edges:
        between = (cues[i - 1] + cues[i]) / 2
        for panel in axes:
            panel.axvline(between, color="#D55E00", ls="--", lw=1)
        word = "starts" if beating[i] else "ends"
        axes[0].annotate(
            f" beat {word}\n at {between:.3f}", (between, ideal.max()), va="top", fontsize=9
        )
    axes[0].set(yscale="log", ylabel="ITI [s]", title="How far the beat reaches: cue alone")
    axes[0].legend(loc="upper right", fontsize=9)
    axes[1].plot(cues[beating], 100 * (itis / ideal - 1)[beating], "o", ms=3.5, color="#0072B2")
    axes[1].axhline(0, color="black", lw=1)
    axes[1].set(xlabel="context cue", ylabel="error of the ITI [%]")
    return figure


def main(config_path=None, checkpoint=None, device="auto", **flags):
    config, model, made_by = load_network(config_path, checkpoint, device, flags)
    own = config["cue_range"]
    config["drive"]["keep_seconds"] = own["keep_seconds"]
    cues = np.linspace(*own["cues"], own["n_cues"])
    beats = beats_at(model, cues, config)

    figure = draw(cues, beats, config["training"]["periods"], config["task"]["cue_constant"])
    rows = [dict(cue=float(cue), **asdict(beat)) for cue, beat in zip(cues, beats, strict=True)]
    print(f"{sum(beat.ok for beat in beats)} of {len(cues)} cues beat")
    files.save_drawings(
        own["folder"], configuration.to_text(config, made_by), {"ITI_against_cue": figure},
        config["plotting"]["format"], {"ITI_against_cue": {"made_by": made_by, "cues": rows}},
    )  # fmt: skip


if __name__ == "__main__":
    command_line.run(main)
