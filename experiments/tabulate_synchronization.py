"""A table over networks, in Markdown, of what plot_synchronization.py measured on each.

python plot_synchronization.py --checkpoint NETWORK --synchronization.folder runs/NETWORK
python -m experiments.tabulate_synchronization runs/*/synchronization.json

Mean ± SD over the networks, at the slowest, the middle and the fastest trained tempo; what is
measured at the middle one alone is in its column. (2 of 5): only two networks have the number.
"""

import json
from pathlib import Path

import numpy as np

from experiments.tables import markdown, mean_sd
from zrnn import cli

PER_TEMPO = "asynchrony_mean_ms asynchrony_of_maxima_mean_ms asynchrony_sd_ms asynchrony_lag1 alpha"
PER_TEMPO += " largest_advance largest_delay adjoint_error"
SHAPES = "continuation_radius continuation_speed continuation_active_units"


def read_network(path) -> dict:
    """{measure: {column: number}} of one network, NaN where there is none."""
    figures = json.loads(Path(path).read_text(encoding="utf-8")).values()
    a = {k: np.array(v) for figure in figures for k, v in figure.items()}
    a = {k: v.astype(float) if v.dtype == object else v for k, v in a.items()}  # None to NaN
    rows = {k: a[k] for k in PER_TEMPO.split()}
    for phase in ("synchronization", "continuation"):
        rows[f"{phase}_iti_lag1"] = a[f"{phase}_iti_lags"][:, 0]
    for name in ("clock", "motor", "delays_added_motor"):
        rows[f"{name}_sd_ms"] = np.sqrt(a[f"{name}_variance_ms2"].clip(min=0))
    for shift, corrected in zip(a["shifts"], a["corrected_fraction"][..., 1].T, strict=True):
        rows[f"alpha, clicks shifted by {shift:+g} periods"] = corrected
    rows["diffusion, measured by predicted"] = a["diffusion_ms2"] / a["diffusion_predicted_ms2"]
    for name in ("noise_error", "noise_cv"):
        scales = zip(a["noise_scales"], a[name], strict=True)
        rows |= {f"{name}, x {scale:g} [%]": 100 * row for scale, row in scales}
    for name in (k for k in SHAPES.split() if k in a):
        rows[f"{name}, by that at the middle"] = a[name] / a[name][len(a[name]) // 2]
    distance = a.get("continuation_distance", np.array([np.nan]))
    locked = a["ratios"][a["measured"][a["heights"] == 1][0] == 1]  # 1: one tap to one click
    after = a["median_itis_after_clicks"][a["steps"] == 0.1][0]
    middle = {
        "1 tap to 1 click: shortest period by that of the cycle": min(locked, default=np.nan),
        "1 tap to 1 click: longest period by that of the cycle": max(locked, default=np.nan),
        "locking: fraction of points predicted": a["fraction_predicted"],
        "distance between tempos: at the tap by mean": distance[0] / distance.mean(),
    }
    middle |= {f"clicks 10 % slower, then none: ITI {k}": after[k - 1] for k in (1, 3)}
    for step, n_itis in zip(a["steps"], a["itis_to_5_percent_of_cue"][1], strict=True):
        middle[f"cue steps by {step:+.0%}: ITIs until within 5 %"] = n_itis
    for name in ("cue_clicks_to_2_percent", "cue_final_error"):
        conditions = zip(a["cue_condition"], a["cue_or_clicks_change"], a[name], strict=True)
        middle |= {f"{name}, {kind} {change:+.0%}": value for kind, change, value in conditions}
    return {
        name: {"slow": row[0], "middle": row[len(row) // 2], "fast": row[-1]}
        for name, row in rows.items()
    } | {name: {"middle": value} for name, value in middle.items()}


def main(*paths: str):
    networks, rows = [read_network(path) for path in paths], []
    for name, columns in networks[0].items() if networks else ():
        found = {c: [one.get(name, {}).get(c, np.nan) for one in networks] for c in columns}
        rows.append({"measure": name} | {c: mean_sd(values) for c, values in found.items()})
    print(markdown(rows))


if __name__ == "__main__":
    cli.run(main)
