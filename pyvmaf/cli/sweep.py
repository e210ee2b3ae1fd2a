"""``analyze-sweep``: which encodes of a sweep are worth their bits, and which recipes lose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pyvmaf.base.terminal import say
from pyvmaf.cli import declared as typer
from pyvmaf.cli.show import figure, new_table, print_whole, show_gate


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("analyze-sweep")(analyze_sweep)


def analyze_sweep(
    encodes: Annotated[
        list[Path],
        typer.Argument(
            metavar="SHARD...",
            help="Shards of a run (.parquet, the records .jsonl beside them), or tables of corpus rows (.jsonl).",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", "--out-dir", metavar="DIR", help="Folder for report, table and page.")
    ],
    max_loss: Annotated[
        float,
        typer.Option("--max-loss", min=0, help="VMAF that a recipe may lose at equal bitrate, mean over sources."),
    ] = 0.0,
    max_source_loss: Annotated[
        float, typer.Option("--max-source-loss", min=0, help="VMAF that it may lose on a single source.")
    ] = 0.5,
) -> None:
    """Find the Pareto fronts of encodes with several presets, CRFs and options, and compare options with the bare encoder.

    Exit status 1: a recipe (a set of options) loses at equal bitrate, or cannot be compared.

    Example: vmaf-train analyze-sweep results/shards/mine/libx264.parquet -o sweep
    """
    from pyvmaf.checks.sweep.document import Limits
    from pyvmaf.checks.sweep.sweep import PAGE
    from pyvmaf.checks.sweep.sweep import analyze_sweep as run

    report = run(encodes, output, limits=Limits(mean_loss_max=max_loss, source_loss_max=max_source_loss))
    fronts = new_table(
        f"{report.n_encodes} encodes of {report.n_sources} sources",
        ("clip", "encoder", "rate mode"),
        ("encodes", "on a front"),
    )
    for group in report.groups:
        counts = (str(group.n_encodes), str(len(group.pareto)))
        fronts.add_row(group.clip, group.encoder, group.rate_mode, *counts)
    print_whole(fronts)
    if report.comparisons:
        table = new_table(
            "recipes against the bare encoder, means over sources",
            ("encoder", "preset", "recipe", "options"),
            ("VMAF", "worst", "p5", "BD-rate %", "time"),
        )
        for item in report.comparisons:
            table.add_row(
                *(item.encoder, item.preset, item.recipe, item.options),
                *(figure(value, 3) for value in (item.vmaf_mean, item.vmaf_mean_worst, item.vmaf_p5)),
                *(figure(value, 2) for value in (item.bd_rate_percent, item.time_ratio)),
            )
        print_whole(table)
        show_gate("limits", report.gate, report.verdict)
    if report.n_left_out:
        say(f"left out: {report.n_left_out} rows that are no encode with a bitrate and a VMAF")
    say(f"page {output / PAGE}")
    if report.verdict != "PROMOTE":
        raise typer.Exit(1)
