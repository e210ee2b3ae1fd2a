"""Guard and transforms: what the network sees, in numpy, in the graph, after loading and in int8."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.preprocessing import StandardScaler

from pyvmaf.errors import InputError
from pyvmaf.models.export import export, parity
from pyvmaf.models.fit import fit
from pyvmaf.models.graphs import member_graph
from pyvmaf.models.judge import judge
from pyvmaf.models.regressor.inputs import Preparation
from pyvmaf.models.regressor.networks import build
from pyvmaf.models.regressor.spec import load_regressor
from pyvmaf.models.spec import parse_spec
from pyvmaf.models.weights import load_weights
from pyvmaf.quantized.quantize import quantize
from pyvmaf.runtime.load import load_model
from tests.make.models import spec_file
from tests.make.tables import table_columns, write_table

# Rows far outside are what these tests are about; the loader says so each time.
pytestmark = pytest.mark.filterwarnings("ignore::pyvmaf.runtime.predictor.ModelWarning")

NAMES = ("adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2")
FUNCTIONS: dict[str | None, Callable[[np.ndarray], np.ndarray]] = {
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    None: lambda v: v,
}

VARIANTS: dict[str, dict[str, Any]] = {
    "clamp": {"inputs": {"guard": "clamp"}},
    "bent": {"inputs": {"transforms": {"motion2": "log1p", "adm2": "sqrt", "vif_scale0": "log"}}},
    "both": {"inputs": {"guard": "clamp", "transforms": {"motion2": "log1p"}}},
    "wide": {
        "inputs": {
            "guard": "clamp",
            "guard_margin": {"motion2": 0.75, "vif_scale0": 2},
            "transforms": {"vif_scale0": "sqrt"},
        }
    },
    "coded": {"inputs": {"guard": "clamp", "codec": "v1", "transforms": {"motion2": "sqrt"}}},
    "scaled": {"inputs": {"guard": "clamp", "guard_margin": {"adm2": 0.5}}, "export": {"scaler": "sidecar"}},
}


class Line(NamedTuple):
    """The files of one model."""

    spec: Path
    table: Path
    weights: Path
    onnx: Path


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Line]:
    root = tmp_path_factory.mktemp("inputs")
    table = write_table(root / "made.parquet", table_columns())
    made = {}
    for name, changes in VARIANTS.items():
        int8 = [{"mode": "static_qdq", "calibration_rows": 90, "rmse_max": 5.0}]
        spec = spec_file(root, name, epochs=15, seeds=[0], quantised=int8, **changes)
        fitted = fit(spec, table, root / name, seed=0)
        judge(spec, [fitted.report], root / name / "verdict.json")
        made[name] = Line(spec, table, fitted.weights, root / name / "model.onnx")
        export(spec, fitted.weights, root / name / "verdict.json", table, made[name].onnx)
    return made


def rows() -> np.ndarray:
    columns = table_columns()
    return np.column_stack([columns[name] for name in NAMES])


def far(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Rows outside of the range by up to a million widths, some columns on one side and some on the other."""
    rng = np.random.default_rng(5)
    beyond = rng.choice([-1e6, -30.0, -0.5, 0.2, 0.9, 1.5, 30.0, 1e6], size=(300, low.size))
    return np.asarray(low + (high - low) * beyond)


def edges(line: Line) -> tuple[np.ndarray, np.ndarray]:
    """Where the guard of the shipped member lies: the range, widened by the margin, but not below 0 under a root."""
    spec, weights = load_regressor(line.spec), load_weights(line.weights)
    place = weights.index(None)
    low, high = weights.tensors["feature_low"][place].copy(), weights.tensors["feature_high"][place].copy()
    reach = np.array([spec.inputs.guard_margin.get(name, 0) for name in NAMES]) * (high - low)
    low -= reach
    for name in spec.inputs.transforms:
        low[NAMES.index(name)] = max(low[NAMES.index(name)], 0)
    return low, high + reach


