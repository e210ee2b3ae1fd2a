"""Scores stay inside the target's range, in every form of a model, and a doubt about them is still told."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pyarrow.parquet as pq
import pytest

from pyvmaf.checks.cross_backend import cross_backend
from pyvmaf.checks.evaluate import evaluate
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.models.ensemble import make_ensemble
from pyvmaf.models.export import export, parity
from pyvmaf.models.fit import fit
from pyvmaf.models.graphs import member_graph
from pyvmaf.models.judge import judge
from pyvmaf.models.regressor.inputs import feeds, of_member
from pyvmaf.models.regressor.spec import load_regressor
from pyvmaf.models.weights import load_weights
from pyvmaf.quantized.quantize import quantize
from pyvmaf.runtime.ensemble import load_ensemble
from pyvmaf.runtime.load import load_model
from tests.make.models import spec_file
from tests.make.tables import table_columns, write_table

GATES: dict[str, Any] = {
    "mean_plcc_min": -1, "plcc_spread_max": 2, "per_seed_min": -1, "hard_negatives": None, "monotonicity": None,
    "extrapolation": {"worst_plcc_min": None},
}  # fmt: skip
FEATURES = ("adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2")

# The first one has ends that float32 does not hold: rounded to the nearest, they would lie outside.
RANGES: dict[str, tuple[float, float]] = {"share": (0.1, 0.7), "opinion": (1, 5)}


def scaled(low: float, high: float) -> dict[str, list[Any]]:
    """A table whose target goes from one end of a range to the other, with many rows at its upper end."""
    columns = table_columns()
    y = np.clip(np.array(columns["vmaf"]) * 1.3, 0, 100)
    y = low + (high - low) * (y - y.min()) / (y.max() - y.min())
    assert (y >= high - 1e-9 * (high - low)).mean() > 0.05
    return {**columns, "vmaf": y.clip(low, high).tolist()}


@pytest.fixture(scope="module", params=sorted(RANGES))
def line(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model of two seeds with int8 variants and an ensemble; its name is that of the range."""
    name = str(request.param)
    low, high = RANGES[name]
    root = tmp_path_factory.mktemp("clip") / name
    root.mkdir()
    table = write_table(root / "made.parquet", scaled(low, high))
    spec = spec_file(
        root,
        target={"table": "made", "range": [low, high]},
        gates=GATES,
        ensemble={"coverage_tolerance": 0.5},
        quantised=[{"mode": mode, "budget": 2, "rmse_max": 1000, "srocc_min": -1} for mode in ("static_qdq", "qat")],
    )
    reports = [fit(spec, table, root / f"seed{seed}", seed=seed).report for seed in (0, 1)]
    judge(spec, reports, root / "verdict.json")
    for seed in (0, 1):
        home = root / f"seed{seed}"
        export(spec, home / "weights.safetensors", root / "verdict.json", table, home / "model.onnx")
    sidecars = [root / f"seed{seed}/model.json" for seed in (0, 1)]
    make_ensemble(spec, root / "verdict.json", sidecars, table, root / "ensemble.json")
    return root


def rows(line: Path) -> np.ndarray:
    """Rows of the table, and rows far outside of it."""
    data = pq.read_table(line / "made.parquet")
    X = np.column_stack([data.column(name).to_numpy() for name in FEATURES])
    low, high = X.min(axis=0), X.max(axis=0)
    far = low + (high - low) * np.random.default_rng(0).uniform(-20, 20, size=(200, 6))
    return np.vstack([X, far])


def test_scores_of_a_file_are_what_the_network_answers_inside_of_the_range(line: Path) -> None:
    low, high = RANGES[line.name]
    model = load_model(line / "seed0/model.onnx")
    found = model.predict(rows(line))
    assert found.unclipped is not None
    assert low <= found.scores.min() <= found.scores.max() <= high
    np.testing.assert_allclose(found.scores, found.unclipped.clip(low, high), atol=1e-6 * (high - low))
    outside = (found.unclipped < low) | (found.unclipped > high)
    assert found.unexpected_share == outside.mean() > 0.1
    assert model.sidecar["output_clipped"] is True
    assert model.sidecar["expected_output_range"] == [low, high]
    # A caller without pyvmaf gets the same from the same file, which has one output.
    (scores,) = ort.InferenceSession(line / "seed0/model.onnx").run(None, {"features": rows(line).astype(np.float32)})
    np.testing.assert_array_equal(scores, found.scores.astype(np.float32))


def test_figures_are_of_the_scores_that_ship(line: Path) -> None:
    """Held-out predictions are those of each fold's graph, not of the network inside of it."""
    spec, weights = load_regressor(line / "small.yaml"), load_weights(line / "seed0/weights.safetensors")
    table = pq.read_table(line / "made.parquet").to_pandas()
    held_out = pq.read_table(line / "seed0/predictions.parquet").to_pandas()
    assert held_out["prediction"].between(*RANGES[line.name]).all()
    at_the_end = 0
    for source in table["source"].unique():
        here = table["source"] == source
        X = table.loc[here, list(FEATURES)].to_numpy()
        session = ort.InferenceSession(member_graph(spec, weights, source).data)
        prepare = of_member(spec, weights, weights.index(source))
        (scores,) = session.run(None, feeds(prepare.graph_inputs(X), None))
        mine = held_out.loc[held_out["fold"] == source, "prediction"]
        np.testing.assert_allclose(mine, scores, atol=1e-4)
        at_the_end += int((mine == RANGES[line.name][1]).sum())
    assert at_the_end > 0


