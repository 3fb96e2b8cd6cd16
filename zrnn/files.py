"""Files that are complete or not there at all.

Every result is written to a temporary file or folder beside its place, synced and renamed. Only
regular files, and folders of results, are replaced.
"""

import json
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from zrnn.errors import UserError


def shown(path) -> str:
    """A path in an error message, on one line."""
    text = str(path)
    text = text if len(text) < 200 else f"{text[:100]}..."
    return text if text.isprintable() else repr(text)


@contextmanager
def user_errors(path):
    """Turn an operating system's error into a UserError that names the path."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{shown(path)}: cannot be written ({reason})") from None


def _sync(path) -> None:
    """Write a file's or a folder's data to disk, on file systems that can."""
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _copy_mode(place, part) -> None:
    """Give `part` the permissions of the file or folder it is to replace, if there is one."""
    with suppress(FileNotFoundError, PermissionError):  # some file systems have no permissions
        shutil.copymode(place, part)


def _place(path) -> Path:
    """Where `path` lies, symbolic links followed. UserError unless a file may be put there."""
    try:
        place = Path(os.path.realpath(path))
        wrong = os.path.lexists(place) and not place.is_file()
    except (OSError, ValueError) as error:  # too long, or no path at all
        raise UserError(f"{shown(path)}: cannot be written ({error})") from None
    if wrong or not place.name:
        raise UserError(f"{shown(path)}: cannot be replaced; allowed: a regular file")
    return place


@contextmanager
def replacing(path):
    """A path to write to; if the block ends without an error, the file takes the place of `path`.

    It lies in the same folder, keeps the suffix, and gets the permissions of the file it replaces.
    Callers that may run at the same time hold it by `claimed`. Raises UserError.
    """
    place = _place(path)
    part = place.with_name(f".part-{place.name}")
    with user_errors(path):
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            if place.exists():  # a private file is private while it is written, too
                part.touch(mode=place.stat().st_mode & 0o777)
            yield part
            _copy_mode(place, part)
            _sync(part)
            os.replace(part, place)
            _sync(place.parent)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder, made_by: dict):
    """As `replacing`, for a folder of results, with made_by and the size of every file in it.

    Only a folder that such a run made is replaced: one in which made_by.json lists every file.
    """
    place, made_by_file = Path(os.path.realpath(folder)), "made_by.json"
    part, old = (place.parent / f".{kind}-{place.name}" for kind in ("part", "old"))
    with user_errors(folder):
        if old.exists() and not place.exists():  # an earlier run was killed between the two renames
            old.rename(place)
        names = {file.name for file in place.iterdir()} if place.exists() else set()
        try:
            known = json.loads((place / made_by_file).read_text())["files"]
            known = {made_by_file} | {name for name in known if (place / name).is_file()}
        except (OSError, ValueError, KeyError, TypeError):
            known = set()
        if unknown := names - known:
            raise UserError(
                f"{shown(folder)}: holds {shown(min(unknown))}, which no earlier run made; "
                "allowed: a new folder, or one of an earlier run, because it is replaced as a whole"
            )
        if Path.cwd().is_relative_to(place):
            raise UserError(
                f"{shown(folder)}: allowed: a folder that does not hold the current one"
            )
        for leftover in (part, old):
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            part.mkdir(parents=True)
            yield part
            sizes = {file.name: file.stat().st_size for file in part.iterdir()}
            text = json.dumps(made_by | {"files": sizes}, indent=1)
            (part / made_by_file).write_text(text, encoding="utf-8")
            for file in part.iterdir():
                _copy_mode(place / file.name, file)
                _sync(file)
            _copy_mode(place, part)
            if place.exists():
                place.rename(old)
            part.rename(place)
            _sync(place.parent)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def claimed(path):
    """Reserve `path` for this process while the block runs. UserError if another one has it."""
    place = Path(os.path.realpath(path))
    lock = filelock.FileLock(place.parent / f".lock-{place.name}")
    with user_errors(path):
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise UserError(
                f"{shown(path)}: another run is writing there; wait for it or name another place"
            ) from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows keeps a file that is open
            os.unlink(lock.lock_file)
        lock.release()


def _nearest_folder(place) -> Path:
    return next(parent for parent in place.parents if parent.exists())


def check_file(path) -> None:
    """Raises UserError unless a file can be written at `path`, which need not exist."""
    place = _place(path)
    with user_errors(path):  # with a name, because it may be too long
        tempfile.NamedTemporaryFile(dir=_nearest_folder(place), prefix=place.name).close()


def check_folder(folder) -> None:
    """Raises UserError unless files can be written in a folder, which need not exist."""
    check_file(Path(folder) / "made_by.yaml")


def check_space(folder, n_bytes: float, advice: str) -> None:
    """Raises UserError unless the disk of a folder, which need not exist, has n_bytes free."""
    with user_errors(folder):
        free = shutil.disk_usage(_nearest_folder(Path(os.path.realpath(folder)) / "file")).free
    if n_bytes > free:
        raise UserError(
            f"{folder}: needs {n_bytes / 1e9:.3g} GB, free: {free / 1e9:.3g} GB; {advice}"
        )
