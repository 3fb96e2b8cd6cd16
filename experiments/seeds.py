"""Tables over trained networks, in Markdown: what each reaches, and mean and spread of all.

python experiments/seeds.py pretrained/*.pth

Reads the verdict that train.py keeps in a checkpoint; nothing is driven anew.
"""

import sys
from pathlib import Path

import fire
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from zrnn.analysis import judge as behaviour
from zrnn.network.checkpoints import read_checkpoint
from zrnn.workshop import configuration
from zrnn.workshop.errors import UserError

# Mean ITIs [s] of the predecessor, read from the trained points of its published figure (right
# panel of PCA_and_model_activity_stats.png); a pixel is 2 ms, so each is good to about 1 ms.
PREDECESSOR = {
    0.5: 0.496, 0.333: 0.341, 0.25: 0.256, 0.2: 0.209, 0.166: 0.172, 0.143: 0.146, 0.125: 0.130,
}  # fmt: skip


def read_verdicts(paths):
    """{last word of the file name: (behaviour, training seconds)}. Raises UserError."""
    verdicts = {}
    for path in sorted(paths, key=lambda path: (len(str(path)), str(path))):  # seed12 after seed4
        _, content = read_checkpoint(path, configuration.load())
        if "behaviour" not in content:
            raise UserError(f"checkpoint {path}: no verdict; train it with check.enable true")
        name = Path(path).stem.rpartition("_")[2]
        verdicts[name] = content["behaviour"], content["training_seconds"]
    return verdicts


def tempo_table(verdicts):
    """Mean ITI error and CV at each trained period: mean, SD and worst over the networks."""
    print("| period | predecessor | error: mean ± SD | worst | CV: mean ± SD | from rest: worst |")
    print("|---|---|---|---|---|---|")
    rows = [row for verdict, _ in verdicts.values() for row in verdict["rows"]]
    for period in sorted({r["period"] for r in rows if r["condition"] == behaviour.CLICKS})[::-1]:
        own = [r for r in rows if r["period"] == period]
        error, alone = (
            100 * np.array([r["error"] for r in own if r["condition"] == condition])
            for condition in (behaviour.CLICKS, behaviour.REST)
        )
        cv = 100 * np.array([r["cv"] for r in own if r["condition"] == behaviour.CLICKS])
        spread = error.std(ddof=1), cv.std(ddof=1)
        worst, worst_alone = (e[np.argmax(np.abs(e))] for e in (error, alone))
        before = (
            f"{100 * (PREDECESSOR[period] / period - 1):+.1f} %" if period in PREDECESSOR else ""
        )
        print(
            f"| {period:.3f} s | {before} | {error.mean():+.2f} ± {spread[0]:.2f} % "
            f"| {worst:+.2f} % | {cv.mean():.2f} ± {spread[1]:.2f} % | {worst_alone:+.2f} % |"
        )


def findings_table(verdicts):
    """Every measure of the check section, network by network; what misses its bound is bold."""
    print(f"| measure | to reach | {' | '.join(verdicts)} |")
    print("|---" * (2 + len(verdicts)) + "|")
    columns = [verdict["findings"] for verdict, _ in verdicts.values()]
    for findings in zip(*columns, strict=True):
        cells = [f["reached"] if f["met"] else f"**{f['reached']}**" for f in findings]
        print(f"| {findings[0]['measure']} | {findings[0]['bound']} | {' | '.join(cells)} |")
    print(f"| training | | {' | '.join(f'{s:.0f} s' for _, s in verdicts.values())} |")


def main(*paths):
    verdicts = read_verdicts(paths)
    if len(verdicts) > 1:
        tempo_table(verdicts)
        print()
    findings_table(verdicts)


if __name__ == "__main__":
    try:
        fire.Fire(main)
    except UserError as error:
        sys.exit(f"error: {error}")
