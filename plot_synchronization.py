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
from zrnn.synchronization.estimators import LOCKING_PATTERNS, wrapped

SECONDS = 20.0  # [s] of each run with clicks, and of each run that continues without
NOISE_SECONDS = 12.0  # [s] of each run with scaled noise
MIN_BEATS = 20  # of the slowest tempo: these runs are longer if it needs more time
NPZ_ONLY = {"fine_ratios", "fine_predicted", "itis", "itis_after_clicks", "cue_errors"}

WIDTH = 9  # [in] of each figure, so that its text is legible in a README
LATER, EARLIER = "#B35806", "#542788"  # shifts and steps to later and earlier, slower and faster
PATTERN_COLOURS = ("#E69F00", "#56B4E9", "#009E73")  # of LOCKING_PATTERNS
MOTOR, SPEED, ACTIVE = "#CC79A7", "#E69F00", "#009E73"
PHASES = {"synchronization": ("o-", "clicks"), "continuation": ("s--", "continuation")}
THIN, THICK = {"ms": 3, "lw": 1}, {"ms": 4}
TWO_COLUMNS = {"ncols": 2, "columnspacing": 1, "loc": "upper right"}


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


def make_panels(rows: int, columns: int, height: float) -> tuple:
    """A figure and its panels (rows * columns,)."""
    size = WIDTH, height
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    return figure, axes.ravel()


def finish(axes, with_zero=(), with_legend=(), **legend):
    """Letters for all panels, lines at zero and legends for some."""
    for letter, panel in zip("abcdef", axes, strict=False):
        panel.set_title(f"{letter}  {panel.get_title()}", loc="left", fontsize=10)
        panel.set_title("")
    for panel in with_zero:
        panel.axhline(0, color="0.8", lw=0.8, zorder=0)
    for panel in with_legend:
        panel.legend(fontsize=9, handlelength=1.5, labelspacing=0.2, framealpha=0.7, **legend)


def tempo_styles(periods, some) -> dict:
    """{index in periods: colour and label} of some of the periods."""
    colours = period_colours(periods)
    styles = ({"color": colours[one], "label": label_of(one, periods)} for one in some)
    return {periods.index(one): style for one, style in zip(some, styles, strict=True)}


def step_styles(steps) -> dict:
    """{step: colour and label}: LATER or EARLIER, the paler the smaller the step."""
    opacity = 0.35 + 0.65 * np.abs(steps) / np.abs(steps).max()
    colours = [LATER if step > 0 else EARLIER for step in steps]
    rows = zip(steps, colours, opacity, strict=True)
    return {step: {"color": (colour, pale), "label": f"{step:+.0%}"} for step, colour, pale in rows}


def draw_synchronization(a, periods):
    figure, axes = make_panels(2, 3, 6.4)
    draw_tapping(axes[:3], a, periods)
    draw_correction(axes[3:], a, periods)
    finish(axes, axes, axes)
    return figure


def draw_tapping(axes, a, periods):
    """Asynchronies, autocorrelation of ITIs, clock and motor."""
    ms = 1e3 * np.array(periods)
    mean, sd, maxima = (a[f"asynchrony_{k}_ms"] for k in ("mean", "sd", "of_maxima_mean"))
    axes[0].errorbar(ms, mean, sd, fmt="ko-", capsize=2, label="midpoint, bars: SD", **THICK)
    axes[0].plot(ms, maxima, "s--", color="0.5", label="maximum", **THICK)
    axes[0].set(title="asynchrony", ylabel="tap minus click [ms]", xlabel="period [ms]")
    for phase, (fmt, name) in PHASES.items():
        for b, style in tempo_styles(periods, measures.tempos_compared(periods)).items():
            lags, errors = a[f"{phase}_iti_lags"][b], a[f"{phase}_iti_lags_se"][b]
            style["label"] += f", {name}"
            axes[1].errorbar(np.arange(1, len(lags) + 1), lags, errors, fmt=fmt, **THIN, **style)
    axes[1].set(title="ITIs", xlabel="lag", ylabel="autocorrelation", ylim=(-0.6, 1.1))
    for prefix, fmt, added in (("", "o-", ""), ("delays_added_", "s:", ", delays added")):
        for part, colour in (("clock", "black"), ("motor", MOTOR)):
            sd = np.sqrt(a[f"{prefix}{part}_variance_ms2"].clip(min=0))
            axes[2].plot(ms, sd, fmt, color=colour, label=part + added, **THICK)
    axes[2].set(title="Wing-Kristofferson", ylabel="SD [ms]", xlabel="period [ms]")
    axes[2].set_ylim(top=1.7 * axes[2].get_ylim()[1])


