"""What every script does around its main(): flags, help, one-line errors, signals, odd homes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]
SCRIPT = '''"""Keep a beat for a while.

--resume    go on
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
        with cli.if_stopped("go on with --resume"):
            bar = tqdm(total=10)
            bar.update(3)
            time.sleep(60)
    if config.training.epochs == 5:
        bytearray(2**62)
    if config.training.epochs == 6:
        raise RuntimeError(jobs)
    if config.training.epochs == 4:
        print("waiting", flush=True)
        time.sleep(60)


if __name__ == "__main__":
    cli.run(main)
'''


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("script") / "plot_fig5.py"
    path.write_text(SCRIPT.format(home=str(HOME)))
    return path


def run(script, *flags, python=(), **more):
    command = [sys.executable, *python, script, *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, cwd=script.parent, **more)


def test_flags_reach_main(script):
    done = run(script, "--resume", "--device", 3, "--jobs", 2, "--model.tau", "2e-2")
    assert done.returncode == 0 and not done.stderr
    assert done.stdout.splitlines()[1:] == ["  model.tau: 0.02 3 True 2"]
    assert run(script, "--resume=false", "--name", "mine").stdout.endswith("/mine/ auto False 1\n")


@pytest.mark.parametrize(
    "flags, words",
    [
        ("--resume maybe", "--resume is 'maybe'; allowed: true or false"),
        ("--resume 1", "true or false"),
        ("--config_path", "--config_path is True; allowed: one word after it"),
        ("--device [1]", "one word"),
        ("--jobs many", "a whole number"),
        ("--jobs true", "a whole number"),
        ("--resum", "did you mean resume?"),
        ("--epochs 3", "did you mean training.epochs?"),
        ("--training.epochs many", "allowed: a whole number"),
        ("--type a", "both drawn"),
        ("-s 3", "--fig5.span"),
        ("--config a.yaml", "--config_path"),
        ("--zebra", "unknown flag --zebra; see --help"),
        ("stray", "'stray' belongs to no flag"),
        ("- stray", "- belongs to no flag"),
        ("-- --trace", "-- belongs to no flag"),
        ("--name a/b", "a plain word"),
    ],
)
def test_mistakes_are_one_line(script, flags, words):
    done = run(script, *flags.split())
    assert done.returncode == 2 and words in done.stderr and not done.stdout
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_several_mistakes_are_told_at_once(script):
    done = run(script, "--training.epochs", -1, "--drive.seed", -1)
    assert done.returncode == 2 and done.stderr.count("\n") == 2


@pytest.mark.parametrize("python", [(), ("-OO",)])
def test_help(script, python):
    done = run(script, "--help", python=python)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and lines[0] == "Keep a beat for a while." and len(lines) < 20
    assert "  --fig5.field_seconds 0.5              [s] time of the fields in figure 5a" in lines
    assert "--model.tau" not in done.stdout and not done.stderr
    everything = run(script, "--help", "all", python=python).stdout
    assert "--model.tau 0.01 " in everything and "--fig5.span 5.0 " in everything


def test_a_reader_that_has_seen_enough(script):
    for flags in ("--help all", "--training.epochs 2"):
        command = f"{sys.executable} {script} {flags} | head -1"
        done = subprocess.run(command, shell=True, capture_output=True, text=True)
        assert done.stdout.count("\n") == 1 and not done.stderr


def test_an_error_ends_the_progress_bar_first(script):
    done = run(script, "--training.epochs", 1)
    assert done.returncode == 2 and done.stderr.splitlines()[-1] == "error: it is not finite"


def test_too_little_memory_is_told_and_a_fault_of_the_program_shows(script):
    done = run(script, "--training.epochs", 5)
    assert done.returncode == 2 and done.stderr.startswith("error: out of memory")
    assert "Traceback" in run(script, "--training.epochs", 6).stderr


def test_nobody_listens(script):
    command = f"{sys.executable} {script} --help >&-"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_says_how_to_go_on(script, name):
    for epochs, words in ((3, "stopped; go on with --resume"), (4, "the same command starts anew")):
        command = [sys.executable, script, "--training.epochs", str(epochs)]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # a test run in the background has no Ctrl-C
        process.stdout.readline()
        if epochs == 4:
            process.stdout.readline()
        else:
            process.stderr.read(1)  # the bar
        process.send_signal(getattr(signal, name))
        said = process.communicate(timeout=30)[1]
        assert process.returncode == 128 + getattr(signal, name), said
        assert words in said.splitlines()[-1] and "Traceback" not in said


def test_nohup_is_respected(script):
    command = [sys.executable, script, "--training.epochs", "4"]
    process = subprocess.Popen(
        command,
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


@pytest.mark.parametrize(
    "flags, environment, words",
    [
        ("--model.hidden_dim 20000 --training.batch_size 100000", {}, "TB of memory, free: "),
        ("--model.hidden_dim 20", {"WORLD_SIZE": "2"}, "start with torchrun"),
        ("--model.hidden_dim 20", {"WORLD_SIZE": "two", "RANK": "0"}, "start with torchrun"),
    ],
)
def test_a_training_that_cannot_start_is_refused(tmp_path, flags, environment, words):
    command = [sys.executable, HOME / "train.py", *flags.split()]
    environment = os.environ | environment
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


FIGURE = """
import sys
sys.path.insert(0, {home!r})
from zrnn import figures, provenance
figure = figures.plt.figure()
figure.text(0, 0, "a beat")
figures.save_results("out", str(provenance.provenance()), {{"a": figure}}, "png")
"""


@pytest.mark.parametrize(
    "change",
    [{"HOME": "/proc/nowhere"}, {"HOME": None}, {"PATH": "/nowhere"}, {"GIT_DIR": "/nowhere"}],
    ids=str,
)
def test_no_home_and_no_git(tmp_path, change):
    environment = {k: v for k, v in (os.environ | change).items() if v is not None}
    environment.pop("MPLCONFIGDIR", None)
    command = [sys.executable, "-c", FIGURE.format(home=str(HOME))]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr and (tmp_path / "out" / "a.png").exists()
    if "PATH" in change or "GIT_DIR" in change:
        assert "not in a git repository" in (tmp_path / "out" / "config.yaml").read_text()
