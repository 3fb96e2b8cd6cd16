"""The configuration: one home for every key; whatever is wrong is refused in few lines, at once."""

import copy
import os
import re
from pathlib import Path

import pytest
import torch
import yaml

from zrnn import checkpoints, configuration
from zrnn.configuration import load
from zrnn.errors import UserError
from zrnn.schema import KEYS

HOME = Path(__file__).parents[1]
SHIPPED = torch.load(checkpoints.SHIPPED, weights_only=True)["config"]


def refusal(*args, **kwargs):
    with pytest.raises(UserError) as told:
        load(*args, **kwargs)
    return str(told.value)


def test_config_yaml_is_what_the_schema_says():
    text = (HOME / "config.yaml").read_text(encoding="utf-8")
    assert text == configuration.commented()  # python -m zrnn.configuration > config.yaml
    content = yaml.safe_load(text)
    flat = {f"{s}.{k}": value for s, keys in content.items() for k, value in keys.items()}
    assert flat == {name: field.default for name, field in KEYS.items()} and len(KEYS) <= 90
    for name, field in KEYS.items():
        line = rf"^  {name.split('.')[1]}: .* # {re.escape(field.description)}$"
        assert re.search(line, text, re.M) and field.description
    assert max(map(len, text.splitlines())) <= 100


def test_layers():
    config = load({"model": {"hidden_dim": 40, "tau": "2e-2"}}, {"model.hidden_dim": 50})
    assert config.model.hidden_dim == 50 and config.model.tau == 0.02
    assert config["model"]["dt"] == config.model.dt == 0.001
    with pytest.raises(ValueError, match="frozen"):
        config.model.dt = 1.0
    again = load(yaml.safe_load(configuration.to_text(config, {"made by": "a test"})))
    assert again == config and configuration.differences(again, config) == []
    changed = [key for key, *_ in configuration.differences(config, load())]
    assert changed == ["model.hidden_dim", "model.tau"]
    assert load(flags={"model_type": "RNN"}).model.type == "RNN"


def test_the_predecessors_files_load(tmp_path):
    own = tmp_path / "config.yaml"
    own.write_text(
        "model: {type: ZemlianovaRNN, input_dim: 2, hidden_dim: 500, output_dim: 1, tau: 0.01, "
        "dt: 0.001, sigma_rec: 0.01, excit_percent: 0.8}\n"
        "training:\n  periods: [0.5, 0.333, 0.25, 0.2, 0.166, 0.143, 0.125]\n  batch_size: 512\n"
        "  learning_rate: 0.001\n  epochs: 10000\n  save_path: ./best_model.pth\n"
        "  early_stopping_loss: 0.017\nplotting:\n  enable: true\n"
    )
    assert load(own).training.batch_size == 512
    recipe = load(HOME / "configs/original.yaml").training
    assert recipe.dt == 0.001 and recipe.early_stopping_loss == 0.017 and not recipe.refine


def test_any_one_key_can_be_changed_alone():
    alone = {
        "model.hidden_dim": [20, 100, 1000],
        "model.dt": [0.0005, 0.002, 0.003, 0.005, 0.01],
        "model.tau": [0.001, 0.005, 0.007, 0.02, 0.1],
        "model.excit_percent": [0, 0.5, 1],
        "training.periods": [[1.0], [0.5, 0.3], [0.6, 0.4], [0.02]],
        "training.epochs": [1, 10**6],
    }
    for key, values in alone.items():
        for value in values:
            config = load(flags={key: value})
            dt, click = config.training.dt, config.task.click_width
            assert config.model.dt <= dt <= config.model.tau, (key, value)
            if dt > config.model.dt:
                assert click / dt == pytest.approx(round(click / dt))


@pytest.mark.parametrize(
    "flags",
    [
        {"model.dt": 0.02},
        {"model.dt": 0.05},
        {"model.dt": 0.1},
        {"model.tau": 0.0005},
        {"training.periods": [3.0, 2.0]},
        {"training.periods": [0.01]},
        {"training.periods": [40.0]},
        {"task.click_width": 0.2},
        {"training.dt": 0.05},
        {"training.trial_seconds": 0.3},
        {"model.dt": 0.02, "training.periods": [2.5, 0.5], "training.dt": 0.003},
    ],
)
def test_what_must_change_together_is_said_with_flags_that_work(flags):
    message = refusal(flags=flags)
    line = message.splitlines()[-1]
    assert line.startswith("what goes together: ")
    words = line.removeprefix("what goes together: ").split()
    pairs = zip(words[::2], words[1::2], strict=True)
    load(flags=flags | {flag[2:]: yaml.safe_load(value) for flag, value in pairs})
    load(flags={f[2:]: yaml.safe_load(v) for f, v in zip(words[::2], words[1::2], strict=True)})