def forward(line: Line, X: np.ndarray, codec: np.ndarray | None, *, clamp: bool = True) -> np.ndarray:
    """Scores by formulas written down here, from the weights file."""
    spec, weights = load_regressor(line.spec), load_weights(line.weights)
    place = weights.index(None)
    low, high = edges(line)
    columns = []
    for c, name in enumerate(NAMES):
        bent = FUNCTIONS[spec.inputs.transforms.get(name)]
        columns.append(bent(np.minimum(np.maximum(X[:, c], low[c]), high[c]) if clamp else X[:, c]))
    a = (np.column_stack(columns) - weights.tensors["scaler_mean"][place]) / weights.tensors["scaler_std"][place]
    if codec is not None:
        a = np.hstack([a, codec])
    w1, w2 = np.split(weights.tensors["parameters"][place].astype(np.float64), [8 * (a.shape[1] + 1)])
    w1 = w1.reshape(8, -1)
    hidden = np.maximum(a @ w1[:, :-1].T + w1[:, -1], 0)
    return np.asarray(hidden @ w2[:-1] + w2[-1])


@settings(deadline=None)
@given(
    X=arrays(np.float64, (12, 3), elements=st.floats(0.125, 1e3)),
    wild=arrays(np.float64, (7, 3), elements=st.floats(-1e6, 1e6)),
    names=st.lists(st.sampled_from([None, "log", "log1p", "sqrt"]), min_size=3, max_size=3),
    codec=st.booleans(),
)
def test_columns_are_clamped_bent_and_standardised(
    X: np.ndarray, wild: np.ndarray, names: list[str | None], codec: bool
) -> None:
    prepare = Preparation.fit(X, guard="clamp", transforms=names)
    bent = np.column_stack([FUNCTIONS[name](X[:, c]) for c, name in enumerate(names)])
    scaler = StandardScaler().fit(bent)
    spread = bent.std(axis=0) > 1e-6  # where it is smaller, sklearn and we differ on when a column is constant
    np.testing.assert_allclose(prepare(X)[:, spread], scaler.transform(bent)[:, spread], atol=1e-6)
    block = np.full((len(wild), 2), 0.5) if codec else None
    seen = prepare(wild, block)
    assert seen.shape == (7, 5 if codec else 3)
    inside = prepare(X)
    assert (seen[:, :3] >= inside.min(axis=0)).all()
    assert (seen[:, :3] <= inside.max(axis=0)).all()
    assert (seen[:, 3:] == 0.5).all()


def test_without_a_guard_values_pass_but_a_transform_keeps_its_floor() -> None:
    X = np.array([[1.0, 2.0], [3.0, 8.0]])
    plain = Preparation.fit(X)
    assert plain.bounds is None
    assert plain(np.array([[-1e9, 1e9]])).tolist() == [[(-1e9 - 2) / 1, (1e9 - 5) / 3]]
    bent = Preparation.fit(X, transforms=(None, "log"))
    assert bent(np.array([[50.0, -4.0]])).tolist() == bent(np.array([[50.0, 2.0]])).tolist()
    assert bent(np.array([[50.0, 80.0]]))[0, 1] > bent(np.array([[50.0, 8.0]]))[0, 1]


@pytest.mark.parametrize(
    ("lowest", "function", "said"),
    [
        (0.0, "log", "motion2 goes down to 0 in the training rows, but its transform log needs values above 0"),
        (-0.5, "log1p", "motion2 goes down to -0.5 .* log1p needs values of 0 or more"),
        (-0.5, "sqrt", "motion2 goes down to -0.5 .* sqrt needs values of 0 or more"),
    ],
)
def test_a_transform_that_is_not_defined_on_the_rows_is_an_error(
    tmp_path: Path, lowest: float, function: str, said: str
) -> None:
    columns = table_columns()
    columns["motion2"][0] = lowest
    table = write_table(tmp_path / "made.parquet", columns)
    spec = spec_file(tmp_path, inputs={"transforms": {"motion2": function}})
    with pytest.raises(InputError, match=said):
        fit(spec, table, tmp_path / "out", seed=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"inputs": {"transforms": {"motion": "log1p"}}}, "unknown input to transform 'motion'.*motion2"),
        ({"inputs": {"transforms": {"motion2": "exp"}}}, "log1p"),
        ({"inputs": {"guard": "clip"}}, "'clamp'"),
        ({"inputs": {"guard_margin": {"adm2": 1}}}, "guard_margin has no effect without a guard"),
        ({"inputs": {"guard": "clamp", "guard_margin": {"adm": 1}}}, "unknown input with a margin 'adm'.*adm2"),
        (
            {"inputs": {"transforms": {"motion2": "sqrt"}}, "export": {"scaler": "sidecar"}},
            "set scaler: baked",
        ),
    ],
)
def test_specs_that_cannot_be(changes: dict[str, Any], said: str) -> None:
    spec = {"name": "m", "description": "d", "network": {"hidden": [4]}, "inputs": {}, "epochs": 1, **changes}
    with pytest.raises(InputError, match=said):
        parse_spec(spec, "m.yaml")


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_a_loaded_model_computes_what_was_fitted_near_and_far(lines: dict[str, Line], name: str) -> None:
    line = lines[name]
    model, weights = load_model(line.onnx), load_weights(line.weights)
    place = weights.index(None)
    low, high = weights.tensors["feature_low"][place], weights.tensors["feature_high"][place]
    inside = rows()
    batches = [inside] if name == "bent" else [inside, far(low, high), low[None] - 1e30, high[None] + 1e30]
    for X in batches:
        codec = np.random.default_rng(0).random((len(X), 8)) if name == "coded" else None
        found, expected = model.predict(X, codec), forward(line, X, codec)
        np.testing.assert_allclose(found.answers, expected, atol=5e-3)
        np.testing.assert_allclose(found.scores, expected.clip(0, 100), atol=5e-3)
    assert np.std(model.predict(inside).scores) > 1


