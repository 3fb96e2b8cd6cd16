"""Train a network: saves best_model.pth, training_log.csv and plots/.

Three parts (docs/recipe.md): gradient descent with a long time step, refinement to the network's
time step, calibration of the mean ITIs under noise. Then the network is driven and evaluated.

--model_type NAME    ZemlianovaRNN or RNN, short for --model.type
--config_path FILE   a configuration; keys it lacks come from config.yaml
                     (or a checkpoint, to repeat the run that made it)
--name NAME          everything of this run goes to runs/NAME/
--device NAME        auto, cpu or cuda
--resume             continue a stopped run; --resume auto: if there is one, else start
--overwrite          replace an earlier network or a stopped run
"""

import csv
import io
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import torch

from models import build_model, restore_model
from zrnn import checkpoints, cli, configuration, evaluate, figures, files, simulate, threads
from zrnn import task as tasks
from zrnn.errors import UserError
from zrnn.training import descent, distributed
from zrnn.training.refinement import LostCycle, calibrate, refine
from zrnn.training.start_or_resume import check_places, notes, starting_point, state_path
from zrnn.training.state import Diverged, TrainingRun


def train(run, config, ranks=(0, 1)):
    """Train run.model from where the run was stopped, or from the start. Raises UserError.

    Yields a row of the log after each update of the descent and each measurement of the cycles:
    part, number, dt [s], noise_scale (in units of sigma_rec), learning_rate and loss or, after the
    descent, worst_error (of a period or mean ITI, as a fraction). After the descent only rank 0 of
    several processes continues.
    """
    model, training, task = run.model, config.training, config.task

    def row(number, dt, noise_scale, rate=None, loss=None, worst_error=None):
        return dict(part=run.part, number=number, dt=dt, noise_scale=noise_scale,
                    learning_rate=rate, loss=loss, worst_error=worst_error)  # fmt: skip

    # descent
    while run.part == "descent" and not descent.is_finished(run.losses, training):
        number = len(run.losses) + 1
        rate, noise_scale = descent.schedule(number, training)
        factor = descent.time_factor(number, training)
        run.set_learning_rate(rate)
        precision = descent.low_precision_matmul(training, len(model.w_hh))
        with model.temporarily(dt=training.dt, noise_scale=noise_scale), precision:
            trials = tasks.draw_trials(training, model.dt, task, run.generator, factor)
            trials = [values.to(model.w_hh.device) for values in trials]
            with threads.faster("update"):  # the gradient is computed in update_weights
                loss = descent.update_weights(
                    model, run.optimizer, trials, run.noise, training, ranks,
                    run.graph if ranks[1] == 1 else None,
                )  # fmt: skip
        run.record_loss(loss)
        yield row(number, training.dt, noise_scale, rate, loss)
    if run.part == "descent":
        run.part = "refinement"
    if ranks[0] > 0:
        return

    # refinement
    if run.part == "refinement" and training.refine:
        model.dt = training.dt
        for number, progress in enumerate(refine(model, training.periods, task, config.model.dt)):
            yield row(number, progress.dt, 0.0, worst_error=progress.worst)
    model.dt = config.model.dt

    # calibration
    if run.part != "done" and training.calibrate:
        run.part = "calibration"
        for number, progress in enumerate(calibrate(model, training.periods, task, run.noise)):
            yield row(number, progress.dt, 1.0, worst_error=progress.worst)
    run.part = "done"


def run_training(run, config, ranks, device):
    """Train to the end; log, show progress, save the state at times, stop on a signal."""
    path, training = state_path(config), config.training
    saved_at, saved_part, began = time.monotonic(), None, time.monotonic() - run.seconds
    bar = cli.progress_bar(training.epochs, unit="update", disable=ranks[0] > 0)
    bar.update(len(run.losses))
    with cli.signals_recorded() as signals:
        for row in train(run, config, ranks):
            run.seconds = time.monotonic() - began
            run.log.append(row | {"seconds": round(run.seconds, 3)})
            show(bar, row)
            in_descent = row["part"] == "descent"
            stop = distributed.any_of(signals, device) if in_descent else bool(signals)
            due = stop or time.monotonic() - saved_at >= training.save_seconds
            # a later part is short and starts from its beginning when it is resumed
            if ranks[0] == 0 and (saved_part != row["part"] or due and in_descent):
                run.save(path, configuration.plain(config), device.type)
                saved_at, saved_part = time.monotonic(), row["part"]
            if stop:
                distributed.leave()
                raise cli.Stopped(*signals[:1])
    bar.close()
    distributed.leave()


def show(bar, row):
    """One row of the log, on the progress bar."""
    if row["part"] == "descent":
        bar.set_postfix(loss=f"{row['loss']:.4f}", refresh=False)
        bar.update()
    else:
        dt, error = 1000 * row["dt"], row["worst_error"]
        bar.set_postfix_str(
            f"{row['part']}: dt {dt:.3g} ms, largest period error {error:.2%}", False
        )
        bar.update(0)


