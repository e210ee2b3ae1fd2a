"""Rows of labels and of other tables by name: JSON lines, CSV and parquet."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pyvmaf.base.outputs import reading
from pyvmaf.base.parquet import ParquetTable
from pyvmaf.base.parse import parse_json
from pyvmaf.errors import InputError, IntegrityError, MissingFileError

_ROWS = 1 << 16


def read_rows(path: Path, required: Sequence[str], *, nan: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the rows of a file, each with its place for messages.

    Args:
        path: .parquet, .csv (values are text), or else JSON lines.
        required: keys that every row must have; a value that is missing is None or an empty text.
        nan: accept NaN and Infinity in JSON lines, which other programs write.

    Raises:
        MissingFileError: there is no such file.
        IntegrityError: it is damaged, or a line is not a JSON object.
        InputError: a row, or the whole table, lacks a required key.
    """
    reading(path)
    if not path.is_file():
        raise MissingFileError(f"no such file: {path}")
    suffix = path.suffix.lower()
    rows = _parquet(path) if suffix == ".parquet" else _csv(path) if suffix == ".csv" else _lines(path, nan)
    for where, row in rows:
        lacking = [key for key in required if row.get(key) in (None, "")]
        if lacking:
            present = ", ".join(map(str, list(row)[:12]))
            raise InputError(f"{where} lacks {', '.join(lacking)}; it has {present}")
        yield where, row


def _lines(path: Path, nan: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            where = f"{path}, line {number}"
            if not line.strip():
                continue
            row = parse_json(line, where, nan=nan)
            if not isinstance(row, dict):
                raise IntegrityError(f"{where} is no JSON object")
            yield where, row


def _csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, strict=True)
            names = reader.fieldnames or []
            if len(set(names)) != len(names):
                raise InputError(f"{path} has a column twice: {', '.join(names)}")
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                if None in row or None in row.values():
                    raise InputError(f"{where} has not as many cells as the file has columns, {len(names)}")
                yield where, dict(row)
    except (UnicodeDecodeError, csv.Error) as err:
        raise InputError(f"{path} is not a CSV file in UTF-8: {err}") from err


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    number = 0
    with ParquetTable(path) as table:
        for part in table.batches(_ROWS, table.names):
            for row in part.to_pylist():
                number += 1
                yield f"{path}, row {number}", row
