"""The vector field in a plane, against steps of the network that are put back one by one."""

import numpy as np
import pytest
import torch

import models
from zrnn.dynamics import flow_field


@pytest.mark.parametrize("kind", ["ZemlianovaRNN", "RNN"])
def test_vector_field_against_single_steps(kind, monkeypatch):
    monkeypatch.setitem(flow_field.CHUNK, "cpu", 7)
    rng = np.random.default_rng(0)
    sizes = dict(input_dim=2, hidden_dim=12, output_dim=1, dt=0.002, tau=0.01)
    noise = dict(excit_percent=0.8, sigma_rec=0.0, sigma_input=0.0)
    model = models.build_model(
        kind, generator=torch.Generator().manual_seed(0), **sizes, **noise
    ).double()
    with torch.no_grad():
        model.b_hh.uniform_(-1, 1)
    axes = np.linalg.qr(rng.normal(size=(12, 2)))[0].T
    plane, start = flow_field.Plane(rng.normal(size=12), axes, None), rng.normal(size=12)
    grid = rng.uniform(-2, 2, size=(16, 2))
    times = [1, 120, 1]
    field = flow_field.vector_field(model, 0.7, torch.tensor(start), grid, plane, times)
    for k, n in enumerate(times):
        for g, point in enumerate(grid):
            x = start
            for _ in range(n):
                x = x + (point - plane.project(x)) @ axes
                moved = model.step(torch.tensor([[0, 0.7]]).double(), torch.tensor(x)[None])[1]
                change = moved[0].detach().numpy() - x
                x = x + change
            expected = [*axes @ change, np.linalg.norm(change)]
            np.testing.assert_allclose(field[k, g], expected, atol=1e-5)
