"""Verbs of the stage labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pyvmaf.base.terminal import say
from pyvmaf.cli import declared as typer
from pyvmaf.cli.common import CodeOption, FeatureRegex, LabelRegex, check_code, progress


def register(app: typer.Typer) -> None:
    """Add this stage's verbs."""
    app.command("labels")(labels)
    app.command("aggregate")(aggregate)
    app.command("join")(join)
    app.command("join-batch")(join_batch)
    app.command("materialize-mos-labels", hidden=True)(materialize_mos_labels)


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
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="LABELS...", help="Labels from labels or aggregate; with --columns, other tables."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The table to write (.parquet).")],
    report: Annotated[
        Path | None, typer.Option("--report", help="What matched (.json). [default: beside the table]")
    ] = None,
    feature_key: Annotated[
        str, typer.Option("--feature-key", help="Column of the table that names the video.")
    ] = "clip",
    feature_key_regex: FeatureRegex = None,
    label_key: Annotated[
        str | None,
        typer.Option(
            "--label-key",
            help="Key of the labels that names the video. [default: src; with --columns that of --feature-key]",
        ),
    ] = None,
    label_key_regex: LabelRegex = None,
    mos_scale: Annotated[
        str | None,
        typer.Option("--mos-scale", metavar="LOW,HIGH", help="Map the scores to this scale; native ones are kept."),
    ] = None,
    label_scale: Annotated[
        str | None, typer.Option("--label-scale", metavar="LOW,HIGH", help="Scale of labels that do not say theirs.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="NAME,…", help="Columns to join instead of opinion scores.")
    ] = None,
    prefix: Annotated[str, typer.Option("--prefix", help="With --columns: put before their names.")] = "",
    frame_key: Annotated[
        str | None,
        typer.Option("--frame-key", help="With --columns of frames: column of the table with the frame's number."),
    ] = None,
    label_frame_key: Annotated[
        str | None, typer.Option("--label-frame-key", help="The same of the other table. [default: --frame-key]")
    ] = None,
    split_by: Annotated[
        str | None,
        typer.Option("--split-by", help="With --columns: add a column split, 80/10/10 by a hash of this column."),
    ] = None,
    split_seed: Annotated[str, typer.Option("--split-seed", help="Seed of that hash.")] = "chug-hdr-v1",
    code: CodeOption = None,
) -> None:
    """Put opinion scores, or columns of another table, beside the rows of a feature table.

    Opinion scores become mos, mos_std, n_ratings and mos_native. Other columns (--columns) are scores of another model,
    saliency, or facts about the videos, from .parquet, .csv or .jsonl, by video or by video and frame. Both sides name
    videos in their own ways; a regular expression with one group says which part counts. A key that stands for several
    labels is an error, and so is a table of which no row matches. The report counts what matched on either side.

    Example: vmaf-train join konvid.parquet konvid-1k.jsonl -o rated.parquet --feature-key-regex '([0-9]{6,})'
    --label-key-regex '([0-9]{6,})'

    Another metric: vmaf-train join rated.parquet nr.csv -o both.parquet --columns score --prefix nr_
    """
    check_code("join", code)
    from pyvmaf.labels.request import JoinRequest

    request = JoinRequest(
        str(features),
        tuple(map(str, inputs)),
        str(output),
        None if report is None else str(report),
        feature_key,
        feature_key_regex,
        label_key,
        label_key_regex,
        mos_scale,
        label_scale,
        tuple(name.strip() for name in (columns or "").split(",") if name.strip()),
        prefix,
        frame_key,
        label_frame_key,
        split_by,
        split_seed,
    )
    _say_joined(output, request.run(), "values" if request.columns else "a score")


def join_batch(
    manifest: Annotated[
        Path, typer.Option("--manifest", "-m", help="The joins, one a row (.jsonl, .csv): keys are options of join.")
    ],
    base_dir: Annotated[
        Path | None, typer.Option("--base-dir", help="Folder that relative paths start from. [default: the manifest's]")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the report (.json).")] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Leave out the rows after one that fails.")] = False,
    allow_row_failure: Annotated[
        bool, typer.Option("--allow-row-failure", help="Exit 0 if one row at least was joined.")
    ] = False,
    code: CodeOption = None,
) -> None:
    """Join many tables by one list: each row is a call of join, with its options as keys.

    A row has features, labels and output, and the options of join with _ for -: feature_key_regex, columns, frame_key. In a
    .csv several labels are divided by ; and several columns by a comma. A row that fails leaves no output and does not
    concern the others; the report has the result of each. Exits 0 if all rows were joined, 1 if one failed, and 2, before
    anything is joined, if the list is not usable.

    Example: vmaf-train join-batch --manifest joins.jsonl --base-dir runs --output joins.json
    """
    check_code("join-batch", code)
    from pyvmaf.labels.batch import join_batch as run

    with progress("join-batch", unit="tables") as advance:
        done = run(
            manifest, output, base=base_dir, fail_fast=fail_fast, allow_failures=allow_row_failure, advance=advance
        )
    for row in done.rows:
        matched = "" if row.rows is None else f": {row.rows_matched} of {row.rows} rows"
        say(f"{row.state}: {row.output}{matched}{f': {row.error}' if row.error else ''}", err=row.state != "joined")
    say(f"{done.joined} of {len(done.rows)} tables joined, {done.failed} failed, {done.left_out} left out")
    if not done.passed:
        raise typer.Exit(1)


def materialize_mos_labels(
    features: Annotated[Path, typer.Option("--features", help="A feature table (.parquet).")],
    labels: Annotated[list[Path], typer.Option("--labels", help="Labels (.jsonl, .csv, .parquet).")],
    output: Annotated[Path, typer.Option("--out", help="The table to write (.parquet).")],
    report: Annotated[
        Path | None, typer.Option("--audit-json", help="What matched (.json). [default: beside the table]")
    ] = None,
    feature_key: Annotated[
        str, typer.Option("--feature-key-column", help="Column of the table that names the video.")
    ] = "key",
    label_key: Annotated[
        str, typer.Option("--label-key-column", help="Key of the labels that names the video.")
    ] = "src",
    feature_key_regex: FeatureRegex = "([0-9]{6,})",
    label_key_regex: LabelRegex = "([0-9]{6,})",
) -> None:
    """Put opinion scores beside the rows of a feature table: `join` with the option names of the training guide.

    Example: vmaf-train materialize-mos-labels --features konvid.parquet --labels konvid-1k.jsonl --out rated.parquet
    """
    from pyvmaf.labels.join import join as run

    audit = run(
        features,
        labels,
        output,
        report or output.with_suffix(".json"),
        feature_key=feature_key,
        feature_pattern=feature_key_regex,
        label_key=label_key,
        label_pattern=label_key_regex,
    )
    _say_joined(output, audit, "a score")


def _say_joined(output: Path, audit: Mapping[str, Any], what: str) -> None:
    say(f"{output}: {audit['rows_matched']} of {audit['rows']} rows have {what}, of {audit['keys_matched']} videos")
    for side in ("rows_without_label", "labels_without_row"):
        if audit[side]["keys"]:
            names = ", ".join(audit[side]["first"][:5])
            say(f"{side.replace('_', ' ')}: {audit[side]['keys']} keys, {names}", err=True)
