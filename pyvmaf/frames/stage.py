"""The verb extract-frames: pictures of a video, of a ladder of encodes, or of pairs that exist, and the table of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.base.code import NOTHING, Uses
from pyvmaf.base.files import confined, sha256_file
from pyvmaf.base.layout import REFERENCE
from pyvmaf.base.manifest import engine_block, write_manifest
from pyvmaf.base.outputs import Watch, claim, publishes
from pyvmaf.corpora.failure import failure_at, refuse_failure
from pyvmaf.corpora.skipped import Failed, is_of_file, portable
from pyvmaf.errors import InputError, PyvmafError
from pyvmaf.features.table import write_table
from pyvmaf.frames.cache import PictureCache
from pyvmaf.frames.sampling import frame_count, sample
from pyvmaf.frames.spec import PictureSet
from pyvmaf.frames.storage import SUFFIX, writing
from pyvmaf.frames.table import REFERENCE_VMAF, File, metadata, name_in, picture_table
from pyvmaf.video.reader import Reader
from pyvmaf.video.tensors import Picture

if TYPE_CHECKING:
    from pyvmaf.corpora.pairs import Reference
    from pyvmaf.corpora.pairs import Spec as PairsSpec

Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class Version:
    """A video whose pictures are taken, and the columns of its rows.

    Attributes:
        video: the file.
        rung: its name in the ladder; None if it is not of a ladder.
        labels: corpus, group, source, clip and codec; null where they are not known.
        encoder, preset, crf: of an encode.
        strength: orders the rungs; None if nothing does.
        vmaf: `REFERENCE_VMAF` of a pristine video, else None.
    """

    video: Reader
    rung: str | None
    labels: Mapping[str, str | None]
    encoder: str | None = None
    preset: str | None = None
    crf: int | None = None
    strength: float | None = None
    vmaf: float | None = None

    def columns(self) -> dict[str, Any]:
        """Return the columns that are the same for all its pictures."""
        names = ("rung", "encoder", "preset", "crf", "strength", "vmaf")
        return {**self.labels, **{name: getattr(self, name) for name in names}}


@dataclass
class Subject:
    """Videos of the same frames.

    Attributes:
        versions: the videos.
        size: (width, height) at which they are compared.
        indices: frames that are taken.
        inputs: files by role, for the manifest.
        failed: pairs that were skipped, as a manifest lists them.
        details: further facts for the manifest.
        uses: what the verb uses in addition to its imports.
    """

    versions: list[Version]
    size: tuple[int, int]
    indices: list[int]
    inputs: dict[str, Any]
    failed: list[dict[str, str]] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    uses: Uses = NOTHING


@dataclass(frozen=True)
class Taken:
    """Figures of one call.

    Attributes:
        pictures: number of pictures.
        pairs: number of them whose video has a pristine one of the same frames.
        size: of a picture.
        cached: number of pictures that came from the cache.
        damaged: messages about the cache.
        failed: pairs that were skipped.
    """

    pictures: int
    pairs: int
    size: str
    cached: int
    damaged: list[str]
    failed: list[dict[str, str]]


def video_subject(path: Path, pictures: PictureSet, labels: Mapping[str, str], *, pristine: bool = False) -> Subject:
    """Return one video: a clip of a corpus whose pristine pictures are taken, or any video.

    Args:
        path: the file.
        pictures: which pictures.
        labels: corpus, group, source and clip, as far as they are known.
        pristine: whether it is the reference of ladders.

    Raises:
        InputError: it is not a video, or does not have the frames.
    """
    _check_sound(path)
    video = Reader(path)
    shown = video.presentation.format(video.coded)
    rung, vmaf = (REFERENCE, REFERENCE_VMAF) if pristine else (None, None)
    indices = pictures.indices(frame_count(video), shown.rate, path)
    version = Version(video, rung, {**_unlabelled(path), **labels}, vmaf=vmaf)
    return Subject([version], (shown.width, shown.height), indices, {"video": path})


def _unlabelled(path: Path) -> dict[str, str | None]:
    return {"corpus": None, "group": path.stem, "source": path.stem, "clip": path.stem, "codec": None}


def ladder_subject(
    reference: Path, rungs: Mapping[str, Path], pictures: PictureSet, labels: Mapping[str, str]
) -> Subject:
    """Return the encodes of a clip by one codec. The reference says which frames are taken, and at which size.

    Args:
        reference: the pristine clip.
        rungs: encodes by rung name, each with its record (.json) beside it.
        pictures: which pictures.
        labels: corpus, group, source, clip and codec.

    Raises:
        InputError: the reference is one that could not be prepared, a record belongs to another encode, or a video does not have the frames of the reference.
        MissingFileError: a record is missing.

    Encodes that could not be made are left out.
    """
    from pyvmaf.features.stage import check_reference, read_records, read_strengths

    failures = {rung: failure for rung, path in rungs.items() if (failure := failure_at(path)) is not None}
    rungs = {rung: path for rung, path in rungs.items() if rung not in failures}
    _check_sound(reference)
    records = read_records(rungs)
    strengths = read_strengths(rungs, records)
    digest = sha256_file(reference)
    for rung, record in records.items():
        check_reference(rungs[rung], record, reference, digest)
    first = Reader(reference)
    shown = first.presentation.format(first.coded)
    frames = frame_count(first)
    versions = []
    for rung, path in rungs.items():
        video, record = Reader(path), records[rung]
        frame_count(video, frames)
        versions.append(
            Version(video, rung, labels, record.encoder, record.preset, record.crf, _strength(strengths[rung]))
        )
    inputs = {
        "reference": reference,
        "rungs": list(rungs.values()),
        "records": [path.with_suffix(".json") for path in rungs.values()],
    }
    names = {"clip": labels["clip"], "codec": labels["codec"]}
    failed = [{**names, "rung": rung, "path": item.path, "why": item.why} for rung, item in failures.items()]
    indices = pictures.indices(frames, shown.rate, reference)
    return Subject(versions, (shown.width, shown.height), indices, inputs, failed)


def _check_sound(path: Path) -> None:
    """Refuse a file that stands in the place of a broken video.

    Raises:
        InputError: it is one; the message has the reason.
    """
    if (failure := failure_at(path)) is not None:
        raise refuse_failure(path, failure)


def _strength(value: float) -> float | None:
    return None if value != value else value


def pairs_subject(corpus: PairsSpec, root: Path, clip: str, codec: str, pictures: PictureSet) -> Subject:
    """Return the distorted versions of a clip by one codec, or its pristine one, of a corpus of pairs that exist.

    Pictures have the size at which the pairs are measured, and are of frames that are measured.

    Args:
        corpus: the corpus.
        root: folder that its paths start from.
        clip: the reference's key.
        codec: of the ladder, or "reference" for the reference itself.
        pictures: which pictures.

    Raises:
        InputError: a name is unknown; or a pair cannot be used, unless such pairs are skipped.
        MissingFileError, IntegrityError: a file is missing, or not the pinned one, unless such pairs are skipped.
    """
    from pyvmaf import corpora
    from pyvmaf.corpora.pairs import measured_size
    from pyvmaf.corpora.pinned import check_file
    from pyvmaf.features.pairs import window

    entry = corpus.reference(clip)
    if keys := corpus.conversions(entry).model_dump(exclude_defaults=True):
        raise InputError(
            f"pairs of {clip} in corpus {corpus.name} are converted before they are measured ({', '.join(keys)}), but pictures are taken "
            "of videos as they are: take convert out of the corpus file, or name the files in another corpus"
        )

    def opened(item: Any) -> Reader:
        path = confined(root, item.path)
        check_file(path, item.sha256)
        return Reader(path, raw=item.raw.format() if item.raw else None, stream=item.stream)

    first = opened(entry)
    shown = first.presentation.format(first.coded)
    frames = frame_count(first)
    span = window(corpus, entry, frames)
    indices = [span.first + index for index in pictures.indices(span.count(frames), shown.rate, first.path)]
    labels = {"corpus": corpus.name, "group": entry.group, "source": entry.source, "clip": clip}
    subject = Subject(
        [],
        measured_size(corpus, entry, shown) or (shown.width, shown.height),
        indices,
        {"pairs": [first.path]},
        uses=corpora.kind(corpus.kind).uses,
    )
    if codec == REFERENCE:
        subject.versions.append(Version(first, REFERENCE, {**labels, "codec": None}, vmaf=REFERENCE_VMAF))
        return subject
    _add_pairs(
        subject, corpus, root, entry, {**labels, "codec": codec}, lambda pair: _same_frames(opened(pair), frames)
    )
    return subject


def _same_frames(video: Reader, frames: int) -> Reader:
    frame_count(video, frames)
    return video


def _add_pairs(
    subject: Subject,
    corpus: PairsSpec,
    root: Path,
    entry: Reference,
    labels: Mapping[str, str],
    opened: Callable[[Any], Reader],
) -> None:
    """Add the distorted versions of a ladder, without those that cannot be used where such pairs are skipped."""
    from pyvmaf.errors import unknown_name

    codec = labels["codec"]
    ladders = entry.ladders()
    if codec not in ladders:
        raise unknown_name(f"codec of {entry.key}", codec, ladders)
    strengths = entry.strengths(codec)
    for rung, pair in ladders[codec].items():
        try:
            video = opened(pair)
        except PyvmafError as err:
            if corpus.on_error != "skip" or not is_of_file(err):
                raise
            subject.failed.append(Failed(entry.key, codec, rung, pair.path, portable(str(err), root)).as_dict())
            continue
        strength = _strength(strengths[rung])
        subject.versions.append(Version(video, rung, labels, pair.encoder, pair.preset, pair.crf, strength))
        subject.inputs["pairs"].append(video.path)


def table_beside(output: Path) -> Path:
    """Return the path of the table of a file of pictures."""
    return output.with_suffix(".parquet")


@publishes("extract-frames")
def extract_frames(
    output: Path,
    subject: Callable[[], Subject],
    pictures: PictureSet,
    *,
    cache: Path | None = None,
    advance: Advance | None = None,
) -> Taken:
    """Take pictures of videos, and write them, the table of them, and a manifest.

    Args:
        output: the file of pictures to write, .safetensors; the table has the same name and the suffix .parquet.
        subject: gives the videos, and is called inside of the verb.
        pictures: which pictures.
        cache: folder of the cache; None for none.
        advance: called with (pictures taken, all).

    Raises:
        InputError: a video does not have the frames, a crop does not fit, or there are no pictures.
        IntegrityError: a video is damaged, or was changed while it was read.
    """
    started = time.monotonic()
    check_output_name(output)
    table = table_beside(output)
    claim(output, table)
    what = subject()
    watch = Watch(version.video.path for version in what.versions)
    if not what.versions:
        raise InputError(f"{output} would hold no pictures: all {len(what.failed)} pairs were skipped")
    kept = PictureCache(cache)
    rows: dict[str, list[Any]] = {}
    total = len(what.indices) * len(what.versions)
    with writing(output, pictures.colour) as writer:
        for version in what.versions:
            made = sample(version.video, picture_of(version.video, what.size, pictures), what.indices, kept)
            for index, pixels in zip(what.indices, made, strict=True):
                number = writer.add(pixels, str(version.video.path))
                row = {"frame_index": index, "row": number, "height": pixels.shape[0], "width": pixels.shape[1]}
                _append(rows, {**version.columns(), **row})
                if advance is not None:
                    advance(number + 1, total)
        writer_shape, count = writer.shape, writer.count
    watch.check()
    name = name_in(table, output)
    rows["file"] = [name] * count
    block = metadata(
        colour=pictures.colour,
        files={name: File.of(output)},
        model="",
        engine=engine_block("extract-frames", what.uses),
    )
    write_table(picture_table(rows, block), table)
    paired = sum(version.rung not in (None, REFERENCE) for version in what.versions) * len(what.indices)
    size = f"{writer_shape[1]}x{writer_shape[0]}"
    write_manifest(
        output,
        verb="extract-frames",
        args={**pictures.model_dump(mode="json", exclude_none=True), **_labels(what)},
        inputs=what.inputs,
        outputs={"pictures": output, "table": table},
        details={
            "pictures": count,
            "pairs": paired,
            "frames": len(what.indices),
            "size": size,
            "colour": pictures.colour,
            "rungs": [version.rung for version in what.versions],
            **({"failed": what.failed} if what.failed else {}),
            **what.details,
        },
        seconds=time.monotonic() - started,
        measured={"cached": kept.hits},
        uses=what.uses,
    )
    return Taken(count, paired, size, kept.hits, kept.damaged, what.failed)


def picture_of(video: Reader, size: tuple[int, int], pictures: PictureSet) -> Picture:
    """Return what a picture of a video is, which is compared with others at a size."""
    shown = video.presentation.format(video.coded)
    return pictures.picture(*size, (shown.width, shown.height), video.path)


def check_output_name(output: Path) -> None:
    """Refuse a name that is not that of a file of pictures.

    Raises:
        InputError: it does not end in .safetensors.
    """
    if output.suffix != SUFFIX:
        raise InputError(
            f"{output} does not end in {SUFFIX}, which files of pictures do: name it {output.stem}{SUFFIX}"
        )


def _labels(what: Subject) -> dict[str, Any]:
    return {key: value for key, value in what.versions[0].labels.items() if value is not None}


def _append(rows: dict[str, list[Any]], row: Mapping[str, Any]) -> None:
    for key, value in row.items():
        rows.setdefault(key, []).append(value)
