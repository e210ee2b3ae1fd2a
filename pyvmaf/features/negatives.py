"""The verb hard-negatives: measure pairs of clips that no ladder holds, as a test of models.

Encodes differ from their reference by degrees. A model that was trained on nothing else can still be fooled by a black
screen, a frozen picture or the wrong film, and by pictures without texture, of which the features say little. These
pairs are made of the prepared clips while they are read, at their own size and at half of it; no file is written for
them. Models are trained on them (`rows.negatives` of a spec) and judged on them.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyvmaf import engines
from pyvmaf.base.files import confined
from pyvmaf.base.outputs import publishes
from pyvmaf.corpora.clip import clip_video
from pyvmaf.corpora.failure import failure_at
from pyvmaf.corpora.pinned import check_file
from pyvmaf.corpora.skipped import is_of_file
from pyvmaf.errors import InputError, IntegrityError, PyvmafError
from pyvmaf.features.cache import CacheWarning
from pyvmaf.features.cases import CASES, DEFAULT_FRAMES, LABELS
from pyvmaf.features.catalog import DEFAULT_FEATURES, DEFAULT_MODEL, FEATURES, TEACHER, select
from pyvmaf.features.options import BY_DEFAULT, Compute, Reading, Window
from pyvmaf.video.format import Format
from pyvmaf.video.made import KINDS, Chosen, Held, Made
from pyvmaf.video.probe import inspect
from pyvmaf.video.reader import FrameSource, Reader

if TYPE_CHECKING:
    import pyarrow as pa

    from pyvmaf.corpora.spec import Entry, VideoCorpus
    from pyvmaf.features.ladder import Ladder

FLAT = "flat"

DELAY = 4
"""How many frames "late" is late."""

LEAST_SIDE = 64
"""Pictures of half the size with a shorter side are not measured."""


@dataclass(frozen=True)
class Clip:
    """One prepared clip of a corpus manifest.

    Attributes:
        corpus, name, source, group: its labels.
        path: its file.
        sha256: SHA-256 of the file.
        frames: number of frames.
        raw: format of a headerless file.
        stream: which video stream; None for FFmpeg's choice.
    """

    corpus: str
    name: str
    source: str
    group: str
    path: Path
    sha256: str
    frames: int
    raw: Format | None = None
    stream: int | None = None

    def open(self, size: tuple[int, int] | None = None, bit_depth: int | None = None) -> Reader:
        """Open the file; see `Reader`."""
        return Reader(self.path, raw=self.raw, stream=self.stream, size=size, bit_depth=bit_depth)


def read_clips(collections: Sequence[Path], roots: Mapping[str, Path] | None = None) -> list[Clip]:
    """Read the clips of corpus manifests (``corpus.json``), in the order of the manifests.

    Args:
        collections: the manifests.
        roots: by name of the corpus the folder of its files, of pairs that exist.

    Raises:
        MissingFileError: a manifest or a clip does not exist.
        InputError: the root of a corpus of pairs is not given.
        IntegrityError: a file is not a corpus manifest, or the SHA-256 of a clip differs from its manifest.
    """
    from pyvmaf.base.files import sha256_file
    from pyvmaf.corpora.manifest import CorpusManifest

    clips = []
    for collection in collections:
        content = CorpusManifest.read(collection)
        for name, entry in content.clips.items():
            if not entry.in_place:
                # Both lie in one folder, whatever the working folder was when the manifest was written.
                path = collection.parent / Path(entry.path).name
            elif content.name in (roots or {}):
                path = confined((roots or {})[content.name], entry.path)
            else:
                raise InputError(
                    f"{collection} is of pairs, whose files lie where its corpus file says: give that with --pairs"
                )
            digest = sha256_file(path)
            if digest != entry.sha256:
                raise IntegrityError(
                    f"{path} has SHA-256 {digest}, but {collection} says {entry.sha256}: "
                    + ("put the file back, or scan the corpus again" if entry.in_place else "prepare the corpus again")
                )
            labels = (content.name, name, entry.source, entry.group)
            raw = Format.parse(entry.raw.size, entry.raw.pix_fmt, entry.raw.fps) if entry.raw else None
            clips.append(Clip(*labels, path, digest, entry.video.frames, raw, entry.stream))
    return clips


def clips_of(corpus: VideoCorpus, folder: Path) -> list[Clip]:
    """Return the clips of a corpus by its file, without those that were skipped.

    What the file says of opinion scores is not read: it may change.

    Args:
        corpus: the corpus.
        folder: the folder of its prepared clips; of pairs that exist that of their files.

    Raises:
        MissingFileError, IntegrityError, InputError: a clip is missing, not the one of its manifest or corpus file, or cannot
            be read, and the corpus does not skip such clips.
    """
    from pyvmaf.corpora import PAIRS, kind

    in_place = kind(corpus.kind).gives == PAIRS
    clips = []
    for entry in corpus.taken:
        labels = (corpus.name, entry.key, entry.source, entry.group)
        try:
            clip = _in_place(entry, labels, folder) if in_place else _prepared(labels, folder / f"{entry.key}.mkv")
        except PyvmafError as err:
            if not in_place or not corpus.skips or not is_of_file(err):
                raise
            continue
        clips += [clip] if clip is not None else []
    return clips


def _in_place(entry: Entry, labels: tuple[str, str, str, str], root: Path) -> Clip:
    path = confined(root, entry.path)
    check_file(path, entry.sha256)
    raw = entry.raw.format() if entry.raw else None
    video = inspect(path, raw, stream=entry.stream)
    video.check(path)
    return Clip(*labels, path, entry.sha256, video.frames, raw, entry.stream)


def _prepared(labels: tuple[str, str, str, str], path: Path) -> Clip | None:
    if failure_at(path) is not None:
        return None
    video, digest = clip_video(path)
    return Clip(*labels, path, digest, video.frames)


def partner(clip: Clip, clips: Sequence[Clip], formats: Mapping[Path, Format]) -> Clip | None:
    """Choose the clip to swap with: the next one of another group, else of another source; None if there is none.

    Only clips whose samples can be converted to the format of `clip` without loss count: they may have another size,
    but neither another chroma layout nor more bits.
    """
    index = clips.index(clip)
    others = [*clips[index + 1 :], *clips[:index]]
    form = formats[clip.path]
    fitting = [
        other
        for other in others
        if (other.corpus, other.source) != (clip.corpus, clip.source)
        and formats[other.path].chroma == form.chroma
        and formats[other.path].bit_depth <= form.bit_depth
    ]
    return next((o for o in fitting if (o.corpus, o.group) != (clip.corpus, clip.group)), next(iter(fitting), None))


def sizes(clip: Clip, form: Format, features: str, backend: str) -> list[tuple[int, int] | None]:
    """The sizes at which a clip is measured: its own (None) and, if all of its features can be computed then, half of it.

    Args:
        clip: the clip.
        form: its format.
        features: names of features and sets.
        backend: the engine that computes them.
    """
    from pyvmaf.features.requests import obstacle

    # Even numbers, so that subsampled chroma fits.
    width, height = form.width // 4 * 2, form.height // 4 * 2
    if min(width, height) < LEAST_SIDE:
        return [None]
    engine, half = engines.load(backend), replace(form, width=width, height=height)
    lost = [
        f
        for f in select(features).names
        if obstacle(FEATURES[f], engine, half) and not obstacle(FEATURES[f], engine, form)
    ]
    return [None] if lost else [None, (width, height)]


def places(count: int, frames: int) -> list[int]:
    """Choose frames of a video: the one before the first that is measured, then those that are.

    They are pairs of neighbours, evenly spaced, so that each has a neighbour that its motion can be measured with; all
    but the first frame if there are no more.

    Args:
        count: frames of the video, 2 or more.
        frames: how many are measured at most.
    """
    if count - 1 <= frames:
        return list(range(count))
    first = {1 + round(k * (count - 3) / max(1, frames // 2 - 1)) for k in range(frames // 2)}
    return [0, *sorted(first | {n + 1 for n in first})]


def measure(
    clip: Clip,
    other: Clip | None,
    *,
    size: tuple[int, int] | None = None,
    features: str = DEFAULT_FEATURES,
    model: str = DEFAULT_MODEL,
    frames: int = DEFAULT_FRAMES,
    compute: Compute = BY_DEFAULT,
) -> list[Ladder]:
    """Measure every case of one clip: first the cases against the clip, then those against a flat picture.

    Args:
        clip: the clip.
        other: the clip to swap it with, or None.
        size: width and height that all pictures are scaled to; None for those of the clip.
        features, model, compute: as in `extract_ladder`.
        frames: number of frames; see `places`.

    Raises:
        InputError: a feature that was asked for by name cannot be computed on the clip.
    """
    from pyvmaf.features.ladder import extract_ladder

    chosen = places(clip.frames, frames)
    orders = {
        "identical": chosen,
        "frozen": [0] * len(chosen),
        "frozen_later": [clip.frames // 2] * len(chosen),
        "late": [max(0, n - DELAY) for n in chosen],
    }
    held = Held(clip.open(size), {n for order in orders.values() for n in order})
    against: dict[str, FrameSource] = {case: Chosen(held, order) for case, order in orders.items()}
    video = against["identical"]
    against |= {case: Made(video, case) for case in CASES if case in KINDS and case != FLAT}
    if other is not None:
        form, order = video.format, [n % other.frames for n in chosen]
        second = other.open((form.width, form.height), form.bit_depth)
        against["swapped"] = Chosen(Held(second, order), order)
    flat = Made(video, FLAT)
    # Nothing moves before the first frame, so it is not measured.
    reading = Reading(window=Window(1, len(chosen)), related=False)
    ladders = [
        extract_ladder(reference, distorted, features=features, model=model, reading=reading, compute=compute)
        for reference, distorted in ((video, against), (flat, {FLAT: flat, "flat_reference": video}))
    ]
    numbers = np.array(chosen, dtype=np.int64)
    return [
        replace(
            ladder,
            rungs={case: replace(rung, indices=numbers[rung.indices]) for case, rung in ladder.rungs.items()},
        )
        for ladder in ladders
    ]


def schema(features: Sequence[str]) -> pa.Schema:
    """Return the arrow schema of a table of hard negatives with these features."""
    import pyarrow as pa

    text = pa.dictionary(pa.int32(), pa.string())
    names = [name for name in FEATURES if name in set(features)]
    return pa.schema(
        [
            *((name, text) for name in LABELS),
            ("frame_index", pa.int64()),
            *((name, pa.float64()) for name in (*names, TEACHER)),
        ]
    )


def _rows(clip: Clip, other: Clip | None, ladders: Sequence[Ladder]) -> pa.Table:
    import pyarrow as pa

    rungs = {case: rung for ladder in ladders for case, rung in ladder.rungs.items()}
    size = ladders[0].format.size
    labels = {"corpus": clip.corpus, "group": clip.group, "source": clip.source, "clip": clip.name, "size": size}
    parts = []
    for case in CASES:
        if case in rungs:
            rung = rungs[case]
            n = rung.indices.size
            second = "" if other is None or case != "swapped" else other.source
            text = {name: pa.array([value] * n) for name, value in {**labels, "other": second, "case": case}.items()}
            columns: dict[str, Any] = {**text, "frame_index": rung.indices, **rung.features, TEACHER: rung.vmaf}
            parts.append(pa.table(columns).cast(schema(tuple(rung.features))))
    return pa.concat_tables(parts)


class CaseRow(NamedTuple):
    """Scores of the teacher for one case: number of clips and sizes, and the lowest and highest mean of one."""

    case: str
    clips: int
    lowest: float
    highest: float
    about: str


def summary(table: pa.Table) -> list[CaseRow]:
    """Summarise the teacher's scores of each case of a table of hard negatives, in the order of `CASES`."""
    frames = table.select(["case", "corpus", "clip", "size", TEACHER])
    clips: Any = frames.group_by(["case", "corpus", "clip", "size"]).aggregate([(TEACHER, "mean")])
    means: dict[str, list[float]] = {}
    for row in clips.to_pylist():
        means.setdefault(row["case"], []).append(row[f"{TEACHER}_mean"])
    return [
        CaseRow(case, len(means[case]), min(means[case]), max(means[case]), about)
        for case, about in CASES.items()
        if case in means
    ]


