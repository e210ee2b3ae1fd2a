"""``calibrate-recipes``: what opinion scores say of the choice of encodes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pyvmaf.base.terminal import say
from pyvmaf.cli.show import figure, new_table, print_whole


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command("calibrate-recipes")(calibrate_recipes)


def calibrate_recipes(
    labels: Annotated[
        list[str],
        typer.Argument(
            metavar="[CLASS=]LABELS...",
            help="Rated videos (.jsonl of the verb labels, .csv, .parquet), and their class if it is not ugc.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", "--out", metavar="JSON", help="The recipes.")],
    mos_column: Annotated[
        list[str] | None,
        typer.Option("--mos-column", help="Column of the scores; the first that a row has counts. [default: mos]"),
    ] = None,
    scale: Annotated[
        str | None, typer.Option("--scale", metavar="LOW,HIGH", help="Scale of rows that do not state mos_scale.")
    ] = None,
    class_column: Annotated[
        str | None, typer.Option("--class-column", help="Column whose values --class maps to classes.")
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="CLASS=VALUE", help="Rows with this value are of the class. Repeatable."),
    ] = None,
    max_rows: Annotated[int, typer.Option("--max-rows", min=0, help="Rows of each file; 0 for all.")] = 0,
    min_class_rows: Annotated[
        int, typer.Option("--min-class-rows", min=1, help="Rated videos from which a class is measured.")
    ] = 30,
    corpus: Annotated[
        str | None, typer.Option("--corpus-name", help="Name of the corpus. [default: those that rows state]")
    ] = None,
    rows_expected: Annotated[
        int | None, typer.Option("--rows-expected", min=1, help="Rows that the whole corpus has.")
    ] = None,
) -> None:
    """Calibrate recipes of classes of content (ugc, animation, screen_content, live_action_hdr) from rated videos.

    A class with too few rated videos is derived from ugc, and marked as a proxy.

    Example: vmaf-train calibrate-recipes konvid-1k.jsonl live_action_hdr=chug.jsonl -o recipes.json
    """
    from pyvmaf.base.opinion import parse_scale
    from pyvmaf.checks.recipes import calibrate_recipes as run
    from pyvmaf.checks.recipes import columns_of, file_of

    report = run(
        [file_of(word) for word in labels],
        output,
        columns=columns_of(mos_column or ("mos",), class_column, classes or (), parse_scale(scale) if scale else None),
        max_rows=max_rows,
        min_class_rows=min_class_rows,
        corpus=corpus,
        rows_expected=rows_expected,
    )
    metadata = report.metadata
    table = new_table(
        f"{metadata.corpus.name}: {metadata.corpus.rows_used_for_calibration} of {metadata.corpus.rows_in_jsonl} rows",
        ("class", "source", "saliency", "single rung"),
        ("rows", "offset", "width", "low landscape"),
    )
    for name, recipe in report.recipes.items():
        facts = recipe.provenance
        single = {None: "-", True: "yes", False: "no"}[recipe.force_single_rung]
        table.add_row(
            *(name, facts.source, recipe.saliency_intensity or "-", single, str(facts.rows_used)),
            *(figure(recipe.target_vmaf_offset, 1), figure(recipe.tight_interval_max_width, 2)),
            figure(facts.saliency_benefit_fraction, 3),
        )
    print_whole(table)
    for note in metadata.corpus.notes:
        say(note)
