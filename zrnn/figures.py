"""What all figures share: no screen, colours, labels of tempos, and how they are saved.

The only place that imports matplotlib first, and so chooses its backend.
"""

import json
import logging
from pathlib import Path

logging.getLogger("matplotlib").setLevel(logging.ERROR)  # no word about a home without its cache

import matplotlib  # noqa: E402

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

from zrnn.files import replacing  # noqa: E402

__all__ = [
    "E_COLOUR",
    "I_COLOUR",
    "label_of",
    "period_colours",
    "plt",
    "save_figure",
    "save_results",
]

E_COLOUR, I_COLOUR = "#B2182B", "#2166AC"  # red and blue, also told apart by the colour-blind


def period_colours(periods) -> dict:
    """{period: colour}, from slow (dark) to fast (light), for the periods of one network."""
    ordered = sorted(set(periods), reverse=True)
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(ordered)))
    return {period: tuple(colour) for period, colour in zip(ordered, colours.tolist(), strict=True)}


def label_of(period: float, periods) -> str:
    """A period [s] as a rate, "2 Hz", with as many digits as tell it from the other periods."""
    for digits in range(17):
        labels = {f"{1 / other:.{digits}f}" for other in periods}
        if len(labels) == len(set(periods)):
            break
    return f"{1 / period:.{digits}f} Hz"


def save_figure(figure, path, text: str, dpi: int = 110) -> None:
    """Save and close a figure; text: what made it, kept as PNG Description or PDF Subject."""
    key = "Subject" if str(path).endswith(".pdf") else "Description"
    with replacing(path) as part:
        figure.savefig(part, dpi=dpi, metadata={key: text})
    plt.close(figure)


def save_results(folder, text: str, figures: dict, suffix: str, arrays=None, numbers=None) -> None:
    """Save what a script found in its folder, each file whole, and print the folder.

    figures: {name: figure}, as NAME.suffix; arrays: {name: {key: array}}, as NAME.npz; numbers:
    {name: anything JSON holds}, as NAME.json; text, the configuration and what made it: in every
    figure and as config.yaml. Raises UserError.
    """
    folder = Path(folder)
    for name, figure in figures.items():
        save_figure(figure, folder / f"{name}.{suffix}", text)
    for name, content in (arrays or {}).items():
        with replacing(folder / f"{name}.npz") as part:
            np.savez_compressed(part, **content)
    for name, content in (numbers or {}).items():
        with replacing(folder / f"{name}.json") as part:
            part.write_text(json.dumps(content, indent=1, default=_plain) + "\n", encoding="utf-8")
    with replacing(folder / "config.yaml") as part:
        part.write_text(text, encoding="utf-8")
    print(f"saved in {folder}/")


def _plain(value):
    """What JSON does not know: arrays and NumPy's numbers as Python's, anything else as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