def draw_trial(inputs, target, output, dt, title):
    """Clicks and cue (T, 2) above, target and output (T,) below."""
    seconds = dt * torch.arange(len(output))
    figure, axes = figures.plt.subplots(2, 1, figsize=(8, 4), sharex=True, layout="constrained")
    axes[0].plot(seconds, inputs[:, 0], color="0.4", lw=1, label="clicks")
    axes[0].plot(seconds, inputs[:, 1], color="#009E73", label="context cue")
    axes[1].plot(seconds, target, color="black", lw=1, ls="--", label="target")
    axes[1].plot(seconds, output, color="#D55E00", lw=1.5, label="output z")
    axes[0].set(ylabel="inputs", title=title)
    axes[1].set(xlabel="time [s]", ylabel="output")
    for panel in axes:
        panel.legend(loc="upper right", fontsize=8)
    return figure


def save_pictures(model, config, text):
    """One picture of each trained period: a trial of the task, with noise."""
    training, folder = config.training, Path(config.plotting.folder)
    periods = torch.tensor(training.periods, dtype=torch.float64)
    onsets = torch.full((len(periods),), config.task.max_onset)
    inputs, target = tasks.make_trials(
        periods, onsets, training.trial_seconds, training.click_seconds, model.dt, config.task
    )
    outputs = simulate.run(model, inputs, training.seed).outputs
    digits = 3 if len({f"{p:.3f}" for p in training.periods}) == len(training.periods) else 12
    for period, *trial in zip(training.periods, inputs, target[..., 0], outputs, strict=True):
        figure = draw_trial(*trial, model.dt, f"Period {period:.4g} s")
        name = f"Period_{period:.{digits}f}_seconds.{config.plotting.format}"
        figures.save_figure(figure, folder / name, text, dpi=100)


def save_log(path, log):
    """The rows of the log, as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*log[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(log)
    figures.save_text(path, text.getvalue())


def finish(run, config, about):
    """Save the network and the log; draw, drive and evaluate the network as configured."""
    model, save_path = run.model.eval(), config.training.save_path
    about["made_by"] |= threads.used() | {"start_sha256": run.start_sha256}
    about |= dict(updates=len(run.losses), training_seconds=run.seconds, rollbacks=run.rollbacks)
    checkpoints.save_checkpoint(save_path, model, **about)
    save_log(config.training.log_path, run.log)
    report = [f"trained in {run.seconds:.0f} s; saved {save_path}, {config.training.log_path}"]
    if config.plotting.enable:
        save_pictures(model, config, configuration.to_text(config, about["made_by"]))
    if config.check.enable:
        n_steps = round((config.drive.discard_seconds + config.drive.keep_seconds) / model.dt)
        with cli.progress_bar(n_steps, "driving") as bar:
            evaluation = evaluate.evaluate(model, config, on_steps=bar.update)
        checkpoints.save_checkpoint(save_path, model, **about, evaluation=evaluation.to_dict())
        report.append(evaluate.table(evaluation))
    print(*report, sep="\n")  # last, because nothing is lost then if it cannot be printed


def main(
    config_path=None, device="auto", resume: bool | str = False, overwrite=False, name=None, **flags
):
    # configuration
    ranks = distributed.join(device)
    device = checkpoints.pick_device(device)
    config, saved = starting_point(config_path, flags, name, resume, device)
    training, save_path = config.training, Path(config.training.save_path)
    check_places(config, saved, overwrite)
    if ranks[0] == 0:
        print(configuration.changes_text(config))
        for note in notes(config):
            print(note, file=sys.stderr)
    made_by = checkpoints.provenance() | {"device": str(device), "processes": ranks[1]}
    about = dict(config=configuration.plain(config), seed=training.seed, made_by=made_by)

    # network; the noise has another seed than the weights and batches
    generator = torch.Generator().manual_seed(training.seed)
    noise_seed = int(torch.randint(2**62, (), generator=generator))
    model = build_model(generator=generator, **dict(config.model)).to(device)
    start_sha256 = None
    if training.start and not saved:
        content = checkpoints.read_checkpoint(training.start, config.model)[1]
        start = restore_model(content)
        if (type(start), start.n_excit) != (type(model), model.n_excit):
            raise UserError(f"training.start is {training.start}: has other model.type or E units")
        model.load_state_dict(checkpoints.check_weights(content["state_dict"], model.state_dict()))
        start_sha256 = content["sha256"]
    noise = torch.Generator(device).manual_seed(noise_seed)
    run = TrainingRun(model, generator, noise, training.adam_beta2, start_sha256=start_sha256)
    if saved:
        run.restore(saved)

    # training, network, log, pictures, evaluation
    with ExitStack() as claims:
        for path in (save_path, training.log_path) if ranks[0] == 0 else ():
            claims.enter_context(files.claimed(path))
        with cli.if_stopped("continue with the same command and --resume"):
            try:
                run_training(run, config, ranks, device)
            except (LostCycle, Diverged) as failed:
                state_path(config).unlink(missing_ok=True)  # a resumed run would fail again
                if isinstance(failed, Diverged):
                    raise
                unfinished = save_path.with_suffix(".unfinished.pth")
                about["config"]["model"]["dt"] = model.dt
                checkpoints.save_checkpoint(unfinished, model, **about)
                raise UserError(
                    f"{failed}; more --training.epochs or another --training.seed may help; the "
                    f"network so far: {unfinished}"
                ) from None
            finish(run, config, about)
        state_path(config).unlink(missing_ok=True)


if __name__ == "__main__":
    cli.run(main)
