"""Train a network to keep a beat: saves best_model.pth, training_log.csv and plots/.

Three parts (docs/recipe.md): gradient descent at a coarse step, refinement down to the network's
own step, calibration of its tempo under noise. Then the network is driven and judged.

--model_type NAME    ZemlianovaRNN or RNN, short for --model.type
--config_path FILE   a configuration; keys it lacks come from config.yaml
                     (or a checkpoint, to repeat the run that made it)
--name NAME          everything of this run goes under runs/NAME/
--device NAME        auto, cpu or cuda
--resume             go on with the run that was stopped before it could save its network
--overwrite          replace an earlier network
"""

import csv
import dataclasses
import io
import time
from contextlib import ExitStack
from pathlib import Path

import torch
from tqdm import tqdm

from models import build_model
from zrnn import checkpoints, checks, cli, configuration, evaluate, figures, files, simulate, task
from zrnn.devices import pick_device
from zrnn.errors import UserError
from zrnn.provenance import provenance
from zrnn.training import distributed
from zrnn.training.descent import RunsAway
from zrnn.training.recipe import Row, train
from zrnn.training.refinement import LostBeat
from zrnn.training.state import TrainingRun

TIMED = 10  # updates after which the time of all is estimated
LONG = 3600  # [s] an estimate beyond this comes with advice


def starting_point(config_path, flags, name, resume, device):
    """The configuration of a run and, with resume, the state in which it was stopped, else None."""
    if str(config_path).endswith(".pth"):
        path, content = checkpoints.read_checkpoint(config_path)
        if not isinstance(content.get("config"), dict):
            raise UserError(f"checkpoint {path}: does not say which configuration made it")
        config_path = content["config"]
    config = configuration.load(config_path, flags, name=name)
    path = state_path(config)
    if not resume:
        return config, None
    if not path.exists():
        raise UserError(f"{path} is missing: no run to resume; start one without --resume")
    saved = checkpoints.read_checkpoint(path)[1]
    if "part" not in saved:
        raise UserError(f"{path}: not the state of a stopped run; start one without --resume")
    if saved["device"] != device.type:
        raise UserError(f"device is {device.type}; allowed: {saved['device']}, as it was started")
    wanted = configuration.load(config_path or saved["config"], flags, name=name)
    started = configuration.load(saved["config"])
    wrong = [
        f"{key} is {new!r}; allowed: {old!r}, with which the run to resume was started"
        for key, new, old in configuration.differences(wanted, started)
    ]
    if wrong:
        raise UserError("\n".join(wrong))
    return started, saved


def state_path(config):
    """Where a run keeps the state to go on from."""
    return Path(f"{config.training.save_path}.state")


def check_room(config, resume, overwrite):
    """Raises UserError unless the run fits the memory, can write where it will, and may."""
    files.check_memory(
        checks.training_bytes(config),
        "smaller with training.batch_size, model.hidden_dim or check.noise_runs",
    )
    save_path, pictures = Path(config.training.save_path), Path(config.plotting.folder)
    for path in (save_path, state_path(config), config.training.log_path, pictures / "Period.png"):
        files.check_file(path)
    if save_path.exists() and not (overwrite or resume):
        raise UserError(
            f"{save_path} is there already; replace it with --overwrite, or keep both with "
            "--name NAME or another --training.save_path"
        )
    if state_path(config).exists() and not (overwrite or resume):
        raise UserError(
            f"{state_path(config)} is of a stopped run; go on with it with --resume, or start "
            "anew with --overwrite"
        )


def run_training(run, config, ranks, device):
    """Train to the end; log, show, save the state now and then, stop when a signal asks for it."""
    path, training = state_path(config), config.training
    saved_at, saved_part, began = time.time(), None, time.time() - run.seconds
    bar = tqdm(total=training.epochs, initial=len(run.losses), unit="update", disable=ranks[0] > 0)
    with files.held_signals() as signals:
        for row in train(run, config, ranks):
            run.seconds = time.time() - began
            run.log.append(dataclasses.asdict(row) | {"seconds": round(run.seconds, 3)})
            show(bar, row, run, training.epochs)
            alone = row.part != "descent"
            stop = bool(signals) if alone else distributed.any_of(signals, device)
            due = stop or time.time() - saved_at >= training.save_seconds
            # a part after the descent is short, and begins anew
            if ranks[0] == 0 and (saved_part != row.part or due and not alone):
                run.save(path, configuration.plain(config), device.type)
                saved_at, saved_part = time.time(), row.part
            if stop:
                distributed.leave()
                raise cli.Stopped(*signals[:1])
    bar.close()
    distributed.leave()


def plan_text(epochs: int, seconds: float) -> str:
    """How long a descent of that many updates takes, and what to do where that is long."""
    units = (1, "s"), (60, "minutes"), (3600, "hours"), (86400, "days")
    size, unit = next(u for u in reversed(units) if seconds >= 2 * u[0] or u[0] == 1)
    text = f"{epochs} updates planned, about {seconds / size:.0f} {unit}"
    if seconds > LONG:
        text += (
            "; the recipe of config.yaml takes minutes (leave out --config_path), a smaller "
            "network with --config_path configs/small.yaml seconds"
        )
    return text


