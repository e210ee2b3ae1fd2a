"""A family of models in one file, for tests: the score of a frame is the mean target of the nearest feature values.

It reads one feature. A member is a table of `points` values of the feature with the mean target around each; the graph
looks the nearest value up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pyvmaf.base.coded import Coded
from pyvmaf.base.document import Bounds, Part
from pyvmaf.base.files import sha256_file
from pyvmaf.base.section import Section
from pyvmaf.chunks import Scratch
from pyvmaf.models.crossval import NUMBERED, ROW_COLUMNS, Division, validate
from pyvmaf.models.families import Fit, Graph, Run, Trial
from pyvmaf.models.gates.correlation import Correlation
from pyvmaf.models.gates.monotonicity import Monotonicity
from pyvmaf.models.spec import ModelSpec
from pyvmaf.models.weights import Weights
from pyvmaf.runtime.predictor import Prediction
from pyvmaf.runtime.scorer import RowScorer
from pyvmaf.splits import TRAIN
from pyvmaf.tables.columns import floats, read_columns, read_schema, strings


class NearestSpec(ModelSpec, Section):
    """A table of values of one feature."""

    kind: Literal["nearest"] = Field(description="The nearest of some values of one feature.")
    feature: str = Field(default="adm2", description="The feature.")
    points: int = Field(default=16, ge=2, description="Values in the table.")
    epochs: int = 1


SPEC = NearestSpec
GATES = (Correlation(), Monotonicity())
SHARED = ("feature", "feature_range")


class Table:
    """The rows of a training table."""

    def __init__(self, spec: NearestSpec, path: Any) -> None:
        present = read_schema(path)
        labels = [name for name in dict.fromkeys([*ROW_COLUMNS, *spec.split.columns]) if name in present]
        data = read_columns(path, [*labels, *({spec.feature, spec.target.column} - set(labels))])
        self.path, self.scratch = path, Scratch(0)
        self.x, self.y = floats(data, spec.feature), floats(data, spec.target.column)
        self.rows: dict[str, Coded | NDArray[np.float64]] = {
            name: floats(data, name) if name in NUMBERED else Coded.of(strings(data, name))
            for name in ROW_COLUMNS
            if name in labels
        }
        self.keys = {name: value for name, value in self.rows.items() if isinstance(value, Coded)}


def fit(spec: NearestSpec, run: Run) -> Fit:
    """Make the table of every fold and of all rows."""
    table = Table(spec, run.table)
    division = Division.of(spec.split, table)
    members = []
    for fold in [*division.every, division.everything]:
        rows = fold.rows(TRAIN)
        points = np.linspace(table.x[rows].min(), table.x[rows].max(), spec.points).astype(np.float32)
        nearest = np.abs(table.x[rows][:, None] - points).argmin(axis=1)
        count = np.maximum(np.bincount(nearest, minlength=spec.points), 1)
        means = np.bincount(nearest, table.y[rows], minlength=spec.points) / count
        members.append((points, means.astype(np.float32)))

    def predict(index: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return look_up(*members[index], table.x[rows])

    return Fit(
        table=table,
        n_total=table.y.size,
        table_sha256=sha256_file(run.table),
        dropped={"rows": 0, "by_column": {}},
        validation=validate(division, table, predict, [None] * len(division.every)),
        tensors={
            "points": np.stack([points for points, _ in members]),
            "means": np.stack([means for _, means in members]),
        },
        info={},
        held_out=[*(fold.held_out for fold in division.every), None],
        n_parameters=2 * spec.points,
    )


def look_up(points: NDArray[Any], means: NDArray[Any], x: NDArray[Any]) -> NDArray[np.float64]:
    """The mean target of the nearest point of each value."""
    return np.asarray(means[np.abs(x[:, None] - points).argmin(axis=1)], dtype=np.float64)


def graph(spec: NearestSpec, weights: Weights, held_out: str | None) -> Graph:
    """Write a member as ONNX: weights that are 1 at the nearest point, by a steep softmax of distances."""
    from onnx import TensorProto, helper, numpy_helper

    weights.check_made_for(spec)
    index = weights.index(held_out)
    points, means = weights.tensors["points"][index], weights.tensors["means"][index]
    nodes = [
        helper.make_node("Sub", ["features", "points"], ["apart"]),
        helper.make_node("Abs", ["apart"], ["distance"]),
        helper.make_node("Mul", ["distance", "steep"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["share"], axis=1),
        helper.make_node("MatMul", ["share", "means"], ["column"]),
        helper.make_node("Squeeze", ["column", "axis"], ["score"]),
    ]
    constants = {"points": points, "means": means[:, None], "steep": np.float32(-1e7), "axis": np.array([1])}
    body = helper.make_graph(
        nodes,
        spec.name,
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 1])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", spec.export.opset)], ir_version=8)
    return Graph(bytes(model.SerializeToString(deterministic=True)), 2 * spec.points, "features", "score")


def trials(spec: NearestSpec, weights: Weights, held_out: str | None) -> Iterator[Trial]:
    """The points themselves, and values far outside."""
    index = weights.index(held_out)
    points, means = weights.tensors["points"][index], weights.tensors["means"][index]
    for x in (points, np.array([points[0] - 1, points[-1] + 1], np.float32)):
        yield Trial({"features": x[:, None]}, look_up(points, means, x))


def describe(spec: NearestSpec, weights: Weights) -> dict[str, Any]:
    """The feature and its range."""
    points = weights.tensors["points"][weights.index(None)]
    return {"feature": spec.feature, "feature_range": [float(points[0]), float(points[-1])]}


class Block(Part):
    """The keys of the sidecar."""

    feature: str
    feature_range: Bounds


def block(keys: Mapping[str, Any], where: str) -> Block:
    """Check them."""
    return Block.model_validate_json(json.dumps(keys))


class NearestPredictor:
    """A session and its feature."""

    def __init__(self, graph: Any, described: Block, where: str, threads: int) -> None:
        self.features, (self._low, self._high) = (described.feature,), described.feature_range
        self._scorer = RowScorer(graph, {"features": 1}, "score", where, threads)

    def predict(self, features: Any, codec: Any = None) -> Prediction:
        """Score rows."""
        x = features[self.features[0]] if isinstance(features, Mapping) else features
        return Prediction(self._scorer.scores(self.feeds(np.asarray(x), None))[0], {}, 0.0, 0.0)

    def examples(self, n: int, seed: int = 0) -> tuple[np.ndarray, None]:
        """Values of the range."""
        return np.random.default_rng(seed).uniform(self._low, self._high, (n, 1)), None

    def feeds(self, features: np.ndarray, codec: None) -> dict[str, np.ndarray]:
        """One column."""
        return {"features": np.asarray(features, dtype=np.float32).reshape(-1, 1)}


def predictor(graph: Any, sidecar: Mapping[str, Any], block: Block, where: str, threads: int) -> NearestPredictor:
    """Make a predictor."""
    return NearestPredictor(graph, block, where, threads)


def ensemble_keys(sidecar: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of an ensemble's manifest."""
    return {"feature": sidecar["feature"]}