def draw_correction(axes, a, periods):
    """Alpha, shift of the next tap against that of the clicks, and shape of the trajectories."""
    ms, shifts, compared = 1e3 * np.array(periods), a["shifts"], measures.tempos_compared(periods)
    next_tap = a["corrected_fraction"][..., 1]  # (B, S)
    axes[0].errorbar(ms, a["alpha"], a["alpha_se"], fmt="ko-", label="regular clicks", **THICK)
    sizes = np.unique(np.abs(shifts))[[0, -1]]
    for shift, style in step_styles(np.append(sizes, -sizes)).items():
        style["label"] = "shift " + style["label"]
        fmt = "^-" if shift > 0 else "v-"
        axes[0].plot(ms, next_tap[:, shifts == shift], fmt, **THICK, **style)
    axes[0].set(title="phase correction", ylabel="alpha", ylim=(0, 2.1), xlabel="period [ms]")
    order, percent = np.argsort(shifts), 100 * np.sort(shifts)
    for b, style in tempo_styles(periods, compared).items():
        axes[1].plot(percent, percent * next_tap[b, order], "o-", **THICK, **style)
    axes[1].axline((0, 0), slope=1, color="0.7", lw=1, zorder=0)
    axes[1].set(title="phase shift", ylabel="shift of the next tap [%]")
    axes[1].set_xlabel("shift of the clicks [% of period]")
    middle = periods.index(compared[len(compared) // 2])
    for phase, (fmt, _) in PHASES.items():
        for name, colour in (("radius", "black"), ("speed", SPEED), ("active units", ACTIVE)):
            values = a.get(f"{phase}_{name}".replace(" ", "_"), np.full(len(periods), np.nan))
            label = name if phase == "synchronization" else None
            axes[2].plot(ms, values / values[middle], fmt, color=colour, label=label, **THICK)
    axes[2].set(title="mean trajectory", xlabel="period [ms]")
    axes[2].set_ylabel("relative to the middle tempo")


def draw_phase_response(a, periods):
    """The response to one extra click, of full height and small."""
    figure, (large, small) = make_panels(1, 2, 4.2)
    for b, style in tempo_styles(periods, periods).items():
        full = wrapped(a["clicks"][b])
        jumps = np.flatnonzero(np.abs(np.diff(full)) > 0.5) + 1  # where the line is interrupted
        phases, full = (np.insert(row, jumps, np.nan) for row in (a["phases"], full))
        large.plot(phases, full, "o-", **THIN, **style)
        small.plot(a["phases"], a["small_clicks"][b], "o", **THICK, **style)
        small.plot(a["phases"], a["adjoint"][b], lw=1, **style)
    large.set(title="one click", ylabel="advance [cycles]")
    small.set(title="small click (dots), adjoint (lines)", ylabel="advance by height [cycles]")
    for panel in (large, small):
        panel.set(xlabel="phase at which the click begins (0: tap)", xlim=(0, 1))
    finish((large, small), (large, small), [large], ncols=2, columnspacing=1)
    return figure


def draw_arnold_tongues(a, periods):
    """Where the cycle locks to clicks, and where its phase response predicts it."""
    figure, (panel,) = make_panels(1, 1, 4.4)
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
    panel.legend(fontsize=10, loc="upper center", ncols=4, bbox_to_anchor=(0.5, -0.16))
    return figure


def draw_tempo_steps(a, periods):
    """ITIs after steps of the tempo with and without clicks, and with an adaptive cue."""
    figure, axes = make_panels(2, 3, 6.6)
    styles, n = list(step_styles(a["steps"]).values()), a["itis"].shape[-1]
    for panel, name, rows in zip(axes, a["conditions"], a["median_itis"], strict=False):
        for style, itis in zip(styles, rows, strict=True):
            panel.plot(np.arange(1, n + 1), itis, "o-", **THIN, **style)
        panel.set(title=name, xlabel="ITI after the step", ylabel="ITI by period before")
        panel.set_ylim(0.4, 1.9)
    for style, itis in zip(styles, a["median_itis_after_clicks"], strict=True):
        axes[3].plot(n + 1 + np.arange(len(itis)), itis, "o-", **THIN, **style)
    axes[3].axvline(n + 0.5, color="black", ls=":")
    axes[3].set_title("clicks step, then stop")
    styles = step_styles(measures.CUE_ERRORS).values()
    for panel, condition in zip(axes[4:], measures.CUE_CONDITIONS, strict=True):
        runs = a["cue_errors"][a["cue_condition"] == condition]
        for style, row in zip(styles, np.median(runs, axis=1), strict=True):
            panel.plot(np.arange(1, len(row) + 1), 100 * row, "o-", **THIN, **style)
        panel.set(title=f"adaptive cue: {condition}", xlabel="click", ylim=(-65, 150))
        panel.set_ylabel("cue's period, error [%]")
    finish(axes, axes[4:], axes[[0, 4, 5]], ncols=2, columnspacing=1, loc="upper right")
    return figure


def draw_drift(a, periods):
    """Position against a metronome without clicks, and the beat with scaled recurrent noise."""
    figure, axes = make_panels(2, 2, 6.6)
    position, spread, error, cv = axes
    k = np.arange(1, a["drift_mean_ms"].shape[1] + 1)
    for b, style in tempo_styles(periods, periods).items():
        mean = a["drift_mean_ms"][b], a["drift_mean_ms_se"][b]
        some = b, len(periods)  # error bars of each tempo at other beats
        position.errorbar(k, *mean, fmt="o-", errorevery=some, **THIN, **style)
        variance = a["drift_variance_ms2"][b], a["drift_variance_ms2_se"][b]
        spread.errorbar(k, *variance, fmt="o", **THIN, **style)
        spread.plot(k, k * a["diffusion_predicted_ms2"][b], lw=1, color=style["color"])
    beats, factors = "beats after a tap, continuation", "factor of the recurrent noise"
    position.set(title="mean position", xlabel=beats, ylabel="behind a metronome [ms]")
    spread.set(title="variance (lines: phase response x noise)", xlabel=beats)
    spread.set(ylabel="variance [ms$^2$]", yscale="log", xscale="log")
    compared = tempo_styles(periods, measures.tempos_compared(periods)).values()
    percent = {name: 100 * a[f"noise_{name}"].T for name in ("error", "cv", "fraction_lost")}
    for style, *rows in zip(compared, *percent.values(), strict=True):
        for panel, fmt, row in zip((error, cv, cv), ("o-", "o-", "x:"), rows, strict=True):
            panel.plot(a["noise_scales"], row, fmt, **THICK, **style)
            style = style | {"label": None} if panel is cv else style
    error.set(title="error of the mean ITI", xlabel=factors, ylabel="error [%]")
    cv.set(
        title="irregularity (crosses: runs lost, %)", xlabel=factors, ylabel="CV of the ITIs [%]"
    )
    finish(axes, (position, error), (position, error, cv), ncols=2, loc="upper left")
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
    with warnings.catch_warnings():  # of NaN for a tempo without a beat, or without noise
        warnings.simplefilter("ignore", RuntimeWarning)
        results = measure(model, periods, config.task, settings)
        figures = {name: draw(results[name], periods) for name, draw in DRAWINGS.items()}
    numbers = {"made_by": made_by}
    for name, arrays in results.items():
        numbers[name] = {key: arrays[key] for key in arrays if key not in NPZ_ONLY}
    text, suffix = configuration.to_text(config, made_by), config.plotting.format
    save_results(settings.folder, text, figures, suffix, results, {"synchronization": numbers})


if __name__ == "__main__":
    cli.run(main)
