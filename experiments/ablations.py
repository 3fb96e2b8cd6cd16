"""Train the recipe without each of its parts, or with more or less of it, and print a table.

python -m experiments.ablations FOLDER --training.seed 0 --jobs 2

--jobs 2             number of networks trained at a time
--only WORD          only the variants with this word in their name
--config_path FILE   and every flag of train.py that is a key; the flags of a variant override them

FOLDER gets the networks, their logs (.csv) and what train.py printed (.txt).
"""

from experiments import seeds, tables
from zrnn import cli, configuration
from zrnn.checkpoints import HOME
from zrnn.errors import UserError

VARIANTS = {  # name: flags of train.py
    "recipe": {},
    "descent alone at 1 ms": {  # 240 updates take about as long as the whole recipe
        "training.dt": 0.001,
        "training.epochs": 240,
        "training.refine": False,
        "training.calibrate": False,
    },
    "without calibration": {"training.calibrate": False},
    **{f"{n} updates of descent": {"training.epochs": n} for n in (300, 500, 1000, 2000)},
    **{f"noise up to x {x}": {"training.peak_noise_scale": x} for x in (1.0, 1.5, 2.0, 2.5)},
    "equal noise and weight at all tempos": {"training.noise_exponent": 0.0},
    "vanilla RNN": {"model.type": "RNN"},
    "vanilla RNN with noise": {"model.type": "RNN", "model.vanilla_sigma_rec": 0.01},
    "original recipe, batches of 32": {  # the mean loss of 16 batches, 512 trials, ends it
        "config_path": HOME / "configs/original.yaml",
        "training.batch_size": 32,
        "training.early_stopping_updates": 16,
    },
}


def main(*folder: str, jobs=2, only="", config_path=None, **flags):
    configuration.load(config_path, flags)  # reports mistakes before any training
    flags["config_path"] = config_path
    networks = {name: flags | VARIANTS[name] for name in VARIANTS if only in name}
    if not networks:
        raise UserError(f"--only is {only!r}; allowed: a word of {', '.join(VARIANTS)}")
    folder, complete = seeds.train_all(folder, networks, jobs)
    if complete:
        evaluations = {n: tables.read_evaluation(folder / f"{n}.pth") for n in complete}
        print(tables.criteria_table(evaluations))


if __name__ == "__main__":
    cli.run(main)
