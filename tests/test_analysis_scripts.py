"""The scripts that drive and look at networks, on a hand-made oscillator and a silent network."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import compare
import drive_model_and_save_outputs as drive_script
import models
import plot_cue_range
import plot_fig1
from zrnn import checkpoints, configuration, figures, simulate
from zrnn import taps as tapping
from zrnn.errors import UserError

CONFIG = configuration.load(flags={"model.hidden_dim": 25, "model.sigma_rec": 0.001})
SHORT = {"drive.keep_seconds": 3, "drive.extra_periods": 2}


@pytest.fixture
def save(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def save(model, path="best_model.pth"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        checkpoints.save_checkpoint(path, model, config=configuration.plain(CONFIG))

    return save


def silent_network():
    model = models.build_model(**dict(CONFIG.model))
    with torch.no_grad():
        model.b_hh.fill_(-1.0)
    return model.eval()


def test_extra_periods_are_distinct_and_bounded():
    periods = drive_script.extra_periods(100, [0.2, 0.25], 0)
    assert len(set(periods)) == 100 and periods == sorted(periods)
    assert 0.1 < periods[0] and periods[-1] <= 1.1 and not {0.2, 0.25} & set(periods)
    assert drive_script.extra_periods(0, [0.2], 0) == []
    with pytest.raises(UserError, match="drive.extra_periods is 2000; allowed: at most 99"):
        drive_script.extra_periods(2000, [0.2], 0)


def test_a_drive_in_blocks_is_the_run_as_a_whole(save, make_oscillator, monkeypatch):
    model = make_oscillator()
    save(model)
    drive_script.main(**SHORT, **{"model.sigma_rec": 0.0, "plotting.enable": False})
    trained, dt = CONFIG.training.periods, model.dt
    with open("model_outputs/summary.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    inputs = simulate.driving_inputs(trained, 5.0, dt, CONFIG.task, 2.0 - CONFIG.task.click_width)
    outputs, states = model(inputs)
    for i, period in enumerate(trained):
        output = np.load(f"model_outputs/valid_output_{period}.npy")
        np.testing.assert_allclose(output, outputs[i, 2000:, 0].detach(), atol=1e-4)
        hidden = np.load(f"model_outputs/hidden_states_{period}.npy")
        np.testing.assert_allclose(hidden[:, 0], states[i, 2000:].detach(), atol=1e-4)
        times, rounded = tapping.find_taps(output, dt), np.load(f"model_outputs/peaks_{period}.npy")
        assert rounded.dtype.kind == "i" and np.abs(times - rounded).max() <= 0.5
        assert float(rows[i]["mean_iti_s"]) == np.diff(times).mean() * dt
    assert [row["trained"] for row in rows] == ["True"] * 7 + ["False"] * 2
    assert list(rows[0]) == (
        "period_s cue trained verdict taps mean_iti_s sd_iti_s cv error_percent missed extra "
        "output_file taps_file hidden_states_file".split()
    )
    assert rows[0]["verdict"] == "no beat: " + tapping.describe_beat(times, 3000, dt, 0.5).reason


def test_memory_of_a_drive_does_not_grow_with_its_length(make_oscillator, tmp_path, monkeypatch):
    model, seen = make_oscillator(), []
    whole = simulate.constant_cues([0.5, 0.4], 10**9)  # 16 GB if it were laid out
    monkeypatch.setattr(simulate, "constant_cues", lambda cues, n: whole[:, :n])
    stream = simulate.stream

    def watched(model, inputs, *args):
        seen.append(inputs.untyped_storage().nbytes())
        yield from stream(model, inputs, *args)

    monkeypatch.setattr(simulate, "stream", watched)
    config = configuration.load(flags={"model.hidden_dim": 25, "drive.keep_seconds": 2})
    drive_script.drive_into(tmp_path, model, [0.2, 0.25], 1, config)
    assert seen[-1] < 100 and len(np.load(tmp_path / "valid_output_0.25.npy")) == 2000


def test_figure_1_of_the_oscillator_and_of_a_silent_network(save, make_oscillator, monkeypatch):
    panels = {}
    draw_lengths = plot_fig1.draw_lengths

    def watched(panel, trials, *args):
        panels["lengths"], panels["trials"] = panel, trials
        draw_lengths(panel, trials, *args)

    monkeypatch.setattr(plot_fig1, "draw_lengths", watched)
    for model, beats in ((make_oscillator(), True), (silent_network(), False)):
        save(model)
        drive_script.main(**SHORT, **{"plotting.enable": False})
        plot_fig1.main()
        assert panels["lengths"].axison == beats
        beating = [trial for trial in panels["trials"] if trial.lengths is not None]
        assert bool(beating) == beats
        kept = np.load("fig1_plotting/PCA_and_model_activity_stats.npz")
        assert kept["path_0.5"].shape == (3000, 3)
        assert kept["ok"][kept["trained"]].sum() == len(beating)


def test_figure_1_asks_for_a_whole_drive_of_this_network(save, make_oscillator):
    save(make_oscillator())
    with pytest.raises(UserError, match="run python drive_model_and_save_outputs.py"):
        plot_fig1.main()
    drive_script.main(**SHORT, **{"plotting.enable": False, "drive.hidden_states": "none"})
    with pytest.raises(UserError, match="--drive.hidden_states trained"):
        plot_fig1.main()
    save(silent_network())
    with pytest.raises(UserError, match="made from"):
        plot_fig1.main()


def test_the_legend_of_a_driven_output_covers_no_beat():
    output = (1 + np.cos(2 * np.pi * np.arange(5000) / 200)) / 2
    figure = drive_script.draw_output(output, np.arange(200, 5000, 200), 0.001, "")
    figure.canvas.draw()
    (axes,) = figure.axes
    assert axes.get_legend().get_window_extent().x0 > axes.get_window_extent().x1
    figures.plt.close(figure)


def test_cue_range_and_comparison(save, make_oscillator, monkeypatch, capsys):
    flags = {"cue_range.n_cues": 3, "cue_range.keep_seconds": 3, "check.untrained_periods": 3}
    monkeypatch.setattr(compare, "KEEP_SECONDS", 3.0)
    monkeypatch.setattr(compare, "RUNS", 1)
    save(make_oscillator(), "runs/mine/best_model.pth")
    save(silent_network(), "other.pth")
    plot_cue_range.main(checkpoint="other.pth", **flags)
    assert "0 of 3 cues beat" in capsys.readouterr().out
    compare.main("mine", "other.pth", **flags)
    lines = capsys.readouterr().out.splitlines()
    named = [line for line in lines if line.startswith("network:")]
    assert named == ["network: runs/mine/best_model.pth", "network: other.pth"]
    rows = {line.split()[0]: line for line in lines if line and not line.startswith(" ")}
    assert rows["mine"].endswith("0.05 to 1.30") and rows["other"].endswith("nan to nan")
    numbers = json.loads((Path("comparison") / "comparison.json").read_text())
    assert numbers["mine"]["range"] == [0.05, 1.3]
    with pytest.raises(UserError, match="nobody: allowed: a checkpoint"):
        compare.main("mine", "nobody", **flags)
    with pytest.raises(UserError, match="no network"):
        compare.main()
