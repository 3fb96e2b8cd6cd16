"""Files that are whole or not there at all, and where a result came from.

Everything a script saves goes through here: written beside its place, synced, renamed. Whatever
stands in the way raises FileError with one line for the user.
"""

import json
import os
import platform
import shutil
import signal
import subprocess
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows, where two runs into one place are not told apart
    fcntl = None

HOME = Path(__file__).parents[2]


class FileError(ValueError):
    """A file or folder that cannot be written or used; the message is one line for the user."""


@contextmanager
def _user_errors(path):
    try:
        yield
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error.strerror or error})") from None


def _sync(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replacing(path):
    """A path to write to; when the block ends without an error, the file takes the place of `path`.

    It lies in the same folder and keeps the suffix. Raises FileError.
    """
    path = Path(path)
    part = path.with_name(f".part-{path.name}")
    with _user_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            _sync(part)
            os.replace(part, path)
            _sync(path.parent)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder, own):
    """As `replacing`, for a whole folder: what was in it before is gone when the block ends.

    own: patterns of the names that a run writes. A folder that holds anything else is not replaced.
    """
    folder = Path(folder).absolute()
    part, old = (folder.with_name(f".{word}-{folder.name}") for word in ("part", "old"))

    def tidy():
        if old.exists() and not folder.exists():  # stopped between the two renames
            old.rename(folder)
        for leftover in (part, old):
            shutil.rmtree(leftover, ignore_errors=True)

    with _user_errors(folder):
        tidy()
        if folder.exists() and not folder.is_dir():
            raise FileError(f"{folder}: is a file; allowed: a folder, new or of an earlier run")
        names = {file.name for file in folder.iterdir()} if folder.exists() else set()
        strange = names - {n for n in names for pattern in own if Path(n).match(pattern)}
        if strange:
            raise FileError(
                f"{folder}: holds {min(strange)}, which no earlier run made; allowed: a new folder "
                "or one of an earlier run, for it is replaced as a whole"
            )
        try:
            part.mkdir(parents=True)
            yield part
            for file in part.iterdir():
                _sync(file)
            if folder.exists():
                folder.rename(old)
            part.rename(folder)
            _sync(folder.parent)
        finally:
            tidy()


@contextmanager
def claimed(path):
    """Keep `path` for this process as long as the block lasts. FileError if another one has it."""
    path = Path(path).absolute()
    lock = path.with_name(f".lock-{path.name}")
    with _user_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock, os.O_CREAT | os.O_RDWR)
    try:
        try:
            if fcntl:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(handle).st_nlink == 0:  # the other run ended, and took its lock with it
                    raise BlockingIOError
        except BlockingIOError:
            raise FileError(
                f"{path}: another run is writing there; wait for it or name another place"
            ) from None
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
    finally:
        os.close(handle)


def check_file(path):
    """Raises FileError unless a file can be written at `path`, which need not exist."""
    path = Path(path).absolute()
    place = next(p for p in path.parents if p.exists())
    if path.is_dir() or not place.is_dir() or not os.access(place, os.W_OK):
        raise FileError(f"{path}: cannot be written; allowed: a file in a folder you may write to")


def check_space(folder, n_bytes, advice):
    """Raises FileError unless the disk of a folder, which may not exist yet, has n_bytes free."""
    place = next(p for p in Path(folder).absolute().parents if p.exists())
    free = shutil.disk_usage(place).free
    if n_bytes > free:
        raise FileError(f"{folder}: needs {n_bytes / 1e9:.2f} GB, free: {free / 1e9:.2f}; {advice}")


@contextmanager
def held_signals():
    """Ctrl-C and SIGTERM only note down their number, [n], so that the work in hand is finished.

    A second one of the same kind does what it always does.
    """
    received, numbers = [], (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def note(number, frame):
        received.append(number)
        signal.signal(number, before[number])

    for number in numbers:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number in numbers:
            signal.signal(number, before[number])


def _git(*words):
    command = ["git", "-C", str(HOME), *words]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


@cache
def provenance():
    """What ran: {name: text} of the versions, the commit and whether the files were as committed"""
    packages = ("torch", "numpy", "scipy", "scikit-learn", "matplotlib")
    about = {"python": platform.python_version()} | {name: version(name) for name in packages}
    commit, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "-uno")
    state = "not in a git repository"
    if commit is not None:
        state = f"{commit}, {'with changes' if changed else 'as committed'}"
    return about | {"commit": state}


def save_figure(figure, path, text, dpi=110):
    """Save a figure with the `text` that says what made it: PNG Description or PDF Subject."""
    key = "Subject" if str(path).endswith(".pdf") else "Description"
    with replacing(path) as part:
        figure.savefig(part, dpi=dpi, metadata={key: text})


def save_drawings(folder, text, figures, suffix, numbers=None):
    """Save {name: figure} with the suffix and {name: numbers} as JSON in a folder.

    text: the configuration and what made it; it goes into every figure and beside them.
    """
    folder = Path(folder)
    for name, figure in figures.items():
        save_figure(figure, folder / f"{name}.{suffix}", text)
    for name, content in (numbers or {}).items():
        with replacing(folder / f"{name}.json") as part:
            part.write_text(json.dumps(content, indent=1, default=str) + "\n")
    with replacing(folder / "config.yaml") as part:
        part.write_text(text)
    print(f"saved in {folder}/")
