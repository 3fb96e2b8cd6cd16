"""What the parts of the training are worth: the recipe without each, or with more or less of it.

python experiments/ablations.py FOLDER --seed 0 --jobs 2 --only NAME

--seed 0             the seed with which all of them are trained
--jobs 2             how many are trained at a time
--only NAME          only the variants whose name has this word in it
--config_path FILE   and every flag of train.py that names a key; a variant's own flags win

FOLDER holds the networks, their logs and what train.py said. What is there is not trained again.
Ends with a table.
"""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import side_by_side

from experiments import tables
from zrnn import cli
from zrnn.checkpoints import HOME
from zrnn.errors import UserError

DESCENT_ALONE = {"training.refine": False, "training.calibrate": False}
EPOCHS_AT_1_MS = 240  # take about as long as the recipe as a whole


@dataclass(frozen=True)
class Variant:
    """The recipe with other flags, or with a constant set otherwise by a statement."""

    flags: dict = field(default_factory=dict)
    statement: str = ""


VARIANTS = {
    "the recipe": Variant(),
    "descent alone at 1 ms, for the same time": Variant(
        {**DESCENT_ALONE, "training.dt": 0.001, "training.epochs": EPOCHS_AT_1_MS}
    ),
    "without rows for the height": Variant(
        statement="refinement.ROW_WEIGHTS = np.array([1.0, 0.0, 0.0])"
    ),
    "without calibration": Variant({"training.calibrate": False}),
    "half as many rungs": Variant(statement="refinement.RUNG = refinement.RUNG**2"),
    **{f"{n} updates of descent": Variant({"training.epochs": n}) for n in (300, 500, 1000, 2000)},
    **{
        f"noise up to x {scale:g}": Variant({"training.peak_noise_scale": scale})
        for scale in (1.0, 1.5, 2.0, 2.5)
    },
    "noise at its most to the end": Variant(statement="descent.LAST_NOISE = 0.9999"),
    "equal noise and weight at all tempos": Variant({"training.noise_exponent": 0.0}),
    "vanilla RNN": Variant({"model.type": "RNN"}),
    "vanilla RNN, same noise": Variant({"model.type": "RNN", "model.vanilla_sigma_rec": 0.01}),
    "the predecessor's, batches of 32": Variant(
        {"config_path": HOME / "configs/original.yaml", "training.batch_size": 32}
    ),
}


def main(*folder: str, seed=0, jobs=2, only: str = "", config_path=None, **flags):
    chosen = {name: own for name, own in VARIANTS.items() if only in name}
    if len(folder) != 1 or jobs < 1 or not chosen:
        raise UserError("allowed: one folder, at least one job, and a word of a variant's name")
    folder, commands = Path(*folder), {}
    flags |= {"training.seed": seed} | ({} if config_path is None else {"config_path": config_path})
    files = {name: "-".join(re.findall(r"\w+", name)) for name in chosen}
    for name, own in chosen.items():
        words = side_by_side.training(folder, files[name], flags | own.flags, own.statement)
        commands[files[name]] = words
    failed = side_by_side.train_all(folder, commands, jobs)
    table = {}
    for name, file in files.items():
        if file in failed:
            table[name] = side_by_side.last_line(folder / f"{file}.txt").partition(";")[0]
        else:
            table[name] = tables.read_network(folder / f"{file}.pth")
    print(tables.variants_table(table))


if __name__ == "__main__":
    cli.run(main)
