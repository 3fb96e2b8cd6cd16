"""A stopped run continues as if never stopped; mistakes are refused, and nothing is lost."""

import contextlib
import csv
import math
import os
import pickle
import signal
import time
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import drive_model_and_save_outputs as drive_script
import models
import train
from zrnn import checkpoints, cli, files
from zrnn.configuration import load
from zrnn.errors import UserError
from zrnn.schema import KEYS
from zrnn.training import descent, state
from zrnn.training.state import TrainingRun

SHIPPED = checkpoints.SHIPPED


@pytest.fixture
def updates(monkeypatch, stop_signals):
    """updates: one entry for each update in this process; a signal is sent after updates.stop."""

    class Updates(list):
        stop, number = None, signal.SIGHUP

    updates, update_weights = Updates(), descent.update_weights

    def counted(*args, **options):
        updates.append(1)
        if len(updates) == updates.stop:
            os.kill(os.getpid(), updates.number)
        return update_weights(*args, **options)

    monkeypatch.setattr(descent, "update_weights", counted)
    return updates


def places(name):
    return {"training.save_path": f"{name}.pth", "training.log_path": f"{name}.csv"}


def without_seconds(log):
    with open(log, newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def test_a_stopped_and_killed_run_ends_with_the_same_network(
    tmp_path, monkeypatch, start, weights, quick, updates
):
    monkeypatch.chdir(tmp_path)
    train.main(device="cpu", resume="auto", **quick | places("whole"))  # nothing to resume: starts
    assert len(updates) == 120

    updates.stop, updates.number = len(updates) + 40, signal.SIGUSR1
    with pytest.raises(cli.Stopped) as stopped:
        train.main(device="cpu", **quick | places("stopped"))
    assert stopped.value.advice == "continue with the same command and --resume"
    assert stopped.value.number == signal.SIGUSR1 and len(updates) == 160
    assert not (tmp_path / "stopped.pth").exists()
    with pytest.raises(UserError, match="training.batch_size is 8; allowed: 2"):
        train.main(device="cpu", resume=True, **places("stopped") | {"training.batch_size": 8})
    with pytest.raises(UserError, match="belongs to a stopped run; continue it"):
        train.main(device="cpu", **quick | places("stopped"))

    state_file = tmp_path / "stopped.pth.state"
    before = state_file.stat().st_mtime_ns
    flags = {"training.save_path": "stopped.pth", "training.save_seconds": 0}
    process = start("train.py", "--resume", **flags)
    while process.poll() is None and state_file.stat().st_mtime_ns == before:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    n_done = len(checkpoints.read_checkpoint(state_file)[1]["losses"])
    assert 40 < n_done < 120

    updates.clear()
    updates.stop = None
    train.main(device="cpu", resume="auto", **{"training.save_path": "stopped.pth"})
    assert len(updates) == 120 - n_done
    a, b = weights("whole.pth"), weights("stopped.pth")
    assert all(torch.equal(a[key], b[key]) for key in a)
    # the log's place comes from the configuration, not from the state
    assert without_seconds("whole.csv") == without_seconds("training_log.csv")
    assert not (tmp_path / "stopped.csv").exists() and not state_file.exists()


def test_a_checkpoint_repeats_its_run_and_is_not_replaced_without_a_flag(
    tmp_path, monkeypatch, weights, quick
):
    monkeypatch.chdir(tmp_path)
    quick |= {"training.epochs": 2}
    train.main(device="cpu", **quick | places("a"))
    train.main("a.pth", device="cpu", **{"training.save_path": "b.pth"})
    assert Path("training_log.csv").exists()  # places do not come from a checkpoint
    a, b = weights("a.pth"), weights("b.pth")
    assert all(torch.equal(a[key], b[key]) for key in a)
    quick["training.seed"] = 1
    with pytest.raises(UserError, match="--overwrite"):
        train.main(device="cpu", **quick | places("a"))
    assert torch.equal(a["w_hh"], weights("a.pth")["w_hh"])
    train.main(device="cpu", overwrite=True, **quick | places("a"))
    assert not torch.equal(a["w_hh"], weights("a.pth")["w_hh"])


@pytest.fixture
def refused(tmp_path, monkeypatch, quick):
    """refused(words, **flags): a training is refused with the words and leaves nothing behind."""
    monkeypatch.chdir(tmp_path)

    def refused(words, **flags):
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(UserError) as refusal:
            train.main(device="cpu", **quick | {"training.epochs": 3} | flags)
        assert words in str(refusal.value) and "\n" not in str(refusal.value)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    return refused


def test_damaged_states_are_refused(refused, quick, updates):
    updates.stop = 2
    with pytest.raises(cli.Stopped):
        train.main(device="cpu", **quick | {"training.epochs": 3})
    state_file, save_path = Path("best_model.pth.state"), Path("best_model.pth")
    whole = torch.load(state_file, weights_only=True)
    nan = {name: value * math.nan for name, value in whole["state_dict"].items()}
    changes = [{"state_dict": nan}, {"snapshots": [(nan, whole["optimizer"])] * 2}]
    changes += [{"part": "lunch"}, {"losses": [math.nan]}, {"losses": None}, {"log": [{}]}]
    changes += [{"snapshots": []}, {"optimizer": {}}, {"generators": [torch.zeros(3)] * 2}]
    changes += [{"seconds": "long"}, {"rollbacks": "few"}]
    damaged = [whole | change for change in changes]
    damaged += [{k: v for k, v in whole.items() if k != missing} for missing in whole]
    for content in damaged:
        torch.save(content, state_file)
        refused("", resume=True)
    state_file.write_bytes(b"cut")
    refused("cannot be read", resume=True)
    torch.save(whole, state_file)
    train.main(device="cpu", resume=True)  # the state itself is a good one
    assert save_path.exists()


def test_a_run_that_diverges_is_stopped(refused, monkeypatch):
    monkeypatch.setattr(state, "MAX_ROLLBACKS", 1)
    Path("best_model.pth").write_text("the last good network")
    refused(
        "the loss diverges again and again, the last time at update 2;",
        overwrite=True,
        **{"model.sigma_rec": 1e6, "training.noise_scale": 1e6},
    )
    refused("--overwrite")


def test_a_divergence_is_rolled_back_to_the_older_snapshot_unless_it_is_early():
    config = load(flags={"model.hidden_dim": 4})
    model = models.build_model(**dict(config.model))
    run = TrainingRun(model, torch.Generator(), torch.Generator(), 0.99)
    start, found = model.b_ho.item(), {}
    for number in range(1, 71):
        model.b_ho.data.fill_(number)
        diverged = {5: math.inf, 10: 2.0, 55: 2.0, 57: 2.0}
        run.record_loss(diverged.get(number, 0.1))
        if number in diverged:
            found[number] = model.b_ho.item()
    # the snapshots are those of the start, then of the updates 20 and 40, then 20 again
    assert found == {5: start, 10: 10, 55: 20, 57: 20} and run.rollbacks == 3
    assert len(run.losses) == 70 and max(run.losses) == 1e30  # finite, as JSON and CSV need it


def test_a_training_that_ends_without_a_rhythm_keeps_its_network_and_no_state(
    tmp_path, monkeypatch, quick
):
    monkeypatch.chdir(tmp_path)
    message = "there is no rhythm at cue .*; more --training.epochs .*so far: "
    for _ in range(2):  # the second run is not taken for a stopped one
        with pytest.raises(UserError, match=message):
            train.main(device="cpu", **quick | {"training.epochs": 3, "training.refine": True})
    assert [path.name for path in tmp_path.iterdir()] == ["best_model.unfinished.pth"]


def test_places_and_states_that_cannot_be_used(refused):
    refused("/dev/null: cannot be replaced", **{"training.save_path": "/dev/null"})
    refused("name too long", **{"training.save_path": "a" * 250})
    Path("thesis.txt").write_text("years of work")
    refused("thesis.txt is not a log of train.py", **{"training.log_path": "thesis.txt"})
    refused("is missing: no run to resume", resume=True)
    refused("--resume is 'perhaps'; allowed: nothing after it, or auto", resume="perhaps")
    network = torch.load(SHIPPED, weights_only=True)
    torch.save(network, "best_model.pth.state")
    refused("not the state of a stopped run", resume=True)
    torch.save(network | {"config": None}, "none.pth")
    refused("checkpoint: its configuration has no sections", config_path="none.pth")
    Path("best_model.pth.state").unlink()
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
        with pytest.raises(UserError) as refusal:
            drive_script.main(checkpoint=f"{name}.pth", device="cpu")
        assert str(refusal.value).startswith("checkpoint") and "\n" not in str(refusal.value)
    assert not recwarn.list
    assert not Path("it_ran").exists() and not Path("model_outputs").exists()


def test_a_stopped_drive_leaves_the_earlier_outputs(tmp_path, monkeypatch, make_oscillator):
    monkeypatch.chdir(tmp_path)
    checkpoints.save_checkpoint("network.pth", make_oscillator())
    flags = {"checkpoint": "network.pth", "drive.extra_periods": 0, "plotting.enable": False}
    flags |= {"drive.keep_seconds": 2, "model.hidden_dim": 25}

    def contents():
        return {f.name: f.read_bytes() for f in (tmp_path / "model_outputs").iterdir()}

    drive_script.main(**flags)
    before, describe_output, n_described = contents(), drive_script.describe_output, []

    def stopped(*args):
        n_described.append(1)
        if len(n_described) == 3:
            raise cli.Stopped(signal.SIGTERM)
        return describe_output(*args)

    monkeypatch.setattr(drive_script, "describe_output", stopped)
    with pytest.raises(cli.Stopped):
        drive_script.main(**flags)
    assert contents() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model_outputs", "network.pth"]


def test_a_drive_that_does_not_fit_does_not_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = {"drive.hidden_states": "all", "drive.keep_seconds": 9000}
    with pytest.raises(UserError, match="GB, free: .*; less with --drive.hidden_states none"):
        drive_script.main(checkpoint="shipped", **flags)
    assert not list(tmp_path.iterdir())


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
