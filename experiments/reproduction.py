"""The score card: what the paper's abstract and the original README claim, asked of networks.

python -m experiments.reproduction [NETWORK.pth ...]

NETWORK.pth      default: all in pretrained/ and in its folders. Networks of one folder are of one
                 recipe, a column of the table
--only 3+7       only these rows
--folder FOLDER  of reproduction.json, default reproduction

Prints a Markdown table, for docs/reproduction.md; reproduction.json holds every number.
"""

from pathlib import Path

import numpy as np

from experiments.claims import CLAIMS, Number
from experiments.recordings import Network, NoCycle
from experiments.tables import markdown
from zrnn import checkpoints, cli, configuration
from zrnn.errors import UserError
from zrnn.figures import save_results


def ask(network: Network, row: int) -> tuple[str, list[Number]]:
    """The answer of a network to a claim, and its numbers; "no" where it has no cycle."""
    *_, test = CLAIMS[row]
    try:
        numbers, met = test(network)
    except (NoCycle, UserError) as error:
        return "no", [Number("reason", str(error))]
    return "yes" if all(met) else "in part" if any(met) else "no", numbers


def summarised(several: list[Number], n_networks: int) -> str:
    """One number of several networks: mean and, in brackets, the worst."""
    label, _, form, worst = several[0]
    every = [np.ravel(np.array(one.value, dtype=float)) for one in several]
    finite = [some[np.isfinite(some)] for some in every]
    finite = [some for some in finite if len(some)]
    text = format(np.mean([some.mean() for some in finite]), form) if finite else "none"
    if worst and finite:
        text += f" ({worst(np.concatenate(finite)):{form}})"
    if len(finite) < n_networks:
        text += f" [{len(finite)} of {n_networks} networks]"
    return f"{label}: {text}"


def table(recipes: dict[str, dict[str, dict]]) -> str:
    """The score card in Markdown, of {recipe: {network: {row: what `ask` found}}}."""
    rows = {}
    for recipe, networks in recipes.items():
        for row in next(iter(networks.values())):
            answers, numbers = zip(*(found[row] for found in networks.values()), strict=True)
            by_label = {}
            for number in (one for some in numbers for one in some if one.form):
                by_label.setdefault(number.label, []).append(number)
            cell = [summarised(several, len(networks)) for several in by_label.values()]
            words = [word for word in ("yes", "in part", "no") if word in answers]
            counts = [f"{word} ({answers.count(word)})" for word in words]
            text, criterion, _ = CLAIMS[row]
            cells = rows.setdefault(row, {"": str(row), "claim": text, "yes, if": criterion})
            cells[f"{recipe}: mean (worst), n = {len(networks)}"] = "<br>".join(cell)
            cells[f"{recipe}: met?"] = ", ".join(counts) if len(words) > 1 else words[0]
    return markdown(list(rows.values()))


def recipe_and_name(path: Path) -> tuple[str, str]:
    """The recipe of a checkpoint, after its folder, and a short name.

    best_model.pth goes by the name of its folder, and by the folder above.
    """
    place = path.resolve().parent if path.stem == "best_model" else path.resolve()
    folder = "default" if place.parent.name == "pretrained" else place.parent.name
    return f"{folder} recipe", place.stem


def main(*paths: str, only="", folder="reproduction"):
    keys = only.replace("+", " ").split()
    if any(key not in map(str, CLAIMS) for key in keys):
        raise UserError(f"--only is {only}; allowed: numbers of 1 to {len(CLAIMS)}, as in 3+7")
    home, found, results = checkpoints.HOME / "pretrained", {}, {}
    for path in map(Path, paths or [*sorted(home.glob("*.pth")), *sorted(home.glob("*/*.pth"))]):
        network, (recipe, name) = Network(path), recipe_and_name(path)
        answers = {row: ask(network, row) for row in sorted(map(int, keys)) or CLAIMS}
        found.setdefault(recipe, {})[name] = answers
        results.setdefault(recipe, {})[name] = {
            row: {"answer": answer} | {number.label: number.value for number in numbers}
            for row, (answer, numbers) in answers.items()
        }
        in_short = ", ".join(f"{row} {answer}" for row, (answer, _) in answers.items())
        print(f"{recipe}, {name}: {in_short}", flush=True)
    print("", table(found), "", sep="\n")
    made_by = checkpoints.provenance()
    numbers = {"reproduction": {"made_by": made_by, "results": results}}
    text = configuration.to_text(configuration.load(), made_by)
    save_results(folder, text, {}, "png", numbers=numbers)


if __name__ == "__main__":
    cli.run(main)
