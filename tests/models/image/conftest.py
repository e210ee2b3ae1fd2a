"""A small table of pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.make.pictures import write_pictures


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 40 pictures of four sources."""
    return write_pictures(tmp_path_factory.mktemp("pictures") / "pictures.parquet")
