"""Compare the taps of people with those of networks: python compare_people.py FOLDER_OR_FILE ...

Reads CSV files, one row a tap: subject, trial, period_ms, phase (S or C), tap_ms, click_ms; or two
public data sets (docs/people.md). Drives networks like the people, measures both with the same
estimators, prints the table, and saves people.png and people.json.

  --checkpoint FILE    a network, or shipped; --name NAME: of that run (default: the five shipped)
  --folder FOLDER      where the results are saved (default: people_plotting)
  --runs N             trials of each network in each condition (default: 5)
"""

import warnings
from itertools import chain
from pathlib import Path

import numpy as np

from models import open_network
from zrnn import checkpoints, cli, configuration
from zrnn.errors import UserError
from zrnn.figures import plt, save_results
from zrnn.synchronization import estimators, people

NOISE_SCALES = (1.0, 2.0, 3.0, 4.0)  # factors of sigma_rec
DELAY_SDS = np.linspace(0, 20, 41)  # [ms] of motor delays
LONGEST = 1.25  # networks are driven up to this many times their longest trained period
NETWORKS = "networks"
FOLDER = "people_plotting"
CELL = "{1:.3g} [{0:.3g}, {2:.3g}] ({3})"  # of `estimators.quartiles`


def read_people(words) -> dict:
    """{period [s]: {data set: [Trial]}} of files, and of all .csv files in folders. UserError."""
    trials = {}
    files = [sorted(p.rglob("*.csv")) if p.is_dir() else [p] for p in map(Path, words)]
    for file in chain(*files):
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", "no text in UTF-8")
            raise UserError(f"{file}: cannot be read ({reason})") from None
        name, found = people.read_trials(text, str(file))
        for trial in found:
            sets = trials.setdefault(trial.period, {})
            sets.setdefault(name or file.stem, []).append(trial)
    if not trials:
        raise UserError(f"{' '.join(words)}: no .csv file")
    return trials


def drive_networks(paths, trials, runs: int, config_path, device, flags) -> tuple:
    """{period: {noise scale: `quartiles` of the networks}}, the configuration, what made it."""
    found, made_by = {}, {}
    for path in paths:
        config, model, about = open_network(config_path, path, device, flags)
        name, sha256 = about.pop("checkpoint"), about.pop("sha256")
        made_by |= about | {name: sha256}
        settings = config.task, runs, config.synchronization.seed
        longest = LONGEST * max(config.training.periods)
        for period in (p for p in sorted({*trials, people.SHIFT_PERIOD}) if p <= longest):
            silent = any(len(one.continuation) for one in chain(*trials.get(period, {}).values()))
            scales = NOISE_SCALES if silent else NOISE_SCALES[:1]
            for scale, one in people.drive(model, period, scales, *settings).items():
                if period == people.SHIFT_PERIOD and scale == 1:
                    one |= people.shift_clicks(model, *settings)
                found.setdefault(period, {}).setdefault(scale, []).append(one)
    for scales in found.values():
        scales.update((scale, estimators.quartiles(some)) for scale, some in scales.items())
    return found, config, made_by


def table(summary) -> str:
    """A block for each period: median [quartiles] over the subjects of each group."""
    lines = ["median [quartiles] (number of subjects or networks); quoted: published values"]
    for period, groups in sorted(summary.items()):
        lines.append(f"\n{f'{1e3 * period:g} ms':38}" + "".join(f"{name:>30}" for name in groups))
        for measure in dict.fromkeys(chain(*groups.values())):
            cells = [group.get(measure, "-") for group in groups.values()]
            cells = [cell if isinstance(cell, str) else CELL.format(*cell) for cell in cells]
            lines.append(f"{measure:38}" + "".join(f"{cell:>30}" for cell in cells))
    return "\n".join(lines)


def fit_noise(scaled, summary) -> dict:
    """{period: ({measure: (FINE_SCALES, DELAY_SDS)}, people's quartiles, nearest pair)}.

    Where people and all networks have continuations; the first data set of people counts.
    """
    fits, names, delays = {}, (people.MEAN, people.CV, people.LAG_1), 100 * DELAY_SDS  # [% ms]
    for period, found in scaled.items():
        groups = [g for k, g in summary[period].items() if k != NETWORKS and {*names} <= {*g}]
        if groups and all({*names} <= {*one} for one in found.values()):
            medians = {k: [one[name][1] for name in names] for k, one in found.items()}
            grids = dict(zip(names, estimators.add_motor_delays(medians, delays), strict=True))
            squares = []  # of the distance in interquartile ranges; in medians for one subject
            for name in names[1:]:
                low, median, high, _ = groups[0][name]
                squares.append(np.square((grids[name] - median) / (high - low or median)))
            pair = np.unravel_index(np.sum(squares, axis=0).argmin(), squares[0].shape)
            fits[period] = grids, groups[0], pair
    return fits


def draw_quartiles(panel, rows: dict, fmt: str, **style):
    """{x: [first quartile, median, third quartile, ...]}, which may be empty."""
    low, median, high = np.array([row[:3] for row in rows.values()]).reshape(-1, 3).T
    panel.errorbar(list(rows), median, [median - low, high - median], fmt=fmt, capsize=2, **style)


def draw_periods(panel, summary, names):
    """Quartiles against the period, for each group; the second of the measures is white."""
    for n, group in enumerate(dict.fromkeys(chain(*summary.values()))):
        colour = "black" if group == NETWORKS else f"C{n + 2}"  # C0, C1: tempos
        for k, name in enumerate(names):
            ms = 1e3 * 1.05**k * (0.97 if group == NETWORKS else 1)
            rows = {ms * p: g[group][name] for p, g in summary.items() if name in g.get(group, {})}
            style = {"mfc": "white"} if k or not rows else {"label": group}
            draw_quartiles(panel, rows, "o", color=colour, ms=5, **style)
    panel.set(xscale="log", xlabel="period [ms]", ylabel=names[0])
    ticks = [1e3 * p for p, g in summary.items() if any(names[0] in one for one in g.values())]
    panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks], rotation=60)
    panel.minorticks_off()


