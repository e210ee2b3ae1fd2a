"""The tutorials' run, once for the tests of the pages and of the site."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.site import gallery
from tests.docs import material
from tests.make.runs import once


@pytest.fixture(scope="session")
def tutorials(session_folder: Path, embedded_corpus: dict[str, Path]) -> Path:
    """The folder in which every block of the tutorials has run; `gallery` beside it holds the pages. Read-only."""

    def run(folder: Path) -> None:
        (folder / "run").mkdir()
        gallery.collect(folder / "run", gallery.run(folder / "run"), folder / "gallery")

    return once(session_folder, "tutorials", run) / "run"


@pytest.fixture(scope="session")
def line(session_folder: Path, tutorials: Path) -> Path:
    """A small checkout in which the workflow has run on the videos of the tutorials. Read-only."""
    return once(session_folder, "line", lambda folder: material.finish(folder, tutorials))
