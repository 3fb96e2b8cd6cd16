"""What people do with it: data of their own, shared folders, full disks. Nothing silently wrong."""

import errno
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import compare
import models
import plot_cue_range
import train
from zrnn import checkpoints, configuration, figures, files, simulate, taps
from zrnn.errors import UserError
from zrnn.training.start import warning
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
    with pytest.raises(UserError, match="afile/x: cannot be written"):
        plot_cue_range.main(device="cpu", **{"cue_range.folder": "afile/x"})
    Path(".lock-out").touch()
    monkeypatch.setattr(files.os, "access", lambda *args: False)
    with pytest.raises(UserError, match="lock-out: is another user's; remove it"):
        plot_cue_range.main(device="cpu", **{"cue_range.folder": "out"})


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


def test_periods_that_were_not_learned_are_told_before_the_training():
    slow = {"training.periods": [1.0, 0.5]}
    assert "1 s; with this cue_constant" in warning(configuration.load(flags=slow))
    assert warning(configuration.load()) is None
    assert warning(configuration.load(flags=slow | {"training.start": "a.pth"})) is None


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
