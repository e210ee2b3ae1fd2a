"""The reader of parquet files, which may be damaged or made by anybody.

Every table is opened by `ParquetTable`. Damage of any sort is an `IntegrityError`, and a file cannot ask for more memory
than its size accounts for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pyvmaf.base.outputs import place, reading
from pyvmaf.base.parse import parse_json
from pyvmaf.errors import IntegrityError, MissingFileError

if TYPE_CHECKING:
    import pyarrow as pa

METADATA_KEY = b"pyvmaf"
"""Key of this project's block in the metadata of a file."""

_FREE_CELLS = 20_000_000
_CELLS_PER_BYTE = 4
"""Encoded runs of one value take nearly no bytes; the tables of this project have a quarter of a cell per byte."""

_LONGEST_TEXT = 10_000

_BUFFER = 1 << 18
"""Bytes that are read at a time of each column."""


class ParquetTable:
    """A parquet file that is open.

    Attributes:
        path: the file.
        schema: its Arrow schema; of the metadata only this project's block is kept.
        names: names of the columns, each of which occurs once.
        rows: number of rows.
        groups: number of row groups.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open a file.

        Raises:
            MissingFileError: there is no such file.
            IntegrityError: it is not a readable parquet file, has a column twice, or states more rows than a file of
                its size can hold.
        """
        import pyarrow.parquet as pq

        self.path = Path(path)
        reading(path)
        file = place(path)
        if not file.is_file():
            raise MissingFileError(f"no such file: {os.fspath(path)}")
        with self._guarded():
            # Otherwise Arrow reads the columns of a row group as a whole, however small the parts that are asked for.
            self._file = pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False)
            stored = self._file.schema_arrow
            block = (stored.metadata or {}).get(METADATA_KEY)
            # What pandas adds is read by to_pandas, which fails on anything unexpected in it.
            self.schema: pa.Schema = stored.remove_metadata()
            if block is not None:
                self.schema = self.schema.with_metadata({METADATA_KEY: block})
            self.rows: int = self._file.metadata.num_rows
            self.groups: int = self._file.num_row_groups
        self.names: list[str] = list(self.schema.names)
        try:
            self._check(file.stat().st_size)
        except IntegrityError:
            self.close()
            raise

    def _check(self, size: int) -> None:
        twice = sorted({name for name in self.names if self.names.count(name) > 1}) if len(self.names) < 10_000 else []
        if twice:
            raise IntegrityError(f"{self.path} has the column {', '.join(map(repr, twice[:3]))} twice: make it again")
        cells = self.rows * len(self.names)
        if self.rows < 0 or cells > _FREE_CELLS + _CELLS_PER_BYTE * size:
            raise IntegrityError(
                f"{self.path} has {size} bytes, but states {self.rows} rows of {len(self.names)} columns, more than any "
                "table of that size holds: refused"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def block(self) -> dict[str, Any] | None:
        """Return this project's block of the metadata; None if the file has none.

        Raises:
            IntegrityError: it is not a JSON object.
        """
        text = (self.schema.metadata or {}).get(METADATA_KEY)
        if text is None:
            return None
        value = parse_json(text, f"the metadata of {self.path}")
        if not isinstance(value, dict):
            raise IntegrityError(f"the metadata of {self.path} hold {type(value).__name__}, not an object")
        return value

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read all rows.

        Args:
            columns: names, in the order of the result; None for all.

        Raises:
            IntegrityError: the file is damaged.
        """
        with self._guarded():
            table = self._file.read(columns=None if columns is None else list(columns))
            table = self._sound(table if columns is None else table.select(list(columns)))
        if table.num_rows != self.rows:
            raise IntegrityError(f"{self.path} states {self.rows} rows, but holds {table.num_rows}: make it again")
        return table

    def read_group(self, index: int) -> pa.Table:
        """Read the rows of a row group.

        Raises:
            IntegrityError: the file is damaged.
        """
        with self._guarded():
            return self._sound(self._file.read_row_group(index))

    def batches(self, rows: int, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield the rows in parts, one row group at a time, because Arrow's reader keeps what it has read.

        Args:
            rows: most rows of a part.
            columns: names, in the order of the parts.

        Raises:
            IntegrityError: the file is damaged.
        """
        import pyarrow as pa

        total = 0
        for group in range(self.groups):
            with self._guarded():
                parts = self._file.iter_batches(rows, row_groups=[group], columns=list(columns), use_threads=False)
            while True:
                with self._guarded():
                    batch = next(parts, None)
                    if batch is None:
                        break
                    table = self._sound(pa.Table.from_batches([batch]).select(list(columns)))
                total += table.num_rows
                if total > self.rows:
                    break
                yield table
            pa.default_memory_pool().release_unused()
        if total != self.rows:
            raise IntegrityError(f"{self.path} states {self.rows} rows, but holds {total}: make it again")

    def _sound(self, table: pa.Table) -> pa.Table:
        """Refuse text that is not UTF-8, dictionaries that lack a value, and texts without end."""
        import numpy as np
        import pyarrow as pa

        table.validate(full=True)
        for name in table.column_names:
            parts: list[Any] = table[name].chunks
            if pa.types.is_dictionary(table[name].type):
                parts = [part.dictionary for part in parts]
            for part in parts:
                if len(part) and (pa.types.is_string(part.type) or pa.types.is_large_string(part.type)):
                    width = np.int32 if pa.types.is_string(part.type) else np.int64
                    ends = np.frombuffer(part.buffers()[1], width)[part.offset : part.offset + len(part) + 1]
                    if (longest := int(np.diff(ends).max())) > _LONGEST_TEXT:
                        raise pa.ArrowInvalid(f"column {name!r} has a text of {longest} bytes")
        return table.replace_schema_metadata(self.schema.metadata)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, OSError, MemoryError, ValueError, TypeError, KeyError, RuntimeError) as err:
            problem = " ".join(str(err).split()) or type(err).__name__
            raise IntegrityError(
                f"{self.path} is not a readable parquet file ({problem[:200]}): make it again"
            ) from err


def read_parquet(path: str | os.PathLike[str], columns: Sequence[str] | None = None) -> pa.Table:
    """Read a parquet file: see `ParquetTable`.

    Raises:
        MissingFileError: there is no such file.
        IntegrityError: it is not a readable parquet file, or lacks a column.
    """
    with ParquetTable(path) as table:
        missing = [name for name in columns or () if name not in table.names]
        if missing:
            raise IntegrityError(f"{table.path} has no column {', '.join(map(repr, missing))}: make it again")
        return table.read(columns)
