"""Draw what an update costs against N, T and batch, beside its products alone: cost.png and .npz.

python benchmarks/cost.py

--threads 2      of the process
--repeats 5      turns: all sizes are timed in turn; medians are drawn, and the least and most
--folder NAME    where the picture goes

One of the three changes at a time, from the update of the descent: N = 500, 200 steps, batch 14.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import contestants
import numpy as np
import torch

from zrnn import cli, figures
from zrnn.checkpoints import provenance
from zrnn.figures import plt
from zrnn.files import replacing

BASE = {"hidden": 500, "steps": 200, "batch": 14}
SIZES = {
    "hidden": [50, 100, 200, 500, 1000, 2000, 4000],
    "steps": [50, 100, 200, 500, 1000, 2000],
    "batch": [2, 4, 8, 14, 28, 56, 112, 224],
}
LABELS = {  # of each panel: quantity, its letter, and the power with which the products grow
    "hidden": ("hidden units N", "N", 2),
    "steps": ("time steps T", "T", 1),
    "batch": ("batch B", "B", 1),
}
FIXED = {"dt": 0.01, "products": "float32", "anew": False, "at_once": False, "device": "cpu"}
CURVES = {  # contestant: (label, colour, marker)
    "updates": ("one update", "#0072B2", "o"),
    "products": ("its products alone", "#E69F00", "s"),
}


def measure(repeats) -> dict[tuple[str, str], np.ndarray]:
    """{(contestant, quantity): seconds (sizes, turns)}"""
    seconds = {
        (name, what): np.zeros((len(SIZES[what]), repeats)) for name in CURVES for what in SIZES
    }
    for turn in range(-1, repeats):  # the first warms up
        for (name, what), own in seconds.items():
            for i, size in enumerate(SIZES[what]):
                go = getattr(contestants, name)(FIXED | BASE | {what: size})
                began = time.perf_counter()
                go()
                own[i, max(turn, 0)] = time.perf_counter() - began
    return seconds


def draw(seconds, threads):
    """One panel for each of N, T and B, logarithmic; dashed: the law of the products."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 4), sharey=True, layout="constrained")
    for panel, (what, (label, letter, power)) in zip(axes, LABELS.items(), strict=True):
        sizes = SIZES[what]
        for name, (title, colour, marker) in CURVES.items():
            own = seconds[name, what]
            middle = np.median(own, axis=1)
            reach = middle - own.min(1), own.max(1) - middle
            look = dict(marker=marker, ms=5, color=colour, capsize=2, label=title)
            panel.errorbar(sizes, middle, reach, **look)
        last = np.median(seconds["updates", what][-1])
        law = f"∝ {letter}{'²' * (power == 2)}"
        ideal = last * (np.array(sizes) / sizes[-1]) ** power
        panel.plot(sizes, ideal, color="0.4", ls="--", lw=1, label=law)
        others = [f"{LABELS[o][1]} = {BASE[o]}" for o in BASE if o != what]
        panel.set(xscale="log", yscale="log", xlabel=label, title=", ".join(others))
        panel.set_xticks(sizes, [str(size) for size in sizes], rotation=45)
        panel.minorticks_off()
        panel.grid(color="0.9")
        panel.legend(fontsize=8)
    axes[0].yaxis.set_major_formatter("{x:g}")
    axes[0].set_ylabel(f"seconds, {threads} thread{'s' * (threads > 1)}")
    return figure


def main(threads=2, repeats=5, folder: str = str(Path(__file__).parents[1] / "README_figs")):
    torch.set_num_threads(threads)
    seconds = measure(repeats)
    folder, about = Path(folder), provenance() | {"threads": threads}
    figures.save_figure(draw(seconds, threads), folder / "cost.png", str(about), dpi=100)
    arrays = {f"{name}_{what}": own for (name, what), own in seconds.items()}
    with replacing(folder / "cost.npz") as part:
        np.savez_compressed(part, **arrays, **{key: SIZES[key] for key in SIZES})
    print(f"saved {folder / 'cost.png'} and cost.npz")
    for what in SIZES:
        middle = np.median(seconds["updates", what], axis=1)
        cells = [f"{size}: {s:.3g} s" for size, s in zip(SIZES[what], middle, strict=True)]
        print(f"{LABELS[what][1]}  {'   '.join(cells)}")


if __name__ == "__main__":
    cli.run(main)
