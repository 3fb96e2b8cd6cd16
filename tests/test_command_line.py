"""What every script does around its main(): flags, help, one-line errors, signals, surroundings."""

import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from zrnn import cli

HOME = Path(__file__).parents[1]
SCRIPT = '''"""Print the configuration, and wait.

--resume    continue
"""
import sys, time
sys.path.insert(0, {home!r})
from tqdm import tqdm
from zrnn import cli, configuration
from zrnn.errors import UserError


def main(config_path=None, device: str = "auto", resume=False, jobs: int = 1, **flags):
    config = configuration.load(config_path, flags)
    print(configuration.changes_text(config), device, resume, jobs, flush=True)
    if config.training.epochs == 1:
        bar = tqdm(total=10)
        bar.update(3)
        raise UserError("it is not finite")
    if config.training.epochs == 2:
        for _ in range(100_000):
            print("many words")
    if config.training.epochs == 3:
        with cli.if_stopped("continue with --resume"):
            bar = tqdm(total=10)
            bar.update(3)
            time.sleep(60)
    if config.training.epochs == 4:
        print("waiting", flush=True)
        time.sleep(60)
    if config.training.epochs == 5:
        bytearray(2**62)
    if config.training.epochs == 6:
        raise RuntimeError(jobs)


if __name__ == "__main__":
    cli.run(main)
'''


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("script") / "plot_fig5.py"
    path.write_text(SCRIPT.format(home=str(HOME)))
    return path


@pytest.fixture
def run(script, monkeypatch, capsys, stop_signals):
    """run(*flags) runs the script in this process: returncode, stdout, stderr."""
    main = runpy.run_path(str(script))["main"]

    def run(*flags):
        monkeypatch.setattr(sys, "argv", [str(script), *map(str, flags)])
        code = 0
        try:
            cli.run(main)
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=said.out, stderr=said.err)

    return run


def run_process(*command, **options):
    words = [sys.executable, *map(str, command)]
    return subprocess.run(words, capture_output=True, text=True, **options)


def test_flags_reach_main(run):
    done = run("--resume", "--device", 3, "--jobs", 2, "--model.tau", "2e-2")
    assert done.returncode == 0 and not done.stderr
    assert done.stdout.splitlines()[1:] == ["  model.tau: 0.02 3 True 2"]
    assert run("--resume=false", "--name", "mine").stdout.endswith("/mine/ auto False 1\n")


@pytest.mark.parametrize("name", ["2024_11_26", "0x10", "net#1.pth", "1e5", "None", "[1]", "a=b"])
def test_names_reach_main_as_typed(run, name):
    done = run("--device", name, f"--drive.folder={name}")
    assert done.stdout.splitlines()[1:] == [f"  drive.folder: {name} {name} False 1"]
    assert f"everything goes to runs/{name}/" in run("--name", name).stdout


@pytest.mark.parametrize(
    "flags, words",
    [
        ("--resume maybe", "--resume is 'maybe'; allowed: true or false"),
        ("--resume 1", "true or false"),
        ("--config_path", "--config_path is 'True'; allowed: one word after it"),
        ("--jobs many", "--jobs is 'many'; allowed: a whole number"),
        ("--jobs true", "a whole number"),
        ("--resum", "did you mean resume?"),
        ("--epochs 3", "did you mean training.epochs?"),
        ("--training.epochs many", "input should be a valid integer"),
        ("--training.epochs -1", "training.epochs is -1: input should be greater than or equal"),
        ("--training.epochs", "training.epochs is True: input should be a valid integer"),
        ("--training.periods [0.5", "training.periods is [0.5: input should be a valid list"),
        ("-s 3", "--fig5.span"),
        ("--config a.yaml", "--config_path"),
        ("--zebra", "unknown flag --zebra; see --help"),
        ("stray", "'stray' belongs to no flag"),
        ("- stray", "- belongs to no flag"),
        ("-- --trace", "-- belongs to no flag"),
        ("--name a/b", "a plain word"),
    ],
)
def test_mistakes_are_one_line(run, flags, words):
    done = run(*flags.split())
    assert done.returncode == 2 and words in done.stderr and not done.stdout
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_several_mistakes_are_said_at_once(run):
    done = run("--training.epochs", -1, "--drive.seed", -1)
    assert done.returncode == 2 and done.stderr.count("\n") == 2
    done = run("--jobs", "many", "--zebra", 1)
    assert done.returncode == 2 and done.stderr.count("\n") == 2


