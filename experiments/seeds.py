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
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import side_by_side

from experiments import tables
from zrnn import cli, configuration
from zrnn.errors import UserError


def seeds_of(text: str, index: str | None = None) -> list[int]:
    """The seeds that "0..9" or "3" stands for; of them only `index`, if given."""
    first, _, last = text.partition("..")
    if not first.isdigit() or not (last or first).isdigit():
        raise UserError(f"--seeds is {text}; allowed: 0..9, the first and the last, or one")
    seeds = range(int(first), int(last or first) + 1)
    if index is not None and index not in map(str, seeds):
        raise UserError(f"SLURM_ARRAY_TASK_ID is {index}; allowed: one of --seeds, {text}")
    return [seed for seed in seeds if index in (None, str(seed))]


def main(*folder: str, seeds="0..9", jobs=2, config_path=None, **flags):
    if len(folder) != 1 or jobs < 1:
        raise UserError("allowed: one folder and at least one job: FOLDER --seeds 0..9 --jobs 2")
    folder = Path(*folder)
    config = configuration.load(config_path, flags)  # a mistake is told before anything starts
    if config_path is not None:
        flags["config_path"] = config_path
    commands = {}
    for seed in seeds_of(seeds, os.environ.get("SLURM_ARRAY_TASK_ID")):
        name = f"{config.model.type}_seed{seed}"
        commands[name] = side_by_side.training(folder, name, flags | {"training.seed": seed})
    failed = side_by_side.train_all(folder, commands, jobs)
    made = [folder / f"{name}.pth" for name in commands if name not in failed]
    if made and config.check.enable:
        print(tables.report([tables.read_network(path) for path in made]))
    if failed:
        raise UserError(f"{len(failed)} of {len(commands)} networks were not trained, see above")


if __name__ == "__main__":
    cli.run(main)
