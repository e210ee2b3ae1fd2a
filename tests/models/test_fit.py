"""fit, judge and their commands on a small table."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from pyvmaf.base.files import sha256_file
from pyvmaf.base.manifest import read_manifest
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.models.crossval import summarise
from pyvmaf.models.fit import fit
from pyvmaf.models.weights import load_weights
from tests.make.commands import command
from tests.make.models import SpecWriter
from tests.make.tables import table_columns, write_table


def separately(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pyvmaf", *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False
    )


def digests(folder: Path) -> dict[str, str]:
    """Hash of every file; manifests without the block that holds times."""
    out = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        if path.name.endswith(".manifest.json"):
            data = json.dumps({k: v for k, v in json.loads(data).items() if k != "run"}).encode()
        out[path.relative_to(folder).as_posix()] = hashlib.sha256(data).hexdigest()
    return out


def test_two_processes_write_the_same_bytes(tmp_path: Path, table: Path, write_spec: SpecWriter) -> None:
    write_spec(
        network={"hidden": [12], "activation": "gelu", "dropout": 0.1}, inputs={"features": "canonical6", "codec": "v1"}
    )
    found = []
    for threads in (1, 2):
        folder = tmp_path / f"run{threads}"
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "made.parquet").write_bytes(table.read_bytes())
        (folder / "small.yaml").write_bytes((tmp_path / "small.yaml").read_bytes())
        words = ("fit", "--config", "small.yaml", "--features", "data/made.parquet", "--seed", 1, "--output", "out")
        done = separately(*words, "--threads", threads, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert "scene3" in done.stdout
        found.append(digests(folder / "out"))
    assert found[0] == found[1]
    assert set(found[0]) == {
        "weights.safetensors",
        "weights.safetensors.manifest.json",
        "loso.json",
        "predictions.parquet",
    }


def test_report_and_predictions_agree_with_scipy(tmp_path: Path, table: Path, write_spec: SpecWriter) -> None:
    result = fit(write_spec(), table, tmp_path / "out", seed=0)
    report = json.loads(result.report.read_text())
    rows = pq.read_table(result.predictions).to_pandas()
    columns = table_columns()
    assert len(rows) == len(columns["vmaf"])
    assert list(rows.columns[:2]) == ["fold", "source"]
    assert (rows["fold"].astype(str) == rows["source"].astype(str)).all()
    assert str(rows["crf"].dtype) == str(rows["frame_index"].dtype) == "int64"
    plccs = []
    for fold in report["folds"]:
        part = rows[rows["fold"] == fold["held_out"]]
        p, y = part["prediction"].to_numpy(), part["target"].to_numpy()
        assert fold["n_val"] == len(part)
        assert fold["n_train"] == len(rows) - len(part)
        assert fold["plcc"] == pytest.approx(stats.pearsonr(p, y).statistic, abs=1e-12)
        assert fold["srocc"] == pytest.approx(stats.spearmanr(p, y).statistic, abs=1e-12)
        assert fold["krocc"] == pytest.approx(stats.kendalltau(p, y).statistic, abs=1e-12)
        assert fold["rmse"] == pytest.approx(np.sqrt(np.mean((p - y) ** 2)), abs=1e-12)
        plccs.append(fold["plcc"])
    assert report["n_folds"] == 4
    assert report["mean_plcc"] == pytest.approx(np.mean(plccs))
    assert report["std_plcc"] == pytest.approx(stats.tstd(plccs))
    assert (report["min_plcc"], report["max_plcc"]) == (min(plccs), max(plccs))
    assert report["mean_plcc"] > 0.9
    assert report["table"]["sha256"] == sha256_file(table)
    assert report["weights_sha256"] == sha256_file(result.weights)
    assert report["predictions_sha256"] == sha256_file(result.predictions)
    assert report["run_provenance"]["schema"] == "ai-run-provenance-v1"
    assert "wall" not in result.report.read_text()


def test_no_fold_has_seen_the_rows_it_is_judged_on(tmp_path: Path, table: Path, write_spec: SpecWriter) -> None:
    result = fit(write_spec(), table, tmp_path / "out", seed=0, epochs=1)
    weights = load_weights(result.weights)
    columns = table_columns()
    X = np.column_stack([columns[n] for n in weights.info["features"]])
    source = np.asarray(columns["source"])
    assert weights.held_out == ["scene0", "scene1", "scene2", "scene3", None]
    for place, held_out in enumerate(weights.held_out):
        own = X if held_out is None else X[source != held_out]
        np.testing.assert_allclose(weights.tensors["scaler_mean"][place], own.mean(0), rtol=1e-12)
        np.testing.assert_allclose(weights.tensors["scaler_std"][place], own.std(0), rtol=1e-9)
        np.testing.assert_array_equal(weights.tensors["feature_low"][place], own.min(0))
        np.testing.assert_array_equal(weights.tensors["feature_high"][place], own.max(0))

    # Other values of the held-out scene change its own fold's model not at all.
    for i, s in enumerate(columns["source"]):
        if s == "scene2":
            columns["vmaf"][i] = 3.0 + i % 5
            columns["adm2"][i] = 0.1
    other = fit(write_spec(), write_table(tmp_path / "o.parquet", columns), tmp_path / "o", seed=0, epochs=1)
    changed = load_weights(other.weights)
    same = [
        np.array_equal(a, b) for a, b in zip(weights.tensors["parameters"], changed.tensors["parameters"], strict=True)
    ]
    assert same == [False, False, True, False, False]


def test_the_manifest_accounts_for_every_file(tmp_path: Path, table: Path, write_spec: SpecWriter) -> None:
    result = fit(write_spec(), table, tmp_path / "out", seed=0, epochs=1)
    outputs = read_manifest(result.weights)["outputs"]
    named = {item["path"].rpartition("/")[2]: item["sha256"] for item in outputs.values()}
    assert named == {
        p.name: sha256_file(p) for p in (tmp_path / "out").iterdir() if not p.name.endswith(".manifest.json")
    }


def test_zero_epochs_keep_the_initial_weights(tmp_path: Path, table: Path, write_spec: SpecWriter) -> None:
    spec = write_spec(target={"table": "made", "standardise": False})
    done = command("fit", "-c", spec, "--features", table, "--output", tmp_path / "out", "--epochs", 0, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "loso.json").read_text())
    assert report["epochs"] == 0
    assert report["folds"][0]["train_loss"] is None
    assert report["mean_rmse"] > 50
    weights = load_weights(tmp_path / "out" / "weights.safetensors")
    # The first layer's initial values lie within 1/sqrt(6 inputs).
    assert 0.3 < np.abs(weights.tensors["parameters"][:, : 8 * 7]).max() <= 6**-0.5


@pytest.mark.parametrize("sources", [1, 0])
def test_nothing_to_hold_out_leaves_nothing_behind(tmp_path: Path, write_spec: SpecWriter, sources: int) -> None:
    columns = {k: v if sources else v[:0] for k, v in table_columns(sources=1).items()}
    if not sources:
        columns = {k: v[:1] for k, v in table_columns(sources=1).items()}
        columns["adm2"] = [float("nan")]
    path = write_table(tmp_path / "t.parquet", columns)
    done = command("fit", "-c", write_spec(), "--features", path, "--output", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "t.parquet" in done.stderr
    assert ("at least 2 groups" if sources else "lack a value") in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_interrupt_or_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, table: Path, write_spec: SpecWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(done: int, _total: int, _loss: float) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(write_spec(), table, tmp_path / "out", seed=0, on_epoch=interrupted)
    assert not (tmp_path / "out").exists()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
    with pytest.raises(OSError, match="No space"):
        fit(write_spec(), table, tmp_path / "out", seed=0, epochs=0)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_kind_without_a_family_is_named_with_those_that_have_one(
    tmp_path: Path, table: Path, write_spec: SpecWriter
) -> None:
    with pytest.raises(InputError, match="unknown kind 'sound': valid: fr, mos"):
        fit(write_spec(kind="sound"), table, tmp_path / "out", seed=0)


def test_weights_that_are_damaged_or_something_else(tmp_path: Path, table: Path, write_spec: SpecWriter) -> None:
    result = fit(write_spec(), table, tmp_path / "out", seed=0, epochs=0)
    data = result.weights.read_bytes()
    path = tmp_path / "w.safetensors"
    for content in (data[:-8], data[:20], b"", b"\xff" * 64):
        path.write_bytes(content)
        with pytest.raises(IntegrityError, match=r"w\.safetensors"):
            load_weights(path)
    from safetensors.numpy import save

    path.write_bytes(save({"a": np.zeros(3)}))
    with pytest.raises(IntegrityError, match="not one of schema"):
        load_weights(path)
    with pytest.raises(MissingFileError):
        load_weights(tmp_path / "absent")


def test_a_figure_that_is_not_defined_is_null() -> None:
    one = {"plcc": 0.9, "srocc": 0.9, "krocc": 0.7, "rmse": 1.0}
    found = summarise([one, {**one, "plcc": None}])
    assert found["mean_plcc"] is found["std_plcc"] is found["min_plcc"] is found["max_plcc"] is None
    assert found["mean_srocc"] == 0.9
    assert summarise([one])["std_plcc"] is None


def test_the_command_refuses_other_code(tmp_path: Path, table: Path, write_spec: SpecWriter) -> None:
    done = command(
        "fit", "-c", write_spec(), "--features", table, "-o", tmp_path / "out", "--code", "0" * 16, cwd=tmp_path
    )
    assert done.returncode == 2
    assert "0" * 16 in done.stderr
    assert not os.path.exists(tmp_path / "out")
