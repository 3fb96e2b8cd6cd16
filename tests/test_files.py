"""A file is complete or absent, two runs do not mix, and only results are replaced."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zrnn import figures, files
from zrnn.errors import UserError

HOME = Path(__file__).parents[1]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_old_file_stays_when_writing_the_new_one_fails(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.replacing(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with files.replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old" and part.suffix == ".txt"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_a_replaced_file_keeps_its_permissions(tmp_path):
    for mode in (0o640, 0o604):
        path = tmp_path / f"{mode}.txt"
        path.write_text("old")
        path.chmod(mode)
        with files.replacing(path) as part:
            part.write_text("new")
        assert path.read_text() == "new" and path.stat().st_mode & 0o777 == mode


def save_folder(folder, **contents):
    """A folder of results with one file NAME.csv for each name=content."""
    with files.replacing_folder(folder, {"commit": "1a2b"}) as part:
        for name, content in contents.items():
            (part / f"{name}.csv").write_text(content)


def test_a_folder_of_results_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()  # an empty folder may be replaced
    save_folder(folder, one="1")
    save_folder(folder, two="22")
    assert names(folder) == ["made_by.json", "two.csv"]
    made_by = json.loads((folder / "made_by.json").read_text())
    assert made_by == {"commit": "1a2b", "files": {"two.csv": 2}}
    with pytest.raises(RuntimeError), files.replacing_folder(folder, {}) as part:
        (part / "three.csv").write_text("half")
        raise RuntimeError
    assert names(folder) == ["made_by.json", "two.csv"] and names(tmp_path) == ["out"]


def test_a_folder_with_any_other_file_is_not_replaced(tmp_path):
    folder = tmp_path / "out"
    for made_by in (None, "", "[]", '{"files": 3}', '{"files": {"made_by.json": 1}}'):
        folder.mkdir(exist_ok=True)
        (folder / "thesis.tex").write_text("years of work")
        if made_by is not None:
            (folder / "made_by.json").write_text(made_by)
        with pytest.raises(UserError, match="holds .*, which no earlier run made"):
            save_folder(folder, one="1")
        assert (folder / "thesis.tex").read_text() == "years of work"
    for file in folder.iterdir():
        file.unlink()
    save_folder(folder, one="1")
    (folder / "notes").mkdir()
    with pytest.raises(UserError, match="holds notes, which no earlier run made"):
        save_folder(folder, one="1")


def test_what_a_killed_run_left_is_removed_by_the_next_one(tmp_path):
    (tmp_path / ".part-a.txt").write_text("half")
    (tmp_path / ".part-out").mkdir()
    (tmp_path / ".part-out" / "half.csv").write_text("half")
    with files.replacing(tmp_path / "a.txt") as part:
        part.write_text("new")
    save_folder(tmp_path / "out", one="1")
    assert names(tmp_path) == ["a.txt", "out"] and "half.csv" not in names(tmp_path / "out")


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_run_killed_while_it_replaces_a_folder_loses_nothing(tmp_path, monkeypatch, step):
    """The old folder or the new one is complete at every step; the next run repairs the rest."""
    save_folder(tmp_path / "out", old="1")
    steps = iter(range(10))

    def killed_at_step(function):
        def run(*args, **options):
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **options)

        return run

    pid = os.fork()
    if pid == 0:
        monkeypatch.setattr(Path, "rename", killed_at_step(Path.rename))
        with files.replacing_folder(tmp_path / "out", {}) as part:
            monkeypatch.setattr(files.shutil, "rmtree", killed_at_step(files.shutil.rmtree))
            (part / "new.csv").write_text("2")
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    with pytest.raises(RuntimeError), files.replacing_folder(tmp_path / "out", {}):
        raise RuntimeError  # even if the next run fails
    expected = ["made_by.json", "new.csv" if step == 2 else "old.csv"]
    assert names(tmp_path / "out") == expected and names(tmp_path) == ["out"]


def test_symbolic_links_are_followed_and_stay(tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "out").symlink_to("scratch")
    (tmp_path / "a.txt").symlink_to("scratch.txt")  # which does not exist yet
    for name in ("one", "two"):
        save_folder(tmp_path / "out", **{name: "1"})
        assert names(tmp_path / "scratch") == ["made_by.json", f"{name}.csv"]
    with files.replacing(tmp_path / "a.txt") as part:
        part.write_text("new")
    assert (tmp_path / "scratch.txt").read_text() == "new"
    assert (tmp_path / "out").is_symlink() and (tmp_path / "a.txt").is_symlink()


CLAIM = """
from zrnn import files
try:
    with files.claimed({path!r}):
        print("free")
