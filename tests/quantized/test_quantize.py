"""The int8 verb: which rows calibrate, whether the drop is the one it claims, what passes and what does not."""

from __future__ import annotations

import json
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pyvmaf.base.files import sha256_file
from pyvmaf.base.manifest import read_manifest
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.models.fit import fit
from pyvmaf.models.graphs import member_graph
from pyvmaf.models.regressor.inputs import feeds
from pyvmaf.models.regressor.spec import load_regressor
from pyvmaf.models.sampling import evenly
from pyvmaf.models.spec import DROP_BUDGETS, Quantised
from pyvmaf.models.weights import load_weights
from pyvmaf.quantized.modes import static
from pyvmaf.quantized.quantize import latency_note, missed, quantize
from pyvmaf.quantized.report import Allowlist
from pyvmaf.runtime.load import load_model
from tests.make.commands import command
from tests.make.lines import MODES, VARIANTS, Line
from tests.make.runs import build_run
from tests.make.runtimes import exact_session
from tests.make.tables import table_columns, write_table

NAMES = sorted(VARIANTS)


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    n=st.integers(1, 120),
    held=st.integers(-1, 5),
    seed=st.integers(0, 99),
)
def test_calibration_rows_are_training_rows_only_and_shared_fairly(
    sizes: list[int], n: int, held: int, seed: int
) -> None:
    groups = np.repeat([f"s{i}" for i in range(len(sizes))], sizes)
    np.random.default_rng(seed).shuffle(groups)
    train = np.flatnonzero(groups != f"s{held}").astype(np.int64)
    chosen = evenly(groups, train, n)
    assert len(set(chosen.tolist())) == chosen.size == min(n, train.size)
    assert set(chosen.tolist()) <= set(train.tolist())
    counts = {s: int(np.count_nonzero(groups[chosen] == s)) for s in set(groups[train].tolist())}
    for s, count in counts.items():
        # A source that gives less than another by more than one has nothing left to give.
        if count < max(counts.values()) - 1:
            assert count == np.count_nonzero(groups == s)


def _rows(line: Line, held_out: str | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Sources, targets, features and codec blocks of every row as the member's file takes them."""
    spec, weights = load_regressor(line.spec), load_weights(line.weights)
    columns = table_columns()
    source, y = np.asarray(columns["source"]), np.asarray(columns["vmaf"])
    X = np.column_stack([columns[k] for k in spec.inputs.names])
    if spec.export.scaler == "sidecar":
        place = weights.index(held_out)
        X = (X - weights.tensors["scaler_mean"][place]) / weights.tensors["scaler_std"][place]
    if spec.inputs.codec is None:
        return source, y, X, None
    from pyvmaf.codecs.vocabularies import vocabulary

    cells = zip(columns["encoder"], columns["preset"], columns["crf"], strict=True)
    return source, y, X, np.array([vocabulary("v1").encode(*cell) for cell in cells])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["static", "static_qdq"])
def test_the_drop_is_that_of_models_which_saw_neither_source_nor_rows(
    lines: dict[str, Line], name: str, mode: str
) -> None:
    line, report = lines[name], lines[name].reports[mode]
    spec, weights = load_regressor(line.spec), load_weights(line.weights)
    drops, ranks = [], []
    for fold in report["folds"]:
        source, y, X, codec = _rows(line, fold["held_out"])
        fp32 = member_graph(spec, weights, fold["held_out"]).data
        rows = evenly(source, np.flatnonzero(source != fold["held_out"]), 90)
        int8 = static(fp32, [feeds(X[rows], None if codec is None else codec[rows])], per_channel=mode == "static_qdq")
        test = source == fold["held_out"]
        scores = []
        for data in (fp32, int8):
            inputs = {"features": X[test].astype(np.float32)}
            if codec is not None:
                inputs["codec"] = codec[test].astype(np.float32)
            session = exact_session(data)
            scores.append(session.run(None, inputs)[0].astype(np.float64))
        before, after = (stats.pearsonr(s, y[test]).statistic for s in scores)
        assert fold["plcc_fp32"] == pytest.approx(before, abs=1e-9)
        assert fold["plcc_drop"] == pytest.approx(before - after, abs=1e-9)
        assert fold["rmse_int8_fp32"] == pytest.approx(np.sqrt(np.mean((scores[0] - scores[1]) ** 2)), abs=1e-9)
        assert fold["srocc_int8_fp32"] == pytest.approx(stats.spearmanr(*scores).statistic, abs=1e-9)
        assert 0 < fold["rmse_int8_fp32"] < 3
        drops.append(before - after)
        ranks.append(fold["srocc_int8_fp32"])
    assert report["drop"] == pytest.approx(np.mean(drops), abs=1e-9)
    assert report["drop_worst_fold"] == pytest.approx(max(drops), abs=1e-9)
    assert report["srocc_int8_fp32"] == pytest.approx(np.mean(ranks), abs=1e-12)
    assert report["srocc_int8_fp32_worst_fold"] == min(ranks)
    assert report["passed"]


