"""Each check against an answer that was worked out in another way, and its command with exit status and report."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pyvmaf.base.documents import document
from pyvmaf.base.files import sha256_file
from pyvmaf.base.manifest import read_manifest
from pyvmaf.checks.audit_compat import audit_compat
from pyvmaf.checks.bisect import bisect_model_quality, find_first_bad
from pyvmaf.checks.check_ops import check_ops
from pyvmaf.checks.cross_backend import Backend, cross_backend
from pyvmaf.checks.evaluate import evaluate
from pyvmaf.checks.profile import profile
from pyvmaf.checks.validate_norm import validate_norm
from pyvmaf.errors import InputError, PyvmafError, UnavailableError
from pyvmaf.runtime.load import load_model
from tests.make.commands import command
from tests.make.models import Linear


def written(path: Path, verb: str) -> dict[str, Any]:
    """Read a report, check it against its published schema, and look at its manifest."""
    report: dict[str, Any] = json.loads(path.read_text())
    schema = document(verb).json_schema()
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(report)
    assert document(verb).read(path).as_json() == report
    assert report["run_provenance"]["entrypoint"] == f"vmaf-train {verb}"
    assert report["run_provenance"]["engine"]["stage"] == "checks"
    assert read_manifest(path)["entrypoint"] == f"vmaf-train {verb}"
    return report


# ---------------------------------------------------------------------------------------------------------
# check-ops


def test_check_ops(with_codec: Path, linear: Linear, tmp_path: Path) -> None:
    clean = command("check-ops", "--model", with_codec, "--json", "ops.json", cwd=tmp_path)
    assert clean.returncode == 0, clean.stderr
    report = written(tmp_path / "ops.json", "check-ops")
    counted: dict[str, int] = {}
    for node in onnx.load(with_codec).graph.node:
        counted[node.op_type] = counted.get(node.op_type, 0) + 1
    assert report["models"][0]["operators"] == counted
    assert report["models"][0]["opsets"] == {"ai.onnx": 17}

    forbidden = linear("forbidden.onnx", [1.0], op="Hardmax")
    refused = command("check-ops", "--model", with_codec, "--model", forbidden, cwd=tmp_path)
    assert refused.returncode == 1
    assert "REFUSED forbidden.onnx" in refused.stdout
    assert "operator Hardmax at" in refused.stdout
    assert not check_ops([forbidden]).passed

    (tmp_path / "text.onnx").write_text("no model")
    assert command("check-ops", "--model", "text.onnx", cwd=tmp_path).returncode == 2


# ---------------------------------------------------------------------------------------------------------
# validate-norm


def shifted(table: Path, path: Path, change: Callable[[Any], None]) -> Path:
    frame = pq.read_table(table).to_pandas()
    change(frame)
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path)
    return path


def test_the_training_table_has_no_shift(fp32: Path, table: Path, tmp_path: Path) -> None:
    done = command(
        "validate-norm", "-m", fp32, "--features", table, "--json", "n.json", "--fail-on-warning", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    report = written(tmp_path / "n.json", "validate-norm")
    assert report["trained_on_this_table"]
    for found in report["features"]:
        assert abs(found["mean_shift"]) < 1e-9
        assert found["std_ratio"] == pytest.approx(1)
        assert found["outside_range_share"] == 0


def test_a_shift_is_measured_in_training_deviations(fp32: Path, table: Path, tmp_path: Path) -> None:
    scaling = json.loads(fp32.with_suffix(".json").read_text())["input_normalization"]
    std = scaling["std"][5]

    def change(frame: Any) -> None:
        frame["motion2"] += 1.25 * std
        # Six per cent of the rows far out, of another feature, with its mean where it was.
        n = len(frame)
        out = np.arange(n) < round(0.06 * n)
        frame.loc[out, "adm2"] = scaling["mean"][0] + np.where(np.arange(out.sum()) % 2, 9, -9) * scaling["std"][0]
        frame.loc[n - 1, "vif_scale3"] = np.nan

    other = shifted(table, tmp_path / "other.parquet", change)
    report = validate_norm(fp32, other)
    by_name = {found.name: found for found in report.features}
    assert by_name["motion2"].mean_shift == pytest.approx(1.25)
    assert by_name["adm2"].beyond_share == pytest.approx(0.06, abs=0.01)
    assert by_name["vif_scale3"].not_finite == 1
    assert [warning.partition(":")[0] for warning in report.warnings] == ["adm2", "vif_scale3", "motion2"]
    assert not report.passed
    # The limits are those of the caller.
    loose = validate_norm(fp32, other, max_mean_shift=1.3, max_beyond=0.1)
    assert [warning.partition(":")[0] for warning in loose.warnings] == ["vif_scale3"]

    assert command("validate-norm", "-m", fp32, "--features", other, cwd=tmp_path).returncode == 0
    failed = command("validate-norm", "-m", fp32, "--features", other, "--fail-on-warning", cwd=tmp_path)
    assert failed.returncode == 1
    assert "warning: motion2: its mean lies +1.25 standard deviations" in failed.stdout


def test_a_feature_without_values(fp32: Path, table: Path, tmp_path: Path) -> None:
    other = shifted(table, tmp_path / "other.parquet", lambda frame: frame.__setitem__("motion2", np.nan))
    with pytest.raises(InputError, match="no finite value in column 'motion2'"):
        validate_norm(fp32, other)


# ---------------------------------------------------------------------------------------------------------
# cross-backend


def test_independent_runtimes_agree(with_codec: Path, table: Path, tmp_path: Path) -> None:
    done = command(
        "cross-backend", "-m", with_codec, "--features", table, "--json", "x.json", "--fail-on-mismatch", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    report = written(tmp_path / "x.json", "cross-backend")
    backends = [run["backend"] for run in report["runs"]]
    assert backends[:3] == ["CPUExecutionProvider", "CPUExecutionProvider:unoptimised", "reference"]
    assert report["n_rows"] == min(256, pq.read_metadata(table).num_rows)
    assert report["runs"][0]["max_abs_diff"] == 0
    # Other code in another order of sums: never the very same figures, never far from them.
    assert 0 < report["runs"][2]["max_abs_diff"] < 1e-3


def test_the_difference_to_int8_is_that_of_the_scores(fp32: Path, int8: Path, table: Path, tmp_path: Path) -> None:
    report = cross_backend([fp32, int8], table=table, providers=["cpu"], n_rows=50)
    frame = pq.read_table(table).to_pandas()
    rows = frame.iloc[np.linspace(0, len(frame) - 1, 50).round().astype(int)]
    a = load_model(fp32).predict(rows).scores
    pin = sha256_file(int8)
    b = load_model(int8, sidecar=fp32.with_suffix(".json"), sha256=pin).predict(rows).scores
    assert report.max_abs_diff == pytest.approx(np.abs(a - b).max(), rel=1e-5)
    assert report.runs[1].worst_row == np.abs(a - b).argmax()
    assert report.runs[1].mean_abs_diff == pytest.approx(np.abs(a - b).mean(), rel=1e-4)
    words = ("cross-backend", "-m", fp32, "-m", int8, "-p", "cpu", "--features", table)
    assert command(*words, cwd=tmp_path).returncode == 0
    assert command(*words, "--fail-on-mismatch", cwd=tmp_path).returncode == 1
    assert command(*words, "--fail-on-mismatch", "--atol", "100", cwd=tmp_path).returncode == 0


def test_an_operator_that_the_reference_lacks_leaves_it_out(int8: Path, finished_results: Path, tmp_path: Path) -> None:
    registry = finished_results / "registry" / "registry.json"
    words = ("cross-backend", "--shape", "16", "--json", "c.json", "--fail-on-mismatch", "-m", int8)
    done = command(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = written(tmp_path / "c.json", "cross-backend")
    assert [run["backend"] for run in report["runs"]] == ["CPUExecutionProvider", "CPUExecutionProvider:unoptimised"]
    (absent,) = report["left_out"]
    assert absent["backend"] == "reference"
    assert "DequantizeLinear" in absent["why"]
    assert f"left out: reference: {absent['why']}" in " ".join(done.stdout.split())
    # Who asks for it by name gets an error.
    with pytest.raises(UnavailableError, match="ONNX's own evaluator cannot run"):
        cross_backend(["small.int8"], shape="16", providers=["cpu", "reference"], registry=registry)


# ---------------------------------------------------------------------------------------------------------
# eval


@pytest.mark.parametrize("int8_variant", [False, True])
def test_eval_finds_a_model_as_every_verb_does(finished_results: Path, int8_variant: bool, table: Path) -> None:
    registry = finished_results / "registry" / "registry.json"
    entry = json.loads(registry.read_text())["models"][0]
    path = registry.parent / entry["int8" if int8_variant else "onnx"]
    name = "small.int8" if int8_variant else "small"
    by_id = evaluate(name, table, split="all", registry=registry)
    by_path = evaluate(path, table, split="all")
    differing = ("run_provenance", "latency_ms_p50_per_clip", "latency_ms_p95_per_clip")
    for key in by_id.keys() - set(differing):
        assert by_id[key] == by_path[key]
    assert by_id["model"] == name
    rows = pq.read_table(table).to_pandas()
    import pyvmaf

    scores = pyvmaf.load_model(path).predict(rows).scores
    assert by_id["rmse"] == pytest.approx(np.sqrt(np.mean((scores - rows["vmaf"]) ** 2)))


def test_an_ensemble_is_compared_as_a_whole(ensemble: Path, table: Path) -> None:
    members = sorted(ensemble.parent.glob("seed*/model.onnx"))
    report = cross_backend([ensemble, *members], table=table, providers=["cpu", "reference"], n_rows=40)
    rows = (
        pq.read_table(table)
        .to_pandas()
        .iloc[np.linspace(0, pq.read_metadata(table).num_rows - 1, 40).round().astype(int)]
    )
    first, second = (load_model(path).predict(rows).scores for path in members)
    assert report.runs[1].max_abs_diff < 1e-3
    assert report.runs[2].max_abs_diff == pytest.approx(np.abs(first - second).max() / 2, rel=1e-3)


def test_made_up_rows_for_a_model_without_a_sidecar(linear: Linear) -> None:
    report = cross_backend([linear("bare.onnx", [1.0, -2.0])], shape="9x2", providers=["cpu", "reference"])
    assert report.rows == "made up"
    assert report.n_rows == 9
    assert report.passed


def test_not_a_number_on_one_side_is_a_mismatch(linear: Linear) -> None:
    # log of a negative product is NaN, abs of it is not.
    first, second = linear("abs.onnx", [1.0], op="Abs"), linear("log.onnx", [1.0], op="Log")
    report = cross_backend([first, second], shape="64x1", providers=["cpu"], atol=1e9)
    assert report.runs[1].finite_on_one_side_only > 0
    assert not report.passed


def test_backends_by_name() -> None:
    assert Backend.parse("cpu:threads=2") == Backend("CPUExecutionProvider:threads=2", "CPUExecutionProvider", 2)
    assert not Backend.parse("cpu:unoptimised").optimise
    for text in ("cpu:threads=0", "cpu:fast", "reference:threads=2"):
        with pytest.raises(InputError, match="is not a setting of"):
            Backend.parse(text)
    with pytest.raises(UnavailableError, match=r"which has .*CPUExecutionProvider"):
        Backend.parse("TensorrtExecutionProvider")


def test_what_cannot_be_compared(fp32: Path, table: Path, linear: Linear, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exclude each other"):
        cross_backend([fp32], table=table, shape="3")
    with pytest.raises(InputError, match="name two models or two providers"):
        cross_backend([fp32], providers=["cpu"])
    with pytest.raises(InputError, match="takes"):
        cross_backend([fp32, linear("bare.onnx", [1.0])])
    absent = command("cross-backend", "-m", fp32, "-p", "cpu", "-p", "cuda", cwd=tmp_path)
    assert absent.returncode == 2
    assert "CUDAExecutionProvider is not in the installed onnxruntime" in absent.stderr


# ---------------------------------------------------------------------------------------------------------
# profile


def test_profile(fp32: Path, int8: Path, tmp_path: Path) -> None:
    words = ("-m", fp32, "-m", int8, "--shape", "1", "--iters", "30", "--warmup", "2")
    done = command("profile", *words, "--json", "p.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = written(tmp_path / "p.json", "profile")
    first, second = report["runs"]
    for run in (first, second):
        assert 0 < run["min_ms"] <= run["p50_ms"] <= run["p99_ms"]
        assert run["min_ms"] <= run["mean_ms"]
        assert run["shapes"] == {"features": [1, 6]}
        assert 0 < run["peak_rss_delta_kib"] < 1 << 20
    assert first["times_first"] == 1
    assert second["times_first"] == pytest.approx(second["p50_ms"] / first["p50_ms"])
    # Times differ from run to run: the hashed part of the manifest must not hold the report's bytes.
    manifest = read_manifest(tmp_path / "p.json")
    assert manifest["outputs"] == {}
    assert manifest["run"]["timings"]["report"]["sha256"] == sha256_file(tmp_path / "p.json")


def test_a_larger_model_needs_more_memory(linear: Linear) -> None:
    rng = np.random.default_rng(0)
    small, large = linear("small.onnx", [1.0]), linear("large.onnx", rng.random(2_000_000).tolist())
    report = profile([small, large], shapes=["1"], iterations=3, warmup=0)
    grown = report.runs[1].peak_rss_delta_kib - report.runs[0].peak_rss_delta_kib
    assert grown > 7_000  # the weights alone are 7,812 KiB


def test_the_peak_is_that_of_now() -> None:
    # In a process of its own: memory that another test has freed would hold the block without growing.
    code = (
        "import numpy as np; from pyvmaf.checks.profile import peak_memory, reset_peak; before = reset_peak(); "
        "block = np.ones(32 << 20, dtype=np.uint8); grown = peak_memory() - before; assert grown > 30_000, grown"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_to_time(fp32: Path) -> None:
    with pytest.raises(InputError, match="at least 1"):
        profile([fp32], iterations=0)


# ---------------------------------------------------------------------------------------------------------
# bisect-model-quality


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows whose target is a known sum of two columns."""
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(2, 400))
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    pq.write_table(pa.table({"a": a, "b": b, "mos": a}), path)
    return path


