"""Compare the taps of people with those of networks: python compare_people.py FOLDER_OR_FILE ...

Reads CSV files, one row a tap: subject, trial, period_ms, phase (S or C), tap_ms, click_ms; or two
public data sets as they are (docs/people.md). Drives the networks like the people, measures both
with the same estimators, prints the table, and saves people.png and people.json.

  --checkpoint FILE    a network, or shipped (default: the five shipped ones)
  --config_path FILE   a configuration; keys it lacks come from config.yaml
  --device NAME        auto, cpu or cuda
  --folder FOLDER      where the results are saved (default: people_plotting)
  --runs N             trials of each network in each condition (default: 5)
"""

from pathlib import Path

import numpy as np
import torch

from models import open_network
from zrnn import checkpoints, cli, configuration
from zrnn.errors import UserError
from zrnn.figures import save_results
from zrnn.synchronization import people, protocols
from zrnn.task import context_cue

N_CLICKS, N_TAPS = 8, 16  # of a trial: clicks, then taps in silence (Pazdera & Trainor 2025)
N_METRONOME = 31  # [clicks] of a trial with clicks throughout (Bååth & Madison 2012)
NOISE_SCALES = (1.0, 2.0, 3.0, 4.0)  # factors of sigma_rec
SHIFT_PERIOD, SHIFTS = 0.5, np.array([-0.1, 0.1])  # [s]; [periods]
LONGEST = 1.25  # networks are driven up to this many times their longest trained period


def read_people(words) -> dict:
    """{data set: [Trial]} of files, and of all .csv files in folders. Raises UserError."""
    sets = {}
    for path in map(Path, words):
        files = sorted(path.rglob("*.csv")) if path.is_dir() else [path]
        if not files:
            raise UserError(f"{path}: no .csv file in this folder")
        for file in files:
            try:
                text = file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "no text in UTF-8"
                raise UserError(f"{file}: cannot be read ({reason})") from None
            name, trials = people.read_trials(text, str(file))
            sets.setdefault(name or file.stem, []).extend(trials)
    return sets


def drive_like_people(model, name: str, period, scales, task, runs: int, seed: int) -> dict:
    """{noise scale: [Trial]} of a network at a period [s]; scale 1 also with clicks throughout."""
    n_clicks = [N_CLICKS] * len(scales) * runs + [N_METRONOME] * runs
    trains = [protocols.FIRST_CLICK + period * np.arange(n) for n in n_clicks]
    generator = torch.Generator(model.w_hh.device).manual_seed(seed)
    trial_scale = torch.tensor([*np.repeat(scales, runs), *[1.0] * runs]).to(model.w_hh)
    noise = model.noise(generator, trial_scale=trial_scale)
    cues = [context_cue(period, task.cue_constant)] * len(trains)
    n_steps = round((N_METRONOME + 1) * period / model.dt)
    taps = protocols.tap_along(model, trains, cues, n_steps, task.click_width, noise=noise)
    trials = {scale: [] for scale in scales}
    for scale, clicks, times in zip(trial_scale.tolist(), trains, taps, strict=True):
        silent = times[times > clicks[-1] + period / 2][:N_TAPS]
        silent = silent if len(clicks) == N_CLICKS else silent[:0]
        trials[scale].append(people.Trial(name, period, clicks, times, silent))
    return trials


def table(summary) -> str:
    """A block for each period: median [quartiles] over the subjects of each group."""
    lines = []
    for period, groups in summary.items():
        lines.append(f"\n{f'{1e3 * period:g} ms':34}" + "".join(f"{name:>30}" for name in groups))
        for measure in dict.fromkeys(name for group in groups.values() for name in group):
            cells = ""
            for group in groups.values():
                low, median, high, n = group.get(measure, [np.nan] * 4)
                cell = f"{median:.3g} [{low:.3g}, {high:.3g}] ({n})"
                cells += f"{cell if measure in group else '-':>30}"
            lines.append(f"{measure:34}{cells}")
    lines.append("\nmedian [quartiles] (number of subjects or networks)")
    return "\n".join(lines)


def main(
    *words, checkpoint=None, config_path=None, device="auto", folder="people_plotting", runs=5,
    **flags,
):  # fmt: skip
    if not words:
        raise UserError("command line: no data; allowed: python compare_people.py FOLDER_OR_FILE")
    sets = read_people(words)
    paths = [checkpoint] if checkpoint else sorted(checkpoints.SHIPPED.parent.glob("*.pth"))
    trials = {}  # {period: {group: [Trial]}}
    for name, some in sets.items():
        for trial in some:
            trials.setdefault(trial.period, {}).setdefault(name, []).append(trial)
    driven, made_by = {}, {}
    for path in paths:
        config, model, about = open_network(config_path, path, device, flags)
        made_by[about["checkpoint"]] = about["sha256"]
        longest = LONGEST * max(config.training.periods)
        for period in sorted({*trials, SHIFT_PERIOD}):
            if period > longest:
                continue
            both = driven.setdefault(period, {})
            name = Path(path).stem
            for scale, some in drive_like_people(
                model, name, period, NOISE_SCALES, config.task, runs, config.synchronization.seed
            ).items():
                both.setdefault(scale, []).extend(some)
    for period, scales in driven.items():
        trials.setdefault(period, {})["networks"] = scales[1.0]
    summary = {
        period: {name: people.over_subjects(some) for name, some in trials[period].items()}
        for period in sorted(trials)
    }
    print(table(summary))
    text = configuration.to_text(config, made_by)
    save_results(folder, text, {}, config.plotting.format, numbers={"people": summary})


if __name__ == "__main__":
    cli.run(main)
