"""The cache of a nightly bisection: the same bytes each time, what --check sees, and its use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pyvmaf.features.catalog import CANONICAL6
from tests.make.commands import command, refusal
from tests.make.tables import write_table
from tests.make.videos import REPOSITORY

MODELS = [f"models/model_{index}.onnx" for index in range(8)]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "bisect"
    done = command("build-bisect-cache", "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_rows_and_models_are_those_of_the_seeds(cache: Path, tmp_path: Path) -> None:
    frame = pd.read_parquet(cache / "features.parquet")
    assert frame.shape == (256, 7)
    assert list(frame) == [*CANONICAL6, "mos"]
    rng = np.random.default_rng(20260418)
    np.testing.assert_array_equal(frame["adm2"], rng.uniform(0.4, 1.0, 256))
    assert frame["mos"].between(1, 5).all()
    features = frame[list(CANONICAL6)].to_numpy()
    fitted = np.linalg.lstsq(np.column_stack([features, np.ones(256)]), frame["mos"], rcond=None)
    assert fitted[3][0] > 0
    noise = np.random.default_rng(20260419).normal(0, 1e-4, (8, 7))
    assert [path.name for path in sorted((cache / "models").glob("*.onnx"))] == [Path(name).name for name in MODELS]
    for name, own in zip(MODELS, noise, strict=True):
        (scores,) = ort.InferenceSession(cache / name).run(None, {"input": features.astype(np.float32)})
        expected = np.column_stack([features, np.ones(256)]) @ (fitted[0] + own)
        np.testing.assert_allclose(scores[:, 0], expected, atol=1e-5)
    again = tmp_path / "again"
    assert command("build-bisect-cache", "--out", again).returncode == 0
    for name in ("features.parquet", *MODELS):
        assert (again / name).read_bytes() == (cache / name).read_bytes()
    assert command("build-bisect-cache", "--out", cache).returncode == 0
    assert command("verify", cache).returncode == 0


def test_a_check_sees_rows_and_bytes(cache: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    words = ["build-bisect-cache", "--out", cache, "--check", "--manifest-out", report]
    # The same rows in another file of parquet are equal.
    frame = pd.read_parquet(cache / "features.parquet")
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), cache / "features.parquet", compression="gzip")
    assert command(*words).returncode == 0
    body = json.loads(report.read_text())
    assert (body["mode"], body["check"], body["n_rows"], body["n_models"]) == ("synthetic", "equal", 256, 8)
    assert body["target_candidates"] == ["mos", "dmos", "target", "score"]
    changed = frame["motion2"].to_numpy(copy=True)
    changed[7] = np.nextafter(changed[7], 100)
    frame["motion2"] = changed
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), cache / "features.parquet")
    with (cache / MODELS[3]).open("ab") as stream:
        stream.write(b"\0")
    before = {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()}
    done = command(*words)
    assert done.returncode == 1
    assert json.loads(report.read_text())["differences"] == ["features.parquet", MODELS[3]]
    assert {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()} == before
    (cache / MODELS[0]).unlink()
    assert "model_0.onnx: build the cache without --check" in refusal(*words[:4])


def real(path: Path, n: int, target: str) -> tuple[Path, pd.DataFrame]:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.uniform(0, 1, (n, 6)), columns=list(CANONICAL6))
    frame[target] = frame.sum(axis=1) + rng.normal(0, 0.1, n)
    frame.loc[3, "adm2"] = np.nan
    write_table(path, {str(name): frame[name].tolist() for name in frame})
    return path, frame


def test_rows_of_a_table(tmp_path: Path) -> None:
    source, frame = real(tmp_path / "rows.parquet", 1000, "dmos")
    words = ["build-bisect-cache", "-o", tmp_path / "cache", "--source-features", source]
    assert command(*words).returncode == 0
    assert command(*words, "--check").returncode == 0
    assert command(*words[:3], "--check").returncode == 1
    usable = frame.dropna().reset_index(drop=True)
    rows = pd.read_parquet(tmp_path / "cache/features.parquet")
    expected = usable.iloc[[index * 999 // 256 for index in range(256)]].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, expected[[*CANONICAL6, "dmos"]])
    session = ort.InferenceSession(tmp_path / "cache" / MODELS[0])
    scores = session.run(None, {"input": rows[list(CANONICAL6)].to_numpy(np.float32)})[0][:, 0]
    assert np.corrcoef(scores, rows["dmos"])[0, 1] > 0.9


def test_the_nightly_example(tmp_path: Path) -> None:
    """It makes the cache once, passes as long as nothing changed, and tells a file that did."""
    script = ["sh", str(REPOSITORY / "docs/examples/nightly/nightly.sh"), "bisect"]

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.run(
            [*script, *words],
            cwd=tmp_path,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    done = run("bisect/features.parquet", f"bisect/{MODELS[0]}")
    assert (done.returncode, done.stdout.count("no model that was evaluated fails")) == (0, 2), done.stderr
    model = tmp_path / "bisect" / MODELS[2]
    model.write_bytes(model.read_bytes()[:-1] + b"0")
    done = run()
    assert (done.returncode, f"differs: {MODELS[2]}" in done.stdout) == (1, True), done.stderr


def test_refusals(tmp_path: Path) -> None:
    start = ["build-bisect-cache", "-o", tmp_path / "cache"]
    few, _ = real(tmp_path / "few.parquet", 256, "score")
    other, _ = real(tmp_path / "other.parquet", 300, "quality")
    assert "has 255 rows with every value, but a cache needs 256" in refusal(*start, "--source-features", few)
    assert "has none of the columns mos, dmos, target, score" in refusal(*start, "--source-features", other)
    assert "is a column of --source-features, which is not given" in refusal(*start, "--target-column", "mos")
    assert not (tmp_path / "cache").exists()
