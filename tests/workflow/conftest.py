"""One run of the whole line for all tests of the workflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.make.runs import once
from tests.make.workflows import prepare_small_run, snakemake


@pytest.fixture(scope="session")
def finished_run(session_folder: Path, embedded_corpus: dict[str, Path]) -> Path:
    """A folder in which the whole line has run on two clips. Read-only: it is shared by all test processes."""

    def run(folder: Path) -> None:
        prepare_small_run(folder, embedded_corpus)
        snakemake(folder, "--configfile", "small.yaml", "--cores", "2")

    return once(session_folder, "finished-run", run)
