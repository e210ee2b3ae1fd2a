"""``quantize-int8``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pyvmaf.cli.common import EngineOption, check_engine, progress
from pyvmaf.cli.models import AsResult, ConfigOption, TableOption, figure


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    app.command("quantize-int8")(quantize)
    app.command("quantize", hidden=True)(quantize)


def quantize(
    config: ConfigOption,
    model: Annotated[Path, typer.Option("--model", "-m", metavar="ONNX", help="The exported fp32 model.")],
    weights: Annotated[
        Path, typer.Option("--weights", "--checkpoint", metavar="SAFETENSORS", help="Weights it was exported from.")
    ],
    features: TableOption,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="ONNX", help="Where the int8 model goes.")],
    mode: Annotated[str, typer.Option("--mode", help="A quantised mode of the config.")] = "static_qdq",
    json: Annotated[
        Path | None, typer.Option("--json", metavar="JSON", help="Where the report goes. Default: beside the model.")
    ] = None,
    as_result: AsResult = False,
    engine: EngineOption = None,
) -> None:
    """Write an int8 variant, and measure on held-out sources what it costs. Exits 2 where that exceeds the budget.

    Example: vmaf-train quantize-int8 --config config/models/vmaf_tiny_v2.yaml --model model.onnx
    --weights weights.safetensors --features results/tables/default.parquet --output static_qdq.onnx
    """
    check_engine("quantized", engine)
    from pyvmaf.quantized.quantize import quantize as run
    from pyvmaf.quantized.quantize import require_passed

    with progress("quantise", unit="folds") as advance:
        report = run(config, model, weights, features, output, mode=mode, report=json, on_fold=advance)
    typer.echo(
        f"{output}: {report['int8']['bytes']} bytes (fp32 {report['fp32']['bytes']}), on held-out rows PLCC "
        f"{figure(report['plcc_fp32'], 5)} to {figure(report['plcc_int8'], 5)}, mean drop {figure(report['drop'], 6)} "
        f"(budget {report['budget']}), worst fold {figure(report['drop_worst_fold'], 6)}, RMSE against fp32 "
        f"{figure(report['rmse_int8_fp32'], 3)}"
    )
    if not as_result:
        require_passed(report)
