"""Fitted and exported models with their int8 variants of every mode, made once per test process."""

from __future__ import annotations

import pytest

from tests.make.lines import Line, build_lines


@pytest.fixture(scope="session")
def lines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Line]:
    """One model per entry of `VARIANTS`. Read-only."""
    return build_lines(tmp_path_factory.mktemp("lines"))
