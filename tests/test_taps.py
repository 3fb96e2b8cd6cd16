"""Taps and beats of clocks of known tempo, CV and correlation, and of signals without a beat."""

import numpy as np
import pytest

from zrnn import taps as tapping

DT = 0.001


def beat_of(output, period=None):
    return tapping.describe_beat(tapping.find_taps(output, DT), len(output), DT, period)


def cosine(period, seconds=20):
    return (1 + np.cos(2 * np.pi * DT * np.arange(round(seconds / DT)) / period)) / 2


def pulses(times, width=200.0):
    """Raised cosines of one width [samples], each placed at a time [samples]."""
    t = np.arange(times[-1] + width)
    near = times[np.abs(t[:, None] - times).argmin(axis=1)]
    return (1 + np.cos(2 * np.pi * np.clip((t - near) / width, -0.5, 0.5))) / 2


def lag_1(itis):
    return np.corrcoef(itis[:-1], itis[1:])[0, 1]


@pytest.mark.parametrize("period", [0.08, 0.125, 0.25, 0.5, 1.0])
def test_taps_of_a_wave_are_its_maxima(period):
    taps = tapping.find_taps(cosine(period), DT)
    np.testing.assert_allclose(taps, period / DT * np.arange(1, len(taps) + 1), atol=1e-3)
    beat = beat_of(cosine(period), period)
    assert beat.ok and beat.result == "beat" and beat.missed == beat.extra == 0
    assert beat.mean_iti == pytest.approx(period, abs=1e-6) and beat.cv < 1e-4


@pytest.mark.parametrize("correlation", [-0.4, 0.0, 0.4])
def test_a_clock_that_places_pulses_keeps_its_cv_and_lag_1(correlation):
    rng = np.random.default_rng(0)
    itis = rng.normal(size=300)
    for i in range(1, len(itis)):
        itis[i] = correlation * itis[i - 1] + np.sqrt(1 - correlation**2) * itis[i]
    itis = 300 * (1 + 0.02 * (itis - itis.mean()) / itis.std())
    times = 200 + np.cumsum(itis)
    taps = tapping.find_taps(pulses(times), DT)
    np.testing.assert_allclose(taps, times, atol=0.02)
    beat = tapping.describe_beat(taps, len(pulses(times)), DT)
    assert beat.cv == pytest.approx(0.02, rel=0.01)
    assert lag_1(np.diff(taps)) == pytest.approx(lag_1(itis), abs=0.01)


def test_a_diffusing_phase_is_averaged_over_half_a_cycle():
    rng, period, cv = np.random.default_rng(1), 250, 0.02
    turn = 1 / period + cv / np.sqrt(period) * rng.normal(size=3000 * period)
    itis = np.diff(tapping.find_taps((1 + np.cos(2 * np.pi * np.cumsum(turn))) / 2, DT))
    assert itis.std() / itis.mean() == pytest.approx(cv * np.sqrt(3 / 4), rel=0.04)
    assert lag_1(itis) == pytest.approx(1 / 6, abs=0.05)


def test_noise_in_the_output_moves_a_tap_less_than_a_maximum():
    rng, period = np.random.default_rng(2), 500
    clean = cosine(period * DT, seconds=100)
    noise = np.convolve(rng.normal(size=len(clean)), np.exp(-np.arange(60) / 10), "same")
    output = clean + 0.01 * noise / noise.std()
    taps = tapping.find_taps(output, DT)
    maxima = [k * period - 125 + output[k * period - 125 :][:250].argmax() for k in range(1, 199)]
    assert len(taps) == 199 and np.diff(taps).std() < np.diff(maxima).std() / 5


@pytest.mark.parametrize("size", [0.02, 0.05, 0.5, 2.0])
def test_noise_is_not_a_beat(size):
    noise = np.random.default_rng(0).normal(0.5, size, 20000)
    assert not beat_of(noise).ok
    smooth = 0.5 + np.convolve(noise - 0.5, np.ones(50) / np.sqrt(50), "same")
    assert not beat_of(smooth).ok and not beat_of(smooth, 0.2).ok


def test_flat_decaying_and_broken_outputs_are_not_a_beat():
    for level in (0.0, 0.5, 1.0, np.nan):
        assert beat_of(np.full(20000, level)).reason == "silent"
    decaying = 0.5 + (cosine(0.25) - 0.5) * np.exp(-DT * np.arange(20000) / 3)
    assert beat_of(decaying).reason == "stops"
    late = np.where(np.arange(20000) < 10000, 0, cosine(0.25))
    assert beat_of(late).reason == "stops"
    assert len(tapping.find_taps(np.zeros(0), DT)) == 0


def test_missed_and_extra_taps_are_counted_against_the_median():
    output = cosine(0.25)
    output[4900:5100] = output[9900:10100] = 0  # two taps
    beat = beat_of(output)
    assert beat.ok and beat.missed == 2 and beat.extra == 0
    output = cosine(0.5)
    output[10000:10500] = cosine(0.1, 0.5)
    assert beat_of(output).extra > 0


@pytest.mark.parametrize("played, missed, extra", [(0.5, 40, 0), (0.125, 0, 80)])
def test_half_and_double_tempo_do_not_pass(played, missed, extra):
    beat = beat_of(cosine(played), 0.25)
    assert not beat.ok and beat.result == f"no beat: {0.25 / played:.1f} times the tempo"
    assert abs(beat.missed - missed) <= 1 and abs(beat.extra - extra) <= 1
    assert beat_of(cosine(played)).ok and beat_of(cosine(0.26), 0.25).ok


def test_asynchronies_are_of_the_nearest_tap_within_half_a_period():
    clicks = [0, 100, 200, 300]
    found = tapping.asynchronies([-10, 95, 260], clicks, 100)
    np.testing.assert_array_equal(found, [-10, -5, np.nan, -40])
    assert np.isnan(tapping.asynchronies([], clicks, 100)).all()


def test_asynchronies_leave_out_taps_that_are_not_finite():
    with pytest.warns(UserWarning, match="2 taps are not finite"):
        found = tapping.asynchronies(np.array([np.nan, 95, np.inf]), np.array([100]), 100)
    np.testing.assert_array_equal(found, [-5])
