"""Sound files are right to the sample: what is written is read back and found where it was put."""

import io

import numpy as np
import pytest
from scipy.io import wavfile

import drive_model_and_save_outputs as script
from zrnn import sound

DT = 0.001


def read_back(samples):
    """Samples as a player gets them."""
    file = io.BytesIO()
    wavfile.write(file, sound.RATE, samples)
    rate, read = wavfile.read(file)
    assert rate == sound.RATE == 44_100 and read.dtype == np.int16
    return read.astype(float) / 32767


def starts_in(samples, tone):
    """First samples of tones that follow silence and begin at the level of the tone."""
    quiet = np.concatenate([[True], np.abs(samples[:-1]) < 1e-3])
    return np.flatnonzero(quiet & (np.abs(samples - tone.level) < 1e-4))


@pytest.mark.parametrize("tone, order", [(sound.CLICK, 1), (sound.TAP, -1)])
def test_tones_start_at_their_sample(tone, order):
    times = [0.0, 0.25, 0.7654321, 1.3]
    samples = read_back(sound.beat_sound(*[times, []][::order], seconds=2))
    assert len(samples) == 2 * sound.RATE
    assert starts_in(samples, tone).tolist() == [round(t * sound.RATE) for t in times]


def test_clicks_are_high_and_taps_are_low():
    def pitch(samples):
        spectrum = np.abs(np.fft.rfft(samples))
        return spectrum.argmax() * sound.RATE / len(samples)

    click, tap = sound.beat_sound([0], [], 1), sound.beat_sound([], [0], 1)
    assert pitch(click) == pytest.approx(sound.CLICK.frequency, rel=0.02)
    assert pitch(tap) == pytest.approx(sound.TAP.frequency, rel=0.02)
    assert sound.CLICK.frequency > 4 * sound.TAP.frequency


def test_tones_overlap_without_wrapping_and_end_with_the_sound():
    alone = sound.beat_sound([], [0.1], 0.2).astype(int)
    both = sound.beat_sound([0.1], [0.1], 0.2).astype(int)
    np.testing.assert_allclose(both - alone, sound.beat_sound([0.1], [], 0.2), atol=1)
    assert sound.beat_sound([0.1] * 9, [0.1] * 9, 0.2).max() == 32767
    assert not sound.beat_sound([-0.1, 0.2], [0.3, -1], 0.2).any()  # none of them within


def test_an_excerpt_has_a_second_of_clicks_and_ten_of_silence():
    n_clicked, period, late = 2000, 0.5, 0.02
    t = DT * np.arange(n_clicked + 15_000)
    output = (1 + np.cos(2 * np.pi * (t - 0.05 - late) / period)) / 2
    clicks = np.zeros(n_clicked)
    for start in range(50, n_clicked, 500):
        clicks[start : start + 10] = 1
    samples = read_back(sound.excerpt(clicks, output[:n_clicked], output[n_clicked:], DT))
    assert len(samples) == 11 * sound.RATE
    expected_taps = np.round((np.arange(0.05 + late, 11, period)) * sound.RATE)
    starts = starts_in(samples, sound.TAP)
    starts = starts[starts > sound.RATE]  # before, the clicks ring into them
    np.testing.assert_allclose(starts, expected_taps[expected_taps > sound.RATE], atol=1)
    expected_clicks = np.round(np.array([0.05, 0.55]) * sound.RATE)
    assert starts_in(samples[: sound.RATE], sound.CLICK).tolist() == expected_clicks.tolist()


def test_short_drives_are_used_as_far_as_they_go():
    output = np.zeros(300)
    assert len(sound.excerpt(np.zeros(300), output, output, DT)) == round(0.6 * sound.RATE)
    assert not sound.excerpt(np.zeros(300), output, output, DT).any()


def test_a_drive_saves_a_sound_for_each_period(tmp_path):
    t = DT * np.arange(12_000)
    clicks, expected = np.zeros((2, 2000)), {}
    outputs = np.stack([(1 + np.cos(2 * np.pi * t / period)) / 2 for period in (0.5, 0.25)])
    for i, period in enumerate((0.5, 0.25)):
        np.save(tmp_path / f"valid_output_{period}.npy", outputs[i, 2000:].astype(np.float32))
        expected[period] = sound.excerpt(clicks[i], outputs[i, :2000], outputs[i, 2000:], DT)
    script.save_sounds(tmp_path, [0.5, 0.25], clicks, outputs[:, :2000], DT)
    for period, samples in expected.items():
        rate, read = wavfile.read(tmp_path / f"beat_{period}.wav")
        assert rate == sound.RATE and len(read) == 11 * sound.RATE
        np.testing.assert_allclose(read, samples, atol=1)
        assert len(starts_in(read / 32767, sound.TAP)) == pytest.approx(11 / period, abs=1)