def series(linear: Linear, slopes: list[float]) -> list[Path]:
    """Models a + slope * b: PLCC with a falls as the slope grows."""
    return [linear(f"m{place}-{slope}.onnx", [1.0, slope]) for place, slope in enumerate(slopes)]


def test_the_first_bad_model(linear: Linear, labelled: Path, tmp_path: Path) -> None:
    slopes = [0.1 * k for k in range(20)]
    models = series(linear, slopes)
    frame = pq.read_table(labelled).to_pandas()
    plcc = [float(np.corrcoef(frame["a"], frame["a"] + s * frame["b"])[0, 1]) for s in slopes]
    limit = (plcc[12] + plcc[13]) / 2
    words = ("bisect-model-quality", *models, "--features", labelled, "--min-plcc", limit, "--columns", "a,b")
    done = command(*words, "--json", "b.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "first bad: m13-" in done.stdout
    report = written(tmp_path / "b.json", "bisect-model-quality")
    assert report["first_bad"] == 13
    assert report["monotone"] is None
    assert report["n_evaluated"] <= 7
    for found in report["models"]:
        assert found["plcc"] == pytest.approx(plcc[found["place"]], abs=1e-6)
    assert command(*words, "--fail-on-first-bad", cwd=tmp_path).returncode == 1
    every = bisect_model_quality(models, labelled, min_plcc=limit, columns=["a", "b"], every=True)
    assert every.first_bad == 13
    assert every.n_evaluated == 20
    assert every.monotone is True


@given(n=st.integers(1, 60), every=st.booleans(), data=st.data())
def test_halving_finds_the_first_bad_model_of_any_series(n: int, every: bool, data: st.DataObject) -> None:
    first_bad = data.draw(st.integers(0, n))
    calls: list[int] = []

    def passes(index: int) -> bool:
        calls.append(index)
        return index < first_bad

    assert find_first_bad(n, passes, every=every) == (first_bad if first_bad < n else None)
    assert len(calls) == len(set(calls))
    assert {0, n - 1} <= set(calls)
    assert len(calls) == n if every else len(calls) <= 2 + int(np.ceil(np.log2(max(n, 2))))


def test_a_series_that_is_not_in_order(linear: Linear, labelled: Path) -> None:
    models = series(linear, [9.0, 0.0, 9.0, 0.0])
    report = bisect_model_quality(models, labelled, max_rmse=1, columns=["a", "b"])
    assert report.first_bad == 0
    assert report.monotone is False
    assert "not in order" in report.notes[0]
    # The same bytes are evaluated once, however often they occur.
    every = bisect_model_quality(models[1:], labelled, max_rmse=1, columns=["a", "b"], every=True)
    assert every.first_bad == 1
    assert every.monotone is False


def test_all_good_and_all_bad(linear: Linear, labelled: Path) -> None:
    models = series(linear, [0.0, 0.1, 0.2])
    good = bisect_model_quality(models, labelled, min_plcc=0.5, columns=["a", "b"])
    assert good.first_bad is None
    assert good.passed
    assert "only the first and the last" in good.notes[0]
    assert bisect_model_quality(models, labelled, min_plcc=1.0, columns=["a", "b"]).first_bad in (0, 1)


def test_constant_predictions_are_no_good_ones(linear: Linear, labelled: Path) -> None:
    report = bisect_model_quality(
        [*series(linear, [0.0]), linear("flat.onnx", [0.0, 0.0])], labelled, min_plcc=-1, columns=["a", "b"]
    )
    assert report.first_bad == 1
    assert report.models[1].plcc is None


def test_models_with_sidecars_are_asked_as_their_loader_asks_them(
    fp32: Path, int8: Path, ensemble: Path, with_codec: Path, table: Path
) -> None:
    report = bisect_model_quality([fp32, int8, ensemble, with_codec], table, min_plcc=0.9, every=True)
    alone = evaluate(fp32, table, split="all")
    assert report.models[0].plcc == pytest.approx(alone["plcc"])
    assert report.models[0].rmse == pytest.approx(alone["rmse"])
    assert [found.model for found in report.models] == ["small", "small.int8", "small", "held"]
    assert report.first_bad == 3, "the model that was never trained"


def test_exactly_one_limit(linear: Linear, labelled: Path, tmp_path: Path) -> None:
    model = linear("m.onnx", [1.0, 1.0])
    for words in ((), ("--min-plcc", ".9", "--max-rmse", "3")):
        done = command("bisect-model-quality", model, "--features", labelled, *words, cwd=tmp_path)
        assert done.returncode == 2
        assert "exactly one of" in done.stderr
    for more, message in (
        (("--columns", "a"), "but 1 columns would be fed"),
        (("--columns", "a,b", "--input-name", "features"), "has no input 'features'"),
        (("--columns", "a,c"), "has no column 'c'"),
    ):
        done = command("bisect-model-quality", model, "--features", labelled, "--min-plcc", ".9", *more, cwd=tmp_path)
        assert done.returncode == 2
        assert message in done.stderr


# ---------------------------------------------------------------------------------------------------------
# audit-compat


def test_a_finished_run_fits_together(finished_results: Path, tmp_path: Path) -> None:
    done = command(
        "audit-compat",
        "--model-dir",
        finished_results,
        "--fail-on-warning",
        "--json",
        tmp_path / "a.json",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    report = written(tmp_path / "a.json", "audit-compat")
    assert len(report["models"]) == 6
    assert len(report["registries"]) == 1
    assert audit_compat(finished_results / "registry" / "registry.json").passed


def test_an_ensemble_is_held_against_its_members(ensemble: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    shutil.copytree(ensemble.parent, folder)
    report = audit_compat(folder)
    assert report.ensembles
    assert report.passed, report.findings
    manifest = folder / "ensemble.json"
    edit(manifest, verdict="HOLD")
    assert [f.level for f in audit_compat(folder).findings] == ["note"]
    edit(manifest, verdict="PROMOTE", feature_mean=[0.0] * 6)
    assert any("feature_mean" in f.message for f in audit_compat(folder).findings)
    (folder / "seed1" / "model.onnx").write_bytes((folder / "seed0" / "model.onnx").read_bytes())
    assert any(f.path.endswith("ensemble.json") and "pins sha256" in f.message for f in audit_compat(folder).findings)


def test_profile_of_an_ensemble_loads_every_member(ensemble: Path) -> None:
    members = [ensemble.parent / f"seed{seed}" / "model.onnx" for seed in (0, 1)]
    report = profile([members[0], ensemble], shapes=["240"], iterations=2)
    assert report.runs[0].bytes == members[0].stat().st_size
    assert report.runs[1].bytes == sum(member.stat().st_size for member in members)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# The registered member: of two seeds, the lower median is the one with the lower correlation.
MODEL = "models/small/seed1/model.onnx"
SIDECAR = "models/small/seed1/model.json"
INT8 = "quantized/small/seed1/static_qdq.json"


def scaled(sidecar: Path, factor: float) -> dict[str, Any]:
    scaling = json.loads(sidecar.read_text())["input_normalization"]
    return {**scaling, "std": [factor * std for std in scaling["std"]]}


@pytest.mark.parametrize(
    ("what", "damage"),
    [
        ("says onnx_opset 16, but", lambda r: edit(r / SIDECAR, onnx_opset=16)),
        ("says operators {'Gemm': 1}", lambda r: edit(r / SIDECAR, operators={"Gemm": 1})),
        ("describes other.onnx", lambda r: edit(r / SIDECAR, onnx="other.onnx")),
        ("names one, mos", lambda r: edit(r / SIDECAR, output_name="mos")),
        ("model.json describes input (6 columns)", lambda r: edit(r / SIDECAR, input_name="input")),
        ("scaler.std inside of", lambda r: edit(r / SIDECAR, input_normalization=scaled(r / SIDECAR, 0.9))),
        (f"{'0' * 64} is pinned", lambda r: edit(r / SIDECAR, sha256="0" * 64)),
        ("unknown: this key is not allowed", lambda r: edit(r / SIDECAR, unknown=1)),
        ("is not JSON", lambda r: (r / SIDECAR).write_text("{")),
        ("does not have a sidecar", lambda r: (r / SIDECAR).unlink()),
        ("describes model.onnx, which does not exist", lambda r: (r / SIDECAR).with_suffix(".onnx").unlink()),
        ("which is never read", lambda r: (r / f"{MODEL}.data").write_text("")),
        ("not an ONNX file", lambda r: (r / MODEL).write_text("no")),
        ("is not for use: too slow", lambda r: edit(r / INT8, passed=False, missed=["too slow"])),
        ("int8_report", lambda r: edit(r / INT8, passed=False)),
        ("registered was", lambda r: shutil.copy(r / "models/held/seed0/model.onnx", r / MODEL)),
        ("schema_version: should be 0 or 1, but is 9", lambda r: edit(r / "registry/registry.json", schema_version=9)),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_found(what: str, damage: Callable[[Path], object], results: Path) -> None:
    damage(results)
    report = audit_compat(Path("results"))
    assert any(what in found.message for found in report.findings), report.findings
    assert not report.passed


def test_one_model_that_fails_does_not_end_the_audit(results: Path) -> None:
    """Whatever a file is, the others are examined."""
    folder = results / "models" / "small"
    for name, data in {"cut": (results / MODEL).read_bytes()[:500], "text": b"no model", "empty": b""}.items():
        (folder / f"{name}.onnx").write_bytes(data)
    os.mkfifo(folder / "pipe.onnx")
    (folder / "gone.onnx").symlink_to("nowhere")
    cyclic = onnx.load(results / MODEL)
    cyclic.graph.node[0].input[0] = cyclic.graph.node[-1].output[0]
    (folder / "cyclic.onnx").write_bytes(cyclic.SerializeToString())
    shutil.copy(results / SIDECAR, folder / "cyclic.json")
    edit(folder / "cyclic.json", sha256=sha256_file(folder / "cyclic.onnx"), onnx="cyclic.onnx")
    report = audit_compat(results)
    wrong = {Path(found.path).name for found in report.findings if found.level == "error"}
    assert wrong == {"cut.onnx", "text.onnx", "empty.onnx", "pipe.onnx", "gone.onnx", "cyclic.onnx"}
    assert {"model.onnx", "static_qdq.onnx"} <= {Path(model.path).name for model in report.models}
    assert not [found for found in report.findings if found.path.endswith("seed1/model.onnx")]


def test_nothing_to_audit(tmp_path: Path) -> None:
    with pytest.raises(PyvmafError, match="neither models"):
        audit_compat(tmp_path)
    assert command("audit-compat", "--model-dir", "absent", cwd=tmp_path).returncode == 2
