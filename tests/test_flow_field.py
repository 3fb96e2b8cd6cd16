"""The vector field in a plane, against a linear map."""

import numpy as np
import torch

from zrnn.dynamics import flow_field


def test_vector_field_of_a_linear_map():
    rng = np.random.default_rng(0)
    matrix = torch.tensor(0.3 * rng.normal(size=(5, 5)))
    axes = np.linalg.qr(rng.normal(size=(5, 2)))[0].T
    plane, start = (
        flow_field.Plane(rng.normal(size=5), axes, None),
        torch.tensor(rng.normal(size=5)),
    )
    grid = flow_field.plane_grid([0.5, -1.0], 2.0, 4)
    field = flow_field.vector_field(lambda x: x @ matrix.T, start, grid, plane, [1, 60], chunk=7)
    for n in (1, 60):
        for g, point in enumerate(grid):
            x = start.numpy()
            for _ in range(n):
                x = x + (point - plane.project(x)) @ axes
                change = matrix.numpy() @ x - x
                x = x + change
            np.testing.assert_allclose(field[n][0][g], axes @ change, atol=1e-5)
            np.testing.assert_allclose(field[n][1][g], np.linalg.norm(change), atol=1e-5)
