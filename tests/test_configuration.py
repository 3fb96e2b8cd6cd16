"""The configuration: every key has one home, and all mistakes are refused at once, in few lines."""

import copy
import os
from pathlib import Path

import pytest
import torch
import yaml

from zrnn import checkpoints, configuration
from zrnn.configuration import load
from zrnn.errors import UserError
from zrnn.schema import KEYS
from zrnn.training.start_or_resume import checked

HOME = Path(__file__).parents[1]
SHIPPED = torch.load(checkpoints.SHIPPED, weights_only=True)["config"]


def refusal(*args, **kwargs):
    with pytest.raises(UserError) as refused:
        checked(load(*args, **kwargs))
    return str(refused.value)


def test_config_yaml_is_what_the_schema_says():
    text = (HOME / "config.yaml").read_text(encoding="utf-8")
    assert text == configuration.commented()  # python -m zrnn.configuration > config.yaml
    content = yaml.safe_load(text)
    flat = {f"{s}.{k}": value for s, keys in content.items() for k, value in keys.items()}
    assert flat == {name: field.default for name, field in KEYS.items()} and len(KEYS) <= 91
    assert all(f" # {field.description}\n" in text for field in KEYS.values())
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
    assert changed == ["model.hidden_dim", "model.tau", "training.learning_rate"]
    assert load(flags={"model_type": "RNN"}).model.type == "RNN"


def test_configuration_files_of_the_original_code_load(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        "model: {type: ZemlianovaRNN, input_dim: 2, hidden_dim: 500, output_dim: 1, tau: 0.01, "
        "dt: 0.001, sigma_rec: 0.01, excit_percent: 0.8}\n"
        "training:\n  periods: [0.5, 0.333, 0.25, 0.2, 0.166, 0.143, 0.125]\n  batch_size: 512\n"
        "  learning_rate: 0.001\n  epochs: 10000\n  save_path: ./best_model.pth\n"
        "  early_stopping_loss: 0.017\nplotting:\n  enable: true\n"
    )
    assert load(path).training.batch_size == 512


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


def test_the_learning_rate_depends_on_the_number_of_units():
    for n_units, rate in ((500, 0.001), (125, 0.002), (2000, 0.0005), (100, 0.0022)):
        assert load(flags={"model.hidden_dim": n_units}).training.learning_rate == rate
    flags = {"model.hidden_dim": 100, "training.learning_rate": 0.001}
    assert load(flags=flags).training.learning_rate == 0.001


@pytest.mark.parametrize("name", ["2024_11_26", "0x10", "net#1.pth", "1e5", "true", "null", "[a]"])
def test_names_are_taken_as_typed(tmp_path, name):
    path = tmp_path / "config.yaml"
    path.write_text(f"drive:\n  folder: '{name}'\n")
    assert load(path).drive.folder == load(flags={"drive.folder": name}).drive.folder == name
    path.write_text("drive:\n  folder: 2024_11_26\n")
    assert load(path).drive.folder == "2024_11_26"
    assert load(name=name).drive.folder == f"runs/{name}/model_outputs"


def test_a_path_may_begin_with_the_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    assert load(flags={"drive.folder": "~/out"}).drive.folder == "/home/ann/out"


def test_a_flag_means_the_same_as_a_line_of_a_file(tmp_path):
    values = {
        "epochs": ("1000", 1000),
        "batch_size": ("1_6", 16),
        "learning_rate": ("1e-3", 0.001),
        "periods": ("[.4, 3e-1]", [0.4, 0.3]),
        "antithetic": ("False", False),
        "dt": ("null", 0.01),
        "max_grad_norm": ("None", None),
    }
    path = tmp_path / "config.yaml"
    lines = [f"  {key}: {text}\n" for key, (text, _) in values.items()]
    path.write_text("".join(["training:\n", *lines, "drive:\n"]))  # a section may be empty
    config = load(flags={f"training.{key}": text for key, (text, _) in values.items()})
    assert load(path) == config
    assert {key: config.training[key] for key in values} == {k: v for k, (_, v) in values.items()}


@pytest.mark.parametrize(
    "flags, words",
    [
        ({"model.dt": 0.02}, ["model.dt is 0.02 s; allowed: at most model.tau"]),
        ({"model.tau": 0.0005}, ["model.dt is 0.001 s; allowed: at most model.tau"]),
        (
            {"model.dt": 0.02, "model.tau": 0.02},
            ["model.dt is 0.02 s; allowed: at most task.click_width"],
        ),
        ({"training.periods": [3.0, 2.0]}, ["training.trial_seconds is 2 s; allowed: at least"]),
        (
            {"training.periods": [40.0]},
            ["drive.keep_seconds: at least 2 max(training.periods), 80 s"],
        ),
        ({"task.click_width": 0.2}, ["training.periods has 0.125 s: at least 2 task.click_width"]),
        ({"training.dt": 0.05}, ["training.dt is 0.05 s; allowed: null, or from model.dt"]),
        ({"training.dt": 0.0005}, ["training.dt is 0.0005 s; allowed: null, or from model.dt"]),
        (
            {"training.trial_seconds": 0.3},
            [
                "training.trial_seconds is 0.3 s; allowed: at least",
                "training.click_seconds is 1 s; allowed: at most",
            ],
        ),
        (
            {"training.periods": [0.01, 0.01], "bifurcation.cues": [2, 1]},
            ["training.periods has 0.01 s", "each period once", "bifurcation.cues is [2.0, 1.0]"],
        ),
    ],
)
def test_keys_that_do_not_fit_together(flags, words):
    lines = refusal(flags=flags).splitlines()
    assert len(lines) == len(words)
    assert all(word in line for word, line in zip(words, lines, strict=True))


