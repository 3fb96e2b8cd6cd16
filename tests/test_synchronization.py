"""Measures of synchronisation against tappers and oscillators whose answers are known."""

from types import SimpleNamespace

import numpy as np
import pytest

from zrnn.synchronization import measures, phase_response, protocols, trajectories
from zrnn.synchronization import statistics as sync
from zrnn.synchronization.perturbed import median
from zrnn.synchronization.report import plain, tempos_compared


def linear_tapper(rng, n, alpha, sd=0.01, shift_at=None, shift=0.0):
    """Asynchronies of A_{n+1} = (1 - alpha) A_n + noise; the clicks shift once."""
    asynchrony = np.zeros(n)
    for i in range(1, n):
        own = (1 - alpha) * asynchrony[i - 1] + sd * rng.normal()
        asynchrony[i] = own - shift * (i == shift_at)
    return asynchrony


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0])
def test_the_alpha_of_a_linear_tapper_at_a_regular_metronome(alpha):
    rng = np.random.default_rng(0)
    runs = [0.03 + linear_tapper(rng, 400, alpha)[20:] for _ in range(8)]
    runs[0][[5, 50]] = np.nan  # clicks without a tap
    value, error = sync.jackknife(sync.phase_correction, runs)
    assert 0.01 < error < 0.03 and abs(value - alpha) < 3 * error
    lag_1 = sync.autocorrelation(runs, 3)
    np.testing.assert_allclose(lag_1, (1 - alpha) ** np.arange(1, 4), atol=0.06)


def test_the_alpha_of_a_linear_tapper_after_a_shift():
    rng = np.random.default_rng(1)
    shifted = linear_tapper(rng, 30, 0.5, sd=0, shift_at=20, shift=0.06)[20:]
    shares = sync.corrected_share(shifted, 0.0, 0.06)
    np.testing.assert_allclose(shares, 1 - 0.5 ** np.arange(10), atol=1e-12)


def test_the_standard_error_of_a_mean():
    rng = np.random.default_rng(2)
    runs = [rng.normal(5, 2, size=50) for _ in range(20)]
    (mean, sd), errors = sync.jackknife(sync.mean_and_sd, runs)
    assert mean == pytest.approx(5, abs=0.2) and sd == pytest.approx(2, abs=0.15)
    assert errors[0] == pytest.approx(2 / np.sqrt(1000), rel=0.4)
    assert np.isnan(sync.jackknife(sync.mean_and_sd, runs[:1])[1]).all()


@pytest.mark.parametrize("clock_sd, motor_sd", [(0.02, 0.01), (0.02, 0.0), (0.0, 0.01)])
def test_known_clock_and_motor_variances(clock_sd, motor_sd):
    rng = np.random.default_rng(3)
    clocks = rng.normal(0.3, clock_sd, size=(20, 1000)).cumsum(axis=1)
    taps = clocks + rng.normal(0, motor_sd, size=clocks.shape)
    found = sync.wing_kristofferson(list(np.diff(taps)))
    assert found.clock == pytest.approx(clock_sd**2, abs=1.5e-5)
    assert found.motor == pytest.approx(motor_sd**2, abs=1.5e-5)


def test_positions_of_a_random_walk_spread_in_proportion_to_the_beats():
    rng = np.random.default_rng(4)
    runs = [rng.normal(0.202, 0.005, size=2000).cumsum() for _ in range(20)]
    mean, variance = sync.drift(runs, 0.2, 8)
    k = np.arange(1, 9)
    np.testing.assert_allclose(mean, 0.002 * k, rtol=0.1)
    np.testing.assert_allclose(variance, 0.005**2 * k, rtol=0.05)
    assert sync.diffusion(variance) == pytest.approx(0.005**2, rel=0.05)
    jitter = [own + rng.normal(0, 0.005, size=len(own)) for own in runs]  # of taps, not the walk
    assert sync.diffusion(sync.drift(jitter, 0.2, 8)[1]) == pytest.approx(0.005**2, rel=0.1)
    short = sync.drift([runs[0][:5]], 0.2, 8)[1]
    assert np.isfinite(short[:3]).all() and np.isnan(short[4:]).all()


