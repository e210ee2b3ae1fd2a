"""Registration of one model by hand: what it needs, what is refused, and that every verb takes it afterwards."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from pyvmaf.checks.audit_compat import audit_compat
from pyvmaf.checks.bisect import bisect_model_quality
from pyvmaf.checks.cross_backend import cross_backend
from pyvmaf.checks.evaluate import evaluate
from pyvmaf.checks.profile import profile
from pyvmaf.checks.validate_norm import validate_norm
from pyvmaf.errors import InputError, IntegrityError, PyvmafError
from pyvmaf.features.catalog import CANONICAL6
from pyvmaf.registry.by_hand import register_model
from pyvmaf.registry.consistency import check_registry
from pyvmaf.registry.entry import Registry
from pyvmaf.runtime.load import load_model
from pyvmaf.runtime.predictor import ModelWarning
from pyvmaf.runtime.sidecar import Sidecar
from tests.make.commands import command

GIVEN: dict[str, Any] = {"kind": "fr", "dataset": "nflx", "license": "CDLA-Permissive-2.0", "train_commit": "abc123"}


@pytest.fixture
def foreign(results: Path, tmp_path: Path) -> Path:
    """A model file that no sidecar describes."""
    model = tmp_path / "tiny" / "vmaf_tiny_fr_v1.onnx"
    model.parent.mkdir()
    shutil.copy(results / "models/small/seed0/model.onnx", model)
    return model


def test_a_foreign_model_gets_a_sidecar_and_an_entry(foreign: Path) -> None:
    options = ["--kind", "fr", "--dataset", "nflx", "--license", "CDLA-Permissive-2.0", "--train-commit", "abc123"]
    done = command("register", "--model", foreign, *options)
    assert done.returncode == 0, done.stderr
    sidecar = json.loads(foreign.with_suffix(".json").read_text())
    assert sidecar["schema_version"] == 1
    assert (sidecar["name"], sidecar["verdict"]) == ("vmaf_tiny_fr_v1", "UNJUDGED")
    assert (sidecar["input_name"], sidecar["output_name"], sidecar["onnx_opset"]) == ("features", "score", 17)
    assert sidecar["license"] == "CDLA-Permissive-2.0"
    registry = foreign.parent / "registry.json"
    assert Sidecar.read(foreign.with_suffix(".json")).as_json() == sidecar
    (entry,) = Registry.read(registry).models
    assert entry.notes == "Entered by hand: no verdict stands behind it."
    assert check_registry(registry) == []
    # Again, and another under another id: the first entry stays.
    register_model(foreign, **GIVEN)
    other = foreign.with_name("second.onnx")
    shutil.copy(foreign, other)
    register_model(other, **GIVEN, registry=registry)
    assert [e.id for e in Registry.read(registry).models] == ["second", "vmaf_tiny_fr_v1"]


def test_a_model_is_used_like_any_other(foreign: Path, results: Path) -> None:
    """Every verb that takes a model takes it, by file and by id, and its scores are those of the exported model."""
    import pyvmaf

    registry, table = foreign.parent / "registry.json", Path("results/tables/default.parquet")
    register_model(foreign, **GIVEN)
    with pytest.warns(ModelWarning, match="was registered by hand: no gate has measured its error"):
        model = pyvmaf.load_model("vmaf_tiny_fr_v1", registry=registry)
    twin = load_model(results / "models/small/seed0/model.onnx")
    X, _ = twin.examples(50)
    prediction = model.predict(X)
    np.testing.assert_array_equal(prediction.scores, twin.predict(X).scores)
    assert (prediction.outside_share, prediction.outside) == (None, {})
    for which, listed in (("vmaf_tiny_fr_v1", registry), (str(foreign), None)):
        assert evaluate(which, table, split="all", registry=listed)["trained_on_this_table"] is None
        assert cross_backend([which], shape="16", registry=listed).passed
        assert bisect_model_quality([which], table, min_plcc=0.1, registry=listed).first_bad is None
        assert validate_norm(which, table, registry=listed).trained_on_this_table is None
    assert profile([foreign], shapes=["3"], iterations=2, warmup=0).runs[0].model == "vmaf_tiny_fr_v1"
    assert audit_compat(registry).findings == []
    done = command("eval", "--features", table, "--split", "all", "-m", "vmaf_tiny_fr_v1", "--registry", registry)
    assert done.returncode == 0, done.stderr
    assert "Nothing says which table the model was trained on" in done.stdout


def test_a_scaling_is_applied_and_compared(foreign: Path, results: Path) -> None:
    mean, std = [0.5, 0.4, 0.3, 0.2, 0.1, 3.0], [0.1, 0.2, 0.3, 0.4, 0.5, 2.0]
    Path("scaling.json").write_text(json.dumps({"mean": mean, "std": std}))
    bare, table = write_vector(foreign, [1.0, 2, 3, 4, 5, 6]), Path("results/tables/default.parquet")
    register_model(bare, **GIVEN)
    with pytest.raises(InputError, match="states no mean and standard deviation"):
        validate_norm(bare, table)
    register_model(bare, **GIVEN, normalization="scaling.json")
    model = load_model(bare)
    X, _ = model.examples(20)
    expected = ((X - mean) / std) @ np.arange(1, 7)
    np.testing.assert_allclose(model.predict(X).scores, expected, rtol=1e-4)
    assert [feature.train_mean for feature in validate_norm(bare, table).features] == mean


def test_a_set_of_features_stands_for_its_columns_in_every_verb(foreign: Path) -> None:
    """`--features` and `--columns` take sets, as those of score do."""
    given = [word for key, value in GIVEN.items() for word in (f"--{key.replace('_', '-')}", value)]
    done = command("register", "--model", foreign, *given, "--features", "canonical6")
    assert done.returncode == 0, done.stderr
    assert json.loads(foreign.with_suffix(".json").read_text())["features"] == list(CANONICAL6)
    done = command("register", "--model", foreign, *given, "--features", "canonical6,adm2")
    assert done.returncode == 2
    assert "names the column adm2 twice" in " ".join(done.stderr.split())
    bare, table = write_vector(Path("bare.onnx"), [1.0, 2, 3, 4, 5, 6]), "results/tables/default.parquet"
    written = ("adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2")
    reports = []
    for columns in ("canonical6", ", ".join(written)):
        done = command("eval", "-m", bare, "--features", table, "--split", "all", "--columns", columns, "-o", "e.json")
        assert done.returncode == 0, done.stderr
        reports.append(json.loads(Path("e.json").read_text()))
    assert [report["srocc"] for report in reports] == [reports[0]["srocc"]] * 2
    done = command("eval", "-m", bare, "--features", table, "--split", "all", "--columns", " , ")
    assert done.returncode == 2
    assert "names no column" in " ".join(done.stderr.split())


def write_vector(path: Path, weights: list[float], **more: Any) -> Path:
    """Write the graph: score [batch] = x · weights."""
    return write_rows(
        path, [helper.make_node("MatMul", ["features", "w"], ["score"])], w=np.array(weights, np.float32), **more
    )


def write_rows(path: Path, nodes: list[Any], *, shape: Any = ("batch",), inputs: int = 1, **constants: Any) -> Path:
    """Write a graph that takes rows of six columns."""
    names = ["features", *(f"more{n}" for n in range(1, inputs))]
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 6]) for name in names],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


MEAN = helper.make_node("ReduceMean", ["features"], ["score"], axes=[1], keepdims=0)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (
            {"nodes": [helper.make_node("Add", ["features", "b"], ["a"]), helper.make_node("Neg", ["a"], ["b"]), MEAN]},
            "is not valid ONNX: .* 'b' of node",
        ),
        (
            {"nodes": [helper.make_node("MatMul", ["features", "w"], ["score"])], "w": np.full(6, np.nan, np.float32)},
            "tensor 'w' with NaN or infinity",
        ),
        ({"nodes": [MEAN], "inputs": 2}, "has the inputs features, more1 .* has one of each"),
        ({"nodes": [helper.make_node("Abs", ["features"], ["score"])], "shape": ("batch", 6)}, r"FLOAT \[1, 6\]"),
        (
            {"nodes": [helper.make_node("Softmax", ["features"], ["s"], axis=0),
                       helper.make_node("ReduceSum", ["s", "a"], ["t"], keepdims=0),
                       helper.make_node("Mul", ["t", "h"], ["score"])], "a": np.array([1], np.int64), "h": np.float32(100)},
            "may depend on nothing but its row",
        ),
        (
            {"nodes": [helper.make_node("ReduceMean", ["features"], ["m"], axes=[1], keepdims=0),
                helper.make_node("Sub", ["m", "m"], ["z"]), helper.make_node("Div", ["z", "z"], ["score"])]},
            "with NaN or infinity",
        ),
    ],
    ids=["cyclic", "weights of NaN", "two inputs", "two axes", "rows that mix", "0/0"],
)  # fmt: skip
def test_a_graph_that_cannot_score_is_refused(foreign: Path, graph: dict[str, Any], message: str) -> None:
    write_rows(foreign, **graph)
    with pytest.raises(PyvmafError, match=message):
        register_model(foreign, **GIVEN)
    assert [path.name for path in foreign.parent.iterdir()] == [foreign.name], "nothing is written"


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ([0] * 6, [1, 1, 0, 1, 1, 1], r"std\.2: should be greater than 0, but is 0"),
        ([0] * 6, [1, 1, -1, 1, 1, 1], r"std\.2: should be greater than 0"),
        ([0], [1], r"has 1 means, but .* takes 6 columns"),
        ([0] * 6, [1] * 5, r"has 5 standard deviations, but"),
        ([float("nan")] * 6, [1] * 6, r"mean\.0: should be a finite number"),
        ([0] * 6, [float("inf")] * 6, r"std\.0: should be a finite number"),
    ],
)
def test_a_scaling_that_does_not_fit_is_refused(
    foreign: Path, mean: list[float], std: list[float], message: str
) -> None:
    Path("scaling.json").write_text(json.dumps({"mean": mean, "std": std}))
    with pytest.raises(PyvmafError, match=message):
        register_model(foreign, **GIVEN, normalization="scaling.json")
    assert not foreign.with_suffix(".json").exists()


@pytest.mark.parametrize("content", ['{"mine": 1}', "no JSON", "[]", '{"verdict": 3}', '{"int8": {"sha256": "0"}}'])
def test_a_file_that_is_not_a_sidecar_is_not_replaced(foreign: Path, content: str) -> None:
    foreign.with_suffix(".json").write_text(content)
    with pytest.raises(PyvmafError, match=r"is not one: rename either file"):
        register_model(foreign, **GIVEN)
    assert foreign.with_suffix(".json").read_text() == content


def write_picture_model(path: Path, weight: float, sides: tuple[Any, Any]) -> Path:
    """Write the graph: mean of a convolved picture."""
    nodes = [
        helper.make_node("Conv", ["picture", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Log", ["c"], ["l"]),
        helper.make_node("GlobalAveragePool", ["l"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "pictures",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["batch", 3, *sides])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch", 4, 1, 1])],
        [numpy_helper.from_array(np.full((4, 3, 3, 3), weight, np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("sides", [(32, 48), ("height", "width")])
def test_a_model_of_pictures_is_registered_and_nothing_scores_with_it(foreign: Path, sides: tuple[Any, Any]) -> None:
    import pyvmaf

    registry = register_model(write_picture_model(foreign, 0.1, sides), **{**GIVEN, "kind": "nr"})
    assert check_registry(registry) == []
    with pytest.raises(IntegrityError, match="of kind 'nr', but this version of pyvmaf knows"):
        pyvmaf.load_model("vmaf_tiny_fr_v1", registry=registry)
    report = audit_compat(registry)
    assert [(found.level, "nothing here can score with" in found.message) for found in report.findings] == [
        ("note", True)
    ]


def test_a_model_of_pictures_that_answers_nan_is_refused(foreign: Path) -> None:
    with pytest.raises(IntegrityError, match="answers grey with NaN or infinity"):
        register_model(write_picture_model(foreign, -0.1, (32, 48)), **{**GIVEN, "kind": "nr"})


def test_an_id_of_another_model_is_not_taken(foreign: Path, results: Path) -> None:
    registry = results / "registry" / "registry.json"
    before = registry.read_bytes()
    for name, message in {
        "small": "lists another file as 'small'",
        "held": "lists 'held' as held by its gates",
    }.items():
        with pytest.raises(InputError, match=message):
            register_model(foreign, **GIVEN, name=name, registry=registry)
    assert registry.read_bytes() == before
    assert not foreign.with_suffix(".json").exists(), "nothing is written"


@pytest.mark.parametrize("output_range", [(float("nan"), 100), (0, float("inf")), (100, 0), (5, 5)])
def test_a_range_that_is_not_one_is_refused(foreign: Path, output_range: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="give two numbers, the smaller one first"):
        register_model(foreign, **GIVEN, output_range=output_range)
    assert not foreign.with_suffix(".json").exists()


def test_an_exported_model_keeps_its_sidecar_and_a_held_one_is_refused(results: Path) -> None:
    model = results / "models/small/seed0/model.onnx"
    before = model.with_suffix(".json").read_bytes()
    given: dict[str, Any] = {
        "kind": "fr",
        "dataset": "default",
        "license": "BSD-2-Clause-Patent",
        "train_commit": json.loads(before)["train_commit"],
    }
    registry = register_model(model, **given, registry="mine/registry.json")
    assert model.with_suffix(".json").read_bytes() == before
    assert Registry.read(registry).models[0].id == "small"
    assert check_registry(registry) == []
    for key, value in {"license": "MIT", "train_commit": "another", "dataset": "nflx"}.items():
        with pytest.raises(InputError, match=f"says {key} '{given[key]}', but '{value}' was given"):
            register_model(model, **{**given, key: value}, registry="mine/registry.json")
    with pytest.raises(InputError, match="held is held: mean PLCC"):
        register_model(
            results / "models/held/seed0/model.onnx",
            **{
                **given,
                "train_commit": json.loads((results / "models/held/seed0/model.json").read_text())["train_commit"],
            },
            registry="mine/registry.json",
        )
    with pytest.raises(InputError, match="did you mean 'filter'"):
        register_model(model, **{**given, "kind": "filters"})
