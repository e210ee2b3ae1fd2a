"""A finished run: frame rows from a formula, everything after them made by the real stages."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

from tests.make.models import spec_file
from tests.make.tables import write_negatives, write_shards

QUANTISED = [{"mode": "static_qdq", "budget": 0.5, "rmse_max": 50.0, "srocc_min": -1.0}]


SPEC: dict[str, Any] = {
    "kind": "fr",
    "network": {"type": "mlp", "hidden": [16, 8], "activation": "relu"},
    "target": {"table": "default"},
    "optimiser": {"name": "adam", "lr": 0.01},
    "epochs": 40,
    "batch_size": 64,
    "gates": {
        "mean_plcc_min": 0.95, "plcc_spread_max": 0.05, "per_seed_min": 0.9,
        # The formula has no frames that are far from a ladder's, so that no model learns where scores end.
        "hard_negatives": {"black_max": 60, "swapped_max": 60, "teacher_error_max": 60, "range_margin": 150},
        "extrapolation": {"worst_plcc_min": 0.5},
    },
    "quantised": QUANTISED,
}  # fmt: skip
"""What the models of a finished run have instead of the keys of `tests.make.models.SMALL`."""


def write_model(folder: Path, name: str, **changes: Any) -> Path:
    """Write the YAML file of a model of a finished run; keyword arguments replace top-level keys."""
    return spec_file(folder, name, **{"description": f"{name}, six features", **SPEC, **changes})


def build_run(
    root: Path,
    *,
    sources: Sequence[str] = ("bbb", "bikes_0", "carphone"),
    frames: int = 12,
    models: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Make a whole run below `root` and return its results folder.

    By default it has two models: `small` passes its gates, and `held` (never trained) does not.
    """
    from pyvmaf.models.export import export
    from pyvmaf.models.fit import fit
    from pyvmaf.models.judge import judge
    from pyvmaf.quantized.quantize import quantize
    from pyvmaf.registry.register import register
    from pyvmaf.tables.build import combine

    specs: dict[str, Mapping[str, Any]] = {
        "small": {},
        "held": {"epochs": 0, "seeds": [0], "inputs": {"features": "canonical6", "codec": "v1"}},
    }
    with chdir(root):
        shards = write_shards("embedded", sources, frames)
        table = Path("results/tables/default.parquet")
        combine([("embedded", path) for path in shards], table)
        negatives = write_negatives(Path("results/features/hard_negatives.parquet"), "embedded", sources)
        for name, changes in (specs if models is None else models).items():
            config = write_model(Path("config/models"), name, **changes)
            seeds = changes.get("seeds", [0, 1])
            home = Path("results/models") / name
            for seed in seeds:
                fit(config, table, home / f"seed{seed}", seed=seed)
            verdict = home / "verdict.json"
            judge(config, [home / f"seed{seed}/loso.json" for seed in seeds], verdict, negatives=negatives)
            for seed in seeds:
                folder = home / f"seed{seed}"
                export(config, folder / "weights.safetensors", verdict, table, folder / "model.onnx")
                for mode in (variant["mode"] for variant in changes.get("quantised", QUANTISED)):
                    int8 = Path("results/quantized") / name / f"seed{seed}" / f"{mode}.onnx"
                    quantize(config, folder / "model.onnx", folder / "weights.safetensors", table, int8, mode=mode)
        register(["results"], "results/registry/registry.json")
    return root / "results"


def once(base: Path, name: str, make: Callable[[Path], object]) -> Path:
    """Return the folder `name` below `base`: the test process that comes first makes it, the others wait."""
    root = base / name
    with open(base / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (base / f"{name}.complete").exists():
            root.mkdir(exist_ok=True)
            make(root)
            (base / f"{name}.complete").touch()
    return root