@pytest.mark.parametrize("mode", ["static_qdq", "qat"])
def test_int8_variants_clip_too(line: Path, mode: str) -> None:
    out = line / f"{mode}.onnx"
    home = line / "seed0"
    report = quantize(line / "small.yaml", home / "model.onnx", home / "weights.safetensors", line / "made.parquet", out, mode=mode)  # fmt: skip
    assert report["int8"]["operators"]["Clip"] == 1
    low, high = RANGES[line.name]
    found = load_model(out, sidecar=home / "model.json", sha256=report["int8"]["sha256"]).predict(rows(line))
    assert low <= found.scores.min() <= found.scores.max() <= high
    assert found.unclipped is not None
    assert found.unclipped.max() > high


def test_every_backend_clips_alike_and_torch_agrees_beyond_the_range(line: Path) -> None:
    report = cross_backend([line / "seed0/model.onnx"], atol=1e-4, n_rows=64)
    assert report.passed
    spec, weights = load_regressor(line / "small.yaml"), load_weights(line / "seed0/weights.safetensors")
    right = member_graph(spec, weights).data
    assert parity(spec, weights, right) <= spec.export.tolerance
    # Another bound is noticed, and so is a network that answers differently where scores are clipped.
    for name, change in (("clip.high", -0.01), ("layers.1.bias", 0.01)):
        model = onnx.load_model_from_string(right)
        tensor = next(t for t in model.graph.initializer if t.name == name)
        value = onnx.numpy_helper.to_array(tensor)
        span = np.float32(spec.target.range[1] - spec.target.range[0])
        tensor.CopyFrom(onnx.numpy_helper.from_array(value + np.float32(change) * span, name))
        with pytest.raises(Exception, match="differ by"):
            parity(spec, weights, model.SerializeToString())


def test_intervals_of_an_ensemble_stay_inside(line: Path) -> None:
    low, high = RANGES[line.name]
    ensemble = load_ensemble(line / "ensemble.json")
    found = ensemble.predict(rows(line))
    assert found.low is not None
    assert found.high is not None
    assert found.unclipped is not None
    for values in (found.low, found.high, found.scores):
        assert low <= values.min() <= values.max() <= high
    assert (found.low <= found.scores).all()
    assert (found.scores <= found.high).all()
    assert found.unexpected_share > 0.1
    sigma, bottom, top = ensemble.mean_interval(found) or (math.nan,) * 3
    assert low <= bottom <= top <= high
    assert sigma >= 0
    measured = evaluate(line / "ensemble.json", line / "made.parquet", split="all")["intervals"]["coverage"]
    y = np.array(pq.read_table(line / "made.parquet").column("vmaf"))
    inside = (found.low[: y.size] <= y) & (y <= found.high[: y.size])
    assert measured["normalised"]["empirical_coverage"] == pytest.approx(inside.mean())
    assert measured["normalised"]["mean_width"] == pytest.approx((found.high - found.low)[: y.size].mean())


def test_a_sidecar_that_speaks_of_a_clip_needs_one(line: Path, tmp_path: Path) -> None:
    plain = spec_file(tmp_path, target={"table": "made", "range": list(RANGES[line.name]), "clip": False}, gates=GATES)
    report = fit(plain, line / "made.parquet", tmp_path / "seed0", seed=0).report
    judge(plain, [report], tmp_path / "verdict.json", seeds=[0])
    home, out = tmp_path / "seed0", tmp_path / "model.onnx"
    sidecar = export(plain, home / "weights.safetensors", tmp_path / "verdict.json", line / "made.parquet", out)
    assert "Clip" not in sidecar["operators"]
    assert sidecar["output_clipped"] is False
    found = load_model(out).predict(rows(line))
    assert found.unclipped is None
    assert found.scores.max() > RANGES[line.name][1]
    # The same network: what is learned does not depend on the key.
    mine, theirs = (load_weights(at / "seed0/weights.safetensors").tensors["parameters"] for at in (tmp_path, line))
    np.testing.assert_array_equal(mine, theirs)
    (tmp_path / "model.json").write_text(json.dumps({**sidecar, "output_clipped": True}))
    with pytest.raises(IntegrityError, match=r"does not compute score\.unclipped, but its sidecar says so"):
        load_model(out)


def test_a_target_outside_of_its_range_is_refused_before_anything_is_fitted(tmp_path: Path) -> None:
    table = write_table(tmp_path / "made.parquet", scaled(0, 120))
    spec = spec_file(tmp_path)
    said = r"rows have a vmaf outside of target\.range \[0, 100\], from 0 to 120.* target\.clip: false"
    with pytest.raises(InputError, match=said):
        fit(spec, table, tmp_path / "out", seed=0)
    assert not (tmp_path / "out").exists()
    for target in ({"table": "made", "range": [0, 120]}, {"table": "made", "clip": False}):
        fit(spec_file(tmp_path, target=target), table, tmp_path / "out", seed=0, epochs=1)
