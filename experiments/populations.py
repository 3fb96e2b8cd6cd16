"""Markdown tables of groups, timing and lesions of several networks, from their groups.json.

for f in pretrained/*.pth; do
    python plot_groups.py --checkpoint $f --groups.folder populations/$(basename $f .pth)
done
python experiments/populations.py populations/*/groups.json
"""

import json
from pathlib import Path

import fire


def lesion_cells(lesions):
    """{lesion: runs that beat of all runs, range of their ITI error over the tempos}."""
    cells, gathered = {}, {}
    for row in lesions:
        gathered.setdefault(f"{row['group']}, {row['kind']}, {row['method']}", []).append(row)
    for name, rows in gathered.items():
        beats, runs = (sum(row[key] for row in rows) for key in ("beats", "runs"))
        errors = [100 * row["error"] for row in rows if row["beats"]]
        reasons = sorted({row["verdict"].removeprefix("no beat: ") for row in rows})
        errors = f", {min(errors):+.0f} to {max(errors):+.0f} %" if errors else ""
        cells[name] = f"{beats}/{runs}" + (errors or f": {', '.join(reasons)}")
    return cells


def tables_of(numbers):
    """{title: {row: cell}} of one network, from the content of its groups.json."""
    tempos = {f"{tempo['period_s']:.3g} s": tempo for tempo in numbers["tempos"]}
    tables = {
        f"units: {' / '.join(numbers['tempos'][0]['sizes'])}": {
            period: " / ".join(map(str, tempo["sizes"].values()))
            for period, tempo in tempos.items()
        }
    }
    for period, tempo in tempos.items():
        tables[f"{period}: lag, correlation"] = {
            name: f"{100 * group['lag_cycles']:+.0f} %, {group['correlation']:.2f}"
            for name, group in tempo["activity"].items()
        }
    agreement = numbers["agreement_across_tempos"].items()
    tables["same at all tempos"] = {name: f"{value['fraction']:.0%}" for name, value in agreement}
    for period, tempo in tempos.items():
        near = tempo["fraction_near_border"].items()
        tables[f"{period}: near the window's border"] = {name: f"{x:.0%}" for name, x in near}
    silhouettes = numbers["silhouette_of_two_clusters"].items()
    tables["silhouette of two clusters"] = {name: f"{value:.2f}" for name, value in silhouettes}
    beyond = tables["I beyond a quarter cycle from E: units, rate"] = {}
    for at_cue in numbers.get("timing", ()):
        if "I" in at_cue:
            _, units, rate = at_cue["I"].values()
            beyond[f"cue {at_cue['cue']:g}"] = f"{units:.0%}, {rate:.0%}"
    return tables | {"lesion: runs that beat, error of their ITI": lesion_cells(numbers["lesions"])}


def main(*paths):
    networks = {}
    for path in paths:
        numbers = json.loads(Path(path).read_text(encoding="utf-8"))
        networks[Path(numbers["checkpoint"]).stem.rpartition("_")[2]] = tables_of(numbers)
    for title, rows in next(iter(networks.values())).items():
        print(f"\n| {title} | {' | '.join(networks)} |\n" + "|---" * (1 + len(networks)) + "|")
        for row in rows:
            cells = (tables.get(title, {}).get(row, "none") for tables in networks.values())
            print(f"| {row} | {' | '.join(cells)} |")


if __name__ == "__main__":
    fire.Fire(main)
