"""Draw how far the beat reaches: ITI against cue, well below and above the trained cues.

Each cue is given alone, from rest, without clicks, with recurrent noise. Saves ITI_against_cue.png,
the numbers in ITI_against_cue.json and the arrays, one value a cue, in ITI_against_cue.npz.

--config_path FILE   a configuration; keys it lacks come from config.yaml
--checkpoint FILE    the network, or shipped (default: training.save_path, else shipped)
--device NAME        auto, cpu or cuda
"""

from dataclasses import asdict

import numpy as np
from tqdm import tqdm

import models
from zrnn import cli, configuration, evaluate, figures
from zrnn.figures import plt


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
    look = dict(fmt="o", ms=3.5, lw=1, color="#0072B2", label="mean ITI, bars: SD")
    axes[0].errorbar(cues[beating], itis[beating], sds[beating], **look)
    axes[0].plot(
        trained_cues, trained, "o", ms=9, mfc="none", mec="#E69F00", mew=1.5, label="trained"
    )
    if not beating.all():
        below = np.full((~beating).sum(), ideal.min() / 1.5)
        axes[0].plot(cues[~beating], below, "x", color="#D55E00", label="no beat")
    edges = np.flatnonzero(np.diff(beating)) + 1  # where it starts and ends; near an end, often
    for i in edges[[0, -1]] if len(edges) > 1 else edges:
        between, word = (cues[i - 1] + cues[i]) / 2, "starts" if beating[i] else "ends"
        for panel in axes:
            panel.axvline(between, color="#D55E00", ls="--", lw=1)
        text = f" beat {word}\n at {between:.3f}"
        axes[0].annotate(text, (between, ideal.max() ** 0.3 * ideal.min() ** 0.7), fontsize=9)
    axes[0].set(yscale="log", ylabel="ITI [s]", title="How far the beat reaches: cue alone")
    axes[0].legend(loc="upper right", fontsize=9)
    axes[1].plot(cues[beating], 100 * (itis / ideal - 1)[beating], "o", ms=3.5, color="#0072B2")
    axes[1].axhline(0, color="black", lw=1)
    axes[1].set(xlabel="context cue", ylabel="error of the ITI [%]")
    return figure


def main(config_path=None, checkpoint=None, device="auto", **flags):
    config, model, made_by = models.open_network(config_path, checkpoint, device, flags)
    own, task = config.cue_range, config.task
    cues = np.linspace(*own.cues, own.n_cues)
    n_steps = round((evaluate.DISCARD_SECONDS + own.keep_seconds) / model.dt)
    with tqdm(total=n_steps, desc=f"{len(cues)} cues", unit="step") as bar:
        beats = evaluate.beats_at_cues(model, cues, task, own.keep_seconds, on_steps=bar.update)
    figure = draw(cues, beats, config.training.periods, task.cue_constant)

    rows = [{"cue": float(cue)} | asdict(beat) for cue, beat in zip(cues, beats, strict=True)]
    keys = ("cue", "ok", "mean_iti", "sd_iti", "cv")
    arrays = {key: np.array([row[key] for row in rows]) for key in keys}
    rows = [{k: None if v != v else v for k, v in row.items()} for row in rows]  # NaN is no JSON
    print(f"{arrays['ok'].sum()} of {len(cues)} cues beat")
    text, name = configuration.to_text(config, made_by), "ITI_against_cue"
    numbers, suffix = {"made_by": made_by, "cues": rows}, config.plotting.format
    figures.save_results(own.folder, text, {name: figure}, suffix, {name: arrays}, {name: numbers})


if __name__ == "__main__":
    cli.run(main)
