"""A finished run, made by the real stages from rows of a formula."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.finished_run import inside, shared


@pytest.fixture(scope="session")
def finished_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of a finished run. Read-only: it is shared by all test processes."""
    base = tmp_path_factory.getbasetemp()
    # Each process of pytest-xdist has a folder of its own in that of the session.
    return shared(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)


@pytest.fixture
def results(finished_results: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the finished run to break; the working directory is the folder that it lies in."""
    shutil.copytree(finished_results.parent, tmp_path, dirs_exist_ok=True)
    with inside(tmp_path):
        yield tmp_path / "results"
