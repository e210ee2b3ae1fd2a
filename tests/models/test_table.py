from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyvmaf.base.files import sha256_file
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.models.regressor.rows import read_table
from pyvmaf.models.regressor.spec import RegressorSpec
from pyvmaf.tables.columns import codec_block
from tests.make.tables import table_columns, write_table


def spec(**changes: Any) -> RegressorSpec:
    data: dict[str, Any] = {"name": "m", "description": "d", "inputs": {}, "network": {"hidden": [4]}, "epochs": 1}
    data.update(changes)
    return RegressorSpec.model_validate(data)


def test_rows_come_back_as_written(table: Path) -> None:
    columns = table_columns()
    read = read_table(table, spec(inputs={"features": ["motion2", "adm2"]}))
    assert read.X.tolist() == [list(pair) for pair in zip(columns["motion2"], columns["adm2"], strict=True)]
    assert read.y.tolist() == columns["vmaf"]
    assert read.groups.tolist() == columns["source"]
    assert read.rows["rung"].tolist() == columns["rung"]
    assert read.sha256 == sha256_file(table)
    assert (read.n_total, read.dropped) == (len(columns["vmaf"]), {"rows": 0, "by_column": {}})


def test_the_split_may_be_by_group(table: Path) -> None:
    read = read_table(table, spec(split={"by": "group"}))
    assert sorted(set(read.groups.tolist())) == ["film0", "film1"]


def test_rows_that_lack_a_value_are_left_out_and_counted(tmp_path: Path) -> None:
    columns = table_columns()
    n = len(columns["vmaf"])
    columns["adm2"][0] = float("nan")
    columns["adm2"][5] = None
    columns["motion2"][5] = float("inf")
    columns["vmaf"][7] = None
    columns["source"][9] = None
    columns["psnr_y"] = [float("nan")] * n  # not an input of the model
    read = read_table(write_table(tmp_path / "t.parquet", columns), spec())
    assert read.dropped == {"rows": 4, "by_column": {"adm2": 2, "motion2": 1, "vmaf": 1, "source": 1}}
    assert read.y.size == n - 4
    assert 0 not in [i for i, v in enumerate(columns["vmaf"]) if v == read.y[0]]
    assert np.isfinite(read.X).all()


def test_too_many_rows_without_a_value_are_refused_with_the_reason(tmp_path: Path) -> None:
    columns = table_columns()
    columns["ssimulacra2"] = [float("nan")] * len(columns["vmaf"])
    path = write_table(tmp_path / "t.parquet", columns, unavailable={"ssimulacra2": "not in this libvmaf"})
    with pytest.raises(InputError) as caught:
        read_table(path, spec(inputs={"features": ["adm2", "ssimulacra2"]}))
    said = str(caught.value)
    n = len(columns["vmaf"])
    assert f"{path}: {n} of {n} rows" in said
    assert "ssimulacra2: " in said
    assert "not in this libvmaf" in said

    columns = table_columns()
    for i in range(10):
        columns["adm2"][i] = None
    path = write_table(tmp_path / "u.parquet", columns)
    with pytest.raises(InputError, match=r"more than the allowed share 0\.01"):
        read_table(path, spec(rows={"max_dropped_share": 0.01}))
    assert read_table(path, spec()).dropped["rows"] == 10


def test_missing_columns_are_named_with_the_file(tmp_path: Path) -> None:
    columns = table_columns()
    del columns["motion2"], columns["preset"]
    path = write_table(tmp_path / "t.parquet", columns)
    with pytest.raises(InputError, match=r"t\.parquet has no column 'motion2', 'preset'; it has: corpus"):
        read_table(path, spec(inputs={"codec": "v1"}))


def test_empty_absent_damaged_and_wrongly_typed_tables(tmp_path: Path, table: Path) -> None:
    columns = table_columns()
    empty = write_table(tmp_path / "e.parquet", {k: v[:1] for k, v in columns.items()})
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(empty).slice(0, 0), empty)
    with pytest.raises(InputError, match=r"e\.parquet has no rows"):
        read_table(empty, spec())
    with pytest.raises(MissingFileError, match=r"absent\.parquet"):
        read_table(tmp_path / "absent.parquet", spec())
    damaged = tmp_path / "d.parquet"
    damaged.write_bytes(table.read_bytes()[:-200])
    with pytest.raises(IntegrityError, match=r"d\.parquet is not a readable parquet file"):
        read_table(damaged, spec())
    columns["adm2"] = ["high"] * len(columns["vmaf"])
    with pytest.raises(InputError, match="column 'adm2' holds"):
        read_table(write_table(tmp_path / "s.parquet", columns), spec())


def test_the_codec_block_of_the_card(table: Path) -> None:
    read = read_table(table, spec(inputs={"codec": "v1"}))
    columns = table_columns()
    assert read.codec is not None
    assert read.codec.shape == (len(columns["vmaf"]), 8)
    row = next(
        i for i, (e, c) in enumerate(zip(columns["encoder"], columns["crf"], strict=True)) if (e, c) == ("libx265", 40)
    )
    # One-hot of six slots, preset "slow" is 6 of 9, CRF over 63.
    assert read.codec[row].tolist() == [0, 1, 0, 0, 0, 0, 6 / 9, 40 / 63]
    assert read.inputs.shape[1] == 14
    assert read_table(table, spec()).inputs.shape[1] == 6


def test_codec_blocks_of_what_is_not_known() -> None:
    names = np.array(["", "libx264", "libx264"])
    block = codec_block("v1", names, np.array(["", "", "medium"]), np.array([np.nan, 60.0, np.nan]))
    assert block[0].tolist() == [0, 0, 0, 0, 0, 1, 0.5, 0.5]
    assert block[1].tolist() == [1, 0, 0, 0, 0, 0, 5 / 9, 51 / 63]
    assert block[2].tolist() == [1, 0, 0, 0, 0, 0, 5 / 9, 0.5]
    with pytest.raises(InputError, match="unknown codec"):
        codec_block("v1", np.array(["libx2644"]), np.array([""]), np.array([20.0]))


def test_a_table_that_is_too_large_for_memory_reads_the_same(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = read_table(table, spec(inputs={"features": "canonical6", "codec": "v1"}))
    monkeypatch.setattr("pyvmaf.chunks.IN_MEMORY", 0)
    monkeypatch.setattr("pyvmaf.chunks.CHUNK_ROWS", 5)
    many = read_table(table, spec(inputs={"features": "canonical6", "codec": "v1"}))
    assert many.scratch.large
    assert not few.scratch.large
    for one, other in zip((few.X, few.y, few.codec), (many.X, many.y, many.codec), strict=True):
        np.testing.assert_array_equal(other, one)
    assert {name: column.tolist() for name, column in many.rows.items()} == {
        name: column.tolist() for name, column in few.rows.items()
    }
    assert many.groups.names.tolist() == sorted(set(few.groups.tolist()))
