"""The tutorials' run, once for the tests of the pages and of the site."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.site import gallery
from tests.make.runs import once


@pytest.fixture(scope="session")
def tutorials(session_folder: Path, embedded_corpus: dict[str, Path]) -> Path:
    """The folder in which every block of the tutorials has run; `gallery` beside it holds the pages. Read-only."""

    def run(folder: Path) -> None:
        (folder / "run").mkdir()
        gallery.collect(folder / "run", gallery.run(folder / "run"), folder / "gallery")

    return once(session_folder, "tutorials", run) / "run"