STRENGTH = 0.1  # [cycles] of the sine oscillator: 1:1 locking at 1 -+ 0.1


def sine_response(phases):
    return -STRENGTH * np.sin(2 * np.pi * (np.asarray(phases) - 0.2))  # no click near a tap


def oscillator_taps(ratio, n_clicks):
    """Taps and clicks [periods] of an oscillator of period 1 with the sine response."""
    phase, taps, clicks = 0.3, [], ratio * np.arange(1, n_clicks + 1)
    for start in np.append(0, clicks[:-1]):
        if start > 0:
            phase += sine_response(phase)
        whole = np.arange(np.floor(phase) + 1, np.floor(phase + ratio) + 1)
        taps += list(start + whole - phase)
        phase += ratio
    return np.array(taps), clicks


@pytest.mark.parametrize(
    "ratio, pattern",
    [
        (0.85, None),
        (0.95, (1, 1)),
        (1.05, (1, 1)),
        (1.15, None),
        (1.95, (2, 1)),
        (2.15, None),
        (0.5, (1, 2)),
        (0.6, None),
    ],
)
def test_the_tongues_of_a_sine_oscillator(ratio, pattern):
    response = sine_response(np.arange(40) / 40)
    phases = sync.iterate_response(response, np.array([ratio]), 200)[:, 0]
    assert sync.locking(phases) == pattern
    taps, clicks = oscillator_taps(ratio, 200)
    assert sync.locking(sync.phases_at(clicks, taps)) == pattern


def test_predicted_borders_are_those_of_the_sine_oscillator():
    ratios = np.linspace(0.7, 1.3, 121)
    curves = np.array([0.0, 0.5, 1.0])[:, None] * sine_response(np.arange(40) / 40)
    patterns = phase_response.predicted_patterns(curves, ratios)
    for strength, row in zip((0.0, 0.05, 0.1), patterns, strict=True):
        inside = ratios[row == 1]
        assert inside.min() == pytest.approx(1 - strength, abs=0.008)
        assert inside.max() == pytest.approx(1 + strength, abs=0.008)


def test_a_response_between_its_phases():
    response = np.array([0.0, 0.2, 0.9, 0.1])  # 0.9: nearly a whole cycle, -0.1 beside 0.1
    assert sync.shift_of_phase(response, 0.125) == pytest.approx(0.1)
    assert sync.shift_of_phase(response, 0.25 + 0.05) == pytest.approx(0.2 - 0.3 * 0.2)
    assert sync.shift_of_phase(response, 0.5 - 0.05) == pytest.approx(0.9 + 0.3 * 0.2)
    assert sync.shift_of_phase(response, 3.875) == pytest.approx(0.05)


def test_maxima_of_a_lopsided_wave():
    t = np.arange(2000)
    wave = np.interp(t % 250, [0, 50, 250], [0.0, 1.0, 0.0])
    taps = 75 + 250 * np.arange(8) + 0.4  # where it is above one half: 25 ... 150
    np.testing.assert_array_equal(sync.tap_maxima(wave, taps), 50 + 250 * np.arange(8))


def test_when_a_tempo_is_reached():
    assert sync.taps_until([0.3, 0.01, 0.2, 0.04, -0.04, 0.03, 0.3], 0.05) == 4
    assert sync.taps_until([0.0, 0.0, 0.0], 0.05) == 1
    assert sync.taps_until([0.3, 0.01, np.nan, 0.01], 0.05) is None


@pytest.mark.parametrize("usual", [0.02, 0.0])
def test_a_cue_that_listens_settles_where_its_asynchrony_is_the_usual_one(usual):
    """A linear tapper that taps 20 ms late at its own tempo: A = 0.02 + (own - clicks) / alpha."""
    alpha, own, clicks, asynchrony = 0.8, 0.26, 0.2, 0.02
    for _ in range(100):
        asynchrony += own - clicks - alpha * (asynchrony - 0.02)
        own = sync.adapted_period(own, asynchrony, usual, 0.3)
    assert own - clicks == pytest.approx(alpha * (usual - 0.02), abs=1e-6)


