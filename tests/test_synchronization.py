"""Measures of synchronisation against tappers and oscillators whose answers are known."""

import numpy as np
import pytest

from zrnn.synchronization import adaptive_cue, estimators, measures, phase_response

PERIOD = 0.3  # [s]


def linear_tapper(rng, n, alpha, sd=0.01):
    """Asynchronies of A_{n+1} = (1 - alpha) A_n + noise."""
    asynchrony = np.zeros(n)
    for i in range(1, n):
        asynchrony[i] = (1 - alpha) * asynchrony[i - 1] + sd * rng.normal()
    return asynchrony


def tappers(seed, n_runs, n, alpha):
    """Clicks (n,) [s] and taps [run] -> (n,) [s] of a linear tapper who is 30 ms late."""
    rng, clicks = np.random.default_rng(seed), 2 + PERIOD * np.arange(n)
    return clicks, [clicks + 0.03 + linear_tapper(rng, n, alpha) for _ in range(n_runs)]


def alpha_of(clicks):
    return lambda runs: {"alpha": estimators.phase_correction(runs, clicks, PERIOD)}


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0])
def test_the_alpha_of_a_linear_tapper_at_a_regular_metronome(alpha):
    clicks, taps = tappers(0, 8, 400, alpha)
    found = estimators.jackknife(alpha_of(clicks), taps)
    assert 0.01 < found["alpha_se"] < 0.03
    assert abs(found["alpha"] - alpha) < 3 * found["alpha_se"]
    lags = estimators.autocorrelation([run - clicks for run in taps], 3)
    np.testing.assert_allclose(lags, (1 - alpha) ** np.arange(1, 4), atol=0.06)


def damaged(taps):
    """The taps with one missed, one unknown and three double, as lists."""
    taps = taps.copy()
    taps[300] = np.nan
    extra = taps[[100, 150, 200]] + np.array([0.02, -0.06, 0.14])
    order = np.delete(np.insert(taps, [101, 150, 201], extra), 50)
    return order.tolist()


def test_alpha_leaves_out_missed_double_and_unknown_taps():
    clicks, taps = tappers(1, 8, 400, 0.5)
    (clean, error) = estimators.jackknife(alpha_of(clicks), taps).values()
    found = estimators.phase_correction([damaged(run) for run in taps], clicks.tolist(), PERIOD)
    assert abs(found - clean) < 2 * error
    asynchronies = estimators.regular_asynchronies(damaged(taps[0]), clicks, PERIOD)
    kept = np.isfinite(asynchronies)
    np.testing.assert_array_equal(asynchronies[kept], (taps[0] - clicks)[kept])
    assert not kept[[50, 100, 150, 200, 300]].any() and 375 < kept.sum() < 395


def test_the_standard_error_of_a_mean():
    rng = np.random.default_rng(2)
    runs = [rng.normal(5, 2, size=50) for _ in range(20)]

    def summary(runs):
        return dict(zip(("mean", "sd"), estimators.mean_and_sd(runs), strict=True))

    found = estimators.jackknife(summary, runs)
    assert found["mean"] == pytest.approx(5, abs=0.2) and found["sd"] == pytest.approx(2, abs=0.15)
    assert found["mean_se"] == pytest.approx(2 / np.sqrt(1000), rel=0.4)
    assert np.isnan(estimators.jackknife(summary, runs[:1])["mean_se"])


@pytest.mark.parametrize("clock_sd, motor_sd", [(0.02, 0.01), (0.02, 0.0), (0.0, 0.01)])
def test_known_clock_and_motor_variances(clock_sd, motor_sd):
    rng = np.random.default_rng(3)
    clocks = rng.normal(0.3, clock_sd, size=(20, 1000)).cumsum(axis=1)
    taps = clocks + rng.normal(0, motor_sd, size=clocks.shape)
    clock, motor = estimators.wing_kristofferson(taps)
    assert clock == pytest.approx(clock_sd**2, abs=1.5e-5)
    assert motor == pytest.approx(motor_sd**2, abs=1.5e-5)


