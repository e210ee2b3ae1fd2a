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
from pyvmaf.corpora.failure import Failure, failure_at, refuse_failure
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
        labels: what all versions have in common, for the manifest.
        skip: whether versions that cannot be read are left out.
        root: folder that reasons name files from.
        failed: versions that were left out, as a manifest lists them.
        uses: what the verb uses in addition to its imports.
    """

    versions: list[Version]
    size: tuple[int, int]
    indices: list[int]
    inputs: dict[str, Any]
    labels: Mapping[str, str | None]
    skip: bool = False
    root: Path = Path()
    failed: list[dict[str, str]] = field(default_factory=list)
    uses: Uses = NOTHING

    @classmethod
    def without_versions(
        cls,
        labels: Mapping[str, str | None],
        inputs: dict[str, Any],
        failed: list[dict[str, str]],
        uses: Uses = NOTHING,
    ) -> Subject:
        """Return a subject of which nothing can be read."""
        return cls([], (1, 1), [], inputs, labels, skip=True, failed=failed, uses=uses)

    def leave_out(self, version: Version, err: PyvmafError) -> None:
        """Note that a version cannot be read.

        Raises:
            PyvmafError: such versions are not skipped, or it is not the fault of the file.
        """
        if not self.skip or not is_of_file(err):
            raise err
        names = self.labels.get("clip"), self.labels.get("codec"), version.rung
        clip, codec, rung = (name or REFERENCE for name in names)
        path = portable(str(version.video.path), self.root)
        self.failed.append(Failed(clip, codec, rung, path, portable(str(err), self.root)).as_dict())


@dataclass(frozen=True)
class Taken:
    """Figures of one call.

    Attributes:
        pictures: number of pictures.
        pairs: number of them whose video has a pristine one of the same frames.
        size: of a picture; None without pictures.
        cached: number of pictures that came from the cache.
        damaged: messages about the cache.
        failed: pairs that were skipped.
    """

    pictures: int
    pairs: int
    size: str | None
    cached: int
    damaged: list[str]
    failed: list[dict[str, str]]


def video_subject(
    path: Path, pictures: PictureSet, labels: Mapping[str, str], *, pristine: bool = False, skip: bool = False
) -> Subject:
    """Return one video: a clip of a corpus whose pristine pictures are taken, or any video.

    Args:
        path: the file.
        pictures: which pictures.
        labels: corpus, group, source and clip, as far as they are known.
        pristine: whether it is the reference of ladders.
        skip: leave out a clip that could not be prepared.

    Raises:
        InputError: it is not a video, or does not have the frames; or a clip could not be prepared, and is not skipped.
    """
    if (failure := _failed_reference(path, skip)) is not None:
        names = {"clip": labels.get("clip", path.stem), "codec": REFERENCE, "rung": REFERENCE}
        return Subject.without_versions(labels, {"video": path}, [{**names, **failure.as_dict()}])
    video = Reader(path)
    shown = video.presentation.format(video.coded)
    rung, vmaf = (REFERENCE, REFERENCE_VMAF) if pristine else (None, None)
    indices = pictures.indices(frame_count(video), shown.rate, path)
    known = {**_unlabelled(path), **labels}
    version = Version(video, rung, known, vmaf=vmaf)
    return Subject([version], (shown.width, shown.height), indices, {"video": path}, known)


def _unlabelled(path: Path) -> dict[str, str | None]:
    return {"corpus": None, "group": path.stem, "source": path.stem, "clip": path.stem, "codec": None}


def ladder_subject(
    reference: Path, rungs: Mapping[str, Path], pictures: PictureSet, labels: Mapping[str, str], *, skip: bool = False
) -> Subject:
    """Return the encodes of a clip by one codec. The reference says which frames are taken, and at which size.

    Args:
        reference: the pristine clip.
        rungs: encodes by rung name, each with its record (.json) beside it.
        pictures: which pictures.
        labels: corpus, group, source, clip and codec.
        skip: leave out all encodes of a reference that could not be prepared.

    Raises:
        InputError: the reference could not be prepared, and is not skipped; a record belongs to another encode, or a video
            does not have the frames of the reference.
        MissingFileError: a record is missing.

    Encodes that could not be made are left out.
    """
    from pyvmaf.features.stage import check_reference, read_records, read_strengths

    inputs = {
        "reference": reference,
        "rungs": list(rungs.values()),
        "records": [path.with_suffix(".json") for path in rungs.values()],
    }
    names = {"clip": labels["clip"], "codec": labels["codec"]}
    if (failure := _failed_reference(reference, skip)) is not None:
        left_out = [{**names, "rung": rung, **failure.as_dict()} for rung in rungs]
        return Subject.without_versions(labels, inputs, left_out)
    failures = {rung: failure for rung, path in rungs.items() if (failure := failure_at(path)) is not None}
    failed = [{**names, "rung": rung, **failure.as_dict()} for rung, failure in failures.items()]
    rungs = {rung: path for rung, path in rungs.items() if rung not in failures}
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
    inputs["rungs"] = list(rungs.values())
    inputs["records"] = [path.with_suffix(".json") for path in rungs.values()]
    indices = pictures.indices(frames, shown.rate, reference)
    return Subject(versions, (shown.width, shown.height), indices, inputs, labels, failed=failed)


def _failed_reference(path: Path, skip: bool) -> Failure | None:
    """Return what stands in the place of a clip that could not be prepared; None if the clip is there.

    Raises:
        InputError: it could not be prepared, and such clips are not skipped; the message has the reason.
    """
    failure = failure_at(path)
    if failure is not None and not skip:
        raise refuse_failure(path, failure)
    return failure


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

    ladder = _ladder(entry, codec)
    uses = corpora.kind(corpus.kind).uses
    labels = {"corpus": corpus.name, "group": entry.group, "source": entry.source, "clip": clip}
    known: dict[str, str | None] = {**labels, "codec": None if codec == REFERENCE else codec}
    try:
        first = opened(entry)
        frames = frame_count(first)
    except PyvmafError as err:
        if not corpus.skips or not is_of_file(err):
            raise
        why = portable(str(err), root)
        failed = [Failed(clip, codec, rung, item.path, why).as_dict() for rung, item in ladder.items()]
        path = confined(root, entry.path)
        return Subject.without_versions(known, {"pairs": [path] if path.is_file() else []}, failed, uses)
    shown = first.presentation.format(first.coded)
    span = window(corpus, entry, frames)
    subject = Subject(
        [],
        measured_size(corpus, entry, shown) or (shown.width, shown.height),
        [span.first + index for index in pictures.indices(span.count(frames), shown.rate, first.path)],
        {"pairs": [first.path]},
        known,
        skip=corpus.skips,
        root=root,
        uses=uses,
    )
    if codec == REFERENCE:
        subject.versions.append(Version(first, REFERENCE, known, vmaf=REFERENCE_VMAF))
        return subject
    _add_pairs(
        subject, corpus, root, entry, {**labels, "codec": codec}, lambda pair: _same_frames(opened(pair), frames)
    )
    return subject


def _ladder(entry: Reference, codec: str) -> Mapping[str, Any]:
    """Return the distorted versions by one codec by rung, or the reference itself.

    Raises:
        InputError: there are none by that codec.
    """
    from pyvmaf.errors import unknown_name

    if codec == REFERENCE:
        return {REFERENCE: entry}
    ladders = entry.ladders()
    if codec not in ladders:
        raise unknown_name(f"codec of {entry.key}", codec, ladders)
    return ladders[codec]


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
    codec = labels["codec"]
    strengths = entry.strengths(codec)
    for rung, pair in _ladder(entry, codec).items():
        try:
            video = opened(pair)
        except PyvmafError as err:
            if not corpus.skips or not is_of_file(err):
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

    Both hold no pictures if all videos were skipped.

    Args:
        output: the file of pictures to write, .safetensors; the table has the same name and the suffix .parquet.
        subject: gives the videos, and is called inside of the verb.
        pictures: which pictures.
        cache: folder of the cache; None for none.
        advance: called with (pictures taken, all).

    Raises:
        InputError: a video does not have the frames, a crop does not fit, or there are no pictures.
        IntegrityError: a video is damaged and not skipped, or was changed while it was read.
    """
    started = time.monotonic()
    check_output_name(output)
    table = table_beside(output)
    claim(output, table)
    what = subject()
    watch = Watch(version.video.path for version in what.versions)
    kept = PictureCache(cache)
    rows: list[dict[str, Any]] = []
    taken: list[Version] = []
    total = len(what.indices) * len(what.versions)
    with writing(output, pictures.colour, empty=what.skip) as writer:
        for version in what.versions:
            before, picture = writer.count, picture_of(version.video, what.size, pictures)
            try:
                for index, pixels in zip(what.indices, sample(version.video, picture, what.indices, kept), strict=True):
                    number = writer.add(pixels, str(version.video.path))
                    row = {"frame_index": index, "row": number, "height": pixels.shape[0], "width": pixels.shape[1]}
                    rows.append({**version.columns(), **row})
                    if advance is not None:
                        advance(number + 1, total)
                taken.append(version)
            except PyvmafError as err:
                what.leave_out(version, err)
                writer.cut(before)
                del rows[before:]
        writer_shape, count = writer.shape, writer.count
    watch.check()
    name = name_in(table, output)
    columns: dict[str, list[Any]] = {key: [row[key] for row in rows] for key in (rows[0] if rows else ())}
    columns["file"] = [name] * count
    block = metadata(
        colour=pictures.colour,
        files={name: File.of(output)},
        model="",
        engine=engine_block("extract-frames", what.uses),
    )
    write_table(picture_table(columns, block), table)
    paired = sum(version.rung not in (None, REFERENCE) for version in taken) * len(what.indices)
    size = f"{writer_shape[1]}x{writer_shape[0]}" if count else None
    write_manifest(
        output,
        verb="extract-frames",
        args={**pictures.model_dump(mode="json", exclude_none=True), **_labels(what.labels)},
        inputs=what.inputs,
        outputs={"pictures": output, "table": table},
        details={
            "pictures": count,
            "pairs": paired,
            "frames": len(what.indices),
            "size": size,
            "colour": pictures.colour,
            "rungs": [version.rung for version in taken],
            **({"failed": what.failed} if what.failed else {}),
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


def _labels(labels: Mapping[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if value is not None}
