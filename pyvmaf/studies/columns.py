"""Columns of a table that are features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pyvmaf.features.catalog import FEATURES
from pyvmaf.tables.columns import read_schema


def is_feature(name: str) -> bool:
    """Return whether a column is a feature of the catalog, per frame or pooled over a clip (``<feature>_<statistic>``)."""
    return name in FEATURES or name.rpartition("_")[0] in FEATURES


def _schema(path: Path) -> Any:
    import pyarrow.parquet as pq

    read_schema(path)
    return pq.read_schema(path)


def numeric_columns(path: Path) -> tuple[list[str], dict[str, str]]:
    """List the numeric columns of a table, and the others with their type.

    Raises:
        MissingFileError, IntegrityError: the file does not exist or is damaged.
    """
    import pyarrow as pa

    numeric, others = [], {}
    for field in _schema(path):
        if pa.types.is_floating(field.type) or pa.types.is_integer(field.type):
            numeric.append(field.name)
        else:
            kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
            others[field.name] = f"holds {kind}, not numbers"
    return numeric, others


def unavailable(path: Path) -> dict[str, str]:
    """Return by feature why the engine that measured a table could not compute it."""
    metadata = _schema(path).metadata or {}
    try:
        stated = json.loads(metadata.get(b"pyvmaf", b"{}"))
    except ValueError:
        return {}
    reasons = stated.get("unavailable") if isinstance(stated, dict) else None
    return {str(k): str(v) for k, v in reasons.items()} if isinstance(reasons, dict) else {}
