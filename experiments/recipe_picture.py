"""Draw the error of the ITI against the cue after each part of the training.

python -m experiments.recipe_picture FOLDER

--config_path FILE   and every flag of train.py that is a key of the configuration

Three trainings end after the descent, the refinement and the calibration. Each network is driven
with the cue alone from rest, with noise; after the descent also with the time step of the descent.
FOLDER gets the networks, recipe.png and its arrays (.npz).
"""

import numpy as np

import models
from experiments.seeds import train_all
from zrnn import checkpoints, cli, configuration, evaluate, figures

PARTS = {  # flags with which the training ends after each part
    "descent": {"training.refine": False, "training.calibrate": False},
    "refinement": {"training.calibrate": False},
    "calibration": {},
}
N_CUES, MARGIN = 24, 0.04  # over the trained range and this fraction beyond both its ends
RUNS, SECONDS = 4, 50.0  # runs of each cue; [s] evaluated of each run
STYLES = ("#999999", "v"), ("#D55E00", "s"), ("#E69F00", "^"), ("#0072B2", "o")  # of four curves


def noisy_errors(model, cues, task, runs: int, seconds: float) -> np.ndarray:
    """Errors of the mean ITI with noise at the cues (C,), fractions (runs, C); NaN: no beat."""
    beats = evaluate.beats_at_cues(model, np.tile(cues, runs), task, seconds)
    itis = np.array([beat.mean_iti if beat.ok else np.nan for beat in beats])
    return itis.reshape(runs, -1) * cues / task.cue_constant - 1


def draw_errors(panel, cues, errors, trained_cues):
    """Errors {label: (runs, C)} against the cue, mean ± SD; x: no beat. Shaded: trained cues."""
    panel.axvspan(min(trained_cues), max(trained_cues), color="0.93", zorder=0)
    panel.axhline(0, color="black", lw=1)
    panel.set(xlabel="context cue", ylabel="error of the ITI [%]")
    for label, (colour, marker) in zip(errors, STYLES[-len(errors) :], strict=True):
        mean, sd = 100 * errors[label].mean(0), 100 * errors[label].std(0, ddof=1)
        style = dict(color=colour, marker=marker, ms=4.5, lw=1, capsize=2, label=label)
        panel.errorbar(cues, mean, sd, **style)
        lost = cues[np.isnan(mean)]
        panel.plot(lost, 0 * lost, "x", color=colour, ms=8, mew=2)


def draw(cues, errors, trained_cues, max_error):
    """The errors after each part; and, enlarged, those after refinement and calibration."""
    figure, axes = figures.plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    draw_errors(axes[0], cues, errors, trained_cues)
    draw_errors(axes[1], cues, dict(list(errors.items())[-2:]), trained_cues)
    for bound in (-100 * max_error, 100 * max_error):
        axes[1].axhline(bound, color="0.3", lw=1, ls="--")
    axes[0].set_title("each part; x: no beat")
    axes[1].set_title(f"enlarged; dashed: ± {max_error:.1%}")
    axes[0].legend(fontsize=9)
    return figure


def main(*folder: str, config_path=None, **flags):
    config = configuration.load(config_path, flags)
    flags |= {"config_path": config_path, "check.enable": False}
    folder, _ = train_all(folder, {part: flags | PARTS[part] for part in PARTS}, jobs=2)
    trained_cues = config.task.cue_constant / np.array(config.training.periods)
    cues = np.linspace(trained_cues.min() / (1 + MARGIN), trained_cues.max() * (1 + MARGIN), N_CUES)
    coarse = f"descent, at {1000 * config.training.dt:g} ms"
    fine = f"descent, at {1000 * config.model.dt:g} ms"
    errors = {}
    for label in (coarse, fine, "refinement", "calibration"):
        model = models.load_network(folder / f"{label.partition(',')[0]}.pth")
        with model.temporarily(dt=config.training.dt if label == coarse else None):
            errors[label] = noisy_errors(model, cues, config.task, RUNS, SECONDS)
        means = np.abs(errors[label].mean(0))
        lost = np.isnan(means).sum()
        print(f"{label:>22}: largest error {np.nanmax(means):.2%}, no beat at {lost} cues")
    text = configuration.to_text(config, checkpoints.provenance())
    picture = {"recipe": draw(cues, errors, trained_cues, config.check.max_error)}
    arrays = {label: np.stack([x.mean(0), x.std(0, ddof=1)]) for label, x in errors.items()}
    figures.save_results(folder, text, picture, "png", {"recipe": {"cues": cues} | arrays})


if __name__ == "__main__":
    cli.run(main)