@publishes("hard-negatives")
def hard_negatives(
    collections: Sequence[Path],
    output: Path,
    *,
    features: str = DEFAULT_FEATURES,
    model: str = DEFAULT_MODEL,
    frames: int = DEFAULT_FRAMES,
    compute: Compute = BY_DEFAULT,
    roots: Mapping[str, Path] | None = None,
    corpora: Sequence[tuple[VideoCorpus, Path]] = (),
) -> pa.Table:
    """Measure the hard negatives of every clip of some corpora, and write their table with a manifest.

    Args:
        collections: ``corpus.json`` of each corpus, beside its clips.
        output: the parquet file, a row per frame: the columns of `pyvmaf.features.cases`.
        features, model, frames, compute: as in `measure`; progress counts clips.
        roots: as in `read_clips`.
        corpora: further corpora, by their files, with the folders of `clips_of`.

    Returns:
        The table.

    Raises:
        InputError: there are no clips, or a feature that was asked for by name cannot be computed on one.
        IntegrityError: the SHA-256 of a clip differs from its corpus manifest.
    """
    import pyarrow as pa

    from pyvmaf.base.manifest import engine_block, write_manifest
    from pyvmaf.features.table import metadata, write_table

    started = time.monotonic()
    uses = engines.uses(compute.backend)
    if frames < 2:
        raise InputError(f"--frames must be 2 or more, because motion needs a frame before, not {frames}")
    clips = [*read_clips(collections, roots), *(clip for item in corpora for clip in clips_of(*item))]
    if not clips:
        names = [*map(str, collections), *(corpus.name for corpus, _ in corpora)]
        raise InputError(f"{', '.join(names) or 'no corpora'} list no clips: there is nothing to make negatives of")
    formats = {clip.path: clip.open().format for clip in clips}
    parts: list[pa.Table] = []
    unavailable: dict[str, str] = {}
    swaps: dict[str, str | None] = {}
    for done, clip in enumerate(clips, 1):
        other = partner(clip, clips, formats)
        swaps[f"{clip.corpus}/{clip.name}"] = None if other is None else f"{other.corpus}/{other.name}"
        for size in sizes(clip, formats[clip.path], features, compute.backend):
            ladders = measure(
                clip,
                other,
                size=size,
                features=features,
                model=model,
                frames=frames,
                compute=replace(compute, progress=None),
            )
            for ladder in ladders:
                unavailable |= ladder.unavailable
                for message in ladder.damaged:
                    warnings.warn(message, CacheWarning, stacklevel=2)
            parts.append(_rows(clip, other, ladders))
        if compute.progress is not None:
            compute.progress(done, len(clips))
    table = pa.concat_tables(parts).unify_dictionaries()
    names = [name for name in table.column_names if name in FEATURES]
    block = metadata(features=names, unavailable=unavailable, model=model, engine=engine_block("hard-negatives", uses))
    table = table.replace_schema_metadata(block)
    write_table(table, output)
    write_manifest(
        output,
        verb="hard-negatives",
        args={"features": features, "model": model, "frames": frames, "backend": compute.backend},
        inputs={**({"corpora": list(collections)} if collections else {}), "clips": [clip.path for clip in clips]},
        outputs={"table": output},
        details={"rows": table.num_rows, "cases": dict(CASES), "swapped": swaps, "unavailable": unavailable},
        seconds=time.monotonic() - started,
        uses=uses,
    )
    return table
