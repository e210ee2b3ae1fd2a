"""``calibrate-recipes``, ``calibrate-nr-threshold``, ``build-bisect-cache``: material for the choice of encodes and for checks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pyvmaf.base.terminal import say
from pyvmaf.cli import declared as typer
from pyvmaf.cli.common import RegistryOption, ThreadsOption, progress, whole_numbers
from pyvmaf.cli.show import figure, new_table, print_whole, show_gate


def _complete_codec(incomplete: str) -> list[str]:
    from pyvmaf.cli.encodes import complete_codec

    return complete_codec(incomplete)


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command("calibrate-recipes")(calibrate_recipes)
    app.command("calibrate-nr-threshold")(calibrate_nr_threshold)
    app.command("build-bisect-cache")(build_bisect_cache)


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


def calibrate_nr_threshold(
    corpora: Annotated[list[Path], typer.Argument(metavar="CLIP…", help="Pristine clips, or folders of them.")],
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="Id of a registered model that needs no reference, or path of an ONNX file."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="JSON", help="The calibration; written only if it keeps the limits."),
    ],
    report: Annotated[
        Path | None, typer.Option("--report", metavar="MD", help="The report. [default: OUTPUT with the suffix .md]")
    ] = None,
    codec: Annotated[str, typer.Option("--codec", help="The encoder.", autocompletion=_complete_codec)] = "libx264",
    preset: Annotated[str | None, typer.Option("--preset", help="Its speed. [default: that of the encoder]")] = None,
    crf: Annotated[
        str, typer.Option("--crf", "--crfs", metavar="N,…", help="Quality numbers of each clip.")
    ] = "20,26,32,38,44",
    target: Annotated[float, typer.Option("--target", help="VMAF that the threshold stands for.")] = 93.0,
    min_samples: Annotated[
        int, typer.Option("--min-calibration-samples", min=1, help="Least number of encodes.")
    ] = 100,
    min_plcc: Annotated[float, typer.Option("--min-plcc", help="Least PLCC of clips left out of the fit.")] = 0.85,
    allow_weak: Annotated[
        bool, typer.Option("--allow-weak-calibration", help="Write the calibration although it misses a limit.")
    ] = False,
    subsample: Annotated[int, typer.Option("--subsample", min=1, help="Score every n-th frame.")] = 8,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", help="Folder where scores are kept, to go on after an interruption. [default: none]"),
    ] = None,
    registry: RegistryOption = None,
    program: Annotated[str, typer.Option("--ffmpeg", help="FFmpeg: embedded, system or a path.")] = "embedded",
    threads: ThreadsOption = 1,
) -> None:
    """Find the score without a reference from which an encode reaches a VMAF.

    Clips are encoded over a grid of CRFs and measured with and without their reference. The report is always written;
    exit status 1 says that a limit is missed and that the calibration was not written.

    Example: vmaf-train calibrate-nr-threshold clips --model nr_metric_v1 -o nr_threshold.json
    """
    from pyvmaf.checks.nr_threshold import Grid, Limits
    from pyvmaf.checks.nr_threshold import calibrate_nr_threshold as run

    with progress("calibrate-nr-threshold", unit="encodes") as advance:
        found = run(
            model,
            corpora,
            output,
            report,
            grid=Grid(codec, preset, whole_numbers("--crf", crf, "20,26,32")),
            target=target,
            limits=Limits(min_samples, min_plcc),
            allow_weak=allow_weak,
            subsample=subsample,
            threads=threads,
            program=program,
            registry=registry,
            cache=cache,
            advance=advance,
        )
    show_gate(
        f"{found.model}: {len(found.clips)} clips",
        found.gate,
        f"{found.verdict}  VMAF {found.target_vmaf:g} from score {figure(found.threshold)}; RMSE of clips left out "
        f"{found.rmse:.2f}, of their mean {found.constant_rmse:.2f}",
    )
    if found.verdict != "PROMOTE" and not found.allowed_weak:
        raise typer.Exit(1)


def build_bisect_cache(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", "--out", metavar="DIR", help="Where the table and the models lie."),
    ],
    check: Annotated[
        bool, typer.Option("--check", help="Compare what is there with what would be built; exit 1 if it differs.")
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option("--source-features", metavar="PARQUET", help="Table whose rows are taken. [default: drawn rows]"),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--target-column", help="Its target. [default: the first of mos, dmos, target, score]"),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option("--json", "--manifest-out", metavar="JSON", help="Also write the report to this file."),
    ] = None,
) -> None:
    """Build a table of 256 rows and 8 linear models, all good, for a nightly run of bisect-model-quality.

    Example: vmaf-train build-bisect-cache -o bisect --check
    """
    from pyvmaf.checks.bisect_cache import build_bisect_cache as run

    report = run(output, json, source=source, target=target, check=check)
    say(
        f"{output}: {report.n_rows} rows of {report.mode} features, {report.n_models} models, target {report.target_column}"
    )
    for name in report.differences:
        say(f"differs: {name}")
    if report.check != "not checked":
        say(report.check)
    if report.differences:
        raise typer.Exit(1)
