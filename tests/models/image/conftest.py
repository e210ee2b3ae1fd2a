"""Small models of pictures, fitted once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.make.pictures import write_pictures

SCORE: dict[str, Any] = {
    "name": "small_nr",
    "kind": "image",
    "description": "Scores of small pictures",
    "network": {"type": "mobilenet_tiny"},
    "crops": {"train": 32, "judge": 64, "views": 3},
    "epochs": 2,
    "batch_size": 8,
    "seeds": [0],
    "split": {"protocol": "kfold", "k": 2, "by": "source"},
    "gates": {"constant": {"rmse_share_max": 5}, "within": {"mean_min": -1}, "pooled": {"srocc_min": -1}},
    "quantised": [{"mode": "static_qdq", "calibration_rows": 8, "srocc_min": -1, "rmse_max": 50, "budget": 1}],
}
FILTER: dict[str, Any] = {
    "name": "small_filter",
    "kind": "image",
    "description": "Filters small pictures",
    "network": {"type": "residual", "channels": 8, "blocks": 1},
    "crops": {"train": 32, "judge": 64, "views": 1},
    "augmentation": {"flip": True, "transpose": True},
    "target": {"table": "pictures", "column": "reference", "range": [0, 100]},
    "loss": {"name": "relative_l1"},
    "optimiser": {"name": "adam", "lr": 0.002},
    "schedule": {"name": "cosine"},
    "epochs": 6,
    "batch_size": 8,
    "seeds": [0],
    "split": {"protocol": "kfold", "k": 2, "by": "source"},
    "gates": {"gain": {"cell_min": -9, "mean_min": -9, "worst_min": -9}},
    "quantised": [{"mode": "static_qdq", "calibration_rows": 8, "rmse_max": 5, "budget": 1}],
}


def write_spec(folder: Path, spec: dict[str, Any], **changes: Any) -> Path:
    """Write the YAML file of a model, with other values of some keys."""
    data = {**spec, **changes}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{data['name']}.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 40 pictures of four sources."""
    return write_pictures(tmp_path_factory.mktemp("pictures") / "pictures.parquet")
