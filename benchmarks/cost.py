"""Draw what an update costs against N, T and batch, beside the products alone: cost.png and .json.

python benchmarks/cost.py [--threads 2] [--repeats 5] [--clock wall] [--folder README_figs]

One of the three changes at a time, from N = 500, T = 500 steps, batch 64. All sizes are timed in
turn, `repeats` times over; the figure shows medians, and the least and most. clock: see run.py.
"""

import json
import time
from pathlib import Path
from statistics import median

import contestants
import fire
import torch

from zrnn.workshop import figures  # contestants has put the project on the path
from zrnn.workshop.figures import plt
from zrnn.workshop.provenance import provenance

BASE = {"hidden": 500, "steps": 500, "batch": 64}
SIZES = {
    "hidden": [50, 100, 200, 300, 500, 1000],
    "steps": [125, 250, 500, 1000, 2000],
    "batch": [2, 4, 8, 14, 32, 64, 128, 256],
}
LABELS = {
    "hidden": ("hidden units N", 2, "∝ N²"),
    "steps": ("time steps T", 1, "∝ T"),
    "batch": ("batch B", 1, "∝ B"),
}
OVERHEAD = 1.25  # where an update costs this many times what the law says, the panel is grey
CURVES = {  # contestant: (label, colour, marker)
    "project": ("one update", "#0072B2", "o"),
    "products_packed": ("its products with W alone", "#E69F00", "s"),
}


def measure(threads, repeats, clock):
    """{contestant: {quantity: {size: seconds of every go}}}"""
    torch.set_num_threads(threads)
    now = time.process_time if clock == "cpu" else time.perf_counter
    fixed = dict(threads=threads, products="float32", noise=True, mirrored=False, device="cpu")
    fixed["recompute"] = False
    cases = [(name, what, size) for name in CURVES for what in SIZES for size in SIZES[what]]
    seconds = {
        name: {what: {size: [] for size in SIZES[what]} for what in SIZES} for name in CURVES
    }
    for turn in range(repeats + 1):
        for name, what, size in cases:
            with torch.set_grad_enabled(name == "project"):
                go = getattr(contestants, name)({**fixed, **BASE, what: size})
                began = now()
                go()
                if turn > 0:  # the first turn warms up
                    seconds[name][what][size].append(now() - began)
            torch.set_grad_enabled(True)
    return seconds


def draw(seconds, threads, clock):
    """One panel for each of N, T and B, logarithmic, with the slope that theory gives."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 4), sharey=True, layout="constrained")
    for panel, (what, (label, power, law)) in zip(axes, LABELS.items(), strict=True):
        for name, (title, colour, marker) in CURVES.items():
            own = seconds[name][what]
            sizes, middle = list(own), [median(values) for values in own.values()]
            reach = [
                [m - min(v) for m, v in zip(middle, own.values(), strict=True)],
                [max(v) - m for m, v in zip(middle, own.values(), strict=True)],
            ]
            panel.errorbar(
                sizes, middle, reach, marker=marker, ms=6, color=colour, capsize=2, label=title
            )
        cost = [median(values) for values in seconds["project"][what].values()]
        ideal = [cost[-1] * (size / sizes[-1]) ** power for size in sizes]
        (line,) = panel.plot(sizes, ideal, color="0.4", ls="--", lw=1)
        over = [size for size, c, i in zip(sizes, cost, ideal, strict=True) if c > OVERHEAD * i]
        if over:
            panel.axvspan(0.8 * sizes[0], over[-1], color="0.93", zorder=0)
            text = f"overhead\nabove {OVERHEAD - 1:.0%}"
            panel.text(0.03, 0.62, text, transform=panel.transAxes, fontsize=9)
        panel.add_artist(panel.legend([line], [law], loc="lower right"))
        panel.set_xlim(0.8 * sizes[0], 1.25 * sizes[-1])
        names = {"hidden": "N", "steps": "T", "batch": "B"}
        others = [f"{names[other]} = {BASE[other]}" for other in BASE if other != what]
        panel.set(xscale="log", yscale="log", xlabel=label, title=", ".join(others))
        panel.set_xticks(sizes, [str(size) for size in sizes], minor=False)
        panel.minorticks_off()
        panel.grid(color="0.9")
    axes[0].yaxis.set_major_formatter("{x:g}")
    axes[0].set_ylabel(f"{clock} seconds, {threads} thread{'s' * (threads > 1)}")
    axes[0].legend(*axes[0].get_legend_handles_labels(), loc="upper left", fontsize=9)
    return figure


def main(threads=2, repeats=5, clock="wall", folder=Path(__file__).parents[1] / "README_figs"):
    seconds = measure(threads, repeats, clock)
    folder = Path(folder)
    content = {"threads": threads, "clock": clock, "base": BASE, "seconds": seconds}
    (folder / "cost.json").write_text(json.dumps(content, indent=1))
    text = json.dumps(provenance() | {"threads": threads, "clock": clock})
    figures.save_figure(draw(seconds, threads, clock), folder / "cost.png", text, dpi=100)
    print(f"saved {folder / 'cost.png'} and cost.json")
    for what in SIZES:
        cells = [f"{size}: {median(v):.3f} s" for size, v in seconds["project"][what].items()]
        print(f"{what:>7}  {'   '.join(cells)}")


if __name__ == "__main__":
    fire.Fire(main)
