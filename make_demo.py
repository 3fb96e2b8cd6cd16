"""Make demo/index.html: a network in a page, where one turns its cue and hears its beat.

The page holds everything it needs, so that it opens by double click. As many of the other shipped
networks as fit into MAX_BYTES can be chosen in it.

--config_path FILE   a configuration; keys it lacks come from config.yaml
--checkpoint FILE    the network, or shipped (default: training.save_path, else shipped)
"""

import base64
import json
from pathlib import Path

import numpy as np
from matplotlib.colors import to_hex, to_rgb

from models import open_network
from zrnn import cli, figures, files, sound, taps, task, trajectories
from zrnn.checkpoints import SHIPPED
from zrnn.populations import groups, lesions

TEMPLATE = Path(__file__).parent / "demo" / "page.html"
PAGE = TEMPLATE.with_name("index.html")
PLACE = "THE DATA"  # in the template
MAX_BYTES = 1_500_000  # of the page
FAINT = 0.1  # of the median unit's largest rate: units whose own is below it are drawn against it


def encode(array, dtype: str) -> str:
    """An array in base64, row by row; the page decodes it by its type."""
    return base64.b64encode(np.ascontiguousarray(array, dtype).tobytes()).decode()


def recurrence_of(model) -> dict:
    """The numbers of the recurrence: W in float16, column after column, the rest in float32.

    Rounded so, W moves the period by less than 0.1 % (a test measures it).
    """
    names = ("w_ih", "b_hh", "w_ho", "b_ho")
    w_in, b, w_out, b_out = (getattr(model, name).detach().cpu().numpy() for name in names)
    w_hh = model.effective_w_hh().detach().cpu().numpy()
    vectors = {"wClick": w_in[:, 0], "wCue": w_in[:, 1], "b": b, "wOut": w_out[0]}
    numbers = {"n": len(b), "alpha": model.alpha, "sigma": model.sigma_rec, "dt": model.dt}
    numbers |= {"bOut": float(b_out[0]), "w": encode(w_hh.T, "<f2")}
    return numbers | {name: encode(vector, "<f4") for name, vector in vectors.items()}


def picture_of(found: groups.Populations) -> dict:
    """What the running picture is drawn by: firing order, largest rates, groups of units.

    order: the units that fire, E before I, by when they peak between two taps at the middle of the
    trained cues; its first rowsOfE are E.
    """
    peak = np.max([recording.cycle.max(axis=0) for recording in found.recordings], axis=0)
    first_type, cycle = next(iter(found.types.values())), found.reference.cycle
    order = trajectories.firing_order(cycle, [0, len(cycle)], first_type.sum())
    order = order[peak[order] > 0]
    members = {**found.reference.groups, **found.parts}
    return {
        "order": encode(order, "<i2"),
        "rowsOfE": int(first_type[order].sum()),
        "nExcit": int(first_type.sum()),
        "peak": encode(peak.clip(FAINT * np.median(peak[order])), "<f4"),
        "groups": {name: np.flatnonzero(own).tolist() for name, own in members.items()},
    }


def plane_of(found: groups.Populations) -> dict:
    """The plane of the first two principal components of the mean cycles, and these cycles in it.

    A point of the plane is axes @ rates - centre; low, high: the corners of all cycles.
    """
    mean, axes, _ = trajectories.fit_plane(np.concatenate([r.cycle for r in found.recordings]))
    axes = axes * np.sign(axes.sum(axis=1, keepdims=True))  # a component's own sign means nothing
    loops = {r.period: trajectories.project(r.cycle, mean, axes).round(4) for r in found.recordings}
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
    return about | recurrence_of(model) | picture_of(found) | plane_of(found)


def page_of(template: str, networks: list[dict]) -> str:
    """The page that holds these networks."""
    colours = {"E": figures.E_COLOUR, "I": figures.I_COLOUR}
    data = {
        "networks": networks,
        "taps": {
            "halfHeight": taps.HALF_HEIGHT,
            "hysteresis": taps.HYSTERESIS,
            "minTaps": taps.MIN_TAPS,
            "maxCv": taps.MAX_CV,
            "runaway": lesions.RUNAWAY,
        },
        "voices": {"click": vars(sound.CLICK), "tap": vars(sound.TAP)},
        "colours": {name: [round(255 * c) for c in to_rgb(own)] for name, own in colours.items()},
    }
    return template.replace(PLACE, json.dumps(data).replace("</", "<\\/"))


def main(config_path=None, checkpoint=None, **flags):
    template = TEMPLATE.read_text(encoding="utf-8")
    networks = [page_network(config_path, checkpoint, flags)]
    page = page_of(template, networks)
    for path in sorted(SHIPPED.parent.glob("*.pth")):
        if path.stem == networks[0]["name"]:
            continue
        more = [*networks, page_network(config_path, path, flags)]
        if len(page_of(template, more)) > MAX_BYTES:
            break
        networks, page = more, page_of(template, more)
    with files.replacing(PAGE) as part:
        part.write_text(page, encoding="utf-8")
    names = ", ".join(network["name"] for network in networks)
    print(f"saved {PAGE}, {len(page) / 1e6:.2f} MB, with {names}")


if __name__ == "__main__":
    cli.run(main)
