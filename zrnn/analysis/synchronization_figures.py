"""The five figures of plot_synchronization.py, drawn from the arrays that are saved beside them."""

import numpy as np

from zrnn.analysis.synchronization import LOCKINGS, wrapped
from zrnn.workshop.figures import label_of, period_colours, plt

WIDTH = 9  # [in] of each figure, so that its text is legible in a README
LATER, EARLIER = "#B35806", "#542788"  # shifts and steps to later and earlier, slower and faster
PATTERNS = ("#E69F00", "#56B4E9", "#009E73")  # taps:clicks as in LOCKINGS


def _letter(axes):
    for letter, panel in zip("abcdefgh", np.ravel(axes), strict=False):
        panel.set_title(f"{letter}  {panel.get_title()}", loc="left", fontsize=10)
        panel.set_title("")


def _step_colours(steps) -> dict:
    """{step: colour}: LATER or EARLIER, the paler the smaller the step."""
    largest = np.abs(steps).max()
    white = np.ones(3)
    pale = {s: 0.65 * (1 - abs(s) / largest) for s in steps}
    colours = {
        s: np.array(plt.matplotlib.colors.to_rgb(LATER if s > 0 else EARLIER)) for s in steps
    }
    return {s: tuple(pale[s] * white + (1 - pale[s]) * colours[s]) for s in steps}


