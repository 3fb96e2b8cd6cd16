"""Trainings side by side, tables of what they made, experiments on small networks, benchmarks."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from zrnn.training.recipe import Row as Step

from experiments import tables
from zrnn import configuration, evaluate
from zrnn.checkpoints import save_checkpoint
from zrnn.errors import UserError
from zrnn.evaluate import Finding, Row, Verdict
from zrnn.training import descent, refinement

for folder in ("experiments", "benchmarks"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))

import ablations  # noqa: E402
import contestants  # noqa: E402
import race  # noqa: E402
import reach  # noqa: E402
import recipe_picture  # noqa: E402
import run  # noqa: E402
import seeds  # noqa: E402
import side_by_side  # noqa: E402


def network(name, errors, slope, met=True):
    """A network with these ITI errors at 0.25 and 0.5 s, a CV of 1 % at 0.25 s and a slope."""
    rows = []
    for condition in (evaluate.CLICKS, evaluate.REST):
        for period, error in zip((0.25, 0.5), errors, strict=True):
            mean = period * (1 + error)
            sd = 0.01 * 0.25 * (1 + errors[0]) * (mean / (0.25 * (1 + errors[0]))) ** slope
            rows.append(
                Row(condition, period, 10, 10, mean, sd, sd / mean, error, 0, 0, 1.0, 0.5, 0.0, 0)
            )
    verdict = Verdict(rows, [Finding("ITI error", "0.1 %", "at most 0.3 %", met)])
    return tables.Network(name, verdict, {"all parts": 80.0})


def test_tables_over_networks():
    networks = [
        network("seed0", (0.001, 0.002), 0.9),
        network("seed1", (0.003, -0.004), 1.1, False),
    ]
    text = tables.report(networks)
    assert text.startswith("1 of 2 networks meet every bound")
    slow, fast = tables.tempo_table(networks).splitlines()[2:]
    assert slow.startswith("| 0.500 s | -0.8 % | -0.10 ± 0.42 % | -0.40 % | -0.40 % |")
    assert fast.startswith(
        "| 0.250 s | +2.4 % | +0.20 ± 0.14 % | +0.30 % | +0.30 % | 1.00 ± 0.00 %"
    )
    # Student's t of one degree of freedom at 97.5 %, 12.706, times the standard error 0.1
    assert "1.00, 95 % interval -0.27 to 2.27 (2 networks)" in text
    assert (
        "|  | ITI error | time: all parts |" in text and "| to reach | at most 0.3 % |  |" in text
    )
    assert "| seed0 | 0.1 % | 80 s |\n| seed1 | **0.1 %** | 80 s |" in text


def test_a_network_without_a_beat_is_not_averaged_away():
    networks = [network("seed0", (0.001, 0.002), 1.0), network("seed1", (0.001, np.nan), 1.0)]
    slow = tables.tempo_table(networks).splitlines()[2]
    assert "+0.20 % (1 of 2)" in slow and "| lost | lost |" in slow


def test_seconds_of_each_part(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("part,seconds\ndescent,1.0\ndescent,40.0\nrefinement,41.0\nrefinement,50.0\n")
    assert tables.part_seconds(log) == {"descent": 40.0, "refinement": 10.0}


def test_seeds_of_a_job_array():
    assert seeds.seeds_of("0..3") == [0, 1, 2, 3] and seeds.seeds_of("7") == [7]
    assert seeds.seeds_of("0..3", "2") == [2]
    for text, index in (("0-3", None), ("..3", None), ("0..x", None), ("0..3", "4")):
        with pytest.raises(UserError):
            seeds.seeds_of(text, index)


def test_what_is_there_is_skipped_what_was_stopped_goes_on_what_fails_is_listed(
    tmp_path, quick, capsys
):
    (tmp_path / "there.pth").touch()
    (tmp_path / "stopped.pth.state").touch()
    flags = quick | {"training.epochs": 70}
    bad = side_by_side.training(tmp_path, "bad", flags, "descent.RUNAWAY = -1.0")
    commands = {"bad": bad, "there": side_by_side.training(tmp_path, "there", flags)}
    assert side_by_side.train_all(tmp_path, commands, 2) == ["bad"]
    said = capsys.readouterr().out
    assert "1 to train, 1 are there" in said
    assert "bad: error: the network runs away again" in said and "not trained: bad" in said
    assert side_by_side.training(tmp_path, "stopped", flags)[-1] == "--resume"
    assert "--resume" not in bad


def test_seeds_end_with_tables(tmp_path, quick, capsys):
    flags = quick | {"training.epochs": 3, "check.enable": True, "drive.keep_seconds": 1}
    flags |= {"check.noise_runs": 1, "check.untrained_periods": 3, "check.untrained_runs": 1}
    seeds.main(str(tmp_path), seeds="3", **flags)
    said = capsys.readouterr().out
    assert "not trained: none" in said and "0 of 1 networks meet every bound" in said
    assert "| seed3 | " in said and "**0/7 beat" in said
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {f"ZemlianovaRNN_seed3.{kind}" for kind in ("pth", "csv", "txt")}


def test_seeds_that_fail_are_an_error_and_a_row_of_the_ablations(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(side_by_side, "train_all", lambda folder, commands, jobs: [*commands])
    with pytest.raises(UserError, match="2 of 2 networks were not trained"):
        seeds.main(str(tmp_path), seeds="3..4")
    (tmp_path / "vanilla-RNN.txt").write_text("10 %\rerror: no beat at cue 0.8; try more\n")
    (tmp_path / "vanilla-RNN-same-noise.txt").write_text("")
    ablations.main(str(tmp_path), only="vanilla")
    assert "| vanilla RNN | error: no beat at cue 0.8 | " in capsys.readouterr().out


def test_every_ablation_names_flags_and_constants_that_are_there():
    for name, variant in ablations.VARIANTS.items():
        flags = dict(variant.flags)
        configuration.load(flags.pop("config_path", None), flags)
        if variant.statement:
            module, constant = variant.statement.split(" ")[0].split(".")
            modules = {"descent": descent, "refinement": refinement}
            assert hasattr(modules[module], constant), name


def test_reach_on_the_line_is_unbroken():
    task = configuration.load().task
    cues = np.array([0.1, 0.2, 0.4, 0.8, 1.6])
    itis = task.cue_constant / cues * np.array([1.0, 1.02, 1.001, 0.995, np.nan])
    assert reach.on_the_line(cues, itis, task, 0.4) == (0.4, 0.8)


@pytest.mark.parametrize("worst, lost", [(0.001, True), (-0.02, False), (-0.001, False)])
def test_what_loses_a_beat_or_leaves_an_error_is_taken_back(make_oscillator, worst, lost):
    model = make_oscillator()
    before = model.w_hh.clone()

    def steps():
        with torch.no_grad():
            model.w_hh.add_(1.0)
        yield refinement.Step(0.001, np.array([worst, 0.0]))
        if lost:
            raise reach.LostCycle("gone")

    kept = abs(worst) < reach.WITHIN and not lost
    assert reach.stays(model, steps()) == kept
    assert torch.equal(model.w_hh, before) != kept


def test_snapshots_are_of_the_ends_of_the_parts(monkeypatch):
    flags = {"model.hidden_dim": 20, "model.dt": 0.01, "training.epochs": 2}
    config = configuration.load(flags=flags)

    def steps(run, config):
        for part, number in (("descent", 1), ("descent", 2), ("refinement", 3), ("calibration", 4)):
            if number in (1, 2):
                run.model.b_ho.data.fill_(number)
            yield Step(part, number, 0.01, 1.0)
            run.model.b_ho.data.fill_(number)

    monkeypatch.setattr(recipe_picture, "train", steps)
    kept = recipe_picture.snapshots(config)
    assert {part: int(model.b_ho) for part, model in kept.items()} == {
        "descent": 2,
        "refinement": 3,
        "calibration": 4,
    }


def test_a_verdict_of_an_older_version_is_refused(tmp_path, make_oscillator):
    save_checkpoint(tmp_path / "old.pth", make_oscillator(), behaviour={"rows": [{}], "met": True})
    with pytest.raises(UserError, match="older version"):
        tables.read_network(tmp_path / "old.pth")


def test_a_bench_says_what_is_missed():
    times = {"ours": race.Time([0.2, 0.3, 0.25], 10.0), "floor": race.Time([0.2, 0.2], 0.0)}
    text = run.race_table("update", times, "floor", {"ours": 1.2})
    row = "| ours | 250.0 ms | 200.0 to 300.0 ms | 10 MB | 1.25 | **at most 1.2** |"
    assert row in text.splitlines()


def test_contestants_take_turns():
    own = run.settings(1, hidden=20, batch=4, steps=30)
    runners = {"ours": ("updates", own), "floor": ("products", own | {"at_once": True})}
    times = race.race(runners, 2)
    assert all(len(one.seconds) == 2 and min(one.seconds) > 0 for one in times.values())


def test_ways_to_the_same_update_agree():
    # 2 x 24 numbers a step, a multiple of 16: then torch draws the same by steps and by blocks
    own = run.settings(1, hidden=24, batch=4, steps=30, dt=0.01)
    ours, loop = contestants.updates(own), contestants.loops(own | {"anew": True})
    assert [ours() for _ in range(3)] == pytest.approx([loop() for _ in range(3)], rel=1e-4)
