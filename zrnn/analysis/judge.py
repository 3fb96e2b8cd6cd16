"""What a network does when it is driven: beats kept in silence, and whether they are good enough.

`measure` drives a network under the conditions by which train.py judges it; `judge` holds the
result against the bounds in the config's check section. Nothing here touches the disk.
Shapes: B trials, T time steps, N units.
"""

from collections import namedtuple

import numpy as np
import torch
from scipy.stats import spearmanr

from zrnn.analysis import geometry
from zrnn.analysis import taps as tapping
from zrnn.network.drive import drive_network, driving_inputs

# One period under one condition, over several runs with different noise. mean_iti, sd_iti [s], cv
# and error (of the mean ITI, a share of the period) are means over the runs; beats, missed, extra
# are counts; lengths: (mean, SD) of the trajectory per cycle, or None where a run has no beat.
Row = namedtuple("Row", "condition period runs beats mean_iti sd_iti cv error missed extra lengths")
Finding = namedtuple("Finding", "measure reached bound met")

CLICKS, REST, UNTRAINED = "clicks, then silence", "cue alone from rest", "never trained"


def untrained_periods(trained, n_periods):
    """n_periods [s] between the shortest and the longest trained one, evenly spaced in their log"""
    return np.geomspace(min(trained), max(trained), n_periods + 2)[1:-1].tolist()


