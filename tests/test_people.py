"""Taps of people: three formats, and estimators against tappers whose answers are known."""

import csv
import json
import os

import numpy as np
import pytest

import compare_people
from zrnn import checkpoints, configuration
from zrnn.errors import UserError
from zrnn.synchronization import estimators, people

PERIOD = 0.4  # [s]
CLOCK, MOTOR = 0.012, 0.009  # [s] SD of a tapper's clock and motor delays
CONFIG = configuration.load(flags={"model.hidden_dim": 25, "model.sigma_rec": 0.001})


def continuations(rng, n_trials, n_taps=17, drift=0.0, motor=MOTOR):
    """Taps of a clock and motor delays, whose interval grows by `drift` [s] from tap to tap."""
    intervals = PERIOD + drift * np.arange(n_taps) + CLOCK * rng.standard_normal((n_trials, n_taps))
    return np.cumsum(intervals, axis=1) + motor * rng.standard_normal(intervals.shape)


def asynchronies(rng, n_trials, n_clicks, alpha, motor=0.0):
    """A_{k+1} = (1 - alpha) A_k + C_k + D_{k+1} - D_k."""
    clock, delays = rng.standard_normal((2, n_clicks, n_trials)) * [[[CLOCK]], [[motor]]]
    rows = [delays[0]]
    for k in range(1, n_clicks):
        rows.append((1 - alpha) * rows[-1] + clock[k] + delays[k] - delays[k - 1])
    return np.transpose(rows)


def trial(subject="a", continuation=(), late=-0.03, n_clicks=8):
    clicks = 1 + PERIOD * np.arange(n_clicks)
    return people.Trial(
        subject, PERIOD, clicks, clicks + late, np.asarray(continuation, dtype=float)
    )


def test_coefficients_of_variation_of_known_intervals():
    steps = 0.01 * (-1.0) ** np.arange(16)  # sum 0
    assert estimators.coefficient_of_variation(0.4 + steps) == pytest.approx(
        0.01 * np.sqrt(16 / 15) / 0.4
    )
    drifting = 0.4 + steps + 0.004 * (np.arange(16) - 7.5)
    assert estimators.coefficient_of_variation(drifting) > 0.05
    # the line fitted to the alternation takes a small part of it
    found = estimators.coefficient_of_variation(drifting, 1)
    assert found == pytest.approx(0.01 * np.sqrt(16 / 14) / 0.4, rel=0.01)
    assert estimators.local_variation(0.4 + steps) == pytest.approx(0.02 / np.sqrt(2) / 0.4)


def test_local_variation_equals_the_cv_of_independent_intervals_whatever_the_drift():
    rng = np.random.default_rng(0)
    itis = 0.4 + 0.02 * rng.standard_normal(5000)
    assert estimators.local_variation(itis) == pytest.approx(0.05, rel=0.05)
    drifting = itis + np.linspace(-0.1, 0.1, 5000)
    assert estimators.local_variation(drifting) == pytest.approx(0.05, rel=0.05)
    assert estimators.coefficient_of_variation(drifting) > 0.1


@pytest.mark.parametrize("degree, drift", [(0, 0.0), (1, 0.001)])
def test_covariances_of_short_series_are_not_biased(degree, drift):
    runs = continuations(np.random.default_rng(1), 4000, drift=drift)
    itis = np.diff(runs, axis=1)
    variance, lag_1, *longer = estimators.unbiased_covariances(itis, degree, 3)
    assert variance == pytest.approx(CLOCK**2 + 2 * MOTOR**2, rel=0.04)
    assert lag_1 == pytest.approx(-(MOTOR**2), rel=0.04)
    np.testing.assert_allclose(longer, 0, atol=0.04 * variance)
    found = people.continuation_measures(runs)
    assert found["clock SD [ms]"] == pytest.approx(1e3 * CLOCK, rel=0.04)
    assert found["motor SD [ms]"] == pytest.approx(1e3 * MOTOR, rel=0.04)
    assert found["change of the ITI per tap [ms]"] == pytest.approx(1e3 * drift, abs=0.1)
    # without the correction the motor variance is larger and the clock variance smaller
    assert (
        found["lag 1 of ITIs, not corrected"] < found["lag 1 of ITIs without drift"] + drift * 1e3
    )


