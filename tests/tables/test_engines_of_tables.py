"""Rows that engines of other numbers measured: put together only if that is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pyvmaf.base.manifest import read_manifest
from pyvmaf.errors import InputError
from pyvmaf.features.table import read_metadata
from pyvmaf.tables.build import build_shard, combine
from tests.make.commands import command
from tests.make.tables import FEATURES, table_columns, write_table

PROCESSOR = {"libvmaf": "libvmaf-1"}
KERNELS = {**PROCESSOR, "kernels": "libvmaf-1"}
DEVICE = {**PROCESSOR, "libvmaf-cuda": "libvmaf-1+cuda-13.0.88"}


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A table of each engine, by its name."""
    monkeypatch.chdir(tmp_path)
    block: dict[str, Any] = {"features": FEATURES, "unavailable": {}, "model": "vmaf_v0.6.1"}
    engines = {"cpu": PROCESSOR, "kernels": KERNELS, "device": DEVICE, "again": DEVICE}
    return {
        name: write_table(
            Path(f"{name}.parquet"), table_columns(sources=1, frames=3, corpus=name), **block, engine=engine
        )
        for name, engine in engines.items()
    }


def test_rows_of_a_device_and_of_the_processor_do_not_mix_by_accident(tables: dict[str, Path]) -> None:
    pairs = [(name, tables[name]) for name in ("cpu", "device")]
    with pytest.raises(
        InputError,
        match=r"engines whose numbers differ: cpu.parquet by the processor, device.parquet by libvmaf-cuda: .*mixed",
    ):
        combine(pairs, Path("out.parquet"))
    done = command("combine", "-o", "out.parquet", *(f"{name}={path}" for name, path in pairs))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert not Path("out.parquet").exists()
    with pytest.raises(InputError, match="engines whose numbers differ"):
        build_shard([path for _, path in pairs], [], Path("shard.parquet"), Path("rows.jsonl"))


def test_they_mix_if_that_is_asked_for_and_the_table_says_so(tables: dict[str, Path]) -> None:
    words = [f"{name}={tables[name]}" for name in ("cpu", "device")]
    done = command("combine", "--mixed-engines", "-o", "mixed.parquet", *words)
    assert done.returncode == 0, done.stderr
    assert read_manifest(Path("mixed.parquet"))["args"]["mixed_engines"] is True
    block = read_metadata(pq.read_schema("mixed.parquet"), "mixed.parquet")["engine"]
    assert block == DEVICE
    # The permission holds for one table: the next one is asked for again.
    with pytest.raises(InputError, match="engines whose numbers differ"):
        combine([("a", Path("mixed.parquet")), ("b", tables["cpu"])], Path("next.parquet"))


@pytest.mark.parametrize("names", [("cpu", "kernels"), ("device", "again")])
def test_rows_of_engines_of_the_same_numbers_mix(tables: dict[str, Path], names: tuple[str, str]) -> None:
    assert combine([(name, tables[name]) for name in names], Path("out.parquet")) > 0
    assert "mixed_engines" not in read_manifest(Path("out.parquet"))["args"]
