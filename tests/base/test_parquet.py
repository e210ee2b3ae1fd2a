"""Parquet files of anybody: the rows, or one line that says what is wrong, in bounded memory."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pyvmaf.base.parquet import METADATA_KEY, ParquetTable, read_parquet
from pyvmaf.errors import IntegrityError, MissingFileError


@pytest.fixture
def table() -> pa.Table:
    rng = np.random.default_rng(0)
    text = pa.array(["a", "b", None, "ü"] * 500).dictionary_encode()
    numbers = pa.array(np.where(rng.random(2_000) < 0.1, np.nan, rng.random(2_000)))
    return pa.table({"clip": text, "name": pa.array(["x", "yy"] * 1_000), "adm2": numbers, "n": pa.array(range(2_000))})


@pytest.fixture
def file(table: pa.Table, tmp_path: Path) -> Path:
    path = tmp_path / "t.parquet"
    pq.write_table(table.replace_schema_metadata({METADATA_KEY: b'{"unit": "frame"}'}), path, row_group_size=700)
    return path


def test_every_way_of_reading_gives_the_rows_of_pyarrow(file: Path) -> None:
    expected = pq.read_table(file).to_pydict()
    assert read_parquet(file).to_pydict().keys() == expected.keys()
    with ParquetTable(file) as opened:
        assert opened.block() == {"unit": "frame"}
        assert (opened.rows, opened.names, opened.groups) == (2_000, ["clip", "name", "adm2", "n"], 3)
        groups = pa.concat_tables([opened.read_group(index) for index in range(opened.groups)])
        batches = pa.concat_tables(list(opened.batches(300, ["n", "clip"])))
    for name in ("clip", "name", "n"):
        assert groups[name].to_pylist() == read_parquet(file)[name].to_pylist() == expected[name]
    assert batches.column_names == ["n", "clip"]
    assert batches["n"].to_pylist() == expected["n"]
    assert read_parquet(file, ["n", "clip"]).column_names == ["n", "clip"]
    np.testing.assert_array_equal(read_parquet(file)["adm2"].to_numpy(), np.array(expected["adm2"], float))


def read_all(path: Path) -> None:
    read_parquet(path).to_pandas()
    with ParquetTable(path) as opened:
        opened.block()
        for _ in opened.batches(300, opened.names[:2]):
            pass


@pytest.mark.parametrize("kind", ["bytes", "cut", "end", "inserted"])
def test_damage_is_one_line(file: Path, tmp_path: Path, kind: str) -> None:
    data, rng = file.read_bytes(), random.Random(kind)
    path = tmp_path / "damaged.parquet"
    refused: list[str] = []
    for _ in range(60):
        damaged = bytearray(data)
        if kind == "bytes":
            for _ in range(rng.choice([1, 3, 30])):
                damaged[rng.randrange(4, len(data))] = rng.randrange(256)
        elif kind == "cut":
            del damaged[rng.randrange(len(data)) :]
        elif kind == "end":
            for _ in range(3):
                damaged[-rng.randrange(1, 600)] = rng.randrange(256)
        else:
            start = rng.randrange(len(data))
            damaged[start:start] = rng.randbytes(rng.randrange(1, 40))
        path.write_bytes(damaged)
        try:
            read_all(path)
        except IntegrityError as err:
            refused.append(str(err))
    assert len(refused) > 5
    for message in refused:
        assert str(path) in message
        assert "\n" not in message
        assert len(message) < 500


def test_a_column_that_occurs_twice(table: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "twice.parquet"
    pq.write_table(pa.table([table["adm2"], table["n"], table["adm2"]], names=["adm2", "n", "adm2"]), path)
    with pytest.raises(IntegrityError, match=r"twice\.parquet has the column 'adm2' twice"):
        ParquetTable(path)


def test_rows_that_the_file_cannot_hold_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.parquet"
    part = pa.table({"a": pa.array(np.zeros(4_000_000)), "b": pa.array(np.zeros(4_000_000))})
    with pq.ParquetWriter(path, part.schema, compression="zstd") as writer:
        for _ in range(20):
            writer.write_table(part)
    assert path.stat().st_size < 1_000_000
    code = (
        "import sys; from pathlib import Path; from pyvmaf.base.parquet import read_parquet\n"
        "from pyvmaf.errors import IntegrityError\n"
        "try:\n    read_parquet(Path(sys.argv[1]))\nexcept IntegrityError as err:\n    print(err)\n"
        # The peak that getrusage gives counts the process that this one was forked from.
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    message, peak = done.stdout.splitlines()
    assert "states 80000000 rows of 2 columns" in message
    assert int(peak) < 400_000


def test_a_constant_column_of_usual_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "constant.parquet"
    pq.write_table(
        pa.table({"a": pa.array(np.zeros(1_000_000)), "text": pa.array(["x"] * 1_000_000).dictionary_encode()}), path
    )
    assert read_parquet(path).num_rows == 1_000_000


def test_text_without_end_and_other_bytes(tmp_path: Path) -> None:
    for name, column in (
        ("long", pa.array(["x" * 20_000] * 3)),
        ("coded", pa.array(["x" * 20_000] * 3).dictionary_encode()),
        ("bytes", pa.array([b"\xff\xfe", b"a"]).view(pa.string())),
    ):
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"clip": column}), path)
        with pytest.raises(IntegrityError, match=rf"{name}\.parquet is not a readable parquet file"):
            read_parquet(path)


def test_metadata_that_is_no_object(table: pa.Table, tmp_path: Path) -> None:
    for text in (b"[", b"[1]", b"[" * 100_000, b'{"a": 1, "a": 2}', b"\xff"):
        path = tmp_path / "t.parquet"
        pq.write_table(table.replace_schema_metadata({METADATA_KEY: text}), path)
        with ParquetTable(path) as opened, pytest.raises(IntegrityError, match=r"the metadata of .*t\.parquet"):
            opened.block()
    pq.write_table(table.replace_schema_metadata({b"pandas": b"[{"}), path)
    assert read_parquet(path).to_pandas().shape == (2_000, 4)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("absent", "pipe", "."):
        with pytest.raises(MissingFileError, match="no such file"):
            ParquetTable(tmp_path / name)