def show(bar, row: Row, run, epochs):
    """One row of the log, on the progress bar."""
    if row.part == "descent":
        bar.set_postfix(loss=f"{row.loss:.4f}", refresh=False)
        bar.update()
        if len(run.losses) == TIMED and not bar.disable:
            bar.write(plan_text(epochs, run.seconds / TIMED * epochs))
    else:
        error = f"{row.worst_error:.2%}"
        bar.set_postfix_str(f"{row.part}: dt {1000 * row.dt:.3g} ms, worst ITI error {error}")


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
    """One picture a trained period: a trial of the task, with noise."""
    training, folder = config.training, Path(config.plotting.folder)
    periods = torch.tensor(training.periods, dtype=torch.float64)
    onsets = torch.full((len(periods),), config.task.max_onset)
    inputs, target = task.make_trials(
        periods, onsets, training.trial_seconds, training.click_seconds, model.dt, config.task
    )
    outputs = simulate.run(model, inputs, training.seed).outputs
    for period, *trial in zip(training.periods, inputs, target[..., 0], outputs, strict=True):
        figure = draw_trial(*trial, model.dt, f"Period {period:.4g} s")
        name = f"Period_{period:.3f}_seconds.{config.plotting.format}"
        if sum(f"{other:.3f}" == f"{period:.3f}" for other in training.periods) > 1:
            name = f"Period_{period}_seconds.{config.plotting.format}"
        figures.save_figure(figure, folder / name, text, dpi=100)


def judge_network(model, config) -> evaluate.Verdict:
    """Drive the network, simulate.keep_seconds in silence, and hold it against its bounds."""
    check, trained = config.check, config.training.periods
    others = evaluate.untrained_periods(trained, check.untrained_periods)
    seconds = evaluate.CLICK_SECONDS + config.drive.keep_seconds
    with tqdm(total=round(seconds / model.dt), desc="driving", unit="step") as bar:
        rows = evaluate.measure(
            model,
            trained,
            config.task,
            runs=check.noise_runs,
            others=others,
            other_runs=check.untrained_runs,
            keep_seconds=config.drive.keep_seconds,
            seed=check.seed,
            on_steps=bar.update,
        )
    findings = evaluate.judge(rows, check.max_error, check.max_untrained_error, check.max_cv)
    return evaluate.Verdict(rows, findings)


def save_log(path, log):
    """The rows of the log, as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*log[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(log)
    with files.replacing(path) as part:
        part.write_text(text.getvalue())


def finish(run, config, about):
    """Save the network and the log; draw, drive and judge the network as the config says."""
    model, save_path = run.model.eval(), config.training.save_path
    about |= dict(updates=len(run.losses), training_seconds=run.seconds)
    checkpoints.save_checkpoint(save_path, model, **about)
    save_log(config.training.log_path, run.log)
    print(f"trained in {run.seconds:.0f} s; saved {save_path}, {config.training.log_path}")
    if config.plotting.enable:
        save_pictures(model, config, configuration.to_text(config, about["made_by"]))
    if config.check.enable:
        verdict = judge_network(model, config)
        print(evaluate.table(verdict))
        checkpoints.save_checkpoint(save_path, model, **about, behaviour=verdict.to_dict())


def main(config_path=None, device="auto", resume=False, overwrite=False, name=None, **flags):
    # configuration
    ranks = distributed.join(device)
    device = pick_device(device)
    config, saved = starting_point(config_path, flags, name, resume, device)
    training, save_path = config.training, Path(config.training.save_path)
    check_room(config, resume, overwrite)
    if ranks[0] == 0:
        print(configuration.changes_text(config))
    made_by = provenance() | {"device": str(device), "threads": torch.get_num_threads()}
    made_by["processes"] = ranks[1]
    about = dict(config=configuration.plain(config), seed=training.seed, made_by=made_by)

    # network
    run = TrainingRun.begin(build_model, config, device)
    if saved:
        run.restore(saved)

    # training, network, log, pictures, verdict
    with ExitStack() as claims:
        for path in (save_path, training.log_path) if ranks[0] == 0 else ():
            claims.enter_context(files.claimed(path))
        with cli.if_stopped(f"go on with --resume --training.save_path {save_path}"):
            try:
                run_training(run, config, ranks, device)
            except (LostBeat, RunsAway) as failed:
                state_path(config).unlink(missing_ok=True)  # to go on would come to the same
                if isinstance(failed, RunsAway):
                    raise
                unfinished = save_path.with_suffix(".unfinished.pth")
                run.model.arguments["dt"] = about["config"]["model"]["dt"] = run.model.dt
                checkpoints.save_checkpoint(unfinished, run.model, **about)
                raise UserError(
                    f"{failed}; more --training.epochs or another --training.seed may help; the "
                    f"network so far: {unfinished}"
                ) from None
            finish(run, config, about)
        state_path(config).unlink(missing_ok=True)


if __name__ == "__main__":
    cli.run(main)
