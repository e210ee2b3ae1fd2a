"""Columns of a table that are features."""

from __future__ import annotations

from pathlib import Path

from pyvmaf.base.parquet import ParquetTable
from pyvmaf.errors import IntegrityError
from pyvmaf.features.catalog import FEATURES


def is_feature(name: str) -> bool:
    """Return whether a column is a feature of the catalog, per frame or pooled over a clip (``<feature>_<statistic>``)."""
    return name in FEATURES or name.rpartition("_")[0] in FEATURES


def numeric_columns(path: Path) -> tuple[list[str], dict[str, str]]:
    """List the numeric columns of a table, and the others with their type.

    Raises:
        MissingFileError, IntegrityError: the file does not exist or is damaged.
    """
    import pyarrow as pa

    numeric, others = [], {}
    with ParquetTable(path) as table:
        fields = list(table.schema)
    for field in fields:
        if pa.types.is_floating(field.type) or pa.types.is_integer(field.type):
            numeric.append(field.name)
        else:
            kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
            others[field.name] = f"holds {kind}, not numbers"
    return numeric, others


def unavailable(path: Path) -> dict[str, str]:
    """Return by feature why the engine that measured a table could not compute it."""
    try:
        with ParquetTable(path) as table:
            stated = table.block() or {}
    except IntegrityError:
        return {}
    reasons = stated.get("unavailable")
    return {str(k): str(v) for k, v in reasons.items()} if isinstance(reasons, dict) else {}
