"""The verb extract-features for pairs that exist: ladders of a corpus file, one or all, measured where they lie."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf import corpora, engines
from pyvmaf.base.files import atomic_path, confined
from pyvmaf.base.manifest import engine_block, write_manifest
from pyvmaf.base.outputs import claim, publishes
from pyvmaf.corpora.conversions import Conversions
from pyvmaf.corpora.pairs import Pair, Reference, Spec, measured_size
from pyvmaf.corpora.pinned import check_file
from pyvmaf.corpora.skipped import Failed, check_skipped, is_of_file, portable, sound_ones
from pyvmaf.encodes.pair import pair_record
from pyvmaf.engines.libvmaf.models import model_name
from pyvmaf.errors import InputError, PyvmafError, unknown_name
from pyvmaf.features.catalog import DEFAULT_FEATURES, DEFAULT_MODEL, select
from pyvmaf.features.ladder import Ladder, extract_ladder, open_converted
from pyvmaf.features.options import ALL, BY_DEFAULT, Compute, Reading, Window
from pyvmaf.features.requests import Teacher
from pyvmaf.features.table import ladder_table, metadata, schema
from pyvmaf.video.probe import Video, inspect
from pyvmaf.video.reader import Reader

if TYPE_CHECKING:
    import pyarrow as pa

    from pyvmaf.encodes.record import Record

_SCALED = "distorted versions of another size than the reference were scaled to it (bicubic)"


@dataclass
class Measured:
    """A measured ladder of pairs that exist.

    Attributes:
        clip, codec: its names.
        ladder: its features; None if no pair could be measured.
        records: the record of each measured pair, by rung.
        failed: pairs that were skipped.
        scaled: sizes before and after, by the path of each file that was scaled.
    """

    clip: str
    codec: str
    ladder: Ladder | None = None
    records: dict[str, Record] = field(default_factory=dict)
    failed: list[Failed] = field(default_factory=list)
    scaled: dict[str, str] = field(default_factory=dict)

    def without_scores(self) -> Measured:
        """Return the ladder without the scores of its frames, which take memory."""
        return self if self.ladder is None else replace(self, ladder=replace(self.ladder, rungs={}))

    @property
    def pairs(self) -> list[dict[str, Any]]:
        """The records with their names, as a manifest holds them."""
        names = {"clip": self.clip, "codec": self.codec}
        return [{**names, "rung": rung, **record.as_json()} for rung, record in self.records.items()]


@dataclass(frozen=True)
class Pairs:
    """Pairs of a corpus, and how they are measured.

    Attributes:
        corpus: the corpus.
        root: the folder that its paths start from.
        features, model, compute: as in `pyvmaf.features.ladder.extract_ladder`.
    """

    corpus: Spec
    root: Path
    features: str = DEFAULT_FEATURES
    model: str = DEFAULT_MODEL
    compute: Compute = BY_DEFAULT

    def ladders(self, clips: Sequence[str] = (), codecs: Sequence[str] = ()) -> list[tuple[str, str]]:
        """Return clip and codec of the ladders, of all if no clips and codecs are given.

        Raises:
            InputError: there is no such clip or codec.
        """
        entries = [self.corpus.reference(key) for key in clips] or list(self.corpus.taken)
        every = dict.fromkeys(codec for entry in entries for codec in entry.ladders())
        for codec in codecs:
            if codec not in every:
                raise unknown_name(f"codec of {', '.join(clips) or f'corpus {self.corpus.name}'}", codec, every)
        return [(entry.key, codec) for entry in entries for codec in entry.ladders() if not codecs or codec in codecs]

    def measure(self, clip: str, codec: str) -> Measured:
        """Measure one ladder.

        Raises:
            MissingFileError, IntegrityError: a file is missing, is not the pinned one, or is damaged; unless such pairs
                are skipped.
            InputError: a pair cannot be compared, unless such pairs are skipped; or a name is unknown.
            UnavailableError: this build or machine does not have the backend.
        """
        entry = self.corpus.reference(clip)
        ladder = entry.ladders()[codec]
        done = Measured(clip, codec)
        try:
            reference = self._reference(entry)
        except PyvmafError as err:
            self._fail(done, ladder, err)
            return done
        files: dict[str, Reader] = {}
        for rung, pair in ladder.items():
            try:
                files[rung] = self._distorted(reference, pair)
            except PyvmafError as err:
                self._fail(done, {rung: pair}, err)
        done.ladder = self._compare(reference, files, done, ladder)
        for rung in done.ladder.rungs if done.ladder else ():
            reader, pair = files[rung], ladder[rung]
            done.records[rung] = pair_record(entry, reference.video, pair, reader.path, reader.coded.pix_fmt)
        used = {entry.path: reference.reader, **{ladder[rung].path: files[rung] for rung in done.records}}
        done.scaled = {path: size for path, reader in used.items() if (size := _scaled(reader))}
        if done.ladder is not None:
            notes = [portable(note, self.root) for note in (*reference.words, *done.ladder.notes)]
            others = [path for path in done.scaled if path != entry.path]
            done.ladder = replace(done.ladder, notes=[*notes, *([_SCALED] if others else [])])
        return done

    def _fail(self, done: Measured, pairs: Mapping[str, Pair], err: PyvmafError) -> None:
        """Note that pairs cannot be measured.

        Raises:
            PyvmafError: such pairs are not skipped, or it is not the fault of the files.
        """
        if not self.corpus.skips or not is_of_file(err):
            raise err
        why = portable(str(err), self.root)
        done.failed += [Failed(done.clip, done.codec, rung, pair.path, why) for rung, pair in pairs.items()]

    def _reference(self, entry: Reference) -> _Reference:
        path = confined(self.root, entry.path)
        check_file(path, entry.sha256)
        raw = entry.raw.format() if entry.raw else None
        video = inspect(path, raw, stream=entry.stream)
        convert = self.corpus.conversions(entry)
        if not convert.deinterlace:
            video.check(path)
        reading = Reading(match_depth=True, window=window(self.corpus, entry, video.frames), **convert.options)
        options: dict[str, Any] = {"raw": raw, "stream": entry.stream, "scaler": convert.scaling}
        reader, words = open_converted(path, reading, "reference", **options)
        if size := measured_size(self.corpus, entry, reader.format if words else video.format):
            reader, words = open_converted(path, reading, "reference", **options, size=size)
        return _Reference(reader, video, reading, convert, words)

    def _distorted(self, reference: _Reference, pair: Pair) -> Reader:
        path = confined(self.root, pair.path)
        check_file(path, pair.sha256)
        form, raw = reference.reader.format, pair.raw.format() if pair.raw else None
        options: dict[str, Any] = {"raw": raw, "stream": pair.stream, "scaler": reference.convert.scaling}
        size = form.width, form.height
        reader, words = open_converted(path, reference.reading, "distorted", **options, size=size)
        reference.words.extend(words)
        if reference.convert.recounts:
            # Lengths are compared after the conversion.
            return reader
        frames = reference.video.frames
        if reader.count_packets() != frames and (count := reader.count_frames()) != frames:
            raise InputError(
                f"frame counts differ: the reference {reference.reader.path} has {frames}, {path} has {count}: give a "
                "version that has every frame of the reference, or take the pair out of the corpus file"
            )
        return reader

    def _compare(
        self, reference: _Reference, files: Mapping[str, Reader], done: Measured, ladder: Mapping[str, Pair]
    ) -> Ladder | None:
        """Measure the pairs that could be opened; if that fails and pairs may be skipped, find out which ones fail."""
        return sound_ones(
            files,
            lambda some: self._extract(reference, some),
            lambda rung, err: self._fail(done, {rung: ladder[rung]}, err),
            skip=self.corpus.skips,
        )

    def _extract(self, reference: _Reference, files: Mapping[str, Reader]) -> Ladder:
        return extract_ladder(
            reference.reader,
            files,
            features=self.features,
            model=self.model,
            reading=reference.reading,
            compute=self.compute,
        )


@dataclass(frozen=True)
class _Reference:
    """An open reference.

    Attributes:
        reader: its file.
        video: facts about it, before it is converted.
        reading: how its pairs are read.
        convert: what is done to their frames.
        words: what was done to files that were opened.
    """

    reader: Reader
    video: Video
    reading: Reading
    convert: Conversions
    words: list[str]


def window(corpus: Spec, entry: Reference, frames: int) -> Window:
    """Return the frames of a pair that are measured.

    Raises:
        InputError: the entry asks for frames that the reference does not have.
    """
    first, last = entry.frames or (0, frames - 1)
    if last >= frames:
        raise InputError(
            f"entry {entry.key!r} asks for frames {first} to {last}, but {entry.path} has {frames} frames "
            f"(0 to {frames - 1}): correct the range"
        )
    stop = last + 1 if corpus.max_frames is None else min(last + 1, first + corpus.max_frames)
    return ALL if (first, stop) == (0, frames) else Window(first, stop)


def _scaled(reader: Reader) -> str | None:
    """Say which size a file is scaled to; None if it is not."""
    shown = reader.presentation.format(reader.coded)
    return None if shown.size == reader.format.size else f"{shown.size} to {reader.format.size}"


@publishes("extract-features")
def extract_pairs(
    pairs: Pairs,
    output: Path,
    *,
    clips: Sequence[str] = (),
    codecs: Sequence[str] = (),
    advance: Callable[[int, int, str], None] | None = None,
) -> list[Measured]:
    """Measure ladders of a corpus of pairs and write one table with a manifest.

    Args:
        pairs: the pairs, and how they are measured.
        output: the parquet file to write: the columns of a feature table, one row group per ladder.
        clips, codecs: only these; all if none are given. The share of skipped pairs is that of the whole corpus, and not
            checked of a part.
        advance: called with (ladders done, ladders in total, name of the ladder).

    Returns:
        The ladders, without their features.

    Raises:
        InputError, IntegrityError, UnavailableError: as `Pairs.measure`; also if the corpus has no entries, or more pairs
            were skipped than the corpus allows.
    """
    import pyarrow.parquet as pq

    corpus, started = pairs.corpus, time.monotonic()
    claim(output)
    uses = corpora.measuring(corpus.kind, engines.uses(pairs.compute.backend))
    engine = engine_block("extract-features", uses)
    Teacher(pairs.model)  # an unknown one is not the fault of a file
    teacher = str(model_name(pairs.model) or pairs.model)
    names = select(pairs.features).names
    wanted = pairs.ladders(clips, codecs)
    done: list[Measured] = []
    target = schema(names)
    details = _Details()
    output.parent.mkdir(parents=True, exist_ok=True)
    # What the metadata say is known after the last ladder, but a file begins with them.
    with tempfile.TemporaryFile(dir=output.parent) as parts:
        with pq.ParquetWriter(parts, target, compression="zstd") as writer:
            for number, (clip, codec) in enumerate(wanted):
                if advance is not None:
                    advance(number, len(wanted), f"{clip} {codec}")
                measured = pairs.measure(clip, codec)
                if measured.ladder is not None:
                    writer.write_table(_table(pairs, measured, engine).cast(target))
                details.add(measured)
                done.append(measured.without_scores())
        block = metadata(
            features=names, unavailable=details.unavailable, model=teacher, engine=engine, notes=details.notes
        )
        if not clips and not codecs:
            check_skipped(details.failed, len(details.pairs), corpus.max_failed_share, f"corpus {corpus.name}")
        stored = pq.ParquetFile(parts)
        with (
            atomic_path(output) as temporary,
            pq.ParquetWriter(temporary, target.with_metadata(block), compression="zstd") as writer,
        ):
            for group in range(stored.num_row_groups):
                writer.write_table(stored.read_row_group(group).cast(target))
    inputs: dict[str, Any] = {"pairs": sorted(_files(pairs, wanted))}
    model = model_name(pairs.model)
    if model is not None and model.path is not None:
        inputs["model"] = model.path
    write_manifest(
        output,
        verb="extract-features",
        args={
            "features": pairs.features,
            "model": pairs.model,
            "backend": pairs.compute.backend,
            "corpus": corpus.name,
            "ladders": [list(ladder) for ladder in wanted],
            "max_frames": corpus.max_frames,
            "max_height": corpus.max_height,
            **_converted(pairs, wanted),
        },
        inputs=inputs,
        outputs={"table": output},
        details=details.as_dict(),
        seconds=time.monotonic() - started,
        uses=uses,
    )
    return done


def _converted(pairs: Pairs, wanted: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the conversions of references, by clip, as a manifest holds them; nothing if there are none."""
    entries = {clip: pairs.corpus.reference(clip) for clip, _ in wanted}
    convert = {
        clip: keys
        for clip, entry in entries.items()
        if (keys := pairs.corpus.conversions(entry).model_dump(mode="json", exclude_defaults=True))
    }
    return {"convert": convert} if convert else {}


