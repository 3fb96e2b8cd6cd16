"""What people do with it: data of their own, shared folders, full disks. Nothing silently wrong."""

import errno
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch

import compare
import drive_model_and_save_outputs as drive_script
import models
import plot_cue_range
import plot_fig1
import train
from zrnn import checkpoints, configuration, figures, files, simulate, stimuli, taps
from zrnn.errors import UserError
from zrnn.training.start_or_resume import notes
from zrnn.training.state import TrainingRun


@pytest.fixture
def model():
    section = configuration.load(flags={"model.hidden_dim": 10, "model.dt": 0.01}).model
    return models.build_model(generator=torch.Generator().manual_seed(0), **dict(section))


@pytest.fixture
def saved(model, tmp_path, monkeypatch):
    """saved(name, **changes): the file of a small network, in the current folder."""
    monkeypatch.chdir(tmp_path)

    def saved(name="best_model.pth", **changes):
        flags = {"model.hidden_dim": 10, "model.dt": 0.01}
        config = configuration.plain(configuration.load(flags=flags))
        checkpoints.save_checkpoint(name, model, **{"config": config} | changes)
        return Path(name)

    return saved


def test_higher_derivatives_are_refused_with_what_to_do(model):
    inputs = torch.full((1, 4, 2), 0.4)
    for transform in (torch.func.jacrev, torch.func.vmap):
        with pytest.raises(RuntimeError, match="loop over model.step"):
            transform(lambda u: model(u[None] if u.ndim == 2 else u)[0])(inputs)


def test_arrays_of_any_type_are_taken_and_other_shapes_refused(model):
    inputs, xi = np.full((2, 5, 2), 0.4), np.ones((2, 5, 10))
    state = np.full((2, 10), 0.1)
    expected = model(torch.tensor(inputs).float(), torch.tensor(state).float(), torch.tensor(xi))
    assert torch.equal(model(inputs, state, xi)[0], expected[0])
    assert np.allclose(simulate.run(model, inputs, xi, state).outputs, expected[0].detach()[..., 0])
    for wrong in (inputs[0], inputs[..., :1]):
        with pytest.raises(ValueError, match=r"allowed: \(B, T, 2\)"):
            model(wrong)
    with pytest.raises(ValueError, match=r"allowed: \(T,\)"):
        taps.find_taps(np.zeros((5, 1)), 0.001)


@pytest.mark.parametrize("discard", [0, 7, 300, 450, 500])
def test_states_of_every_few_steps(model, discard):
    inputs = torch.full((60, 450, 2), 0.4)
    every_one = simulate.run(model, inputs, 0, discard=discard, keep_states=True).states
    assert every_one.shape == (60, max(450 - discard, 0), 10)
    few = simulate.run(model, inputs, 0, discard=discard, keep_states=7).states
    assert np.array_equal(few, every_one[:, ::7])


@pytest.mark.parametrize("wrong", [{"periods": [0.5, np.nan]}, {"periods": [-1]}, {"onset": 50}])
def test_times_that_cannot_be_are_refused(wrong):
    task = configuration.load().task
    with pytest.raises(UserError, match="allowed"):
        simulate.driving_inputs(
            **{"periods": [0.5], "seconds": 1, "dt": 0.01, "task": task} | wrong
        )


def test_a_replaced_file_is_private_while_it_is_written_and_a_folder_stays_so(tmp_path):
    path, folder = tmp_path / "a.txt", tmp_path / "out"
    path.touch(0o600)
    with files.replacing(path) as part:
        part.write_text("new")
        assert part.stat().st_mode & 0o777 == 0o600
    folder.mkdir(0o700)
    for _ in range(2):
        with files.replacing_folder(folder, {}) as part:
            (part / "b.txt").write_text("b")
        (folder / "b.txt").chmod(0o600)
        assert folder.stat().st_mode & 0o777 == 0o700
    with files.replacing_folder(folder, {}) as part:
        (part / "b.txt").write_text("b")
    assert (folder / "b.txt").stat().st_mode & 0o777 == 0o600


