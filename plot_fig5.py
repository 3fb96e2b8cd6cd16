"""Draw figure 5: the flow of the network in a plane, for several cues (5a) and times (5b).

--config_path FILE   a configuration; keys it lacks come from config.yaml
--checkpoint FILE    the network, or shipped (default: training.save_path, else shipped)
--device NAME        auto, cpu or cuda
"""

import numpy as np
import torch

from models import load_network
from zrnn.analysis import geometry
from zrnn.analysis import taps as tapping
from zrnn.dynamics import network as dynamics
from zrnn.network.recurrence import pack
from zrnn.workshop import command_line, configuration, figures
from zrnn.workshop.errors import UserError
from zrnn.workshop.figures import plt


@torch.no_grad()
def stepper(model, cue):
    """The noise-free network at a constant cue, without clicks: states (B, N) -> states (B, N)."""
    w_hh = pack(model.effective_w_hh())
    inputs = torch.tensor([[0.0, cue]], device=model.w_hh.device)
    return lambda states: model.step(inputs.expand(len(states), 2), states, None, w_hh)[1]


@torch.no_grad()
def run(model, cues, start, n_steps):
    """Noise-free runs at constant cues (B,) from start (N,) -> outputs (B, T), states (B, T, N)."""
    inputs = torch.zeros(len(cues), n_steps, 2, device=start.device)
    inputs[:, :, 1] = torch.as_tensor(cues, dtype=inputs.dtype)[:, None]
    outputs, states = model(inputs, state=start.expand(len(cues), -1))
    return outputs[..., 0].cpu().numpy(), states.cpu().numpy()


def initial_condition(model, fig5):
    """Every unit ~ U(-1, 1), but all tap units one value ~ U(0, 1) -> (N,), and which those are."""
    dt, rng = model.dt, np.random.default_rng(fig5["seed"])
    outputs, states = run(model, [fig5["tap_cue"]], model.initial_state(1)[0], round(4 / dt))
    half = states.shape[1] // 2  # the first half is the way onto the cycle
    output, states = outputs[0, half:], states[0, half:]
    taps = np.round(tapping.find_taps(output, dt)).astype(int)
    if len(taps) < 2:
        raise UserError(
            f"fig5.tap_cue is {fig5['tap_cue']}; allowed: a cue at which the network beats"
        )
    is_tap = geometry.tap_units(geometry.peak_phases(states, taps), fig5["tap_phase"])
    start = rng.uniform(-1, 1, states.shape[1])
    start[is_tap] = rng.uniform(0, 1)
    return torch.as_tensor(start).to(model.w_hh), is_tap


def draw_fields(panels, span, n_points, n_columns):
    """Panels of (title, centre (2,), arrows, speed, trajectory (T, 2), equilibria), one scale.

    equilibria: [((2,), whether it is stable)], filled where stable, open where not.
    """
    n_rows = -(-len(panels) // n_columns)
    figure, all_axes = plt.subplots(
        n_rows, n_columns, figsize=(3.4 * n_columns + 1, 3.6 * n_rows), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    highest = max(panel[3].max() for panel in panels)
    line = np.linspace(-span, span, n_points)
    for axes in all_axes.flat[len(panels) :]:
        axes.remove()
    for axes, panel in zip(all_axes.flat, panels, strict=False):
        title, centre, arrows, speed, path, points = panel
        x, y = centre[0] + line, centre[1] + line
        square = (n_points, n_points)
        image = axes.pcolormesh(
            x, y, speed.reshape(square), cmap="viridis", vmin=0, vmax=highest, rasterized=True
        )
        u, v = arrows[:, 0].reshape(square), arrows[:, 1].reshape(square)
        axes.streamplot(x, y, u, v, color="white", linewidth=0.7, density=1.1, arrowsize=0.8)
        axes.plot(*path.T, color="#D62728", lw=2.5)
        axes.plot(*path[-1], "o", color="#D62728", mec="white", ms=6, zorder=4)
        for point, stable in points:
            colour = "black" if stable else "none"
            axes.plot(*point, "s", color=colour, mec="white", mew=2, ms=11, zorder=3)
        axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), title=title, xlabel="PC1", ylabel="PC2")
        axes.set_aspect("equal")
    figure.colorbar(image, ax=all_axes, label="speed: norm of the change in one step", shrink=0.8)
    return figure


def main(config_path=None, checkpoint=None, device="auto", **flags):
    config, model, made_by = load_network(config_path, checkpoint, device, flags)
    fig5, dt = config["fig5"], model.dt
    n_points, span = fig5["grid"], fig5["span"]

    start, is_tap = initial_condition(model, fig5)
    cues = np.linspace(*fig5["plane_cues"], fig5["plane_runs"])
    _, states = run(model, cues, start, round(fig5["plane_seconds"] / dt))
    mean, axes, explained = geometry.fit_plane(states.reshape(-1, states.shape[-1]))

    n_excit = getattr(model, "n_excit", model.w_hh.shape[0])
    print(f"tap-E {is_tap[:n_excit].sum()}, tap-I {is_tap[n_excit:].sum()}, ", end="")
    print(f"inter-tap-E {(~is_tap[:n_excit]).sum()}, inter-tap-I {(~is_tap[n_excit:]).sum()}")
    print(f"the plane explains {explained.sum():.1%} of the variance")

    def field(cue, origin, centre, steps):
        grid = geometry.plane_grid(centre, span, n_points)
        return geometry.vector_field(stepper(model, cue), origin, grid, mean, axes, steps)

    exact = dynamics.in_double(model)
    branches, _, _ = dynamics.find_branches(exact, config["bifurcation"])

    numbers = []

    def equilibria(cue):
        found = dynamics.equilibria_at(exact, branches, cue)
        print(f"cue {cue:g}: {len(found)} equilibria, {sum(s for _, s in found)} of them stable")
        points = [(geometry.project(x, mean, axes), stable) for x, stable in found]
        numbers.extend({"cue": cue, "in_plane": p.tolist(), "stable": s} for p, s in points)
        return points

    panels_a, steps = [], round(fig5["field_seconds"] / dt)
    for cue in fig5["cues"]:
        trajectory = geometry.project(run(model, [cue], start, steps)[1][0], mean, axes)
        arrows, speed = field(cue, start, trajectory[-1], [steps])[steps]
        title, centre = f"cue {cue:g}", trajectory[-1]
        panels_a.append((title, centre, arrows, speed, trajectory, equilibria(cue)))

    rest, beat_cue = model.initial_state(1)[0], fig5["beat_cue"]
    when = [round(t / dt) for t in fig5["times"]]
    trajectory = geometry.project(run(model, [beat_cue], rest, max(when))[1][0], mean, axes)
    centre = geometry.project(rest.cpu().numpy(), mean, axes)  # where x = 0 lies in the plane
    fields = field(beat_cue, rest, centre, when)
    points = equilibria(beat_cue)
    panels_b = [
        (f"cue {beat_cue:g}, {1000 * dt * n:g} ms", centre, *fields[n], trajectory[:n], points)
        for n in when
    ]

    drawn = {
        name: draw_fields(panels, span, n_points, 3)
        for name, panels in (("fig_5a", panels_a), ("fig_5b", panels_b))
    }
    text = configuration.to_text(config, made_by)
    figures.save_results(
        fig5["folder"], text, drawn, config["plotting"]["format"],
        numbers={"equilibria": {"made_by": made_by, "equilibria": numbers}},
    )  # fmt: skip


if __name__ == "__main__":
    command_line.run(main)
