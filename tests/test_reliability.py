"""A stopped run goes on as if nothing had been; whatever is wrong is refused in one line."""

import contextlib
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import drive_model_and_save_outputs as drive_script
import train
from zrnn.workshop import configuration, files
from zrnn.workshop.errors import UserError

HOME = Path(__file__).parents[1]
ONE_STAGE = {
    "model.dt": 0.01, "training.stage_dt": [0.01], "training.products": "float32",
    "training.learning_rate": 1e-3, "training.final_rate": 0.1, "training.noise_scale": 1,
    "training.silent_periods": 8,
    "training.batch_size": 2, "training.validation_trials": 2, "check.enable": False,
    "plotting.enable": False,
}  # fmt: skip
SMALL = ONE_STAGE | {
    "model.hidden_dim": 8, "training.epochs": 1, "training.trial_seconds": 0.4,
    "training.click_seconds": 0.2,
}  # fmt: skip
LONGER = ONE_STAGE | {
    "model.hidden_dim": 40, "training.epochs": 200, "training.trial_seconds": 2,
    "training.click_seconds": 1,
}  # fmt: skip
RUN = [text for key, value in LONGER.items() for text in (f"--{key}", value)]


def start(folder, name, *flags):
    command = [sys.executable, HOME / "train.py", "--training.save_path", name, *map(str, flags)]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


def wait_for(path):
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.05)
    raise TimeoutError(path)


def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path):
    whole = start(tmp_path, "whole.pth", *RUN, "--training.log_path", "whole.csv")
    stopped = start(tmp_path, "stopped.pth", *RUN, "--training.save_seconds", 0)
    wait_for(tmp_path / "stopped.pth.state")
    stopped.send_signal(signal.SIGTERM)
    assert "go on with --resume" in stopped.communicate()[1] and stopped.returncode == 143
    assert not (tmp_path / "stopped.pth").exists()

    other = start(tmp_path, "stopped.pth", "--resume", "--training.batch_size", 8)
    assert "training.batch_size is 8; allowed: 2" in other.communicate()[1]

    resumed = start(tmp_path, "stopped.pth", "--resume")
    time.sleep(2)
    resumed.kill()  # whenever that is
    resumed.communicate()
    if (tmp_path / "stopped.pth.state").exists():
        resumed = start(tmp_path, "stopped.pth", "--resume")
        assert resumed.communicate() and resumed.returncode == 0
    assert whole.communicate() and whole.returncode == 0
    a, b = weights(tmp_path / "whole.pth"), weights(tmp_path / "stopped.pth")
    assert all(torch.equal(a[key], b[key]) for key in a)
    logs = [
        (tmp_path / name).read_text().splitlines() for name in ("whole.csv", "training_log.csv")
    ]
    without_seconds = [[row.rpartition(",")[0] for row in log] for log in logs]
    assert without_seconds[0] == without_seconds[1]


def test_a_checkpoint_repeats_its_run(tmp_path):
    assert start(tmp_path, "a.pth", *RUN, "--training.epochs", 2).wait() == 0
    again = start(tmp_path, "b.pth", "--config_path", "a.pth")
    assert again.communicate() and again.returncode == 0
    a, b = weights(tmp_path / "a.pth"), weights(tmp_path / "b.pth")
    assert all(torch.equal(a[key], b[key]) for key in a)


def refused(folder, words, **flags):
    """The run is refused in one line that has the words, and leaves nothing behind."""
    before = sorted(folder.iterdir())
    with pytest.raises(UserError) as caught:
        train.main(device="cpu", **SMALL | flags)
    message = str(caught.value)
    assert words in message and "\n" not in message
    assert sorted(folder.iterdir()) == before


