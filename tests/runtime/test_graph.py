"""The extent of graphs: what a run takes is established before it runs, and compared with onnxruntime afterwards."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from pyvmaf.base.files import sha256_bytes
from pyvmaf.checks.check_ops import check_ops
from pyvmaf.errors import PyvmafError
from pyvmaf.runtime.graph import Graph
from pyvmaf.runtime.load import load_model

ARTEFACTS = Path(__file__).parents[1] / "artefacts"
node = helper.make_node


def info(name: str, kind: int = TensorProto.FLOAT, shape: Any = ()) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def graph_of(
    nodes: list[onnx.NodeProto],
    constants: dict[str, Any] | None = None,
    *,
    columns: int = 6,
    output: onnx.ValueInfoProto | None = None,
    opset: int = 17,
    **more: Any,
) -> bytes:
    """The bytes of a graph that takes ``features`` [batch, columns] and gives ``score``."""
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(
        nodes, "made", [info("features", shape=["batch", columns])], [output or info("score", shape=["batch"])], tensors
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, **more)
    return bytes(model.SerializeToString())


def mean(source: str = "features", target: str = "score") -> onnx.NodeProto:
    return node("ReduceMean", [source], [target], axes=[1], keepdims=0)


def loops(depth: int, rounds: str = "rounds") -> onnx.NodeProto:
    """Loops in a loop, each of which adds to a carried value."""
    body = node("Add", ["v0", "one"], ["o0"])
    for level in range(depth):
        inner = helper.make_graph(
            [node("Identity", [f"c{level}"], [f"d{level}"]), body],
            f"body{level}",
            [info(f"i{level}", TensorProto.INT64), info(f"c{level}", TensorProto.BOOL), info(f"v{level}", shape=None)],
            [info(f"d{level}", TensorProto.BOOL), info(f"o{level}", shape=None)],
        )
        target = f"o{level + 1}" if level < depth - 1 else "score"
        body = node("Loop", [rounds, "", f"v{level + 1}" if level < depth - 1 else "mean"], [target], body=inner)
    return body


def doubling(times: int) -> list[onnx.NodeProto]:
    names = ["seed", *(f"d{i}" for i in range(times))]
    return [
        *(node("Concat", [a, a], [b], axis=0) for a, b in pairwise(names)),
        node("ReduceSum", [names[-1]], ["sum"], keepdims=0),
        mean("features", "mean"),
        node("Add", ["mean", "sum"], ["score"]),
    ]


def reduced(big: onnx.NodeProto) -> list[onnx.NodeProto]:
    """A node whose output ``big`` is summed into the score."""
    return [
        big,
        node("ReduceSum", ["big"], ["sum"], keepdims=0),
        mean("features", "mean"),
        node("Add", ["mean", "sum"], ["score"]),
    ]


def growing() -> list[onnx.NodeProto]:
    """A loop whose carried value is longer after every round."""
    body = helper.make_graph(
        [node("Identity", ["c"], ["d"]), node("Concat", ["v", "v"], ["o"], axis=0)],
        "body",
        [info("i", TensorProto.INT64), info("c", TensorProto.BOOL), info("v", shape=None)],
        [info("d", TensorProto.BOOL), info("o", shape=None)],
    )
    return reduced(node("Loop", ["rounds", "", "seed"], ["big"], body=body))


SEED = {"seed": np.ones(4, np.float32)}
ROUNDS = {"rounds": np.int64(1024), "one": np.float32(1)}
HUGE = np.array([1 << 16, 1 << 16], np.int64)
REFUSED: dict[str, tuple[list[onnx.NodeProto], dict[str, Any], str]] = {
    "loops in loops": ([mean("features", "mean"), loops(2)], ROUNDS, "loops in loops of 1048576 rounds together"),
    "seven loops": ([mean("features", "mean"), loops(7)], ROUNDS, "loops in loops"),
    "a loop of a computed number of rounds": (
        [mean("features", "mean"), node("Shape", ["features"], ["s"]), node("Gather", ["s", "zero"], ["n"]), loops(1, "n")],
        {**ROUNDS, "zero": np.int64(0)},
        "without a constant number of rounds",
    ),
    "a loop that grows": (growing(), {**SEED, **ROUNDS}, r"carries a value of shape \[4\] that has shape \[8\]"),
    "doubled constants": (doubling(33), SEED, "bytes of memory"),
    "ConstantOfShape": (reduced(node("ConstantOfShape", ["huge"], ["big"])), {"huge": HUGE}, "bytes of memory"),
    "Expand": (reduced(node("Expand", ["one", "huge"], ["big"])), {"huge": HUGE, **ROUNDS}, "bytes of memory"),
    "Pad": (
        reduced(node("Pad", ["seed", "pads"], ["big"])),
        {**SEED, "pads": np.array([0, 1 << 40], np.int64)},
        "bytes of memory",
    ),
    "Resize": (
        reduced(node("Resize", ["picture", "", "scales"], ["big"])),
        {"picture": np.ones((1, 1, 4, 4), np.float32), "scales": np.array([1, 1, 5000, 5000], np.float32)},
        "bytes of memory",
    ),
    "rows that are multiplied by rows": (
        [
            node("Transpose", ["features"], ["turned"]),
            node("MatMul", ["features", "turned"], ["square"]),
            mean("square"),
        ],
        {},
        "may depend on nothing but its row",
    ),
    "a size that the values decide": (
        [
            node("ReduceMax", ["features"], ["m"], keepdims=0),
            node("Cast", ["m"], ["n"], to=TensorProto.INT64),
            node("Reshape", ["n", "one_axis"], ["shape"]),
            *reduced(node("ConstantOfShape", ["shape"], ["big"])),
        ],
        {"one_axis": np.array([1], np.int64)},
        "depends on values that are known only when it runs",
    ),
    "products without end": (
        [
            node("Expand", ["one", "square"], ["a"]),
            *(node("MatMul", ["a" if i == 0 else f"p{i - 1}", "a"], [f"p{i}"]) for i in range(40)),
            node("ReduceSum", ["p39"], ["sum"], keepdims=0),
            mean("features", "mean"),
            node("Add", ["mean", "sum"], ["score"]),
        ],
        {**ROUNDS, "square": np.array([1500, 1500], np.int64)},
        "multiplications and additions",
    ),
    "a sparse tensor": (
        [node("Constant", [], ["big"], sparse_value=helper.make_sparse_tensor(
            numpy_helper.from_array(np.ones(1, np.float32)), numpy_helper.from_array(np.zeros(1, np.int64)),
            [1 << 40])), *reduced(node("Identity", ["big"], ["big2"]))[1:]],
        {},
        "sparse tensors",
    ),
    "a cycle": (
        [node("Add", ["features", "b"], ["a"]), node("Neg", ["a"], ["b"]), mean("b")], {}, "is not valid ONNX"),
    "an input that nothing computes": ([mean("nothing")], {}, "is not valid ONNX"),
    "an output that nothing computes": ([mean(target="other")], {}, "is not valid ONNX|no node computes"),
    "a name computed twice": ([mean(), mean()], {}, "is not valid ONNX"),
    "shapes that do not fit": (
        [node("MatMul", ["features", "w"], ["score"])], {"w": np.ones(5, np.float32)}, "is not valid ONNX"),
    "types that do not fit": (
        [node("MatMul", ["features", "w"], ["score"])], {"w": np.ones(6, np.int64)}, "is not valid ONNX"),
    "an attribute that is not there": (
        [node("Cast", ["features"], ["c"]), mean("c")], {}, "is not valid ONNX"),
    "weights of NaN": (
        [node("Mul", ["features", "w"], ["a"]), mean("a")], {"w": np.full(6, np.nan, np.float32)}, "'w' with NaN"),
    "infinite weights of float16": (
        [node("Cast", ["w"], ["v"], to=1), node("Mul", ["features", "v"], ["a"]), mean("a")],
        {"w": np.full(6, np.inf, np.float16)}, "'w' with NaN or infinity"),
    "a constant of NaN": (
        [node("Constant", [], ["w"], value_floats=[float("nan")] * 6), node("Mul", ["features", "w"], ["a"]), mean("a")],
        {}, "attribute value_floats with NaN"),
    "a scale of 0": (
        [node("QuantizeLinear", ["features", "s"], ["q"]), node("DequantizeLinear", ["q", "s"], ["d"]), mean("d")],
        {"s": np.float32(0)}, "a scale of 0 or less"),
    "two axes": ([node("Abs", ["features"], ["score"])], {}, r"FLOAT \[1, 6\]|is not valid ONNX"),
    "text": (
        [mean(target="m"), node("Cast", ["m"], ["score"], to=TensorProto.STRING)], {}, "STRING|is not valid ONNX"),
    "whole numbers": (
        [mean(target="m"), node("Cast", ["m"], ["score"], to=TensorProto.INT64)], {}, "INT64|is not valid ONNX"),
    "one score for all rows": (
        [node("ReduceMean", ["features"], ["score"], keepdims=0)], {}, r"FLOAT \[\]|is not valid ONNX"),
    "0 divided by 0": (
        [mean(target="m"), node("Sub", ["m", "m"], ["z"]), node("Div", ["z", "z"], ["score"])], {}, "with NaN or infinity"),
    "rows that look at each other": (
        [mean(target="m"), node("ReduceMean", ["m"], ["all"]), node("Mul", ["m", "all"], ["p"]),
         node("Mul", ["p", "hundred"], ["score"])], {"hundred": np.float32(100)}, "may depend on nothing but its row"),
}  # fmt: skip


@pytest.fixture
def by_hand(tmp_path: Path) -> Any:
    """Writes a graph with a true sidecar of a model without scaler and ranges."""

    def write(data: bytes) -> Path:
        path = tmp_path / "model.onnx"
        path.write_bytes(data)
        donor = ARTEFACTS / "0.1.0/results/models/frame_model/seed0/model.json"
        sidecar = json.loads(donor.read_text())
        for key in ("bytes", "operators", "n_params", "roundtrip", "seed", "epochs"):
            sidecar.pop(key, None)
        sidecar |= {
            "sha256": sha256_bytes(data), "verdict": "UNJUDGED", "gates": None, "feature_ranges": None,
            "input_normalization": None, "codec": None,
        }  # fmt: skip
        for key in ("input_guard", "input_guard_margin", "input_transforms"):
            sidecar.pop(key, None)
        path.with_suffix(".json").write_text(json.dumps(sidecar))
        return path

    return write


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_score_is_refused_when_it_is_loaded(name: str, by_hand: Any) -> None:
    nodes, constants, message = REFUSED[name]
    with pytest.raises(PyvmafError, match=message) as caught:
        load_model(by_hand(graph_of(nodes, constants))).predict(np.ones((70_000, 6)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["loops in loops", "doubled constants", "Expand", "a cycle", "weights of NaN"])
def test_check_ops_says_so_too(name: str, tmp_path: Path) -> None:
    nodes, constants, message = REFUSED[name]
    path = tmp_path / "model.onnx"
    path.write_bytes(graph_of(nodes, constants))
    (scanned,) = check_ops([path]).models
    assert any(word in scanned.problems[0] for word in message.split("|")), scanned.problems


@pytest.mark.parametrize("name", ["a\nb\x1b[2J", "x" * 100_000])
def test_names_of_any_kind_are_shown_on_one_short_line(name: str, tmp_path: Path, by_hand: Any) -> None:
    bad = node("Hardmax", ["features"], [name], name=name, domain=name)
    for nodes in ([bad, mean(name)], [node("Neg", ["features"], [name], name=name), mean(f"{name}{name}")]):
        with pytest.raises(PyvmafError) as caught:
            load_model(by_hand(graph_of(nodes)))
        assert "\n" not in str(caught.value)
        assert "\x1b" not in str(caught.value)
        assert len(str(caught.value)) < 1000


ACCEPTED: dict[str, tuple[list[onnx.NodeProto], dict[str, Any]]] = {
    "reshaped to one axis": (
        [node("MatMul", ["features", "w"], ["m"]), node("Reshape", ["m", "all"], ["score"])],
        {"w": np.ones((6, 1), np.float32), "all": np.array([-1], np.int64)},
    ),
    "reshaped by its own shape": (
        [
            node("Shape", ["features"], ["s"]),
            node("Gather", ["s", "zero"], ["n"]),
            node("Unsqueeze", ["n", "axis"], ["u"]),
            node("Concat", ["u", "rest"], ["shape"], axis=0),
            node("Reshape", ["features", "shape"], ["r"]),
            mean("r", "score"),
        ],
        {"zero": np.int64(0), "axis": np.array([0], np.int64), "rest": np.array([-1], np.int64)},
    ),
    "a loop": ([mean("features", "mean"), loops(1)], {"rounds": np.int64(5), "one": np.float32(1)}),
    "loops in a loop": ([mean("features", "mean"), loops(3)], {"rounds": np.int64(3), "one": np.float32(1)}),
    "a branch": (
        [
            mean("features", "mean"),
            node(
                "If", ["yes"], ["score"],
                then_branch=helper.make_graph([node("Neg", ["mean"], ["a"])], "t", [], [info("a", shape=None)]),
                else_branch=helper.make_graph([node("Abs", ["mean"], ["b"])], "e", [], [info("b", shape=None)]),
            ),
        ],
        {"yes": np.array(False)},
    ),
    "a picture of six pixels": (
        [
            node("Reshape", ["features", "picture"], ["p"]),
            node("Conv", ["p", "w"], ["c"], pads=[1, 1, 1, 1]),
            node("GlobalAveragePool", ["c"], ["g"]),
            node("Flatten", ["g"], ["f"]),
            node("Squeeze", ["f", "axis"], ["score"]),
        ],
        {"picture": np.array([-1, 1, 2, 3], np.int64), "w": np.ones((1, 1, 3, 3), np.float32),
         "axis": np.array([1], np.int64)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
@pytest.mark.parametrize("n", [1, 2, 40_000])
def test_what_is_bounded_is_scored_as_onnxruntime_scores_it(name: str, n: int, by_hand: Any) -> None:
    nodes, constants = ACCEPTED[name]
    data = graph_of(nodes, constants)
    X = np.random.default_rng(0).random((n, 6), dtype=np.float32)
    expected = ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"features": X})[0]
    np.testing.assert_allclose(load_model(by_hand(data)).predict(X).scores, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("path", sorted(ARTEFACTS.rglob("*.onnx")), ids=lambda path: "/".join(path.parts[-3:]))
def test_every_value_of_a_model_has_the_size_that_onnxruntime_gives_it(path: Path) -> None:
    graph = Graph.of(path.read_bytes(), path.name)
    shapes = {name: (7, *(size or 1 for size in shape[1:])) for name, shape in graph.inputs.items()}
    model = onnx.load(path)
    names = [name for one in model.graph.node for name in one.output]
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name != "score")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    outputs = [value.name for value in session.get_outputs()]
    values = session.run(outputs, {name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
    inner = Graph("inner", b"", model, {}, graph.opset)
    assert {name: tensor.shape for name, tensor in inner.check_extent(shapes).items()} == {
        name: value.shape for name, value in zip(outputs, values, strict=True)
    }


@given(
    steps=st.lists(
        st.sampled_from(["Concat", "Expand", "Pad", "Neg", "Reshape", "MatMul", "Slice", "Unsqueeze"]), max_size=12
    ),
    rows=st.integers(1, 9),
)
def test_the_size_of_made_up_graphs(steps: list[str], rows: int) -> None:
    """Graphs of random steps: those that are accepted give values of the sizes that were established."""
    constants = {
        "rows_last": np.array([-1, 4], np.int64), "twice": np.array([2, 1, 1], np.int64), "w": np.ones((4, 4), np.float32),
        "pads": np.array([0, 0, 1, 1], np.int64), "from": np.array([1], np.int64), "to": np.array([9], np.int64),
        "axis": np.array([0], np.int64),
    }  # fmt: skip
    nodes, current = [], "features"
    extra = {"Concat": ["@"], "Expand": ["twice"], "Pad": ["pads"], "Reshape": ["rows_last"], "MatMul": ["w"],
             "Slice": ["from", "to"], "Unsqueeze": ["axis"]}  # fmt: skip
    for index, step in enumerate(steps):
        inputs = [current, *(current if name == "@" else name for name in extra.get(step, []))]
        attributes: dict[str, Any] = {"axis": -1} if step == "Concat" else {}
        nodes.append(node(step, inputs, [f"v{index}"], **attributes))
        current = f"v{index}"
    nodes.append(node("Identity", [current], ["score"]))
    data = graph_of(nodes, constants, columns=4, output=helper.make_empty_tensor_value_info("score"))
    try:
        found = Graph("made", data, onnx.load_from_string(data), {}, 17).check_extent({"features": (rows, 4)})
    except PyvmafError:
        return
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    answer = session.run(None, {"features": np.zeros((rows, 4), np.float32)})[0]
    assert found["score"].shape == answer.shape
