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
        "period_s cue trained result taps mean_iti_s sd_iti_s cv error_percent missed extra "
        "output_file taps_file hidden_states_file".split()
    )
    assert rows[0]["result"] == "no beat: " + tapping.describe_beat(times, 3000, dt, 0.5).reason


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


def test_figure_1_of_the_oscillator_and_of_a_silent_network(save, make_oscillator, capsys):
    for model, n_beating in ((make_oscillator(), 1), (silent_network(), 0)):
        save(model)
        drive_script.main(**SHORT, **{"plotting.enable": False})
        capsys.readouterr()
        plot_fig1.main()
        assert capsys.readouterr().out.count("configuration") == 1
        kept = np.load("fig1_plotting/PCA_and_model_activity_stats.npz")
        assert kept["path_0.5"].shape == (3000, 3)
        beating = [name for name in kept.files if name.startswith("lengths_")]
        assert len(beating) == kept["ok"][kept["trained"]].sum() >= n_beating
        assert bool(beating) == bool(n_beating)


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


def edit(path, old, new):
    """Replace bytes by as many others."""
    content = path.read_bytes()
    assert len(old) == len(new) and old in content
    path.write_bytes(content.replace(old, new))


def test_figure_1_of_a_damaged_drive_ends_in_one_line(save, make_oscillator, recwarn):
    save(make_oscillator())
    drive_script.main(**SHORT, **{"plotting.enable": False})
    folder = Path("model_outputs")
    names = "made_by.json summary.csv config.yaml hidden_states_0.5.npy peaks_0.2.npy".split()
    whole = {name: (folder / name).read_bytes() for name in names}
    states = np.load(folder / "hidden_states_0.5.npy")
    damages = [lambda path=folder / name: path.write_bytes(b"") for name in names]
    damages += [lambda path=folder / n: path.write_bytes(path.read_bytes()[:-9]) for n in names]
    damages += [(folder / name).unlink for name in names]
    damages += [
        lambda content=content: (folder / "made_by.json").write_text(content)
        for content in ("[]", "{}", '{"sha256": 1, "files": {}}', "null", "\x00")
    ]
    damages += [
        lambda: edit(folder / "made_by.json", b'"summary.csv": ', b'"summary.csv":x'),
        lambda: edit(folder / "summary.csv", b"0.5,0.2,", b"0.5;0.2,"),
        lambda: edit(folder / "summary.csv", b",True,", b",Xrue,"),
        lambda: edit(folder / "summary.csv", b"hidden_states_0.5.npy", b"hidden_states_0.7.npy"),
        lambda: edit(folder / "config.yaml", b"cue_constant: 0.1", b"cue_constant: [ ]"),
        lambda: edit(folder / "hidden_states_0.5.npy", b"NUMPY", b"NUMPX"),
        lambda: edit(folder / "hidden_states_0.5.npy", b"'<f4'", b"'|O4'"),
        lambda: edit(folder / "hidden_states_0.5.npy", b"{'des", b"{'d(("),
        lambda: np.save(folder / "hidden_states_0.5.npy", np.full_like(states, np.nan)),
    ]
    for damage in damages:
        damage()
        with pytest.raises(UserError) as caught:
            plot_fig1.main()
        assert "\n" not in str(caught.value) and "model_outputs" in str(caught.value)
        for name, content in whole.items():
            (folder / name).write_bytes(content)
    assert not recwarn.list


def test_the_legend_of_a_driven_output_covers_no_beat():
    output = (1 + np.cos(2 * np.pi * np.arange(5000) / 200)) / 2
    figure = drive_script.output_picture(0.001)(output, np.arange(200, 5000, 200), "")
    figure.canvas.draw()
    (axes,) = figure.axes
    assert axes.get_legend().get_window_extent().x0 > axes.get_window_extent().x1
    figures.plt.close(figure)


COMPARED = {"cue_range.n_cues": 3, "cue_range.keep_seconds": 3, "check.untrained_periods": 3}


@pytest.fixture
def short_comparison(monkeypatch):
    monkeypatch.setattr(compare, "KEEP_SECONDS", 3.0)
    monkeypatch.setattr(compare, "RUNS", 1)


def test_cue_range_and_comparison(save, make_oscillator, short_comparison, capsys):
    save(make_oscillator(), "runs/mine/best_model.pth")
    save(silent_network(), "other.pth")
    plot_cue_range.main(checkpoint="other.pth", **COMPARED)
    assert "0 of 3 cues beat" in capsys.readouterr().out
    compare.main("mine", "other.pth", **COMPARED)
    lines = capsys.readouterr().out.splitlines()
    named = [line for line in lines if line.startswith("network:")]
    assert named == ["network: runs/mine/best_model.pth", "network: other.pth"]
    rows = {line.split()[0]: line for line in lines if line and not line.startswith(" ")}
    assert rows["mine"].endswith("0.05 to 1.30") and rows["other"].endswith("nan to nan")
    numbers = json.loads((Path("comparison") / "comparison.json").read_text())
    assert numbers["mine"]["range"] == [0.05, 1.3]
    with pytest.raises(UserError, match="nobody: allowed: a checkpoint"):
        compare.main("mine", "nobody", **COMPARED)
    with pytest.raises(UserError, match="no network"):
        compare.main()


def test_a_comparison_with_a_name_goes_to_its_folder(save, make_oscillator, short_comparison):
    save(make_oscillator(), "a.pth")
    compare.main("a.pth", name="first", **COMPARED)
    assert Path("runs/first/comparison/comparison.png").exists()
    assert not Path("comparison").exists()
    made_by = Path("runs/first/comparison/made_by.yaml").read_text()
    assert "# a: a.pth, sha256 " in made_by and "# torch: " in made_by
    with pytest.raises(UserError, match="name is a/b"):
        compare.main("a.pth", name="a/b", **COMPARED)


def test_a_network_may_be_named_like_a_formula_and_given_thrice(
    save, make_oscillator, short_comparison
):
    save(make_oscillator(), "$\\frac$.pth")
    compare.main(*["$\\frac$.pth"] * 3, **COMPARED)
    numbers = json.loads(Path("comparison/comparison.json").read_text())
    names = ["$\\frac$", "$\\frac$.pth", "$\\frac$.pth (2)"]
    assert list(numbers) == names
    kept = np.load("comparison/comparison.npz")
    assert all(len(kept[f"{name} cue"]) == 3 for name in names)
