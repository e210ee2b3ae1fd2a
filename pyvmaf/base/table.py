"""Tables of rows: data in Python, which the identity of code leaves out.

A name that is annotated as a `Table` or a `Row` holds data. Its value is not part of a module's code identity
(`pyvmaf.base.code`). The plan hashes the rows that a job uses with `row_hash`, so another row changes only jobs that
use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Annotated, Any, TypeVar

from pyvmaf.base.files import content_hash

_T = TypeVar("_T")

Table = Mapping[str, _T]
"""Rows by name."""

Row = Annotated[_T, "a row of a table, or a part that several rows share"]
"""A value that rows are made from."""


def row_hash(row: Any) -> str:
    """Hash the values of a row to 16 hex digits; its description (``about``, ``description``) does not count.

    Args:
        row: a dataclass instance or a JSON value.
    """
    content = asdict(row) if is_dataclass(row) and not isinstance(row, type) else row
    if isinstance(content, dict):
        content = {key: value for key, value in content.items() if key not in ("about", "description")}
    return content_hash(content)[:16]
