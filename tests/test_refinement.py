"""Newton's method on the tempo of a network: steps, ladder, calibration, refusals."""

import copy

import numpy as np
import pytest
import torch
from zrnn.training.recipe import train

import models
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
    """The shipped network, at four cues that are quick to look at."""
    monkeypatch.setattr(refinement, "N_CUES", 4)
    return copy.deepcopy(SHIPPED)


def look(model):
    targets = refinement.targets_of(PERIODS)
    cues = TASK.cue_constant / targets
    state = refinement.onto_the_cycles(model, targets, TASK)
    return cues, targets, *refinement.look(model, cues, targets, state)


def test_a_step_lowers_every_error_and_keeps_dales_law(model):
    with torch.no_grad():
        model.w_hh.mul_(1.01)
    cues, targets, cycles, before = look(model)
    assert np.abs(before).max() > 5 * refinement.REACHED
    _, after, _ = refinement.mend(model, cues, targets, cycles, before, 1.0)
    assert np.abs(after).max() < 0.5 * np.abs(before).max()
    w, n_excit = model.effective_w_hh().detach(), model.n_excit
    assert (w[:, :n_excit] >= 0).all() and (w[:, n_excit:] <= 0).all()
    assert (w.diagonal() == 0).all()


def test_the_smallest_step_is_the_pseudoinverse(model):
    cues, _, cycles, errors = look(model)
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
    assert steps[0].worst > 0.01 and steps[-1].worst < refinement.REACHED
    _, _, _, errors = look(model)
    assert np.abs(errors).max() < 2 * refinement.REACHED


def test_calibration_makes_the_mean_itis_right(model, monkeypatch):
    monkeypatch.setattr(refinement, "NOISY_PERIODS", (25,))
    with torch.no_grad():
        model.w_ih[:, 1].mul_(1.01)
    list(refinement.calibrate(model, PERIODS, TASK, torch.Generator().manual_seed(0)))
    cues = TASK.cue_constant / np.repeat(PERIODS, 16)
    outputs = simulate.run(model, simulate.constant_cues(cues, 7000), 1, discard=2000).outputs
    itis = [np.diff(find_taps(output, 0.001)).mean() * 0.001 for output in outputs]
    # 16 runs of 25 ITIs or more with a CV of 2 %: standard errors up to 0.1 %
    np.testing.assert_allclose(np.reshape(itis, (2, 16)).mean(axis=1), PERIODS, rtol=0.004)


def test_where_no_step_helps_a_network_that_beats_is_kept(model, monkeypatch):
    def mend(*args):
        raise refinement.LostCycle("no step helps")

    monkeypatch.setattr(refinement, "mend", mend)
    monkeypatch.setattr(refinement, "NOISY_PERIODS", (10, 10))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    (step,) = refinement.refine(model, PERIODS, TASK, model.dt)
    assert step.worst > refinement.REACHED
    assert list(refinement.calibrate(model, PERIODS, TASK, torch.Generator().manual_seed(0)))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    with pytest.raises(
        refinement.LostCycle, match="no step helps|the beat is lost below dt"
    ):  # half way
        list(refinement.refine(model, PERIODS, TASK, model.dt / 2))


def test_a_rung_that_was_too_long_is_taken_back(model, monkeypatch):
    mend, failed = refinement.mend, []

    def fails_once(model, *args):
        if model.dt < 0.001 and not failed:
            failed.append(model.dt)
            with torch.no_grad():
                model.w_hh.mul_(0.9)
            raise refinement.LostCycle("no step helps")
        return mend(model, *args)

    monkeypatch.setattr(refinement, "mend", fails_once)
    monkeypatch.setattr(refinement, "NEXT_RUNG", 0.0005)
    steps = list(refinement.refine(model, PERIODS, TASK, 0.0006))
    dts = [step.dt for step in steps]
    after = dts.index(failed[0]) + 1
    assert dts[after] == 0.001 and steps[after].worst < 0.01  # the dt and the weights from before
    assert failed[0] < dts[after + 1] < 0.001  # a shorter rung
    assert dts[-1] == 0.0006 and steps[-1].worst < refinement.REACHED


def test_a_run_stopped_in_calibration_comes_to_the_same_network(tmp_path, model, monkeypatch):
    monkeypatch.setattr(refinement, "NOISY_PERIODS", (10,))
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
    with pytest.raises(refinement.LostCycle, match="the descent left no beat at cue"):
        list(refinement.refine(model, PERIODS, TASK, 0.001))


def test_a_step_that_helps_nothing_leaves_the_weights_alone(model, monkeypatch):
    cues, targets, cycles, errors = look(model)
    monkeypatch.setattr(refinement, "newton_step", lambda model, *_: model.w_hh.data.mul_(0.5))
    before = model.w_hh.detach().clone()
    with pytest.raises(refinement.LostCycle, match="no step helps at dt 1 ms, cue"):
        refinement.mend(model, cues, targets, cycles, errors + 0.01, 1.0)
    assert torch.equal(model.w_hh, before)


def test_cues_cover_the_trained_range_and_hold_the_trained_ones():
    targets = refinement.targets_of([0.5, 0.2])
    assert len(targets) == refinement.N_CUES and {0.5, 0.2} <= set(targets)
    assert targets[0] == 0.2 and targets[-1] == 0.5 and (np.diff(targets) > 0).all()
    assert refinement.targets_of([0.4]).tolist() == [0.4]
