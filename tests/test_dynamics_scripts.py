"""The scripts of figures 3 and 5 and of the bifurcation diagram, on hand-made networks."""

import json

import numpy as np
import pytest
import torch

import models
import plot_bifurcation
import plot_fig3
import plot_fig5
from zrnn import checkpoints, configuration
from zrnn.dynamics import network_diagram, reduced_model
from zrnn.errors import UserError

CONFIG = configuration.load(flags={"model.hidden_dim": 25, "model.sigma_rec": 0.001})


@pytest.fixture
def save(tmp_path, monkeypatch):
    """save(model): the network that the scripts find in the test's folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reduced_model, "N_CYCLES", 4)
    monkeypatch.setattr(reduced_model, "ONSET_DISTANCES", np.geomspace(1e-3, 0.1, 5))
    return lambda model: checkpoints.save_checkpoint(
        "best_model.pth", model, config=configuration.plain(CONFIG)
    )


@pytest.fixture
def silent():
    model = models.build_model(**dict(CONFIG.model))
    with torch.no_grad():
        model.b_hh.fill_(-1.0)
    return model


def test_figure_3(save, tmp_path, capsys):
    plot_fig3.main()
    assert (tmp_path / "fig3_plotting" / "fig_3.png").exists()
    found = json.loads((tmp_path / "fig3_plotting" / "reduced_model.json").read_text())
    fold, hopf = sorted(found["bifurcations"], key=lambda q: q["cue"])
    assert (fold["kind"], fold["cue"]) == ("fold", pytest.approx(0.189940, abs=1e-6))
    assert (hopf["kind"], hopf["cue"]) == ("Hopf", pytest.approx(1.581202, abs=1e-6))
    assert found["period_ms"]["0.5"] == pytest.approx(83.567, abs=1e-3)
    assert "close a circle? yes" in capsys.readouterr().out
    with np.load(tmp_path / "fig3_plotting" / "fig_3.npz") as arrays:
        assert arrays["activity"].shape == (3, 1000, 3)
        z = arrays["path_0.5"][:, 2]
        rows = arrays["cycle_cue_low_high_period"]
        assert np.interp(0.5, rows[:, 0], rows[:, 2]) == pytest.approx(z.max(), abs=0.01)


def test_the_diagrams_of_an_oscillator_that_begins_and_ends(
    save, make_oscillator, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(network_diagram, "FINE_SECONDS", 2.0)
    model = make_oscillator()
    with torch.no_grad():
        model.w_ih[0:4, 1] = 0.4
        model.b_hh[0:4] -= 0.2  # at cue 0.5 as it was made: below at rest, far above as well
    save(model)
    plot_bifurcation.main(**{"bifurcation.n_cycles": 7})
    folder = tmp_path / "bifurcation_plotting"
    assert (folder / "bifurcation.png").exists()
    kept = json.loads((folder / "bifurcation.json").read_text())
    assert {found["does it oscillate?"] for found in kept["answers"].values()} == {"yes"}
    assert "does it oscillate?\n    reduced: yes\n    trained: yes" in capsys.readouterr().out
    with np.load(folder / "trained.npz") as arrays:
        cue = arrays["cycle_cue_low_high_period"][:, 0]
        assert 0.5 in cue and -1.0 in arrays["cue_without_cycle"] and np.all(np.diff(cue) > 0)


def test_the_diagram_of_a_silent_network(save, silent, tmp_path):
    save(silent)
    plot_bifurcation.main(**{"bifurcation.n_cycles": 3})
    kept = json.loads((tmp_path / "bifurcation_plotting" / "bifurcation.json").read_text())
    assert kept["answers"]["trained"] == {"does it oscillate?": "no"}


def test_figure_5(save, make_oscillator, tmp_path):
    save(make_oscillator())
    plot_fig5.main(**{"fig5.grid": 6, "fig5.field_seconds": 0.1, "fig5.cues": [-0.5, 1.0]})
    assert (tmp_path / "fig5_plotting" / "fig_5b.png").exists()
    with np.load(tmp_path / "fig5_plotting" / "fig_5.npz") as kept:
        assert kept["plane_axes"].shape == (2, 25) and kept["start"].shape == (25,)
        assert np.ptp(kept["start"][kept["is_tap"]]) == 0 and kept["is_tap"][:4].all()
        assert kept["5a_1_cue"] == 1.0 and kept["5a_1_arrows"].shape == (6, 6, 2)
        np.testing.assert_allclose(kept["5a_1_centre"], kept["5a_1_path"][-1])
        assert len(kept["5b_2_path"]) == 180 and kept["5b_0_seconds"] == 0.04
        assert (kept["5b_0_speed"] + 1e-6 >= np.linalg.norm(kept["5b_0_arrows"], axis=2)).all()


def test_figure_5_needs_a_beat(save, silent, tmp_path):
    save(silent)
    with pytest.raises(UserError, match="does not beat at cue 0.5"):
        plot_fig5.main(**{"fig5.grid": 6})
    assert not (tmp_path / "fig5_plotting").exists()


def test_figure_5_needs_activity_that_stays_finite(save, make_oscillator, tmp_path):
    model = make_oscillator()
    with torch.no_grad():
        model.w_hh[4:20, 4:20] = 10.0  # E units, silent at rest, that excite each other
    save(model)
    with pytest.raises(UserError, match="grows without bound at cue -1,"):
        plot_fig5.main(**{"fig5.grid": 6})
    assert not (tmp_path / "fig5_plotting").exists()
