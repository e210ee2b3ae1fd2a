"""The int8 variant: what is in the file, which rows calibrate it, and whether the drop is the one it claims."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from scipy import stats

from pyvmaf.errors import InputError, IntegrityError, PyvmafError
from pyvmaf.models.export import export, export_member
from pyvmaf.models.fit import fit
from pyvmaf.models.judge import judge
from pyvmaf.models.load import load_model
from pyvmaf.models.spec import load_spec
from pyvmaf.models.weights import load_weights
from pyvmaf.provenance import read_manifest, sha256_file
from pyvmaf.quantized.quantize import calibration_rows, quantize, require_passed, static_qdq
from tests.models.conftest import command, spec_file, table_columns, write_table


class Line(NamedTuple):
    """The files of one model, from table to int8 report."""

    spec: Path
    table: Path
    weights: Path
    onnx: Path
    int8: Path
    report: dict[str, Any]


VARIANTS: dict[str, dict[str, Any]] = {
    "baked": {"network": {"hidden": [16, 8], "activation": "relu"}, "export": {"scaler": "baked"}},
    "coded": {
        "network": {"hidden": [12, 12], "activation": "gelu"},
        "inputs": {"features": "canonical6", "codec": "v1"},
        "export": {"scaler": "sidecar"},
    },
}


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Line]:
    root = tmp_path_factory.mktemp("lines")
    table = write_table(root / "made.parquet", table_columns())
    made = {}
    for name, changes in VARIANTS.items():
        folder = root / name
        int8 = [{"mode": "static_qdq", "calibration_rows": 90, "rmse_max": 3.0}]
        spec = spec_file(root, name, epochs=40, seeds=[0], quantised=int8, **changes)
        fitted = fit(spec, table, folder, seed=0)
        judge(spec, [fitted.report], folder / "verdict.json")
        export(spec, fitted.weights, folder / "verdict.json", table, folder / "model.onnx")
        report = quantize(spec, folder / "model.onnx", fitted.weights, table, folder / "static_qdq.onnx")
        made[name] = Line(spec, table, fitted.weights, folder / "model.onnx", folder / "static_qdq.onnx", report)
    return made


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    n=st.integers(1, 120),
    held=st.integers(-1, 5),
    seed=st.integers(0, 99),
)
def test_calibration_rows_are_of_training_sources_only_and_shared_fairly(
    sizes: list[int], n: int, held: int, seed: int
) -> None:
    groups = np.repeat([f"s{i}" for i in range(len(sizes))], sizes)
    np.random.default_rng(seed).shuffle(groups)
    held_out = f"s{held}" if held >= 0 else None
    chosen = calibration_rows(groups, held_out, n)
    assert len(set(chosen.tolist())) == chosen.size
    assert held_out not in set(groups[chosen].tolist())
    eligible = int(np.count_nonzero(groups != held_out)) if held_out else groups.size
    assert chosen.size == min(n, eligible)
    counts = {s: int(np.count_nonzero(groups[chosen] == s)) for s in set(groups.tolist()) if s != held_out}
    for s, count in counts.items():
        # A source that gives less than another by more than one has nothing left to give.
        if count < max(counts.values()) - 1:
            assert count == np.count_nonzero(groups == s)


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_the_file_is_qdq_int8_per_channel(lines: dict[str, Line], name: str) -> None:
    line = lines[name]
    model = onnx.load(line.int8)
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    assert not model.metadata_props
    assert {"QuantizeLinear", "DequantizeLinear", "Gemm"} <= {n.op_type for n in model.graph.node}
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    producers = {n.output[0]: n for n in model.graph.node}
    gemms = [n for n in model.graph.node if n.op_type == "Gemm"]
    assert len(gemms) == 3
    for gemm in gemms:
        weight = producers[gemm.input[1]]
        assert weight.op_type == producers[gemm.input[0]].op_type == "DequantizeLinear"
        values, scale = constants[weight.input[0]], constants[weight.input[1]]
        assert values.dtype == np.int8
        assert scale.shape == (values.shape[0],)  # one per output of a transposed weight
    # The score itself is not rounded to 256 steps.
    assert producers["score"].op_type == "Squeeze"
    assert producers[producers["score"].input[0]].op_type == "Gemm"


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_the_drop_is_that_of_models_which_saw_neither_source_nor_rows(lines: dict[str, Line], name: str) -> None:
    line, report = lines[name], lines[name].report
    spec, weights = load_spec(line.spec), load_weights(line.weights)
    columns = table_columns()
    source, y = np.asarray(columns["source"]), np.asarray(columns["vmaf"])
    X = np.column_stack([columns[k] for k in spec.inputs.names])
    codec = None
    if spec.inputs.codec:
        from pyvmaf.codecs import vocabulary

        cells = zip(columns["encoder"], columns["preset"], columns["crf"], strict=True)
        codec = np.array([vocabulary("v1").encode(*cell) for cell in cells])
    drops = []
    for fold in report["folds"]:
        held_out = fold["held_out"]
        place = weights.place(held_out)
        inputs = X if spec.export.scaler == "baked" else (X - weights.scaler_mean[place]) / weights.scaler_std[place]
        fp32 = export_member(spec, weights, held_out).data
        rows = calibration_rows(source, held_out, 90)
        int8 = static_qdq(fp32, inputs[rows], None if codec is None else codec[rows])
        test = source == held_out
        scores = []
        for data in (fp32, int8):
            feeds = {"features": inputs[test].astype(np.float32)}
            if codec is not None:
                feeds["codec"] = codec[test].astype(np.float32)
            session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
            scores.append(session.run(None, feeds)[0].astype(np.float64))
        before, after = (stats.pearsonr(s, y[test]).statistic for s in scores)
        assert fold["plcc_fp32"] == pytest.approx(before, abs=1e-9)
        assert fold["plcc_drop"] == pytest.approx(before - after, abs=1e-9)
        assert fold["rmse_int8_fp32"] == pytest.approx(np.sqrt(np.mean((scores[0] - scores[1]) ** 2)), abs=1e-9)
        assert 0 < fold["rmse_int8_fp32"] < 3
        drops.append(before - after)
    assert report["drop"] == pytest.approx(np.mean(drops), abs=1e-9)
    assert report["drop_worst_fold"] == pytest.approx(max(drops), abs=1e-9)
    assert report["passed"] == (report["drop"] <= 0.01 and report["rmse_int8_fp32"] <= 3)


def test_report_file_and_manifest_agree(lines: dict[str, Line]) -> None:
    line = lines["baked"]
    report = line.report
    assert json.loads(line.int8.with_suffix(".json").read_text()) == report
    assert report["int8"]["sha256"] == sha256_file(line.int8)
    assert report["fp32"]["sha256"] == sha256_file(line.onnx)
    assert report["int8"]["bytes"] == line.int8.stat().st_size
    assert report["table_sha256"] == sha256_file(line.table)
    manifest = read_manifest(line.int8)
    assert {o["sha256"] for o in manifest["outputs"].values()} == {
        sha256_file(line.int8),
        sha256_file(line.int8.with_suffix(".json")),
    }
    assert manifest["run"]["measured"]["latency_int8"]["p50_ms"] > 0
    assert "latency" not in json.dumps(report)


def test_the_shipped_variant_loads_with_its_parents_sidecar(lines: dict[str, Line]) -> None:
    line = lines["coded"]
    sidecar = line.onnx.with_suffix(".json")
    int8 = load_model(line.int8, sidecar=sidecar, sha256=line.report["int8"]["sha256"])
    fp32 = load_model(line.onnx)
    columns = {k: v[:200] for k, v in table_columns().items()}
    a, b = (m.predict(columns, ("libx264", "medium", 30)).scores for m in (fp32, int8))
    assert 0 < np.sqrt(np.mean((a - b) ** 2)) < 3
    with pytest.raises(IntegrityError, match="is pinned"):
        load_model(line.int8, sidecar=sidecar)


def test_the_command_repeats_the_bytes_and_its_gate_exits_2(lines: dict[str, Line], tmp_path: Path) -> None:
    line = lines["baked"]
    words = ["quantize-int8", "--config", line.spec, "--model", line.onnx, "--weights", line.weights]
    words += ["--features", line.table, "--output", tmp_path / "static_qdq.onnx"]
    done = command(*words, cwd=tmp_path)
    assert done.returncode == (0 if line.report["passed"] else 2), done.stderr
    assert "mean drop" in done.stdout
    assert (tmp_path / "static_qdq.onnx").read_bytes() == line.int8.read_bytes()

    strict = tmp_path / "baked.yaml"
    strict.write_text(line.spec.read_text().replace("rmse_max: 3.0", "rmse_max: 1.0e-6"))
    words[2] = strict
    done = command(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert "fails its gate" in done.stderr
    assert "at most 1e-06" in done.stderr
    report = json.loads((tmp_path / "static_qdq.json").read_text())
    assert report["passed"] is False
    assert command(*words, "--as-result", cwd=tmp_path).returncode == 0


def test_a_drop_that_is_not_defined_fails() -> None:
    body = {"mode": "static_qdq", "model": "m", "drop": None, "budget": 0.01, "rmse_int8_fp32": 0.1, "rmse_max": 1.0}
    require_passed({**body, "passed": True})
    with pytest.raises(PyvmafError, match="mean PLCC drop None"):
        require_passed({**body, "passed": False})


def test_files_that_do_not_belong_together(lines: dict[str, Line], tmp_path: Path) -> None:
    line, other = lines["baked"], lines["coded"]
    out = tmp_path / "q.onnx"
    with pytest.raises(InputError, match="is model 'coded', not 'baked'"):
        quantize(line.spec, other.onnx, line.weights, line.table, out)
    columns = table_columns()
    columns["vmaf"][3] += 1
    table = write_table(tmp_path / "o.parquet", columns)
    with pytest.raises(InputError, match="calibration needs the same sources"):
        quantize(line.spec, line.onnx, line.weights, table, out)
    refit = fit(line.spec, line.table, tmp_path / "refit", seed=1, epochs=1)
    with pytest.raises(IntegrityError, match="export the model again"):
        quantize(line.spec, line.onnx, refit.weights, line.table, out)
    with pytest.raises(InputError, match="no quantised mode 'qat'"):
        quantize(line.spec, line.onnx, line.weights, line.table, out, mode="qat")
    assert not list(tmp_path.glob("q.*"))