def test_file_systems_without_permissions_and_without_fsync_of_a_folder(tmp_path, monkeypatch):
    def refuse(*args):
        raise PermissionError(errno.EPERM, "not permitted")

    monkeypatch.setattr(files.os, "fsync", refuse)
    monkeypatch.setattr(files.shutil, "copymode", refuse)
    for text in ("old", "new"):
        with files.replacing(tmp_path / "a.txt") as part:
            part.write_text(text)
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_folder_of_the_name_of_a_result_is_not_replaced(tmp_path):
    with files.replacing_folder(tmp_path / "out", {}) as part:
        (part / "beat.wav").touch()
    (tmp_path / "out" / "beat.wav").unlink()
    (tmp_path / "out" / "beat.wav").mkdir()
    with (
        pytest.raises(UserError, match="holds beat.wav"),
        files.replacing_folder(tmp_path / "out", {}),
    ):
        pass


def test_a_folder_that_cannot_be_written_is_noticed_before_the_work(saved, monkeypatch):
    saved()
    monkeypatch.setattr(plot_cue_range.evaluate, "beats_at_cues", None)  # the work
    Path("afile").touch()
    with pytest.raises(UserError, match="afile/x/made_by.yaml: cannot be written"):
        plot_cue_range.main(device="cpu", **{"cue_range.folder": "afile/x"})


def test_compare_reads_all_networks_before_it_drives_one(saved, monkeypatch):
    saved("a.pth")
    Path("b.pth").touch()
    monkeypatch.setattr(compare, "drive", None)
    with pytest.raises(UserError, match="checkpoint b.pth: cannot be read"):
        compare.main("a.pth", "b.pth", device="cpu")


def test_json_has_no_nan(tmp_path):
    numbers = {"a": {"b": [np.nan, np.float64(1), np.arange(2), (np.inf, True, None, Path("c"))]}}
    figures.save_results(tmp_path, "", {}, "png", numbers=numbers)
    found = json.loads((tmp_path / "a.json").read_text())
    assert found == {"b": [None, 1.0, [0, 1], [None, True, None, "c"]]}


def test_a_state_of_another_kind_is_refused(saved, model):
    run = TrainingRun(model, torch.Generator(), torch.Generator(), 0.99)
    for config in (None, [1], {"model": 3}, {3: 4}, {"model": {"hidden_dim": -3}}):
        run.log = [{"part": "descent"}]
        run.save("best_model.pth.state", config, "cpu")
        with pytest.raises(UserError, match="configuration"):
            train.main(device="cpu", resume=True)


@pytest.mark.parametrize("keys", [("epoch", "model_state_dict"), ("module.w_ih", "module.w_hh")])
def test_other_people_s_checkpoints_are_refused_by_their_keys(keys, tmp_path):
    torch.save(dict.fromkeys(keys, torch.zeros(2, 2)), tmp_path / "a.pth")
    with pytest.raises(UserError, match=f"keys: {', '.join(keys)}"):
        models.load_network(tmp_path / "a.pth")


