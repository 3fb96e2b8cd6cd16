"""Tables of groups and lesions over trained networks, in Markdown, from their groups.json.

for f in pretrained/*.pth; do
    python plot_groups.py --checkpoint $f --groups.folder populations/$(basename $f .pth)
done
python experiments/populations.py populations/*/groups.json

Reads what plot_groups.py wrote; nothing is driven anew.
"""

import json
from pathlib import Path

import fire


def print_table(title, names, columns, cell):
    """A Markdown table: a row a name, a column a network; cell(network's numbers, name)."""
    print(f"\n| {title} | {' | '.join(columns)} |")
    print("|---" * (1 + len(columns)) + "|")
    for name in names:
        print(f"| {name} | {' | '.join(cell(numbers, name) for numbers in columns.values())} |")


def tempo_of(numbers, name):
    return next(t for t in numbers["tempos"] if name_of(t) == name)


def name_of(tempo):
    return f"{tempo['period_s']:.3g} s"


def sizes(tempo):
    """tap-E 149, tap-I 61 ... as 149 / 61 / ..."""
    return " / ".join(str(n) for n in tempo["sizes"].values())


def timing(tempo, name):
    """Lag [% of a cycle] and correlation with all E, or with all units."""
    own = tempo["activity"].get(name)
    if own is None:
        return "none"
    *_, after, correlation = own.values()
    return f"{100 * after:+.0f} %, {correlation:.2f}"


def lesion_name(row):
    return f"{row['group']}, {row['kind']}, {row['how']}"


def lesion(rows, name):
    """At how many of all runs the beat is kept, and the range of the ITI error over the tempos."""
    rows = [row for row in rows if lesion_name(row) == name]
    runs, beats = sum(r["runs"] for r in rows), sum(r["beats"] for r in rows)
    errors = [r["error"] for r in rows if r["beats"]]
    if errors:
        return f"{beats}/{runs}, {100 * min(errors):+.0f} to {100 * max(errors):+.0f} %"
    words = {r["verdict"].removeprefix("no beat: ") for r in rows}
    return f"0/{runs}: {', '.join(sorted(words))}"


def main(*paths):
    networks = {}
    for path in paths:
        numbers = json.loads(Path(path).read_text())
        networks[Path(numbers["checkpoint"]).stem.rpartition("_")[2]] = numbers
    first = next(iter(networks.values()))
    tempos = list(dict.fromkeys(name_of(tempo) for tempo in first["tempos"]))
    heads = " / ".join(first["tempos"][0]["sizes"])
    print_table(f"units: {heads}", tempos, networks, lambda n, hz: sizes(tempo_of(n, hz)))
    for hz in tempos:
        print_table(
            f"{hz}: lag, correlation",
            first["tempos"][0]["activity"],
            networks,
            lambda n, name, hz=hz: timing(tempo_of(n, hz), name),
        )
    types = list(first["agreement_across_tempos"])
    print_table(
        "same at all tempos",
        types,
        networks,
        lambda n, name: f"{n['agreement_across_tempos'][name]['share']:.0%}",
    )
    for hz in tempos:
        print_table(
            f"{hz}: near the window's border",
            types,
            networks,
            lambda n, name, hz=hz: f"{tempo_of(n, hz)['share_near_border'][name]:.0%}",
        )
    print_table(
        "silhouette of two parts",
        first["silhouette_of_two_parts"],
        networks,
        lambda n, name: f"{n['silhouette_of_two_parts'][name]:.2f}",
    )
    keys = list(dict.fromkeys(map(lesion_name, first["lesions"])))
    title = "lesion: runs that beat, error of their ITI"
    print_table(title, keys, networks, lambda n, name: lesion(n["lesions"], name))


if __name__ == "__main__":
    fire.Fire(main)
