"""A synthetic table and small specs in the test's own folder."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from tests.make.models import SpecWriter, spec_file
from tests.make.tables import table_columns, write_table


@pytest.fixture
def write_spec(tmp_path: Path) -> SpecWriter:
    """`spec_file` into the test's own folder."""
    return functools.partial(spec_file, tmp_path)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of 4 scenes."""
    return write_table(tmp_path / "made.parquet", table_columns())
