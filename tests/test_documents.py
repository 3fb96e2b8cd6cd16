"""What README and docs say of the code is there: places, tests, lines, files; the snippet runs."""

import re
from pathlib import Path

import numpy as np
import pytest

HOME = Path(__file__).parents[1]
READMES = sorted(HOME.glob("README*.md"))
DOCUMENTS = [*READMES, *sorted((HOME / "docs").glob("*.md"))]
TEXTS = {str(path.relative_to(HOME)): path.read_text(encoding="utf-8") for path in DOCUMENTS}
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


def defined(name):
    """Lines that define a function, a class or a constant of that name."""
    return re.compile(rf"^ *(def|class) {name}\b|^ *{name}\b.* = ", re.M)


@pytest.mark.parametrize("document", TEXTS)
def test_places_in_the_code_are_there(document):
    """file.py::name; a file of tests may go without its folder."""
    for file, name in re.findall(r"([\w/]+\.py)::(\w+)", TEXTS[document]):
        in_tests = "/" not in file and file.startswith(("test_", "torture", "browser_"))
        code = (HOME / "tests" / file if in_tests else HOME / file).read_text(encoding="utf-8")
        assert defined(name).search(code), f"{document}: {file}::{name}"


@pytest.mark.parametrize("document", TEXTS)
def test_links_to_lines_lead_to_what_they_name(document):
    """[`name`](file.py#L12): line 12 defines the name."""
    links = re.findall(r"\[`([\w.]+)`\]\(([\w/]+\.py)#L(\d+)\)", TEXTS[document])
    for name, file, number in links:
        name = name.rpartition(".")[2]
        lines = (HOME / file).read_text(encoding="utf-8").splitlines()
        at = [i for i, line in enumerate(lines, 1) if defined(name).match(line)]
        assert int(number) in at, f"{document}: {name} is at line {at} of {file}, not {number}"


@pytest.mark.parametrize("document", [name for name in TEXTS if name.startswith("docs/")])
def test_links_lead_to_files(document):
    links = re.findall(r"\]\(([^)#:]+)[^):]*\)", TEXTS[document])
    missing = [link for link in links if not ((HOME / document).parent / link).exists()]
    assert not missing, f"{document}: {missing}"


@pytest.mark.parametrize("readme", [path.name for path in READMES])
def test_places_that_a_readme_names_are_there_or_made(readme):
    """In links and code: files, folders, make targets; what .gitignore lists is made by a script"""
    code = re.findall(r"```\w*\n(.*?)```|`([^`\n]+)`", TEXTS[readme], re.DOTALL)
    words = " ".join(part for pair in code for part in pair).replace(",", " ").split()
    words += [link for link in re.findall(r"\]\(([^)#]+)", TEXTS[readme]) if "://" not in link]
    made = {line.strip("/") for line in (HOME / ".gitignore").read_text().splitlines()}
    places = {w for w in words if re.fullmatch(r"[\w./*-]+(/|\.(py|sh|yaml|md|txt|ipynb|html))", w)}
    missing = [w for w in places if w.split("/")[0] not in made and not list(HOME.glob(w))]
    assert not missing, missing
    assert len(places) > 10

    targets = re.findall(r"^([\w-]+):", (HOME / "Makefile").read_text(), re.M)
    asked = re.findall(r"\bmake ((?:[a-z]+(?:-[a-z]+)? ?)+)(?= *[`#\n])", TEXTS[readme])
    assert asked and {word for line in asked for word in line.split()} <= set(targets)


@pytest.mark.parametrize("code", PYTHON.findall("".join(TEXTS.values())))
def test_the_snippet_prints_the_intervals_of_a_beat(code):
    printed = []
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 10
    exec(code, {"print": printed.append})
    np.testing.assert_allclose(printed[0][4:], 0.25, rtol=0.1)  # the first are on the way
    assert len(printed[0]) > 20
