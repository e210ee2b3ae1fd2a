"""YAML files of small models, and a graph whose scores are known without training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

SpecWriter = Callable[..., Path]
Linear = Callable[..., Path]

SMALL: dict[str, Any] = {
    "description": "A model for tests",
    "inputs": {"features": "canonical6"},
    "network": {"hidden": [8], "activation": "relu"},
    "target": {"table": "made", "standardise": True},
    "optimiser": {"lr": 0.01},
    "epochs": 25,
    "batch_size": 32,
    "seeds": [0, 1],
}


def spec_file(folder: Path, name: str = "small", **changes: Any) -> Path:
    """Write the YAML file of a small model; keyword arguments replace top-level keys."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"name": name, **SMALL, **changes}))
    return path


def write_linear(path: Path, weights: Sequence[float], *, name: str = "input", op: str | None = None) -> Path:
    """Write the graph: score = x · weights; with `op`, an operator of that name on top."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

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
