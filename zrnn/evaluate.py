"""What a network does when it is driven: beats kept in silence, and whether they are good enough.

`measure` drives a network under the conditions by which train.py judges it; `judge` holds the
result against bounds. Nothing here touches the disk. Shapes: B trials, T time steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from zrnn import simulate, task
from zrnn import taps as tapping
from zrnn.taps import Beat

CLICKS, REST, UNTRAINED = "clicks, then silence", "cue alone from rest", "never trained"
CLICK_SECONDS = 2.0  # [s] start of a run, with clicks where there are any; not kept
SLOPE, SLOPE_MARGIN = 1.0, 0.2  # Weber's law: the SD of intervals grows in proportion to their mean


@dataclass(frozen=True)
class Row:
    """One period [s] under one condition, over several runs with different noise.

    beats: how many of the runs make a beat; missed, extra: sums over the runs.
    mean_iti, sd_iti [s], cv and error (of the mean ITI, a share of the period): means over the
    runs, NaN where one has no ITIs.
    adrift, adrift_sd: how many beats a run is behind a metronome at its end, mean and SD over the
    runs; the metronome starts with the first tap in silence.
    asynchrony [s]: tap minus click, mean over the clicks of the last second of clicks, and
    untapped: how many of them no tap is near to. NaN and 0 without clicks.
    """

    condition: str
    period: float
    runs: int
    beats: int
    mean_iti: float
    sd_iti: float
    cv: float
    error: float
    missed: int
    extra: int
    adrift: float
    adrift_sd: float
    asynchrony: float
    untapped: int


@dataclass(frozen=True)
class Finding:
    """A measure held against its bound, both in words."""

    measure: str
    reached: str
    bound: str
    met: bool


@dataclass(frozen=True)
class Verdict:
    """Everything a network was judged by; as plain values it is kept in its checkpoint."""

    rows: list[Row]
    findings: list[Finding]

    @property
    def met(self) -> bool:
        return all(finding.met for finding in self.findings)

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: dict) -> "Verdict":
        findings = [Finding(**finding) for finding in plain["findings"]]
        return cls([Row(**row) for row in plain["rows"]], findings)


def untrained_periods(trained: Sequence[float], n_periods: int) -> list[float]:
    """n_periods [s] between the shortest and the longest trained one, evenly spaced in their log.

    None where a single period was trained.
    """
    if min(trained) == max(trained):
        return []
    return np.geomspace(min(trained), max(trained), n_periods + 2)[1:-1].tolist()


def measure(
    model,
    trained: Sequence[float],
    task_section,
    *,
    runs: int,
    others: Sequence[float] = (),
    other_runs: int = 1,
    keep_seconds: float = 50.0,
    seed: int = 0,
    on_steps: Callable[[int], object] | None = None,
) -> list[Row]:
    """Drive a network under every condition, all side by side and with recurrent noise.

    The periods `trained` [s] with clicks and without, `runs` times each; `others` with clicks,
    `other_runs` times each. Clicks are given for CLICK_SECONDS, which every run has and which are
    not kept; keep_seconds are. on_steps(n) is called after every n of the run's time steps.
    """
    plan = [(CLICKS, period) for period in trained] * runs
    plan += [(REST, period) for period in trained] * runs
    plan += [(UNTRAINED, period) for period in others] * other_runs
    given = [0.0 if condition == REST else CLICK_SECONDS for condition, _ in plan]
    inputs = simulate.driving_inputs(
        [period for _, period in plan], CLICK_SECONDS + keep_seconds, model.dt, task_section, given
    )
    outputs = simulate.run(model, inputs, seed, on_steps=on_steps).outputs
    clicks = inputs[:, :, 0].numpy()
    gathered = {}
    for key, output, own in zip(plan, outputs, clicks, strict=True):
        gathered.setdefault(key, []).append(_one_run(output, own, model.dt, key[1]))
    return [_row(*key, model.dt, own) for key, own in gathered.items()]


def _one_run(output, clicks, dt, period):
    """`Beat` in silence, beats adrift at the end, asynchronies [samples] of the last clicks."""
    silence = round(CLICK_SECONDS / dt)
    taps = tapping.find_taps(output, dt)
    starts = np.flatnonzero(np.diff(clicks[:silence], prepend=0) > 0)
    last = starts[starts >= silence - round(1 / dt)]
    asynchronies = tapping.asynchronies(taps, last, period / dt)
    taps = taps[taps >= silence] - silence
    beat = tapping.describe_beat(taps, len(output) - silence, dt, period)
    adrift = (taps[-1] - taps[0]) * dt / period - (len(taps) - 1) if len(taps) > 1 else np.nan
    return beat, adrift, asynchronies


def _row(condition, period, dt, runs):
    beats, adrift, asynchronies = zip(*runs, strict=True)
    asynchronies = np.concatenate(asynchronies)
    near = asynchronies[~np.isnan(asynchronies)]
    mean_iti, sd_iti, cv = (
        float(np.mean([getattr(beat, name) for beat in beats]))
        for name in ("mean_iti", "sd_iti", "cv")
    )
    return Row(
        condition=condition,
        period=period,
        runs=len(beats),
        beats=sum(beat.ok for beat in beats),
        mean_iti=mean_iti,
        sd_iti=sd_iti,
        cv=cv,
        error=mean_iti / period - 1,
        missed=sum(beat.missed for beat in beats),
        extra=sum(beat.extra for beat in beats),
        adrift=float(np.mean(adrift)),
        adrift_sd=float(np.std(adrift, ddof=1)) if len(adrift) > 1 else np.nan,
        asynchrony=float(near.mean() * dt) if len(near) else np.nan,
        untapped=len(asynchronies) - len(near),
    )


def rows_of(rows: Sequence[Row], condition: str) -> list[Row]:
    """The rows of one condition, from the shortest period to the longest."""
    return sorted((r for r in rows if r.condition == condition), key=lambda row: row.period)


def worst_error(rows: Sequence[Row]) -> float:
    """The largest error of a mean ITI, whatever its sign; NaN where a run has no ITIs."""
    return float(np.max(np.abs([row.error for row in rows])))


def weber_slope(rows: Sequence[Row]) -> float:
    """Slope of log SD against log mean of the ITIs over the periods; 1 by Weber's law."""
    mean, sd = ([getattr(row, name) for row in rows] for name in ("mean_iti", "sd_iti"))
    if not np.all(np.isfinite(sd)) or min(sd) <= 0:
        return np.nan
    return float(np.polyfit(np.log(mean), np.log(sd), 1)[0])


