"""Kill a training at 30 random moments and a drive at 10 (SIGKILL): make torture."""

import random
import time

import torch


def test_thirty_kills(tmp_path, start, weights, quick):
    def run(name, *words, **flags):
        paths = {"training.save_path": f"{name}.pth", "training.log_path": f"{name}.csv"}
        return start("train.py", *words, **flags, **paths)

    quick["training.epochs"] = 8000
    whole = run("whole", **quick)
    assert whole.communicate() and whole.returncode == 0
    moments = random.Random(0)
    state, done, resumed_at = tmp_path / "killed.pth.state", tmp_path / "killed.pth", []
    process = run("killed", **quick, **{"training.save_seconds": 0.2})
    for _ in range(30):
        while not (state.exists() or done.exists()):
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 4))  # in some of them it still starts, in some it trains
        process.kill()
        process.communicate()
        if not state.exists():
            break
        log = torch.load(state, weights_only=True)["log"]  # fails if the file is not complete
        resumed_at.append(len(log))
        process = run("killed", "--resume")
    print("\nkilled at updates", resumed_at)
    assert process.communicate() and (process.returncode == 0 or not state.exists())
    assert len(resumed_at) == 30 and resumed_at == sorted(resumed_at)
    a, b = weights("whole.pth"), weights("killed.pth")
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not list(tmp_path.glob(".part-*"))


def test_ten_kills_of_a_drive(tmp_path, start):
    def drive():
        flags = {"drive.keep_seconds": 5, "drive.extra_periods": 3}
        return start("drive_model_and_save_outputs.py", **flags, checkpoint="shipped")

    def contents():
        return {f.name: f.read_bytes() for f in (tmp_path / "model_outputs").iterdir()}

    first = drive()
    assert first.communicate() and first.returncode == 0
    before, moments = contents(), random.Random(1)
    for _ in range(10):
        process = drive()
        time.sleep(moments.uniform(2, 7))
        process.kill()
        process.communicate()
        now = contents()
        assert now.keys() == before.keys()
        assert all(now[k] == before[k] for k in before if k.endswith(".npy"))
    last = drive()
    assert last.communicate() and last.returncode == 0
    left = [f.name for f in tmp_path.iterdir() if not f.name.startswith(".lock")]
    assert left == ["model_outputs"]
