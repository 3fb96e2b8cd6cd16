"""String the sounds of all trained periods into one file of a minute, from slow to fast.

python drive_model_and_save_outputs.py --drive.sound true
python experiments/medley.py model_outputs/beat_*.wav

Writes medley.wav. Each tempo gets an equal share: its second of clicks, then silence and taps.
"""

import sys
from pathlib import Path

import numpy as np
from scipy.io import wavfile

sys.path.insert(0, str(Path(__file__).parents[1]))

from zrnn import cli, files
from zrnn.errors import UserError

SECONDS = 60.0  # [s] of the whole


def period_of(path):
    """The period [s] in the name beat_{p}.wav. Raises UserError."""
    try:
        return float(Path(path).stem.removeprefix("beat_"))
    except ValueError:
        raise UserError(f"{path}: allowed: files beat_PERIOD.wav, of a drive with sound") from None


def read_sound(path):
    """A file's rate [samples/s] and samples (S,) of int16. Raises UserError."""
    try:
        return wavfile.read(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); allowed: beat_PERIOD.wav") from None


def main(*paths: str):
    if not paths:
        raise UserError("no sounds; make some: drive_model_and_save_outputs.py --drive.sound true")
    rates, sounds = zip(*map(read_sound, sorted(paths, key=period_of, reverse=True)), strict=True)
    if len(set(rates)) > 1:
        raise UserError(f"sounds of {sorted(set(rates))} samples/s; allowed: all of one rate")
    share = round(SECONDS * rates[0] / len(sounds))
    medley = np.concatenate([sound[:share] for sound in sounds])
    with files.replacing("medley.wav") as part:
        wavfile.write(part, rates[0], medley)
    print(f"saved medley.wav, {len(medley) / rates[0]:.1f} s")


if __name__ == "__main__":
    cli.run(main)
