"""Verbs of the stage labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pyvmaf.base.terminal import say
from pyvmaf.cli.common import CodeOption, check_code, progress


def register(app: typer.Typer) -> None:
    """Add this stage's verbs."""
    app.command("labels")(labels)
    app.command("aggregate")(aggregate)
    app.command("join")(join)


def labels(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The label file, as its authors publish it.")],
    dataset: Annotated[
        str, typer.Option("--dataset", "-d", help="Name of a dataset in config/labels, or the path of a spec.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The rows to write (.jsonl).")],
    videos: Annotated[
        Path | None, typer.Option("--videos", help="Folder of the videos; each is hashed and its header read.")
    ] = None,
    max_missing_share: Annotated[
        float,
        typer.Option(
            "--max-missing-share", min=0, max=1, help="Largest share of videos that may be absent or unreadable."
        ),
    ] = 0.1,
    code: CodeOption = None,
) -> None:
    """Read the opinion scores of a dataset: one row per video, on the dataset's scale.

    Each file of config/labels is a dataset, in each form in which it is handed out (.csv, .xlsx, .mat); a new one is a new
    file there. A label file of another dataset is refused with its first line. With --videos an interrupted run goes on
    where it ended.

    Example: vmaf-train labels KoNViD_1k_mos.csv --dataset konvid-1k --videos KoNViD_1k_videos -o konvid-1k.jsonl
    """
    check_code("labels", code)
    from pyvmaf.labels.labels import labels as run
    from pyvmaf.labels.spec import find_spec

    with progress("labels") as advance:
        done = run(
            find_spec(dataset), file, output, videos=videos, max_missing_share=max_missing_share, advance=advance
        )
    content = done.content
    expected = "" if content.layout.expected is None else f" of {content.layout.expected} that were published"
    say(f"{output}: {done.rows} videos{expected}, read as {content.layout.name}")
    for what, count in (("again what an earlier row says", content.repeated), ("resumed", done.resumed)):
        if count:
            say(f"{what}: {count}", err=True)
    for line in content.bad:
        say(f"not usable: {line}", err=True)
    if done.missing:
        say(f"not in {videos}: {len(done.missing)} videos, {', '.join(done.missing[:5])}", err=True)
    for line in done.unreadable:
        say(f"unreadable: {line}", err=True)


def aggregate(
    inputs: Annotated[list[Path], typer.Argument(metavar="LABELS.jsonl...", help="Files of the verb labels.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The rows to write (.jsonl).")],
    code: CodeOption = None,
) -> None:
    """Put labels of several datasets on one scale of 0 to 100, each video once.

    Of rows of the same file, by its hash, that with the smaller deviation stays. The native score and its scale are kept.

    Example: vmaf-train aggregate konvid-1k.jsonl live-vqc.jsonl -o all.jsonl
    """
    check_code("aggregate", code)
    from pyvmaf.labels.aggregate import aggregate as run

    counts = run(inputs, output)
    say(f"{output}: {counts['rows_out']} of {counts['rows_in']} rows of {counts['inputs_seen']} files")
    for name, count in counts.items():
        if count and name not in ("rows_in", "rows_out", "inputs_seen"):
            say(f"{name}: {count}", err=True)


def join(
    features: Annotated[Path, typer.Argument(metavar="TABLE.parquet", help="A feature table, of frames or of clips.")],
    inputs: Annotated[list[Path], typer.Argument(metavar="LABELS.jsonl...", help="Labels, from labels or aggregate.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The table to write (.parquet).")],
    report: Annotated[
        Path | None, typer.Option("--report", help="What matched (.json). [default: beside the table]")
    ] = None,
    feature_key: Annotated[
        str, typer.Option("--feature-key", help="Column of the table that names the video.")
    ] = "clip",
    feature_key_regex: Annotated[
        str | None,
        typer.Option("--feature-key-regex", metavar="REGEX", help="The part of it that is the key, one group."),
    ] = None,
    label_key: Annotated[str, typer.Option("--label-key", help="Key of the labels that names the video.")] = "src",
    label_key_regex: Annotated[
        str | None,
        typer.Option("--label-key-regex", metavar="REGEX", help="The part of it that is the key, one group."),
    ] = None,
    code: CodeOption = None,
) -> None:
    """Put opinion scores beside the rows of a feature table: columns mos, mos_std_dev, n_ratings, mos_native.

    Both sides name videos in their own ways; a regular expression with one group says which part counts. A key that stands
    for several labels is an error, and so is a table of which no row matches. The report counts what matched on either side.

    Example: vmaf-train join konvid.parquet konvid-1k.jsonl -o rated.parquet --feature-key-regex '([0-9]{6,})'
    --label-key-regex '([0-9]{6,})'
    """
    check_code("join", code)
    from pyvmaf.labels.join import join as run

    audit = run(
        features,
        inputs,
        output,
        report or output.with_suffix(".json"),
        feature_key=feature_key,
        feature_pattern=feature_key_regex,
        label_key=label_key,
        label_pattern=label_key_regex,
    )
    say(f"{output}: {audit['rows_matched']} of {audit['rows']} rows have a score, of {audit['keys_matched']} videos")
    for what in ("rows_without_label", "labels_without_row"):
        if audit[what]["keys"]:
            say(
                f"{what.replace('_', ' ')}: {audit[what]['keys']} keys, {', '.join(audit[what]['first'][:5])}", err=True
            )