def _files(pairs: Pairs, wanted: Sequence[tuple[str, str]]) -> Iterator[Path]:
    """The files of ladders that exist."""
    paths: dict[str, None] = {}
    for clip, codec in wanted:
        entry = pairs.corpus.reference(clip)
        paths |= dict.fromkeys([entry.path, *(pair.path for pair in entry.ladders()[codec].values())])
    yield from (path for item in paths if (path := confined(pairs.root, item)).is_file())


def _table(pairs: Pairs, measured: Measured, engine: Mapping[str, Any]) -> pa.Table:
    entry = pairs.corpus.reference(measured.clip)
    assert measured.ladder is not None
    labels = {"corpus": pairs.corpus.name, "group": entry.group, "source": entry.source}
    labels |= {"clip": measured.clip, "codec": measured.codec}
    strengths = entry.strengths(measured.codec)
    teacher = str(model_name(pairs.model) or pairs.model)
    return ladder_table(measured.ladder, labels, measured.records, strengths, teacher, engine)


class _Details:
    """What the manifest of a table says about its pairs."""

    def __init__(self) -> None:
        self.rows = 0
        self.pairs: list[dict[str, Any]] = []
        self.failed: list[dict[str, str]] = []
        self.scaled: dict[str, str] = {}
        self.unavailable: dict[str, str] = {}
        self.notes: list[str] = []
        self.frames: dict[str, int] = {}

    def add(self, measured: Measured) -> None:
        """Add a ladder."""
        self.pairs += measured.pairs
        self.failed += [item.as_dict() for item in measured.failed]
        self.scaled |= measured.scaled
        if (ladder := measured.ladder) is not None:
            self.unavailable |= ladder.unavailable
            self.notes += [note for note in ladder.notes if note not in self.notes]
            self.rows += sum(rung.indices.size for rung in ladder.rungs.values())
            self.frames[f"{measured.clip}/{measured.codec}"] = next(iter(ladder.rungs.values())).indices.size

    def as_dict(self) -> dict[str, Any]:
        """Return the block."""
        return {
            "rows": self.rows,
            "frames": self.frames,
            "pairs": self.pairs,
            "failed": self.failed,
            "scaled": self.scaled,
            "unavailable": self.unavailable,
            "notes": self.notes,
        }
