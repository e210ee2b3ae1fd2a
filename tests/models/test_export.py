"""export, its checks, and loading, on a small model; independent judges are torch, onnx and a numpy forward pass."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from pyvmaf.base.files import sha256_bytes, sha256_file
from pyvmaf.base.manifest import read_manifest
from pyvmaf.checks.evaluate import evaluate
from pyvmaf.codecs.vocabularies import VOCABULARIES
from pyvmaf.errors import InputError, IntegrityError, MissingFileError, PyvmafError
from pyvmaf.models import export as export_module
from pyvmaf.models.export import export, parity
from pyvmaf.models.fit import fit
from pyvmaf.models.graphs import check_file, member_graph
from pyvmaf.models.judge import judge
from pyvmaf.models.regressor.networks import build
from pyvmaf.models.regressor.spec import load_regressor
from pyvmaf.models.regressor.trials import trial_batches
from pyvmaf.models.weights import load_weights
from pyvmaf.runtime import allowlist
from pyvmaf.runtime import session as session_module
from pyvmaf.runtime.load import load_model
from tests.make.models import spec_file
from tests.make.tables import table_columns, write_table


class Line(NamedTuple):
    """The files of one model, from table to export."""

    spec: Path
    table: Path
    weights: Path
    verdict: Path
    onnx: Path

    @property
    def sidecar(self) -> dict[str, Any]:
        return dict(json.loads(self.onnx.with_suffix(".json").read_text()))


VARIANTS: dict[str, dict[str, Any]] = {
    "baked": {"network": {"hidden": [8, 4], "activation": "relu"}, "export": {"scaler": "baked"}},
    "scaled": {"network": {"hidden": [8], "activation": "gelu", "dropout": 0.1}, "export": {"scaler": "sidecar"}},
    "coded": {
        "network": {"hidden": [6, 6], "activation": "gelu"},
        "inputs": {"features": "canonical6", "codec": "v1"},
        "export": {"scaler": "sidecar"},
    },
    "both": {
        "network": {"hidden": [6], "activation": "relu"},
        "inputs": {"features": "canonical6", "codec": "v1"},
        "export": {"scaler": "baked"},
    },
    "linear": {"network": {"hidden": []}, "export": {"scaler": "baked"}},
}


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Line]:
    root = tmp_path_factory.mktemp("lines")
    table = write_table(root / "made.parquet", table_columns())
    made = {}
    for name, changes in VARIANTS.items():
        spec = spec_file(root, name, epochs=20, seeds=[0], **changes)
        fitted = fit(spec, table, root / name, seed=0)
        judge(spec, [fitted.report], root / name / "verdict.json")
        line = Line(spec, table, fitted.weights, root / name / "verdict.json", root / name / "model.onnx")
        export(line.spec, line.weights, line.verdict, line.table, line.onnx)
        made[name] = line
    return made


def forward(line: Line, X: np.ndarray, codec: np.ndarray | None) -> np.ndarray:
    """The model in numpy, float64, from the safetensors file: an answer that shares no code with export."""
    spec, weights = load_regressor(line.spec), load_weights(line.weights)
    place = weights.index(None)
    a = (X - weights.tensors["scaler_mean"][place]) / weights.tensors["scaler_std"][place]
    if codec is not None:
        a = np.hstack([a, codec])
    widths = [a.shape[1], *spec.network.hidden, 1]
    flat, start = weights.tensors["parameters"][place].astype(np.float64), 0
    for layer, (i, o) in enumerate(pairwise(widths)):
        block = flat[start : start + (i + 1) * o].reshape(o, i + 1)
        start += (i + 1) * o
        a = a @ block[:, :-1].T + block[:, -1]
        if layer < len(widths) - 2:
            erf = np.vectorize(math.erf)
            a = np.maximum(a, 0) if spec.network.activation == "relu" else a * (1 + erf(a / math.sqrt(2))) / 2
    return np.asarray(a[:, 0])


def rows(n: int = 40) -> np.ndarray:
    columns = table_columns()
    return np.column_stack([columns[k][:n] for k in load_order()])


def load_order() -> tuple[str, ...]:
    return ("adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2")


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_the_loaded_model_computes_what_was_trained(lines: dict[str, Line], name: str) -> None:
    line = lines[name]
    model = load_model(line.onnx)
    X = rows()
    codec = None
    if "inputs" in VARIANTS[name]:
        codec = np.random.default_rng(0).random((len(X), 8))
    found = model.predict(X, codec)
    np.testing.assert_allclose(found.answers, forward(line, X, codec), atol=2e-3)
    np.testing.assert_allclose(found.scores, found.answers.clip(0, 100))
    assert np.std(found.scores) > 1
    one = model.predict(X[:1], None if codec is None else codec[:1])
    np.testing.assert_allclose(one.scores, found.scores[:1], atol=1e-3)


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_the_file_is_what_its_sidecar_says(lines: dict[str, Line], name: str) -> None:
    line, sidecar = lines[name], lines[name].sidecar
    model = onnx.load(line.onnx)
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    assert not model.metadata_props
    assert not model.doc_string
    assert [i.name for i in model.graph.input] == ["features", "codec"][: 1 + (sidecar["codec"] is not None)]
    assert [o.name for o in model.graph.output] == ["score"]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert len(model.graph.output[0].type.tensor_type.shape.dim) == 1
    assert sidecar["sha256"] == sha256_file(line.onnx)
    assert sidecar["bytes"] == line.onnx.stat().st_size
    assert sidecar["dataset_sha256"] == sha256_file(line.table)
    assert sidecar["roundtrip"]["error"] <= 1e-5
    assert {n.op_type for n in model.graph.node} == set(sidecar["operators"])
    columns = table_columns()
    assert sidecar["feature_ranges"] == {k: [min(columns[k]), max(columns[k])] for k in load_order()}
    assert sidecar["gates"] == json.loads(line.verdict.read_text())["gate"]
    in_graph = sidecar["input_normalization"]["in_graph"]
    assert in_graph == ("Sub" in sidecar["operators"]) == (VARIANTS[name]["export"]["scaler"] == "baked")
    spec = load_regressor(line.spec)
    network = build(spec.network, 6 + (8 if spec.inputs.codec else 0))
    stored = sum(int(np.prod(t.dims)) for t in model.graph.initializer if t.name.startswith("layers."))
    assert sidecar["n_params"] == network.n_parameters == stored
    outputs = read_manifest(line.onnx)["outputs"]
    assert {o["sha256"] for o in outputs.values()} == {
        sha256_file(line.onnx),
        sha256_file(line.onnx.with_suffix(".json")),
    }


def test_the_sidecar_has_the_keys_of_the_guide(lines: dict[str, Line]) -> None:
    guide = "schema_version name kind onnx_opset input_name output_name input_normalization expected_output_range"
    assert set(f"{guide} dataset train_commit train_config_hash license".split()) <= set(lines["baked"].sidecar)
    assert lines["baked"].sidecar["schema_version"] == 1
    assert lines["baked"].sidecar["train_config_hash"].startswith("sha256:")


def test_another_process_exports_the_same_bytes(lines: dict[str, Line], tmp_path: Path) -> None:
    line = lines["coded"]
    words = ["export", "--config", line.spec, "--checkpoint", line.weights, "--verdict", line.verdict]
    words += ["--features", line.table, "--output", tmp_path / "model.onnx"]
    done = subprocess.run(
        [sys.executable, "-m", "pyvmaf", *map(str, words)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model.onnx").read_bytes() == line.onnx.read_bytes()


def test_a_fold_member_is_exported_alike(lines: dict[str, Line]) -> None:
    line = lines["baked"]
    spec, weights = load_regressor(line.spec), load_weights(line.weights)
    assert member_graph(spec, weights).data == line.onnx.read_bytes()
    other = member_graph(spec, weights, "scene1").data
    assert other != line.onnx.read_bytes()
    with pytest.raises(InputError, match="holds no member for 'scene9'"):
        member_graph(spec, weights, "scene9")


def test_export_refuses_what_was_not_judged(lines: dict[str, Line], tmp_path: Path) -> None:
    line = lines["baked"]
    out = tmp_path / "m.onnx"
    columns = table_columns()
    columns["vmaf"][0] += 0.5
    other = write_table(tmp_path / "other.parquet", columns)
    with pytest.raises(InputError, match=r"judged the table with sha256 \w{64}, but .*other\.parquet is \w{64}"):
        export(line.spec, line.weights, line.verdict, other, out)
    refit = fit(line.spec, other, tmp_path / "refit", seed=0, epochs=0)
    with pytest.raises(InputError, match="was trained on"):
        export(line.spec, refit.weights, line.verdict, line.table, out)
    again = fit(line.spec, line.table, tmp_path / "again", seed=0, epochs=1)
    with pytest.raises(InputError, match="judged weights"):
        export(line.spec, again.weights, line.verdict, line.table, out)
    with pytest.raises(InputError, match="judged model 'scaled', not 'baked'"):
        export(line.spec, line.weights, lines["scaled"].verdict, line.table, out)
    changed = tmp_path / "baked.yaml"
    changed.write_text(line.spec.read_text().replace("- 8\n", "- 9\n"))
    assert changed.read_text() != line.spec.read_text()
    with pytest.raises(InputError, match=r"was fitted with other settings \(network: "):
        export(changed, line.weights, line.verdict, line.table, out)
    with pytest.raises(IntegrityError, match="does not conform to Verdict on a model"):
        export(line.spec, line.weights, line.onnx.with_suffix(".json"), line.table, out)
    assert not list(tmp_path.glob("m.*"))


def test_a_held_model_is_exported_as_held(lines: dict[str, Line], tmp_path: Path) -> None:
    line = lines["baked"]
    strict = tmp_path / "baked.yaml"
    strict.write_text(line.spec.read_text() + "gates: {mean_plcc_min: 1.0}\n")
    verdict = tmp_path / "verdict.json"
    judge(strict, [line.weights.with_name("loso.json")], verdict)
    sidecar = export(strict, line.weights, verdict, line.table, tmp_path / "m.onnx")
    assert (sidecar["verdict"], sidecar["gates"]["passed"]) == ("HOLD", False)


def test_size_opset_and_tolerance_are_limits(
    lines: dict[str, Line], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = lines["baked"]
    weights = load_weights(line.weights)
    small = tmp_path / "baked.yaml"
    text = line.spec.read_text()
    small.write_text(text.replace("scaler: baked", "scaler: baked\n  max_bytes: 100"))
    size = line.onnx.stat().st_size
    with pytest.raises(InputError, match=rf"has {size} bytes, but its spec allows 100"):
        member_graph(load_regressor(small), weights)
    with pytest.raises(InputError, match=r"\('', 17\)\], but opset 18"):
        check_file(line.onnx.read_bytes(), load_regressor(line.spec), opset=18)

    # A runtime that answers a little differently is noticed.
    spec = load_regressor(line.spec)
    right = session_module.run_all
    monkeypatch.setattr(export_module, "run_all", lambda *a: [output + 0.01 for output in right(*a)])
    with pytest.raises(PyvmafError, match=r"differ by 0\.0001 of the output range .* tolerance is 1e-05"):
        parity(spec, weights, line.onnx.read_bytes())
    monkeypatch.setattr(export_module, "run_all", lambda *a: [output * float("nan") for output in right(*a)])
    with pytest.raises(PyvmafError, match="differ by nan"):
        parity(spec, weights, line.onnx.read_bytes())


def test_trial_batches_cover_inside_corners_and_far_outside() -> None:
    low, high = np.array([0.0, 2.0]), np.array([1.0, 2.0])
    batches = trial_batches(low, high, VOCABULARIES["v1"])
    X = np.vstack([x for x, _ in batches])
    assert {len(x) for x, _ in batches} >= {1, 2, 257, 512}
    assert X[:, 0].min() <= -100
    assert X[:, 0].max() >= 101
    assert np.isfinite(X).all()
    codec = np.vstack([c for _, c in batches if c is not None])
    assert codec.shape == (len(X), 8)
    assert set(codec[:, :6].sum(axis=1).tolist()) == {1.0}


def test_a_changed_vocabulary_is_noticed(lines: dict[str, Line], monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    line = lines["coded"]
    v1 = VOCABULARIES["v1"]
    assert v1.quality is not None
    changed = dataclasses.replace(v1, quality=dataclasses.replace(v1.quality, clip_at={}))
    monkeypatch.setitem(VOCABULARIES, "v1", changed)
    with pytest.raises(IntegrityError, match="a vocabulary must not change"):
        member_graph(load_regressor(line.spec), load_weights(line.weights))
    with pytest.raises(IntegrityError, match="its codec columns would mean something else"):
        load_model(line.onnx)
    monkeypatch.delitem(VOCABULARIES, "v1")
    with pytest.raises(IntegrityError, match="does not know"):
        load_model(line.onnx)


# -- loading -------------------------------------------------------------------------------------


@pytest.fixture
def copy(lines: dict[str, Line], tmp_path: Path) -> Path:
    for suffix in (".onnx", ".json"):
        shutil.copy(lines["baked"].onnx.with_suffix(suffix), tmp_path / f"model{suffix}")
    return tmp_path / "model.onnx"


def test_a_flipped_byte_is_found(copy: Path) -> None:
    data = bytearray(copy.read_bytes())
    data[-20] ^= 1
    copy.write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match=r"has sha256 \w{64}, but \w{64} is pinned"):
        load_model(copy)


def test_only_regular_files_below_the_root_are_loaded(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jail = copy.parent / "jail"
    jail.mkdir()
    assert load_model(copy, root=copy.parent).features == load_order()
    with pytest.raises(InputError, match="lies outside of the folder"):
        load_model(copy, root=jail)
    for suffix in (".onnx", ".json"):
        (jail / f"link{suffix}").symlink_to(copy.with_suffix(suffix))
    with pytest.raises(InputError, match="lies outside"):
        load_model(jail / "link.onnx", root=jail)
    with pytest.raises(InputError, match="lies outside"):
        load_model(jail / ".." / "model.onnx", root=jail)
    monkeypatch.setenv("VMAF_TINY_MODEL_DIR", str(jail))
    with pytest.raises(InputError, match="lies outside"):
        load_model(copy)
    monkeypatch.delenv("VMAF_TINY_MODEL_DIR")
    with pytest.raises(MissingFileError, match=r"nothing\.json"):
        load_model(jail / "nothing.onnx")
    copy.unlink()
    os.mkfifo(copy)
    with pytest.raises(InputError, match="not a regular file"):
        load_model(copy)
    with pytest.raises(InputError, match="not a regular file"):
        allowlist.read_model(copy)


def test_oversized_files_are_not_read(copy: Path) -> None:
    with open(copy, "r+b") as stream:
        stream.truncate(50_000_001)
    with pytest.raises(InputError, match="50000001 bytes, but a model may have at most 50000000"):
        load_model(copy)
    with open(copy.with_suffix(".json"), "r+b") as stream:
        stream.truncate((1 << 20) + 1)
    with pytest.raises(InputError, match="1048577 bytes, but a sidecar may have at most 1048576"):
        load_model(copy)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": "abc"}, "sha256"),
        ({"extra": 1}, "extra"),
        ({"schema_version": 2}, "schema_version"),
        ({"onnx": "../model.onnx"}, "onnx"),
        ({"features": ["adm2"]}, "lists 1 features, but 6 values of mean"),
        ({"feature_ranges": {}}, "gives feature_ranges of"),
    ],
)
def test_sidecars_that_do_not_conform(copy: Path, change: dict[str, Any], said: str) -> None:
    path = copy.with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(IntegrityError, match=said):
        load_model(copy)


def test_operators_are_checked_before_a_session_exists(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = onnx.load(copy)
    model.graph.node.append(helper.make_node("Det", ["x"], ["y"], name="bad"))
    copy.write_bytes(model.SerializeToString())

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a session was made")

    monkeypatch.setattr(ort, "InferenceSession", never)
    with pytest.raises(InputError, match="operator Det at /bad"):
        load_model(copy, sha256=sha256_file(copy))


def test_what_predict_takes(lines: dict[str, Line]) -> None:
    import pandas as pd
    import pyarrow as pa

    X = rows(5)
    model = load_model(lines["baked"].onnx)
    expected = model.predict(X).scores
    shuffled = {k: X[:, i].tolist() for i, k in reversed(list(enumerate(load_order())))} | {"more": [0] * 5}
    for given in (shuffled, pd.DataFrame(shuffled), pa.table(shuffled)):
        np.testing.assert_array_equal(model.predict(given).scores, expected)
    assert model.predict(np.empty((0, 6))).scores.shape == (0,)
    with pytest.raises(InputError, match="the rows lack motion2"):
        model.predict({k: v for k, v in shuffled.items() if k != "motion2"})
    with pytest.raises(InputError, match=r"takes \[rows, 6\] .*, not \(5, 5\)"):
        model.predict(X[:, :5])
    with pytest.raises(InputError, match="1 of 5 rows hold NaN"):
        model.predict(np.where(np.arange(30).reshape(5, 6) == 7, np.nan, X))
    with pytest.raises(InputError, match="has no codec input"):
        model.predict(X, ("libx264", "medium", 20))


def test_codec_forms(lines: dict[str, Line]) -> None:
    X = rows(3)
    model = load_model(lines["coded"].onnx)
    block = VOCABULARIES["v1"].encode("x265", "slow", 30)
    expected = model.predict(X, np.tile(block, (3, 1))).scores
    np.testing.assert_array_equal(model.predict(X, ("libx265", "slow", 30)).scores, expected)
    np.testing.assert_array_equal(model.predict(X, block).scores, expected)
    blind = model.predict(X).scores
    np.testing.assert_array_equal(model.predict(X, [0, 0, 0, 0, 0, 1, 0.5, 0.5]).scores, blind)
    assert not np.array_equal(blind, expected)
    with pytest.raises(InputError, match=r"is \[3, 8\] .*, not \(3, 14\)"):
        model.predict(X, np.zeros((3, 14)))
    with pytest.raises(InputError, match=r"outside of \[0, 1\]"):
        model.predict(X, np.full((3, 8), 2.0))


def test_rows_outside_the_training_range_are_counted(lines: dict[str, Line]) -> None:
    model = load_model(lines["baked"].onnx)
    X = rows(10)
    assert model.predict(X).outside == {}
    X[0, 5] = 1000
    X[1, 5] = -1
    X[1, 0] = 2
    found = model.predict(X)
    assert found.outside == {"adm2": 0.1, "motion2": 0.2}
    assert found.outside_share == 0.2
    assert found.unexpected_share == np.mean((found.answers < 0) | (found.answers > 100)) > 0


# -- the allowlist -------------------------------------------------------------------------------


def graph_of(*nodes: onnx.NodeProto, **extra: Any) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])]
    graph = helper.make_graph(list(nodes), "g", inputs, outputs, extra.pop("initializer", []))
    return helper.make_model(graph, opset_imports=extra.pop("opsets", [helper.make_opsetid("", 17)]), **extra)


def body(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "body", [], [])


def trips(n: int, dtype: type = np.int64) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(n, dtype), "trips")


def loop(inner: onnx.GraphProto, name: str = "trips") -> onnx.NodeProto:
    return helper.make_node("Loop", [name, ""], ["y"], body=inner)


OK = helper.make_node("Relu", ["x"], ["y"])
BAD = helper.make_node("Scan", ["x"], ["y"], name="bad")


def nested(depth: int) -> onnx.NodeProto:
    node = OK
    for _ in range(depth):
        node = helper.make_node("If", ["x"], ["y"], then_branch=body(node), else_branch=body(OK))
    return node


def external() -> onnx.TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../secret")
    return tensor


def constant_trips(n: int) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["trips"], value=trips(n))


def test_allowed_graphs_pass_and_are_counted() -> None:
    assert allowlist.check(graph_of(OK, nested(8)), "m") == {"If": 8, "Relu": 10}
    assert allowlist.check(graph_of(loop(body(OK)), initializer=[trips(1024)]), "m") == {"Loop": 1, "Relu": 1}
    assert allowlist.check(graph_of(constant_trips(0), loop(body(OK))), "m")["Loop"] == 1


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (graph_of(BAD), "operator Scan at /bad"),
        (
            graph_of(helper.make_node("If", ["x"], ["y"], name="if", then_branch=body(OK), else_branch=body(BAD))),
            "/if/bad",
        ),
        (graph_of(loop(body(BAD)), initializer=[trips(3)]), "Scan"),
        (graph_of(helper.make_node("DynamicQuantizeLinear", ["x"], ["y"])), "DynamicQuantizeLinear"),
        (graph_of(helper.make_node("Relu", ["x"], ["y"], domain="com.evil")), "com.evil.Relu"),
        (graph_of(OK, opsets=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]), "com.microsoft"),
        (graph_of(OK, opsets=[helper.make_opsetid("", 99)]), "operator set 99"),
        (graph_of(OK, opsets=[helper.make_opsetid("", 17), helper.make_opsetid("", 13)]), "2 operator sets"),
        (graph_of(OK, opsets=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx", 13)]), "2 operator sets"),
        (graph_of(OK, opsets=[]), "no operator sets"),
        (graph_of(loop(body(loop(body(OK)))), initializer=[trips(33)]), "loops in loops of 1089 rounds together"),
        (graph_of(OK, opsets=[helper.make_opsetid("", 6)]), "operator set 6"),
        (
            graph_of(
                OK,
                functions=[helper.make_function("f", "F", ["a"], ["b"], [OK], [helper.make_opsetid("", 17)])],
            ),
            "1 functions",
        ),
        (graph_of(OK, initializer=[external()]), "tensor 'w' stored in another file"),
        (graph_of(helper.make_node("Constant", [], ["y"], value=external())), "stored in another file"),
        (graph_of(loop(body(OK)), initializer=[trips(1025)]), r"loop of \[1025\] rounds"),
        (graph_of(loop(body(OK)), initializer=[trips(-1)]), r"loop of \[-1\] rounds"),
        (graph_of(loop(body(OK)), initializer=[trips(3, np.int32)]), "without a constant number"),
        (graph_of(loop(body(OK), "x")), "without a constant number"),
        (graph_of(constant_trips(3), helper.make_node("Abs", ["x"], ["trips"]), loop(body(OK))), "without a constant"),
        (graph_of(*[loop(body(OK))] * 17, initializer=[trips(1)]), r"17 loops \(at most 16\)"),
        (graph_of(nested(9)), "nested deeper than 8"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_a_model_may_not_hold(model: onnx.ModelProto, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        allowlist.check(model, "m.onnx")
    assert str(caught.value).startswith("m.onnx holds what a model may not: ")


def test_an_input_of_the_callers_is_no_constant() -> None:
    model = graph_of(loop(body(OK)), initializer=[trips(3)])
    model.graph.input.append(helper.make_tensor_value_info("trips", TensorProto.INT64, []))
    with pytest.raises(InputError, match="without a constant number"):
        allowlist.check(model, "m")


def test_bytes_that_are_no_model() -> None:
    for data in (b"", b"\x00", b"not a model at all", os.urandom(64)):
        with pytest.raises(IntegrityError, match=r"m\.onnx is not an ONNX file"):
            allowlist.parse(data, "m.onnx")


# -- eval ----------------------------------------------------------------------------------------


def test_eval_agrees_with_scipy(lines: dict[str, Line], tmp_path: Path) -> None:
    from scipy import stats

    line = lines["coded"]
    out = tmp_path / "eval.json"
    report = evaluate(line.onnx, line.table, split="all", output=out)
    columns = table_columns()
    X = np.column_stack([columns[k] for k in load_order()])
    pairs = zip(columns["encoder"], columns["preset"], columns["crf"], strict=True)
    codec = np.array([VOCABULARIES["v1"].encode(*cell) for cell in pairs])
    p, y = forward(line, X, codec), np.array(columns["vmaf"])
    assert report["plcc"] == pytest.approx(stats.pearsonr(p, y).statistic, abs=1e-6)
    assert report["rmse"] == pytest.approx(np.sqrt(np.mean((p - y) ** 2)), abs=1e-3)
    assert report["trained_on_this_table"]
    assert report["outside_training_range"]["share"] == 0
    assert json.loads(out.read_text()) == {k: v for k, v in report.items() if not k.startswith("latency_")}
    assert read_manifest(out)["outputs"]["report"]["sha256"] == sha256_file(out)


def test_eval_of_splits_and_values(lines: dict[str, Line]) -> None:
    line = lines["baked"]
    parts = [evaluate(line.onnx, line.table, split=split)["groups"] for split in ("train", "val", "test")]
    assert all(parts)
    assert sorted(name for names in parts for name in names) == ["scene0", "scene1", "scene2", "scene3"]
    one = evaluate(line.onnx, line.table, only=["scene1"])
    assert (one["groups"], one["n_samples"]) == (["scene1"], 108)
    with pytest.raises(InputError, match=r"unknown source of .*'scene11': did you mean 'scene1'"):
        evaluate(line.onnx, line.table, only=["scene11"])
    with pytest.raises(InputError, match="unknown split 'tset': did you mean 'test'"):
        evaluate(line.onnx, line.table, split="tset")


def test_the_key_hash_split_is_the_published_one() -> None:
    import hashlib

    from pyvmaf.splits import hash_split

    keys = [f"clip{i}" for i in range(400)]
    found = hash_split(keys)
    u = [int(hashlib.sha256(b"vmaf-train-splits-v1:" + k.encode()).hexdigest()[:16], 16) / 2**64 for k in keys]
    assert found.tolist() == ["test" if v < 0.1 else "val" if v < 0.2 else "train" for v in u]
    assert hash_split(keys[:7]).tolist() == found[:7].tolist()
    assert set(hash_split(keys, 0, 0).tolist()) == {"train"}
    with pytest.raises(InputError, match="sum to less than 1"):
        hash_split(keys, 0.5, 0.5)


def test_torch_and_export_share_no_surprise_at_float32(lines: dict[str, Line]) -> None:
    line = lines["scaled"]
    spec, weights = load_regressor(line.spec), load_weights(line.weights)
    place = weights.index(None)
    module = build(spec.network, 6).as_module(torch.from_numpy(weights.tensors["parameters"][place])).eval()
    x = ((rows() - weights.tensors["scaler_mean"][place]) / weights.tensors["scaler_std"][place]).astype(np.float32)
    session = ort.InferenceSession(line.onnx.read_bytes(), providers=["CPUExecutionProvider"])
    found = session.run(["score"], {"features": x})[0]
    with torch.inference_mode():
        np.testing.assert_allclose(found, module(torch.from_numpy(x))[:, 0].numpy().clip(0, 100), atol=1e-4)
    assert sha256_bytes(line.onnx.read_bytes()) == line.sidecar["sha256"]
