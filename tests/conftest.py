import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

import models  # noqa: E402
from zrnn.workshop import configuration  # noqa: E402


@pytest.fixture
def make_oscillator():
    """make_oscillator(kind) -> a network of 20 E and 5 I units, made by hand, that beats by itself.

    Four E units excite each other and four I units, which stop them; the other units are silent.
    It does so whatever the cue. The output is the mean rate of the E units.
    """

    def make(kind="ZemlianovaRNN"):
        config = configuration.load(
            flags={"model.type": kind, "model.hidden_dim": 25, "model.sigma_rec": 0.001}
        )
        model = models.build_model(**dict(config.model))
        excit, inhib = slice(0, 4), slice(20, 24)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
            model.w_hh[excit, excit] = 2.5 / 3 * (1 - torch.eye(4))
            model.w_hh[inhib, excit] = 1.5 / 4
            model.w_hh[excit, inhib] = -1.5 / 4  # |.| and the sign of the column, or as it is (RNN)
            model.b_hh.fill_(-1.0)
            model.b_hh[excit] = torch.tensor([0.08, 0.09, 0.11, 0.12])
            model.b_hh[inhib] = torch.tensor([-0.08, -0.06, -0.04, -0.02])
            model.w_ho[0, excit] = 0.25
        return model.eval()

    return make
