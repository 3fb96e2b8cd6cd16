"""A table over networks, in Markdown, of what plot_synchronization.py measured on each.

python plot_synchronization.py --checkpoint NETWORK --synchronization.folder runs/NETWORK
python experiments/synchronization.py runs/*/synchronization.json

Mean ± SD over the networks, at the slowest, the middle and the fastest trained tempo; what is
measured at the middle one alone is in its column. (n): only so many networks have the number.
"""

import json
import sys

import numpy as np


def at_tempos(d):
    """{measure: numbers (3,)} of one network, at its slowest, middle and fastest tempo."""
    periods = sorted(d["asynchrony_ms"], key=float, reverse=True)
    clock, alpha, response = (d[key] for key in ("wing_kristofferson", "alpha", "phase_response"))
    looks = {
        "asynchrony of midpoints [ms]": lambda p: d["asynchrony_ms"][p]["mean"],
        "asynchrony of maxima [ms]": lambda p: d["asynchrony_ms"][p]["mean_of_maxima"],
        "SD of asynchronies [ms]": lambda p: d["asynchrony_ms"][p]["sd"],
        "lag-1 of asynchronies": lambda p: d["asynchrony_ms"][p]["lag1"],
        "lag-1 of ITIs with clicks": lambda p: d["iti"][p]["clicks"]["lag1"],
        "lag-1 of ITIs in silence": lambda p: d["iti"][p]["silence"]["lag1"],
        "clock SD [ms]": lambda p: clock[p]["network"]["clock_sd_ms"],
        "motor SD [ms]": lambda p: clock[p]["network"]["motor_sd_ms"],
        "motor SD [ms], 10 ms added": lambda p: clock[p]["with_motor_delays"]["motor_sd_ms"],
        "alpha, regular clicks": lambda p: alpha[p]["regular"],
    }
    for by in ("+0.1", "-0.1", "+0.3", "-0.3"):
        looks[f"alpha, clicks {by} periods"] = lambda p, s=by: alpha[p]["shifts"][s]["next_tap"]
    looks |= {
        "one click, largest advance [cycles]": lambda p: response[p]["largest_advance"],
        "one click, largest delay [cycles]": lambda p: response[p]["largest_delay"],
        "adjoint, error against small clicks": lambda p: response[p]["adjoint_error"],
        "drift: variance by beat, by predicted": lambda p: d["drift"][p]["measured_by_predicted"],
    }
    more = d["drift"]["noise"]
    for scale in more:
        for what in ("error", "cv"):
            looks[f"noise x {scale}: {what} of the ITI [%]"] = lambda p, s=scale, w=what: (
                100 * np.array(more[s][p][w], dtype=float)
            )
    shapes, places = d["trajectories"].get("silence", {}), (0, len(periods) // 2, -1)
    found = {name: [look(periods[i]) for i in places] for name, look in looks.items()}
    for key in ("radius", "speed", "active_units"):
        own = shapes.get(key)
        found[f"{key}, by that at the middle"] = [own and own[i] / own[places[1]] for i in places]
    return found


def at_the_middle(d):
    """{measure: number} of one network, at its middle tempo."""
    borders = d["tongues"]["borders"]["1:1"]["1"]["measured"] or [None, None]
    shapes = d["trajectories"].get("silence")
    apart = shapes and shapes["apart_at_the_tap"] / shapes["apart_in_the_mean"]
    found = {
        "1 tap to 1 click: fastest clicks [period by own]": borders[0],
        "1 tap to 1 click: slowest clicks [period by own]": borders[1],
        "locking: share of points predicted": d["tongues"]["points_predicted"],
        "distance between tempos: at the tap by mean": apart,
        "after clicks 10 % slower: first ITI": d["after_effect"]["+0.1"]["itis"][0],
        "after clicks 10 % slower: third ITI": d["after_effect"]["+0.1"]["itis"][2],
    }
    for step, own in d["tempo_steps"]["cue, no clicks"].items():
        found[f"cue steps by {step}: ITIs until within 5 %"] = own["taps_to_5_percent_of_cue"]
    for kind in ("start", "clicks"):
        for wrong, own in d["listening"][kind].items():
            for key in ("taps_to_2_percent", "cue_error"):
                found[f"listening, {kind} {wrong}: {key}"] = own[key]
    return {name: [None, value, None] for name, value in found.items()}


if __name__ == "__main__":
    networks = [json.load(open(path, encoding="utf-8")) for path in sys.argv[1:]]
    rows = [at_tempos(d) | at_the_middle(d) for d in networks]
    print("| measure | slow | middle | fast |\n|---|---|---|---|")
    for name, cells in {name: [] for name in (rows or [{}])[0]}.items():
        for column in zip(*(row[name] for row in rows), strict=True):
            values = np.array([x for x in column if x is not None], dtype=float)
            spread = f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else ""
            few = f" ({len(values)})" if 0 < len(values) < len(rows) else ""
            cells.append(f"{values.mean():.2f}{spread}{few}" if len(values) else "")
        print(f"| {name} | {' | '.join(cells)} |")
