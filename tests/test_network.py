"""The recurrence and its gradient against independent loops; Dale's law; checkpoints."""

import numpy as np
import pytest
import torch

import models
from zrnn import checkpoints, simulate
from zrnn.errors import UserError

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
    for gradient, oracle in zip(ours, torch.autograd.grad(total, wanted), strict=True):
        torch.testing.assert_close(gradient, oracle, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("batch", [1, 14])
def test_float32_products_agree_with_float64(batch):
    model = make("ZemlianovaRNN", hidden_dim=60)
    u = torch.rand(batch, 130, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def run(dtype):
        outputs, _ = model.to(dtype)(u.to(dtype))
        return outputs, *torch.autograd.grad(outputs.square().mean(), list(model.parameters()))

    for exact, single in zip(run(torch.float64), run(torch.float32), strict=True):
        assert (single - exact).norm() < 1e-5 * exact.norm()


def test_a_second_derivative_is_refused():
    model = models.build_model("ZemlianovaRNN", **SIZES, sigma_rec=0.01, sigma_input=0.01)
    u = torch.zeros(1, 60, 2)
    u[:, :, 1] = 0.4
    u.requires_grad_()
    z, _ = model(u)
    with pytest.raises(RuntimeError, match="only first derivatives; for second ones loop over"):
        torch.autograd.grad(z[:, -1].sum(), u, create_graph=True)


@pytest.mark.parametrize("convert", [lambda u: u.numpy(), lambda u: u, lambda u: u.half()])
def test_inputs_may_be_an_array_or_of_another_type(convert):
    model = make("ZemlianovaRNN").float()
    u = torch.randint(0, 2, (2, 30, 2)).double()
    outputs, currents = model(convert(u))
    assert outputs.dtype == currents.dtype == torch.float32
    torch.testing.assert_close(outputs, model(u.float())[0], rtol=0, atol=0)


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


def test_simulation_is_the_sequence_whatever_the_blocks():
    model, g = make("ZemlianovaRNN"), torch.Generator().manual_seed(1)
    u = torch.rand(3, 530, 2, generator=g, dtype=torch.float64)
    xi = torch.randn(3, 530, 20, generator=g, dtype=torch.float64)
    outputs, states = model(u, noise=xi)
    run = simulate.run(model, u, xi, discard=90, keep_states=True)
    np.testing.assert_allclose(run.outputs, outputs.detach()[:, 90:, 0], atol=1e-12)
    np.testing.assert_allclose(run.states, states.detach()[:, 90:], atol=1e-12)
    np.testing.assert_allclose(run.end, states.detach()[:, -1], atol=1e-12)
    first = simulate.run(model, u[:, :200], None)
    none = simulate.run(model, u[:, :0], None, first.end)  # a run of no steps
    assert none.outputs.shape == (3, 0) and torch.equal(none.end, first.end)
    second = simulate.run(model, u[:, 200:], None, first.end)
    both = np.concatenate([first.outputs, second.outputs], 1)
    np.testing.assert_allclose(both, simulate.run(model, u).outputs, atol=1e-12)
    step, x, z = simulate.stepper(model), model.initial_state(3), []
    for t in range(530):
        outputs, x = step(u[:, t], x)
        z.append(outputs)
    np.testing.assert_allclose(both, torch.stack(z, 1), atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 101, 10), (1, 120, 10), (2, 120, 1), (2, 1, 10)], ids=str)
def test_noise_of_another_shape_is_refused(shape):
    model, u = make("ZemlianovaRNN", hidden_dim=10), torch.zeros(2, 120, 2)
    with pytest.raises(ValueError, match="noise xi of these steps is"):
        model(u, noise=torch.zeros(shape))
    with pytest.raises(ValueError, match="noise xi of these steps is"):
        simulate.run(model, u, torch.zeros(shape))
    with pytest.raises(ValueError, match="discard is -5"):
        simulate.run(model, u, discard=-5)


def test_size_and_seed_of_the_noise():
    model = make("ZemlianovaRNN", hidden_dim=50)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    u = torch.zeros(40, 300, 2, dtype=torch.float64)
    run = simulate.run(model, u, 7, keep_states=True)
    # of x_t = (1 - alpha) x_{t-1} + sqrt(2 alpha) sigma xi
    expected = 0.01 * np.sqrt(2 * 0.2 / (1 - 0.8**2))
    assert run.states[:, 100:].std() == pytest.approx(expected, rel=0.01)
    np.testing.assert_array_equal(run.states, simulate.run(model, u, 7, keep_states=True).states)
    with model.temporarily(noise_scale=2.0):
        twice = simulate.run(model, u, 7, keep_states=True).states
    np.testing.assert_allclose(twice, 2 * run.states)
    assert not simulate.run(model, u, keep_states=True).states.any()