@pytest.mark.parametrize("mode", MODES)
def test_report_file_and_manifest_agree_and_say_what_is_larger_and_slower(lines: dict[str, Line], mode: str) -> None:
    line = lines["baked"]
    report, path = line.reports[mode], line.int8[mode]
    assert json.loads(path.with_suffix(".json").read_text()) == report
    assert report["int8"]["sha256"] == sha256_file(path)
    assert report["fp32"]["sha256"] == sha256_file(line.onnx)
    assert report["int8"]["bytes"] == path.stat().st_size
    assert report["table_sha256"] == sha256_file(line.table)
    # 257 parameters: scales and nodes weigh more than the weights save.
    assert path.stat().st_size > line.onnx.stat().st_size
    assert report["larger_than_fp32"]
    assert "LARGER" in report["size_note"]
    manifest = read_manifest(path)
    assert {o["sha256"] for o in manifest["outputs"].values()} == {
        sha256_file(path),
        sha256_file(path.with_suffix(".json")),
    }
    measured = manifest["run"]["measured"]
    slower = measured["latency_int8"]["p50_ms"] > measured["latency_fp32"]["p50_ms"] > 0
    assert ("SLOWER" in measured["note"]) == slower
    assert "latency" not in json.dumps(report)


def test_a_faster_variant_is_called_faster() -> None:
    note = latency_note({"latency_fp32": {"p50_ms": 0.05}, "latency_int8": {"p50_ms": 0.02}})
    assert "no slower" in note
    assert "20 µs against 50 µs" in note
    assert "2.50 times as fast" in note


@pytest.mark.parametrize("mode", MODES[1:])
def test_the_shipped_variant_loads_with_its_parents_sidecar(lines: dict[str, Line], mode: str) -> None:
    line = lines["coded"]
    sidecar = line.onnx.with_suffix(".json")
    int8 = load_model(line.int8[mode], sidecar=sidecar, sha256=line.reports[mode]["int8"]["sha256"])
    fp32 = load_model(line.onnx)
    columns = {k: v[:200] for k, v in table_columns().items()}
    a, b = (m.predict(columns, ("libx264", "medium", 30)).scores for m in (fp32, int8))
    assert 0 < np.sqrt(np.mean((a - b) ** 2)) < 6
    with pytest.raises(IntegrityError, match="is pinned"):
        load_model(line.int8[mode], sidecar=sidecar)


