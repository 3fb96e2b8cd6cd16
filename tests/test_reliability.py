"""A stopped run goes on as if nothing had been; what is wrong is refused, and nothing is lost."""

import contextlib
import math
import os
import pickle
import signal
import time
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import drive_model_and_save_outputs as drive_script
import models
import train
from zrnn import checkpoints, files
from zrnn.configuration import load
from zrnn.errors import UserError
from zrnn.schema import KEYS
from zrnn.training import descent
from zrnn.training.descent import descend
from zrnn.training.state import TrainingRun

HOME = Path(__file__).parents[1]
SHIPPED = checkpoints.SHIPPED


def wait_for(folder, pattern):
    for _ in range(1200):
        if list(folder.glob(pattern)):
            return
        time.sleep(0.05)
    raise TimeoutError(pattern)


def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch, start, weights, quick):
    monkeypatch.chdir(tmp_path)

    def places(name):
        return {"training.save_path": f"{name}.pth", "training.log_path": f"{name}.csv"}

    flags = quick | places("stopped")
    whole = start("train.py", **quick | places("whole"))
    stopped = start("train.py", **flags, **{"training.save_seconds": 0})
    wait_for(tmp_path, "stopped.pth.state")
    stopped.send_signal(signal.SIGHUP)
    assert "go on with --resume" in stopped.communicate()[1]
    assert stopped.returncode == 128 + signal.SIGHUP and not (tmp_path / "stopped.pth").exists()

    with pytest.raises(UserError, match="training.batch_size is 8; allowed: 2"):
        train.main(device="cpu", resume=True, **places("stopped") | {"training.batch_size": 8})
    with pytest.raises(UserError, match="go on with it with --resume"):
        train.main(device="cpu", **flags)

    resumed = start("train.py", "--resume", **places("stopped"))
    time.sleep(2)
    resumed.kill()  # whenever that is
    resumed.communicate()
    if (tmp_path / "stopped.pth.state").exists():
        train.main(device="cpu", resume=True, **places("stopped"))
    assert whole.communicate() and whole.returncode == 0
    a, b = weights("whole.pth"), weights("stopped.pth")
    assert all(torch.equal(a[key], b[key]) for key in a)
    logs = [(tmp_path / f"{name}.csv").read_text().splitlines() for name in ("whole", "stopped")]
    without_seconds = [[row.rpartition(",")[0] for row in log] for log in logs]
    assert len(logs[0]) == 201 and without_seconds[0] == without_seconds[1]


def test_a_checkpoint_repeats_its_run_and_is_not_replaced_unasked(
    tmp_path, monkeypatch, weights, quick
):
    monkeypatch.chdir(tmp_path)
    quick |= {"training.epochs": 2, "training.save_path": "a.pth"}
    train.main(device="cpu", **quick)
    train.main("a.pth", device="cpu", **{"training.save_path": "b.pth"})
    a, b = weights("a.pth"), weights("b.pth")
    assert all(torch.equal(a[key], b[key]) for key in a)
    quick["training.seed"] = 1
    with pytest.raises(UserError, match="--overwrite"):
        train.main(device="cpu", **quick)
    assert torch.equal(a["w_hh"], weights("a.pth")["w_hh"])
    train.main(device="cpu", overwrite=True, **quick)
    assert not torch.equal(a["w_hh"], weights("a.pth")["w_hh"])


@pytest.fixture
def refused(tmp_path, monkeypatch, quick):
    """refused(words, **flags): a training is refused with the words, and leaves nothing behind."""
    monkeypatch.chdir(tmp_path)

    def refused(words, **flags):
        before = sorted(tmp_path.iterdir())
        with pytest.raises(UserError) as caught:
            train.main(device="cpu", **quick | {"training.epochs": 3} | flags)
        message = str(caught.value)
        assert words in message and "\n" not in message
        assert sorted(tmp_path.iterdir()) == before

    return refused


def test_a_run_that_diverges_stops(refused, monkeypatch):
    monkeypatch.setattr(descent, "MAX_RETURNS", 1)
    Path("best_model.pth").write_text("the last good network")
    refused(
        "runs away again and again, the last time at update 2;",
        overwrite=True,
        **{"model.sigma_rec": 1e38},
    )
    refused("--overwrite")
    assert Path("best_model.pth").read_text() == "the last good network"


def test_a_runaway_at_the_very_start_is_overcome_without_going_back():
    config = load(flags={"training.seed": 5})  # its loss is above RUNAWAY at update 6
    run = TrainingRun.begin(models.build_model, config)
    losses = [update.loss for update in islice(descend(run, config.training, config.task), 12)]
    assert max(losses) > descent.RUNAWAY and losses[-1] < 0.2 and run.returns == 0


