"""``ensemble``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyvmaf.cli.common import CodeOption, check_code
from pyvmaf.cli.models import AsResult, ConfigOption, TableOption
from pyvmaf.cli.show import print_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("ensemble")(ensemble)


def ensemble(
    sidecars: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL.json…",
            help="The sidecar of each seed's export; its report and predictions of fit lie beside it.",
        ),
    ],
    config: ConfigOption,
    verdict: Annotated[Path, typer.Option("--verdict", metavar="JSON", help="The verdict over these seeds.")],
    features: TableOption,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="JSON", help="Where the manifest goes.")],
    as_result: AsResult = False,
    code: CodeOption = None,
) -> None:
    """Make one model with intervals of a promoted model's seeds, and measure what the intervals hold on unseen sources.

    Exits 0 when they hold what they promise, 1 when they do not or the seeds are held, 2 when something is missing.

    Example: vmaf-train ensemble --config config/models/fr_regressor_v2_ensemble.yaml --verdict runs/e/verdict.json
    --features results/tables/default.parquet --output runs/e/ensemble.json runs/e/seed*/model.json
    """
    check_code("ensemble", code)
    from pyvmaf.models.ensemble import HeldError, make_ensemble

    try:
        manifest = make_ensemble(config, verdict, sidecars, features, output, record_held=as_result)
    except HeldError as err:
        typer.echo(f"HOLD {err}")
        raise typer.Exit(1) from None
    _print(manifest)
    if manifest["verdict"] != "PROMOTE" and not as_result:
        raise typer.Exit(1)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _print(manifest: Mapping[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    rows, used = manifest["eval"]["rows"], manifest["confidence"]["interval"]
    nominal = manifest["confidence"]["nominal_coverage"]
    table = Table(
        title=f"{manifest['id']}: {used} intervals for {nominal:.1%} on {rows['n']} rows of {rows['units']} held-out "
        "sources; share that each way of making them holds",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("held out", no_wrap=True)
    for name in ("rows", "RMSE", "sigma", *rows["coverage"], "width"):
        table.add_column(name, justify="right", no_wrap=True)
    for unit in rows["per_unit"]:
        width = unit["mean_width"][used]
        table.add_row(
            unit["held_out"],
            str(unit["n"]),
            f"{unit['rmse']:.3f}",
            f"{unit['mean_sigma']:.3f}",
            *(_share(unit["coverage"][m]) for m in rows["coverage"]),
            "-" if width is None else f"{width:.2f}",
        )
    table.add_section()
    held = rows["coverage"]
    table.add_row(
        "all rows",
        str(rows["n"]),
        f"{rows['rmse']:.3f}",
        f"{rows['mean_sigma']:.3f}",
        *(_share(c["empirical_coverage"]) for c in held.values()),
        "-" if held[used]["mean_width"] is None else f"{held[used]['mean_width']:.2f}",
    )
    print_whole(table)
    gate, gates = manifest["coverage_gate"], manifest["gates"]
    mean, spread = gates["mean_plcc"], gates["plcc_spread"]
    typer.echo(
        f"{manifest['verdict']} {manifest['id']}: {manifest['ensemble_size']} members, mean PLCC "
        f"{'-' if mean is None else f'{mean:.5f}'}, spread {'-' if spread is None else f'{spread:.5f}'}; intervals hold "
        f"{_share(gate['empirical_coverage'])} of held-out rows ({_share(gate['nominal_coverage'])} ± "
        f"{_share(gate['coverage_tolerance'])} asked for)"
    )
    if gate["why"]:
        typer.echo(gate["why"], err=True)