def test_clock_and_motor_leave_out_missed_double_and_unknown_taps():
    rng = np.random.default_rng(8)
    taps = list(rng.normal(PERIOD, 0.01, size=(20, 400)).cumsum(axis=1))
    clean = estimators.wing_kristofferson(taps)
    found = estimators.wing_kristofferson([damaged(run) for run in taps])
    np.testing.assert_allclose(found, clean, atol=0.1 * clean[0])
    regular = estimators.regular_intervals(taps[0])
    np.testing.assert_array_equal(regular, np.diff(taps[0]))  # nothing is left out of regular taps
    left_out = np.isnan(estimators.regular_intervals(damaged(taps[0])))
    assert 10 < left_out.sum() < 25


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_estimator_takes_lists_and_leaves_out_nan():
    taps = [0.0, 0.2, np.nan, 0.62, 0.8, 1.0, 1.21]
    known = [0.0, 0.2, 0.62]
    np.testing.assert_array_equal(
        estimators.mean_and_sd([[0.0, 0.2, np.nan, 0.62]]), estimators.mean_and_sd([known])
    )
    for values in estimators.drift([taps, taps], 0.2, 3):
        assert np.isfinite(values).all()
    assert np.isfinite(estimators.autocovariance([taps], 2)).all()
    assert estimators.diffusion([1.0, np.nan, 3.0]) == pytest.approx(1)
    np.testing.assert_allclose(
        phase_response.phases_at([0.1, 0.41, 0.8], known), [0.5, 1.5, 2.4286], 1e-4
    )
    assert np.isnan(estimators.regular_intervals([])).all()
    assert np.isnan(estimators.wing_kristofferson([[0.1], []])).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_positions_of_a_random_walk_spread_in_proportion_to_the_beats():
    rng = np.random.default_rng(4)
    runs = [rng.normal(0.202, 0.005, size=2000).cumsum() for _ in range(20)]
    mean, variance = estimators.drift(runs, 0.2, 8)
    k = np.arange(1, 9)
    np.testing.assert_allclose(mean, 0.002 * k, rtol=0.1)
    np.testing.assert_allclose(variance, 0.005**2 * k, rtol=0.05)
    assert estimators.diffusion(variance) == pytest.approx(0.005**2, rel=0.05)
    jitter = [run + rng.normal(0, 0.005, size=len(run)) for run in runs]  # of taps, not the walk
    assert estimators.diffusion(estimators.drift(jitter, 0.2, 8)[1]) == pytest.approx(
        0.005**2, rel=0.1
    )
    short = estimators.drift([runs[0][:5]], 0.2, 8)[1]
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
def test_the_arnold_tongues_of_a_sine_oscillator(ratio, pattern):
    number = [None, *phase_response.LOCKING_PATTERNS].index(pattern)
    response = sine_response(np.arange(40) / 40)
    assert phase_response.predicted_patterns([response], np.array([ratio])) == number
    taps, clicks = oscillator_taps(ratio, 200)
    assert phase_response.locking_pattern(phase_response.phases_at(clicks, taps)) == number


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
    assert phase_response.interpolate_response(response, 0.125) == pytest.approx(0.1)
    assert phase_response.interpolate_response(response, 0.25 + 0.05) == pytest.approx(
        0.2 - 0.3 * 0.2
    )
    assert phase_response.interpolate_response(response, 0.5 - 0.05) == pytest.approx(
        0.9 + 0.3 * 0.2
    )
    assert phase_response.interpolate_response(response, 3.875) == pytest.approx(0.05)


def test_maxima_of_a_lopsided_wave():
    t = np.arange(2000)
    wave = np.interp(t % 250, [0, 50, 250], [0.0, 1.0, 0.0])
    taps = 75 + 250 * np.arange(8) + 0.4  # where it is above one half: 25 ... 150
    np.testing.assert_array_equal(estimators.output_maxima(wave, taps), 50 + 250 * np.arange(8))


def test_when_a_tempo_is_reached():
    errors = [[0.3, 0.01, 0.2, 0.04, -0.04, 0.03], [0.0] * 6, [0.3, 0.01, 0.01, np.nan, 0.01, 0.01]]
    assert estimators.first_within(errors, 0.05).tolist() == [4, 1, np.inf]