@pytest.mark.parametrize("name", NAMES)
def test_dynamic_is_measured_and_refused(lines: dict[str, Line], name: str, tmp_path: Path) -> None:
    line = lines[name]
    report = line.reports["dynamic"]
    assert {"DynamicQuantizeLinear", "MatMulInteger"} <= set(report["int8"]["operators"])
    assert 0 < report["rmse_int8_fp32"] < 3
    assert report["drop"] < 0.01
    assert report["allowlist"]["passed"] is report["passed"] is False
    assert "operator DynamicQuantizeLinear" in report["allowlist"]["reason"]
    assert report["missed"] == [f"refused by the operator allowlist: {report['allowlist']['reason']}"]
    with pytest.raises(InputError, match="holds what a model may not: operator DynamicQuantizeLinear"):
        load_model(line.int8["dynamic"], sidecar=line.onnx.with_suffix(".json"), sha256=report["int8"]["sha256"])

    words = ["quantize-int8", "--config", line.spec, "--model", line.onnx, "--weights", line.weights, "--mode"]
    words += ["dynamic", "--features", line.table, "--output", tmp_path / "dynamic.onnx"]
    assert command(*words, cwd=tmp_path).returncode == 1
    done = command(*words, "--as-result", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "does not pass: refused by the operator allowlist" in done.stdout
    assert (tmp_path / "dynamic.onnx").read_bytes() == line.int8["dynamic"].read_bytes()


def test_what_the_allowlist_refuses_stays_out_of_registry_and_page(tmp_path: Path) -> None:
    from pyvmaf.registry.entry import Registry
    from pyvmaf.reports.pages.run.page import write_report
    from pyvmaf.reports.read import read_run

    modes = [{"mode": mode, "budget": 0.5, "rmse_max": 50.0, "srocc_min": -1.0} for mode in ("dynamic", "static")]
    build_run(tmp_path, models={"small": {"seeds": [0], "quantised": modes}})
    with chdir(tmp_path):
        (entry,) = Registry.read("results/registry/registry.json").as_json()["models"]
        assert entry["quant_mode"] == "static"
        assert entry["int8"].endswith("small/seed0/static.onnx")
        (refused,) = entry["int8_refused"]
        assert refused["mode"] == "dynamic"
        assert "refused by the operator allowlist" in refused["reason"]
        audited = command("audit-compat", "--model-dir", "results", "--fail-on-warning")
        assert audited.returncode == 0, audited.stdout
        assert "note: results/quantized/small/seed0/dynamic.json: is not for use" in audited.stdout
        write_report(read_run(["results"]), "results/reports/report.html")
        page = Path("results/reports/report.html").read_text()
    assert "refused by the operator allowlist" in page
    assert "small · static" in page
    assert "2 of 2 int8 files are larger" in page


def test_the_command_repeats_the_bytes_and_its_gate_exits_1(lines: dict[str, Line], tmp_path: Path) -> None:
    line = lines["baked"]
    words: list[Any] = ["quantize-int8", "--config", line.spec, "--model", line.onnx, "--weights", line.weights]
    words += ["--features", line.table, "--output", tmp_path / "static_qdq.onnx"]
    done = command(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mean drop" in done.stdout
    assert "int8 is LARGER than fp32" in done.stdout
    assert (tmp_path / "static_qdq.onnx").read_bytes() == line.int8["static_qdq"].read_bytes()

    strict = [*words, "--rmse-gate", "1e-6", "--srocc-gate", "1", "--n-calibration", "30", "--budget", "0.4"]
    done = command(*strict, cwd=tmp_path)
    assert done.returncode == 1
    assert "does not pass: RMSE against fp32" in done.stdout
    assert "at most 1e-06 is allowed" in done.stdout
    assert "does not pass: mean rank agreement" in done.stdout
    report = json.loads((tmp_path / "static_qdq.json").read_text())
    assert report["passed"] is False
    assert (report["rmse_max"], report["srocc_min"], report["budget"]) == (1e-6, 1.0, 0.4)
    assert report["calibration"]["rows"] == 30
    assert command(*strict, "--as-result", cwd=tmp_path).returncode == 0

    done = command(*words, "--epochs", "2", cwd=tmp_path)
    assert done.returncode == 2
    assert "epochs is a key of mode qat only: static_qdq trains nothing" in done.stderr


def test_limits_have_defaults_by_mode() -> None:
    expected = {"dynamic": 0.01, "static": 0.005, "static_qdq": 0.01, "qat": 0.002}
    assert expected == DROP_BUDGETS
    for mode, budget in expected.items():
        assert Quantised.model_validate({"mode": mode}).largest_drop == budget
        assert Quantised.model_validate({"mode": mode, "budget": 0.3}).largest_drop == 0.3


def test_what_is_not_defined_does_not_pass() -> None:
    body: dict[str, Any] = {
        "drop": 0.01, "budget": 0.01, "rmse_int8_fp32": 1.0, "rmse_max": 1.0, "srocc_int8_fp32": 0.99, "srocc_min": 0.99,
        "allowlist": Allowlist(passed=True, reason=None),
    }  # fmt: skip
    assert missed(body) == []
    assert missed({**body, "drop": None}) == ["mean PLCC drop on held-out rows is not defined (constant predictions)"]
    assert len(missed({**body, "drop": 0.011, "rmse_int8_fp32": 1.1, "srocc_int8_fp32": 0.98})) == 3


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
    with pytest.raises(InputError, match="no quantised mode 'int4'; it has: dynamic, static, static_qdq, qat"):
        quantize(line.spec, line.onnx, line.weights, line.table, out, mode="int4")
    assert not list(tmp_path.glob("q.*"))
