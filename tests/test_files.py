"""Files are whole or not there; two runs do not mix; nothing but files and folders is replaced."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zrnn import figures, files
from zrnn.errors import UserError

DEAD = 2**22 + 1  # no process has a number that high


def test_replacing_leaves_the_old_file_when_the_new_one_fails(tmp_path):
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


def test_two_runs_that_write_one_file_do_not_trip_each_other(tmp_path):
    path = tmp_path / "a.png"
    with files.replacing(path) as one:
        one.write_text("one")
        with files.replacing(path) as two:
            two.write_text("two")
        assert path.read_text() == "two"
    assert path.read_text() == "one" and list(tmp_path.iterdir()) == [path]


def test_parts_of_dead_runs_are_cleared_away_and_those_of_live_ones_stay(tmp_path):
    def part(machine, pid, age=0):
        path = tmp_path / f".part-{machine}-{pid}-0123abcd-a.txt"
        path.write_text("")
        os.utime(path, (time.time() - age,) * 2)
        return path

    live, dead = part(files._HERE, os.getpid(), age=1e6), part(files._HERE, DEAD)
    elsewhere, long_ago = part("fff0", DEAD), part("fff1", DEAD, age=1e6)
    own = tmp_path / ".part-of-the-thesis.txt"
    own.write_text("")
    with files.replacing(tmp_path / "b.txt") as new:
        new.write_text("")
    assert live.exists() and elsewhere.exists() and own.exists()
    assert not dead.exists() and not long_ago.exists()


def test_replacing_a_folder(tmp_path):
    folder = tmp_path / "out"
    for content in "12":
        with files.replacing_folder(folder, ["*.csv"]) as part:
            (part / f"{content}.csv").write_text(content)
    assert [f.name for f in folder.iterdir()] == ["2.csv"]
    with pytest.raises(RuntimeError), files.replacing_folder(folder, ["*.csv"]) as part:
        (part / "3.csv").write_text("half")
        raise RuntimeError
    assert [f.name for f in folder.iterdir()] == ["2.csv"]
    assert list(tmp_path.iterdir()) == [folder]


def test_links_are_followed_and_stay(tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "out").symlink_to("scratch")
    (tmp_path / "a.txt").symlink_to("scratch/real.txt")  # which does not exist yet
    for content in "12":
        with files.replacing_folder(tmp_path / "out", ["*.csv"]) as part:
            (part / f"{content}.csv").write_text(content)
        assert [f.name for f in (tmp_path / "scratch").iterdir()] == [f"{content}.csv"]
    with files.replacing(tmp_path / "a.txt") as part:
        part.write_text("new")
    assert (tmp_path / "scratch" / "real.txt").read_text() == "new"
    assert (tmp_path / "out").is_symlink() and (tmp_path / "a.txt").is_symlink()


def test_a_folder_with_anything_else_in_it_is_not_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with (
        pytest.raises(UserError, match="holds thesis.tex"),
        files.replacing_folder(tmp_path, ["*.csv"]),
    ):
        pass
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_folder_lost_between_two_renames_comes_back(tmp_path):
    (tmp_path / ".old-out").mkdir()
    (tmp_path / ".old-out" / "1.csv").write_text("1")
    with pytest.raises(RuntimeError), files.replacing_folder(tmp_path / "out", ["*.csv"]):
        raise RuntimeError
    assert (tmp_path / "out" / "1.csv").read_text() == "1"


def _claim(path, result):
    try:
        with files.claimed(path):
            result.put("free")
    except UserError as error:
        result.put(str(error))


def test_only_one_process_may_claim_a_path(tmp_path):
    context = multiprocessing.get_context("spawn")
    result = context.Queue()

    def other():
        process = context.Process(target=_claim, args=(tmp_path / "x", result))
        process.start()
        process.join()
        return result.get()

    with files.claimed(tmp_path / "x"):
        assert "another run" in other()
    assert other() == "free" and not list(tmp_path.iterdir())


def places(tmp_path):
    """What must never be replaced by a file: (path, whether a folder may be put there)."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "to_null").symlink_to("/dev/null")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "file").write_text("kept")
    names = "fifo to_null loop folder file/below".split()
    return [tmp_path / name for name in names] + [
        Path(name)
        for name in ("/dev/null", "/", "/proc/x/y", ".", "a" * 250, "a" * 5000, "é" * 120, "\0")
    ]


