"""Draw the inter-tap interval (ITI) against the cue, well below and above the trained cues.

Each cue is given alone, from rest, without clicks, with recurrent noise. Saves ITI_against_cue.png,
the numbers in ITI_against_cue.json and, with one value for each cue, ITI_against_cue.npz.

--config_path FILE   a configuration; keys it lacks come from config.yaml
--checkpoint FILE    the network, or shipped (default: training.save_path, else shipped)
--device NAME        auto, cpu or cuda
"""

from dataclasses import asdict

import numpy as np

import models
from zrnn import cli, configuration, evaluate, figures
from zrnn.figures import plt


def draw(cues, beats, trained, cue_constant):
    """ITI against cue and its error, with the trained cues and where the beat starts and ends."""
    heights = dict(sharex=True, height_ratios=[2, 1], layout="constrained")
    figure, axes = plt.subplots(2, 1, figsize=(9, 7), **heights)
    ok, itis, sds = (
        np.array([getattr(beat, key) for beat in beats]) for key in ("ok", "mean_iti", "sd_iti")
    )
    ideal, trained_cues = cue_constant / cues, cue_constant / np.array(trained)
    for panel in axes:
        panel.axvspan(trained_cues.min(), trained_cues.max(), color="0.9", label="trained range")
    axes[0].plot(cues, ideal, color="black", lw=1, label=f"ideal: {cue_constant} s / cue")
    style = dict(fmt="o", ms=3.5, lw=1, color="#0072B2", label="mean ITI, bars: SD")
    axes[0].errorbar(cues[ok], itis[ok], sds[ok], **style)
    style = dict(ms=9, mfc="none", mec="#E69F00", mew=1.5, label="trained")
    axes[0].plot(trained_cues, trained, "o", **style)
    if not ok.all():
        below = np.full((~ok).sum(), ideal.min() / 1.5)
        axes[0].plot(cues[~ok], below, "x", color="#D55E00", label="no beat")
    changes = np.flatnonzero(np.diff(ok)) + 1  # the first and the last: between, it may flicker
    for i in changes[[0, -1]] if len(changes) > 1 else changes:
        between, word = (cues[i - 1] + cues[i]) / 2, "starts" if ok[i] else "ends"
        for panel in axes:
            panel.axvline(between, color="#D55E00", ls="--", lw=1)
        text = f" beat {word}\n at {between:.3f}"
        axes[0].annotate(text, (between, ideal.max() ** 0.3 * ideal.min() ** 0.7), fontsize=9)
    axes[0].set(yscale="log", ylabel="ITI [s]", title="How far the beat reaches: cue alone")
    axes[0].legend(loc="upper right", fontsize=9)
    axes[1].plot(cues[ok], 100 * (itis / ideal - 1)[ok], "o", ms=3.5, color="#0072B2")
    axes[1].axhline(0, color="black", lw=1)
    axes[1].set(xlabel="context cue", ylabel="error of the ITI [%]")
    return figure


def main(config_path=None, checkpoint=None, device="auto", **flags):
    config, model, made_by = models.open_network(
        config_path, checkpoint, device, flags, "cue_range"
    )
    section, task = config.cue_range, config.task
    cues, seconds = np.linspace(*section.cues, section.n_cues), section.keep_seconds
    n_steps = round((evaluate.DISCARD_SECONDS + seconds) / model.dt)
    with cli.progress_bar(n_steps, f"{len(cues)} cues") as bar:
        beats = evaluate.beats_at_cues(model, cues, task, seconds, on_steps=bar.update)
    figure = draw(cues, beats, config.training.periods, task.cue_constant)
    rows = [{"cue": float(cue)} | asdict(beat) for cue, beat in zip(cues, beats, strict=True)]
    keys = ("cue", "ok", "mean_iti", "sd_iti", "cv")
    arrays = {key: np.array([row[key] for row in rows]) for key in keys}
    print(f"{arrays['ok'].sum()} of {len(cues)} cues beat")
    text, name = configuration.to_text(config, made_by), "ITI_against_cue"
    numbers, suffix = {name: {"made_by": made_by, "cues": rows}}, config.plotting.format
    figures.save_results(section.folder, text, {name: figure}, suffix, {name: arrays}, numbers)


if __name__ == "__main__":
    cli.run(main)
