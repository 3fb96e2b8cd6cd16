"""Newton's method on the tempo of a network: its steps, refinement, calibration, failures."""

import copy

import numpy as np
import pytest
import torch

import models
from train import train
from zrnn import checkpoints, simulate
from zrnn.configuration import load
from zrnn.taps import find_taps
from zrnn.training import refinement
from zrnn.training.state import TrainingRun

TASK = load().task
PERIODS = [0.143, 0.2]
SHIPPED = models.load_network()


@pytest.fixture
def model(monkeypatch):
    """The shipped network; few cues and short runs with noise, which are quick to measure."""
    monkeypatch.setattr(refinement, "N_CUES", 3)
    monkeypatch.setattr(refinement, "NOISY_PERIODS", (6,))
    monkeypatch.setattr(refinement, "NOISY_RUNS", 2)
    return copy.deepcopy(SHIPPED)


def cycles_of(model):
    targets = refinement.targets_of(PERIODS)
    cues = TASK.cue_constant / targets
    state = refinement.settle(model, targets, TASK)
    return cues, targets, *refinement.measure_cycles(model, cues, targets, state)


def test_a_step_reduces_the_errors_and_keeps_dales_law(model):
    with torch.no_grad():
        model.w_hh.mul_(1.01)
    cues, targets, cycles, before = cycles_of(model)
    assert np.abs(before).max() > 5 * refinement.REFINED_ERROR
    _, after, _ = refinement.damped_step(model, cues, targets, cycles, before, 1.0)
    assert np.abs(after).max() < 0.5 * np.abs(before).max()
    w, n_excit = model.effective_w_hh().detach(), model.n_excit
    assert (w[:, :n_excit] >= 0).all() and (w[:, n_excit:] <= 0).all()
    assert (w.diagonal() == 0).all()


def test_the_smallest_step_is_the_pseudoinverse(model):
    cues, _, cycles, errors = cycles_of(model)
    rows = refinement.weight_jacobian(model, cues, cycles, refinement.ROW_WEIGHTS)
    rows = torch.cat([part.flatten(1) for part in rows], dim=1).double()
    wanted = torch.as_tensor(refinement.residuals(errors, cycles).ravel())
    limits = (refinement.ROW_WEIGHTS * refinement.MAX_RESIDUALS).max()
    assert wanted.abs().max() < limits  # nothing is clipped
    before = torch.cat([p.detach().flatten() for p in (model.w_hh, model.w_ih, model.b_hh)])
    refinement.newton_step(model, cues, cycles, errors)
    after = torch.cat([p.detach().flatten() for p in (model.w_hh, model.w_ih, model.b_hh)])
    damped = refinement.DAMPING * torch.linalg.eigvalsh(rows @ rows.t())[-1]
    exact = torch.linalg.solve(rows @ rows.t() + damped * torch.eye(len(rows)), wanted)
    step = -(rows.t() @ exact)
    assert ((after - before).double() - step).norm() < 0.01 * step.norm()


def test_refinement_keeps_the_periods_while_dt_falls(model):
    model.dt = 0.002
    steps = list(refinement.refine(model, PERIODS, TASK, 0.001))
    assert steps[0].dt == 0.002 and steps[-1].dt == model.dt == 0.001
    assert steps[0].worst > 0.01 and steps[-1].worst < refinement.REFINED_ERROR
    _, _, _, errors = cycles_of(model)
    assert np.abs(errors).max() < 2 * refinement.REFINED_ERROR


def mean_itis(model):
    """Mean ITI [s] at each of PERIODS, over 8 runs whose recurrent noise is antithetic."""
    cues = torch.tensor(TASK.cue_constant / np.tile(PERIODS, 8))
    noise = model.noise(torch.Generator().manual_seed(1), antithetic=True)
    outputs = simulate.run(model, simulate.constant_cues(cues, 4000), noise, discard=1000).outputs
    itis = [np.diff(find_taps(output, 0.001)).mean() * 0.001 for output in outputs]
    return np.reshape(itis, (8, 2)).mean(axis=0)


def test_calibration_corrects_the_mean_itis(model, monkeypatch):
    monkeypatch.setattr(refinement, "NOISY_PERIODS", (12,))
    monkeypatch.setattr(refinement, "NOISY_RUNS", 6)
    with torch.no_grad():
        model.w_ih[:, 1].mul_(1.02)
    before = np.abs(mean_itis(model) / PERIODS - 1)
    list(refinement.calibrate(model, PERIODS, TASK, torch.Generator().manual_seed(0)))
    after = np.abs(mean_itis(model) / PERIODS - 1)
    assert before.min() > 0.01 and after.max() < 0.002