def measure(model, config, on_step=None):
    """Drive under every condition of the check section, all side by side -> list of `Row`.

    Trained periods come with clicks and without, check.noise_runs times each; periods never trained
    with clicks, check.untrained_runs times each. Trajectory lengths are those of the runs with
    clicks, in the space of rates stretched to 0..1 by each unit's range over the first
    check.range_seconds, and after these. on_step() is called after each time step.
    """
    check, trained = config["check"], config["training"]["periods"]
    others = untrained_periods(trained, check["untrained_periods"])
    plan = [(CLICKS, p) for p in trained] * check["noise_runs"]
    n_clicked = len(plan)
    plan += [(REST, p) for p in trained] * check["noise_runs"]
    plan += [(UNTRAINED, p) for p in others] * check["untrained_runs"]
    clicks = [condition != REST for condition, _ in plan]
    inputs = driving_inputs([period for _, period in plan], clicks, model.dt, config)
    inputs = inputs.to(model.w_hh.device)
    noise = torch.Generator(inputs.device).manual_seed(check["seed"])
    discard = round(config["drive"]["discard_seconds"] / model.dt)
    n_kept = inputs.shape[1] - discard
    n_range = min(round(check["range_seconds"] / model.dt), n_kept // 2)
    outputs = inputs.new_empty(n_kept, len(plan))
    steps = inputs.new_zeros(n_kept, n_clicked)  # how far each trajectory comes in each step
    low, high, before = (inputs.new_zeros(n_clicked, model.w_hh.shape[0]) for _ in range(3))

    def keep(t, output, state):
        nonlocal before
        if t >= discard:
            outputs[t - discard] = output
            rates = state[:n_clicked].relu()
            if t == discard:
                low.copy_(rates)
            if t < discard + n_range:
                torch.minimum(low, rates, out=low)
                torch.maximum(high, rates, out=high)
            else:
                # beyond the range seen so far a unit stays at 0 or 1, as over a whole run
                rates = ((rates - low) / torch.where(high > low, high - low, 1)).clamp_(0, 1)
                steps[t - discard] = (rates - before).norm(dim=1)
                before = rates
        if on_step:
            on_step()

    drive_network(model, inputs, noise, keep)
    beats, lengths = {}, {}
    for i, (key, output) in enumerate(zip(plan, outputs.T.cpu().numpy(), strict=True)):
        taps = tapping.find_taps(output, model.dt)
        beat = tapping.describe_beat(taps, len(output), model.dt, key[1])
        beats.setdefault(key, []).append(beat)
        after = np.round(taps[taps >= n_range]).astype(int)
        if i < n_clicked and beat.ok and len(after) > 2:
            own = geometry.cycle_lengths(steps[:, i].cpu().numpy(), after)
            lengths.setdefault(key, []).append((own.mean(), own.std(ddof=1)))
    return [_row(*key, own, lengths.get(key, [])) for key, own in beats.items()]


def _row(condition, period, beats, lengths):
    mean_iti, sd_iti, cv = (
        float(np.mean([getattr(beat, name) for beat in beats]))
        for name in ("mean_iti", "sd_iti", "cv")
    )
    missed, extra = sum(beat.missed for beat in beats), sum(beat.extra for beat in beats)
    n_beats = sum(beat.ok for beat in beats)
    return Row(
        condition, period, len(beats), n_beats, mean_iti, sd_iti, cv, mean_iti / period - 1,
        missed, extra,
        tuple(np.mean(lengths, axis=0).tolist()) if len(lengths) == len(beats) else None,
    )  # fmt: skip


def judge(rows, check):
    """The rows of `measure` against the bounds of the check section -> list of `Finding`.

    A network that gives no ITIs has NaN there, which meets no bound.
    """

    def of(condition):
        return sorted((r for r in rows if r.condition == condition), key=lambda row: row.period)

    def share(value):
        return "a run without ITIs" if np.isnan(value) else f"{value:.2%}"

    def accuracy(own, bound):
        worst = np.max(np.abs([row.error for row in own]))
        return worst <= bound, share(worst), f"at most {bound:.1%}"

    def regular(own):
        runs, beats = sum(r.runs for r in own), sum(r.beats for r in own)
        missed, extra = sum(r.missed for r in own), sum(r.extra for r in own)
        reached = f"{beats}/{runs} beat, {missed} missed, {extra} extra"
        return beats == runs and missed == extra == 0, reached, "all beat, 0 missed, 0 extra"

    findings = []

    def add(measure, met, reached, bound):
        findings.append(Finding(measure, reached, bound, bool(met)))

    clicked, alone, others = of(CLICKS), of(REST), of(UNTRAINED)
    add("ITI error, trained periods", *accuracy(clicked, check["max_error"]))
    add("taps in silence", *regular(clicked))
    cv = np.max([row.cv for row in clicked])
    add("CV of ITIs", cv <= check["max_cv"], share(cv), f"at most {check['max_cv']:.1%}")
    sds = [row.sd_iti for row in clicked]
    rank = spearmanr([row.period for row in clicked], sds).statistic if len(sds) > 1 else np.nan
    add(
        "SD of ITIs against period",
        len(sds) > 1 and np.all(np.diff(sds) > 0),
        f"{rank:.2f}",
        "rank correlation 1",
    )
    if others:
        add("ITI error, periods never trained", *accuracy(others, check["max_untrained_error"]))
        falling = np.diff([row.mean_iti for row in others]) > 0  # towards longer periods: rising
        add(
            "ITI falls as the cue rises", np.all(falling),
            f"{falling.sum()}/{len(falling)} pairs", "all neighbours",
        )  # fmt: skip
    add("ITI error, cue alone from rest", *accuracy(alone, check["max_error"]))
    add("taps, cue alone from rest", *regular(alone))
    lengths = [row.lengths or (np.nan, np.nan) for row in clicked]
    rank = spearmanr(*np.transpose(lengths)).statistic if len(lengths) > 1 else np.nan
    bound = check["min_rank_correlation"]
    add("trajectory length, SD against mean", rank >= bound, f"{rank:.2f}", f"at least {bound}")
    return findings


def table(rows, findings):
    """What a person reads: a line for each trained period, and one for each finding."""
    lines = [f"{'period':>8} {'condition':<21} {'mean ITI':>9} {'error':>8} {'CV':>7}   runs, taps"]
    for row in rows:
        if row.condition == UNTRAINED:
            continue
        intervals = f"{row.mean_iti:7.4f} s {row.error:+8.2%} {row.cv:7.2%}"
        if np.isnan(row.mean_iti):
            intervals = f"{'a run without ITIs':>26}"
        taps = f"{row.beats} of {row.runs} beat, {row.missed} missed, {row.extra} extra"
        lines.append(f"{row.period:6.3f} s {row.condition:<21} {intervals}   {taps}")
    lines.append("")
    for finding in findings:
        verdict = "met    " if finding.met else "NOT MET"
        lines.append(f"{verdict} {finding.measure}: {finding.reached} (to reach: {finding.bound})")
    return "\n".join(lines)