def test_only_files_are_replaced_by_files_and_the_rest_is_refused_before_any_work(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for path in places(tmp_path):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(UserError) as told:
            files.check_file(path)
        with pytest.raises(UserError), files.replacing(path):
            raise AssertionError(f"{path!r} was to be written")
        assert "\n" not in str(told.value) and len(str(told.value)) < 400
        assert sorted(tmp_path.rglob("*")) == before
    assert Path("/dev/null").is_char_device() and (tmp_path / "file").read_text() == "kept"


def test_only_folders_of_a_run_are_replaced_by_folders(tmp_path, monkeypatch):
    (tmp_path / "here" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "below")
    (tmp_path / "file").write_text("kept")
    refused = [
        tmp_path / "file",
        Path("/"),
        Path("."),
        Path(".."),
        Path("/dev/null"),
        Path("/proc"),
    ]
    for path in refused:
        with pytest.raises(UserError), files.replacing_folder(path, ["*"]):
            raise AssertionError(f"{path} was to be replaced")
    assert (tmp_path / "file").read_text() == "kept" and Path.cwd().exists()


def test_no_space_and_no_memory(tmp_path):
    with pytest.raises(UserError, match="needs 1e.03 PB, free: .* [GT]B; write less"):
        files.check_space(tmp_path / "new", 1e18, "write less")
    with pytest.raises(UserError, match="needs 1e.03 PB of memory"):
        files.check_memory(1e18, "do less")
    assert files.size(123456) == "123 kB" and files.size(999.7e6) == "1 GB"
    assert files.size(12) == "12 bytes"


def test_signals_wait_for_the_work_in_hand_unless_they_are_ignored():
    before = {number: signal.getsignal(number) for number in files.SIGNALS}
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & has none
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with files.held_signals() as received:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                os.kill(os.getpid(), number)
            assert received == [signal.SIGHUP, signal.SIGINT]
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("suffix", ["png", "pdf"])
def test_what_a_script_saves_says_what_made_it(tmp_path, suffix, capsys):
    figure = figures.plt.figure(figsize=(1, 1))
    arrays, numbers = {"b": {"x": np.arange(3.0)}}, {"c": {"n": np.float32(2), "of": np.arange(2)}}
    figures.save_results(tmp_path / "out", "seed: 7", {"a": figure}, suffix, arrays, numbers)
    assert capsys.readouterr().out == f"saved in {tmp_path / 'out'}/\n"
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"a.{suffix}", "b.npz", "c.json", "config.yaml"]
    assert (tmp_path / "out" / "config.yaml").read_text() == "seed: 7"
    assert np.load(tmp_path / "out" / "b.npz")["x"].tolist() == [0, 1, 2]
    assert (
        tmp_path / "out" / "c.json"
    ).read_text().split() == '{ "n": 2.0, "of": [ 0, 1 ] }'.split()
    if suffix == "png":
        assert Image.open(tmp_path / "out" / "a.png").text["Description"] == "seed: 7"
    else:
        assert b"seed: 7" in (tmp_path / "out" / "a.pdf").read_bytes()
    assert not figures.plt.get_fignums()


def test_labels_tell_tempos_apart_and_colours_stay():
    periods = [0.5, 0.333, 0.25, 0.2]
    assert [figures.label_of(p, periods) for p in periods] == ["2 Hz", "3 Hz", "4 Hz", "5 Hz"]
    assert [figures.label_of(p, [0.6, 0.4]) for p in (0.6, 0.4)] == ["1.7 Hz", "2.5 Hz"]
    close = [0.5001, 0.5002]
    assert figures.label_of(close[0], close) != figures.label_of(close[1], close)
    assert figures.period_colours(periods) == figures.period_colours(periods[::-1])
    assert len(set(figures.period_colours(periods).values())) == 4
