"""A finished run with a single model, a held one, and an ensemble that reads the codec."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from tests.make.runs import build_run

_MODELS: dict[str, dict[str, Any]] = {
    "small": {},
    "held": {"epochs": 0, "seeds": [0], "quantised": []},
    "open": {"target": {"clip": False}, "seeds": [0], "quantised": []},
    "many": {
        "inputs": {"features": ["vif_scale0", "motion2", "adm2"], "codec": "v2"},
        "export": {"scaler": "sidecar"},
        "seeds": [0, 1, 2],
        "quantised": [],
        "ensemble": {"coverage_tolerance": 0.5},
    },
}


@pytest.fixture(scope="session")
def _run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from pyvmaf.models.ensemble import make_ensemble
    from pyvmaf.registry.register import register

    root = tmp_path_factory.mktemp("use")
    build_run(root, models=_MODELS)
    with chdir(root):
        home = Path("results/models/many")
        make_ensemble(
            Path("config/models/many.yaml"),
            home / "verdict.json",
            sorted(home.glob("seed*/model.json")),
            Path("results/tables/default.parquet"),
            home / "ensemble.json",
        )
        register(["results"], "results/registry/registry.json")
    return root


@pytest.fixture
def run(_run: Path) -> Iterator[Path]:
    """The folder of the run, which is the working directory. Read-only."""
    with chdir(_run):
        yield _run / "results"


@pytest.fixture
def copied(_run: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it to break."""
    shutil.copytree(_run, tmp_path, dirs_exist_ok=True)
    with chdir(tmp_path):
        yield tmp_path / "results"
