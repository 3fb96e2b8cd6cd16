"""Tables over trained networks, in Markdown: what each reaches, and mean and spread of all.

python experiments/results.py pretrained/*.pth

Reads the verdicts that train.py keeps in checkpoints, and the logs (.csv) beside them; nothing is
driven anew.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments import tables
from zrnn import cli
from zrnn.errors import UserError


def main(*paths: str):
    if not paths:
        raise UserError("no networks; train some: python experiments/seeds.py FOLDER")
    in_order = sorted(paths, key=lambda path: (len(path), path))  # seed12 after seed2
    print(tables.report([tables.read_network(path) for path in in_order]))


if __name__ == "__main__":
    cli.run(main)
