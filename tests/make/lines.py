"""Models with all files that the line makes of them, from the table to int8 variants of every mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from tests.make.models import spec_file
from tests.make.tables import table_columns, write_table

MODES = ("dynamic", "static", "static_qdq", "qat")
RELAXED = {"budget": 0.5, "rmse_max": 20.0, "srocc_min": 0.5}


class Line(NamedTuple):
    """The files of a model, from its table to the int8 reports by mode."""

    spec: Path
    table: Path
    weights: Path
    onnx: Path
    int8: dict[str, Path]
    reports: dict[str, dict[str, Any]]


VARIANTS: dict[str, dict[str, Any]] = {
    "baked": {
        "network": {"hidden": [16, 8], "activation": "relu"},
        "inputs": {"features": "canonical6", "guard": "clamp", "transforms": {"motion2": "log1p"}},
    },
    "coded": {
        "network": {"hidden": [12, 12], "activation": "gelu", "dropout": 0.1},
        "inputs": {"features": "canonical6", "codec": "v1"},
        "export": {"scaler": "sidecar"},
        "optimiser": {"name": "adamw", "lr": 0.01, "weight_decay": 1.0e-5},
    },
}


def build_lines(root: Path) -> dict[str, Line]:
    """Fit, judge, export and quantise one model per entry of `VARIANTS`."""
    from pyvmaf.models.export import export
    from pyvmaf.models.fit import fit
    from pyvmaf.models.judge import judge
    from pyvmaf.quantized.quantize import quantize

    table = write_table(root / "made.parquet", table_columns())
    lines = {}
    for name, changes in VARIANTS.items():
        folder = root / name
        modes: list[dict[str, Any]] = [{"mode": mode, "calibration_rows": 90, **RELAXED} for mode in MODES]
        modes[-1] |= {"epochs": 4, "batch_size": 64}
        spec = spec_file(root, name, epochs=40, seeds=[0], quantised=modes, **changes)
        fitted = fit(spec, table, folder, seed=0)
        judge(spec, [fitted.report], folder / "verdict.json")
        export(spec, fitted.weights, folder / "verdict.json", table, folder / "model.onnx")
        int8 = {mode: folder / f"{mode}.onnx" for mode in MODES}
        reports = {
            mode: quantize(spec, folder / "model.onnx", fitted.weights, table, path, mode=mode)
            for mode, path in int8.items()
        }
        lines[name] = Line(spec, table, fitted.weights, folder / "model.onnx", int8, reports)
    return lines
