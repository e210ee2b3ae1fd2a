"""Verbs that read damaged tables and documents: one line and exit code 2, never the exit code of a gate."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.make.commands import refusal

OLD = Path(__file__).parent / "artefacts" / "0.1.0"
TABLE = "results/tables/default.parquet"
MODEL = "results/models/frame_model/seed0/model.onnx"
CONFIG = "config/models/frame_model.yaml"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(OLD, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def flip(table: Path) -> None:
    data, rng = bytearray(table.read_bytes()), random.Random(0)
    for _ in range(30):
        data[rng.randrange(4, len(data) // 2)] = rng.randrange(256)
    table.write_bytes(data)


def cut(table: Path) -> None:
    table.write_bytes(table.read_bytes()[:-100])


def twice(table: Path) -> None:
    rows = pq.read_table(table)
    pq.write_table(pa.table([*rows.columns, rows["adm2"]], names=[*rows.column_names, "adm2"]), table)


def endless(table: Path) -> None:
    rows = pq.read_table(table).slice(0, 1)
    many = pa.table({name: pa.repeat(rows[name].combine_chunks()[0], 4_000_000) for name in ("adm2", "vmaf")})
    with pq.ParquetWriter(table, many.schema, compression="zstd") as writer:
        for _ in range(8):
            writer.write_table(many)


def text(table: Path) -> None:
    table.write_text("a,b\n1,2\n")


VERBS = {
    "eval": ["eval", "--model", MODEL, "--features", TABLE, "--split", "all"],
    "fit": ["fit", "--config", CONFIG, "--features", TABLE, "-o", "out"],
    "combine": ["combine", "-o", "out.parquet", f"a={TABLE}"],
    "validate-norm": ["validate-norm", "--model", MODEL, "--features", TABLE],
    "feature-correlation": ["feature-correlation", "--features", TABLE, "-o", "out.json"],
    "subset-sweep": ["subset-sweep", "--features", TABLE, "-o", "out.json"],
    "cross-backend": ["cross-backend", "--model", MODEL, "--features", TABLE],
    "bisect-model-quality": ["bisect-model-quality", MODEL, MODEL, "--features", TABLE, "--min-plcc", "0.5"],
}


@pytest.mark.parametrize("damage", [flip, cut, twice, endless, text], ids=lambda damage: damage.__name__)
def test_a_table(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder / TABLE)
    before = sorted(folder.rglob("*"))
    for words in VERBS.values():
        message = refusal(*words)
        assert TABLE in message
        assert len(message) < 500
    assert sorted(folder.rglob("*")) == before


def nan(path: Path) -> None:
    body = json.loads(path.read_text())
    key = next(key for key, value in body.items() if isinstance(value, str))
    path.write_text(json.dumps(body | {key: np.nan}))


DOCUMENTS: dict[str, Callable[[Path], object]] = {
    "nan": nan,
    "deep": lambda path: path.write_text("[" * 200_000),
    "digits": lambda path: path.write_text('{"a": ' + "9" * 5_000 + "}"),
    "bytes": lambda path: path.write_bytes(b'{"a": "\xff"}'),
    "twice": lambda path: path.write_text(path.read_text().replace("{", '{"x": 1, "x": 2, ', 1)),
    "empty": lambda path: path.write_bytes(b""),
}
READERS = {
    "results/models/frame_model/seed0/model.json": [VERBS["eval"], VERBS["validate-norm"]],
    "results/models/frame_model/seed0/loso.json": [
        ["judge", "--config", CONFIG, "-o", "out.json", "results/models/frame_model/seed0/loso.json"]
    ],
    "results/models/frame_model/verdict.json": [
        [
            *("export", "--config", CONFIG, "--checkpoint", "results/models/frame_model/seed0/weights.safetensors"),
            *("--verdict", "results/models/frame_model/verdict.json", "--features", TABLE, "-o", "out.onnx"),
        ]
    ],
    "results/tables/default.parquet.manifest.json": [["trace", TABLE]],
}


@pytest.mark.parametrize("damage", DOCUMENTS)
@pytest.mark.parametrize("document", READERS)
def test_a_document(folder: Path, document: str, damage: str) -> None:
    DOCUMENTS[damage](folder / document)
    before = sorted(folder.rglob("*"))
    for words in READERS[document]:
        message = refusal(*words)
        assert document in message
        assert len(message) < 500
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "[" * 100_000, "a: " + "9" * 5_000, "a: &a [*a]", "a: .nan", "\t- a"])
def test_a_configuration(folder: Path, text: str) -> None:
    (folder / "mine.yaml").write_text(text)
    (folder / CONFIG).write_text(text)
    for words in (["config", "mine.yaml"], ["fetch", "--corpus", "mine.yaml"], VERBS["fit"]):
        assert "mine.yaml" in (message := refusal(*words)) or CONFIG in message


def test_a_folder_of_devices_is_not_hashed_for_ever(folder: Path) -> None:
    entry = {"key": "zero", "path": "zero", "sha256": "0" * 64, "source": "s", "group": "g"}
    corpus = {"name": "dev", "kind": "folder", "license": "x", "root": "/dev", "entries": [entry]}
    (folder / "dev.yaml").write_text(json.dumps(corpus))
    assert "device or a pipe" in refusal("fetch", "--corpus", "dev.yaml", "--output-dir", "out")


def test_a_working_folder_that_was_deleted(folder: Path) -> None:
    code = "import os; os.mkdir('lost'); os.chdir('lost'); os.rmdir('../lost'); from pyvmaf.cli import main; main()"
    words = [sys.executable, "-c", code, "check-ops", "--model", str(folder / MODEL)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "error: the working folder was deleted: change to a folder that exists\n",
    )


def test_a_shard_that_fails_leaves_nothing(folder: Path) -> None:
    ladder = "results/features/small/scene_1/libx264.parquet"
    records = sorted(map(str, (folder / "results/encodes/small/scene_1/libx264").glob("*crf??.json")))
    words = ["shard", "--output", "new/new.parquet", "--records", "new/new.jsonl", ladder, *records]
    (folder / f"{ladder}.manifest.json").unlink()
    assert f"{ladder}.manifest.json" in refusal(*words)
    assert not list(folder.glob("new/*"))