def draw_fit(lags, plane, period, colour, fit, networks):
    """Autocorrelation of people and networks; which noise and delays give people's measures."""
    grids, target, pair = fit
    for row, fmt, who, beside in ((target, "o-", "people", 0), (networks, "s--", NETWORKS, 0.1)):
        rows = {k + beside: row[lag] for k, lag in enumerate(people.LAGS, 1) if lag in row}
        draw_quartiles(lags, rows, fmt, color=colour, ms=4, label=f"{1e3 * period:g} ms, {who}")
    where, options = (estimators.FINE_SCALES, DELAY_SDS), {"colors": [colour]}
    for name, line in ((people.CV, "solid"), (people.LAG_1, "dashed")):
        plane.contour(*where, grids[name].T, [target[name][1]], linestyles=line, **options)
        if target[name][0] < target[name][2]:
            plane.contourf(*where, grids[name].T, target[name][:3:2], alpha=0.12, **options)
    label = f"{1e3 * period:g} ms, nearest to both"
    plane.plot(where[0][pair[0]], where[1][pair[1]], "*", color=colour, ms=14, label=label)


def draw_shifts(panel, networks):
    """Asynchronies of networks and, as quoted, of people after a shift of the clicks."""
    for start, colour in (("shift -50 ms", "#542788"), ("shift +50 ms", "#B35806")):
        rows = [row for name, row in networks.items() if name.startswith(start)]
        rows, style = dict(enumerate(rows, start=1)), {"ms": 4, "color": colour}
        draw_quartiles(panel, rows, "s--", label=f"{start}, {NETWORKS}", **style)
        published = people.PUBLISHED[people.SHIFT_PERIOD].items()
        quoted = [float(text) for name, text in published if name.startswith(start)]
        panel.plot([1, 2], quoted, "o-", label=f"{start}, people", **style)
    panel.set(title="f  clicks shift at 500 ms", xlabel="click, from the first shifted one")
    panel.set(ylabel="change of the asynchrony [ms]", xticks=[1, 2, 3])


def draw(summary, fits):
    """All panels: measures against the period, autocorrelation, noise and delays, shifts."""
    figure, axes = plt.subplots(2, 3, figsize=(13, 8), layout="constrained")
    (cv, lags, plane), (asynchrony, alpha, shifts) = axes
    for k, (period, fit) in enumerate(fits.items()):
        draw_fit(lags, plane, period, f"C{k}", fit, summary[period][NETWORKS])
    draw_periods(cv, summary, ["CV [%]", "CV, local [%]"])
    draw_periods(asynchrony, summary, ["mean asynchrony [ms]"])
    draw_periods(alpha, summary, ["alpha by regression", "alpha by bGLS"])
    draw_shifts(shifts, summary.get(people.SHIFT_PERIOD, {}).get(NETWORKS, {}))
    cv.set(title="a  CV of ITIs in the continuation (white: local)", ylim=0)
    lags.set(title="b  ITIs in the continuation", xlabel="lag", ylabel="autocorrelation")
    plane.set(xlabel="factor of the recurrent noise", ylabel="SD of motor delays [ms]")
    plane.set_title("c  as people: CV (solid), lag 1 (dashed)")
    asynchrony.set_title("d  mean asynchrony")
    alpha.set(title="e  phase correction (white: by bGLS)", ylabel="alpha")
    for panel in (lags, asynchrony, shifts):
        panel.axhline(0, color="0.8", lw=0.8, zorder=0)
    for panel in axes.flat:
        panel.legend(fontsize=8)
    return figure


def main(
    *words, checkpoint=None, config_path=None, device="auto", folder=FOLDER, runs=5,
    **flags,
):  # fmt: skip
    if not words or runs < 1:
        raise UserError("command line: allowed: python compare_people.py FOLDER_OR_FILE --runs N")
    if "name" in flags and folder == FOLDER:
        folder = str(Path(configuration.RUNS, str(flags["name"]), FOLDER))
    trials = read_people(words)
    is_named = checkpoint or {"name", "training.save_path"} & set(flags)
    paths = [checkpoint] if is_named else sorted(checkpoints.SHIPPED.parent.glob("*.pth"))
    with warnings.catch_warnings():  # of networks without a beat, and of values beyond a panel
        warnings.simplefilter("ignore")
        scaled, config, made_by = drive_networks(paths, trials, runs, config_path, device, flags)
        summary = {period: {} for period in sorted({*trials, *scaled})}
        for period, groups in summary.items():
            for name, some in trials.get(period, {}).items():
                groups[name] = estimators.quartiles(people.measure_subjects(some))
            if period in scaled:
                groups[NETWORKS] = scaled[period][1.0]
        fits = fit_noise(scaled, summary)
        figure = draw(summary, fits)
    for period, quoted in people.PUBLISHED.items():
        summary.setdefault(period, {})["quoted"] = quoted
    for scale, delay in (pair for _, _, pair in fits.values()):
        column = f"noise x {estimators.FINE_SCALES[scale]:.1f}, {DELAY_SDS[delay]:.1f} ms"
        for period, (grids, _, _) in fits.items():
            summary[period][column] = {k: f"{g[scale, delay]:.3g}" for k, g in grids.items()}
    print(table(summary))
    text, suffix = configuration.to_text(config, made_by), config.plotting.format
    save_results(folder, text, {"people": figure}, suffix, numbers={"people": summary})


if __name__ == "__main__":
    cli.run(main)
