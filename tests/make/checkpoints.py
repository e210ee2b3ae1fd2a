"""Published checkpoints, fetched once for all test runs."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from tests.make.videos import REPOSITORY

CACHE = REPOSITORY / ".cache" / "test-checkpoints"
CONFIG = REPOSITORY / "config" / "models"


def published(model: str) -> Path:
    """Return the published checkpoint of a model of kind ``imported``; the test is skipped if it cannot be downloaded."""
    from pyvmaf.errors import IntegrityError, PyvmafError
    from pyvmaf.models.imported.checkpoint import obtain
    from pyvmaf.models.imported.spec import load_imported_spec

    config = CONFIG / f"{model}.yaml"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return obtain(load_imported_spec(config).checkpoint, CACHE / model, str(config), lambda _line: None)
        except IntegrityError:
            raise
        except PyvmafError as err:
            if os.environ.get("PYVMAF_REQUIRE_NETWORK") == "1" or "cannot download" not in str(err):
                raise
            pytest.skip(f"the checkpoint of {model} is not available: {err}")