def test_what_may_fail_is_told_before_the_training():
    slow = {"training.periods": [1.0, 0.5]}
    trial, cues = notes(configuration.load(flags=slow))
    assert "2 s holds fewer than 4 of the longest" in trial and "of 0.1 to 0.2;" in cues
    for key, value in (("model.excit_percent", 0.9), ("model.hidden_dim", 1000)):
        (note,) = notes(configuration.load(flags={key: value}))
        assert "more than 500 units, or more than 0.8 of them excitatory" in note
    for name in ("config", "configs/small", "configs/human", "configs/human_small"):
        assert not notes(configuration.load(Path(train.__file__).parent / f"{name}.yaml"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_standard_output_ends_nothing():
    command = [sys.executable, Path(train.__file__).with_name("plot_fig3.py"), "--help"]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert "standard output is full" in ended.stderr and ended.returncode == 1


def test_a_single_period(saved):
    saved()
    flags = {"training.periods": "[0.5]", "cue_range.n_cues": "3", "cue_range.keep_seconds": "1"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_cue_range.main(device="cpu", **flags)
    found = json.loads(Path("cue_range_plotting/ITI_against_cue.json").read_text())
    assert [row["mean_iti"] for row in found["cues"]] == [None] * 3


ONSETS = {
    "missing": (None, "No such file"),
    "empty": ("", "at least two"),
    "words": ("a\nb\n", "could not convert string 'a'"),
    "milliseconds": ("500\n1000\n1500\n", "in seconds?"),
    "descending": ("0.5\n0.2\n0.9\n", "ascending"),
    "negative": ("-0.5\n0.2\n", "from 0 on"),
    "not finite": ("0.5\nnan\n", "from 0 on"),
    "too close": ("0.5\n0.51\n", "at least 0.02 s apart"),
    "decimal commas": ("1,25\n2,50\n", "could not convert string '1,25'"),
    "columns": ("0.5 0.4\n0.9 0.4\n", "two numbers in a line"),
    "cues": ("onset_s,cue\n0.5,1e9\n0.9,0.4\n", "cues of -100 to 100"),
    "without a cue": ("onset_s,cue\n0.5,0.4\n0.9,\n", "could not convert string ''"),
}


@pytest.mark.parametrize("content, words", ONSETS.values(), ids=ONSETS)
def test_wrong_onsets_are_refused_in_one_line(content, words, tmp_path):
    path = tmp_path / "onsets.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=re.escape(words)) as refused:
        stimuli.read_onsets(path, 0.02)
    assert str(refused.value).startswith(f"onsets {path}: ") and "\n" not in str(refused.value)


def test_columns_of_onsets_are_found_by_their_names(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('"subject, session", "onset_s",tap_s\n"#1, 1",0.1,0.15\n"#1, 2",0.4,0.47\n')
    assert stimuli.read_onsets(path, 0.02)[0].tolist() == [0.1, 0.4]


def test_onsets_of_ones_own_are_driven(saved, monkeypatch):
    """Of a network that copies its clicks 30 ms later, and whose cue is where the file says."""
    saved()
    given = []

    def copy_clicks(model, inputs, noise, on_steps):
        given.append(inputs)
        clicks = torch.cat([torch.zeros(len(inputs), 3), inputs[:, :-3, 0]], 1)
        return simulate.Run((clicks + 0.0).numpy(), None, None)

    monkeypatch.setattr(drive_script.simulate, "run", copy_clicks)
    Path("a.csv").write_text("\ufeffwho,onset_s,cue\nx,0.1,0.4\nx,0.5,0.4\nx,0.7,0.8\n")
    flags = {"drive.discard_seconds": 0, "drive.onset": 0, "drive.keep_seconds": 1}
    drive_script.main(device="cpu", **flags | {"drive.onsets": "a.csv"})
    clicks, cue = given[0][0].T
    assert np.flatnonzero(clicks).tolist() == [10, 50, 70] and len(clicks) == 270
    assert (cue[:10] == 0).all() and (cue[10:70] == 0.4).all() and (cue[70:] == 0.8).all()
    assert np.load("model_outputs/peaks_onsets.npy").tolist() == [13, 53, 73]
    summary = Path("model_outputs/summary.csv").read_text().splitlines()
    assert summary[0] == (
        "stimulus,taps,clicks,clicks_without_tap,asynchrony_mean_ms,asynchrony_sd_ms"
    )
    stimulus, *counts, mean, sd = summary[1].split(",")
    assert (stimulus, *counts) == ("onsets", "3", "3", "0")
    assert abs(float(mean) - 30) < 1e-6 and abs(float(sd)) < 1e-6
    with pytest.raises(UserError, match="model_outputs: of a drive with onsets; run python drive_"):
        plot_fig1.main()

    Path("b.txt").write_text("0.1\n0.5\n")
    drive_script.main(device="cpu", **flags | {"drive.onsets": "b.txt"})
    periods = configuration.load().training.periods
    assert np.allclose(given[1][:, -1, 1], [0.1 / period for period in periods])
    assert {f"peaks_onsets_{p}.npy" for p in periods} < set(os.listdir("model_outputs"))


TOOLS = Path(train.__file__).parent / "docs" / "other_tools.md"


def test_other_tools(model, tmp_path, monkeypatch):
    """The examples of the page, in turn; what they make has the shapes that they promise."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(models, "load_network", lambda path=None: model)
    for name in ("xarray", "DSA"):
        try:
            __import__(name)
        except ImportError:
            monkeypatch.setitem(sys.modules, name, MagicMock())
    Path("fig1_plotting").mkdir()
    arrays = {f"path_{p}": np.zeros((5, 3)) for p in (0.5, 0.25)} | {"5a_0": np.ones(2)}
    np.savez("fig1_plotting/PCA_and_model_activity_stats.npz", **arrays)
    Path("model_outputs").mkdir()
    for period in (0.5, 0.25, 0.125):
        np.save(f"model_outputs/hidden_states_{period}.npy", np.zeros((6, 1, 10)))

    class Environment:
        """Three steps of clicks 0 and cue 0.4."""

        def reset(self, seed):
            self.outputs = []
            return np.array([0, 0.4]), {}

        def step(self, action):
            self.outputs.append(action)
            return np.array([0, 0.4]), 0.0, len(self.outputs) == 3, False, {}

    page = TOOLS.read_text(encoding="utf-8")
    names = {"env": Environment(), "__name__": "page"}
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        assert sum(bool(line.strip()) for line in code.splitlines()) <= 8
        exec(code, names)

    assert type(names["zemlianova"].load_network()).__name__ == "ZemlianovaRNN"
    assert np.allclose(names["onsets"], stimuli.read_onsets("step.csv", 0.02)[0])
    inputs = torch.tensor([[[0.0, 0.4]]]).expand(2, 3, 2)
    outputs, currents = model(inputs)
    state = torch.zeros(1, 2, 10)
    for t in range(3):
        output, state = names["rnn"](inputs[:, t : t + 1], state)
    assert torch.allclose(output, outputs[:, 2:]) and torch.allclose(state[0], currents[:, 2])
    assert np.allclose(names["env"].outputs, outputs[0].detach())
    legal = set(names["legal"])
    assert legal == {"path_0_5", "path_0_25", "x_5a_0", "periods", "path"}
    assert names["legal"]["path"].shape == (2, 5, 3)
    assert [paths.shape for paths in names["paths"]] == [(3, 400, 10)] * 2


def test_a_start_of_another_kind_and_keys_without_effect_are_refused(saved, quick, monkeypatch):
    quick |= {"model.hidden_dim": 10, "training.start": "a.pth", "training.epochs": 1}
    section = configuration.load(flags={"model.hidden_dim": 10, "model.excit_percent": 0.5}).model
    other = models.build_model(**dict(section))
    checkpoints.save_checkpoint(saved("a.pth"), other)
    with pytest.raises(UserError, match="training.start is a.pth: has other"):
        train.main(device="cpu", **quick)
    vanilla = models.build_model(**dict(section) | {"type": "RNN"})
    checkpoints.save_checkpoint("rnn.pth", vanilla)
    with pytest.raises(UserError, match="model.sigma_rec has no effect on RNN"):
        models.load_network("rnn.pth", sigma_rec=0)
    assert models.load_network("rnn.pth", vanilla_sigma_rec=0.1).sigma_rec == 0.1
