"""Draw figure 5: the flow of the network in a plane, for several cues (5a) and times (5b).

--config_path FILE   a configuration; keys it lacks come from config.yaml
--checkpoint FILE    the network, or shipped (default: training.save_path, else shipped)
--device NAME        auto, cpu or cuda

fig_5.npz holds what is drawn. start (N,): the initial condition of 5a; is_tap (N,): the tap units;
plane_mean (N,), plane_axes (2, N), plane_explained (2,): the plane and its share of the variance.
Of each panel, 5a_0_... to 5b_2_...: cue, seconds, centre (2,), arrows (G, G, 2) and speed (G, G) on
the grid of centre +- fig5.span, rows along PC2; path (T, 2): the trajectory; equilibria (E, 3):
PC1, PC2, and 1 where stable.
"""

from dataclasses import asdict

import numpy as np
from matplotlib.lines import Line2D

from models import open_network
from zrnn import cli, configuration
from zrnn.dynamics import flow_field
from zrnn.figures import plt, save_results
from zrnn.task import context_cue

COLOUR = "#D62728"  # of the trajectory


def draw(panels, titles, span, n_columns=3):
    """Fields of one scale of speed, the trajectory in red, the equilibria as squares."""
    n_rows = -(-len(panels) // n_columns)
    size = (3.4 * n_columns + 1, 3.6 * n_rows + 0.4)
    figure, all_axes = plt.subplots(
        n_rows, n_columns, figsize=size, squeeze=False, layout="constrained"
    )
    highest = max(panel.speed.max() for panel in panels)
    shown = all_axes.ravel()[: len(panels)]
    for axes in all_axes.flat[len(panels) :]:
        axes.remove()
    for axes, panel, title in zip(shown, panels, titles, strict=True):
        x, y = panel.centre[:, None] + np.linspace(-span, span, len(panel.speed))
        colours = dict(cmap="viridis", vmin=0, vmax=highest, rasterized=True)
        image = axes.pcolormesh(x, y, panel.speed, **colours)
        flow = dict(color="white", linewidth=0.7, density=1.1, arrowsize=0.8)
        axes.streamplot(x, y, *np.moveaxis(panel.arrows, 2, 0), **flow)
        axes.plot(*panel.path.T, color=COLOUR, lw=2.5)
        axes.plot(*panel.path[-1], "o", color=COLOUR, mec="white", ms=6, zorder=4)
        for first, second, stable in panel.equilibria:
            fill = "black" if stable else "none"
            axes.plot(first, second, "s", color=fill, mec="white", mew=2, ms=11, zorder=3)
        axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), title=title, xlabel="PC1", ylabel="PC2")
        axes.set_aspect("equal")
    label = "speed: norm of the change in one step"
    figure.colorbar(image, ax=list(shown), label=label, shrink=0.8)
    square = dict(color="none", marker="s", mew=2, ms=11)
    handles = [
        Line2D([], [], color=COLOUR, lw=2.5, marker="o", mec="white", label="trajectory, its end"),
        Line2D([], [], **square, mfc="black", mec="0.6", label="stable equilibrium"),
        Line2D([], [], **square, mfc="none", mec="0.6", label="unstable equilibrium"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=11)
    return figure


def main(config_path=None, checkpoint=None, device="auto", **flags):
    config, model, made_by = open_network(config_path, checkpoint, device, flags)
    fig5, size = config.fig5, (config.fig5.grid, config.fig5.span)
    trained = sorted(context_cue(p, config.task.cue_constant) for p in config.training.periods)
    beat_cue, rest = trained[len(trained) // 2], model.initial_state(1)[0]

    start, is_tap = flow_field.initial_condition(model, beat_cue, fig5.seed)
    plane = flow_field.find_plane(model, start)
    print(f"the plane explains {plane.explained.sum():.1%} of the variance")
    equilibria = flow_field.equilibria_in(plane, model, [*fig5.cues, beat_cue])
    for cue, points in equilibria.items():
        print(f"cue {cue:g}: {len(points)} equilibria, {points[:, 2].sum():g} of them stable")
    found = {"5a": [], "5b": []}
    for cue in fig5.cues:
        times, points = [fig5.field_seconds], equilibria[cue]
        found["5a"] += flow_field.find_fields(model, start, cue, times, plane, *size, points)
    points, centre = equilibria[beat_cue], plane.of(rest.cpu().numpy())
    found["5b"] = flow_field.find_fields(
        model, rest, beat_cue, fig5.times, plane, *size, points, centre
    )

    titles = {"5a": [f"cue {own.cue:g}" for own in found["5a"]]}
    titles["5b"] = [f"cue {own.cue:g}, {1000 * own.seconds:g} ms" for own in found["5b"]]
    figures = {f"fig_{name}": draw(found[name], titles[name], fig5.span) for name in found}
    arrays = {"start": start.cpu().numpy(), "is_tap": is_tap}
    arrays |= {f"plane_{key}": value for key, value in asdict(plane).items()}
    for name, own in found.items():
        for i, field in enumerate(own):
            arrays |= {f"{name}_{i}_{key}": value for key, value in asdict(field).items()}
    text = configuration.to_text(config, made_by)
    save_results(fig5.folder, text, figures, config.plotting.format, {"fig_5": arrays})


if __name__ == "__main__":
    cli.run(main)
