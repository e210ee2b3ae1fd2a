"""The verb hard-negatives: measure pairs of clips that no ladder holds, as a test of models.

Encodes differ from their reference by degrees. A model that was trained on nothing else can still be fooled by a black
screen, a frozen picture or the wrong film, and by pictures without texture, of which the features say little. These
pairs are made of the first frames of the prepared clips while they are read; no file is written for them.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pyvmaf import engines
from pyvmaf.base.outputs import publishes
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.features.cache import CacheWarning
from pyvmaf.features.cases import CASES, DEFAULT_FRAMES, LABELS
from pyvmaf.features.catalog import DEFAULT_FEATURES, DEFAULT_MODEL, FEATURES, TEACHER
from pyvmaf.features.options import ON_CPU, Compute, Reading, Window
from pyvmaf.video.format import Format
from pyvmaf.video.made import Made
from pyvmaf.video.reader import FrameSource, Reader

if TYPE_CHECKING:
    import pyarrow as pa

    from pyvmaf.features.ladder import Ladder


@dataclass(frozen=True)
class Clip:
    """One prepared clip of a corpus manifest.

    Attributes:
        corpus, name, source, group: its labels.
        path: its file.
        sha256: SHA-256 of the file.
        frames: number of frames.
    """

    corpus: str
    name: str
    source: str
    group: str
    path: Path
    sha256: str
    frames: int


def read_clips(collections: Sequence[Path]) -> list[Clip]:
    """Read the clips of corpus manifests (``corpus.json``), in the order of the manifests.

    Raises:
        MissingFileError: a manifest or a clip does not exist.
        IntegrityError: a file is not a corpus manifest, or the SHA-256 of a clip differs from its manifest.
    """
    from pyvmaf.base.files import sha256_file
    from pyvmaf.corpora.manifest import CorpusManifest

    clips = []
    for collection in collections:
        content = CorpusManifest.read(collection)
        for name, entry in content.clips.items():
            # Both lie in one folder, whatever the working folder was when the manifest was written.
            path = collection.parent / Path(entry.path).name
            digest = sha256_file(path)
            if digest != entry.sha256:
                raise IntegrityError(
                    f"{path} has SHA-256 {digest}, but {collection} says {entry.sha256}: prepare the corpus again"
                )
            labels = (content.name, name, entry.source, entry.group)
            clips.append(Clip(*labels, path, digest, entry.video.frames))
    return clips


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


def measure(
    clip: Clip,
    other: Clip | None,
    *,
    features: str = DEFAULT_FEATURES,
    model: str = DEFAULT_MODEL,
    frames: int = DEFAULT_FRAMES,
    compute: Compute = ON_CPU,
) -> list[Ladder]:
    """Measure every case of one clip: first the cases against the clip, then those against a flat picture.

    Args:
        clip: the clip.
        other: the clip to swap it with, or None.
        features, model, compute: as in `extract_ladder`.
        frames: number of frames from the first one on; fewer if a clip is shorter.

    Raises:
        InputError: a feature that was asked for by name cannot be computed on the clip.
    """
    from pyvmaf.features.ladder import extract_ladder

    video = Reader(clip.path)
    form = video.format
    against: dict[str, FrameSource] = {
        "identical": Reader(clip.path),
        "frozen": Made(video, "frozen"),
        "black": Made(video, "black"),
    }
    stop = min(frames, clip.frames)
    if other is not None:
        against["swapped"] = Reader(other.path, size=(form.width, form.height), bit_depth=form.bit_depth)
        stop = min(stop, other.frames)
    flat = Made(video, "flat")
    against_flat: dict[str, FrameSource] = {"flat": flat, "flat_reference": Reader(clip.path)}
    reading = Reading(window=Window(0, stop), related=False)
    return [
        extract_ladder(reference, distorted, features=features, model=model, reading=reading, compute=compute)
        for reference, distorted in (
            (video, against),
            (flat, against_flat),
        )
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


def _rows(clip: Clip, ladders: Sequence[Ladder]) -> pa.Table:
    import pyarrow as pa

    rungs = {case: rung for ladder in ladders for case, rung in ladder.rungs.items()}
    labels = {"corpus": clip.corpus, "group": clip.group, "source": clip.source, "clip": clip.name}
    parts = []
    for case in CASES:
        if case in rungs:
            rung = rungs[case]
            n = rung.indices.size
            text = {name: pa.array([value] * n) for name, value in {**labels, "case": case}.items()}
            columns: dict[str, Any] = {**text, "frame_index": rung.indices, **rung.features, TEACHER: rung.vmaf}
            parts.append(pa.table(columns).cast(schema(tuple(rung.features))))
    return pa.concat_tables(parts)


class CaseRow(NamedTuple):
    """Scores of the teacher for one case: number of clips, and the lowest and highest mean of a clip."""

    case: str
    clips: int
    lowest: float
    highest: float
    about: str


def summary(table: pa.Table) -> list[CaseRow]:
    """Summarise the teacher's scores of each case of a table of hard negatives, in the order of `CASES`."""
    frames = table.select(["case", "corpus", "clip", TEACHER])
    clips: Any = frames.group_by(["case", "corpus", "clip"]).aggregate([(TEACHER, "mean")])
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
    compute: Compute = ON_CPU,
) -> pa.Table:
    """Measure the hard negatives of every clip of some corpora, and write their table with a manifest.

    Args:
        collections: ``corpus.json`` of each corpus, beside its clips.
        output: the parquet file, a row per frame: the columns of `pyvmaf.features.cases`.
        features, model, frames, compute: as in `measure`; progress counts clips.

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
    clips = read_clips(collections)
    if not clips:
        raise InputError(f"{', '.join(map(str, collections))} list no clips: there is nothing to make negatives of")
    formats = {clip.path: Reader(clip.path).format for clip in clips}
    parts: list[pa.Table] = []
    unavailable: dict[str, str] = {}
    swaps: dict[str, str | None] = {}
    for done, clip in enumerate(clips, 1):
        other = partner(clip, clips, formats)
        swaps[f"{clip.corpus}/{clip.name}"] = None if other is None else f"{other.corpus}/{other.name}"
        ladders = measure(
            clip, other, features=features, model=model, frames=frames, compute=replace(compute, progress=None)
        )
        for ladder in ladders:
            unavailable |= ladder.unavailable
            for message in ladder.damaged:
                warnings.warn(message, CacheWarning, stacklevel=2)
        parts.append(_rows(clip, ladders))
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
        inputs={"corpora": list(collections), "clips": [clip.path for clip in clips]},
        outputs={"table": output},
        details={"rows": table.num_rows, "cases": dict(CASES), "swapped": swaps, "unavailable": unavailable},
        seconds=time.monotonic() - started,
        uses=uses,
    )
    return table
