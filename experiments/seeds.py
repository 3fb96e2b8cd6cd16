"""Train networks of several seeds in parallel, one thread each, and print tables of them.

python -m experiments.seeds FOLDER --seeds 0..9 --jobs 2

--seeds 0..9         the first and the last seed, or a single one
--jobs 2             number of networks trained at a time
--config_path FILE   and every flag of train.py that is a key of the configuration

FOLDER gets TYPE_seedN.pth, its log (.csv) and what train.py printed (.txt). The same command skips
networks that are complete and continues those that were stopped.
"""

import re
import subprocess
import sys
from multiprocessing.pool import ThreadPool
from pathlib import Path

from experiments import tables
from zrnn import checkpoints, cli, configuration, files
from zrnn.checkpoints import HOME
from zrnn.errors import UserError
from zrnn.training.start_or_resume import different_settings

MAX_SEEDS = 10_000  # in one call


def seeds_of(text: str) -> range:
    """The seeds that "0..9" or "3" stands for. Raises UserError."""
    match = re.fullmatch(r"([0-9]{1,10})(?:\.\.([0-9]{1,10}))?", text)
    seeds = range(int(match[1]), int(match[2] or match[1]) + 1) if match else range(0)
    if not 0 < len(seeds) <= MAX_SEEDS:
        allowed = f"one as 3, or up to {MAX_SEEDS} as 0..9"
        raise UserError(f"--seeds is {text[:40]!r}; allowed: {allowed}")
    return seeds


def start_training(path: Path, flags: dict) -> subprocess.Popen:
    """Start or continue train.py for PATH.pth and its log PATH.csv; PATH.txt: what it prints."""
    flags = {"resume": "auto", "threads": 1, "plotting.enable": False} | flags
    flags |= {"training.save_path": f"{path}.pth", "training.log_path": f"{path}.csv"}
    words = [f"--{key}={value}" for key, value in flags.items() if value is not None]
    with open(f"{path}.txt", "w") as log:
        return subprocess.Popen([sys.executable, HOME / "train.py", *words], stdout=log, stderr=log)


def check_settings(path: Path, flags: dict) -> None:
    """Raises UserError if the network at `path` was trained or evaluated with other settings."""
    keys = {key: value for key, value in flags.items() if "." in key or key == "model_type"}
    saved = checkpoints.read_checkpoint(path)[1].get("config")
    wanted = configuration.load(flags.get("config_path"), keys)
    found = configuration.load(configuration.of_checkpoint(saved))
    sections = (*configuration.TRAINED, "check", "drive")  # the last two: of the evaluation
    for key, new, old in different_settings(wanted, found, sections):
        raise UserError(f"{path} was trained with {key} {old}, not {new}; use another folder")


def train_all(words, networks: dict[str, dict], jobs: int) -> tuple[Path, list[str]]:
    """Train NAME.pth for each {name: flags of train.py}, `jobs` at a time.

    words: the folder, alone. Complete networks are skipped. If this process is stopped, the
    trainings are stopped and save their state. Returns the folder and the names of those that are
    complete at the end. Raises UserError.
    """
    if len(words) != 1 or jobs < 1:
        raise UserError("allowed: one folder and at least one job, as FOLDER --jobs 2")
    folder, processes = Path(*words), {}

    def is_complete(name):
        return (folder / f"{name}.pth").exists() and not (folder / f"{name}.pth.state").exists()

    def train(name):
        processes[name] = start_training(folder / name, networks[name])
        return name, processes[name].wait()

    with cli.if_stopped("the same command continues"), files.user_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        waiting = [name for name in networks if not is_complete(name)]
        for name in networks.keys() - waiting:
            check_settings(folder / f"{name}.pth", networks[name])
        print(f"{len(waiting)} to train, {len(networks) - len(waiting)} complete", flush=True)
        pool = ThreadPool(min(jobs, len(networks)))
        try:
            for name, code in pool.imap_unordered(train, waiting):
                printed = (folder / f"{name}.txt").read_text(errors="replace").strip()
                result = ["nothing printed", *printed.splitlines()][-1] if code else "trained"
                print(f"{name}: {result}", flush=True)
        finally:
            pool.terminate()
            for process in list(processes.values()):
                process.terminate()
            for process in list(processes.values()):
                process.wait()
    return folder, [name for name in networks if is_complete(name)]


def main(*folder: str, seeds="0..9", jobs=2, config_path=None, **flags):
    if given := {"name", "training.seed", "training.save_path", "training.log_path"} & set(flags):
        raise UserError(f"--{min(given)} has no effect here; FOLDER and --seeds set it")
    config = configuration.load(config_path, flags)  # reports mistakes before any training
    flags["config_path"] = config_path
    name = f"{config.model.type}_seed"
    networks = {f"{name}{seed}": flags | {"training.seed": seed} for seed in seeds_of(seeds)}
    folder, complete = train_all(folder, networks, jobs)
    if complete and config.check.enable:
        print(tables.report({n: tables.read_evaluation(folder / f"{n}.pth") for n in complete}))
    if missing := len(networks) - len(complete):
        raise UserError(f"{missing} of {len(networks)} networks could not be trained, see above")


if __name__ == "__main__":
    cli.run(main)