@pytest.fixture(scope="module")
def tapping():
    """A linear tapper, alpha 0.5, at clicks 0.3 s apart, whose taps come 20 ms late."""
    rng, clicks = np.random.default_rng(5), 2 + 0.3 * np.arange(500)
    taps = [[clicks + 0.02 + linear_tapper(rng, 500, 0.5) for _ in range(6)]]
    return protocols.Tapping([clicks], taps, [[own + 0.005 for own in taps[0]]], None)


def test_numbers_of_a_linear_tapper(tapping):
    own = measures.asynchrony(tapping, [0.3])[0][0.3]
    assert own["mean"] == pytest.approx(20, abs=3 * own["mean_se"]) and own["mean_se"] < 1
    assert own["sd"] == pytest.approx(10 / np.sqrt(0.75), rel=0.05)
    assert own["lag1"] == pytest.approx(0.5, abs=0.06)
    assert own["mean_of_maxima"] == pytest.approx(own["mean"] + 5)
    assert own["clicks"] == 3000 and own["clicks_without_tap"] == 0
    shifts = 1 + len(measures.SHIFTS)
    shifted = np.zeros((2, 1, shifts, 3))  # a tapper that makes good one half with each tap
    shifted[:, 0, 1:] = -0.3 * measures.SHIFTS[:, None] * [1, 0.5, 0.25]
    alpha = measures.correction(tapping, shifted, [0.3])[0][0.3]
    assert alpha["regular"] == pytest.approx(0.5, abs=0.06)
    assert {own["next_tap"] for own in alpha["shifts"].values()} == {0.5}
    assert alpha["shifts"]["+0.05"]["same_tap"] == 0


def test_numbers_in_silence():
    rng = np.random.default_rng(6)
    taps = [rng.normal(0.3, 0.012, size=800).cumsum() for _ in range(6)]
    silent = protocols.Tapping([None], [taps], [taps], None)
    iti = measures.intervals(silent, silent, [0.3])[0][0.3]["silence"]
    assert iti["sd_ms"] == pytest.approx(12, rel=0.05) and abs(iti["lag1"]) < 0.05
    found = measures.clock_and_motor(silent, [0.3], 0)[0][0.3]
    assert found["network"]["clock_sd_ms"] == pytest.approx(12, rel=0.1)
    assert found["network"]["motor_sd_ms"] < 4
    added = found["with_motor_delays"]
    assert added["clock_sd_ms"] == pytest.approx(12, rel=0.15)
    assert added["motor_sd_ms"] == pytest.approx(found["motor_sd_added_ms"], rel=0.1)
    free = SimpleNamespace(diffusion=np.array([0.012**2]))
    own = measures.drift(silent, free, [0.3])[0][0.3]
    assert own["measured_by_predicted"] == pytest.approx(1, abs=0.15)
    assert own["sd_per_beat_share"] == pytest.approx(0.04, rel=0.1)


def test_small_summaries():
    values = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, 5.0]])
    mean, error = measures.over_runs(values)
    np.testing.assert_allclose(mean, [2, 5])
    assert error[0] == pytest.approx(1) and np.isnan(error[1])
    np.testing.assert_allclose(median(values, 1), [1, 3, 5])
    assert plain({0.5: np.array([1.0, np.nan]), "n": np.int64(3)}) == {"0.5": [1.0, None], "n": 3}
    assert tempos_compared([0.1, 0.5, 0.2]) == [0.5, 0.2, 0.1]
    circle = np.exp(2j * np.pi * np.arange(50) / 50)
    cycles = np.array([r * np.stack([circle.real, circle.imag], 1) for r in (1.0, 2.0)])
    np.testing.assert_allclose(trajectories.radius(cycles), [1, 2])
    np.testing.assert_allclose(trajectories.speed(cycles, [1, 4]), [2 * np.pi, np.pi], rtol=0.01)
    assert trajectories.active_units(cycles * [1, 0.05]).tolist() == [1, 1]
    np.testing.assert_allclose(trajectories.apart(cycles), 1)
