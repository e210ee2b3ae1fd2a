"""CSV files that people write: a line with the names of columns, then a row for each video or pair."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection
from pathlib import Path

from pyvmaf.errors import InputError, MissingFileError

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""A number as people write it: without blanks, and with a point."""


def read_cells(path: Path, check: Callable[[list[str]], None]) -> tuple[list[str], list[tuple[str, dict[str, str]]]]:
    """Read the rows of a CSV file as text.

    Args:
        path: the file.
        check: refuses the names of the columns before the rows are looked at.

    Returns:
        The names of the columns, and of each row that is not empty its place for messages and its cells by column,
        without blanks around them.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is not CSV in UTF-8, or a row has more cells than there are columns.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, skipinitialspace=True, strict=True)
            columns = [name.strip() for name in next(reader, [])]
            lines = [(f"{path} line {reader.line_num}", cells) for cells in reader if any(map(str.strip, cells))]
    except FileNotFoundError as err:
        raise MissingFileError(f"no such file: {path}") from err
    except OSError as err:
        raise InputError(f"{path} cannot be read: {err.strerror}") from err
    except (UnicodeDecodeError, csv.Error) as err:
        raise InputError(f"{path} is not a CSV file in UTF-8: {err}") from err
    check(columns)
    for where, cells in lines:
        if len(cells) > len(columns):
            raise InputError(
                f"{where} has {len(cells)} cells, but the file has {len(columns)} columns: write numbers with a point "
                "and put names with commas in quotation marks"
            )
    return columns, [(where, dict(zip(columns, map(str.strip, cells), strict=False))) for where, cells in lines]


def check_once(path: Path, columns: list[str], names: Collection[str]) -> None:
    """Check that columns occur at most once.

    Raises:
        InputError: one occurs again.
    """
    for name in names:
        if columns.count(name) > 1:
            raise InputError(f"{path} has the column {name} twice: leave one out")
