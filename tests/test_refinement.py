"""Newton's method on the tempo of a small oscillator: steps, ladder, calibration, refusals."""

import numpy as np
import pytest
import torch

from zrnn.analysis.taps import find_taps
from zrnn.dynamics.cycles import find_cycles
from zrnn.network import drive
from zrnn.training import refinement
from zrnn.workshop.configuration import load

TASK = load(flags={"task.cue_constant": 0.04}).task
PERIODS = [0.084, 0.09]


@pytest.fixture
def model(make_oscillator, monkeypatch):
    """An oscillator of four E and four I units whose period, 0.086 s, hardly knows the cue."""
    monkeypatch.setattr(refinement, "N_CUES", 4)
    monkeypatch.setattr(refinement, "NOISY_SECONDS", 4.0)
    model = make_oscillator("ZemlianovaRNN")
    with torch.no_grad():
        model.w_ho.mul_(0.8)
        model.w_ih[:4, 1] = 0.02
    return model


def worst_of(model):
    targets = refinement.targets_of(PERIODS)
    cues = TASK.cue_constant / targets
    state = refinement.onto_the_cycles(model, targets, TASK)
    cycles, errors = refinement.look(model, cues, targets, state)
    return targets, cues, cycles, errors


def test_a_step_lowers_the_error_and_keeps_dales_law(model):
    targets, cues, cycles, errors = worst_of(model)
    assert 0.02 < np.abs(errors).max() < 0.25
    _, after, _ = refinement.mend(model, cues, targets, cycles, errors, 1.0)
    assert np.abs(after).max() < np.abs(errors).max() - 0.005
    w = model.effective_w_hh().detach()
    assert (w[:, :20] >= 0).all() and (w[:, 20:] <= 0).all() and (w.diagonal() == 0).all()


def test_refinement_and_calibration_give_every_cue_its_period(model):
    model.dt = 0.002
    steps = list(refinement.refine(model, PERIODS, TASK, 0.001))
    assert steps[0].dt == 0.002 and steps[-1].dt == model.dt == 0.001
    assert steps[0].worst > 0.02 and steps[-1].worst < refinement.REACHED
    middle = np.array([0.087])  # a period that no step has seen
    state = refinement.onto_the_cycles(model, middle, TASK)
    found = find_cycles(model, TASK.cue_constant / middle, state, 0.5, 0.5)
    assert found.period[0] == pytest.approx(0.087, rel=0.01)

    noise = torch.Generator().manual_seed(0)
    with model.at(noise_scale=10.0):
        list(refinement.calibrate(model, PERIODS, TASK, noise))
        cues = TASK.cue_constant / np.repeat(PERIODS, 8)
        outputs = drive.run(model, drive.constant_cues(cues, 20_000), 1, discard=1000).outputs
    itis = [np.diff(find_taps(output, 0.001)).mean() * 0.001 for output in outputs]
    np.testing.assert_allclose(np.reshape(itis, (2, 8)).mean(axis=1), PERIODS, rtol=0.005)


def test_where_no_step_helps_a_network_that_beats_is_kept(model, monkeypatch):
    def mend(*args):
        raise refinement.LostBeat("no step helps")

    monkeypatch.setattr(refinement, "mend", mend)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    (step,) = refinement.refine(model, PERIODS, TASK, model.dt)
    assert step.worst > 0.05
    looks = list(refinement.calibrate(model, PERIODS, TASK, torch.Generator().manual_seed(0)))
    assert len(looks) == refinement.CALIBRATION_ROUNDS
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    with pytest.raises(refinement.LostBeat, match="no step helps"):  # half way
        list(refinement.refine(model, PERIODS, TASK, model.dt / 2))


def test_a_network_without_a_cycle_is_refused(model):
    with torch.no_grad():
        model.w_hh.mul_(0.1)
    with pytest.raises(refinement.LostBeat, match="the descent left no beat at cue"):
        list(refinement.refine(model, PERIODS, TASK, 0.001))


def test_cues_cover_the_trained_range_and_hold_the_trained_ones():
    targets = refinement.targets_of([0.5, 0.2])
    assert len(targets) == refinement.N_CUES and {0.5, 0.2} <= set(targets)
    assert targets[0] < 0.2 < 0.5 < targets[-1] and (np.diff(targets) > 0).all()
    assert len(refinement.targets_of([0.4])) == 3