def test_covariances_of_a_long_run_are_those_of_wing_and_kristofferson():
    runs = continuations(np.random.default_rng(2), 4, n_taps=500)
    variance, lag_1 = estimators.unbiased_covariances(np.diff(runs, axis=1), 0, 1)
    expected = estimators.wing_kristofferson(runs)
    np.testing.assert_allclose([variance + 2 * lag_1, -lag_1], expected, rtol=0.02)


@pytest.mark.parametrize("alpha, motor", [(0.2, 0.009), (0.3, 0.006), (0.5, 0.004), (0.9, 0.0)])
def test_bgls_finds_alpha_clock_and_motor(alpha, motor):
    runs = asynchronies(np.random.default_rng(3), 30, 400, alpha, motor)
    found, *variances = estimators.bgls(runs)
    assert found == pytest.approx(alpha, abs=0.05)
    np.testing.assert_allclose(np.sqrt(variances), [CLOCK, motor], atol=0.0015)
    if motor > 0.005:  # motor delays bias a regression
        assert 1 - estimators.autocorrelation(runs, 1)[0] > alpha + 0.08
    runs[:, 50::50] = np.nan
    assert estimators.bgls(runs)[0] == pytest.approx(alpha, abs=0.06)


def test_a_tapper_who_never_varies_has_no_alpha_and_no_lags():
    assert np.isnan(estimators.bgls([np.full(20, -0.03), [np.nan, 1, np.nan]])).all()
    trials = [trial(continuation=0.4 * np.arange(16), n_clicks=30)]
    summary = estimators.quartiles(people.measure_subjects(trials))
    assert summary["CV [%]"][1] == pytest.approx(0, abs=1e-9)
    assert summary["mean ITI [ms]"][1] == pytest.approx(400)


def test_regular_continuations():
    itis = np.full(12, PERIOD)
    assert estimators.is_regular(itis, PERIOD) and not estimators.is_regular(itis[:9], PERIOD)
    assert not estimators.is_regular(itis, 2.1 * PERIOD)  # at twice the tempo
    itis[3] *= 1.6  # a missed tap
    assert not estimators.is_regular(itis, PERIOD)


def test_motor_delays_change_the_measures_as_delays_that_are_added_do():
    rng, sd = np.random.default_rng(4), np.array([0.0, 0.01])
    plain = continuations(rng, 3000)
    medians = {}
    for scale in (1.0, 4.0):  # a network whose noise does not matter
        variance, lag_1 = estimators.unbiased_covariances(np.diff(plain, axis=1), 0, 1)
        medians[scale] = [PERIOD, np.sqrt(variance) / PERIOD, lag_1 / variance]
    mean, cv, lag = estimators.add_motor_delays(medians, sd)
    assert mean.shape == cv.shape == lag.shape == (len(estimators.FINE_SCALES), 2)
    np.testing.assert_allclose([mean[7, 0], cv[7, 0], lag[7, 0]], medians[1.0])
    delayed = plain + sd[1] * rng.standard_normal(plain.shape)
    variance, lag_1 = estimators.unbiased_covariances(np.diff(delayed, axis=1), 0, 1)
    assert cv[0, 1] == pytest.approx(np.sqrt(variance) / PERIOD, rel=0.03)
    assert lag[0, 1] == pytest.approx(lag_1 / variance, abs=0.02)


def test_quartiles_keep_never_and_leave_out_unknown():
    found = [{"a": value} for value in (1.0, 2.0, np.nan, np.inf, 3.0)] + [{"b": 1.0}]
    assert estimators.quartiles(found) == {"a": [1, 2, 3, 4], "b": [1, 1, 1, 1]}
    assert estimators.quartiles([{"a": np.inf}, {"a": np.inf}, {"a": 1.0}])["a"][1] == np.inf


