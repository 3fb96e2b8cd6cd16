"""What every script does around its main(): flags, help, messages, signals."""

import ast
import errno
import inspect
import os
import signal
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import fire
from fire.decorators import SetParseFn
from tqdm import tqdm

from zrnn import configuration
from zrnn.errors import UserError
from zrnn.schema import SECTIONS

# signals that stop a run; SIGUSR1 is what batch systems send before a time limit
SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
    if hasattr(signal, name)  # not all of them exist on Windows
]
# sections that belong to a script although its name does not say so
SCRIPT_SECTIONS = {
    "train": ("model", "task", "training", "check", "plotting"),
    "drive_model_and_save_outputs": ("drive", "plotting"),
}
ADVICE = "run the same command again; earlier results are unchanged"
ALLOWED = {bool: "true or false", int: "a whole number", str: "one word after it"}
_received: list | None = None  # signals, while `signals_recorded`


class Stopped(KeyboardInterrupt):
    """A signal has stopped the run; advice: how to continue, for the user."""

    advice = None

    def __init__(self, number=signal.SIGINT):
        super().__init__()
        self.number = number


def _stop(number, frame):
    if _received is None or number in _received:
        raise Stopped(number)
    _received.append(number)


def catch_signals() -> None:
    """From now on signals raise Stopped, except those that nohup or a shell's & ignores."""
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)


@contextmanager
def signals_recorded():
    """Within the block the first signal of a kind is only added to the list that is yielded."""
    global _received
    _received = []
    try:
        yield _received
    finally:
        _received = None


@contextmanager
def if_stopped(advice: str):
    """If a signal stops the run within the block, the user is given this advice."""
    try:
        yield
    except Stopped as stopped:
        stopped.advice = stopped.advice or advice
        raise


def run(main) -> None:
    """Run a script's main() with the flags given on the command line.

    Flags that main() names get the type of its annotation or default (bool, int or str); all others
    are keys of the configuration and go to **flags as text. A user's mistake is reported without
    a traceback, exit code 2; a signal says how to continue, exit code 128 + its number.
    """
    parameters = inspect.signature(main, eval_str=True).parameters
    takes_words = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())

    @SetParseFn(str)  # values as typed: Fire would read net#1.pth as net, and 0x10 as 16
    def start(*words, **flags):
        if {"help", "h"} & set(flags):
            print(_help(Path(sys.argv[0]), flags.get("help", flags.get("h"))))
        elif words and not takes_words:
            raise UserError(f"command line: {words[0]!r} belongs to no flag; see --help")
        else:
            _set_threads(flags.pop("threads", None))
            main(*words, **_typed(flags, parameters))
        if sys.stdout is not None:  # closed by >&-
            sys.stdout.flush()

    catch_signals()
    if matplotlib := sys.modules.get("matplotlib"):
        matplotlib.rcdefaults()  # figures do not depend on a user's settings
        matplotlib.use("Agg")
    with suppress(AttributeError):  # closed, or captured by a test
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no "±" loses no result
    try:
        if stray := {"-", "--"} & set(sys.argv[1:]):  # these mean something else to Fire
            raise UserError(f"command line: {min(stray)} belongs to no flag; see --help")
        fire.Fire(start)
    except (UserError, RecursionError) as error:
        _end(f"error: {error}", 2)
    except Stopped as stopped:
        _end(f"stopped; {stopped.advice or ADVICE}", 128 + stopped.number)
    except (MemoryError, RuntimeError) as error:  # PyTorch has no MemoryError of its own
        words = ("out of memory", "allocate memory")
        if not isinstance(error, MemoryError) and not any(w in str(error) for w in words):
            raise
        _end("error: out of memory; reduce batch_size, hidden_dim or noise_runs", 2)
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.ENOSPC:
            _end("error: standard output is full", 1)
        sys.exit(128 + signal.SIGPIPE)  # the reader, for example head, has ended


def progress_bar(total: int, desc=None, unit="step", **options) -> tqdm:
    """A progress bar; where standard error is no terminal, printed after every tenth only."""
    if not sys.stderr.isatty():
        options |= {"miniters": max(total // 10, 1), "mininterval": 0, "maxinterval": float("inf")}
    return tqdm(total=total, desc=desc, unit=unit, **options)


def _set_threads(number):
    """--threads N, a flag of every script: use N threads instead of measuring."""
    if number is None:
        return
    if not number.isdecimal() or not 1 <= int(number) <= 1024:
        raise UserError(f"--threads is {number!r}; allowed: a whole number, 1 to 1024")
    from zrnn import threads  # imports torch, which --help does without

    threads.fix(int(number))


def _end(line, code):
    """Print the line below any progress bars, and exit."""
    for bar in list(getattr(tqdm, "_instances", ())):
        with suppress(Exception):  # the bar may be incomplete
            bar.close()
    with suppress(OSError, ValueError):  # standard output may be closed
        sys.stdout.flush()
    print(line, file=sys.stderr)
    sys.exit(code)


def _typed(flags, parameters):
    """The flags, those that main() names with its types. Raises UserError."""
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    kinds = {
        name: type(p.default) if p.annotation is p.empty else p.annotation
        for name, p in parameters.items()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    typed, wrong = {}, []
    for name, text in flags.items():
        kind = kinds.get(name)
        if name not in kinds:
            if open_ended and ("." in name or name in ("model_type", "name")):
                typed[name] = text
            else:
                near = configuration.suggestion(name, kinds)
                wrong.append(f"command line: unknown flag --{name}{near}; see --help")
        elif kind is bool and text.lower() in ("true", "false"):
            typed[name] = text.lower() == "true"
        elif kind is int and text.isdecimal():
            typed[name] = int(text)
        elif kind not in (bool, int) and (text != "True" or kind == bool | str):
            typed[name] = text
        else:
            wrong.append(f"--{name} is {text!r}; allowed: {ALLOWED.get(kind, ALLOWED[str])}")
    if wrong:
        raise UserError("\n".join(wrong))
    return typed


def _help(script, which):
    """The script's docstring, from its file since python -OO removes it, and its keys."""
    about = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or script.name
    names = SCRIPT_SECTIONS.get(script.stem, (script.stem.removeprefix("plot_"),))
    names = SECTIONS if which == "all" else [name for name in names if name in SECTIONS]
    lines = [about.strip(), ""]
    for section in names:
        for name, field in SECTIONS[section].model_fields.items():
            flag = f"  --{section}.{name} {configuration.value_text(field.default)}"
            lines.append(f"{flag:38}  {field.description}")
    lines += ["", "--threads N uses N CPU threads; without it the faster number is measured."]
    if which != "all":
        lines += ["--help all lists the keys of all sections."]
    return "\n".join(lines)
