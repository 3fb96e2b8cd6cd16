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
from zrnn.analysis import geometry, groups, lesions, sound, taps
from zrnn.network.checkpoints import SHIPPED
from zrnn.workshop import command_line, files, figures

FOLDER = Path(__file__).parent / "demo"
MAX_BYTES = 1_500_000  # of the page
PLACE = "THE DATA"  # in the template
DIM = 0.1  # of the median unit's largest rate: units whose own is below it stay pale


def encode(array, dtype: str) -> str:
    """An array in base64, row by row."""
    return base64.b64encode(np.ascontiguousarray(array, dtype).tobytes()).decode()


def as_bytes(colour: str) -> list[int]:
    """Red, green and blue, 0 to 255."""
    return [round(255 * part) for part in to_rgb(colour)]


def weights_of(model) -> dict:
    """The recurrence's numbers: W in float16, a column after the other, the rest in float32.

    Rounded so, W moves the mean ITI by 0.02 ms at most (a test says less than 0.1 %).
    """
    w_in, b, w_out, b_out = (
        tensor.detach().cpu().numpy() for tensor in (model.w_ih, model.b_hh, model.w_ho, model.b_ho)
    )
    return {
        "n": len(b), "nExcit": len(b) if model.n_excit is None else model.n_excit,
        "dt": model.dt, "alpha": model.alpha, "sigma": model.sigma_rec,
        "w": encode(model.effective_w_hh().detach().cpu().numpy().T, "<f2"),
        "wClick": encode(w_in[:, 0], "<f4"), "wCue": encode(w_in[:, 1], "<f4"),
        "b": encode(b, "<f4"), "wOut": encode(w_out[0], "<f4"), "bOut": float(b_out[0]),
    }  # fmt: skip


def pictures_of(found: groups.Populations, periods) -> dict:
    """What the page draws by: firing order, largest rates, groups, plane, cycles in the plane.

    order: units that fire, E before I, by when they peak between two taps at the middle of the
    trained cues; the plane is that of the mean cycles (P, N) of all trained periods.
    """
    cycles = np.concatenate([recording.cycle for recording in found.recordings])
    peak, middle = cycles.max(axis=0), found.reference.cycle
    excitatory = next(iter(found.types.values()))
    order = geometry.firing_order(middle, [0, len(middle)], excitatory.sum())
    order = order[peak[order] > 0]
    peak = peak.clip(DIM * np.median(peak[order]))
    mean, axes, _ = geometry.fit_plane(cycles)
    axes = axes * np.sign(axes.sum(axis=1, keepdims=True))  # a component's sign means nothing
    colours, centre = figures.period_colours(periods), axes @ mean
    loops = {r.period: (r.cycle @ axes.T - centre).round(4) for r in found.recordings}
    points = np.concatenate(list(loops.values()))
    members = {**found.reference.groups, **found.parts}
    return {
        "order": encode(order, "<i2"), "rowsOfE": int(excitatory[order].sum()),
        "peak": encode(peak, "<f4"), "axes": [encode(axis, "<f4") for axis in axes],
        "centre": centre.tolist(), "low": points.min(0).tolist(), "high": points.max(0).tolist(),
        "loops": [
            {"colour": to_hex(colours[period]), "points": [*loop.tolist(), loop[0].tolist()]}
            for period, loop in loops.items()
        ],
        "groups": {name: np.flatnonzero(own).tolist() for name, own in members.items() if own.any()},
    }  # fmt: skip


def page_network(config_path, checkpoint, flags) -> dict:
    """One network as the page holds it. Raises UserError."""
    config, model, made_by = open_network(config_path, checkpoint, "cpu", flags)
    periods, path = config.training.periods, Path(made_by["checkpoint"])
    found = groups.find_populations(model, periods, config.task, config.groups.seed)
    return {
        "name": path.stem,
        "about": f"The network is {path.name}, sha256 {made_by['sha256'][:12]}.",
        "cueConstant": config.task.cue_constant, "clickWidth": config.task.click_width,
        "cues": [config.task.cue_constant / period for period in periods],
        **weights_of(model), **pictures_of(found, periods),
    }  # fmt: skip


def page_of(template: str, networks: list[dict]) -> str:
    """The page that holds these networks."""
    data = {
        "networks": networks,
        "taps": {
            "halfHeight": taps.HALF_HEIGHT, "hysteresis": taps.HYSTERESIS, "maxCv": taps.MAX_CV,
            "minTaps": taps.MIN_TAPS, "runaway": lesions.RUNAWAY,
        },
        "voices": {"click": vars(sound.CLICK), "tap": vars(sound.TAP)},
        "colours": {"E": as_bytes(figures.E_COLOUR), "I": as_bytes(figures.I_COLOUR)},
    }  # fmt: skip
    return template.replace(PLACE, json.dumps(data).replace("</", "<\\/"))


def main(config_path: str = None, checkpoint: str = None, **flags):
    template = (FOLDER / "page.html").read_text(encoding="utf-8")
    networks = [page_network(config_path, checkpoint, flags)]
    page = page_of(template, networks)
    for path in sorted(SHIPPED.parent.glob("*.pth")):
        if len(page) + max(len(json.dumps(network)) for network in networks) > MAX_BYTES:
            break
        if path.stem != networks[0]["name"]:
            networks.append(page_network(config_path, path, flags))
            page = page_of(template, networks)
    with files.replacing(FOLDER / "index.html") as part:
        part.write_text(page, encoding="utf-8")
    print(f"saved {FOLDER / 'index.html'}, {len(page) / 1e6:.2f} MB, networks: {len(networks)}")


if __name__ == "__main__":
    command_line.run(main)