def test_everything_that_is_wrong_is_said_at_once():
    flags = {
        "training.epochs": -1,
        "model.hidden_dim": 10**400,
        "check.enable": "perhaps",
        "model.type": "LSTM",
        "training.periods": "[0.5",
        "model.dt": "fast",
    }
    assert refusal(flags=flags).splitlines() == [
        "model.type is LSTM: input should be 'ZemlianovaRNN' or 'RNN'",
        "model.hidden_dim is 100000000000000000...0000000000000000000: input should be less than "
        "or equal to 20000",
        "model.dt is fast: input should be a valid number, unable to parse string as a number",
        "training.periods is [0.5: input should be a valid list",
        "training.epochs is -1: input should be greater than or equal to 1",
        "check.enable is perhaps: input should be a valid boolean, unable to interpret input",
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
        ("model: {tau: 0.01, tau: 0.02}", "a key stands twice: tau"),
        ("model: {[tau]: 0.01}", "a key is a list or a mapping"),
        ("{[model]: {tau: 0.01}}", "a key is a list or a mapping"),
        ("? {a: b}\n: 1", "a key is a list or a mapping"),
        ("model: {null: 1, 2: 3, 2001-01-01: 4}", "unknown key model.null"),
        ("model: " + "[" * 3000, "not YAML"),
        ("model: " + "[" * 3000 + "]" * 3000, "not YAML"),
        ("model: {tau: 2001-13-45}", "model.tau is 2001-13-45: input should be a valid number"),
        ("a: !!timestamp x", "unknown section a"),
        ("a: !!python/object/apply:os.mkdir [it_ran]", "unknown section a"),
        ("a: &a [*a]\nmodel: {tau: *a}", "recursive"),
        ("model: {tau: fast}", "input should be a valid number"),
        ("model: {tau: .nan}", "model.tau is .nan"),
        ("model: {tau: nan}", "model.tau is nan: input should be a finite number"),
        ("model: {sigma_rec: inf}", "model.sigma_rec is inf: input should be a finite number"),
        ("model: {tau: !!binary MQ==}", "model.tau is MQ=="),
        ("model: {excit_percent: 80}", "less than or equal to 1"),
        ("training: {periods: []}", "at least 1 item"),
        ("training: {periods: {0.5: 1}}", "a valid list"),
        ("training: {periods: [-0.5]}", "greater than 0"),
        ("training: {log_path: best_model.pth}", "training.log_path, plotting.folder: must differ"),
        ("training: {log_path: ./best_model.pth.state}", "plotting.folder: must differ"),
        ("plotting: {folder: best_model.pth}", "plotting.folder: must differ"),
        ("drive: {onset: 3}", "at most drive.discard_seconds"),
        ("drive: {keep_seconds: 0.001}", "at least 2 max(training.periods)"),
        ("drive: {extra_decay: 0.1}", "unknown key drive.extra_decay"),
        ("drive: {keep_seconds: 1e5}\nmodel: {dt: 1e-3}", "10000000 steps"),
        ("fig5: {times: [0.0001, 0.04]}", "fig5.times: at least model.dt"),
        ("fig1: {window_seconds: 1e-5}", "1 to 10000000 steps"),
        ("fig5: {times: [0.1, 1e5]}", "less than or equal to 10"),
        ("cue_range: {keep_seconds: 0.001}", "greater than or equal to 1"),
        ("cue_range: {cues: [1, 0.1]}", "the lower one first"),
        ("training: {save_path: ' '}", "a path"),
        ('training: {save_path: "a\\nb"}', "a path"),
    ],
)
def test_wrong_files(tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(text)
    message = refusal("mine.yaml")
    assert words in message and max(map(len, message.splitlines())) < 400
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_small_file_that_expands_to_a_large_one_is_refused_at_once(tmp_path):
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines) + "\nmodel: {tau: *a29}\n")
    assert max(map(len, refusal(tmp_path / "bomb.yaml").splitlines())) < 400


