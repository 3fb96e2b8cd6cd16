"""What runs differently on a GPU. Where there is none, a stand-in repeats a recorded step."""

import contextlib

import pytest
import torch

import models
from zrnn import configuration, task
from zrnn.training import cuda_graph, descent
from zrnn.training.state import TrainingRun

FLAGS = {"model.hidden_dim": 60, "model.dt": 0.01, "training.epochs": 30}
FLAGS |= {"training.batch_size": 4, "training.precision": "float32"}
CONFIG = configuration.load(flags=FLAGS)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def start(device="cpu"):
    generator = torch.Generator().manual_seed(0)
    model = models.build_model(generator=generator, **dict(CONFIG.model)).to(device)
    noise = torch.Generator(device).manual_seed(1)
    return TrainingRun(model, generator, noise, CONFIG.training.adam_beta2)


def train(run, n_updates, rollback=None):
    """Losses of updates with noise and learning rate as scheduled; `rollback`: an update."""
    training, losses = CONFIG.training, []
    for number in range(len(run.losses) + 1, len(run.losses) + n_updates + 1):
        rate, noise_scale = descent.schedule(number, training)
        run.set_learning_rate(rate)
        with run.model.temporarily(noise_scale=noise_scale):
            trials = task.draw_trials(training, 0.01, CONFIG.task, run.generator)
            trials = [values.to(run.model.w_hh.device) for values in trials]
            losses.append(
                descent.update_weights(
                    run.model, run.optimizer, trials, run.noise, training, graph=run.graph
                )
            )
        run.record_loss(float("inf") if number == rollback else losses[-1])
    return losses


def largest_difference(one, other):
    pairs = zip(one.model.parameters(), other.model.parameters(), strict=True)
    return max((a.cpu() - b.cpu()).abs().max().item() for a, b in pairs)


@pytest.fixture
def recorded(monkeypatch):
    """recorded: one entry for each recording; a replay repeats the step with the tensors then."""
    recorded = []

    def record(step, batch, generator):
        recorded.append(batch)
        outputs = torch.zeros(()), torch.zeros(())

        def replay():
            for output, value in zip(outputs, step(*batch), strict=True):
                output.copy_(value)

        return replay, outputs

    monkeypatch.setattr(cuda_graph, "record", record)
    run = start()
    run.graph = cuda_graph.RecordedStep(run.model.sigma_rec)
    return recorded, run


def test_recorded_steps_are_the_steps_one_by_one(recorded):
    recordings, run = recorded
    plain = start()
    expected, found = train(plain, 30, rollback=20), train(run, 30, rollback=20)
    assert found == pytest.approx(expected, rel=1e-4)
    assert largest_difference(plain, run) < 1e-5
    assert len(recordings) == 2  # once more after the rollback, with the optimizer's new tensors


def test_a_step_that_cannot_be_recorded_is_taken_as_it_is(monkeypatch, capsys):
    run, plain = start(), start()
    run.graph = cuda_graph.RecordedStep(run.model.sigma_rec)

    def refuse(*args):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(cuda_graph, "record", refuse)
    assert train(run, 8) == pytest.approx(train(plain, 8), rel=1e-5)
    assert largest_difference(run, plain) < 1e-6
    said = capsys.readouterr().err
    assert said.count("note: no CUDA graph") == 1 and said.count("\n") == 1


def test_a_gradient_that_is_not_finite_restores_the_weights():
    run, before = start(), start()
    run.model.b_ho.data.fill_(float("nan"))
    with contextlib.suppress(ValueError):
        assert train(run, 1) == [float("inf")]
    assert largest_difference(run, before) == 0 and run.rollbacks == 1


@needs_cuda
def test_gradient_and_step_on_the_gpu_are_those_on_the_cpu():
    results = []
    for device in ("cpu", "cuda"):
        model = start(device).model
        inputs = torch.rand(3, 50, 2, generator=torch.Generator().manual_seed(2)).to(device)
        xi = torch.randn(3, 50, 60, generator=torch.Generator().manual_seed(3)).to(device)
        outputs, currents = model(inputs, noise=xi)
        outputs.square().mean().backward()
        stepped = model.step(inputs[:, 0], currents[:, -1])[1]
        gradients = [parameter.grad for parameter in model.parameters()]
        results.append([part.detach().cpu() for part in (outputs, currents, stepped, *gradients)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@needs_cuda
def test_a_training_on_the_gpu_uses_a_graph_and_resumes_to_the_bit(tmp_path):
    whole, plain, stopped, resumed = (start("cuda") for _ in range(4))
    plain.graph = None
    losses = train(whole, 30)
    assert whole.graph.replay is not None and not whole.graph.failed
    assert losses == pytest.approx(train(plain, 30), rel=1e-3)
    assert largest_difference(whole, plain) < 1e-4
    train(stopped, 15)
    stopped.save(tmp_path / "a.state", configuration.plain(CONFIG), "cuda")
    resumed.restore(torch.load(tmp_path / "a.state", weights_only=True))
    train(resumed, 15)
    assert largest_difference(whole, resumed) == 0
