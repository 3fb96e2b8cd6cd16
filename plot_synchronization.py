"""Draw how a trained network synchronizes with a metronome and continues when it stops.

Saves the figures synchronization (asynchrony, ITIs, clock and motor variance, phase correction,
trajectories), phase_response, arnold_tongues, tempo_steps (also with an adaptive cue) and drift, an
.npz of the arrays of each, and the shorter arrays of all in synchronization.json.

--config_path FILE   a configuration; keys it lacks come from config.yaml
--checkpoint FILE    the network, or shipped (default: training.save_path, else shipped)
--device NAME        auto, cpu or cuda
"""

import warnings

import numpy as np

from models import open_network
from zrnn import cli, configuration
from zrnn.errors import UserError
from zrnn.figures import label_of, period_colours, plt, save_results
from zrnn.synchronization import measures, phase_response
from zrnn.synchronization.phase_response import LOCKING_PATTERNS, wrapped

SECONDS = 20.0  # [s] of each run with clicks, and of each run that continues without
NOISE_SECONDS = 12.0  # [s] of each run with scaled noise
MIN_BEATS = 20  # of the slowest tempo: these runs are longer if it needs more time
NPZ_ONLY = {"fine_ratios", "fine_predicted", "itis", "itis_after_clicks", "cue_errors"}

WIDTH = 9  # [in] of each figure, so that its text is legible in a README
LATER, EARLIER = "#B35806", "#542788"  # shifts and steps to later and earlier, slower and faster
PATTERN_COLOURS = ("#E69F00", "#56B4E9", "#009E73")  # of LOCKING_PATTERNS
MOTOR, SPEED, ACTIVE = "#CC79A7", "#E69F00", "#009E73"
PHASES = {"synchronization": ("o-", "clicks"), "continuation": ("s--", "continuation")}
LOOK = {"lines.linewidth": 1.2, "lines.markersize": 3.5, "figure.constrained_layout.use": True}
LOOK |= {"axes.titlelocation": "left", "axes.titlesize": 10, "legend.fontsize": 9}
LOOK |= {"legend.handlelength": 1.5, "legend.labelspacing": 0.2, "legend.framealpha": 0.7}