def test_all_that_is_wrong_is_said_at_once():
    message = refusal(
        flags={
            "training.epochs": -1,
            "model.hidden_dim": 10**400,
            "check.enable": 1,
            "model.dt": True,
        }
    )
    assert message.splitlines() == [
        "model.hidden_dim is 100000000000000000...0000000000000000000; allowed: a whole number at "
        "least 2 and at most 20000",
        "model.dt is True; allowed: a number at least 1e-06 and at most 10",
        "training.epochs is -1; allowed: a whole number at least 1 and at most 10000000",
        "check.enable is 1; allowed: true or false",
    ]


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "empty"),
        ("model: [", "not YAML"),
        ("- 1", "not sections"),
        ("model: 3", "a section of keys"),
        ("model: {tua: 0.01}", "did you mean model.tau?"),
        ("nodel: {tau: 0.01}", "unknown section nodel"),
        ("model: {tau: 0.01, tau: 0.02}", "stands twice"),
        ("model: {[tau]: 0.01}", "a list or a mapping is no key"),
        ("{[model]: {tau: 0.01}}", "a list or a mapping is no key"),
        ("? {a: b}\n: 1", "a list or a mapping is no key"),
        ("model: {null: 1, 2: 3, 2001-01-01: 4}", "unknown key model.None"),
        ("model: " + "[" * 3000, "not YAML"),
        ("model: " + "[" * 3000 + "]" * 3000, "not YAML"),
        ("a: 2001-13-45", "not YAML"),
        ("a: !!timestamp x", "not YAML"),
        ("a: !!python/object/apply:os.mkdir [it_ran]", "not YAML"),
        ("a: &a [*a]\nmodel: {tau: *a}", "a section of keys"),
        ("model: {tau: fast}", "a number"),
        ("model: {tau: .nan}", "model.tau is nan"),
        ("model: {sigma_rec: .inf}", "model.sigma_rec is inf"),
        ("model: {tau: !!binary MQ==}", "model.tau is b'1'"),
        ("model: {excit_percent: 80}", "at most 1"),
        ("model: {dt: 0.02}", "at most model.tau"),
        ("training: {periods: []}", "a list of 1 to 1000"),
        ("training: {periods: {0.5: 1}}", "a list of 1 to 1000"),
        ("training: {periods: [-0.5]}", "above 0"),
        ("training: {periods: [0.015]}", "two clicks"),
        ("training: {periods: [0.5, 0.5]}", "each period once"),
        ("training: {stage_dt: [0.01]}", "use training.dt"),
        ("training: {products: float32, mirrored_noise: true}", "leave it out"),
        ("training: {log_path: best_model.pth}", "not the place of training.save_path"),
        ("training: {log_path: ./best_model.pth.state}", "not the place of the state"),
        ("plotting: {folder: best_model.pth}", "not the place of training.save_path"),
        ("training: {save_path: model_outputs/a.pth}", "without any other in it"),
        ("training: {click_seconds: 9}", "at most training.trial_seconds"),
        ("drive: {onset: 3}", "at most drive.discard_seconds"),
        ("drive: {keep_seconds: 0.001}", "twice the longest"),
        ("drive: {extra_decay: 0.1}", "unknown key drive.extra_decay"),  # it used to loop for ever
        ("drive: {keep_seconds: 1e5}\nmodel: {dt: 1e-3}", "10000000 steps"),
        ("fig1: {window_seconds: 1e-5}", "1 to 10000000 steps"),
        ("cue_range: {keep_seconds: 0.001}", "at least 1"),
        ("cue_range: {cues: [1, 0.1]}", "the lower one first"),
        ("fig5: {times: [1e5]}", "10000000 steps"),
        ("training: {save_path: ' '}", "a path"),
        ('training: {save_path: "a\\nb"}', "a path"),
    ],
)
def test_wrong_files(tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_text(text)
    message = refusal("own.yaml")
    assert words in message and max(map(len, message.splitlines())) < 400
    assert [path.name for path in tmp_path.iterdir()] == ["own.yaml"]


def test_a_small_file_that_means_a_large_one_is_refused_at_once(tmp_path):
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines) + "\nmodel: {tau: *a29}\n")
    assert max(map(len, refusal(tmp_path / "bomb.yaml").splitlines())) < 400


