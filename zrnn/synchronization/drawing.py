"""The five figures of plot_synchronization.py, drawn from the arrays that are saved beside them."""

import numpy as np

from zrnn.figures import label_of, period_colours, plt
from zrnn.synchronization.statistics import LOCKINGS, wrapped

WIDTH = 9  # [in] of each figure, so that its text is legible in a README
LATER, EARLIER = "#B35806", "#542788"  # shifts and steps to later and earlier, slower and faster
PATTERNS = ("#E69F00", "#56B4E9", "#009E73")  # taps and clicks as in LOCKINGS
MOTOR, SPEED, ACTIVE = "#CC79A7", "#E69F00", "#009E73"
THIN, THICK = {"ms": 3, "lw": 1}, {"ms": 4}
TWO_COLUMNS = {"ncols": 2, "columnspacing": 1}


def _finish(axes, zero=(), legends=()):
    """Letters, a line at zero and legends {panel: how}."""
    for letter, panel in zip("abcdefgh", np.ravel(axes), strict=False):
        panel.set_title(f"{letter}  {panel.get_title()}", loc="left", fontsize=10)
        panel.set_title("")
    for panel in zero:
        panel.axhline(0, color="0.8", lw=0.8, zorder=0)
    for panel, how in legends:
        panel.legend(fontsize=9, handlelength=1.5, labelspacing=0.2, framealpha=0.7, **how)


def _step_colours(steps) -> dict:
    """{step: colour}: LATER or EARLIER, the paler the smaller the step."""
    to_rgb, largest = plt.matplotlib.colors.to_rgb, np.abs(steps).max()
    pale = {step: 0.65 * (1 - abs(step) / largest) for step in steps}
    full = {step: np.array(to_rgb(LATER if step > 0 else EARLIER)) for step in steps}
    return {step: tuple(pale[step] + (1 - pale[step]) * full[step]) for step in steps}