def test_measures_of_a_subject_who_is_early():
    rng = np.random.default_rng(5)
    trials = [trial(continuation=taps) for taps in continuations(rng, 300, drift=-0.001)]
    trials += [trial(continuation=[1.0, 2.0])]
    for one in asynchronies(rng, 40, 300, 0.5):
        trials.append(trial(late=-0.03 + one, n_clicks=300))
    found = people.measure(trials)
    assert found["continuations counted [%]"] == pytest.approx(100 * 300 / 301)
    assert found["mean ITI [ms]"] == pytest.approx(400 - 8.5, abs=1)
    assert found["change of the ITI per tap [ms]"] == pytest.approx(-1, abs=0.1)
    assert found["mean asynchrony [ms]"] == pytest.approx(-30, abs=1)
    assert found["alpha by bGLS"] == pytest.approx(0.5, abs=0.03)
    assert found["clicks until steady"] == 1
    assert [one["mean asynchrony [ms]"] for one in people.measure_subjects(
        [trial("a"), trial("b", late=0.01)]
    )] == pytest.approx([-30, 10])  # fmt: skip


def own_file(path, n_trials=3, sd=10):
    """A file in one's own format: 8 clicks with taps 20 ms early, then 16 taps in silence."""
    rng = np.random.default_rng(6)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(people.COLUMNS[None])
        for number in range(n_trials):
            for click in 400 * np.arange(1, 9):
                writer.writerow(["ann", number, 400, "S", click - 20, click])
            writer.writerow(["ann", number, 400, "S", "", 3600])  # a click without a tap
            for time in 3600 + np.cumsum(rng.normal(390, sd, 16)):
                writer.writerow(["ann", number, 400, "C", time, ""])
    return path


def test_a_file_of_ones_own(tmp_path):
    name, trials = people.read_trials(own_file(tmp_path / "own.csv").read_text(), "own.csv")
    assert name is None and len(trials) == 3 and {one.subject for one in trials} == {"ann"}
    assert len(trials[0].clicks) == 9 and len(trials[0].taps) == 24
    assert len(trials[0].continuation) == 16 and trials[0].period == 0.4
    found = people.measure(trials)
    assert found["mean asynchrony [ms]"] == pytest.approx(-20)
    assert found["mean ITI [ms]"] == pytest.approx(390, abs=10)


@pytest.mark.parametrize("unit", [1, 1000])
def test_trials_of_pazdera_and_trainor_in_seconds_and_milliseconds(unit):
    tones = (10 + 0.4 * np.arange(10)) * unit  # two of taps
    taps = np.append(tones[1:8] - 0.05 * unit, tones[8:] + 0.01 * unit)
    cells = ["['B'" + ", b'S'" * 6 + ", 'C'" * 2 + "]", str(taps.tolist()), str(tones.tolist())]
    rows = [["7", kind, "400", *cells] for kind in ("practice", "trial")]
    lines = [people.COLUMNS[people.PAZDERA], *rows]
    text = "\ufeff" + "\n".join(",".join(f'"{cell}"' for cell in line) for line in lines)
    name, (one,) = people.read_trials(text, "ITM.csv")
    assert name == people.PAZDERA and one.subject == "7" and one.period == 0.4
    np.testing.assert_allclose(one.clicks, 10 + 0.4 * np.arange(8))
    np.testing.assert_allclose(one.taps[:7] - one.clicks[1:], -0.05)
    np.testing.assert_allclose(np.diff(one.continuation), 0.4)


def test_trials_of_baath_and_madison():
    text = "subject,trial,isi,asynch\n1,1,600,-30\n1,1,600,-40\n1,2,1200,5\n"
    name, (first, second) = people.read_trials(text, "baath.csv")
    assert name == people.BAATH and (first.period, second.period) == (0.6, 1.2)
    np.testing.assert_allclose(first.taps - first.clicks, [-0.03, -0.04])
    assert len(first.continuation) == 0