def test_paths_that_are_not_files_are_refused(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", "/dev/zero", "\0", "a" * 5000, "\ud800", ""):
        message = refusal(path)
        assert "cannot be read" in message and "\n" not in message and len(message) < 400


@pytest.mark.parametrize(
    "line",
    """
    epochs training.epochs; seed training.seed; drive.epochs training.epochs; dt model.dt
    folder drive.folder; training.epoch training.epochs; epoch training.epochs
    hidden_dims model.hidden_dim; chekpoint checkpoint; taps.max_cv check.max_cv
    config --config_path; model --checkpoint; s --fig5.span; g --fig5.grid
    cc --fig5.cues; t --fig5.times; zebra; training.zebra
    """.strip()
    .replace("\n", ";")
    .split(";"),
)
def test_what_a_mistyped_key_may_have_meant(line):
    key, _, words = line.strip().partition(" ")
    text = configuration.suggestion(key, ("checkpoint", "device"))
    assert words in text and bool(words) == bool(text)


def test_everything_of_a_named_run_goes_to_one_folder():
    config = load(flags={"name": "mine", "drive.folder": "elsewhere"})
    assert config.training.save_path == "runs/mine/best_model.pth"
    assert config.fig5.folder == "runs/mine/fig5_plotting" and config.drive.folder == "elsewhere"
    assert load(name="mine").drive.folder == "runs/mine/model_outputs"
    assert load(config.model_dump(), {"name": 7}).plotting.folder == "runs/7/plots"
    text = configuration.changes_text(load(flags={"name": "mine", "model.tau": 0.02}))
    assert text.splitlines()[1:] == ["  model.tau: 0.02", "  everything goes to runs/mine/"]
    assert configuration.changes_text(load()) == "configuration: all defaults"
    for name in ("a/b", "..", ".", "", " ", "-x", "a" * 101, "é" * 60, "a\nb"):
        assert "a plain word" in refusal(name=name)


def test_a_checkpoint_determines_the_sections_that_trained_it(tmp_path):
    trained = configuration.plain(load({"training": {"periods": [0.4], "epochs": 7}}))
    config = load(checkpoint=trained)
    assert config.training.periods == [0.4] and config.training.epochs == 7
    path = tmp_path / "mine.yaml"
    path.write_text("model: {hidden_dim: 40, tau: 0.02}\ntraining: {periods: [0.3]}\n")
    message = refusal(path, checkpoint=trained)
    assert message.count("the network was trained with") == 3
    assert "mine.yaml: model.tau is" in message
    flags = {"model.hidden_dim": 40, "model.tau": 0.03, "training.periods": [0.2]}
    assert load(path, flags, trained).model.tau == 0.03
    path.write_text("training: {epochs: 8, seed: 0}\ndrive: {seed: 3}\n")
    config = load(path, checkpoint=trained)
    assert config.training.epochs == 7 and config.drive.seed == 3


def test_places_never_come_from_a_checkpoint(tmp_path):
    flags = {"training.save_path": "theirs.pth", "training.log_path": "theirs.csv"}
    theirs = configuration.plain(load(flags=flags | {"drive.folder": "theirs"}))
    for config in (load(checkpoint=theirs), load(configuration.of_checkpoint(theirs))):
        assert config == load()
    path = tmp_path / "mine.yaml"
    path.write_text("training: {save_path: mine.pth}")
    assert load(path, checkpoint=theirs).training.save_path == "mine.pth"
    assert load(name="mine", checkpoint=theirs).training.log_path == "runs/mine/training_log.csv"


def test_checkpoints_with_keys_of_another_version_are_read():
    other = copy.deepcopy(SHIPPED)
    other["model"].pop("vanilla_sigma_rec", None)
    other["model"] |= {"dt": 0.0005, "unknown": 3}
    other["training"] |= {"unknown": [0.01, 0.001], "epochs": 7}
    config = load(checkpoint=other)
    assert config.training.periods == SHIPPED["training"]["periods"]
    assert config.training.epochs == 7
    assert config.model.dt == 0.0005 and config.model.vanilla_sigma_rec == 0


@pytest.mark.parametrize("kind", ["text", [1], {}, {"model": 3}, {"model": {}}, {1: 2}])
def test_a_configuration_of_a_wrong_kind_in_a_checkpoint(kind):
    assert "checkpoint: its configuration" in refusal(checkpoint=kind)
    wrong = SHIPPED | {"model": SHIPPED["model"] | {"dt": kind}}
    assert "checkpoint: model.dt is" in refusal(checkpoint=wrong)


def test_a_network_loads_whatever_the_clicks_of_the_default_task():
    arguments = {"dt": 0.015, "tau": 0.02, "hidden_dim": 10}
    assert configuration.model_arguments(arguments, {})["dt"] == 0.015
    assert load(flags={"training.save_seconds": 20000}).training.save_seconds == 20000
    with pytest.raises(UserError, match="model.dt is 0.03 s; allowed: at most model.tau"):
        configuration.model_arguments(arguments, {"dt": 0.03})
