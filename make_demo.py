"""Make demo/index.html: a page in which one turns the cue of a network and hears its beat.

The page needs no other file. It also holds as many of the other shipped networks as MAX_BYTES
allow.

--config_path FILE   a configuration; keys it lacks come from config.yaml
--checkpoint FILE    the network, or shipped (default: training.save_path, else shipped)
--page FILE          where the page goes (default: demo/index.html)
"""

import base64
import json
from pathlib import Path

import numpy as np
from matplotlib.colors import to_hex, to_rgb

from models import open_network
from zrnn import activity, cli, figures, files, sound, taps, task
from zrnn.checkpoints import SHIPPED
from zrnn.populations import groups, lesions

TEMPLATE = Path(__file__).parent / "demo" / "page.html"
PAGE = TEMPLATE.with_name("index.html")
PLACE = "THE DATA"  # in the template, where the data go
MAX_BYTES = 1_500_000  # of the page
MIN_PEAK = 0.1  # of the median unit; rates of units with a lower peak are drawn relative to it


def encode(array, dtype: str) -> str:
    """An array in base64, row by row; the page decodes it by its type."""
    return base64.b64encode(np.ascontiguousarray(array, dtype).tobytes()).decode()


def recurrence_of(model) -> dict:
    """The recurrence: W in float16, which moves the period by less than 0.1 %; else float32."""
    (w_click, w_cue), w_hh = (
        model.w_ih.detach().t().numpy(),
        model.effective_w_hh().detach().numpy(),
    )
    b, w_out = model.b_hh.detach().numpy(), model.w_ho.detach().numpy()
    numbers = {"n": len(b), "alpha": model.alpha, "sigma": model.sigma_rec, "dt": model.dt}
    numbers |= {"bOut": model.b_ho.item(), "w": encode(w_hh.T, "<f2")}
    vectors = {"wClick": w_click, "wCue": w_cue, "b": b, "wOut": w_out[0]}
    return numbers | {name: encode(vector, "<f4") for name, vector in vectors.items()}


def units_of(found: groups.Populations) -> dict:
    """The order in which units are drawn, their largest rates, and their groups.

    order: units that fire, by when they peak at the reference cue, E (the first rowsOfE) before I.
    """
    peak = np.max([recording.cycle.max(axis=0) for recording in found.recordings], axis=0)
    first_type, cycle = next(iter(found.types.values())), found.reference.cycle
    order = activity.firing_order(cycle, [0, len(cycle)], first_type.sum())
    order = order[peak[order] > 0]
    members = {**found.reference.groups, **found.i_clusters}
    return {
        "order": encode(order, "<i2"),
        "rowsOfE": int(first_type[order].sum()),
        "nExcit": int(first_type.sum()),
        "peak": encode(peak.clip(MIN_PEAK * np.median(peak[order])), "<f4"),
        "groups": {name: np.flatnonzero(units).tolist() for name, units in members.items()},
    }


def plane_of(found: groups.Populations) -> dict:
    """The mean cycles in the plane of their first two principal components.

    A point of the plane is axes @ rates - centre; low, high: corners of all cycles.
    """
    mean, axes, _ = activity.fit_plane(np.concatenate([r.cycle for r in found.recordings]))
    axes = axes * np.sign(axes.sum(axis=1, keepdims=True))  # the sign of a component is arbitrary
    loops = {r.period: activity.project(r.cycle, mean, axes).round(4) for r in found.recordings}
    points, colours = np.concatenate(list(loops.values())), figures.period_colours(loops)
    return {
        "axes": [encode(axis, "<f4") for axis in axes],
        "centre": (axes @ mean).tolist(),
        "low": points.min(axis=0).tolist(),
        "high": points.max(axis=0).tolist(),
        "loops": [
            {"colour": to_hex(colours[period]), "points": [*loop.tolist(), loop[0].tolist()]}
            for period, loop in loops.items()
        ],
    }


def page_network(config_path, checkpoint, flags) -> dict:
    """One network as the page holds it. Raises UserError."""
    config, model, made_by = open_network(config_path, checkpoint, "cpu", flags)
    periods, path = config.training.periods, Path(made_by["checkpoint"])
    found = groups.find_populations(model, periods, config.task, config.groups.seed)
    about = {
        "name": path.stem,
        "about": f"The network is {path.name}, sha256 {made_by['sha256'][:12]}.",
        "cues": [task.context_cue(period, config.task.cue_constant) for period in periods],
        "cueConstant": config.task.cue_constant,
        "clickWidth": config.task.click_width,
    }
    return about | recurrence_of(model) | units_of(found) | plane_of(found)


def page_of(template: str, networks: list[dict]) -> str:
    """The page that holds these networks."""
    limits = {"halfHeight": taps.HALF_HEIGHT, "hysteresis": taps.HYSTERESIS}
    limits |= {"minTaps": taps.MIN_TAPS, "maxCv": taps.MAX_CV, "runaway": lesions.MAX_OUTPUT}
    voices = {"click": vars(sound.CLICK), "tap": vars(sound.TAP)}
    colours = {"E": figures.E_COLOUR, "I": figures.I_COLOUR}
    rgb = {name: [round(255 * part) for part in to_rgb(of)] for name, of in colours.items()}
    data = {"networks": networks, "taps": limits, "voices": voices, "colours": rgb}
    return template.replace(PLACE, json.dumps(data).replace("</", "<\\/"))


def main(config_path=None, checkpoint=None, page: str = str(PAGE), **flags):
    files.check_file(page)
    template = TEMPLATE.read_text(encoding="utf-8")
    networks = [page_network(config_path, checkpoint, flags)]
    for path in sorted(SHIPPED.parent.glob("*.pth")):
        if path.stem != networks[0]["name"]:
            networks.append(page_network(None, path, {}))
            if len(page_of(template, networks)) > MAX_BYTES:
                networks.pop()
                break
    text = page_of(template, networks)
    with files.replacing(page) as part:
        part.write_text(text, encoding="utf-8")
    names = ", ".join(network["name"] for network in networks)
    print(f"saved {page}, {len(text) / 1e6:.2f} MB, with {names}")


if __name__ == "__main__":
    cli.run(main)
