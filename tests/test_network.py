"""The recurrence and its gradient against independent loops; Dale's law; checkpoints."""

import numpy as np
import pytest
import torch

import models
from zrnn.network import checkpoints, task
from zrnn.workshop import configuration

SIZES = dict(input_dim=2, hidden_dim=20, output_dim=1, dt=0.002, tau=0.01, excit_percent=0.8)
KINDS = ["ZemlianovaRNN", "RNN"]


def make(kind, **changes):
    generator = torch.Generator().manual_seed(0)
    sizes = {**SIZES, "sigma_rec": 0.01, "sigma_input": 0.01, **changes}
    model = models.build_model(kind, generator=generator, **sizes).double()
    with torch.no_grad():
        model.b_hh.normal_(0, 0.3, generator=generator)
        model.w_hh.mul_(3)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_sequence_is_the_equation_in_numpy(kind):
    model, rng = make(kind), np.random.default_rng(0)
    u, xi = rng.normal(size=(3, 130, 2)), rng.normal(size=(3, 130, 20))
    p = {name: value.detach().numpy() for name, value in model.named_parameters()}
    w, scale = p["w_hh"], 0.0
    if kind == "ZemlianovaRNN":
        w = np.abs(w) * np.where(np.arange(20) < 16, 1, -1)
        np.fill_diagonal(w, 0)
        scale = np.sqrt(2 * 0.2) * 0.01
    x, states, outputs = np.zeros((3, 20)), [], []
    for t in range(130):
        drive = np.maximum(x, 0) @ w.T + u[:, t] @ p["w_ih"].T + p["b_hh"]
        x = 0.8 * x + 0.2 * drive + scale * xi[:, t]
        states.append(x)
        outputs.append(np.maximum(x, 0) @ p["w_ho"].T + p["b_ho"])
    z, s = model(torch.tensor(u), noise=torch.tensor(xi))
    np.testing.assert_allclose(s.detach(), np.stack(states, 1), atol=1e-12)
    np.testing.assert_allclose(z.detach(), np.stack(outputs, 1), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_closed_form_gradient_is_that_of_autograd(kind):
    model, g = make(kind), torch.Generator().manual_seed(1)
    u = torch.randn(3, 130, 2, generator=g, dtype=torch.float64, requires_grad=True)
    start = torch.randn(3, 20, generator=g, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 130, 1, generator=g, dtype=torch.float64)
    wanted = [u, start, *model.parameters()]
    outputs, states = model(u, state=start)
    ours = torch.autograd.grad((weight * outputs).sum() + (states**2).sum(), wanted)
    w, x, total = model.effective_w_hh(), start, 0
    for t in range(130):
        x = 0.8 * x + 0.2 * (x.relu() @ w.T + u[:, t] @ model.w_ih.T + model.b_hh)
        total = total + (weight[:, t] * (x.relu() @ model.w_ho.T + model.b_ho)).sum() + (x**2).sum()
    for own, oracle in zip(ours, torch.autograd.grad(total, wanted), strict=True):
        torch.testing.assert_close(own, oracle, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("products", [None, torch.bfloat16])
def test_recomputing_changes_nothing_but_memory(mirrored, products):
    model = make("ZemlianovaRNN", hidden_dim=60).float()
    model.products = (products, products)
    u = torch.rand(4, 130, 2, generator=torch.Generator().manual_seed(1))

    def run(recompute):
        model.recompute = recompute
        noise = torch.Generator().manual_seed(2)
        outputs, states = model(u, noise=noise, mirrored=mirrored)
        assert (states is None) == recompute
        gradient = torch.autograd.grad(outputs.square().mean(), list(model.parameters()))
        return outputs, *gradient, torch.rand(3, generator=noise)  # what it would draw next

    for kept, again in zip(run(False), run(True), strict=True):
        torch.testing.assert_close(again, kept, rtol=0, atol=0)


@pytest.mark.parametrize("batch", [1, 14])
def test_float32_products_agree_with_float64(batch):
    model = make("ZemlianovaRNN", hidden_dim=60)
    u = torch.rand(batch, 130, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def run(dtype):
        outputs, _ = model.to(dtype)(u.to(dtype))
        return outputs, *torch.autograd.grad(outputs.square().mean(), list(model.parameters()))

    for exact, own in zip(run(torch.float64), run(torch.float32), strict=True):
        assert (own - exact).norm() < 1e-5 * exact.norm()


@pytest.mark.parametrize("forward", [None, torch.bfloat16])
def test_bfloat16_products_change_the_gradient_by_less_than_one_percent(forward):
    model = make("ZemlianovaRNN", hidden_dim=200, dt=0.005)
    u = torch.rand(4, 100, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def gradient(dtype, products):
        model.to(dtype).products = products
        loss = model(u.to(dtype))[0].square().mean()
        return torch.cat([g.flatten().double() for g in torch.autograd.grad(loss, w)])

    w = [p for name, p in model.named_parameters()]
    exact = gradient(torch.float64, (None, None))
    w = list(model.float().parameters())
    low = gradient(torch.float32, (forward, torch.bfloat16))
    assert 1e-6 < (low - exact).norm() / exact.norm() < 0.01


def test_mixed_products_keep_the_gradient_of_a_trained_network_at_1_ms():
    _, content = checkpoints.read_checkpoint("shipped")
    config = configuration.load(None, {}, content["config"])
    periods = torch.tensor([0.5, 0.25])
    trials = task.make_trials(periods, 0.05 * torch.ones(2), 1.5, 0.5, 0.001, config["task"])

    def gradient(dtype, products):
        model = models.restore_model(content).to(dtype)
        model.products = products
        u, target = (part.to(dtype) for part in trials)
        loss = (model(u)[0] - target).square().mean()
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        return torch.cat([g.flatten().double() for g in gradients])

    exact = gradient(torch.float64, (None, None))
    mixed = gradient(torch.float32, (None, torch.bfloat16))
    assert 1e-6 < (mixed - exact).norm() / exact.norm() < 0.01


def test_mirrored_noise_is_the_same_noise_with_its_sign_turned():
    model = make("ZemlianovaRNN")
    with torch.no_grad():
        model.b_hh.fill_(1.0)  # every unit active: the network is linear, and noise cancels exactly
        model.w_hh.mul_(0.05)
    u = torch.zeros(3, 130, 2, dtype=torch.float64)
    quiet = model(u)[1]
    noisy = model(u.repeat(2, 1, 1), noise=torch.Generator().manual_seed(1), mirrored=True)[1]
    assert (noisy[:3] - quiet).std() > 1e-3
    torch.testing.assert_close((noisy[:3] + noisy[3:]) / 2, quiet)


def test_rnn_at_dt_tau_is_torch_rnn():
    model = make("RNN", dt=0.01)
    oracle = torch.nn.RNN(2, 20, nonlinearity="relu", batch_first=True).double()
    with torch.no_grad():
        oracle.weight_ih_l0.copy_(model.w_ih)
        oracle.weight_hh_l0.copy_(model.w_hh)
        oracle.bias_ih_l0.copy_(model.b_hh)
        oracle.bias_hh_l0.zero_()
        u = torch.randn(2, 40, 2, dtype=torch.float64)
        torch.testing.assert_close(model(u)[1].relu(), oracle(u)[0])


def test_dales_law_and_training_of_every_synapse():
    model = make("ZemlianovaRNN", sigma_rec=0.0)
    optimizer, before = torch.optim.Adam(model.parameters(), 1e-2), model.w_hh.detach().clone()
    with torch.no_grad():
        model.b_hh.abs_()
    for _ in range(5):
        optimizer.zero_grad()
        (model(torch.rand(2, 60, 2, dtype=torch.float64))[0] ** 2).mean().backward()
        optimizer.step()
    w = model.effective_w_hh().detach()
    assert (w[:, :16] >= 0).all() and (w[:, 16:] <= 0).all() and (w.diagonal() == 0).all()
    moved = (model.w_hh != before).float().fill_diagonal_(1)
    assert moved.mean() > 0.9


def test_checkpoint_round_trip_and_bare_state_dict(tmp_path):
    model = make("ZemlianovaRNN").float()
    checkpoints.save_checkpoint(tmp_path / "a.pth", model, seed=3)
    _, content = checkpoints.read_checkpoint(tmp_path / "a.pth", None)
    again = models.restore_model(content)
    u = torch.rand(2, 30, 2)
    torch.testing.assert_close(again(u)[0], model(u)[0], rtol=0, atol=0)
    assert content["seed"] == 3
    torch.save({**model.state_dict(), "b_ih": torch.zeros(20)}, tmp_path / "b.pth")
    _, bare = checkpoints.read_checkpoint(tmp_path / "b.pth", None)
    sizes = {**SIZES, "sigma_rec": 0.01, "sigma_input": 0.01, "type": "ZemlianovaRNN"}
    torch.testing.assert_close(models.restore_model(bare, **sizes)(u)[0], model(u)[0])
    with pytest.raises(checkpoints.ModelError, match="hidden_dim"):
        models.restore_model(bare, **{**sizes, "hidden_dim": 30})
    (tmp_path / "c.pth").write_bytes(b"junk")
    with pytest.raises(checkpoints.ModelError, match="cannot be read"):
        checkpoints.read_checkpoint(tmp_path / "c.pth", None)
