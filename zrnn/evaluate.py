"""Evaluation of a trained network: its taps in silence, and whether they meet the criteria.

Nothing here touches the disk. Shapes: B trials, T time steps.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from zrnn import simulate, task
from zrnn.taps import Beat, asynchronies, describe_beat, find_taps

CLICKS, REST, UNTRAINED = "clicks, then silence", "cue alone from rest", "never trained"
DISCARD_SECONDS = 2.0  # [s] default start of a run, with clicks where there are any; not evaluated
SLOPES = 0.8, 1.2  # of log SD against log mean ITI; Weber's law, SD proportional to mean, gives 1


@dataclass(frozen=True)
class PeriodStatistics:
    """One period [s] under one condition, over several runs with different noise.

    beats: number of runs with a beat; missed, extra: taps, sums over the runs. mean_iti, sd_iti
    [s], cv and error (of the mean ITI, fraction of the period): means over the runs, NaN if one has
    fewer than two ITIs. drift, drift_sd: beats behind a metronome at the end of a run, mean and SD
    over runs; the metronome starts with the first tap in silence. asynchrony [s]: tap minus click,
    mean over the last second of clicks; clicks_without_tap: their number. NaN and 0 without clicks.
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
    drift: float
    drift_sd: float
    asynchrony: float
    clicks_without_tap: int


@dataclass(frozen=True)
class Criterion:
    """A measure, its value and its target, both in words, and whether it is met."""

    measure: str
    value: str
    target: str
    met: bool


@dataclass(frozen=True)
class Evaluation:
    """Statistics of every period and criteria; kept in the network's checkpoint as plain values."""

    statistics: list[PeriodStatistics]
    criteria: list[Criterion]

    @property
    def met(self) -> bool:
        return all(criterion.met for criterion in self.criteria)

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: dict) -> "Evaluation":
        statistics = [PeriodStatistics(**one) for one in plain["statistics"]]
        return cls(statistics, [Criterion(**one) for one in plain["criteria"]])


def untrained_periods(trained: Sequence[float], n_periods: int) -> list[float]:
    """n_periods [s] between the shortest and the longest trained one, evenly spaced in their log.

    An empty list if only one period was trained.
    """
    if min(trained) == max(trained):
        return []
    return np.geomspace(min(trained), max(trained), n_periods + 2)[1:-1].tolist()


def evaluate(model, config, on_steps=None) -> Evaluation:
    """Drive a network as the sections drive and check of the configuration say, and evaluate it.

    on_steps(n) is called after every n time steps.
    """
    check, trained = config.check, config.training.periods
    others = untrained_periods(trained, check.untrained_periods)
    options = dict(runs=check.noise_runs, other_runs=check.untrained_runs, seed=check.seed)
    options |= {key: config.drive[key] for key in ("discard_seconds", "keep_seconds", "onset")}
    statistics = period_statistics(
        model, trained, config.task, others=others, on_steps=on_steps, **options
    )
    bounds = check.max_error, check.max_untrained_error, check.max_cv
    return Evaluation(statistics, criteria(statistics, *bounds))


def period_statistics(
    model, trained: Sequence[float], task_section, *, runs: int,
    others: Sequence[float] = (), other_runs=1, discard_seconds=DISCARD_SECONDS, keep_seconds=50.0,
    onset=0.05, seed=0, on_steps=None,
) -> list[PeriodStatistics]:  # fmt: skip
    """Drive a network under every condition, all in parallel and with recurrent noise.

    The periods `trained` [s] with clicks and without, `runs` times each; `others` with clicks,
    `other_runs` times each. Clicks are given from the onset [s] until discard_seconds; then
    keep_seconds are evaluated. on_steps(n) is called after every n time steps.
    """
    plan = [(CLICKS, period) for period in trained] * runs
    plan += [(REST, period) for period in trained] * runs
    plan += [(UNTRAINED, period) for period in others] * other_runs
    click_end = [0.0 if condition == REST else discard_seconds for condition, _ in plan]
    periods, seconds = [period for _, period in plan], discard_seconds + keep_seconds
    inputs = simulate.driving_inputs(periods, seconds, model.dt, task_section, click_end, onset)
    outputs = simulate.run(model, inputs, seed, on_steps=on_steps).outputs
    n_discarded, found = round(discard_seconds / model.dt), {}
    for key, output, clicks in zip(plan, outputs, inputs[:, :, 0].numpy(), strict=True):
        found.setdefault(key, []).append((output, clicks[:n_discarded]))
    return [_over_runs(*key, model.dt, several) for key, several in found.items()]


