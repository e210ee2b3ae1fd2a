"""Models to ask about: those of a finished run, and graphs written by hand whose answers are known."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.finished_run import inside, write_model

Linear = Callable[..., Path]


def write_linear(path: Path, weights: Sequence[float], *, name: str = "input", op: str | None = None) -> Path:
    """Score = x · weights; with `op`, an operator of that name on top."""
    weight = numpy_helper.from_array(np.asarray(weights, dtype=np.float32)[:, None], "weight")
    nodes = [helper.make_node("MatMul", [name, "weight"], ["product"])]
    nodes.append(helper.make_node(op or "Identity", ["product"], ["score"]))
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", len(weights)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch", 1])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


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
    with inside(root):
        config = write_model(Path("config/models"), "small", ensemble={"coverage_tolerance": 0.5})
        home = Path("results/models/small")
        sidecars = [home / f"seed{seed}" / "model.json" for seed in (0, 1)]
        table = Path("results/tables/default.parquet")
        make_ensemble(config, home / "verdict.json", sidecars, table, home / "ensemble.json")
    return root / "results" / "models" / "small" / "ensemble.json"
