"""Models to ask about: those of a finished run, and graphs written by hand whose answers are known."""

from __future__ import annotations

import shutil
from contextlib import chdir
from pathlib import Path

import pytest

from tests.make.models import Linear, write_linear
from tests.make.pictures import no_reference
from tests.make.runs import write_model


@pytest.fixture
def linear(tmp_path: Path) -> Linear:
    """`write_linear` into the test's own folder, by file name."""
    return lambda name, weights, **more: write_linear(tmp_path / name, weights, **more)


@pytest.fixture(scope="session")
def fp32(finished_results: Path) -> Path:
    """A trained model with its sidecar beside it."""
    return finished_results / "models" / "small" / "seed0" / "model.onnx"


@pytest.fixture(scope="session")
def int8(finished_results: Path) -> Path:
    """Its int8 variant, whose sidecar is the fp32 model's."""
    return finished_results / "quantized" / "small" / "seed0" / "static_qdq.onnx"


@pytest.fixture(scope="session")
def with_codec(finished_results: Path) -> Path:
    """A model with a codec block."""
    return finished_results / "models" / "held" / "seed0" / "model.onnx"


@pytest.fixture(scope="session")
def table(finished_results: Path) -> Path:
    """The table that they were trained on."""
    return finished_results / "tables" / "default.parquet"


@pytest.fixture(scope="session")
def ensemble(finished_results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The seeds of the trained model as one: its manifest, in a copy of the run."""
    from pyvmaf.models.ensemble import make_ensemble

    root = tmp_path_factory.mktemp("ensemble")
    shutil.copytree(finished_results.parent, root, dirs_exist_ok=True)
    with chdir(root):
        config = write_model(Path("config/models"), "small", ensemble={"coverage_tolerance": 0.5})
        home = Path("results/models/small")
        sidecars = [home / f"seed{seed}" / "model.json" for seed in (0, 1)]
        table = Path("results/tables/default.parquet")
        make_ensemble(config, home / "verdict.json", sidecars, table, home / "ensemble.json")
    return root / "results" / "models" / "small" / "ensemble.json"


@pytest.fixture(scope="session", name="no_reference")
def _no_reference(session_folder: Path) -> Path:
    """A trained model that scores pictures without a reference, small_nr."""
    return no_reference(session_folder) / "seed0" / "model.onnx"