def test_strange_places_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", "/dev/zero", "\0", "a" * 5000, "\ud800", ""):
        message = refusal(path)
        assert "cannot be read" in message and "\n" not in message and len(message) < 400
    for path in (True, 3.5, [1], Path):
        assert "allowed: a file" in refusal(path)


@pytest.mark.parametrize(
    "line",
    """
    epochs training.epochs; seed training.seed; drive.epochs training.epochs; dt training.dt
    folder drive.folder; training.epoch training.epochs; epoch training.epochs
    hidden_dims model.hidden_dim; chekpoint checkpoint; taps.max_cv check.max_cv
    config --config_path; model --checkpoint; type 5a and 5b; s --fig5.span; g --fig5.grid
    cc --fig5.cues; t --fig5.times; tcc trained cues; stage_dt training.dt; zebra; training.zebra
    """.strip()
    .replace("\n", ";")
    .split(";"),
)
def test_what_a_mistyped_key_may_have_meant(line):
    key, _, words = line.strip().partition(" ")
    text = configuration.suggestion(key, ("checkpoint", "device"))
    assert words in text and bool(words) == bool(text)


def test_a_named_run_keeps_its_things_together():
    config = load(flags={"name": "mine", "drive.folder": "elsewhere"})
    assert config.training.save_path == "runs/mine/best_model.pth"
    assert config.fig5.folder == "runs/mine/fig5_plotting" and config.drive.folder == "elsewhere"
    assert load(name="mine").drive.folder == "runs/mine/model_outputs"
    assert load(config.model_dump(), {"name": 7}).plotting.folder == "runs/7/plots"
    text = configuration.changes_text(load(flags={"name": "mine", "model.tau": 0.02}))
    assert text.splitlines()[1:] == ["  model.tau: 0.02", "  everything goes to runs/mine/"]
    assert configuration.changes_text(load()) == "configuration: all defaults"
    for name in ("a/b", "..", ".", "", " ", "-x", "a" * 101, "é" * 60, "a\nb", True, 1.5, ["a"]):
        assert "a plain word" in refusal(name=name)


def test_a_checkpoint_brings_its_own_sections(tmp_path, capsys):
    trained = configuration.plain(load({"training": {"periods": [0.4], "epochs": 7}}))
    config = load(checkpoint=trained)
    assert config.training.periods == [0.4] and config.training.epochs == 7
    own = tmp_path / "own.yaml"
    own.write_text("model: {hidden_dim: 40, tau: 0.02}\ntraining: {periods: [0.3]}\n")
    message = refusal(own, checkpoint=trained)
    assert (
        message.count("the network was trained with") == 3 and "own.yaml: model.tau is" in message
    )
    flags = {"model.hidden_dim": 40, "model.tau": 0.03, "training.periods": [0.2]}
    assert load(own, flags, trained).model.tau == 0.03
    own.write_text("training: {epochs: 8, seed: 0}\ndrive: {seed: 3}\n")
    config = load(own, checkpoint=trained)
    assert config.training.epochs == 7 and config.drive.seed == 3
    said = capsys.readouterr().err
    assert "training.epochs is 8" in said and said.count("\n") == 1


def test_a_checkpoint_of_an_older_version_is_read():
    older = copy.deepcopy(SHIPPED)
    older["model"].pop("vanilla_sigma_rec", None)  # a key that was not there yet
    older["training"] |= {"stage_dt": [0.01, 0.001], "epochs": 7}  # keys that meant other things
    config = load(checkpoint=older)
    assert config.training.periods == SHIPPED["training"]["periods"]
    assert config.training.epochs == KEYS["training.epochs"].default
    assert (
        config.model.model_dump()
        == {"vanilla_sigma_rec": 0.0, "w_hh_start": "half-normal"} | older["model"]
    )
    older["model"] |= {"dt": 0.0005, "unknown": 3}
    assert load(checkpoint=older).model.dt == 0.0005


@pytest.mark.parametrize("kind", ["text", [1], {}, {"model": 3}, {"model": {}}, {1: 2}, True])
def test_a_checkpoints_configuration_of_a_wrong_kind(kind):
    assert "checkpoint: its configuration" in refusal(checkpoint=kind)
    wrong = SHIPPED | {"model": SHIPPED["model"] | {"dt": kind}}
    assert "checkpoint: model.dt is" in refusal(checkpoint=wrong)
