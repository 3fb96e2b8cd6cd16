"""The page's arithmetic is the project's: its script, run by Node.js, against models.py."""

import base64
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import torch

import make_demo
from models import load_network
from zrnn import simulate
from zrnn import taps as tapping
from zrnn.populations import groups

TEMPLATE = make_demo.TEMPLATE.read_text(encoding="utf-8")
N_STEPS = 1000

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")


@pytest.fixture(scope="module")
def packed():
    """The shipped network as the page holds it."""
    return make_demo.page_network(None, "shipped", {})


@pytest.fixture
def rounded():
    """The shipped network with the weights that the page holds."""
    model = load_network()
    with torch.no_grad():
        model.w_hh.copy_(model.w_hh.half())
    return model


def run_script(code, **given):
    """What `return`s from code, run after the page's own functions; given: names it may use."""
    functions = re.search(r'<script id="model">(.*?)</script>', TEMPLATE, re.DOTALL)[1]
    names = "".join(f"const {name} = given.{name};\n" for name in given)
    script = (
        'const given = JSON.parse(require("fs").readFileSync(0, "utf8"));\n'
        f"{functions}\n{names}console.log(JSON.stringify((() => {{ {code} }})()));"
    )
    done = subprocess.run(
        ["node", "-e", script], input=json.dumps(given), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def a_second(seed=0):
    """Inputs (1, T, 2), clicks and a cue that is turned on the way, and noise (1, T, N)."""
    task = type("Task", (), {"cue_constant": 0.1, "click_width": 0.01})
    inputs = simulate.driving_inputs([0.25], N_STEPS * 0.001, 0.001, task, click_seconds=0.6)
    inputs[:, 500:, 1] *= 2
    generator = torch.Generator().manual_seed(seed)
    return inputs, torch.randn(1, N_STEPS, len(load_network().w_hh), generator=generator)


def outputs_in_page(packed, inputs, xi, silenced=()):
    """Outputs (T,) of the page's own step."""
    encoded = base64.b64encode(xi.numpy().astype("<f4").tobytes()).decode()
    code = """
        const network = unpack(packed), x = new Float32Array(network.n);
        const all = decode(xi, Float32Array), n = network.n;
        for (const unit of silenced) network.silenced[unit] = 1;
        return inputs.map(([click, cue], t) =>
          step(network, x, click, cue, all.subarray(t * n, t * n + n)));"""
    given = {"packed": packed, "inputs": inputs[0].tolist(), "xi": encoded}
    return np.array(run_script(code, **given, silenced=list(silenced)))


@needs_node
def test_outputs_agree_over_a_second(packed, rounded):
    inputs, xi = a_second()
    expected = simulate.run(rounded, inputs, xi).outputs[0]
    assert np.ptp(expected) > 0.9  # it beats
    np.testing.assert_allclose(outputs_in_page(packed, inputs, xi), expected, atol=1e-4)


@needs_node
def test_silenced_units_send_nothing(packed, rounded):
    inputs, xi = a_second()
    silenced = packed["groups"]["inter-tap-I"] + packed["groups"]["tap-E"][::3]
    intact = simulate.run(rounded, inputs, xi).outputs[0]
    with torch.no_grad():
        rounded.w_hh[:, silenced] = 0
        rounded.w_ho[:, silenced] = 0
    expected = simulate.run(rounded, inputs, xi).outputs[0]
    assert np.abs(expected - intact).max() > 0.1
    np.testing.assert_allclose(outputs_in_page(packed, inputs, xi, silenced), expected, atol=1e-4)


@pytest.mark.parametrize("period", [0.5, 0.2, 0.125])
def test_float16_keeps_the_tempo(rounded, period):
    inputs = simulate.constant_cues([0.1 / period], 4000)
    itis = [
        np.diff(tapping.find_taps(simulate.run(model, inputs).outputs[0, 1000:], 0.001)).mean()
        for model in (load_network(), rounded)
    ]
    assert itis[1] == pytest.approx(itis[0], rel=1e-3)


@needs_node
@pytest.mark.parametrize("seed", range(4))
def test_taps_are_those_of_the_project(seed):
    """Also of slow noise that crosses half height back and forth, and stays within hysteresis."""
    rng = np.random.default_rng(seed)
    t = np.arange(3000)
    beat = 0.5 - 0.5 * np.cos(2 * np.pi * t / 200 + seed)
    output = beat * np.sin(t / 700) + np.convolve(rng.normal(size=len(t)), np.ones(5) / 12, "same")
    code = """
        const tap = tapClock({ halfHeight, hysteresis });
        return outputs.map(tap).filter((time) => !Number.isNaN(time));"""
    height = {"halfHeight": tapping.HALF_HEIGHT, "hysteresis": tapping.HYSTERESIS}
    found = run_script(code, outputs=output.tolist(), **height)
    expected = tapping.find_taps(output, 0.001)
    assert len(expected) > 5
    np.testing.assert_allclose(found, expected, atol=1e-9)


def describe(taps, now, since=0.0, ran_away=False):
    limits = {"minTaps": tapping.MIN_TAPS, "maxCv": tapping.MAX_CV}
    code = "return describeBeat(taps, since, now, ranAway, limits);"
    return run_script(code, taps=list(taps), since=since, now=now, ranAway=ran_away, limits=limits)


@needs_node
def test_a_beat_has_the_mean_and_cv_of_its_itis():
    taps = np.cumsum(np.random.default_rng(0).normal(0.2, 0.01, 30))
    found, itis = describe(taps, now=taps[-1] + 0.1), np.diff(taps[1:])
    assert found["reason"] == "" and found["n"] == len(itis)
    assert found["mean"] == pytest.approx(itis.mean())
    assert found["cv"] == pytest.approx(itis.std(ddof=1) / itis.mean())
    assert found["last"] == pytest.approx(itis[-1])


@needs_node
@pytest.mark.parametrize(
    "reason, taps, now",
    [
        ("silent", [], 5),
        ("listening", [0.2, 0.4], 0.5),
        ("stops", np.arange(0.2, 3, 0.2), 4),
        ("irregular", np.cumsum([0.1, 0.4] * 10), 5.1),
    ],
)
def test_what_is_no_beat_is_said_to_be_none(reason, taps, now):
    assert describe(taps, now)["reason"] == reason
    assert describe(taps, now, ran_away=True)["reason"] == "runs away"


@needs_node
def test_noise_is_standard_normal_times_its_scale():
    """Bounds of six standard errors."""
    code = """
        const xi = new Float32Array(200001);
        fillNormal(xi, 2);
        return Array.from(xi);"""
    xi = np.array(run_script(code)) / 2
    n = len(xi)
    assert abs(xi.mean()) < 6 / np.sqrt(n)
    assert abs(xi.var() - 1) < 6 * np.sqrt(2 / n)
    assert abs((xi**4).mean() - 3) < 6 * np.sqrt(96 / n)
    assert abs(np.corrcoef(xi[:-1], xi[1:])[0, 1]) < 6 / np.sqrt(n)


def test_the_page_holds_all_it_needs(packed):
    page = make_demo.page_of(TEMPLATE, [packed])
    assert len(page) < make_demo.MAX_BYTES
    assert make_demo.PLACE not in page
    assert len(TEMPLATE.splitlines()) < 500
    assert not re.search(r"\bsrc=|@import|url\(|fetch\(|<link|XMLHttp|import\(", page)
    assert re.findall(r"https?://[^\"]+", page) == ["https://doi.org/10.1038/s41598-024-77849-x"]


def test_other_networks_are_not_read_with_the_user_s_keys(tmp_path, monkeypatch):
    """The shipped ones beside the user's, whose dt and tempos may be others."""
    asked = []

    def page_network(*arguments):
        asked.append(arguments)
        return {"name": "mine"}

    monkeypatch.setattr(make_demo, "page_network", page_network)
    flags = {"model.dt": 0.005}
    make_demo.main("small.yaml", "mine.pth", str(tmp_path / "page.html"), **flags)
    assert asked[0] == ("small.yaml", "mine.pth", flags) and len(asked) == 6
    assert all((config, keys) == (None, {}) for config, _, keys in asked[1:])


def test_the_picture_shows_each_unit_that_fires_once(packed):
    order = np.frombuffer(base64.b64decode(packed["order"]), "<i2")
    silent = packed["groups"]["silent"]
    assert len(set(order)) == len(order) and len(order) >= packed["n"] - len(silent)
    is_excit = order < packed["nExcit"]
    assert is_excit[: packed["rowsOfE"]].all() and not is_excit[packed["rowsOfE"] :].any()


@pytest.mark.skipif(not make_demo.PAGE.exists(), reason="demo/index.html was not made")
def test_the_page_in_the_repository_is_of_this_template_and_network(packed):
    """Where it fails: python make_demo.py --checkpoint shipped."""
    page = make_demo.PAGE.read_text(encoding="utf-8")
    before, after = TEMPLATE.split(make_demo.PLACE)
    assert page.startswith(before) and page.endswith(after)
    assert json.dumps(packed["about"]) in page and len(page) <= make_demo.MAX_BYTES


@pytest.mark.parametrize("kind, n_types", [("ZemlianovaRNN", 2), ("RNN", 1)])
def test_networks_of_one_type_and_of_two(make_oscillator, kind, n_types):
    model = make_oscillator(kind)
    task = type("Task", (), {"cue_constant": 0.1, "click_width": 0.01})
    found = groups.find_populations(model, [0.5, 0.25, 0.125], task, seed=0)
    picture, plane = make_demo.units_of(found), make_demo.plane_of(found)
    order = np.frombuffer(base64.b64decode(picture["order"]), "<i2")
    n_excit = 20 if n_types == 2 else 25
    assert picture["nExcit"] == n_excit and picture["rowsOfE"] == sum(order < n_excit)
    assert sorted(order) == [0, 1, 2, 3, 20, 21, 22, 23]
    assert len(plane["loops"]) == 3 and len(plane["axes"]) == 2
    for loop in plane["loops"]:
        assert loop["points"][0] == loop["points"][-1]  # closed
        assert np.all(np.array(loop["points"]) >= np.array(plane["low"]) - 1e-9)
        assert np.all(np.array(loop["points"]) <= np.array(plane["high"]) + 1e-9)
