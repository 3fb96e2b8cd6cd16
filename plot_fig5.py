"""Draw figure 5: the flow of the network in a plane, for several cues (5a) and times (5b).

--config_path FILE   a configuration; keys it lacks come from config.yaml
--checkpoint FILE    the network, or shipped (default: training.save_path, else shipped)
--device NAME        auto, cpu or cuda

fig_5.npz holds what is drawn. start (N,): the initial condition of 5a; is_tap (N,): the tap units;
plane_mean (N,), plane_axes (2, N), plane_explained (2,): the plane, and fractions of the variance.
Of each panel, 5a_0_... to 5b_2_...: cue, seconds, centre (2,), arrows (G, G, 2) and speed (G, G) on
the grid of centre +- fig5.span, rows along PC2; path (T, 2): the trajectory; equilibria (E, 3):
PC1, PC2, and 1 where stable.
"""

from dataclasses import asdict

import numpy as np
from matplotlib.lines import Line2D

from models import open_network
from zrnn import cli, configuration
from zrnn.dynamics.flow_field import find_equilibria, find_fields, find_plane, initial_condition
from zrnn.figures import plt, save_results
from zrnn.task import reference_cue

PATH_COLOUR = "#D62728"


def draw(fields, titles, span):
    """Fields with one scale of speed, the trajectory in red, the equilibria as squares."""
    n_rows = -(-len(fields) // 3)
    figure, all_axes = plt.subplots(
        n_rows, 3, figsize=(11.2, 3.6 * n_rows + 0.4), squeeze=False, layout="constrained"
    )
    for axes in all_axes.flat[len(fields) :]:
        axes.remove()
    speeds = np.concatenate([field.speed.ravel() for field in fields])
    median, largest, extend = np.median(speeds), speeds.max(), "neither"
    if largest > 100 * median:  # the network runs away in a part of the plane
        largest, extend = 10 * median, "max"
    colours = dict(cmap="viridis", vmin=0, vmax=largest)
    square = dict(marker="s", ls="none", mew=2, ms=11)
    for axes, field, title in zip(all_axes.flat, fields, titles, strict=False):
        x, y = field.centre[:, None] + np.linspace(-span, span, len(field.speed))
        image = axes.pcolormesh(x, y, field.speed, rasterized=True, **colours)
        lines = dict(color="white", linewidth=0.7, density=1.1, arrowsize=0.8)
        axes.streamplot(x, y, *np.moveaxis(field.arrows, 2, 0), **lines)
        axes.plot(*field.path.T, color=PATH_COLOUR, lw=2.5)
        axes.plot(*field.path[-1], "o", color=PATH_COLOUR, mec="white", ms=6, zorder=4)
        for first, second, stable in field.equilibria:
            fill = "black" if stable else "none"
            axes.plot(first, second, **square, mfc=fill, mec="white", zorder=3)
        axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), title=title, xlabel="PC1", ylabel="PC2")
        axes.set_aspect("equal")
    label = "speed: norm of the change in one step"
    panels = list(all_axes.flat[: len(fields)])
    figure.colorbar(image, ax=panels, label=label, shrink=0.8, extend=extend)
    path = dict(color=PATH_COLOUR, lw=2.5, marker="o", mec="white")
    handles = [
        Line2D([], [], **path, label="trajectory, its end"),
        Line2D([], [], **square, mec="0.6", mfc="black", label="stable equilibrium"),
        Line2D([], [], **square, mec="0.6", mfc="none", label="unstable equilibrium"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=11)
    return figure


def main(config_path=None, checkpoint=None, device="auto", **flags):
    config, model, made_by = open_network(config_path, checkpoint, device, flags, "fig5")
    fig5, size = config.fig5, (config.fig5.grid, config.fig5.span)
    beat_cue = reference_cue(config.training.periods, config.task.cue_constant)

    start, is_tap = initial_condition(model, beat_cue, fig5.seed)
    plane = find_plane(model, start)
    print(f"the plane explains {plane.explained.sum():.1%} of the variance")
    equilibria = find_equilibria(model, [*fig5.cues, beat_cue], plane)
    for cue, points in equilibria.items():
        print(f"cue {cue:g}: {len(points)} equilibria, {points[:, 2].sum():g} of them stable")
    of_cues = []
    for cue in fig5.cues:
        times = [fig5.field_seconds]
        of_cues += find_fields(model, start, cue, times, plane, *size, equilibria[cue])
    rest = model.initial_state(1)[0]
    centre = plane.project(rest.cpu().numpy())
    of_times = find_fields(
        model, rest, beat_cue, fig5.times, plane, *size, equilibria[beat_cue], centre
    )
    titles = [f"cue {field.cue:g}" for field in of_cues]
    figures = {"fig_5a": draw(of_cues, titles, fig5.span)}
    titles = [f"cue {field.cue:g}, {1000 * field.seconds:g} ms" for field in of_times]
    figures["fig_5b"] = draw(of_times, titles, fig5.span)
    arrays = {"start": start.cpu().numpy(), "is_tap": is_tap}
    arrays |= {f"plane_{key}": value for key, value in asdict(plane).items()}
    for name, fields in (("5a", of_cues), ("5b", of_times)):
        for i, field in enumerate(fields):
            arrays |= {f"{name}_{i}_{key}": value for key, value in asdict(field).items()}
    text = configuration.to_text(config, made_by)
    save_results(fig5.folder, text, figures, config.plotting.format, {"fig_5": arrays})


if __name__ == "__main__":
    cli.run(main)