def _over_runs(condition, period, dt, runs):
    """Statistics of runs: pairs of an output (T,) and the clicks before its silence (T',)."""
    beats, drift, late = [], [], []
    for output, clicks in runs:
        taps, n_discarded = find_taps(output, dt), len(clicks)
        starts = np.flatnonzero(np.diff(clicks, prepend=0) > 0)
        last = starts[starts >= n_discarded - round(1 / dt)]
        late.append(asynchronies(taps, last, period / dt))
        taps = taps[taps >= n_discarded] - n_discarded
        beats.append(describe_beat(taps, len(output) - n_discarded, dt, period))
        n_beats = len(taps) - 1
        drift.append((taps[-1] - taps[0]) * dt / period - n_beats if n_beats > 0 else np.nan)
    late = np.concatenate(late)
    with_tap = late[~np.isnan(late)]
    of_itis = {
        key: float(np.mean([getattr(beat, key) for beat in beats]))
        for key in ("mean_iti", "sd_iti", "cv")
    }
    return PeriodStatistics(
        condition,
        period,
        runs=len(beats),
        beats=sum(beat.ok for beat in beats),
        **of_itis,
        error=of_itis["mean_iti"] / period - 1,
        missed=sum(beat.missed for beat in beats),
        extra=sum(beat.extra for beat in beats),
        drift=float(np.mean(drift)),
        drift_sd=float(np.std(drift, ddof=1)) if len(drift) > 1 else np.nan,
        asynchrony=float(with_tap.mean() * dt) if len(with_tap) else np.nan,
        clicks_without_tap=len(late) - len(with_tap),
    )


def of_condition(statistics: Sequence[PeriodStatistics], condition: str) -> list[PeriodStatistics]:
    """Those of one condition, from the shortest period to the longest."""
    return sorted((s for s in statistics if s.condition == condition), key=lambda s: s.period)


def worst_error(statistics: Sequence[PeriodStatistics]) -> float:
    """The largest absolute error of a mean ITI; NaN where a run has fewer than two ITIs."""
    return float(np.max(np.abs([one.error for one in statistics])))


def weber_slope(statistics: Sequence[PeriodStatistics]) -> float:
    """Slope of log SD against log mean of the ITIs over the periods; 1 by Weber's law."""
    mean, sd = ([getattr(one, name) for one in statistics] for name in ("mean_iti", "sd_iti"))
    if not np.all(np.isfinite(sd)) or min(sd) <= 0 or len(set(mean)) < 2:
        return np.nan
    return float(np.polyfit(np.log(mean), np.log(sd), 1)[0])


def criteria(statistics, max_error: float, max_untrained_error: float, max_cv: float) -> list:
    """The statistics compared with bounds, each a fraction of the period or of the mean ITI.

    A run with fewer than two ITIs gives NaN, which meets no bound. Criteria over several periods
    are left out if there are fewer than three.
    """
    clicks, rest, untrained = (of_condition(statistics, c) for c in (CLICKS, REST, UNTRAINED))
    found = [
        _bounded("ITI error, trained periods", worst_error(clicks), max_error),
        _all_beat("taps in silence", clicks),
        _bounded("CV of ITIs", np.max([one.cv for one in clicks]), max_cv),
    ]
    if len(clicks) > 2:
        slope, (low, high) = weber_slope(clicks), SLOPES
        measure, target = "slope of log SD against log mean ITI", f"{low:.1f} to {high:.1f}"
        found.append(Criterion(measure, f"{slope:.2f}", target, low <= slope <= high))
    if untrained:
        worst = worst_error(untrained)
        found.append(_bounded("ITI error, periods never trained", worst, max_untrained_error))
        found.append(_all_beat("taps, periods never trained", untrained))
    if len(untrained) > 2:
        rising = np.diff([one.mean_iti for one in untrained]) > 0  # with the period
        value, measure = f"{rising.sum()}/{len(rising)} pairs", "ITI falls as the cue rises"
        found.append(Criterion(measure, value, "all neighbours", bool(rising.all())))
    found.append(_bounded("ITI error, cue alone from rest", worst_error(rest), max_error))
    return [*found, _all_beat("taps, cue alone from rest", rest)]


