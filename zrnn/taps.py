"""Taps of an output, found by its amplitude alone, and whether they are a beat."""

import warnings
from dataclasses import dataclass

import numpy as np

HALF_HEIGHT = 0.5  # of the target, whose range is 0 to 1
HYSTERESIS = 0.1  # by which the output must pass half height on both sides of a tap
MAX_CV = 0.2  # largest CV of the ITIs of a beat
MIN_TAPS = 4  # smallest number of taps of a beat


@dataclass(frozen=True)
class Beat:
    """The inter-tap intervals (ITIs) of one run, and whether they are a beat.

    ok: whether they are; reason: "" if so, else "silent" (fewer than MIN_TAPS taps), "stops" (the
    run begins or ends with a pause longer than 1.5 median ITIs), "irregular" (CV above MAX_CV) or,
    if a period is given, "0.5 times the tempo" and the like.
    mean_iti, sd_iti [s] and cv are NaN if there are fewer than two ITIs.
    missed, extra: number of ITIs above 1.5 and below 0.5 times the median ITI. If the tempo is not
    that of the given period: expected minus found taps, or found minus expected taps.
    """

    ok: bool
    reason: str
    n_taps: int
    mean_iti: float
    sd_iti: float
    cv: float
    missed: int
    extra: int

    @property
    def result(self) -> str:
        """In words: "beat", or "no beat: silent" and the like."""
        return "beat" if self.ok else f"no beat: {self.reason}"


def find_taps(output: np.ndarray, dt: float) -> np.ndarray:
    """Times of the taps of an output (T,), in samples of dt and not rounded -> (K,) of float.

    A tap is the midpoint between the output's rise and its fall through half height, each
    interpolated linearly between two samples. For the target and every symmetric wave it is the
    maximum. The maximum itself is flat, so noise moves it by several ms at a slow tempo, which adds
    to the CV of the ITIs; the edges are steep. The output must have been below 0.5 - HYSTERESIS
    before it rises above 0.5 + HYSTERESIS, so noise at half height is not counted. The times are
    the same for a HYSTERESIS of 0.02 to 0.2.

    A midpoint is the mean of two times half a cycle apart. If the phase diffuses evenly through the
    cycle, this reduces the CV of the ITIs by the factor sqrt(3/4) and gives a lag-1 correlation of
    +1/6; if a clock places whole pulses, both stay as they are.
    """
    output = np.asarray(output, dtype=float) - HALF_HEIGHT
    if output.ndim != 1:
        raise ValueError(f"the output is {output.shape}; allowed: (T,), one trial")
    side = (output > HYSTERESIS) * 1 - (output < -HYSTERESIS)  # 1 high, -1 low, 0 between
    marks = np.flatnonzero(side)
    turns = np.flatnonzero(np.diff(side[marks]))  # neighbouring marks on two sides
    before, after = marks[turns], marks[turns + 1]
    rising = side[after] > 0

    # of all samples on the low side between the two marks, the one nearest to the high mark
    low = output <= 0
    last_low = np.maximum.accumulate(np.where(low, np.arange(len(low)), -1))
    next_low = np.minimum.accumulate(np.where(low, np.arange(len(low)), len(low))[::-1])[::-1]
    left = np.where(rising, last_low[after], next_low[before] - 1)
    crossings = left + output[left] / (output[left] - output[left + 1])
    first = 0 if len(rising) and rising[0] else 1  # a run that begins high begins with a fall
    rises, falls = crossings[first::2], crossings[first + 1 :: 2]
    return (rises[: len(falls)] + falls) / 2


def asynchronies(taps: np.ndarray, clicks: np.ndarray, period: float) -> np.ndarray:
    """Tap minus click of the tap nearest to each click (K,), all in samples -> (K,).

    NaN where no tap is within half a period of the click. Taps that are not finite are left out,
    with a warning.
    """
    taps, clicks = np.asarray(taps, dtype=float), np.asarray(clicks, dtype=float)
    if not np.isfinite(taps).all():
        warnings.warn(f"{(~np.isfinite(taps)).sum()} taps are not finite", stacklevel=2)
        taps = taps[np.isfinite(taps)]
    if len(taps) == 0:
        return np.full(len(clicks), np.nan)
    nearest = np.abs(np.subtract.outer(taps, clicks)).argmin(axis=0)
    apart = taps[nearest] - clicks
    return np.where(np.abs(apart) <= period / 2, apart, np.nan)


def describe_beat(taps: np.ndarray, n_steps: int, dt: float, period: float | None = None) -> Beat:
    """The `Beat` of a run of n_steps with taps (K,) [samples] of `find_taps`.

    period [s]: of the cue; a median ITI that differs by more than a factor of 1.5 is no beat.
    """
    itis = np.diff(taps) * dt
    if len(itis) < 2:
        return Beat(False, "silent", len(taps), *[np.nan] * 3, 0, 0)
    mean, sd, median = itis.mean(), itis.std(ddof=1), np.median(itis)
    missed, extra = (itis > 1.5 * median).sum(), (itis < 0.5 * median).sum()
    reason = ""
    if len(taps) < MIN_TAPS:
        reason = "silent"
    elif max(taps[0], n_steps - taps[-1]) * dt > 1.5 * median:
        reason = "stops"
    elif not sd / mean <= MAX_CV:
        reason = "irregular"
    elif period is not None and not 1 / 1.5 < median / period < 1.5:
        reason = f"{period / median:.1f} times the tempo"
        n_beats = round(n_steps * dt / period)
        missed, extra = max(n_beats - len(taps), 0), max(len(taps) - n_beats, 0)
    spread = map(float, (mean, sd, sd / mean))
    return Beat(not reason, reason, len(taps), *spread, int(missed), int(extra))
