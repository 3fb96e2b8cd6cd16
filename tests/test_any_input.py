"""Any flags, YAML, checkpoint, path or name is either usable or refused in few words.

EXAMPLES: the number of random examples of each test; make torture tries more.
"""

import os

import torch
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import models
from zrnn import checkpoints, configuration, files, schema
from zrnn.configuration import load
from zrnn.errors import UserError
from zrnn.schema import KEYS

SHIPPED = torch.load(checkpoints.SHIPPED, weights_only=True)["config"]

JUNK = st.one_of(
    st.none(),
    st.text("[]{}:,&*!|>'\"%@`#-?~ \n0a", max_size=6),  # what means something in YAML
    st.booleans(),
    st.integers(-3, 2000),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["1e-3", "RNN", "null", "true", [], [[1]], {}, {"a": 1}, 10**400, 1e-12, 1e300]
    ),
    st.lists(st.one_of(st.floats(0, 1), st.booleans()), max_size=6),
    st.floats(0.001, 1),
)
NAMES = st.one_of(st.sampled_from(sorted(KEYS)), st.text(max_size=12))
REPEATED = dict(
    derandomize=True,
    deadline=None,
    max_examples=int(os.environ.get("EXAMPLES", 100)),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def loads_or_is_refused(*args, **kwargs):
    """The result is a configuration, which is equal to that read from its text, or a refusal."""
    try:
        config = load(*args, **kwargs)
    except UserError as error:
        assert str(error) and max(map(len, str(error).splitlines())) < 600
    else:
        assert load(yaml.load(configuration.to_text(config), yaml.BaseLoader)) == config


@settings(**REPEATED)
@given(st.dictionaries(NAMES, JUNK, max_size=4))
def test_any_flags(flags):
    loads_or_is_refused(flags=flags)


@settings(**REPEATED)
@given(st.sampled_from(sorted(KEYS)), JUNK)
def test_any_value_is_of_the_type_that_the_schema_says(key, value):
    try:
        config = load(flags={key: value})
    except UserError:
        return
    section, name = key.split(".")
    default, found = KEYS[key].default, config[section][name]
    optional = {"training.dt": float, "training.start": str, "training.max_grad_norm": float}
    assert type(found) is optional.get(key, type(default)) or (key in optional and found is None)


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
TREES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(SCALARS, below, max_size=3),
    max_leaves=8,
)
SECTIONS = st.dictionaries(
    st.sampled_from([*schema.SECTIONS, "x"]),
    st.dictionaries(
        st.sampled_from(sorted({k.split(".")[1] for k in KEYS})), JUNK | TREES, max_size=3
    )
    | TREES,
    max_size=3,
)


@settings(**REPEATED)
@given(st.one_of(TREES.map(yaml.dump), SECTIONS.map(yaml.dump), st.text(), st.binary()))
@example("[" * 3000)
@example("a: &a {b: *a}")
def test_any_yaml(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    loads_or_is_refused(path)


@settings(**REPEATED)
@given(TREES | SECTIONS)
def test_any_configuration_of_a_checkpoint(content):
    loads_or_is_refused(checkpoint=content)
    if isinstance(content, dict):
        loads_or_is_refused(checkpoint=SHIPPED | content)


PATHS = st.one_of(
    st.text(), st.sampled_from(["/", ".", "..", "/dev/null", "~", "a" * 300, "a/b/c"])
)


@settings(**REPEATED)
@given(st.sampled_from(schema.PATHS), st.sampled_from(schema.PATHS), PATHS, PATHS)
def test_any_paths(one, other, path, another):
    loads_or_is_refused(flags={one: path, other: another})
    loads_or_is_refused(name=path)


@settings(**REPEATED)
@given(PATHS)
def test_any_path_of_a_file(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    checks = [files.check_file]
    if path and path.isprintable():  # the configuration refuses other paths
        checks.append(lambda path: files.check_space(path, 1, ""))
    for check in checks:
        try:
            check(path)
        except UserError as error:
            assert "\n" not in str(error) and len(str(error)) < 400
        assert not list(tmp_path.iterdir())


SMALL = models.build_model(**load(flags={"model.hidden_dim": 6}).model.model_dump())
TENSORS = st.sampled_from(
    [
        torch.tensor(float("nan")),
        torch.full((6, 6), float("inf")),
        torch.zeros(6, 6, dtype=int),
        torch.zeros(6, 6, dtype=torch.complex64),
        torch.zeros(6, 6).to_sparse(),
        torch.zeros(7, 7),
        torch.zeros(6, 6, dtype=torch.float64),
        torch.zeros(0),
        torch.zeros(6, 6, dtype=bool),
    ]
)


@settings(**REPEATED)
@given(
    st.dictionaries(
        st.sampled_from([*SMALL.state_dict(), "b_ih", "other"]), TENSORS | TREES, max_size=2
    ),
    st.dictionaries(st.sampled_from([*SMALL.arguments, "other"]), JUNK, max_size=2),
    st.dictionaries(st.sampled_from(["model_type", "arguments", "state_dict"]), TREES, max_size=1),
    st.sets(st.sampled_from(sorted(SMALL.arguments)), max_size=1),
    st.sampled_from([None, None, None, 0, 10, 1000, 3000]),
)
def test_any_checkpoint(tmp_path, weights, arguments, parts, missing, cut):
    path = tmp_path / "network.pth"
    state = SMALL.state_dict() | weights
    arguments = {k: v for k, v in (SMALL.arguments | arguments).items() if k not in missing}
    content = {"model_type": "ZemlianovaRNN", "arguments": arguments, "state_dict": state}
    torch.save(content | parts, path)
    if cut is not None:
        path.write_bytes(path.read_bytes()[:cut])
    try:
        model = models.load_network(path)
    except UserError as error:
        assert any(word in str(error) for word in (str(path), "checkpoint", "model.dt is"))
    else:
        assert all(weight.isfinite().all() for weight in model.state_dict().values())
        assert checkpoints.read_checkpoint(path)[1]["model_type"] in models.MODELS
