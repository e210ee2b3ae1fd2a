"""Small tables and specs that studies run over in seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.make.models import spec_file
from tests.make.tables import table_columns, write_table


@pytest.fixture(scope="session")
def small_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four scenes, few rows."""
    return write_table(tmp_path_factory.mktemp("studies") / "made.parquet", table_columns(frames=4))


@pytest.fixture(scope="session")
def small_spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spec of 8 epochs."""
    return spec_file(tmp_path_factory.mktemp("spec"), epochs=8)