@pytest.mark.parametrize("antithetic", [False, True])
def test_each_process_gets_the_noise_of_its_trials(antithetic):
    model, trial_scale = make("ZemlianovaRNN", hidden_dim=40), torch.arange(1, 6).double()

    def noise_of(rank, n_ranks):
        generator = torch.Generator().manual_seed(3)
        scales = trial_scale[rank::n_ranks]
        xi = torch.zeros(60, len(scales), 40, dtype=torch.float64)
        model.noise(generator, antithetic, trial_scale, (rank, n_ranks)).add(xi, 0)
        return xi / scales[:, None]

    whole = noise_of(0, 1)
    assert whole.std() == pytest.approx(np.sqrt(2 * 0.2) * 0.01, rel=0.03)
    for rank in range(2):
        torch.testing.assert_close(noise_of(rank, 2), whole[:, rank::2])
    first, second = whole[:, :2], whole[:, 3:]
    assert torch.allclose(first, -second) == antithetic
    assert abs((whole[:, 0] * whole[:, 2]).mean()) < 1e-5  # trials of different pairs


def test_temporarily_ends_with_its_block():
    model = make("ZemlianovaRNN")
    with model.temporarily(dt=0.01, noise_scale=3.0):
        assert (model.alpha, model.sigma_rec) == (1.0, 0.03)
    with pytest.raises(KeyError), model.temporarily(noise_scale=0):
        assert model.sigma_rec == 0
        raise KeyError
    assert (model.dt, model.sigma_rec) == (0.002, 0.01)


def test_checkpoint_round_trip_and_bare_state_dict(tmp_path):
    model, u = make("ZemlianovaRNN").float(), torch.rand(2, 30, 2)
    checkpoints.save_checkpoint(tmp_path / "a.pth", model, seed=3)
    again = models.load_network(tmp_path / "a.pth")
    torch.testing.assert_close(again(u)[0], model(u)[0], rtol=0, atol=0)
    assert models.load_network(tmp_path / "a.pth", dt=0.001).alpha == 0.1
    assert checkpoints.read_checkpoint(tmp_path / "a.pth")[1]["seed"] == 3
    torch.save({**model.state_dict(), "b_ih": torch.zeros(20)}, tmp_path / "b.pth")
    section = {**SIZES, "sigma_rec": 0.01, "sigma_input": 0.01, "type": "ZemlianovaRNN"}
    bare = checkpoints.read_checkpoint(tmp_path / "b.pth", section)[1]
    torch.testing.assert_close(models.restore_model(bare)(u)[0], model(u)[0])
    bare = checkpoints.read_checkpoint(tmp_path / "b.pth", section | {"hidden_dim": 30})[1]
    with pytest.raises(UserError, match="hidden_dim"):
        models.restore_model(bare)
    for key, value in (("type", "RNN"), ("excit_percent", 0.5)):
        with pytest.raises(UserError, match=f"model.{key}"):
            models.load_network(tmp_path / "a.pth", **{key: value})


def test_changes_of_a_loaded_network():
    assert models.load_network().dt == 0.001
    assert models.load_network(dt="0.0005", sigma_rec=0).made_with["dt"] == 0.0005
    for changes, words in (
        ({"sigma": 0}, "load_network: unknown key model.sigma"),
        ({"seed": 3}, "load_network: unknown key model.seed; did you mean training.seed?"),
        ({"dt": 0.02}, "model.dt is 0.02 s; allowed: at most model.tau"),
        ({"dt": 0}, "model.dt is 0: input should be greater than or equal to 0.000001"),
        ({"dt": -0.001}, "model.dt is -0.001: input should be greater than or equal to 0.000001"),
        ({"dt": float("nan")}, "model.dt is nan: input should be a finite number"),
        ({"dt": "fast"}, "model.dt is fast: input should be a valid number"),
        ({"dt": None}, "model.dt is None: "),
    ):
        with pytest.raises(UserError) as refusal:
            models.load_network(**changes)
        assert str(refusal.value).startswith(words) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda w: w["w_hh"].fill_(float("nan")), "w_hh has values that are not finite"),
        (lambda w: w["b_hh"].mul_(float("inf")).add_(1), "b_hh has values that are not finite"),
        (lambda w: w.update(w_hh=w["w_hh"].int()), "w_hh is of torch.int32"),
        (lambda w: w.update(w_hh=w["w_hh"] > 0), "w_hh is of torch.bool"),
        (lambda w: w.update(w_ih=w["w_ih"].to(torch.complex64)), "w_ih is of torch.complex64"),
        (lambda w: w.update(w_hh=w["w_hh"].to_sparse()), "w_hh is no dense tensor"),
        (lambda w: w.update(w_ho=None), "w_ho is no dense tensor"),
        (lambda w: w.update(w_xx=torch.zeros(1)), "w_xx is not known"),
        (lambda w: w.pop("b_ho"), "b_ho is missing"),
    ],
)
def test_weights_that_cannot_be_used(tmp_path, change, words):
    model = make("ZemlianovaRNN").float()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    change(weights)
    content = {"model_type": "ZemlianovaRNN", "arguments": model.arguments, "state_dict": weights}
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(UserError, match=words):
        models.load_network(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "content, words",
    [
        (b"junk", "cannot be read"),
        ([1, 2], "neither a checkpoint"),
        ({"state_dict": None}, "neither a checkpoint"),
        ({"w_hh": torch.zeros(2, 2)}, "w_ih is missing"),
        ({"state_dict": {}, "model_type": "LSTM", "arguments": {}}, "does not say what network"),
        ({"h2h.weight": torch.zeros(2, 2)}, "keys: h2h.weight"),
    ],
)
def test_files_that_are_not_a_checkpoint(tmp_path, content, words):
    path = tmp_path / "c.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(UserError, match=words):
        models.load_network(path)