def test_a_training_that_leaves_no_beat_keeps_its_network_and_nothing_to_resume(
    tmp_path, monkeypatch, quick
):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # the second is not taken for a stopped one
        with pytest.raises(UserError, match="no beat at cue .*; more --training.epochs .*so far: "):
            train.main(device="cpu", **quick | {"training.epochs": 3, "training.refine": True})
    assert [path.name for path in tmp_path.iterdir()] == ["best_model.unfinished.pth"]


def test_places_and_states_that_cannot_be_used(refused):
    refused("config_path is True", config_path=True)
    refused("/dev/null: cannot be replaced", **{"training.save_path": "/dev/null"})
    refused("name too long", **{"training.save_path": "a" * 198})
    refused("is missing: no run to resume", resume=True)
    network = torch.load(SHIPPED, weights_only=True)
    torch.save(network, "best_model.pth.state")
    refused("not the state of a stopped run", resume=True)
    torch.save(network | {"config": None}, "none.pth")
    refused("checkpoint none.pth: does not say", config_path="none.pth")


def test_two_runs_in_one_place(refused):
    with files.claimed("best_model.pth"):
        refused("another run is writing there")


class Code:
    def __reduce__(self):
        return os.mkdir, ("it_ran",)


def test_wrong_checkpoints(tmp_path, monkeypatch, recwarn):
    monkeypatch.chdir(tmp_path)
    Path("empty.pth").write_bytes(b"")
    Path("cut.pth").write_bytes(SHIPPED.read_bytes()[:50_000])
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


def test_outputs_are_of_one_drive(tmp_path, start):
    def drive(keep_seconds):
        flags = {"drive.keep_seconds": keep_seconds, "drive.extra_periods": 0}
        flags |= {"checkpoint": "shipped", "plotting.enable": False}
        return start("drive_model_and_save_outputs.py", **flags)

    def plot(checkpoint):
        process = start("plot_fig1.py", checkpoint=checkpoint)
        return process.communicate()[1], process.returncode

    def contents():
        return {f.name: f.read_bytes() for f in (tmp_path / "model_outputs").iterdir()}

    first = drive(3)
    assert first.communicate() and first.returncode == 0
    before = contents()
    stopped = drive(100)
    wait_for(tmp_path, ".part-*-model_outputs")
    stopped.terminate()
    assert "starts anew" in stopped.communicate()[1] and stopped.returncode == 143
    assert contents() == before and [f.name for f in tmp_path.iterdir()] == ["model_outputs"]

    said, code = plot(HOME / "pretrained" / "ZemlianovaRNN_seed1.pth")
    assert code == 2 and "or name the network" in said and said.count("\n") == 1
    os.truncate(tmp_path / "model_outputs" / "hidden_states_0.5.npy", 1000)
    assert "hidden_states_0.5.npy: missing or not whole" in plot("shipped")[0]
    (tmp_path / "model_outputs" / "made_by.json").unlink()
    assert "missing or damaged" in plot("shipped")[0]
    assert not (tmp_path / "fig1_plotting").exists()


def test_a_drive_that_does_not_fit_does_not_start(tmp_path, start):
    flags = {"drive.hidden_states": "all", "drive.keep_seconds": 9000, "checkpoint": "shipped"}
    process = start("drive_model_and_save_outputs.py", **flags)
    said = process.communicate()[1]
    assert process.returncode == 2 and "TB, free: " in said and not list(tmp_path.iterdir())


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.floats(),
    st.sampled_from(["", "1e-3", "RNN", [], [[1]], {}, {"a": 1}, 10**400, 1e-12, 1e300]),
    st.lists(st.floats(0, 1), max_size=6),
    st.floats(0.001, 1),
)
TRAINING = sorted(k for k in KEYS if k.split(".")[0] in ("model", "task", "training"))
TAKES_HOURS = ("epochs", "hidden_dim", "batch_size", "trial_seconds", "dt", "width")


@settings(
    max_examples=int(os.environ.get("EXAMPLES", 100)),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.dictionaries(st.sampled_from(TRAINING), JUNK, min_size=1, max_size=2))
def test_any_configuration_trains_or_is_refused(tmp_path, monkeypatch, quick, flags):
    for key, value in flags.items():
        small = isinstance(value, float) and value < 1e-3 or key.endswith(("refine", "calibrate"))
        large = isinstance(value, (int, float)) and value > 50
        assume(not (key.endswith(TAKES_HOURS) and (small or large)) and "path" not in key)
    monkeypatch.chdir(tmp_path)
    flags = quick | {"model.hidden_dim": 8, "training.epochs": 1} | flags
    assume(True not in (flags["training.refine"], flags["training.calibrate"]))
    with contextlib.suppress(UserError):
        train.main(device="cpu", **flags)
        assert math.isfinite(torch.load("best_model.pth")["updates"])
        for file in tmp_path.iterdir():
            file.unlink()
    assert not list(tmp_path.iterdir())
