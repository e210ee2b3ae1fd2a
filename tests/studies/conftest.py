"""Small tables and specs that studies run over in seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.models.conftest import spec_file, table_columns, write_table


@pytest.fixture(scope="session")
def small_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four scenes, few rows."""
    return write_table(tmp_path_factory.mktemp("studies") / "made.parquet", table_columns(frames=4))


@pytest.fixture(scope="session")
def small_spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spec of 8 epochs."""
    return spec_file(tmp_path_factory.mktemp("spec"), epochs=8)


Stop = Callable[..., None]


def stop_after(trials: int) -> Stop:
    """Ctrl-C once so many trials are done and the next one is on its way."""

    def on_trial(done: int, _total: int, label: Any = None, /) -> None:
        if done == trials and "epochs" in str(label):
            raise KeyboardInterrupt

    return on_trial
