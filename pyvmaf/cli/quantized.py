"""``quantize-int8``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pyvmaf.base.terminal import say
from pyvmaf.cli import declared as typer
from pyvmaf.cli.common import CodeOption, progress
from pyvmaf.cli.models import AsResult, ConfigOption, TableOption, check_family_code
from pyvmaf.cli.show import figure


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
    mode: Annotated[
        str, typer.Option("--mode", help="A quantised mode of the config: dynamic, static, static_qdq or qat.")
    ] = "static_qdq",
    calibration: Annotated[
        int | None,
        typer.Option("--n-calibration", min=1, metavar="ROWS", help="Most rows to measure activation ranges on."),
    ] = None,
    budget: Annotated[
        float | None, typer.Option("--budget", min=0, help="Largest mean PLCC drop on held-out rows.")
    ] = None,
    rmse_gate: Annotated[
        float | None, typer.Option("--rmse-gate", help="Largest RMSE between int8 and fp32 on held-out rows.")
    ] = None,
    srocc_gate: Annotated[
        float | None, typer.Option("--srocc-gate", help="Least SROCC between int8 and fp32 on held-out rows.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=0, help="Mode qat: passes over the training rows.")
    ] = None,
    lr: Annotated[float | None, typer.Option("--lr", help="Mode qat: learning rate, falling to 0.")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Mode qat: rows per step.")] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="JSON", help="Where the report goes. Default: beside the model.")
    ] = None,
    as_result: AsResult = False,
    code: CodeOption = None,
) -> None:
    """Write an int8 variant, and measure its cost on held-out sources. Exits 1 if that exceeds a limit.

    Limits and training are those of the config unless an option says otherwise.

    Example: vmaf-train quantize-int8 --config config/models/vmaf_tiny_v2.yaml --model model.onnx
    --weights weights.safetensors --features results/tables/default.parquet --output static_qdq.onnx
    """
    check_family_code("quantize-int8", code, config)
    from pyvmaf.base.manifest import read_manifest
    from pyvmaf.quantized.quantize import quantize as run

    overrides = {
        "calibration_rows": calibration,
        "budget": budget,
        "rmse_max": rmse_gate,
        "srocc_min": srocc_gate,
        "epochs": epochs,
        "lr": lr,
        "batch_size": batch_size,
    }
    with progress("quantise", unit="folds") as advance:
        report = run(
            config, model, weights, features, output, mode=mode, report=json, on_fold=advance, overrides=overrides
        )
    _print(output, report, read_manifest(output)["run"]["measured"]["note"])
    if not report["passed"] and not as_result:
        raise typer.Exit(1)


def _print(output: Path, report: dict[str, Any], speed: str) -> None:
    say(
        f"{output} ({report['mode']}): on {report['n_heldout']} held-out rows PLCC {figure(report['plcc_fp32'], 5)} to "
        f"{figure(report['plcc_int8'], 5)}, mean drop {figure(report['drop'], 6)} (budget {report['budget']:g}), worst "
        f"fold {figure(report['drop_worst_fold'], 6)}, RMSE against fp32 {figure(report['rmse_int8_fp32'], 3)} (at most "
        f"{report['rmse_max']:g}), rank agreement with it {figure(report['srocc_int8_fp32'], 5)} (at least "
        f"{report['srocc_min']:g}), worst fold {figure(report['srocc_int8_fp32_worst_fold'], 5)}"
    )
    say(f"  {report['size_note']}")
    say(f"  {speed}")
    for reason in report["missed"]:
        say(f"  does not pass: {reason}")