def measure(model, periods, task, settings) -> dict:
    """{figure: {name: array}} of all measures.

    periods (B,) [s]: from slow to fast; task, settings: the config's sections task and
    synchronization. Raises UserError where the network has no beat at the middle period.
    """
    n_runs, seed = settings.noise_runs, settings.seed
    compared, width = measures.tempos_compared(periods), task.click_width
    reference = compared[len(compared) // 2]
    print("free-running cycles and their phase response")
    free, b = phase_response.free_cycles(model, periods, task), periods.index(reference)
    if not np.isfinite(free.period[b]):
        raise UserError(f"no beat at the cue of {reference} s; train a network: python train.py")
    results = {"phase_response": measures.click_responses(model, free, width)}
    print("locking")
    results["arnold_tongues"] = measures.arnold_tongues(model, free, b, width)
    print("metronomes that go on, shift and stop")
    seconds = max(SECONDS, MIN_BEATS * max(periods))
    found = measures.metronome(model, periods, task, seconds, n_runs, seed, free.diffusion)
    drift = {name: found.pop(name) for name in list(found) if name[:5] in ("drift", "diffu")}
    print("more noise")
    seconds = max(NOISE_SECONDS, MIN_BEATS * max(compared))
    drift |= measures.scaled_noise(model, compared, task, seconds, n_runs, seed)
    print("steps of the tempo")
    steps = measures.tempo_steps(model, reference, task, n_runs, seed)
    print("an adaptive cue")
    known = np.isfinite(found["asynchrony_mean_ms"])
    usual = np.array([periods, 1e-3 * found["asynchrony_mean_ms"]])[:, known][:, ::-1]
    steps |= measures.adaptive_cue(model, reference, task, usual, settings.gain, n_runs, seed)
    return results | {"synchronization": found, "drift": drift, "tempo_steps": steps}


def finish(axes, with_zero=(), with_legend=(), **legend):
    """Letters for all panels, lines at zero and legends for some."""
    for letter, panel in zip("abcdef", axes, strict=False):
        panel.set_title(f"{letter}  {panel.get_title('left')}")
    for panel in with_zero:
        panel.axhline(0, color="0.8", lw=0.8, zorder=0)
    for panel in with_legend:
        panel.legend(**legend)


def colour_by_tempo(panel, periods, some) -> list[str]:
    """The next lines of the panel are coloured by some of the periods; returns their labels."""
    colours = period_colours(periods)
    panel.set_prop_cycle(color=[colours[period] for period in some])
    return [label_of(period, periods) for period in some]


def colour_by_step(panel, steps) -> list[str]:
    """The next lines are coloured by steps, LATER or EARLIER, the paler the smaller; labels."""
    opacity = 0.35 + 0.65 * np.abs(steps) / np.abs(steps).max()
    colours = np.where(steps > 0, LATER, EARLIER)
    panel.set_prop_cycle(color=list(zip(colours, opacity, strict=True)))
    return [f"{step:+.0%}" for step in steps]


def draw_synchronization(a, periods):
    figure, axes = plt.subplots(2, 3, figsize=(WIDTH, 6.4))
    draw_tapping(axes[0], a, periods)
    draw_correction(axes[1], a, periods)
    finish(axes.flat, axes.flat, axes.flat)
    return figure


def draw_tapping(axes, a, periods):
    """Asynchronies, autocorrelation of ITIs, clock and motor."""
    asynchrony, itis, clock = axes
    ms, mean, sd = 1e3 * np.array(periods), a["asynchrony_mean_ms"], a["asynchrony_sd_ms"]
    asynchrony.errorbar(ms, mean, sd, fmt="ko-", capsize=2, label="midpoint, bars: SD")
    asynchrony.plot(ms, a["asynchrony_of_maxima_mean_ms"], "s--", color="0.5", label="maximum")
    asynchrony.set(title="asynchrony", ylabel="tap minus click [ms]", xlabel="period [ms]")
    k, compared = np.arange(1, measures.MAX_LAG + 1), measures.tempos_compared(periods)
    labels = colour_by_tempo(itis, periods, compared)
    for phase, (fmt, name) in PHASES.items():
        for b, label in zip(map(periods.index, compared), labels, strict=True):
            lags = a[f"{phase}_iti_lags"][b], a[f"{phase}_iti_lags_se"][b]
            itis.errorbar(k, *lags, fmt=fmt, label=f"{label}, {name}")
    itis.set(title="ITIs", xlabel="lag", ylabel="autocorrelation", ylim=(-0.6, 1.1))
    for prefix, fmt, added in (("", "o-", ""), ("delays_added_", "s:", ", delays added")):
        for part, colour in (("clock", "black"), ("motor", MOTOR)):
            sd = np.sqrt(a[f"{prefix}{part}_variance_ms2"].clip(min=0))
            clock.plot(ms, sd, fmt, color=colour, label=part + added)
    clock.set(title="Wing-Kristofferson", ylabel="SD [ms]", xlabel="period [ms]")
    clock.set_ylim(top=1.7 * clock.get_ylim()[1])


def draw_correction(axes, a, periods):
    """Alpha, shift of the next tap against that of the clicks, and shape of the trajectories."""
    alpha, shift, trajectory = axes
    ms, shifts, compared = 1e3 * np.array(periods), a["shifts"], measures.tempos_compared(periods)
    next_tap, order = a["corrected_fraction"][..., 1], np.argsort(shifts)  # (B, S)
    alpha.errorbar(ms, a["alpha"], a["alpha_se"], fmt="ko-", label="regular clicks")
    chosen = order[[len(order) // 2, -1, len(order) // 2 - 1, 0]]  # smallest and largest, both ways
    labels = [f"shift {label}" for label in colour_by_step(alpha, shifts[chosen])]
    alpha.plot(ms, next_tap[:, chosen], "^-", label=labels)
    alpha.set(title="phase correction", ylabel="alpha", ylim=(0, 2.1), xlabel="period [ms]")
    rows, percent = [periods.index(period) for period in compared], 100 * shifts[order]
    moved = percent[:, None] * next_tap[rows][:, order].T
    shift.plot(percent, moved, "o-", label=colour_by_tempo(shift, periods, compared))
    shift.axline((0, 0), slope=1, color="0.7", lw=1, zorder=0)
    shift.set(title="phase shift", ylabel="shift of the next tap [%]")
    shift.set_xlabel("shift of the clicks [% of period]")
    middle = rows[len(rows) // 2]
    for phase, (fmt, _) in PHASES.items():
        for name, colour in (("radius", "black"), ("speed", SPEED), ("active_units", ACTIVE)):
            values = a.get(f"{phase}_{name}", np.full(len(periods), np.nan))
            label = name.replace("_", " ") if phase == "synchronization" else None
            trajectory.plot(ms, values / values[middle], fmt, color=colour, label=label)
    trajectory.set(title="mean trajectory", xlabel="period [ms]")
    trajectory.set_ylabel("relative to the middle tempo")


def draw_phase_response(a, periods):
    """The response to one extra click, of full height and small."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 4.2))
    for panel in axes:
        labels = colour_by_tempo(panel, periods, periods)
        panel.set(xlabel="phase at which the click begins (0: tap)", xlim=(0, 1))
    axes[0].plot(a["phases"], wrapped(a["clicks"]).T, "o", label=labels)
    axes[1].plot(a["phases"], a["small_clicks"].T, "o")
    axes[1].plot(a["phases"], a["adjoint"].T)
    axes[0].set(title="one click", ylabel="advance [cycles]")
    axes[1].set(title="small click (dots), adjoint (lines)", ylabel="advance by height [cycles]")
    finish(axes, axes, axes[:1], ncols=2)
    return figure


def draw_arnold_tongues(a, periods):
    """Where the cycle locks to clicks, and where its phase response predicts it."""
    figure, panel = plt.subplots(figsize=(WIDTH, 4.4))
    pale = plt.matplotlib.colors.ListedColormap(["white", *PATTERN_COLOURS])
    grid = a["fine_ratios"], a["heights"], a["fine_predicted"]
    panel.pcolormesh(*grid, cmap=pale, vmin=0, vmax=3, alpha=0.35, rasterized=True)
    ratios, heights = np.meshgrid(a["ratios"], a["heights"])
    for number, colour in enumerate(PATTERN_COLOURS, start=1):
        locked, (p, q) = a["measured"] == number, LOCKING_PATTERNS[number - 1]
        label = f"{p} tap{'s' * (p > 1)} to {q} click{'s' * (q > 1)}"
        style = {"ms": 8, "color": colour, "mec": "black", "mew": 0.6, "label": label}
        panel.plot(ratios[locked], heights[locked], "s", **style)
    free = a["measured"] == 0
    panel.plot(ratios[free], heights[free], ".", ms=2, color="0.4", label="none")
    panel.set(xlabel="period of the clicks by that of the cycle", ylabel="height of the clicks")
    panel.set(xlim=(0.47, 2.03), title="locking: measured (squares), predicted (areas)")
    panel.legend(loc="upper center", ncols=4, bbox_to_anchor=(0.5, -0.16))
    return figure


def draw_tempo_steps(a, periods):
    """ITIs after steps of the tempo with and without clicks, and with an adaptive cue."""
    figure, axes = plt.subplots(2, 3, figsize=(WIDTH, 6.6))
    axes, n, after_step = axes.ravel(), a["itis"].shape[-1], list(a["median_itis"])
    after_step[3] = np.hstack([after_step[3], a["median_itis_after_clicks"]])
    for panel, name, itis in zip(axes, a["conditions"], after_step, strict=False):
        labels = colour_by_step(panel, a["steps"])
        panel.plot(np.arange(1, itis.shape[1] + 1), itis.T, "o-", label=labels)
        panel.set(title=name, xlabel="ITI after the step", ylabel="ITI by period before")
        panel.set(ylim=(0.4, 1.9), xticks=range(4, n + 1, 4))
    axes[3].axvline(n + 0.5, color="black", ls=":")
    axes[3].set_title("clicks step, then stop")
    for panel, condition in zip(axes[4:], measures.CUE_CONDITIONS, strict=True):
        error = np.median(a["cue_errors"][a["cue_condition"] == condition], axis=1)
        labels = colour_by_step(panel, measures.CUE_ERRORS)
        panel.plot(np.arange(1, error.shape[1] + 1), 100 * error.T, "o-", label=labels)
        panel.set(title=f"adaptive cue: {condition}", xlabel="click", ylim=(-65, 150))
        panel.set_ylabel("cue's period, error [%]")
    finish(axes, axes[4:], axes[[0, 4, 5]], ncols=2, loc="upper right")
    return figure


def draw_drift(a, periods):
    """Position against a metronome without clicks, and the beat with scaled recurrent noise."""
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 6.6))
    (position, spread), (error, cv) = axes
    k, scales = np.arange(1, measures.DRIFT_BEATS + 1), a["noise_scales"]
    for panel, name, fmt in (
        (position, "drift_mean_ms", "o-"),
        (spread, "drift_variance_ms2", "o"),
    ):
        for b, label in enumerate(colour_by_tempo(panel, periods, periods)):
            every = (b, len(periods)) if panel is position else 1  # bars beside each other
            panel.errorbar(
                k, a[name][b], a[f"{name}_se"][b], fmt=fmt, errorevery=every, label=label
            )
        panel.set_xlabel("beats after a tap, continuation")
    spread.plot(k, np.outer(k, a["diffusion_predicted_ms2"]))
    position.set(title="mean position", ylabel="behind a metronome [ms]")
    spread.set(title="variance (lines: phase response x noise)", ylabel="variance [ms$^2$]")
    spread.set(yscale="log", xscale="log")
    for panel, name in ((error, "noise_error"), (cv, "noise_cv")):
        labels = colour_by_tempo(panel, periods, measures.tempos_compared(periods))
        panel.plot(scales, 100 * a[name], "o-", label=labels)
        panel.set_xlabel("factor of the recurrent noise")
    cv.plot(scales, 100 * a["noise_fraction_lost"], "x:")
    error.set(title="error of the mean ITI", ylabel="error [%]")
    cv.set(title="irregularity (crosses: runs lost)", ylabel="CV of the ITIs [%]")
    finish(axes.flat, axes[:, 0], (position, error, cv), ncols=2, loc="upper left")
    return figure


DRAWINGS = {
    "synchronization": draw_synchronization,
    "phase_response": draw_phase_response,
    "arnold_tongues": draw_arnold_tongues,
    "tempo_steps": draw_tempo_steps,
    "drift": draw_drift,
}


def main(config_path=None, checkpoint=None, device="auto", **flags):
    config, model, made_by = open_network(config_path, checkpoint, device, flags, "synchronization")
    settings, periods = config.synchronization, sorted(config.training.periods, reverse=True)
    with warnings.catch_warnings(), plt.rc_context(LOOK):
        warnings.simplefilter("ignore", RuntimeWarning)  # NaN for a tempo without a beat or noise
        results = measure(model, periods, config.task, settings)
        figures = {name: draw(results[name], periods) for name, draw in DRAWINGS.items()}
    short = {
        figure: {name: array for name, array in arrays.items() if name not in NPZ_ONLY}
        for figure, arrays in results.items()
    }
    text, numbers = configuration.to_text(config, made_by), {"made_by": made_by} | short
    suffix = config.plotting.format
    save_results(settings.folder, text, figures, suffix, results, {"synchronization": numbers})


if __name__ == "__main__":
    cli.run(main)
