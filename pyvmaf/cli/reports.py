"""report, card, summary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pyvmaf.base.terminal import say
from pyvmaf.cli import declared as typer
from pyvmaf.cli.common import CodeOption, check_code

if TYPE_CHECKING:
    from pyvmaf.reports.summary import OverSeeds, Summary, VariantSummary

Files = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="FILE",
        help="Files of a run, in any order: verdict.json, loso.json, predictions.parquet, model.json, int8 reports, "
        "ensemble.json, shards (.parquet and .jsonl) and registry.json; or a folder of results.",
        show_default="results",
    ),
]
PointsOption = Annotated[int, typer.Option("--points", min=10, help="Most points per fold in the scatter plots.")]
Results = Annotated[Path | None, typer.Option("--results", help="A folder of results; it can also be named as FILE.")]


def register(app: typer.Typer) -> None:
    """Add this stage's verbs."""
    app.command("report")(report_command)
    app.command("card")(card_command)
    app.command("summary")(summary_command)


def _paths(files: list[Path] | None, results: Path | None) -> list[Path]:
    paths = [*(files or []), *([results] if results is not None else [])]
    return paths or [Path("results")]


def report_command(
    files: Files = None,
    results: Results = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page.")] = Path("results/reports/report.html"),
    points: PointsOption = 400,
    cards: Annotated[
        str | None,
        typer.Option(
            "--cards", metavar="FOLDER", help="Folder of the models' cards, as a path from the page, to link to."
        ),
    ] = None,
    code: CodeOption = None,
) -> None:
    """Write one HTML page with the results of a run. The page needs no network.

    Example: vmaf-train report results --cards models
    """
    from pyvmaf.reports.pages.run.page import write_report
    from pyvmaf.reports.pages.run.report import uses
    from pyvmaf.reports.read import read_run

    run = read_run(_paths(files, results))
    check_code("report", code, uses(run))
    size = write_report(run, output, points=points, cards=cards)
    say(f"wrote {output} ({size / 1e6:.1f} MB)")


def card_command(
    files: Files = None,
    results: Results = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", "-m", metavar="ID", help="A model. Default: all models. Repeatable.")
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            "--features",
            "--table",
            metavar="PARQUET",
            help="The table that the models were trained on. Default: the table of that name in the folder of results.",
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the cards.")] = Path(
        "results/reports/models"
    ),
    report: Annotated[
        str, typer.Option("--report", help="The page of the run, as a path from a card, to link to.")
    ] = "../report.html",
    points: PointsOption = 400,
    code: CodeOption = None,
) -> None:
    """Write a card per model: data, training, figures, gates, limits of use, int8 variants and reproduction; of a converted
    checkpoint its origin, gates and limits.

    Example: vmaf-train card results --model vmaf_tiny_v2
    """
    from pyvmaf.reports.pages.card.page import uses, write_cards
    from pyvmaf.reports.read import read_run

    paths = _paths(files, results)
    if code is not None:
        check_code("card", code, uses(read_run(paths, converted=True), model or ()))
    for path in write_cards(paths, output, models=model or (), table=features, report=report, points=points):
        say(f"wrote {path}")


def summary_command(
    files: Files = None,
    results: Results = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file of the figures, as JSON.")] = Path(
        "results/reports/summary.json"
    ),
    code: CodeOption = None,
) -> None:
    """Print the closing figures of each model and write them as JSON.

    Example: vmaf-train summary results --output summary.json
    """
    from pyvmaf.reports.summary import write_summary

    check_code("summary", code)
    _print(write_summary(_paths(files, results), output))
    say(f"wrote {output}")


def _print(summary: Summary) -> None:
    from rich.table import Table

    from pyvmaf.base.terminal import console as new_console
    from pyvmaf.base.terminal import plain

    console = new_console()
    if not console.is_terminal:
        # A log or a pipe has no width of its own.
        console = new_console(width=160)
    table = Table(title="Held-out sources, mean ± std over the seeds", title_justify="left")
    table.add_column("model", no_wrap=True)
    for title in ("params", "PLCC", "SROCC", "RMSE"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("verdict")
    table.add_column("ONNX bytes", justify="right")
    variants = Table(title="Int8 variants, on held-out sources", title_justify="left")
    for title in ("model", "mode"):
        variants.add_column(title, no_wrap=True)
    for title in ("bytes", "of fp32", "drop of PLCC", "budget"):
        variants.add_column(title, justify="right", no_wrap=True)
    variants.add_column("", overflow="ellipsis", no_wrap=True)
    for model in summary.models:
        held = model.verdict == "HOLD"
        for variant in model.int8:
            variants.add_row(
                model.model,
                variant.mode,
                str(variant.bytes),
                f"{variant.size_ratio:.2f}x{' LARGER' if variant.size_ratio > 1 else ''}",
                "not defined" if variant.drop is None else f"{variant.drop:.5f}",
                f"{variant.budget:g}",
                plain("passed", "green") if variant.passed else plain(_why(variant), "red"),
            )
        table.add_row(
            model.model,
            f"{model.n_params}",
            *(_spread(getattr(model.loso, name), digits) for name, digits in (("plcc", 4), ("srocc", 4), ("rmse", 3))),
            plain(model.verdict or "not judged", "red" if held else "green"),
            _plain(model.onnx_bytes),
        )
    console.print(table)
    if variants.row_count:
        console.print(variants)
    for model in summary.models:
        if model.reason:
            say(f"{model.model} is held: {model.reason}")
        worst = model.worst_fold
        plcc = "not defined (constant predictions)" if worst.plcc is None else f"{worst.plcc:.4f}"
        say(
            f"{model.model}: worst of {model.n_folds} folds x {len(model.seeds)} seeds is "
            f"{worst.held_out} with PLCC {plcc} (seed {worst.seed})"
        )


def _spread(figure: OverSeeds, digits: int) -> str:
    mean, std = figure.mean, figure.std
    if mean is None:
        return "not defined"
    return f"{mean:.{digits}f}" + ("" if std is None else f" ± {std:.{digits}f}")


def _plain(value: int | None) -> str:
    return "none" if value is None else str(value)


def _why(variant: VariantSummary) -> str:
    """The first word of the reason why a variant is not shipped."""
    missed = variant.missed
    return missed[0].partition(":")[0] if missed else "failed"