def synchronization(a, periods, compared):
    """Asynchronies, ITIs, clock and motor, phase correction, and shapes of the trajectories."""
    figure, axes = plt.subplots(2, 3, figsize=(WIDTH, 6.4), layout="constrained")
    colours, ms = period_colours(periods), 1e3 * np.array(periods)
    panel = axes[0, 0]
    panel.errorbar(ms, a["asynchrony_ms"], a["asynchrony_sd_ms"], fmt="o-", color="black", ms=4,
                   capsize=2, label="midpoint, bars: SD")  # fmt: skip
    panel.plot(ms, a["asynchrony_of_maxima_ms"], "s--", color="0.5", ms=4, label="maximum")
    panel.set(title="asynchrony", ylabel="tap minus click [ms]")
    panel = axes[0, 1]
    lags = np.arange(1, a["iti_lags_clicks"].shape[-1] + 1)
    for name, style in (("clicks", "o-"), ("silence", "s--")):
        for period in compared:
            value, error = a[f"iti_lags_{name}"][periods.index(period)]
            panel.errorbar(lags, value, error, fmt=style, ms=3, lw=1, color=colours[period],
                           label=f"{label_of(period, periods)}, {name}")  # fmt: skip
    panel.set(title="ITIs", xlabel="lag", ylabel="autocorrelation", ylim=(-0.6, 1.1))
    panel = axes[0, 2]
    for key, style, name in (("clock_and_motor_sd_ms", "o-", ""),
                             ("with_motor_delays_sd_ms", "s:", ", delays added")):  # fmt: skip
        panel.plot(ms, a[key][:, 0], style, color="black", ms=4, label=f"clock{name}")
        panel.plot(ms, a[key][:, 1], style, color="#CC79A7", ms=4, label=f"motor{name}")
    panel.set(title="Wing-Kristofferson, silence", ylabel="SD [ms]")
    panel.set_ylim(top=1.7 * panel.get_ylim()[1])
    panel = axes[1, 0]
    panel.errorbar(ms, *a["alpha_regular"].T, fmt="o-", color="black", ms=4, label="regular clicks")
    following = np.nanmean(a["corrected_shares"], axis=0)[..., 1]  # by the next tap, (B, S)
    sizes = np.unique(np.abs(a["shifts"]))[[0, -1]]
    for shift, colour in _step_colours(np.append(sizes, -sizes)).items():
        own = following[:, np.flatnonzero(a["shifts"] == shift)[0]]
        panel.plot(ms, own, "^-" if shift > 0 else "v-", color=colour, ms=4,
                   label=f"shift {shift:+.0%}")  # fmt: skip
    panel.set(title="phase correction", ylabel="alpha", ylim=(0, 2.1))
    panel = axes[1, 1]
    order = np.argsort(a["shifts"])
    percent = 100 * a["shifts"][order]
    for period in compared:
        own = percent * following[periods.index(period), order]
        panel.plot(percent, own, "o-", ms=4, color=colours[period], label=label_of(period, periods))
    panel.axline((0, 0), slope=1, color="0.7", lw=1, zorder=0)
    panel.set(title="phase shift", xlabel="shift of the clicks [% of period]",
              ylabel="of the next tap [% of period]")  # fmt: skip
    _draw_shapes(axes[1, 2], a, ms, periods.index(compared[len(compared) // 2]))
    for panel in (axes[0, 0], axes[0, 2], axes[1, 0], axes[1, 2]):
        panel.set(xlabel="period [ms]")
    for panel in axes.flat:
        panel.axhline(0, color="0.8", lw=0.8, zorder=0)
        panel.legend(fontsize=9, handlelength=1.5, labelspacing=0.2, framealpha=0.7)
    _letter(axes)
    return figure


def _draw_shapes(panel, a, ms, reference):
    names = ("radius", "speed", "active_units")
    for name, colour in zip(names, ("black", "#E69F00", "#009E73"), strict=True):
        for heard, style in (("clicks", "o-"), ("silence", "s--")):
            values = a.get(f"{name}_{heard}")
            if values is not None:
                label = name.replace("_", " ") if heard == "clicks" else None
                panel.plot(ms, values / values[reference], style, ms=4, color=colour, label=label)
    panel.set(title="mean trajectory", ylabel="relative to the middle tempo")


def phase_response(a, periods):
    """The response to one extra click, of full height and small."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 4.2), layout="constrained")
    for b, (period, colour) in enumerate(period_colours(periods).items()):
        label = label_of(period, periods)
        whole = wrapped(a["clicks"][b])
        jumps = np.flatnonzero(np.abs(np.diff(whole)) > 0.5) + 1
        axes[0].plot(np.insert(a["phases"], jumps, np.nan), np.insert(whole, jumps, np.nan),
                     "o-", ms=3, lw=1, color=colour, label=label)  # fmt: skip
        axes[1].plot(a["phases"], a["small_clicks"][b], "o", ms=4, color=colour)
        axes[1].plot(a["phases"], a["adjoint"][b], lw=1, color=colour)
    axes[0].set(title="one click", ylabel="advance [cycles]")
    axes[1].set(title="small click (dots), adjoint (lines)", ylabel="advance by height [cycles]")
    for panel in axes:
        panel.axhline(0, color="0.8", lw=0.8, zorder=0)
        panel.set(xlabel="phase at which the click begins (0: tap)", xlim=(0, 1))
    axes[0].legend(fontsize=9, ncols=2, labelspacing=0.2)
    _letter(axes)
    return figure


def tongues(a):
    """Where the cycle locks to clicks (areas), and what its phase response predicts (lines)."""
    figure, panel = plt.subplots(figsize=(WIDTH, 4.4), layout="constrained")
    pale = plt.matplotlib.colors.ListedColormap(["white", *PATTERNS])
    panel.pcolormesh(a["fine_ratios"], a["heights"], a["fine_predicted"], cmap=pale, vmin=0, vmax=3,
                     alpha=0.35, shading="nearest", rasterized=True)  # fmt: skip
    for place, ((taps, clicks), colour) in enumerate(zip(LOCKINGS, PATTERNS, strict=True), 1):
        rows, columns = np.nonzero(a["measured"] == place)
        panel.plot(a["ratios"][columns], a["heights"][rows], "s", ms=8, color=colour, mec="black",
                   label=f"{taps} tap{'s' * (taps > 1)} to {clicks} click{'s' * (clicks > 1)}",
                   mew=0.6)  # fmt: skip
    rows, columns = np.nonzero(a["measured"] == 0)
    panel.plot(a["ratios"][columns], a["heights"][rows], ".", ms=2, color="0.4", label="none")
    panel.set(
        xlabel="period of the clicks by that of the cycle",
        ylabel="height of the clicks",
        xlim=(0.47, 2.03),
        title="locking: measured (squares), predicted (areas)",
    )
    panel.legend(fontsize=10, loc="upper center", ncols=4, bbox_to_anchor=(0.5, -0.16))
    return figure


def tempo_steps(a):
    """ITIs after steps of the tempo with and without clicks; and a cue that listens."""
    figure, axes = plt.subplots(2, 3, figsize=(WIDTH, 6.6), layout="constrained")
    axes, colours = axes.ravel(), _step_colours(a["steps"])
    names = [key.removeprefix("itis, ") for key in a if key.startswith("itis, ")]
    for panel, name in zip(axes, names, strict=False):
        for step, own, after in zip(a["steps"], a[f"itis, {name}"], a["itis after"], strict=True):
            itis = np.nanmedian(own, axis=0)
            panel.plot(np.arange(1, len(itis) + 1), itis, "o-", ms=3, lw=1, color=colours[step],
                       label=f"{step:+.0%}")  # fmt: skip
            if name == names[-1]:
                late = np.nanmedian(after, axis=0)
                panel.plot(len(itis) + 1 + np.arange(len(late)), late, "o-", ms=3, lw=1,
                           color=colours[step])  # fmt: skip
        panel.set(title=f"steps: {name}", xlabel="ITI after the step", ylim=(0.4, 1.9),
                  ylabel="ITI by period before")  # fmt: skip
    axes[3].axvline(len(itis) + 0.5, color="black", ls=":")
    axes[3].set_title("steps: clicks, not cue; then none")
    axes[0].legend(fontsize=9, ncols=2, labelspacing=0.2, columnspacing=1, loc="upper right")
    shades = _step_colours(a["wrong"])
    for panel, moves, name in ((axes[4], "start", "wrong cue"), (axes[5], "clicks", "clicks step")):
        for wrong, errors in zip(a["wrong"], a[f"cue_errors_{moves}"], strict=True):
            own = 100 * np.median(errors, axis=0)
            panel.plot(np.arange(1, len(own) + 1), own, "o-", ms=3, lw=1, color=shades[wrong],
                       label=f"{wrong:+.0%}")  # fmt: skip
        panel.axhline(0, color="0.8", lw=0.8, zorder=0)
        panel.set(title=f"cue listens: {name}", xlabel="click", ylabel="cue's period, error [%]",
                  ylim=(-65, 150))  # fmt: skip
        panel.legend(fontsize=9, ncols=2, labelspacing=0.2, columnspacing=1, loc="upper right")
    for panel in axes:
        panel.xaxis.set_major_locator(plt.MultipleLocator(6 if panel is axes[3] else 4))
    _letter(axes)
    return figure


def drift(a, periods, compared):
    """Position against a metronome in silence, and the beat with more recurrent noise."""
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 6.6), layout="constrained")
    colours, k = period_colours(periods), a["k"]
    for b, period in enumerate(periods):
        colour, label = colours[period], label_of(period, periods)
        value, error = a["drift_ms"][b]
        axes[0, 0].plot(k, value, "o-", ms=3, lw=1, color=colour, label=label)
        axes[0, 0].errorbar(k[-1] + 1 + 0.3 * b, value[-1], error[-1], fmt="o", ms=3, color=colour)
        value, error = a["variance_ms2"][b]
        axes[0, 1].errorbar(k, value, error, fmt="o", ms=3, lw=1, color=colour)
        axes[0, 1].plot(k, k * a["predicted_diffusion_ms2"][b], lw=1, color=colour)
    axes[0, 0].set(title="mean position", ylabel="behind a metronome [ms]")
    axes[0, 1].set(title="variance (lines: phase response x noise)", yscale="log", xscale="log",
                   ylabel="variance [ms$^2$]")  # fmt: skip
    for panel in axes[0]:
        panel.set(xlabel="beats after a tap in silence")
    axes[0, 0].xaxis.set_major_locator(plt.MultipleLocator(4))
    axes[0, 1].set_xticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
    axes[0, 1].minorticks_off()
    for b, period in enumerate(compared):
        for panel, column in ((axes[1, 0], 0), (axes[1, 1], 1)):
            panel.plot(a["noise_scales"], 100 * a["noise_error_cv_lost"][:, b, column], "o-",
                       ms=4, color=colours[period], label=label_of(period, periods))  # fmt: skip
        for scale, lost in zip(a["noise_scales"], a["noise_error_cv_lost"][:, b, 2], strict=True):
            if lost:
                axes[1, 1].annotate(f"{lost:.0%} lost", (scale, 3 * b), color=colours[period],
                                    ha="right", fontsize=9)  # fmt: skip
    axes[1, 0].set(title="error of the mean ITI", ylabel="error [%]")
    axes[1, 1].set(title="irregularity", ylabel="CV of the ITIs [%]", ylim=(0, None))
    for panel in axes[1]:
        panel.set(xlabel="recurrent noise, times its own")
    for panel in (axes[0, 0], axes[1, 0]):
        panel.axhline(0, color="0.8", lw=0.8, zorder=0)
        panel.legend(fontsize=9, ncols=2, labelspacing=0.2, loc="upper left")
    _letter(axes)
    return figure
