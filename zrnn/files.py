"""Files that are whole or not there at all.

Everything a script saves goes through here: written beside its place, synced, renamed. Whatever
stands in the way raises UserError. Only regular files and folders are ever replaced.
"""

import os
import platform
import re
import secrets
import shutil
import signal
import stat
import tempfile
import time
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from zrnn.errors import UserError

MAX_NAME = 200  # bytes of a file's name: most systems allow 255, and parts are named longer
DAY = 24 * 3600  # [s] a part of another machine that is older than this belongs to no run
# those that stop a run; Windows has no SIGHUP
SIGNALS = [getattr(signal, s) for s in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, s)]
_HERE = f"{zlib.crc32(platform.node().encode()) & 0xFFFF:04x}"  # this machine; disks are shared
_PART = re.compile(r"\.part-([0-9a-f]{4})-(\d+)-[0-9a-f]{8}-.*", re.DOTALL)


@contextmanager
def _user_errors(path):
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{_shown(path)}: cannot be written ({reason})") from None


def _shown(path):
    text = str(path)
    return text if text.isprintable() and len(text) < 200 else repr(text[:100] + "...")


def _sync(path):
    if os.name == "nt" and path.is_dir():  # Windows syncs no folders
        return
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _place(path, folder=False) -> Path:
    """Where `path` lies, symbolic links followed. UserError unless a file may be put there."""
    kind = "a folder" if folder else "a regular file"
    try:
        place = Path(os.path.realpath(path))
        mode = os.stat(place).st_mode
    except FileNotFoundError:
        mode = None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{_shown(path)}: cannot be written ({reason})") from None
    if len(os.fsencode(place.name)) > MAX_NAME:
        raise UserError(f"{_shown(path)}: name too long; allowed: at most {MAX_NAME} bytes")
    right = stat.S_ISDIR if folder else stat.S_ISREG
    if not place.name or (mode is not None and not right(mode)):
        raise UserError(f"{_shown(path)}: cannot be replaced; allowed: {kind}, new or old")
    return place


def _part_of(place) -> Path:
    """A name beside `place` that no other run has; those of runs that died are cleared away."""
    for old in place.parent.glob(".part-*"):
        if (found := _PART.fullmatch(old.name)) and not _in_use(old, found[1], int(found[2])):
            with suppress(OSError):
                shutil.rmtree(old) if old.is_dir() else old.unlink()
    name = f".part-{_HERE}-{os.getpid()}-{secrets.token_hex(4)}-{place.name}"
    return place.with_name(name)


def _in_use(part, machine, pid):
    try:
        if machine != _HERE or os.name == "nt":  # its process cannot be asked after
            return time.time() - part.stat().st_mtime < DAY
        os.kill(pid, 0)  # sends nothing
    except (FileNotFoundError, ProcessLookupError, OverflowError):
        return False
    except OSError:  # a process of somebody else
        return True
    return True


@contextmanager
def replacing(path):
    """A path to write to; when the block ends without an error, the file takes the place of `path`.

    It lies in the same folder and keeps the suffix. Raises UserError.
    """
    place = _place(path)
    with _user_errors(path):
        place.parent.mkdir(parents=True, exist_ok=True)
        part = _part_of(place)
        try:
            yield part
            _sync(part)
            os.replace(part, place)
            _sync(place.parent)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder, own):
    """As `replacing`, for a whole folder: what was in it before is gone when the block ends.

    own: patterns of the names that a run writes. A folder that holds anything else is not replaced.
    The caller has `claimed` the folder.
    """
    place = _place(folder, folder=True)
    old = place.with_name(f".old-{place.name}")
    with _user_errors(folder):
        _settle(place, old)
    check_folder(folder, own)
    with _user_errors(folder):
        place.parent.mkdir(parents=True, exist_ok=True)
        part = _part_of(place)
        try:
            part.mkdir()
            yield part
            for file in part.iterdir():
                _sync(file)
            if place.exists():
                place.rename(old)
            part.rename(place)
            _sync(place.parent)
        finally:
            _settle(place, old)
            shutil.rmtree(part, ignore_errors=True)


def _settle(place, old):
    """Bring back the old folder if the new one did not come; else clear it away."""
    if old.exists() and not place.exists():
        old.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def check_folder(folder, own) -> None:
    """Raises UserError unless a folder may be replaced as a whole; own: patterns of its names."""
    place = _place(folder, folder=True)
    if Path.cwd().is_relative_to(place) or os.path.ismount(place):
        raise UserError(f"{_shown(folder)}: cannot be replaced; allowed: a folder below this one")
    with _user_errors(folder):
        names = {file.name for file in place.iterdir()} if place.exists() else set()
    strange = names - {n for n in names for pattern in own if Path(n).match(pattern)}
    if strange:
        raise UserError(
            f"{_shown(folder)}: holds {_shown(min(strange))}, which no earlier run made; allowed: "
            "a new folder or one of an earlier run, for it is replaced as a whole"
        )
    check_file(place / "file")


@contextmanager
def claimed(path):
    """Keep `path` for this process as long as the block lasts. UserError if another one has it."""
    place = Path(os.path.realpath(path))
    lock = filelock.FileLock(place.with_name(f".lock-{place.name}"))
    with _user_errors(path):
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise UserError(
                f"{_shown(path)}: another run is writing there; wait for it or name another place"
            ) from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows keeps a file that is open
            os.unlink(lock.lock_file)
        lock.release()


def _nearest(place) -> Path:
    """The nearest folder above a place that exists."""
    return next(parent for parent in place.parents if parent.exists())


def check_file(path) -> None:
    """Raises UserError unless a file can be written at `path`, which need not exist."""
    place = _place(path)
    with _user_errors(path), tempfile.TemporaryFile(dir=_nearest(place)):
        pass


def check_space(folder, n_bytes: float, advice: str) -> None:
    """Raises UserError unless the disk of a folder, which may not exist yet, has n_bytes free."""
    free = shutil.disk_usage(_nearest(Path(os.path.realpath(folder)) / "file")).free
    if n_bytes > free:
        raise UserError(f"{folder}: needs {size(n_bytes)}, free: {size(free)}; {advice}")


def check_memory(n_bytes: float, advice: str) -> None:
    """Raises UserError unless n_bytes of memory are free, as far as the system tells."""
    free = _free_memory()
    if free is not None and n_bytes > free:
        raise UserError(f"needs {size(n_bytes)} of memory, free: {size(free)}; {advice}")


def _free_memory():
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(x for x in lines if x.startswith("MemAvailable")).split()[1])
    except (OSError, StopIteration, ValueError):
        return None


def size(n_bytes: float) -> str:
    """A number of bytes in the unit that fits: 1.2 GB."""
    units = ["bytes", "kB", "MB", "GB", "TB", "PB"]
    while n_bytes >= 999.5 and len(units) > 1:
        n_bytes, units = n_bytes / 1000, units[1:]
    return f"{n_bytes:.3g} {units[0]}"


@contextmanager
def held_signals():
    """Ctrl-C, SIGTERM and SIGHUP only note down their number, [n]: the work in hand is finished.

    A second one of the same kind does what it always does. One that is ignored stays so.
    """
    received, before = [], {}

    def note(number, frame):
        received.append(number)
        signal.signal(number, before[number])

    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # by nohup, or a shell's &
            before[number] = signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