def test_help(run, script):
    done = run("--help")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and not done.stderr and len(lines) < 20
    assert lines[0] == "Print the configuration, and wait."
    assert "  --fig5.field_seconds 0.5              [s] time of the fields in figure 5a" in lines
    assert "--model.tau" not in done.stdout
    everything = run("--help", "all").stdout
    assert "--model.tau 0.01 " in everything and "--fig5.span 5.0 " in everything
    assert run_process("-OO", script, "--help").stdout == done.stdout  # without docstrings


def test_a_reader_that_ends_early(script):
    for flags in ("--help all", "--training.epochs 2"):
        command = f"{sys.executable} {script} {flags} | head -1"
        done = subprocess.run(command, shell=True, capture_output=True, text=True)
        assert done.stdout.count("\n") == 1 and not done.stderr


def test_a_closed_standard_output(script):
    command = f"{sys.executable} {script} --help >&-"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr


def test_an_error_ends_the_progress_bar_first(run):
    done = run("--training.epochs", 1)
    assert done.returncode == 2 and done.stderr.splitlines()[-1] == "error: it is not finite"


def test_too_little_memory_is_an_error_and_a_fault_of_the_program_shows(run):
    done = run("--training.epochs", 5)
    assert done.returncode == 2 and done.stderr.startswith("error: out of memory")
    with pytest.raises(RuntimeError):
        run("--training.epochs", 6)


@pytest.mark.parametrize(
    "name, epochs, words",
    [
        ("SIGINT", 3, "stopped; continue with --resume"),
        ("SIGTERM", 4, "stopped; run the same command again"),
        ("SIGHUP", 3, "stopped; continue with --resume"),
        ("SIGUSR1", 4, "stopped; run the same command again"),
    ],
)
def test_a_signal_says_how_to_continue(script, name, epochs, words):
    process = subprocess.Popen(
        [sys.executable, script, "--training.epochs", str(epochs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # SIGINT is ignored where the tests run in the background
    process.stdout.readline()
    if epochs == 4:
        process.stdout.readline()
    else:
        process.stderr.read(1)  # the bar
    process.send_signal(getattr(signal, name))
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 128 + getattr(signal, name), said
    assert words in said.splitlines()[-1] and "Traceback" not in said


def test_signals_wait_for_the_work_in_progress_unless_they_are_ignored(stop_signals):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    cli.catch_signals()
    with cli.signals_recorded() as received:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT):
            os.kill(os.getpid(), number)
        assert received == [signal.SIGHUP, signal.SIGUSR1, signal.SIGINT]
        with pytest.raises(cli.Stopped):
            os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(cli.Stopped):
        os.kill(os.getpid(), signal.SIGHUP)


def test_nohup_is_respected(script):
    process = subprocess.Popen(
        [sys.executable, script, "--training.epochs", "4"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.terminate()
    assert process.wait() == 143


FIGURE = """
import sys
sys.path.insert(0, {home!r})
import compare
import matplotlib
from zrnn import checkpoints, cli, figures

print(matplotlib.get_backend())


def main():
    print(matplotlib.get_backend())
    figure = figures.plt.figure()
    figure.text(0, 0, "a beat")
    figures.save_results("out", str(checkpoints.provenance()), {{"a": figure}}, "png")


cli.run(main)
"""


@pytest.mark.parametrize(
    "change",
    [{"HOME": "/proc/nowhere", "PATH": "/nowhere"}, {"HOME": None, "GIT_DIR": "/nowhere"}],
    ids=["unwritable home, no git program", "no home, no repository"],
)
def test_a_figure_does_not_depend_on_home_git_or_the_users_matplotlibrc(tmp_path, change):
    """Nor does importing a script choose matplotlib's backend: only running one does."""
    environment = {k: v for k, v in (os.environ | change | {"MPLBACKEND": "svg"}).items() if v}
    environment.pop("MPLCONFIGDIR", None)
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\n")
    command = "-c", FIGURE.format(home=str(HOME))
    done = run_process(*command, cwd=tmp_path, env=environment)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert done.stdout.split()[:2] == ["svg", "Agg"] and (tmp_path / "out" / "a.png").exists()
    assert "not in a git repository" in (tmp_path / "out" / "made_by.yaml").read_text()
