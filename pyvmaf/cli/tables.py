"""Verbs of the stage tables."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pyvmaf.base.terminal import say
from pyvmaf.cli import declared as typer
from pyvmaf.cli.common import CodeOption, FeatureRegex, LabelRegex, check_code

if TYPE_CHECKING:
    from pyvmaf.labels.scores import Labels

LabelsOption = Annotated[
    list[Path] | None,
    typer.Option("--labels", help="Labels that rate the rows, from labels or aggregate; may be repeated."),
]
LabelCorpus = Annotated[
    list[str] | None,
    typer.Option("--label-corpus", metavar="LABEL", help="Rate the rows of this corpus label only; may be repeated."),
]
FeatureKey = Annotated[str, typer.Option("--feature-key", help="Column that names the video.")]
LabelKey = Annotated[str, typer.Option("--label-key", help="Key of the labels that names the video.")]


class Unit(Enum):
    """What a row of a training table is."""

    FRAME = "frame"
    CLIP = "clip"


def register(app: typer.Typer) -> None:
    """Add this stage's verbs."""
    app.command("shard")(shard)
    app.command("import-table")(import_table)
    app.command("merge")(merge)
    app.command("combine")(combine)
    app.command("combine-pictures")(combine_pictures)


def shard(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="TABLE.parquet... RECORD.json...", help="Feature tables and the encodes' records."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The shard to write (.parquet).")],
    records: Annotated[
        Path, typer.Option("--records", help="The complete corpus rows to write (.jsonl), one per encode.")
    ],
    corpus: Annotated[
        str | None,
        typer.Option("--corpus", "-c", help="Corpus file, or the name of one, whose opinion scores become columns."),
    ] = None,
    code: CodeOption = None,
) -> None:
    """Put the feature tables of one corpus and codec into a shard, and complete the encodes' records.

    With --corpus the rows have the opinion scores of the corpus file: of the rung, or of its clip.

    Example: vmaf-train shard -o libx264.parquet --records libx264.jsonl features/*/libx264.parquet
    encodes/*/libx264/*.json
    """
    from pyvmaf.base.outputs import MANIFEST_SUFFIX
    from pyvmaf.corpora.spec import find_corpus, load_corpus
    from pyvmaf.errors import InputError
    from pyvmaf.tables.build import build_shard

    rated = None if corpus is None else load_corpus(find_corpus(corpus))
    check_code("shard", code, None if rated is None else rated.uses)
    # A pattern such as *.json takes the manifests in, too.
    files = [path for path in inputs if not path.name.endswith(MANIFEST_SUFFIX)]
    for path in files:
        if path.suffix not in (".parquet", ".json"):
            raise InputError(f"{path} is neither a feature table (.parquet) nor a record of an encode (.json)")
    ladders = [path for path in files if path.suffix == ".parquet"]
    encodes = [path for path in files if path.suffix == ".json"]
    rows = build_shard(ladders, encodes, output, records, corpus=rated)
    say(f"{output}: {rows} rows of {len(ladders)} ladders")


def import_table(
    corpus: Annotated[str, typer.Option("--corpus", "-c", help="A corpus file, or the name of one.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The shard to write (.parquet).")],
    records: Annotated[
        Path | None,
        typer.Option("--records", help="The records of the encodes to write (.jsonl). [default: beside the shard]"),
    ] = None,
    code: CodeOption = None,
) -> None:
    """Read tables that other programs made: libvmaf logs with opinion scores, or vmaf-tune's corpus rows.

    Every row is checked; rows that cannot be used are named and counted. Such corpora have the kind feature-log,
    corpus-jsonl or frame-table: see docs/tables.md.

    Example: vmaf-train import-table --corpus fr_mos -o results/shards/fr_mos/imported.parquet
    """
    from pyvmaf.corpora.spec import find_corpus, load_corpus
    from pyvmaf.tables.imports import import_table as run

    path = find_corpus(corpus)
    check_code("import-table", code, load_corpus(path).uses)
    done = run(path, output, records or output.with_suffix(".jsonl"))
    details = done.details
    say(f"{output}: {done.rows} rows, one per {done.unit}, of {details['encodes']} encodes")
    for reason, count in details["dropped"].items():
        say(f"left out: {reason}: {count} of {details['rows_in']}", err=True)
    if details.get("without_mos"):
        say(f"without an opinion score: {details['without_mos']} of {details['encodes']}", err=True)
    for line in details["bad"]:
        say(f"not usable: {line}", err=True)


def merge(
    inputs: Annotated[list[Path], typer.Argument(metavar="ROWS.jsonl...", help="Files of corpus rows, two or more.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The rows to write (.jsonl).")],
    code: CodeOption = None,
) -> None:
    """Put rows of vmaf-tune's corpus together: of encodes with equal src_sha256, encoder, preset and crf the first stays.

    Exit code 1: a row lacks a key of its schema version; nothing is written. 2: a file is not there.

    Example: vmaf-train merge a.jsonl b.jsonl -o all.jsonl
    """
    check_code("merge", code)
    from pyvmaf.tables.merge import RowError
    from pyvmaf.tables.merge import merge as run

    try:
        counts = run(inputs, output)
    except RowError as err:
        say(f"error: {err}", err=True)
        raise typer.Exit(1) from err
    say(f"{output}: {counts['rows_out']} of {counts['rows_in']} rows of {len(counts['shards'])} files")
    if counts["duplicates"]:
        say(f"left out, of encodes that an earlier row has: {counts['duplicates']}", err=True)
    if counts["conflicts"]:
        say(f"of these with another vmaf_score: {counts['conflicts']}", err=True)