except files.UserError as error:
    print(error)
"""


def test_only_one_process_may_claim_a_path(tmp_path):
    def other_process():
        command = [sys.executable, "-c", CLAIM.format(path=str(tmp_path / "x"))]
        return subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=True).stdout

    with files.claimed(tmp_path / "x"):
        assert "another run is writing there" in other_process()
    assert other_process() == "free\n" and not names(tmp_path)


def places(tmp_path):
    """Paths at which no file can be written, or something else than a regular file lies."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "to_null").symlink_to("/dev/null")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "file").write_text("kept")
    return [tmp_path / name for name in "fifo to_null loop folder file/below".split()] + [
        Path(name)
        for name in ("/dev/null", "/", "/proc/x/y", ".", "a" * 250, "a" * 5000, "é" * 125, "\0")
    ]


def test_where_no_file_can_be_written_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in places(tmp_path):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(UserError) as refusal:
            files.check_file(path)
        with pytest.raises(UserError), files.replacing(path):
            raise AssertionError(f"{path!r} was to be written")
        assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 400
        assert sorted(tmp_path.rglob("*")) == before
    assert Path("/dev/null").is_char_device() and (tmp_path / "file").read_text() == "kept"


def test_where_no_folder_can_be_replaced_is_refused(tmp_path, monkeypatch):
    here = tmp_path / "here" / "below"
    here.mkdir(parents=True)
    save_folder(here / "out", one="1")
    monkeypatch.chdir(here / "out")  # a folder of results, but the one that the run is in
    (tmp_path / "file").write_text("kept")
    refused = [tmp_path / "file", ".", "..", "../..", "/", "/dev/null", "/proc", "a" * 5000]
    for path in refused:
        with pytest.raises(UserError) as refusal, files.replacing_folder(path, {}):
            raise AssertionError(f"{path} was to be replaced")
        assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 400
    assert (tmp_path / "file").read_text() == "kept" and names(Path.cwd())


def test_a_disk_that_is_too_small_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"out: needs 1e\+09 GB, free: .* GB; write less"):
        files.check_space(tmp_path / "new" / "out", 1e18, "write less")
    files.check_space(tmp_path / "new", 1000, "write less")
    with pytest.raises(UserError):
        files.check_space("a" * 5000, 1000, "write less")


@pytest.mark.parametrize("suffix", ["png", "pdf"])
def test_results_say_what_made_them(tmp_path, suffix, capsys):
    figure, out = figures.plt.figure(figsize=(1, 1)), tmp_path / "out"
    arrays, numbers = {"b": {"x": np.arange(3.0)}}, {"c": {"n": np.float32(2), "of": np.arange(2)}}
    figures.save_results(out, "seed: 7", {"a": figure}, suffix, arrays, numbers)
    assert capsys.readouterr().out == f"saved in {out}/\n" and names(tmp_path) == ["out"]
    assert names(out) == [f"a.{suffix}", "b.npz", "c.json", "made_by.yaml"]
    assert (out / "made_by.yaml").read_text() == "seed: 7"
    assert np.load(out / "b.npz")["x"].tolist() == [0, 1, 2]
    assert json.loads((out / "c.json").read_text()) == {"n": 2.0, "of": [0, 1]}
    if suffix == "png":
        assert Image.open(out / "a.png").text["Description"] == "seed: 7"
    else:
        assert b"seed: 7" in (out / "a.pdf").read_bytes()
    assert not figures.plt.get_fignums()


def test_labels_tell_tempos_apart_and_colours_stay_the_same():
    periods = [0.5, 0.333, 0.25, 0.2]
    assert [figures.label_of(p, periods) for p in periods] == ["2 Hz", "3 Hz", "4 Hz", "5 Hz"]
    assert [figures.label_of(p, [0.6, 0.4]) for p in (0.6, 0.4)] == ["1.7 Hz", "2.5 Hz"]
    assert figures.label_of(0.4, [0.4, 0.333, 0.25, 0.2]) == "2.5 Hz"  # not 2 Hz
    close = [0.5001, 0.5002]
    assert figures.label_of(close[0], close) != figures.label_of(close[1], close)
    assert figures.period_colours(periods) == figures.period_colours(periods[::-1])
    assert len(set(figures.period_colours(periods).values())) == 4
