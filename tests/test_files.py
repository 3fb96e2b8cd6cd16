"""Files are whole or not there; two runs do not mix."""

import multiprocessing
import os
import signal

import pytest
from PIL import Image

from zrnn.workshop import figures, files
from zrnn.workshop.errors import UserError


def test_replacing_leaves_the_old_file_when_the_new_one_fails(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.replacing(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with files.replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


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


@pytest.mark.skipif(files.fcntl is None, reason="no file locks here")
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


def test_no_space_and_no_place(tmp_path):
    with pytest.raises(UserError, match="needs 1000000000.00 GB"):
        files.check_space(tmp_path / "new", 1e18, "write less")
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "below"):
        with pytest.raises(UserError, match="cannot be written"):
            files.check_file(path)


def test_signals_wait_for_the_work_in_hand():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & has none
    try:
        with files.held_signals() as received:
            os.kill(os.getpid(), signal.SIGINT)
            assert received == [signal.SIGINT]
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("suffix", ["png", "pdf"])
def test_a_figure_says_what_made_it(tmp_path, suffix):
    import matplotlib.pyplot as plt

    figures.save_figure(plt.figure(), tmp_path / f"a.{suffix}", "seed: 7", dpi=20)
    if suffix == "png":
        assert Image.open(tmp_path / "a.png").text["Description"] == "seed: 7"
    else:
        assert b"seed: 7" in (tmp_path / "a.pdf").read_bytes()
