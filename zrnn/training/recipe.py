"""The training as a whole: descent, refinement, calibration, one after the other."""

from collections.abc import Iterator
from dataclasses import dataclass

from zrnn.training.descent import descend
from zrnn.training.refinement import calibrate, refine
from zrnn.training.state import TrainingRun


@dataclass(frozen=True)
class Row:
    """One row of the log: an update of the descent, or a look at all cycles.

    dt [s]; noise_scale: recurrent noise, times model.sigma_rec; loss: of an update, else None;
    worst_error: largest error of a period or mean ITI, as a share, else None.
    """

    part: str
    number: int
    dt: float
    noise_scale: float
    learning_rate: float | None = None
    loss: float | None = None
    worst_error: float | None = None


def train(run: TrainingRun, config, ranks=(0, 1)) -> Iterator[Row]:
    """Train run.model, on from the part and the update where the run is.

    Yields after each update or look. The network is at training.dt in the descent and at model.dt
    in the end. Only rank 0 of several processes goes on after the descent. Raises UserError.
    """
    training, model, final_dt = config.training, run.model, config.model.dt
    if run.part == "descent":
        for update in descend(run, training, config.task, ranks):
            yield Row(
                run.part,
                update.number,
                training.dt,
                update.noise_scale,
                update.learning_rate,
                update.loss,
            )
        run.part = "refinement"
    if ranks[0] > 0:
        return
    if run.part == "refinement" and training.refine:
        model.dt = training.dt
        for number, step in enumerate(refine(model, training.periods, config.task, final_dt)):
            yield Row(run.part, number, step.dt, 0.0, worst_error=step.worst)
    model.dt = final_dt
    if run.part != "done" and training.calibrate:
        run.part = "calibration"
        steps = calibrate(model, training.periods, config.task, run.noise)
        for number, step in enumerate(steps):
            yield Row(run.part, number, step.dt, 1.0, worst_error=step.worst)
    run.part = "done"