def test_where_no_step_helps_a_network_with_all_its_cycles_is_kept(model, monkeypatch):
    def no_step(*args):
        raise refinement.LostCycle("no step helps")

    monkeypatch.setattr(refinement, "damped_step", no_step)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    (step,) = refinement.refine(model, PERIODS, TASK, model.dt)
    assert step.worst > refinement.REFINED_ERROR
    assert list(refinement.calibrate(model, PERIODS, TASK, torch.Generator().manual_seed(0)))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    with pytest.raises(refinement.LostCycle, match="no step helps|the rhythm is lost below dt"):
        list(refinement.refine(model, PERIODS, TASK, model.dt / 2))


def test_where_no_step_helps_at_the_first_dt_a_shorter_one_is_tried(model, monkeypatch):
    damped_step, first = refinement.damped_step, model.dt

    def fails_at_first(model, *args):
        if model.dt == first:
            raise refinement.LostCycle("no step helps")
        return damped_step(model, *args)

    monkeypatch.setattr(refinement, "damped_step", fails_at_first)
    monkeypatch.setattr(refinement, "NEXT_DT_RESIDUAL", 0.0005)
    steps = list(refinement.refine(model, PERIODS, TASK, 0.0009))
    assert 0.0005 < steps[0].worst < refinement.MAX_DT_RESIDUAL
    assert steps[-1].dt == 0.0009 and steps[-1].worst < refinement.REFINED_ERROR


def test_a_change_of_dt_that_is_too_large_is_undone(model, monkeypatch):
    damped_step, failed = refinement.damped_step, []

    def fails_once(model, *args):
        if model.dt < 0.001 and not failed:
            failed.append(model.dt)
            with torch.no_grad():
                model.w_hh.mul_(0.9)
            raise refinement.LostCycle("no step helps")
        return damped_step(model, *args)

    monkeypatch.setattr(refinement, "damped_step", fails_once)
    monkeypatch.setattr(refinement, "NEXT_DT_RESIDUAL", 0.0005)
    steps = list(refinement.refine(model, PERIODS, TASK, 0.00069))
    dts = [step.dt for step in steps]
    after = dts.index(failed[0]) + 1
    assert dts[after] == 0.001 and steps[after].worst < 0.01  # the earlier dt and weights
    assert failed[0] < dts[after + 1] < 0.001  # a smaller change of dt
    assert dts[-1] == 0.00069 and steps[-1].worst < refinement.REFINED_ERROR


def test_a_run_stopped_in_calibration_ends_with_the_same_network(tmp_path, model, monkeypatch):
    monkeypatch.setattr(refinement, "MAX_CALIBRATION_STEPS", 1)
    config = load(flags={"training.periods": PERIODS, "training.refine": False})
    with torch.no_grad():
        model.w_ih[:, 1].mul_(1.01)
    stopped = copy.deepcopy(model)

    def run_of(model):
        generators = (torch.Generator().manual_seed(seed) for seed in (0, 1))
        return TrainingRun(model, *generators, 0.99, part="calibration")

    run = run_of(stopped)
    next(iter(train(run, config)))
    run.save(tmp_path / "state", {}, "cpu")
    again = run_of(copy.deepcopy(SHIPPED))
    again.restore(checkpoints.read_checkpoint(tmp_path / "state")[1])
    whole = run_of(model)
    for each in (whole, again):
        assert len(list(train(each, config))) > 1 and each.part == "done"
    assert torch.equal(whole.model.w_hh, again.model.w_hh)
    assert list(train(again, config)) == []  # there is nothing left to do


def test_a_network_without_a_cycle_is_refused(model):
    with torch.no_grad():
        model.w_hh.mul_(0.5)
    with pytest.raises(refinement.LostCycle, match="after the descent there is no rhythm at cue"):
        list(refinement.refine(model, PERIODS, TASK, 0.001))


def test_a_step_that_does_not_help_is_undone(model, monkeypatch):
    cues, targets, cycles, errors = cycles_of(model)
    monkeypatch.setattr(refinement, "newton_step", lambda model, *_: model.w_hh.data.mul_(0.5))
    before = model.w_hh.detach().clone()
    with pytest.raises(refinement.LostCycle, match="no step helps at dt 1 ms, cue"):
        refinement.damped_step(model, cues, targets, cycles, errors + 0.01, 1.0)
    assert torch.equal(model.w_hh, before)


def test_cues_cover_the_trained_range_and_include_the_trained_ones():
    targets = refinement.targets_of([0.5, 0.2])
    assert len(targets) == refinement.N_CUES and {0.5, 0.2} <= set(targets)
    assert targets[0] == 0.2 and targets[-1] == 0.5 and (np.diff(targets) > 0).all()
    assert refinement.targets_of([0.4]).tolist() == [0.4]