def test_an_unguarded_transform_follows_its_function_above_the_range(lines: dict[str, Line]) -> None:
    line = lines["bent"]
    weights = load_weights(line.weights)
    X = np.tile(weights.tensors["feature_high"][weights.index(None)], (3, 1))
    X[:, 5] *= [2, 10, 40]
    found = load_model(line.onnx).predict(X).answers
    np.testing.assert_allclose(found, forward(line, X, None, clamp=False), atol=5e-3)


@pytest.mark.parametrize("name", ["clamp", "wide"])
def test_what_lies_outside_scores_as_the_edge_does(lines: dict[str, Line], name: str) -> None:
    low, high = edges(lines[name])
    model = load_model(lines[name].onnx)
    X = far(low, high)
    assert np.array_equal(model.predict(X).answers, model.predict(np.clip(X, low, high)).answers)
    weights = load_weights(lines[name].weights)
    assert (low < weights.tensors["feature_low"][weights.index(None)]).any() == (name == "wide")
    assert model.predict(X).outside_share == 1.0


def test_a_caller_who_only_scales_gets_the_guard_too(lines: dict[str, Line]) -> None:
    line = lines["scaled"]
    sidecar = json.loads(line.onnx.with_suffix(".json").read_text())
    scaling = sidecar["input_normalization"]
    assert scaling["in_graph"] is False
    assert sidecar["input_guard"] == "clamp"
    ranges = np.array([sidecar["feature_ranges"][n] for n in sidecar["features"]])
    X = far(ranges[:, 0], ranges[:, 1])
    scaled = ((X - np.array(scaling["mean"])) / np.array(scaling["std"])).astype(np.float32)
    (scores,) = ort.InferenceSession(line.onnx).run(["score"], {"features": scaled})
    np.testing.assert_allclose(scores, forward(line, X, None).clip(0, 100), atol=5e-3)


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_every_member_exports_the_same_bytes_twice_within_tolerance(lines: dict[str, Line], name: str) -> None:
    spec, weights = load_regressor(lines[name].spec), load_weights(lines[name].weights)
    for held_out in weights.held_out:
        once, again = member_graph(spec, weights, held_out), member_graph(spec, weights, held_out)
        assert once.data == again.data
        assert parity(spec, weights, once.data, held_out) <= spec.export.tolerance
    assert once.operators.get("Max", 0) == once.operators.get("Min", 0) == 1
    assert once.n_parameters == build(spec.network, 6 + 8 * (name == "coded")).n_parameters


@pytest.mark.parametrize("name", ["both", "scaled"])
def test_int8_keeps_the_guard(lines: dict[str, Line], name: str, tmp_path: Path) -> None:
    line = lines[name]
    report = quantize(line.spec, line.onnx, line.weights, line.table, tmp_path / "int8.onnx")
    assert report["int8"]["operators"]["Max"] == 1
    assert report["rmse_int8_fp32_shipped"] < 3
    int8 = load_model(tmp_path / "int8.onnx", sidecar=line.onnx.with_suffix(".json"), sha256=report["int8"]["sha256"])
    low, high = edges(line)
    X = far(low, high)
    np.testing.assert_allclose(int8.predict(X).answers, int8.predict(np.clip(X, low, high)).answers, atol=1e-3)
