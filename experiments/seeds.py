"""Train networks of many seeds side by side, one thread each, and end with tables of them.

python experiments/seeds.py FOLDER --seeds 0..9 --jobs 2

--seeds 0..9         the first and the last, or one
--jobs 2             how many are trained at a time
--config_path FILE   and every flag of train.py that names a key: --training.epochs 500

FOLDER holds TYPE_seedN.pth, its log (.csv), and what train.py said (.txt). What is there is not
trained again, what was stopped is gone on with, what fails is listed. In a job array, every job
trains the seed of its own index (SLURM_ARRAY_TASK_ID).
"""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from zrnn.analysis import tables
from zrnn.workshop import command_line, configuration, side_by_side
from zrnn.workshop.errors import UserError
from zrnn.workshop.provenance import HOME


def seeds_of(text: str, index: str | None = None) -> list[int]:
    """The seeds that "0..9" or "3" stands for; of them only `index`, if given."""
    first, _, last = text.partition("..")
    if not first.isdigit() or not (last or first).isdigit():
        raise UserError(f"--seeds is {text}; allowed: 0..9, the first and the last, or one")
    seeds = range(int(first), int(last or first) + 1)
    if index is not None and index not in map(str, seeds):
        raise UserError(f"SLURM_ARRAY_TASK_ID is {index}; allowed: one of --seeds, {text}")
    return [seed for seed in seeds if index in (None, str(seed))]


def command_of(folder, name, seed, config_path, flags) -> list:
    """The call of train.py; it goes on with a run that was stopped."""
    command = [sys.executable, HOME / "train.py", "--training.seed", seed]
    command += ["--training.save_path", folder / f"{name}.pth"]
    command += ["--training.log_path", folder / f"{name}.csv", "--plotting.enable", False]
    if config_path is not None:
        command += ["--config_path", config_path]
    command += [f"--{key}={value}" for key, value in flags.items()]
    return command + ["--resume"] * (folder / f"{name}.pth.state").exists()


def main(*folder: str, seeds="0..9", jobs=2, config_path=None, **flags):
    if len(folder) != 1:
        raise UserError("allowed: one folder for the networks, as in seeds.py FOLDER --seeds 0..9")
    if jobs < 1:
        raise UserError(f"--jobs is {jobs}; allowed: 1 or more")
    folder = Path(*folder)
    config = configuration.load(config_path, flags)  # a mistake is told before anything starts
    names = {
        f"{config.model.type}_seed{seed}": seed
        for seed in seeds_of(seeds, os.environ.get("SLURM_ARRAY_TASK_ID"))
    }
    commands = {
        name: command_of(folder, name, seed, config_path, flags)
        for name, seed in names.items()
        if not (folder / f"{name}.pth").exists() or (folder / f"{name}.pth.state").exists()
    }
    print(f"{len(commands)} networks to train, {len(names) - len(commands)} are there", flush=True)
    began = time.time()

    def ended(name, code):
        said = "trained" if code == 0 else side_by_side.last_line(folder, name)
        print(f"{time.time() - began:6.0f} s  {name}: {said}", flush=True)

    with command_line.if_stopped("the same command goes on with it"):
        codes = side_by_side.run_all(commands, folder, jobs, ended)
    failed = [name for name, code in codes.items() if code != 0]
    if len(codes) > len(failed):
        hours = (time.time() - began) / 3600
        print(f"{(len(codes) - len(failed)) / hours:.0f} networks an hour, {jobs} at a time")
    print(f"not trained: {', '.join(failed) or 'none'}\n")
    networks = [folder / f"{name}.pth" for name in names if name not in failed]
    if networks and config.check.enable:
        print(tables.report([tables.read_network(path) for path in networks]))


if __name__ == "__main__":
    command_line.run(main)