def judge(
    rows: Sequence[Row], max_error: float, max_untrained_error: float, max_cv: float
) -> list[Finding]:
    """The rows of `measure` against bounds, each a share of the period or of the mean ITI.

    A network that gives no ITIs has NaN there, which meets no bound. What takes several periods
    is left out where there are fewer than three.
    """
    clicked, alone, others = (rows_of(rows, c) for c in (CLICKS, REST, UNTRAINED))
    findings = []

    def add(measure, met, reached, bound):
        findings.append(Finding(measure, reached, bound, bool(met)))

    def add_accuracy(measure, own, bound):
        worst = worst_error(own)
        add(measure, worst <= bound, _share(worst), f"at most {bound:.1%}")

    def add_taps(measure, own):
        runs, beats, missed, extra = (
            sum(getattr(row, name) for row in own) for name in ("runs", "beats", "missed", "extra")
        )
        reached = f"{beats}/{runs} beat, {missed} missed, {extra} extra"
        met = beats == runs and missed == extra == 0
        add(measure, met, reached, "all beat, 0 missed, 0 extra")

    add_accuracy("ITI error, trained periods", clicked, max_error)
    add_taps("taps in silence", clicked)
    cv = np.max([row.cv for row in clicked])
    add("CV of ITIs", cv <= max_cv, _share(cv), f"at most {max_cv:.1%}")
    if len(clicked) > 2:
        slope = weber_slope(clicked)
        met = abs(slope - SLOPE) <= SLOPE_MARGIN
        bound = f"{SLOPE - SLOPE_MARGIN:.1f} to {SLOPE + SLOPE_MARGIN:.1f}"
        add("slope of log SD against log mean ITI", met, f"{slope:.2f}", bound)
    if others:
        add_accuracy("ITI error, periods never trained", others, max_untrained_error)
        add_taps("taps, periods never trained", others)
    if len(others) > 2:
        falling = np.diff([row.mean_iti for row in others]) > 0  # towards longer periods: rising
        reached = f"{falling.sum()}/{len(falling)} pairs"
        add("ITI falls as the cue rises", np.all(falling), reached, "all neighbours")
    add_accuracy("ITI error, cue alone from rest", alone, max_error)
    add_taps("taps, cue alone from rest", alone)
    return findings