def synchronization(a, periods, compared):
    """Asynchronies, ITIs, clock and motor, phase correction, and shapes of the trajectories."""
    figure, axes = plt.subplots(2, 3, figsize=(WIDTH, 6.4), layout="constrained")
    _asynchronies(axes[0, 0], a, 1e3 * np.array(periods))
    _itis(axes[0, 1], a, periods, compared)
    _clock_and_motor(axes[0, 2], a, 1e3 * np.array(periods))
    shares = np.ma.masked_invalid(a["corrected_shares"])  # without a tap in time: NaN
    following = shares.mean(axis=0).filled(np.nan)[..., 1]  # by the next tap, (B, S)
    _alphas(axes[1, 0], a, 1e3 * np.array(periods), following)
    _shifts(axes[1, 1], a["shifts"], following, periods, compared)
    _shapes(axes[1, 2], a, 1e3 * np.array(periods), periods.index(compared[len(compared) // 2]))
    _finish(axes, axes.flat, [(panel, {}) for panel in axes.flat])
    return figure


def _asynchronies(panel, a, ms):
    mean, sd = a["asynchrony_ms"], a["asynchrony_sd_ms"]
    panel.errorbar(ms, mean, sd, fmt="ko-", capsize=2, label="midpoint, bars: SD", **THICK)
    panel.plot(ms, a["asynchrony_of_maxima_ms"], "s--", color="0.5", label="maximum", **THICK)
    panel.set(title="asynchrony", ylabel="tap minus click [ms]", xlabel="period [ms]")


def _itis(panel, a, periods, compared):
    lags, colours = np.arange(1, a["iti_lags_clicks"].shape[-1] + 1), period_colours(periods)
    for name, style in (("clicks", "o-"), ("silence", "s--")):
        for period in compared:
            value, error = a[f"iti_lags_{name}"][periods.index(period)]
            own = {"color": colours[period], "label": f"{label_of(period, periods)}, {name}"}
            panel.errorbar(lags, value, error, fmt=style, **THIN, **own)
    panel.set(title="ITIs", xlabel="lag", ylabel="autocorrelation", ylim=(-0.6, 1.1))


def _clock_and_motor(panel, a, ms):
    for key, style, name in (
        ("clock_and_motor_sd_ms", "o-", ""),
        ("with_motor_delays_sd_ms", "s:", ", delays added"),
    ):
        panel.plot(ms, a[key][:, 0], style, color="black", label=f"clock{name}", **THICK)
        panel.plot(ms, a[key][:, 1], style, color=MOTOR, label=f"motor{name}", **THICK)
    panel.set(title="Wing-Kristofferson, silence", ylabel="SD [ms]", xlabel="period [ms]")
    panel.set_ylim(top=1.7 * panel.get_ylim()[1])


def _alphas(panel, a, ms, following):
    panel.errorbar(ms, *a["alpha_regular"].T, fmt="ko-", label="regular clicks", **THICK)
    sizes = np.unique(np.abs(a["shifts"]))[[0, -1]]
    for shift, colour in _step_colours(np.append(sizes, -sizes)).items():
        own = following[:, np.flatnonzero(a["shifts"] == shift)[0]]
        style = "^-" if shift > 0 else "v-"
        panel.plot(ms, own, style, color=colour, label=f"shift {shift:+.0%}", **THICK)
    panel.set(title="phase correction", ylabel="alpha", ylim=(0, 2.1), xlabel="period [ms]")


def _shifts(panel, shifts, following, periods, compared):
    order, colours = np.argsort(shifts), period_colours(periods)
    percent = 100 * shifts[order]
    for period in compared:
        moved = percent * following[periods.index(period), order]
        label = label_of(period, periods)
        panel.plot(percent, moved, "o-", color=colours[period], label=label, **THICK)
    panel.axline((0, 0), slope=1, color="0.7", lw=1, zorder=0)
    panel.set(title="phase shift", xlabel="shift of the clicks [% of period]")
    panel.set(ylabel="shift of the next tap [%]")


def _shapes(panel, a, ms, reference):
    for name, colour in (("radius", "black"), ("speed", SPEED), ("active_units", ACTIVE)):
        for heard, style in (("clicks", "o-"), ("silence", "s--")):
            values = a.get(f"{name}_{heard}")
            if values is not None:
                label = name.replace("_", " ") if heard == "clicks" else None
                values = values / values[reference]
                panel.plot(ms, values, style, color=colour, label=label, **THICK)
    panel.set(title="mean trajectory", ylabel="relative to the middle tempo")
    panel.set(xlabel="period [ms]")


def phase_response(a, periods):
    """The response to one extra click, of full height and small."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 4.2), layout="constrained")
    for b, (period, colour) in enumerate(period_colours(periods).items()):
        whole = wrapped(a["clicks"][b])
        jumps = np.flatnonzero(np.abs(np.diff(whole)) > 0.5) + 1
        phases, whole = (np.insert(own, jumps, np.nan) for own in (a["phases"], whole))
        axes[0].plot(phases, whole, "o-", color=colour, label=label_of(period, periods), **THIN)
        axes[1].plot(a["phases"], a["small_clicks"][b], "o", color=colour, **THICK)
        axes[1].plot(a["phases"], a["adjoint"][b], lw=1, color=colour)
    axes[0].set(title="one click", ylabel="advance [cycles]")
    axes[1].set(title="small click (dots), adjoint (lines)", ylabel="advance by height [cycles]")
    for panel in axes:
        panel.set(xlabel="phase at which the click begins (0: tap)", xlim=(0, 1))
    _finish(axes, axes, [(axes[0], TWO_COLUMNS)])
    return figure


def tongues(a):
    """Where the cycle locks to clicks, and where its phase response says that it does."""
    figure, panel = plt.subplots(figsize=(WIDTH, 4.4), layout="constrained")
    pale = plt.matplotlib.colors.ListedColormap(["white", *PATTERNS])
    grid = a["fine_ratios"], a["heights"], a["fine_predicted"]
    panel.pcolormesh(*grid, cmap=pale, vmin=0, vmax=3, alpha=0.35, rasterized=True)
    for place, ((taps, clicks), colour) in enumerate(zip(LOCKINGS, PATTERNS, strict=True), 1):
        rows, columns = np.nonzero(a["measured"] == place)
        label = f"{taps} tap{'s' * (taps > 1)} to {clicks} click{'s' * (clicks > 1)}"
        style = {"ms": 8, "color": colour, "mec": "black", "mew": 0.6}
        panel.plot(a["ratios"][columns], a["heights"][rows], "s", label=label, **style)
    rows, columns = np.nonzero(a["measured"] == 0)
    panel.plot(a["ratios"][columns], a["heights"][rows], ".", ms=2, color="0.4", label="none")
    panel.set(xlabel="period of the clicks by that of the cycle", ylabel="height of the clicks")
    panel.set(xlim=(0.47, 2.03), title="locking: measured (squares), predicted (areas)")
    panel.legend(fontsize=10, loc="upper center", ncols=4, bbox_to_anchor=(0.5, -0.16))
    return figure


def tempo_steps(a):
    """ITIs after steps of the tempo with and without clicks; and a cue that listens."""
    figure, axes = plt.subplots(2, 3, figsize=(WIDTH, 6.6), layout="constrained")
    axes, colours = axes.ravel(), _step_colours(a["steps"])
    names = [key.removeprefix("itis, ") for key in a if key.startswith("itis, ")]
    for panel, name in zip(axes, names, strict=False):
        for step, own in zip(a["steps"], a[f"itis, {name}"], strict=True):
            itis = np.nanmedian(own, axis=0)
            label, x = f"{step:+.0%}", np.arange(1, len(itis) + 1)
            panel.plot(x, itis, "o-", color=colours[step], label=label, **THIN)
        panel.set(title=f"steps: {name}", xlabel="ITI after the step", ylim=(0.4, 1.9))
        panel.set(ylabel="ITI by period before")
    for step, own in zip(a["steps"], a["itis after"], strict=True):
        late = np.nanmedian(own, axis=0)
        axes[3].plot(x[-1] + 1 + np.arange(len(late)), late, "o-", color=colours[step], **THIN)
    axes[3].axvline(x[-1] + 0.5, color="black", ls=":")
    axes[3].set_title(f"steps: {names[-1]}; then none")
    shades = _step_colours(a["wrong"])
    for panel, moves, name in ((axes[4], "start", "wrong cue"), (axes[5], "clicks", "clicks step")):
        for wrong, errors in zip(a["wrong"], a[f"cue_errors_{moves}"], strict=True):
            own, label = 100 * np.median(errors, axis=0), f"{wrong:+.0%}"
            x = np.arange(1, len(own) + 1)
            panel.plot(x, own, "o-", color=shades[wrong], label=label, **THIN)
        panel.set(title=f"cue listens: {name}", xlabel="click", ylabel="cue's period, error [%]")
        panel.set(ylim=(-65, 150))
    for panel in axes:
        panel.xaxis.set_major_locator(plt.MultipleLocator(6 if panel is axes[3] else 4))
    upper = TWO_COLUMNS | {"loc": "upper right"}
    _finish(axes, axes[4:], [(axes[k], upper) for k in (0, 4, 5)])
    return figure


def drift(a, periods, compared):
    """Position against a metronome in silence, and the beat with more recurrent noise."""
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 6.6), layout="constrained")
    colours, k = period_colours(periods), a["k"]
    for b, period in enumerate(periods):
        colour = colours[period]
        value, error = a["drift_ms"][b]
        label = label_of(period, periods)
        axes[0, 0].plot(k, value, "o-", color=colour, label=label, **THIN)
        at = k[-1] + 1 + 0.3 * b
        axes[0, 0].errorbar(at, value[-1], error[-1], fmt="o", color=colour, **THIN)
        value, error = a["variance_ms2"][b]
        axes[0, 1].errorbar(k, value, error, fmt="o", color=colour, **THIN)
        axes[0, 1].plot(k, k * a["predicted_diffusion_ms2"][b], lw=1, color=colour)
    axes[0, 0].set(title="mean position", ylabel="behind a metronome [ms]")
    axes[0, 0].xaxis.set_major_locator(plt.MultipleLocator(4))
    axes[0, 1].set(title="variance (lines: phase response x noise)", ylabel="variance [ms$^2$]")
    axes[0, 1].set(yscale="log", xscale="log")
    axes[0, 1].set_xticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
    axes[0, 1].minorticks_off()
    for b, period in enumerate(compared):
        error, cv, lost = a["noise_error_cv_lost"][:, b].T
        own = {"color": colours[period], "label": label_of(period, periods)}
        axes[1, 0].plot(a["noise_scales"], 100 * error, "o-", **THICK, **own)
        axes[1, 1].plot(a["noise_scales"], 100 * cv, "o-", **THICK, **own)
        axes[1, 1].plot(a["noise_scales"], 100 * lost, "x:", **THICK, color=colours[period])
    axes[1, 1].plot([], [], "kx:", label="runs lost [%]", **THICK)
    axes[1, 0].set(title="error of the mean ITI", ylabel="error [%]")
    axes[1, 1].set(title="irregularity", ylabel="CV of the ITIs [%]")
    for row, label in enumerate(("beats after a tap in silence", "recurrent noise, times its own")):
        for panel in axes[row]:
            panel.set(xlabel=label)
    upper = TWO_COLUMNS | {"loc": "upper left"}
    _finish(axes, axes[:, 0], [(axes[0, 0], upper), (axes[1, 0], upper), (axes[1, 1], upper)])
    return figure
