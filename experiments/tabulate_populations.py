"""Markdown tables of groups, timing and lesions of several networks, from their groups.json.

for f in pretrained/*.pth; do
    python plot_groups.py --checkpoint $f --groups.folder populations/$(basename $f .pth)
done
python -m experiments.tabulate_populations populations/*/groups.json
"""

import json
from pathlib import Path

from experiments.tables import markdown
from zrnn import cli
from zrnn.errors import UserError


def lesion_cell(rows):
    """Runs that beat of all runs with a lesion, and the range of the ITI error over the tempos."""
    beats, runs = (sum(row[key] for row in rows) for key in ("beats", "runs"))
    errors = [100 * row["error"] for row in rows if row["beats"]]
    if errors:
        return f"{beats}/{runs}, {min(errors):+.0f} to {max(errors):+.0f} %"
    reasons = {row["result"].removeprefix("no beat: ") for row in rows}
    return f"0/{runs}: {', '.join(sorted(reasons))}"


def tables_of(numbers):
    """{title: {row: cell}} of one network, from the content of its groups.json."""
    tables, lesions = {}, {}
    for tempo in numbers["tempos"]:
        period = f"{tempo['period_s']:.3g} s"
        sizes = tables.setdefault(f"units: {' / '.join(tempo['sizes'])}", {})
        sizes[period] = " / ".join(map(str, tempo["sizes"].values()))
        tables[f"{period}: lag to all E [cycles], correlation"] = {
            name: f"{group['lag_cycles']:+.2f}, {group['correlation']:.2f}"
            for name, group in tempo["activity"].items()
        }
        near = tempo["fraction_near_border"].items()
        tables[f"{period}: near the window's border"] = {name: f"{x:.0%}" for name, x in near}
    agreement = numbers["agreement_across_tempos"].items()
    tables["same at all tempos"] = {name: f"{value['fraction']:.0%}" for name, value in agreement}
    silhouettes = numbers["silhouette_of_two_clusters"].items()
    tables["silhouette of two clusters"] = {name: f"{value:.2f}" for name, value in silhouettes}
    tables["I beyond a quarter cycle from E: units, rate"] = {
        f"cue {at_cue['cue']:g}": "{fraction_of_units_beyond:.0%}, {fraction_of_rate_beyond:.0%}"
        "".format(**at_cue["I"])
        for at_cue in numbers.get("timing", ())
        if "I" in at_cue
    }
    for row in numbers["lesions"]:
        lesions.setdefault(f"{row['group']}, {row['kind']}, {row['method']}", []).append(row)
    cells = {name: lesion_cell(rows) for name, rows in lesions.items()}
    return tables | {"lesion: runs that beat, error of their ITI": cells}


def main(*paths: str):
    networks = {}
    for path in paths:
        try:
            numbers = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: not a groups.json of plot_groups.py ({error})") from None
        networks[Path(numbers["checkpoint"]).stem.rpartition("_")[2]] = tables_of(numbers)
    for title, rows in next(iter(networks.values()), {}).items():
        cells = {name: tables.get(title, {}) for name, tables in networks.items()}
        table = [{title: row} | {n: c.get(row, "none") for n, c in cells.items()} for row in rows]
        print(f"\n{markdown(table)}")


if __name__ == "__main__":
    cli.run(main)
