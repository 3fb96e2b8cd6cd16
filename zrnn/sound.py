"""The beat as sound: high clicks and low taps. The page of make_demo.py uses them too."""

from dataclasses import dataclass

import numpy as np

from zrnn.taps import find_taps

RATE = 44_100  # [samples/s]
CLICK_SECONDS = 1.0  # [s] of an excerpt that have clicks
SILENT_SECONDS = 10.0  # [s] of an excerpt after the last click


@dataclass(frozen=True)
class Tone:
    """A decaying tone: level cos(2 pi frequency t) exp(-t / decay), loudest at its first sample.

    frequency [Hz]; decay [s]; level: fraction of the full scale.
    """

    frequency: float
    decay: float
    level: float

    def samples(self) -> np.ndarray:
        """The tone at RATE, from its start until it can no longer be heard -> (S,)."""
        t = np.arange(round(8 * self.decay * RATE)) / RATE
        return self.level * np.cos(2 * np.pi * self.frequency * t) * np.exp(-t / self.decay)


CLICK = Tone(frequency=1760.0, decay=0.008, level=0.25)
TAP = Tone(frequency=330.0, decay=0.03, level=0.6)


def beat_sound(clicks, taps, seconds: float) -> np.ndarray:
    """Sound of clicks and taps, given by their times [s], at RATE -> int16 samples (S,).

    Each tone starts at the sample nearest to its time. Times outside 0..seconds are left out.
    """
    sound = np.zeros(round(seconds * RATE))
    for tone, times in ((CLICK.samples(), clicks), (TAP.samples(), taps)):
        for start in np.round(np.asarray(times, dtype=float) * RATE).astype(int):
            if 0 <= start < len(sound):
                end = min(start + len(tone), len(sound))
                sound[start:end] += tone[: end - start]
    return np.round(32767 * sound.clip(-1, 1)).astype(np.int16)


def excerpt(clicks, with_clicks, in_silence, dt: float) -> np.ndarray:
    """The last CLICK_SECONDS with clicks and the first SILENT_SECONDS without -> int16 (S,).

    clicks (T,): input; with_clicks (T,), in_silence (T',): outputs in steps of dt [s]. Shorter
    arrays are used as far as they go.
    """
    n_silent = min(round(SILENT_SECONDS / dt), len(in_silence))
    first = max(0, len(clicks) - round(CLICK_SECONDS / dt))
    output = np.concatenate([with_clicks, in_silence[:n_silent]])
    starts, taps = np.flatnonzero(np.diff(clicks, prepend=0) > 0), find_taps(output, dt)
    return beat_sound(dt * (starts - first), dt * (taps - first), dt * (len(output) - first))
