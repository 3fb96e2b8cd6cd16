"""The beat as sound: clicks high, taps low. Times in, samples out; the page of make_demo.py too."""

from dataclasses import dataclass

import numpy as np

from zrnn import taps as tapping

RATE = 44_100  # [samples/s]
CLICK_SECONDS, SILENT_SECONDS = 1.0, 10.0  # [s] of an excerpt: with clicks, and without


@dataclass(frozen=True)
class Voice:
    """A struck tone that dies away: level cos(2 pi frequency t) exp(-t / decay).

    It is loudest at its first sample, so that it begins where it is put. frequency [Hz], decay [s],
    level: share of the full scale.
    """

    frequency: float
    decay: float
    level: float

    def samples(self, rate: int = RATE) -> np.ndarray:
        """The tone from its start until it cannot be heard, (S,)."""
        t = np.arange(round(8 * self.decay * rate)) / rate
        return self.level * np.cos(2 * np.pi * self.frequency * t) * np.exp(-t / self.decay)


CLICK = Voice(frequency=1760.0, decay=0.008, level=0.25)
TAP = Voice(frequency=330.0, decay=0.03, level=0.6)


def beat_sound(clicks, taps, seconds: float) -> np.ndarray:
    """Samples (S,) of int16 at RATE in which each click and each tap sounds at its time.

    clicks, taps: times [s] from the start of the sound, each moved to the nearest sample; those
    outside 0..seconds are left out.
    """
    sound = np.zeros(round(seconds * RATE))
    for voice, times in ((CLICK, clicks), (TAP, taps)):
        tone = voice.samples()
        for start in np.round(np.asarray(times, dtype=float) * RATE).astype(int):
            if 0 <= start < len(sound):
                end = min(start + len(tone), len(sound))
                sound[start:end] += tone[: end - start]
    return np.round(32767 * sound.clip(-1, 1)).astype(np.int16)


def excerpt(clicks, with_clicks, in_silence, dt: float) -> np.ndarray:
    """The last CLICK_SECONDS of a drive's clicks and the first SILENT_SECONDS of its silence.

    clicks (T,): the input; with_clicks (T,), in_silence (T',): the output, every dt [s]; where they
    are shorter, as much as there is. -> samples (S,) of int16 at RATE.
    """
    n_silent = min(round(SILENT_SECONDS / dt), len(in_silence))
    first = max(0, len(clicks) - round(CLICK_SECONDS / dt))
    output = np.concatenate([with_clicks, in_silence[:n_silent]])
    starts = np.flatnonzero(np.diff(clicks, prepend=0) > 0)
    times = [dt * (found - first) for found in (starts, tapping.find_taps(output, dt))]
    return beat_sound(*times, dt * (len(output) - first))
