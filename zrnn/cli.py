"""What every script does around its main(): flags, help, one-line errors, signals."""

import ast
import inspect
import os
import signal
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import fire

from zrnn import checks, configuration
from zrnn.errors import UserError
from zrnn.files import SIGNALS
from zrnn.schema import SECTIONS

# the sections that belong to a script whose name does not say it
OWN_SECTIONS = {
    "train": ("model", "task", "training", "check", "plotting"),
    "drive_model_and_save_outputs": ("drive", "plotting"),
}
STARTS_ANEW = "the same command starts anew; what was there before is as it was"


class Stopped(KeyboardInterrupt):
    """A signal, by its number, has stopped the run; how_to_go_on: words for the user."""

    how_to_go_on = None

    def __init__(self, number=signal.SIGINT):
        super().__init__()
        self.number = number


@contextmanager
def if_stopped(how_to_go_on: str):
    """A signal that stops the run within the block says so."""
    try:
        yield
    except Stopped as stopped:
        stopped.how_to_go_on = stopped.how_to_go_on or how_to_go_on
        raise


def run(main) -> None:
    """Run a script's main() under Fire, with the flags given on the command line.

    Flags that main() names are checked against its annotations (bool, int, str) or, without, its
    defaults; it gets the others, keys of the configuration, as **flags. A mistake of the user is
    told in one line, exit code 2; a signal says how to go on, exit code 128 + its number.
    """
    parameters = inspect.signature(main, eval_str=True).parameters
    takes_words = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())

    def started(*words, **flags):
        if {"help", "h"} & set(flags):
            print(_help(Path(sys.argv[0]), flags.get("help", flags.get("h"))))
        elif words and not takes_words:
            raise UserError(f"command line: {str(words[0])!r} belongs to no flag; see --help")
        else:
            main(*map(str, words), **_checked(flags, parameters))
        if sys.stdout is not None:  # closed by >&-
            sys.stdout.flush()

    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # by nohup, or a shell's &
            signal.signal(number, _stop)
    try:
        if stray := {"-", "--"} & set(sys.argv[1:]):  # which Fire understands in its own way
            raise UserError(f"command line: {min(stray)} belongs to no flag; see --help")
        fire.Fire(started)
    except (UserError, RecursionError) as error:
        _end(f"error: {error}", 2)
    except Stopped as stopped:
        _end(f"stopped; {stopped.how_to_go_on or STARTS_ANEW}", 128 + stopped.number)
    except (MemoryError, RuntimeError) as error:  # PyTorch has no MemoryError of its own
        words = ("out of memory", "allocate memory")
        if not isinstance(error, MemoryError) and not any(w in str(error) for w in words):
            raise
        _end("error: out of memory; ask for less, or use a machine with more", 2)
    except BrokenPipeError:  # the reader, head for example, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + 13)


def _stop(number, frame):
    raise Stopped(number)


def _end(line, code):
    """Say the line, below whatever progress bars there are, and leave."""
    tqdm = sys.modules.get("tqdm")
    for bar in list(getattr(tqdm and tqdm.tqdm, "_instances", ())):
        with suppress(Exception):  # one that was being made
            bar.close()
    with suppress(OSError, ValueError):  # nobody reads it any more
        sys.stdout.flush()  # so that what went wrong comes last, also in a file
    print(line, file=sys.stderr)
    sys.exit(code)


def _checked(flags, parameters):
    """The flags, of which those that main() names hold what it says. Raises UserError."""
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    named = [
        n for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    result, wrong = {}, []
    for name, value in flags.items():
        if name in named:
            kind = parameters[name].annotation
            kind = type(parameters[name].default) if kind is inspect.Parameter.empty else kind
            try:
                result[name] = _converted(value, kind)
            except ValueError as error:
                wrong.append(f"--{name} is {value!r}; allowed: {error}")
        elif open_ended and ("." in name or name in ("model_type", "name")):
            result[name] = value
        else:
            near = checks.suggestion(name, named)
            wrong.append(f"command line: unknown flag --{name}{near}; see --help")
    if wrong:
        raise UserError("\n".join(wrong))
    return result


def _converted(value, kind):
    """What Fire made of a flag, as main() wants it. The ValueError says what is allowed."""
    if kind is bool:
        if str(value).lower() not in ("true", "false"):
            raise ValueError("true or false")
        return str(value).lower() == "true"
    if kind is int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("a whole number")
        return value
    if isinstance(value, int) and not isinstance(value, bool):  # a file called 2024
        return str(value)
    if not isinstance(value, str | None):
        raise ValueError("one word after it")
    return value


def _help(script, which):
    """The script's docstring, read from its file, for python -OO strips it; and its own keys."""
    about = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or script.name
    own = OWN_SECTIONS.get(script.stem, (script.stem.removeprefix("plot_"),))
    own = list(SECTIONS) if which == "all" else [name for name in own if name in SECTIONS]
    text = configuration.help_text(about, own)
    return text if which == "all" else f"{text}\n\n--help all lists the keys of all sections."
