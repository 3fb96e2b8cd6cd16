"""Taps of an output and the beat they make, told by amplitude alone."""

from collections import namedtuple

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

Beat = namedtuple("Beat", "verdict n_taps mean_iti sd_iti cv missed extra")


def find_taps(output, dt, smoothing, prominence):
    """Samples at which the output (T,) taps: its maxima, told by amplitude alone.

    The output is smoothed by a Gaussian of SD `smoothing` [s], the same at every tempo; a tap is a
    maximum that stands out from both sides by `prominence`. The period asked for plays no part.
    """
    if smoothing > 0:
        output = gaussian_filter1d(np.asarray(output, dtype=float), smoothing / dt, mode="nearest")
    return find_peaks(output, prominence=prominence)[0]


def describe_beat(taps, n_steps, dt, max_cv, min_taps):
    """Verdict and statistics of the inter-tap intervals (ITIs) of a run of n_steps.

    verdict: "beat", or why there is none: "no beat: silent" (fewer than min_taps), "no beat: stops"
    (it begins or ends with a pause longer than 1.5 median ITIs), "no beat: irregular" (CV above
    max_cv).
    missed, extra: ITIs above 1.5 times and below half of the run's median ITI.
    mean_iti, sd_iti [s] and cv are NaN where there are not two ITIs.
    """
    itis = np.diff(taps) * dt
    if len(itis) < 2:
        return Beat("no beat: silent", len(taps), *[np.nan] * 3, 0, 0)
    mean, sd, median = itis.mean(), itis.std(ddof=1), np.median(itis)
    pauses = max(taps[0], n_steps - taps[-1]) * dt
    if len(taps) < min_taps:
        verdict = "no beat: silent"
    elif pauses > 1.5 * median:
        verdict = "no beat: stops"
    elif sd / mean > max_cv:
        verdict = "no beat: irregular"
    else:
        verdict = "beat"
    missed, extra = (itis > 1.5 * median).sum(), (itis < 0.5 * median).sum()
    return Beat(verdict, len(taps), mean, sd, sd / mean, int(missed), int(extra))
