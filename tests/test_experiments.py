"""Trainings in parallel, tables of what they made, experiments on small networks, benchmarks."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import train
from benchmarks import contestants
from benchmarks import run as benchmark
from experiments import ablations, extend_cue_range, recipe_picture, seeds, tables
from zrnn import configuration
from zrnn.checkpoints import save_checkpoint
from zrnn.errors import UserError
from zrnn.evaluate import CLICKS, REST, Criterion, Evaluation, PeriodStatistics
from zrnn.training import refinement

HOME = Path(__file__).parents[1]
SIZES = contestants.Settings(
    hidden=24, batch=4, steps=30, dt=0.01, repeat=1, device="cpu", threads=1
)


def evaluation(errors, slope, met=True):
    """That of a network with these ITI errors at 0.25 and 0.5 s, a CV of 1 % at 0.25 s, a slope."""
    statistics = []
    for condition in (CLICKS, REST):
        for period, error in zip((0.25, 0.5), errors, strict=True):
            mean = period * (1 + error)
            sd = 0.01 * 0.25 * (1 + errors[0]) * (mean / (0.25 * (1 + errors[0]))) ** slope
            numbers = (10, 10, mean, sd, sd / mean, error, 0, 0, 1.0, 0.5, 0.0, 0)
            statistics.append(PeriodStatistics(condition, period, *numbers))
    return Evaluation(statistics, [Criterion("ITI error", "0.1 %", "at most 0.3 %", met)])


def test_tables_over_networks():
    networks = {
        "seed0": evaluation((0.001, 0.002), 0.9),
        "seed1": evaluation((0.003, -0.004), 1.1, False),
    }
    text = tables.report(networks)
    assert text.startswith("1 of 2 networks meet every target")
    slow, fast = tables.tempo_table(networks).splitlines()[2:]
    assert slow.startswith("| 0.500 s | -0.8 % | -0.10 ± 0.42 % | -0.40 % | -0.40 % |")
    assert fast.startswith(
        "| 0.250 s | +2.4 % | +0.20 ± 0.14 % | +0.30 % | +0.30 % | 1.00 ± 0.00 %"
    )
    # Student's t of one degree of freedom at 97.5 %, 12.706, times the standard error 0.1
    assert "1.00, 95 % interval -0.27 to 2.27 (2 networks)" in text
    assert "|  | ITI error |" in text and "| target | at most 0.3 % |" in text
    assert "| seed0 | 0.1 % |\n| seed1 | **0.1 %** |" in text


def test_a_network_without_a_beat_is_not_averaged_away():
    networks = {
        "seed0": evaluation((0.001, 0.002), 1.0),
        "seed1": evaluation((0.001, np.nan), 1.0),
    }
    slow = tables.tempo_table(networks).splitlines()[2]
    assert "+0.20 % (1 of 2)" in slow and "| lost | lost |" in slow


def test_a_table_fills_the_cells_that_a_row_lacks():
    text = tables.markdown([{"a": "1"}, {"a": "2", "b": "3"}])
    assert text == "| a | b |\n| --- | --- |\n| 1 |  |\n| 2 | 3 |"


def test_an_evaluation_of_another_version_is_refused(tmp_path, make_oscillator):
    for about in ({}, {"evaluation": {"statistics": [{}], "criteria": []}}):
        save_checkpoint(tmp_path / "old.pth", make_oscillator(), **about)
        with pytest.raises(UserError, match="no evaluation of this version"):
            tables.read_evaluation(tmp_path / "old.pth")


def test_seeds_of_a_range():
    assert list(seeds.seeds_of("0..3")) == [0, 1, 2, 3] and list(seeds.seeds_of("7")) == [7]


@pytest.mark.parametrize("text", ["0-3", "..3", "0..", "0..x", "5..3", "0..99999999999", "-1", ""])
def test_seeds_that_are_none_are_refused(text):
    with pytest.raises(UserError, match="--seeds"):
        seeds.seeds_of(text)


def test_complete_networks_are_skipped_and_failed_ones_named(tmp_path, quick, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = quick | {"training.epochs": 2}
    train.main(device="cpu", **flags, **{"training.save_path": "complete.pth"})
    capsys.readouterr()
    networks = {"bad": flags | {"model.hidden_dim": 1}, "complete": flags}
    assert seeds.train_all([tmp_path], networks, 2) == (tmp_path, ["complete"])
    printed = capsys.readouterr().out
    assert "1 to train, 1 complete" in printed and "bad: error: model.hidden_dim is 1" in printed
    for words, jobs in (([], 1), ([tmp_path, "more"], 1), ([tmp_path], 0)):
        with pytest.raises(UserError, match="one folder"):
            seeds.train_all(words, networks, jobs)
    with pytest.raises(UserError, match="complete.pth was trained with training.epochs 2, not 3"):
        seeds.train_all([tmp_path], {"complete": flags | {"training.epochs": 3}}, 1)


def test_seeds_end_with_tables(tmp_path, quick, capsys):
    flags = quick | {"training.epochs": 3, "check.enable": True, "drive.keep_seconds": 1}
    flags |= {"check.noise_runs": 1, "check.untrained_periods": 3, "check.untrained_runs": 1}
    seeds.main(str(tmp_path), seeds="3", **flags)
    printed = capsys.readouterr().out
    assert "0 of 1 networks meet every target" in printed and "**0/7 beat" in printed
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {f"ZemlianovaRNN_seed3.{suffix}" for suffix in ("pth", "csv", "txt")}


def test_networks_that_could_not_be_trained_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(seeds, "train_all", lambda words, networks, jobs: (tmp_path, []))
    with pytest.raises(UserError, match="2 of 2 networks could not be trained"):
        seeds.main(str(tmp_path), seeds="3..4")
    with pytest.raises(UserError, match="--training.seed has no effect here"):
        seeds.main(str(tmp_path), seeds="3..4", **{"training.seed": 5})


def test_a_task_of_a_job_array_continues_when_it_is_requeued(tmp_path, quick):
    flags = quick | {"training.epochs": 400, "training.save_seconds": 0}
    words = [f"--{key}={value}" for key, value in flags.items()]
    state = tmp_path / "ZemlianovaRNN_seed5.pth.state"

    def start():
        return subprocess.Popen(
            ["bash", "experiments/slurm_array.sh", tmp_path, *words],
            cwd=HOME,
            env=os.environ | {"SLURM_ARRAY_TASK_ID": "5", "PYTHON": sys.executable},
            stdout=subprocess.PIPE,
            text=True,
        )

    first = start()
    while not state.exists():
        assert first.poll() is None
        time.sleep(0.1)
    first.send_signal(signal.SIGTERM)
    assert first.wait() == 128 + signal.SIGTERM and state.exists()
    for printed in ("1 to train, 0 complete", "0 to train, 1 complete"):
        task = start()
        assert printed in task.communicate()[0] and task.returncode == 0
    assert {path.suffix for path in tmp_path.iterdir()} == {".pth", ".csv", ".txt"}


def test_every_variant_names_keys_that_are_there():
    for flags in [*ablations.VARIANTS.values(), *recipe_picture.PARTS.values()]:
        keys = dict(flags)
        configuration.load(keys.pop("config_path", None), keys)


def test_variants_are_chosen_by_a_word(tmp_path, monkeypatch):
    chosen = []
    monkeypatch.setattr(
        seeds, "train_all", lambda words, networks, jobs: (chosen.extend(networks), [])
    )
    ablations.main(str(tmp_path), only="vanilla")
    assert chosen == ["vanilla RNN", "vanilla RNN with noise"]
    with pytest.raises(UserError, match="--only is 'banana'"):
        ablations.main(str(tmp_path), only="banana")


def test_the_accurate_range_is_unbroken():
    cues, errors = np.array([0.1, 0.2, 0.4, 0.8, 1.6]), np.array([0.0, 0.02, 0.001, -0.005, np.nan])
    assert extend_cue_range.accurate_range(cues, errors, 0.4) == (0.4, 0.8)
    assert extend_cue_range.accurate_range(cues, 0 * cues, 0.4) == (0.1, 1.6)


@pytest.mark.parametrize("worst, lost", [(0.001, True), (-0.02, False), (-0.001, False)])
def test_what_loses_a_cycle_or_leaves_an_error_is_undone(make_oscillator, worst, lost):
    model = make_oscillator()
    before = model.w_hh.clone()

    def steps():
        with torch.no_grad():
            model.w_hh.add_(1.0)
        yield refinement.Progress(0.001, np.array([worst, 0.0]))
        if lost:
            raise refinement.LostCycle("gone")

    kept = abs(worst) < extend_cue_range.TOLERANCE and not lost
    assert extend_cue_range.is_kept(model, steps()) == kept
    assert torch.equal(model.w_hh, before) != kept


def test_a_benchmark_marks_a_missed_target(monkeypatch):
    times = {"this project": ([0.2, 0.3, 0.26], 10.0), "floor": ([0.2, 0.2], 0.0)}
    monkeypatch.setattr(contestants, "race", lambda *arguments: times)
    row = "| this project | 260.0 ms | 200.0 to 300.0 ms | 10 MB | 1.30 | **at most 1.25** |"
    assert row in benchmark.race_table({}, SIZES, 3).splitlines()


def test_contestants_take_turns():
    functions = {"update": contestants.update}
    functions["floor"] = partial(contestants.products, at_once=True)
    for seconds, memory in contestants.race(functions, SIZES, 2).values():
        assert len(seconds) == 2 and min(seconds) > 0 and memory >= 0


def test_a_contestant_that_fails_is_named():
    with pytest.raises(UserError, match="wrong cannot be timed"):
        contestants.race({"wrong": len}, SIZES, 1)


def test_a_script_that_fails_is_named(tmp_path):
    with pytest.raises(UserError, match="nothing.py"):
        benchmark.measure_script(tmp_path, "nothing.py")


def test_a_benchmark_of_scripts_tells_the_parts_of_the_training(monkeypatch):
    def measure(folder, script, *words):
        if script.name == "train.py":
            (Path(folder) / "training_log.csv").write_text(
                "part,seconds\ndescent,1.5\ndescent,9.2\n"
            )
        return (2.5, 90.0) if "--help" in words else (12.0, 345.0)

    monkeypatch.setattr(benchmark, "measure_script", measure)
    lines = benchmark.script_table().splitlines()
    assert "| train | **2.5 s** | 12.0 s | 345 MB |" in lines
    assert "| train, end of descent |  | 9.2 s |  |" in lines


def test_the_loop_makes_the_same_update():
    # 2 x 24 numbers a step, a multiple of 16: then torch draws the same by steps and by blocks
    ours = contestants.update(SIZES)
    loop = contestants.autograd_loop(SIZES, make_w_once=False)
    assert [ours() for _ in range(3)] == pytest.approx([loop() for _ in range(3)], rel=1e-4)