def test_a_run_that_diverges_stops(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("best_model.pth").write_text("the last good network")
    refused(tmp_path, "not finite at update", **{"model.sigma_rec": 1e38})
    assert Path("best_model.pth").read_text() == "the last good network"


def test_flags_without_a_value_and_a_state_that_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(tmp_path, "config_path is True", config_path=True)
    torch.save({"state_dict": {}, "config": configuration.load()}, "best_model.pth.state")
    refused(tmp_path, "not the state of a stopped run", resume=True)
    refused(tmp_path, "validation loss is not finite", **{"training.learning_rate": 1e30})


def test_two_runs_in_one_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with files.claimed("best_model.pth"):
        second = start(tmp_path, "best_model.pth", *RUN)
        error = second.communicate()[1]
    assert second.returncode == 2 and "another run is writing there" in error


@pytest.mark.parametrize(
    "text, words",
    [
        (None, "cannot be read"),
        ("", "empty"),
        ("model: [", "not YAML"),
        ("- 1", "not sections"),
        ("model: 3", "a section of keys"),
        ("model: {tua: 0.01}", "model.tau"),
        ("model: {tau: 0.01, tau: 0.02}", "stands twice"),
        ("model: {tau: fast}", "a number"),
        ("model: {tau: .nan}", "model.tau is nan"),
        ("model: {sigma_rec: .inf}", "model.sigma_rec is inf"),
        ("model: {excit_percent: 80}", "at most 1"),
        ("model: {dt: 0.02}", "at most model.tau"),
        ("task: {click_width: 0.0005}", "multiple of the step"),
        ("training: {trial_seconds: 1.0005}", "multiple of the step"),
        ("training: {periods: []}", "one or more"),
        ("training: {periods: [-0.5]}", "above 0"),
        ("training: {periods: [0.015]}", "two clicks"),
        ("training: {periods: [0.5, 0.5]}", "each period once"),
        ("training: {save_path: .}", "cannot be written"),
        ("training: {log_path: best_model.pth}", "not that of the network"),
        ("drive: {keep_seconds: 1.0005}", "multiple of the step"),
        ("drive: {onset: 3}", "at most drive.discard_seconds"),
    ],
)
def test_wrong_configurations(tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("own.yaml").write_text(text)
    small = {k: v for k, v in SMALL.items() if not text or k.split(".")[1] not in text}
    monkeypatch.setattr(sys.modules[__name__], "SMALL", small)
    refused(tmp_path, words, config_path="own.yaml")


class Code:
    def __reduce__(self):
        return os.mkdir, ("it_ran",)


def test_wrong_checkpoints(tmp_path, monkeypatch, recwarn):
    monkeypatch.chdir(tmp_path)
    shipped = (HOME / "pretrained" / "ZemlianovaRNN_seed4.pth").read_bytes()
    Path("empty.pth").write_bytes(b"")
    Path("cut.pth").write_bytes(shipped[:50_000])
    Path("text.pth").write_text("not a network")
    Path("code.pth").write_bytes(pickle.dumps(Code()))
    torch.save({"state_dict": {}, "code": Code()}, "code_in_zip.pth")
    torch.save([1, 2], "list.pth")
    torch.save({"w_hh": torch.zeros(3, 3)}, "small.pth")
    for name in "missing empty cut text code code_in_zip list small".split():
        with pytest.raises(UserError) as caught:
            drive_script.main(checkpoint=f"{name}.pth", device="cpu")
        assert str(caught.value).startswith("checkpoint") and "\n" not in str(caught.value)
    assert not recwarn.list
    assert not Path("it_ran").exists() and not Path("model_outputs").exists()


def drive(*flags):
    command = [sys.executable, HOME / "drive_model_and_save_outputs.py", "--checkpoint", "shipped"]
    short = "--drive.keep_seconds 3 --drive.extra_periods 0 --plotting.enable False".split()
    return subprocess.Popen([*command, *short, *flags], stdout=subprocess.PIPE, text=True)


def plot(*flags):
    command = [sys.executable, HOME / "plot_fig1.py", *flags]
    return subprocess.run(command, capture_output=True, text=True)


def test_outputs_are_of_one_drive(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert drive().wait() == 0
    before = {f.name: f.read_bytes() for f in Path("model_outputs").iterdir()}
    stopped = drive("--drive.keep_seconds", "100")
    wait_for(tmp_path / ".part-model_outputs")
    stopped.terminate()
    stopped.wait()
    assert stopped.returncode == 143
    assert {f.name: f.read_bytes() for f in Path("model_outputs").iterdir()} == before
    assert [f.name for f in tmp_path.iterdir()] == ["model_outputs"]

    other = HOME / "pretrained" / "ZemlianovaRNN_seed1.pth"
    done = plot("--checkpoint", str(other))
    assert done.returncode == 2 and "or name the network" in done.stderr
    assert done.stderr.count("\n") == 1
    os.truncate("model_outputs/hidden_states_0.5.npy", 1000)
    done = plot("--checkpoint", "shipped")
    assert done.returncode == 2 and "hidden_states_0.5.npy: missing or not whole" in done.stderr
    Path("model_outputs/made_by.json").unlink()
    assert "missing or damaged" in plot("--checkpoint", "shipped").stderr
    assert not Path("fig1_plotting").exists()


def test_a_drive_that_does_not_fit_does_not_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, HOME / "drive_model_and_save_outputs.py"]
    command += "--checkpoint shipped --drive.hidden_states all --drive.keep_seconds 9000".split()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "GB, free:" in done.stderr and not list(tmp_path.iterdir())


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["1e-3", "RNN", "bfloat16", [], [[1]], {}, {"a": 1}, 10**400, 1e-12, 1e300]),
    st.lists(st.floats(0, 1), max_size=6),
    st.floats(0.001, 1),
)
LONG = ("epochs", "hidden_dim", "batch_size", "validation_trials", "trial_seconds", "stage_dt")


@settings(
    max_examples=2000, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(st.dictionaries(st.sampled_from(sorted(configuration.RULES)), JUNK, min_size=1, max_size=2))
def test_any_configuration_trains_or_is_refused(tmp_path, monkeypatch, flags):
    for key, value in flags.items():
        large = isinstance(value, (int, float)) and not isinstance(value, bool) and value > 50
        tiny = key.endswith(("dt", "width")) and isinstance(value, float) and value < 1e-4
        assume(not (key.endswith(LONG) and large) and not tiny)  # valid, but takes hours
    monkeypatch.chdir(tmp_path)
    flags = SMALL | {"check.enable": False, "plotting.enable": False} | flags
    for key in ("check.enable", "plotting.enable"):
        assume(flags[key] is not True)  # minutes each
    with contextlib.suppressUserError:
        train.main(device="cpu", **flags)
        assert math.isfinite(
            torch.load(flags.get("training.save_path", "best_model.pth"))["updates"]
        )
        for file in tmp_path.iterdir():
            file.unlink()
    assert not list(tmp_path.iterdir())
