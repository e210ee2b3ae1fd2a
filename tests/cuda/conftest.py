"""Drivers of the tests: one that works as far as a driver without a device can, and damaged ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.make.cuda import build_driver


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a driver with all functions."""
    return build_driver(tmp_path_factory.mktemp("driver"))


@pytest.fixture(scope="session")
def no_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a file that is not a library, so that a driver of this machine is not found."""
    folder = tmp_path_factory.mktemp("no-driver")
    (folder / "libcuda.so.1").write_bytes(b"")
    return folder