@pytest.mark.parametrize("usual", [0.02, 0.0])
def test_an_adaptive_cue_settles_where_its_asynchrony_is_the_usual_one(usual):
    """A linear tapper who is 20 ms late at the cue's tempo: A = 0.02 + (cue - clicks) / alpha."""
    alpha, cue, clicks, asynchrony = 0.8, 0.26, 0.2, 0.02
    for _ in range(100):
        asynchrony += cue - clicks - alpha * (asynchrony - 0.02)
        cue = adaptive_cue.adapted_period(cue, asynchrony, usual, 0.3)
    assert cue - clicks == pytest.approx(alpha * (usual - 0.02), abs=1e-6)


def test_numbers_of_a_linear_tapper():
    clicks, taps = tappers(5, 6, 500, 0.5)
    maxima = [run + 0.005 for run in taps]
    found = measures.synchronization(taps, maxima, clicks, PERIOD)
    assert found["asynchrony_mean_ms"] == pytest.approx(30, abs=3 * found["asynchrony_mean_ms_se"])
    assert found["asynchrony_mean_ms_se"] < 1
    assert found["asynchrony_sd_ms"] == pytest.approx(10 / np.sqrt(0.75), rel=0.05)
    assert found["asynchrony_lag1"] == pytest.approx(0.5, abs=0.06)
    of_maxima = found["asynchrony_of_maxima_mean_ms"]
    assert of_maxima == pytest.approx(found["asynchrony_mean_ms"] + 5)
    assert found["clicks"] == 3000 and found["clicks_without_tap"] == 0
    assert found["alpha"] == pytest.approx(0.5, abs=0.06)


def test_corrected_fractions_of_phase_shifts():
    shifted = np.zeros((3, 1 + len(measures.SHIFTS), 3))  # a tapper with alpha one half
    shifted[:, 1:] = -PERIOD * measures.SHIFTS[:, None] * [1, 0.5, 0.25]
    shifted[0, 1, 1] = np.nan  # a click without a tap
    found = measures.phase_shifts(shifted, PERIOD)
    expected = np.tile([0, 0.5, 0.75], (len(measures.SHIFTS), 1))
    np.testing.assert_allclose(found["corrected_fraction"], expected, atol=1e-12)
    np.testing.assert_allclose(found["corrected_fraction_se"], 0, atol=1e-12)


def test_numbers_of_the_continuation():
    rng = np.random.default_rng(6)
    taps = [rng.normal(0.3, 0.012, size=800).cumsum() for _ in range(6)]
    found = measures.continuation(taps, 0.3, 0.012**2, np.random.default_rng(0))
    assert found["continuation_iti_sd_ms"] == pytest.approx(12, rel=0.05)
    assert abs(found["continuation_iti_lags"][0]) < 0.05
    assert found["clock_variance_ms2"] == pytest.approx(12**2, rel=0.2)
    assert found["motor_variance_ms2"] < 16
    assert found["delays_added_clock_variance_ms2"] == pytest.approx(12**2, rel=0.3)
    added = 1e6 * measures.MOTOR_SD**2
    assert found["delays_added_motor_variance_ms2"] == pytest.approx(added, rel=0.2)
    predicted = found["diffusion_predicted_ms2"]
    assert found["diffusion_ms2"] == pytest.approx(predicted, rel=0.15)


def test_the_shape_of_trajectories():
    circle = np.exp(2j * np.pi * np.arange(50) / 50)
    cycles = np.array([r * np.stack([circle.real, circle.imag], 1) for r in (1.0, 2.0)])
    found = measures.trajectories(cycles, [1, 4], "continuation")
    np.testing.assert_allclose(found["continuation_radius"], [1, 2])
    np.testing.assert_allclose(found["continuation_speed"], [2 * np.pi, np.pi], rtol=0.01)
    np.testing.assert_allclose(found["continuation_distance"], 1)
    found = measures.trajectories(cycles * [1, 0.05], [1, 4], "continuation")
    assert found["continuation_active_units"].tolist() == [1, 1]


def test_the_compared_tempos():
    assert measures.tempos_compared([0.5, 0.3, 0.2, 0.15, 0.1]) == [0.5, 0.2, 0.1]
    assert measures.tempos_compared([0.5]) == [0.5]
