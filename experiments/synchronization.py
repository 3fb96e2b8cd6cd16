"""A table over networks, in Markdown, of what plot_synchronization.py measured on each.

python plot_synchronization.py --checkpoint NETWORK --synchronization.folder runs/NETWORK
python experiments/synchronization.py runs/*/synchronization.json

Mean ± SD over the networks, at the slowest, the middle and the fastest trained tempo; what is
measured at the middle one alone is in its column. (n): only n networks have the number.
"""

import json
import sys

import numpy as np


def read_network(path) -> dict:
    """{measure: three numbers} of one network, NaN where there is none."""
    with open(path, encoding="utf-8") as file:
        figures = {name: rows for name, rows in json.load(file).items() if name != "made_by"}
    for figure in figures.values():
        for name, row in figure.items():
            array = np.array(row)
            figure[name] = array.astype(float) if array.dtype == object else array  # None to NaN
    s, r, d, t = (figures[f] for f in ("synchronization", "phase_response", "drift", "tempo_steps"))
    names = "asynchrony_mean_ms", "asynchrony_of_maxima_mean_ms", "asynchrony_sd_ms"
    rows = {name: s[name] for name in (*names, "asynchrony_lag1", "alpha")}
    for phase in ("synchronization", "continuation"):
        rows[f"{phase}_iti_lag1"] = s[f"{phase}_iti_lags"][:, 0]
    for name in ("clock", "motor", "delays_added_motor"):
        rows[f"{name}_sd_ms"] = np.sqrt(s[f"{name}_variance_ms2"].clip(min=0))
    for shift in (0.1, -0.1, 0.3, -0.3):
        corrected = s["corrected_fraction"][:, s["shifts"] == shift]
        rows[f"alpha, clicks shifted by {shift:+g} periods"] = corrected[:, 0, 1]
    rows |= {name: r[name] for name in ("largest_advance", "largest_delay", "adjoint_error")}
    rows["diffusion, measured by predicted"] = d["diffusion_ms2"] / d["diffusion_predicted_ms2"]
    for k, scale in enumerate(d["noise_scales"]):
        for name in ("noise_error", "noise_cv"):
            rows[f"{name}, x {scale:g} [%]"] = 100 * d[name][k]
    for name in ("radius", "speed", "active_units"):
        if (values := s.get(f"continuation_{name}")) is not None:
            rows[f"{name}, by that at the middle"] = values / values[len(values) // 2]
    tongues, distance = figures["arnold_tongues"], s.get("continuation_distance", [np.nan])
    locked = tongues["ratios"][tongues["measured"][tongues["heights"] == 1][0] == 1]
    middle = {
        "1 tap to 1 click: shortest period by that of the cycle": min(locked, default=np.nan),
        "1 tap to 1 click: longest period by that of the cycle": max(locked, default=np.nan),
        "locking: fraction of points predicted": tongues["fraction_predicted"],
        "distance between tempos: at the tap by mean": distance[0] / np.mean(distance),
    }
    after = t["median_itis_after_clicks"][t["steps"] == 0.1][0]
    middle |= {f"clicks 10 % slower, then none: ITI {k}": after[k - 1] for k in (1, 3)}
    for step, n_itis in zip(t["steps"], t["itis_to_5_percent_of_cue"][1], strict=True):
        middle[f"cue steps by {step:+.0%}: ITIs until within 5 %"] = n_itis
    for name in ("cue_clicks_to_2_percent", "cue_final_error"):
        conditions = zip(t["cue_condition"], t["cue_or_clicks_change"], t[name], strict=True)
        middle |= {f"{name}, {kind} {change:+.0%}": value for kind, change, value in conditions}
    rows = {name: [row[0], row[len(row) // 2], row[-1]] for name, row in rows.items()}
    return rows | {name: [np.nan, value, np.nan] for name, value in middle.items()}


if __name__ == "__main__":
    networks = [read_network(path) for path in sys.argv[1:]]
    print("| measure | slow | middle | fast |\n|---|---|---|---|")
    for name in networks[0] if networks else ():
        cells = []
        for column in np.transpose([network.get(name, [np.nan] * 3) for network in networks]):
            values = column[np.isfinite(column)]
            spread = f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else ""
            few = f" ({len(values)})" if 0 < len(values) < len(networks) else ""
            cells.append(f"{values.mean():.2f}{spread}{few}" if len(values) else "")
        print(f"| {name} | {' | '.join(cells)} |")
