"""The tour runs from its first cell to its last, and is kept small."""

import re
from pathlib import Path

import pytest

pytest.importorskip("ipykernel")
nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")

TOUR = Path(__file__).parents[1] / "notebooks" / "tour.ipynb"


def printed(notebook):
    """What its code cells print."""
    outputs = [own for cell in notebook.cells for own in cell.get("outputs", [])]
    return "".join(own.text for own in outputs if own.output_type == "stream")


def test_the_tour_runs_and_its_network_follows_the_tempo():
    notebook = nbformat.read(TOUR, 4)
    before = printed(notebook)
    about = {"metadata": {"path": TOUR.parent}}
    nbclient.NotebookClient(notebook, timeout=100, resources=about).execute()
    now = printed(notebook)
    found = re.findall(r"asked for (\S+) s: mean ITI (\S+) s", now)
    assert [asked for asked, _ in found] == ["0.4", "0.25"]
    for asked, mean in found:
        assert float(mean) == pytest.approx(float(asked), rel=0.05)
    assert "unstable spiral" in now  # within the loop
    shape = re.compile(r"[\d.e+-]+")
    assert shape.sub("", before) == shape.sub("", now)  # but for numbers, as it is kept
    assert TOUR.stat().st_size < 200_000
