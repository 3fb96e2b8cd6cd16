"""What all figures share: colours, labels of tempos, and how results are saved."""

import json
import logging
import math
from pathlib import Path

logging.getLogger("matplotlib").setLevel(logging.ERROR)  # no message about a missing cache folder

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

from zrnn.files import replacing  # noqa: E402

E_COLOUR, I_COLOUR = "#B2182B", "#2166AC"  # red and blue that colour-blind readers can tell apart


def period_colours(periods) -> dict:
    """{period: colour}, from slow (dark) to fast (light), for the periods of one network."""
    ordered = sorted(set(periods), reverse=True)
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(ordered)))
    return {period: tuple(colour) for period, colour in zip(ordered, colours.tolist(), strict=True)}


def label_of(period: float, periods) -> str:
    """A period [s] as a rate, "2 Hz", with as few digits as are right within 3 % for all periods.

    The labels of different periods differ.
    """
    for digits in range(17):
        labels = {other: f"{1 / other:.{digits}f}" for other in periods}
        is_right = all(abs(float(text) * other - 1) < 0.03 for other, text in labels.items())
        if is_right and len(set(labels.values())) == len(labels):
            break
    return f"{1 / period:.{digits}f} Hz"


def save_figure(figure, path, text: str, dpi: int = 110) -> None:
    """Save and close a figure; text: what made it, kept as PNG Description or PDF Subject."""
    key = "Subject" if str(path).endswith(".pdf") else "Description"
    with replacing(path) as part:
        figure.savefig(part, dpi=dpi, metadata={key: text})
    plt.close(figure)


def save_results(folder, text: str, figures: dict, suffix: str, arrays=None, numbers=None) -> None:
    """Save what a script found in its folder, each file complete, and print the folder.

    figures: {name: figure}, as NAME.suffix; arrays: {name: {key: array}}, as NAME.npz; numbers:
    {name: anything JSON holds}, as NAME.json; text: the configuration and what made the results,
    kept in every figure and as made_by.yaml. Raises UserError.
    """
    folder = Path(folder)
    for name, figure in figures.items():
        save_figure(figure, folder / f"{name}.{suffix}", text)
    for name, content in (arrays or {}).items():
        with replacing(folder / f"{name}.npz") as part, open(part, "wb") as file:
            np.savez_compressed(file, **content)
    for name, content in (numbers or {}).items():
        save_text(folder / f"{name}.json", json.dumps(_plain(content), indent=1) + "\n")
    save_text(folder / "made_by.yaml", text)
    print(f"saved in {folder}/")


def save_text(path, text: str) -> None:
    """Save a text file. Raises UserError."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def _plain(value):
    """A value as JSON holds it: arrays as lists, None for numbers that are not finite."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (str, int)) or value is None else str(value)
