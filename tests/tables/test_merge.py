"""Rows of vmaf-tune's corpus from several files in one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pyvmaf.base.manifest import read_manifest
from pyvmaf.encodes.record import KEYS
from pyvmaf.errors import InputError, MissingFileError
from pyvmaf.tables.merge import RowError, merge, required_keys
from tests.make.commands import command
from tests.make.schema import VERSION_1


def row(sha: str, crf: int = 23, vmaf: float = 90.0, version: int = 1, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = dict.fromkeys(required_keys(version), 0)
    identity = {"schema_version": version, "src_sha256": sha, "encoder": "libx264", "preset": "medium"}
    return values | identity | {"crf": crf, "vmaf_score": vmaf} | changes


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join((item if isinstance(item, str) else json.dumps(item)) + "\n" for item in rows))
    return path


def test_the_keys_of_each_version() -> None:
    assert required_keys(1) == set(VERSION_1)
    assert required_keys(2) == {*VERSION_1, "clip_mode"}
    assert required_keys(3) == set(KEYS)
    assert [len(required_keys(version)) for version in (1, 2, 3)] == [25, 26, 54]


def test_of_equal_encodes_the_first_stays(tmp_path: Path) -> None:
    a = write(tmp_path / "a.jsonl", row("s"), row("s", crf=30), "", row("t", version=3))
    b = write(tmp_path / "b.jsonl", row("s"), row("s", crf=30, vmaf=80.0), row("u", version=2), row("s", preset="slow"))
    counts = merge([a, b], tmp_path / "c.jsonl")
    assert counts == {
        "rows_in": 7,
        "rows_out": 5,
        "duplicates": 2,
        "conflicts": 1,
        "shards": [{"file": "a.jsonl", "rows_in": 3, "rows_out": 3}, {"file": "b.jsonl", "rows_in": 4, "rows_out": 2}],
    }
    # Rows stay as they are, byte for byte.
    lines = [line for line in [*a.read_text().splitlines(), *b.read_text().splitlines()] if line]
    assert (tmp_path / "c.jsonl").read_text().splitlines() == [*lines[:3], lines[5], lines[6]]
    assert read_manifest(tmp_path / "c.jsonl")["details"] == counts


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({key: 0 for key in VERSION_1 if key != "crf"} | {"schema_version": 1}, "b.jsonl, line 2 lacks crf"),
        (
            row("x", version=2) | {"schema_version": 3},
            "line 2 lacks adm2_mean, adm2_std, enc_internal_bits_mean, .*, …",
        ),
        (row("x") | {"schema_version": 4}, "line 2: schema_version is 4, known are 1, 2, 3"),
        (row("x") | {"schema_version": True}, "line 2: schema_version is True"),
        ([1], "line 2: schema_version is None"),
        ('{"a": ', "line 2"),
        (row("x", encoder=["libx264"]), "line 2: encoder is no plain value"),
    ],
)
def test_rows_that_are_not_of_the_schema_write_nothing(tmp_path: Path, bad: Any, message: str) -> None:
    a, b = write(tmp_path / "a.jsonl", row("s")), write(tmp_path / "b.jsonl", row("t"), bad)
    with pytest.raises(RowError, match=message):
        merge([a, b], tmp_path / "c.jsonl")
    assert not list(tmp_path.glob("c.jsonl*"))


def test_files_that_cannot_be_merged(tmp_path: Path) -> None:
    a = write(tmp_path / "a.jsonl", row("s"))
    with pytest.raises(InputError, match="name another one"):
        merge([a], tmp_path / "c.jsonl")
    with pytest.raises(InputError, match="given twice"):
        merge([a, tmp_path / "." / "a.jsonl"], tmp_path / "c.jsonl")
    with pytest.raises(MissingFileError, match="no such file"):
        merge([a, tmp_path / "b.jsonl"], tmp_path / "c.jsonl")


def test_exit_codes(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", row("s"))
    write(tmp_path / "b.jsonl", row("s"), row("t"))
    write(tmp_path / "bad.jsonl", {"schema_version": 1})
    done = command("merge", "a.jsonl", "b.jsonl", "-o", "c.jsonl", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "c.jsonl: 2 of 3 rows of 2 files\n")
    done = command("merge", "a.jsonl", "bad.jsonl", "-o", "d.jsonl", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert not (tmp_path / "d.jsonl").exists()
    assert command("merge", "a.jsonl", "gone.jsonl", "-o", "d.jsonl", cwd=tmp_path).returncode == 2
