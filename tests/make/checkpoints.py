"""Published checkpoints, converted once for all tests of a session."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.make.commands import command
from tests.make.runs import once
from tests.make.videos import REPOSITORY

CONFIG = REPOSITORY / "config" / "models"


def converted(session: Path, model: str) -> Path:
    """Return a folder whose results have a converted and registered checkpoint; the test is skipped if it cannot be downloaded.

    Args:
        session: folder that all test processes share.
        model: name of a model file of kind ``imported`` whose checkpoint lies in a package.
    """

    def make(root: Path) -> None:
        (root / "config" / "models").mkdir(parents=True, exist_ok=True)
        shutil.copy(CONFIG / f"{model}.yaml", root / "config" / "models")
        done = command("convert", "--config", f"config/models/{model}.yaml", cwd=root)
        if os.environ.get("PYVMAF_REQUIRE_NETWORK") != "1" and "cannot download" in done.stderr:
            pytest.skip(f"the checkpoint of {model} is not available: {done.stderr}")
        assert done.returncode == 0, done.stderr
        done = command("register", "--output", "results/registry/registry.json", "results", cwd=root)
        assert done.returncode == 0, done.stderr

    return once(session, f"converted-{model}", make)
