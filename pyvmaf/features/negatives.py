"""Hard negatives: pairs of clips that no ladder holds, measured like any other, for a judge of models to look at.

Encodes differ from their reference by degrees. A model that has seen nothing else can still be fooled by a black
screen, a frozen picture or the wrong film, and by pictures without texture, where the features say little. These
pairs are made of the first frames of the prepared clips while they are read; no file is written for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pyvmaf import engines
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.features.cases import CASES, DEFAULT_FRAMES, LABELS
from pyvmaf.features.catalog import DEFAULT_FEATURES, DEFAULT_MODEL, FEATURES, TEACHER
from pyvmaf.features.extract import Window
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
        sha256: of that file.
        frames: how many it has.
    """

    corpus: str
    name: str
    source: str
    group: str
    path: Path
    sha256: str
    frames: int


def read_clips(collections: Sequence[Path]) -> list[Clip]:
    """The clips of corpus manifests (``corpus.json``), in the order in which they stand there.

    Raises:
        MissingFileError: a manifest or a clip is not there.
        IntegrityError: a file is no corpus manifest, or a clip is not the one that its manifest speaks of.
    """
    from pyvmaf.base.files import read_json, sha256_file

    clips = []
    for collection in collections:
        content = read_json(collection)
        if not isinstance(content, dict) or not isinstance(content.get("clips"), dict):
            raise IntegrityError(f"{collection} is no manifest of prepared clips: give the corpus.json of a corpus")
        for name, entry in content["clips"].items():
            # Both lie in one folder, whatever the working folder was when the manifest was written.
            path = collection.parent / Path(entry["path"]).name
            found = sha256_file(path)
            if found != entry["sha256"]:
                raise IntegrityError(
                    f"{path} has SHA-256 {found}, but {collection} says {entry['sha256']}: prepare the corpus again"
                )
            labels = (content["name"], name, entry["source"], entry["group"])
            clips.append(Clip(*labels, path, found, int(entry["video"]["frames"])))
    return clips


def partner(clip: Clip, clips: Sequence[Clip], formats: Mapping[Path, Format]) -> Clip | None:
    """The clip to swap with: the next one of another group, else of another source; None where there is none.

    Only clips whose samples can be brought to the format of `clip` without loss count: they may have another size,
    but neither another chroma layout nor more bits.
    """
    place = clips.index(clip)
    others = [*clips[place + 1 :], *clips[:place]]
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
    cache: Path | None = None,
    threads: int = 1,
    backend: str = "cpu",
) -> list[Ladder]:
    """Features and teacher of every case of one clip: the cases against the clip, then those against a flat one.

    Args:
        clip: the clip.
        other: the one to swap it with, or None.
        features, model, cache, threads, backend: as in `extract_ladder`.
        frames: how many, from the first one; fewer where a clip is shorter.

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
    window = Window(0, stop)
    return [
        extract_ladder(
            reference,
            distorted,
            features=features,
            model=model,
            window=window,
            cache=cache,
            threads=threads,
            backend=backend,
        )
        for reference, distorted in (
            (video, against),
            (flat, against_flat),
        )
    ]


def schema(features: Sequence[str]) -> pa.Schema:
    """The arrow schema of a table of hard negatives with these features."""
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
    """What the teacher says about one case: of how many clips, and the lowest and highest mean of a clip."""

    case: str
    clips: int
    lowest: float
    highest: float
    about: str


def summary(table: pa.Table) -> list[CaseRow]:
    """The teacher's scores of each case that a table of hard negatives holds, in the order of `CASES`."""
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


def hard_negatives(
    collections: Sequence[Path],
    output: Path,
    *,
    features: str = DEFAULT_FEATURES,
    model: str = DEFAULT_MODEL,
    frames: int = DEFAULT_FRAMES,
    cache: Path | None = None,
    threads: int = 1,
    backend: str = "cpu",
    advance: Callable[[int, int], None] | None = None,
) -> pa.Table:
    """Measure the hard negatives of every clip of some corpora and write them to `output`, with a manifest.

    Args:
        collections: ``corpus.json`` of each corpus, beside its clips.
        output: the parquet file, a row per frame: the columns of `pyvmaf.features.cases`.
        features, model, frames, cache, threads, backend: as in `measure`.
        advance: called with (clips done, all clips).

    Returns:
        What was written.

    Raises:
        InputError: there are no clips, or a feature that was asked for by name cannot be computed on one.
        IntegrityError: a clip is not the one that its corpus manifest speaks of.
    """
    import pyarrow as pa

    from pyvmaf.base.manifest import engine_block, write_manifest
    from pyvmaf.features.table import metadata, write_table

    started = time.monotonic()
    uses = engines.uses(backend)
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
            clip,
            other,
            features=features,
            model=model,
            frames=frames,
            cache=cache,
            threads=threads,
            backend=backend,
        )
        for ladder in ladders:
            unavailable |= ladder.unavailable
        parts.append(_rows(clip, ladders))
        if advance is not None:
            advance(done, len(clips))
    table = pa.concat_tables(parts).unify_dictionaries()
    names = [name for name in table.column_names if name in FEATURES]
    block = metadata(features=names, unavailable=unavailable, model=model, engine=engine_block("hard-negatives", uses))
    table = table.replace_schema_metadata(block)
    write_table(table, output)
    write_manifest(
        output,
        verb="hard-negatives",
        args={"features": features, "model": model, "frames": frames, "backend": backend},
        inputs={"corpora": list(collections), "clips": [clip.path for clip in clips]},
        outputs={"table": output},
        details={"rows": table.num_rows, "cases": dict(CASES), "swapped": swaps, "unavailable": unavailable},
        seconds=time.monotonic() - started,
        uses=uses,
    )
    return table