def combine(
    inputs: Annotated[list[str], typer.Argument(metavar="LABEL=TABLE...", help="Tables, each with its corpus label.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The training table to write (.parquet).")],
    unit: Annotated[
        Unit, typer.Option("--unit", help="What a row is: frame, or clip, which pools the frames of each encode.")
    ] = Unit.FRAME,
    mos_scale: Annotated[
        str | None,
        typer.Option("--mos-scale", metavar="LOW,HIGH", help="Map opinion scores to this scale; native ones are kept."),
    ] = None,
    mos_map: Annotated[
        list[str] | None,
        typer.Option("--mos-map", metavar="LABEL=MAP", help="Map of the scores of this label, if not the usual one."),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option("--teacher", help="What computed the VMAF of tables of another program that do not state it."),
    ] = None,
    mixed_engines: Annotated[
        bool,
        typer.Option("--mixed-engines", help="Allow tables that engines of other numbers measured (libvmaf-cuda)."),
    ] = False,
    labels: LabelsOption = None,
    label_corpus: LabelCorpus = None,
    feature_key: FeatureKey = "clip",
    feature_key_regex: FeatureRegex = None,
    label_key: LabelKey = "src",
    label_key_regex: LabelRegex = None,
    code: CodeOption = None,
) -> None:
    """Put shards into one training table. A label may repeat; a feature that an input lacks becomes NaN.

    Tables of frames that another program wrote (key or source, frame_index, features, vmaf) are read as they are.

    Example: vmaf-train combine -o default.parquet mine=shards/mine/libx264.parquet mine=shards/mine/libx265.parquet
    """
    check_code("combine", code)
    from pyvmaf.base.opinion import parse_scale
    from pyvmaf.tables.build import combine as run

    pairs = [(label, Path(path)) for label, path in (_pair(value, "LABEL=TABLE") for value in inputs)]
    rows = run(
        pairs,
        output,
        unit=unit.value,
        mos_scale=None if mos_scale is None else parse_scale(mos_scale),
        teacher=teacher,
        mos_maps=dict(_pair(value, "LABEL=MAP") for value in mos_map or ()),
        labels_of=_labels(labels, label_corpus, feature_key, feature_key_regex, label_key, label_key_regex),
        mixed_engines=mixed_engines,
    )
    say(f"{output}: {rows} rows of {len(pairs)} tables")


def combine_pictures(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="TABLE.parquet...", help="Tables of pictures, of extract-frames.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The training table to write (.parquet).")],
    shard: Annotated[
        list[str] | None,
        typer.Option("--shard", metavar="CORPUS=SHARD", help="Scores of the frames of ladders; may be repeated."),
    ] = None,
    mos_scale: Annotated[
        str | None, typer.Option("--mos-scale", metavar="LOW,HIGH", help="Map opinion scores of videos to this scale.")
    ] = None,
    mos_map: Annotated[
        list[str] | None,
        typer.Option("--mos-map", metavar="CORPUS=MAP", help="Map of the scores of a corpus, if not the usual one."),
    ] = None,
    labels: LabelsOption = None,
    label_corpus: LabelCorpus = None,
    feature_key: FeatureKey = "clip",
    feature_key_regex: FeatureRegex = None,
    label_key: LabelKey = "src",
    label_key_regex: LabelRegex = None,
    code: CodeOption = None,
) -> None:
    """Put tables of pictures into one training table, with VMAF and opinion scores of their frames.

    Distorted pictures find the pristine picture of their frame, if its table is among the inputs. The pictures themselves stay
    where they are: below the folder of the table, or of the folder around it if that is called tables.

    Example: vmaf-train combine-pictures results/frames/gray/mine/*/*.parquet -o results/tables/pixels.parquet
    --shard mine=results/shards/mine/libx264.parquet
    """
    check_code("combine-pictures", code)
    from pyvmaf.base.opinion import parse_scale
    from pyvmaf.tables.pictures import combine_pictures as run

    shards = [(label, Path(path)) for label, path in (_pair(value, "CORPUS=SHARD") for value in shard or ())]
    rows = run(
        inputs,
        shards,
        output,
        mos_scale=None if mos_scale is None else parse_scale(mos_scale),
        mos_maps=dict(_pair(value, "CORPUS=MAP") for value in mos_map or ()),
        labels_of=_labels(labels, label_corpus, feature_key, feature_key_regex, label_key, label_key_regex),
    )
    say(f"{output}: {rows} pictures of {len(inputs)} tables")


def _labels(
    paths: list[Path] | None,
    corpora: list[str] | None,
    feature_key: str,
    feature_pattern: str | None,
    label_key: str,
    label_pattern: str | None,
) -> Labels | None:
    from pyvmaf.labels.scores import Labels

    if not paths:
        return None
    return Labels(tuple(paths), feature_key, feature_pattern, label_key, label_pattern, corpora=tuple(corpora or ()))


def _pair(value: str, form: str) -> tuple[str, str]:
    from pyvmaf.errors import InputError

    label, equals, other = value.partition("=")
    if not equals or not label or not other:
        raise InputError(f"{value!r} is not of the form {form}")
    return label, other