HEADER = ",".join(people.COLUMNS[None]) + "\n"


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "columns 'none'; allowed: subject, trial"),
        ("a,b\n1,2\n", "columns 'a, b'; allowed: subject, trial"),
        (HEADER, "no trials"),
        (HEADER + "ann,1,400,S,x,0\n", "a value cannot be read"),
        (HEADER + "ann,1,400,S,nan,0\n", "a time is not finite"),
        (HEADER + "ann,1,400,Z,1,0\n", "allowed: phase S or C"),
        (HEADER + "ann,1,-400,S,1,0\n", "period_ms above 0"),
        (HEADER + "ann,1,400\n", "a value cannot be read"),
        ("subject,trial,isi,asynch\n1,1,600,early\n", "a value cannot be read"),
        (",".join(people.COLUMNS[people.PAZDERA]) + "\n7,trial,400,x,1,2\n", "cannot be read"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(tmp_path, text, words):
    (tmp_path / "some.csv").write_text(text)
    with pytest.raises(UserError, match=words) as error:
        compare_people.main(str(tmp_path / "some.csv"))
    assert "\n" not in str(error.value) and "some.csv" in str(error.value)


def test_wrong_paths_are_told_in_one_line(tmp_path):
    (tmp_path / "image.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty").mkdir()
    for word, words in (("no", "No such file"), ("image.csv", "UTF-8"), ("empty", "no .csv file")):
        with pytest.raises(UserError, match=words):
            compare_people.main(str(tmp_path / word))
    with pytest.raises(UserError, match="FOLDER_OR_FILE"):
        compare_people.main()
    with pytest.raises(UserError, match="--runs"):
        compare_people.main("x", runs=0)


@pytest.fixture
def save(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda model: checkpoints.save_checkpoint(
        "net.pth", model, config=configuration.plain(CONFIG)
    )


def test_a_network_is_driven_like_people(make_oscillator):
    model = make_oscillator()
    found = people.drive(model, PERIOD, (1.0, 2.0), CONFIG.task, 2, 0)
    assert list(found) == [1.0, 2.0]
    assert "alpha by bGLS" in found[1.0] and "alpha by bGLS" not in found[2.0]
    shifts = people.shift_clicks(model, CONFIG.task, 1, 0)
    assert list(shifts)[:2] == list(people.PUBLISHED[0.5])[:2] and len(shifts) == 6


def test_noise_and_delays_of_people_who_are_like_them():
    medians = {scale: [400, 1.5 * scale, 0.2] for scale in compare_people.NOISE_SCALES}
    _, cv, lag = estimators.add_motor_delays(medians, 100 * compare_people.DELAY_SDS)

    def quartiles(values, spreads=(0, 0, 0)):
        rows = zip((people.MEAN, people.CV, people.LAG_1), values, spreads, strict=True)
        return {name: [value - half, value, value + half, 5] for name, value, half in rows}

    def nearest(*people):
        scaled = {0.4: {scale: quartiles(values) for scale, values in medians.items()}}
        return compare_people.fit_noise(scaled, {0.4: {"own": quartiles(*people)}})[0.4][2]

    assert nearest([390, cv[20, 16], lag[20, 16]]) == (20, 16)  # a single subject
    other_lag = [390, cv[20, 16], lag[20, 16] - 0.3]
    assert cv[nearest(other_lag, (0, 1e-3, 1e3))] == pytest.approx(cv[20, 16], rel=0.01)
    assert lag[nearest(other_lag, (0, 1e3, 1e-3))] == pytest.approx(other_lag[2], abs=0.01)


def test_a_run_with_a_name_is_compared_with_people(save, make_oscillator, capsys):
    save(make_oscillator())
    os.makedirs("runs/mine")
    os.rename("net.pth", "runs/mine/best_model.pth")
    own_file("own.csv")
    compare_people.main("own.csv", runs=1, name="mine")
    assert capsys.readouterr().out.count("network: runs/mine/best_model.pth") == 1
    made_by = open("runs/mine/people_plotting/made_by.yaml").read()
    assert "# runs/mine/best_model.pth: " in made_by and "# torch: " in made_by


@pytest.mark.parametrize("silent", [False, True])
def test_the_table_and_the_picture_of_ones_own_file(save, make_oscillator, capsys, silent):
    model = make_oscillator()
    if silent:
        model.b_hh.data.fill_(-1.0)
    save(model)
    own_file("own.csv", sd=0 if silent else 10)
    compare_people.main("own.csv", checkpoint="net.pth", runs=1)
    printed = capsys.readouterr().out
    assert "400 ms" in printed and "own" in printed and "mean asynchrony [ms]" in printed
    kept = json.loads(open("people_plotting/people.json").read())
    assert kept["0.4"]["own"]["mean asynchrony [ms]"][1] == pytest.approx(-20)
    assert open("people_plotting/people.png", "rb").read(4) == b"\x89PNG"