def _share(value):
    return "a run without ITIs" if np.isnan(value) else f"{value:.2%}"


def table(verdict: Verdict) -> str:
    """What a person reads: a line for each trained period, and one for each finding."""
    heads = f"{'mean ITI':>9} {'error':>8} {'CV':>7} {'adrift':>13}"
    lines = [f"{'period':>8} {'condition':<21} {heads}   runs, taps"]
    for row in verdict.rows:
        if row.condition == UNTRAINED:
            continue
        intervals = f"{row.mean_iti:7.4f} s {row.error:+8.2%} {row.cv:7.2%}"
        intervals += f" {row.adrift:+6.2f} ± {row.adrift_sd:4.2f}"
        if np.isnan(row.mean_iti):
            intervals = f"{'a run without ITIs':>40}"
        taps = f"{row.beats} of {row.runs} beat, {row.missed} missed, {row.extra} extra"
        lines.append(f"{row.period:6.3f} s {row.condition:<21} {intervals}   {taps}")
    lines.append("adrift: beats behind a metronome at the end of a run, mean ± SD over the runs")
    clicked = rows_of(verdict.rows, CLICKS)
    asynchronies = ", ".join(f"{1000 * row.asynchrony:+.0f}" for row in clicked)
    untapped = sum(row.untapped for row in clicked)
    lines.append(
        f"last second of clicks: mean asynchrony {asynchronies} ms, shortest period first; "
        f"{f'{untapped} clicks have no tap' if untapped else 'every click has its tap'}"
    )
    lines.append("")
    for finding in verdict.findings:
        met = "met    " if finding.met else "NOT MET"
        lines.append(f"{met} {finding.measure}: {finding.reached} (to reach: {finding.bound})")
    return "\n".join(lines)


def beats_at_cues(
    model, cues, task_section, keep_seconds: float, seed=0, on_steps=None
) -> list[Beat]:
    """One `Beat` a cue, from rest and without clicks; the first CLICK_SECONDS are not kept."""
    periods = task.context_cue(np.asarray(cues), task_section.cue_constant)  # its own inverse
    seconds = CLICK_SECONDS + keep_seconds
    inputs = simulate.driving_inputs(periods, seconds, model.dt, task_section)
    discard = round(CLICK_SECONDS / model.dt)
    outputs = simulate.run(model, inputs, seed, discard=discard, on_steps=on_steps).outputs
    taps = [tapping.find_taps(output, model.dt) for output in outputs]
    return [tapping.describe_beat(own, outputs.shape[1], model.dt) for own in taps]


def range_of_beat(cues, beats: Sequence[Beat], within: float) -> tuple[float, float]:
    """Lowest and highest cue of the unbroken range of beats nearest to the cue `within`.

    cues (K,), ascending. NaN where no cue has a beat.
    """
    ok = np.array([beat.ok for beat in beats])
    if not ok.any():
        return np.nan, np.nan
    edges = np.flatnonzero(np.diff(np.concatenate([[0], ok, [0]])))
    spans = [(cues[a], cues[b - 1]) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return min(spans, key=lambda span: max(span[0] - within, within - span[1]))
