"""Logs and corpus rows in the test's own folder."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from tests.make.logs import Log, WriteRows, write_rows


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


@pytest.fixture(name="write_rows")
def _write_rows(tmp_path: Path) -> WriteRows:
    return functools.partial(write_rows, tmp_path)
