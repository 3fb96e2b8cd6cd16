"""The score card: what the paper's abstract and the original README claim, asked of networks.

python -m experiments.reproduction [NETWORK.pth ...]

NETWORK.pth      default: all in pretrained/ and in its folders. Networks of one folder are of one
                 recipe, a column of the table
--only 3+7       only these rows
--folder FOLDER  of reproduction.json, default reproduction

Prints a Markdown table, for docs/reproduction.md; reproduction.json holds every number.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments import claims, score
from experiments.tables import markdown
from zrnn import checkpoints, cli, configuration
from zrnn.errors import UserError
from zrnn.figures import save_results

RECIPES = {"pretrained": "default recipe"}  # of a folder; otherwise "NAME recipe"


@dataclass(frozen=True)
class Number:
    """One number of a row: its key in what the row's measure gives, in words, and how it is shown.

    worst: max or min, over the tempos of a network and over the networks; None: only the mean.
    """

    key: str
    label: str
    form: str
    worst: Callable | None = None


@dataclass(frozen=True)
class Row:
    """A claim, its measure and its answer for one network, the criterion in words, its numbers."""

    claim: str
    measure: Callable[[claims.Network], dict]
    answer: Callable[[dict], str]
    criterion: str
    numbers: tuple[Number, ...]


ROWS = {
    1: Row(
        "keeps 2 to 8 Hz in silence, with noise",
        lambda network: claims.keeps_tempos(network.statistics),
        lambda d: claims.graded(d["lost"] == 0, d["error"] <= claims.MAX_ERROR),
        f"no tap missed or extra; worst mean ITI within {claims.MAX_ERROR:.0%}",
        (
            Number("error", "worst ITI error", ".2%", max),
            Number("cv", "worst CV", ".2%", max),
            Number("lost", "taps missed or extra", ".3g", max),
        ),
    ),
    2: Row(
        "the cue sets the frequency, also between and beyond the trained cues",
        lambda network: claims.cue_sets_tempo(network.statistics, network.periods),
        lambda d: claims.graded(d["between"] == d["in_order"] == 1, d["beyond"] == 1),
        "every cue between the trained ones beats and all ITIs fall as the cue rises; cues 5, 10 "
        "and 20 % beyond beat too",
        (
            Number("between", "untrained cues between that beat", ".0%", min),
            Number("error", "worst ITI error there", ".2%", max),
            Number("beyond", "cues beyond that beat", ".0%", min),
            Number("in_order", "neighbouring ITIs in order", ".0%", min),
        ),
    ),
    3: Row(
        "units fire in sequence across the interval",
        lambda network: claims.fires_in_sequence(network.cycles, network.is_excit),
        lambda d: claims.graded(
            *(d[f"{name}_coverage"] >= claims.MIN_COVERAGE for name in "ei"),
            *(d[f"{name}_order_kept"] >= claims.MIN_ORDER for name in "ei"),
        ),
        f"of E and of I: peaks cover {claims.MIN_COVERAGE:.0%} of the cycle, and peak phases are "
        f"the same at all tempos (at least {claims.MIN_ORDER})",
        tuple(
            Number(f"{name.lower()}_{key}", f"{name}: {label}", form, worst)
            for name in "EI"
            for key, label, form, worst in (
                ("index", "index of sequentiality", ".2f", min),
                ("shuffled_index", "the same, shuffled", ".2f", None),
                ("coverage", "cycle covered by peaks", ".0%", min),
                ("order_kept", "peak phases kept from 2 to 8 Hz", ".2f", min),
                ("order_shuffled", "the same, shuffled", ".2f", None),
            )
        ),
    ),
    4: Row(
        "trajectories: alike, ordered by tempo, converging at the tap",
        lambda network: score.trajectory_shape(network.cycles, network.periods),
        lambda d: claims.graded(
            d["similarity"] >= claims.MIN_SIMILARITY,
            d["ordered_phases"] >= claims.MIN_ORDERED,
            d["tap_by_half"] < 1,
        ),
        f"shapes correlate by {claims.MIN_SIMILARITY}; in order of tempo at "
        f"{claims.MIN_ORDERED:.0%} of the phases; closer at the tap than half a cycle later",
        (
            Number("similarity", "correlation of shapes", ".2f", min),
            Number("ordered_phases", "phases in order", ".0%", min),
            Number("tap_by_half", "distance at the tap by half a cycle later", ".2f", max),
            Number("radius_exponent", "radius ~ period to the power", ".2f"),
            Number("speed_exponent", "speed ~ period to the power", ".2f"),
        ),
    ),
    5: Row(
        "oscillations begin where two equilibria meet on an invariant circle",
        lambda network: claims.begins_on_circle(network.diagram),
        lambda d: claims.graded(d["fold"], d["circle"]),
        "a cycle right above a fold; both sides of the saddle's unstable manifold reach one node",
        (
            Number("cue", "cue of the fold", ".3f"),
            Number("fold", "begins at a fold", ".0%", min),
            Number("circle", "circle closes", ".0%", min),
        ),
    ),
    6: Row(
        "oscillations end at a Hopf point",
        lambda network: claims.ends_at_hopf(network.diagram),
        lambda d: claims.graded(
            d["coarse_met"], d["fine_met"], d["coarse_near"] and d["fine_near"]
        ),
        "a Hopf point between the last cue with a cycle and the next, amplitude there below "
        f"{claims.MAX_END_AMPLITUDE:.0%}; in steps of 1 ms and of 0.1 ms. In part: in one of them, "
        f"or a Hopf point within {claims.MAX_HOPF_DISTANCE} of the end in both",
        tuple(
            Number(f"{key}_{what}", f"{dt} ms: {label}", form, worst)
            for key, dt in (("coarse", 1), ("fine", 0.1))
            for what, label, form, worst in (
                ("end", "last cue with a cycle", ".3f", None),
                ("hopf", "Hopf point", ".3f", None),
                ("amplitude", "amplitude there", ".0%", max),
            )
        ),
    ),
    7: Row(
        "two groups of I units, one tightly synchronized with E",
        lambda network: claims.two_groups(
            [network.recordings[b] for b in claims.TIMED],
            network.cycles[list(claims.TIMED)],
            network.is_excit,
        ),
        lambda d: claims.graded(
            max(d["near_lag"]) <= claims.MAX_LAG
            and min(d["near_correlation"]) >= claims.MIN_CORRELATION,
            min(d["beyond"]) >= claims.MIN_BEYOND,
            np.all(np.greater(d["silhouette"], d["continuum"])),
        ),
        f"at 2, 5 and 8 Hz: {claims.MIN_BEYOND:.0%} of the active I units more than a quarter of "
        f"a cycle from E; the others within {claims.MAX_LAG:.0%} of a cycle, with r of at least "
        f"{claims.MIN_CORRELATION}; silhouette of two clusters above a continuum's",
        (
            Number("beyond", "I units beyond a quarter of a cycle", ".0%", min),
            Number("near_lag", "the others: lag in cycles", ".3f", max),
            Number("near_correlation", "their r with E", ".2f", min),
            Number("far_correlation", "r with E of those beyond", ".2f", max),
            Number("cluster_lag", "nearer one of two clusters: lag", ".3f", max),
            Number("silhouette", "silhouette of the clusters", ".2f", min),
            Number("continuum", "a continuum's, at most", ".2f"),
        ),
    ),
    8: Row(
        "the E-I-I reduced model, fitted to group means, oscillates as the network does",
        lambda network: claims.fits_reduced_model(
            network.recordings, network.cycles, network.is_excit, network.cues, network.model.dt
        ),
        lambda d: claims.graded(
            d["oscillating"] == 1 and d["worst_period_error"] <= claims.MAX_PERIOD_ERROR,
            d["oscillating"] > 0,
        ),
        "the fitted model oscillates at all trained cues with periods within "
        f"{claims.MAX_PERIOD_ERROR:.0%}; in part: at some",
        (
            Number("oscillating", "trained cues at which it oscillates", ".0%", min),
            Number("period_error", "median error of its period", ".0%", max),
            Number("onset", "its first cue", ".2f"),
            Number("end", "its last cue", ".2f"),
            Number("explained_changes", "changes of the currents explained", ".2f", min),
            Number("explained_with_e", "with inter-tap-E as a fourth group", ".2f", min),
        ),
    ),
    9: Row(
        "the error of the ITI is that of the noise-free period plus the shift by noise",
        lambda network: claims.explains_error(network.shifts),
        lambda d: claims.graded(
            d["worst_unexplained"] <= claims.MAX_UNEXPLAINED,
            d["unexplained"] <= claims.MAX_UNEXPLAINED,
        ),
        f"what is left is at most {claims.MAX_UNEXPLAINED:.1%} of the period at every tempo; in "
        "part: in the mean",
        (
            Number("noise_free", "noise-free error", "+.2%"),
            Number("shift", "shift by noise", "+.2%"),
            Number("sum", "sum", "+.2%"),
            Number("measured", "measured", "+.2%"),
            Number("unexplained", "left, mean over tempos", ".2%", max),
            Number("worst_unexplained", "left, worst tempo", ".2%", max),
        ),
    ),
}


def ask(network: claims.Network, rows) -> dict[int, dict]:
    """What the rows find for a network: numbers and "answer"; no numbers where it has no cycle."""
    found = {}
    for key in rows:
        try:
            numbers = ROWS[key].measure(network)
            found[key] = numbers | {"answer": ROWS[key].answer(numbers)}
        except ValueError as error:
            found[key] = {"answer": "no", "reason": str(error)}
    return found


def summarised(number: Number, found: list[dict]) -> str:
    """A number over the networks: mean and, in brackets, the worst."""
    lists = [np.array(one[number.key], dtype=float) for one in found if number.key in one]
    if not lists:
        return f"{number.label}: none"
    values = np.array([np.nanmean(some) if np.isfinite(some).any() else np.nan for some in lists])
    finite = values[np.isfinite(values)]
    text = format(finite.mean(), number.form) if len(finite) else "none"
    if number.worst and len(finite):
        every = np.concatenate([np.ravel(some) for some in lists])
        text += f" ({number.worst(every[np.isfinite(every)]):{number.form}})"
    if len(finite) < len(found):
        text += f" [{len(finite)} of {len(found)} networks]"
    return f"{number.label}: {text}"


def table(results: dict[str, dict[str, dict]]) -> str:
    """The score card in Markdown, of {recipe: {network: {row: what `ask` found}}}."""
    kinds = {kind: list(networks.values()) for kind, networks in results.items()}
    rows = []
    for key in sorted({key for found in kinds.values() for one in found for key in one}):
        cells = {"": str(key), "claim": ROWS[key].claim, "yes, if": ROWS[key].criterion}
        for kind, found in kinds.items():
            of_kind = [one[key] for one in found]
            numbers = [summarised(number, of_kind) for number in ROWS[key].numbers]
            cells[f"{kind}: mean (worst), n = {len(found)}"] = "<br>".join(numbers)
            words = [one["answer"] for one in of_kind]
            counts = [f"{w} ({words.count(w)})" for w in ("yes", "in part", "no") if w in words]
            cells[f"{kind}: met?"] = words[0] if len(counts) == 1 else ", ".join(counts)
        rows.append(cells)
    return markdown(rows)


def recipe_and_name(path: Path) -> tuple[str, str]:
    """The recipe of a checkpoint, after its folder, and a short name.

    best_model.pth goes by the name of its folder, and by the folder above.
    """
    place = path.resolve().parent if path.stem == "best_model" else path.resolve()
    folder = place.parent.name
    return RECIPES.get(folder, f"{folder} recipe"), place.stem


def main(*paths: str, only="", folder="reproduction"):
    keys = only.replace("+", " ").split()
    if any(key not in map(str, ROWS) for key in keys):
        raise UserError(f"--only is {only}; allowed: numbers of 1 to {len(ROWS)}, as in 3+7")
    rows = sorted(map(int, keys)) or list(ROWS)
    home = checkpoints.HOME / "pretrained"
    paths = [Path(p) for p in paths] or sorted(home.glob("*.pth")) + sorted(home.glob("*/*.pth"))
    results = {}
    for path in paths:
        recipe, name = recipe_and_name(path)
        found = results.setdefault(recipe, {})[name] = ask(claims.Network(path), rows)
        answers = ", ".join(f"{key} {one['answer']}" for key, one in found.items())
        print(f"{recipe}, {name}: {answers}", flush=True)
    text = table(results)
    print("", text, "", sep="\n")
    made_by = checkpoints.provenance()
    numbers = {"reproduction": {"made_by": made_by, "results": results}}
    text = configuration.to_text(configuration.load(), made_by)
    save_results(folder, text, {}, "png", numbers=numbers)


if __name__ == "__main__":
    cli.run(main)
