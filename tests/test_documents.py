"""What README and docs say about the code is true: names, lines, files; the snippet runs."""

import re
from pathlib import Path

import numpy as np
import pytest

HOME = Path(__file__).parents[1]
READMES = sorted(HOME.glob("README*.md"))
DOCUMENTS = [*READMES, *sorted((HOME / "docs").glob("*.md")), HOME / "pretrained" / "README.md"]
TEXTS = {str(path.relative_to(HOME)): path.read_text(encoding="utf-8") for path in DOCUMENTS}
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
CODE = re.compile(r"```\w*\n(.*?)```|`([^`\n]+)`", re.DOTALL)


def defined(name):
    """A pattern of lines that define a function, a class or a constant of that name."""
    return re.compile(rf"^ *(def|class) {name}\b|^ *{name}\b.* = ", re.M)


@pytest.mark.parametrize("document", TEXTS)
def test_names_in_the_code_exist(document):
    """`file.py::name`"""
    for file, name in re.findall(r"([\w/]+\.py)::(\w+)", TEXTS[document]):
        code = (HOME / file).read_text(encoding="utf-8")
        assert defined(name).search(code), f"{document}: {file}::{name}"


@pytest.mark.parametrize("document", TEXTS)
def test_links_to_lines_lead_to_definitions(document):
    """[`name`](file.py#L12): line 12 defines the name."""
    links = re.findall(r"\[`([\w.]+)`\]\(([\w/]+\.py)#L(\d+)\)", TEXTS[document])
    for name, file, number in links:
        name = name.rpartition(".")[2]
        lines = (HOME / file).read_text(encoding="utf-8").splitlines()
        found = [i for i, line in enumerate(lines, 1) if defined(name).match(line)]
        assert int(number) in found, f"{document}: {name} is at line {found} of {file}"


@pytest.mark.parametrize("document", TEXTS)
def test_links_lead_to_files(document):
    links = re.findall(r"\]\(([^)#:]+)[^):]*\)", TEXTS[document])
    missing = [link for link in links if not ((HOME / document).parent / link).exists()]
    assert not missing, f"{document}: {missing}"


@pytest.mark.parametrize("document", TEXTS)
def test_files_that_are_named_exist(document):
    """In code: scripts, modules, configurations, tests; `python -m package.module`."""
    code = " ".join(part for pair in CODE.findall(TEXTS[document]) for part in pair)
    code += "".join(re.findall(r"(?m)^    .*$", TEXTS[document]))
    named = re.findall(r"(?<![\w/-])[\w/]+\.(?:py|sh|ipynb)(?!\w)", code)
    named += [f"{m.replace('.', '/')}.py" for m in re.findall(r"python -m ([a-z_]+\.\w+)", code)]
    missing = {n for n in named if not any((HOME / f / n).exists() for f in ("", "tests"))}
    assert not missing, f"{document}: {missing}"


@pytest.mark.parametrize("readme", [path.name for path in READMES])
def test_what_a_readme_names_exists_or_is_made(readme):
    """In links and code: files, folders, make targets; scripts make what .gitignore lists."""
    words = " ".join(part for pair in CODE.findall(TEXTS[readme]) for part in pair)
    words = words.replace(",", " ").split()
    words += [link for link in re.findall(r"\]\(([^)#]+)", TEXTS[readme]) if "://" not in link]
    made = {line.strip("/") for line in (HOME / ".gitignore").read_text().splitlines()}
    places = {w for w in words if re.fullmatch(r"[\w./*-]+(/|\.(py|sh|yaml|md|txt|ipynb|html))", w)}
    missing = [w for w in places if w.split("/")[0] not in made and not list(HOME.glob(w))]
    assert not missing, missing
    assert len(places) > 10

    targets = re.findall(r"^([\w-]+):", (HOME / "Makefile").read_text(), re.M)
    named = re.findall(r"\bmake ((?:[a-z]+(?:-[a-z]+)? ?)+)(?= *[`#\n])", TEXTS[readme])
    assert named and {word for line in named for word in line.split()} <= set(targets)


@pytest.mark.parametrize("code", PYTHON.findall(TEXTS["README.md"]))
def test_the_snippet_prints_the_intervals_of_a_beat(code):
    printed = []
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 10
    exec(code, {"print": printed.append})
    np.testing.assert_allclose(printed[0][4:], 0.25, rtol=0.1)  # the first ones still settle
    assert len(printed[0]) > 20