def _bounded(measure, value, bound):
    text = "a run without ITIs" if np.isnan(value) else f"{value:.2%}"
    return Criterion(measure, text, f"at most {bound:.1%}", bool(value <= bound))


def _all_beat(measure, some):
    runs, beats, missed, extra = (
        sum(getattr(one, name) for one in some) for name in ("runs", "beats", "missed", "extra")
    )
    value, met = f"{beats}/{runs} beat, {missed} missed, {extra} extra", beats == runs
    return Criterion(measure, value, "all beat, 0 missed, 0 extra", met and missed == extra == 0)


def table(evaluation: Evaluation) -> str:
    """A line for each trained period and condition, and one for each criterion."""
    heads = f"{'mean ITI':>9} {'error':>8} {'CV':>7} {'drift':>13}"
    lines = [f"{'period':>8} {'condition':<21} {heads}   runs, taps"]
    for one in evaluation.statistics:
        intervals = f"{one.mean_iti:7.4f} s {one.error:+8.2%} {one.cv:7.2%}"
        intervals += f" {one.drift:+6.2f} ± {one.drift_sd:4.2f}"
        if np.isnan(one.mean_iti):
            intervals = f"{'a run without ITIs':>40}"
        taps = f"{one.beats} of {one.runs} beat, {one.missed} missed, {one.extra} extra"
        if one.condition != UNTRAINED:
            lines.append(f"{one.period:6.3f} s {one.condition:<21} {intervals}   {taps}")
    lines.append("drift: beats behind a metronome at the end of a run, mean ± SD over the runs")
    clicks = of_condition(evaluation.statistics, CLICKS)
    late = ", ".join(f"{1000 * one.asynchrony:+.0f}" for one in clicks)
    lines.append(f"last second of clicks: mean asynchrony {late} ms, shortest period first;")
    lines[-1] += f" clicks without a tap: {sum(one.clicks_without_tap for one in clicks)}\n"
    for one in evaluation.criteria:
        met = "met    " if one.met else "NOT MET"
        lines.append(f"{met} {one.measure}: {one.value} (target: {one.target})")
    return "\n".join(lines)


def beats_at_cues(model, cues, task_section, keep_seconds, seed=0, on_steps=None) -> list[Beat]:
    """A `Beat` for each cue, from rest and without clicks, after DISCARD_SECONDS."""
    periods = task.context_cue(np.asarray(cues), task_section.cue_constant)  # its own inverse
    seconds = DISCARD_SECONDS + keep_seconds
    inputs = simulate.driving_inputs(periods, seconds, model.dt, task_section)
    discard = round(DISCARD_SECONDS / model.dt)
    outputs = simulate.run(model, inputs, seed, discard=discard, on_steps=on_steps).outputs
    taps = [find_taps(output, model.dt) for output in outputs]
    return [describe_beat(times, outputs.shape[1], model.dt) for times in taps]


def range_of_beat(cues, beats: Sequence[Beat], within: float) -> tuple[float, float]:
    """Lowest and highest cue of the unbroken range of beats nearest to the cue `within`.

    cues (K,), ascending. NaN where no cue has a beat.
    """
    ok = np.array([beat.ok for beat in beats])
    parts = np.split(np.arange(len(ok)), np.flatnonzero(np.diff(ok)) + 1)
    spans = [(cues[part[0]], cues[part[-1]]) for part in parts if ok[part[0]]]
    nowhere = np.nan, np.nan
    return min(spans, key=lambda s: max(s[0] - within, within - s[1]), default=nowhere)
