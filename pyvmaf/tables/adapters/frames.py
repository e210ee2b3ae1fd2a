"""Tables of frames that another program wrote as parquet, read in parts and checked row by row.

The per-frame tables of other systems differ in the columns that name a row, not in what a row is: one frame of one
distorted video, features under their training names, and the score of a teacher. Columns are found by name, never by
position:

- a frame's number: ``frame_index`` or ``frame``;
- the video: ``key`` or ``clip``, and where these are absent ``source``;
- its distorted version: ``dis_basename`` or ``rung``;
- the scene: ``source`` (a fold ``fold0``, ``fold1``, … there is the group, and the video is the scene);
- ``corpus``, ``group``, ``codec`` or ``encoder``, ``preset``, ``crf``.

Rows of one video lie together, in the order of their frames.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.opinion import COLUMNS as OPINIONS
from pyvmaf.base.opinion import COUNTS, MOS, check_on_scale
from pyvmaf.base.parquet import ParquetTable
from pyvmaf.codecs.encoders import rung_name
from pyvmaf.codecs.vocabularies import encoder_name
from pyvmaf.errors import InputError
from pyvmaf.features.catalog import FEATURES, TEACHER
from pyvmaf.features.table import STRENGTH, TEXT_COLUMNS, metadata, repeated, schema
from pyvmaf.tables.columns import strings

if TYPE_CHECKING:
    import pyarrow as pa

FRAME_COLUMNS = ("frame_index", "frame")
CLIP_COLUMNS = ("key", "clip")
VERSION_COLUMNS = ("dis_basename", "rung")
TEACHER_COLUMNS = ("vmaf_model", "teacher")

UNKNOWN = "unknown"
"""Codec of rows that state none, and teacher of tables that state none."""

PART_ROWS = 1 << 17
"""Rows of a part: a row group of such a table may hold all of its rows."""

_FOLD = re.compile(r"fold\d+")
_UGC = re.compile(r"ugc-(.+)-(?:cbr|vod|vodlb)")


@dataclass(frozen=True)
class Reading:
    """How a table is read; by default as its columns say.

    Attributes:
        teacher: what computed its VMAF; None for what the table states.
        source, group: regular expressions with a group, for the scene and the group in the name of the video.
        codec: codec of a table without a column of it.
        codecs: the table's name of a codec to that of an encoder.
        features: the table's name of a column to the training name.
        mos_scale: ends of the scale of its opinion scores; None leaves them out.
    """

    teacher: str | None = None
    source: str | None = None
    group: str | None = None
    codec: str = UNKNOWN
    codecs: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, str] = field(default_factory=dict)
    mos_scale: tuple[float, float] | None = None


class Video(NamedTuple):
    """What names the rows of a distorted video."""

    clip: str
    codec: str
    rung: str


@dataclass
class _Run:
    """Rows that lie together and are of one video.

    Attributes:
        row: number of its first row.
        first, last: its frames.
    """

    row: int
    first: int
    last: int


class FrameTable:
    """A table of frames made elsewhere, in parts of `PART_ROWS` rows with the columns of a feature table.

    The parts are read once, in order. It has what `pyvmaf.base.parquet.ParquetTable` has: `schema`, `rows`, `groups`,
    `read_group` and `read`.
    """

    def __init__(self, file: ParquetTable, reading: Reading | None = None) -> None:
        """Find the columns.

        Raises:
            InputError: a column that is needed is missing or of a wrong type, or the rows are of several teachers.
        """
        self.path = file.path
        self.rows = file.rows
        self.groups = -(-file.rows // PART_ROWS)
        self._file = file
        self._reading = reading or Reading()
        self._renamed = self._training_names()
        self._clip = self._first(CLIP_COLUMNS)
        self._version = self._first(VERSION_COLUMNS)
        frame = self._first(FRAME_COLUMNS)
        self.mos_scale = self._reading.mos_scale if MOS in file.names else None
        self.opinions = [] if self.mos_scale is None else [name for name in OPINIONS if name in file.names]
        self._target = TEACHER if TEACHER in self._renamed else MOS if self.opinions else None
        if frame is None or self._target is None or (self._clip is None and "source" not in file.names):
            unscaled = f". Its {MOS} needs a scale: import it as a corpus of the kind frame-table with mos_scale"
            raise InputError(
                f"{self.path} is not a table of frames: it needs a column {' or '.join(FRAME_COLUMNS)}, {TEACHER!r} (the "
                f"target), and {', '.join(CLIP_COLUMNS)} or source (the video); it has {', '.join(file.names)}"
                f"{unscaled if MOS in file.names and self._target is None else ''}"
            )
        self._frame = frame
        self.features = [name for name in FEATURES if name in self._renamed]
        if not self.features:
            raise InputError(f"{self.path} has no column that is a feature; it has {', '.join(file.names)}")
        self._check_types()
        self.ignored = [name for name in file.names if name not in self._used()]
        self.notes = [f"{self.path.name}: {note}" for note in self._remarks()]
        self.teacher = self._read_teacher()
        block = metadata(
            features=self.features,
            unavailable={},
            model=self.teacher,
            engine={},
            notes=self.notes,
            mos_scale=self.mos_scale,
        )
        self.schema: pa.Schema = schema(self.features, self.opinions).with_metadata(block)
        self.videos: dict[Video, int] = {}
        """Rows of each distorted video, in the order of the table; complete when every part was read."""
        self._runs: dict[tuple[str, ...], _Run] = {}
        self._versions: dict[tuple[str, ...], int] = {}
        self._finite = dict.fromkeys(self.features, 0)
        self._parts = self._converted()

    # -- columns ------------------------------------------------------------------------------------------------

    def _first(self, names: Sequence[str]) -> str | None:
        return next((name for name in names if name in self._file.names), None)

    def _training_names(self) -> dict[str, str]:
        """Return the file's column of each training name.

        Raises:
            InputError: a column that is to be renamed does not exist, or two have one name.
        """
        missing = sorted(set(self._reading.features) - set(self._file.names))
        if missing:
            raise InputError(f"{self.path} has no column {', '.join(missing)}; it has: {', '.join(self._file.names)}")
        renamed: dict[str, str] = {}
        for name in self._file.names:
            wanted = self._reading.features.get(name, name)
            if (other := renamed.setdefault(wanted, name)) != name:
                raise InputError(f"{self.path}: the columns {other!r} and {name!r} are both {wanted!r}: leave one out")
        return renamed

    def _text_columns(self) -> list[str]:
        named = [self._clip, self._version, "codec", "encoder", "corpus", "source", "group", "preset"]
        return [name for name in dict.fromkeys(named) if name is not None and name in self._file.names]

    def _number_columns(self) -> list[str]:
        measured = [self._renamed[name] for name in (*self.features, TEACHER) if name in self._renamed]
        return [*measured, *self.opinions, *(name for name in ("crf", STRENGTH) if name in self._file.names)]

    def _used(self) -> list[str]:
        return [*self._text_columns(), *self._number_columns(), self._frame, *self._teacher_columns()]

    def _teacher_columns(self) -> list[str]:
        return [name for name in TEACHER_COLUMNS if name in self._file.names]

    def _check_types(self) -> None:
        import pyarrow as pa

        kinds = pa.types
        for name in self._number_columns():
            kind = self._file.schema.field(name).type
            # pandas writes a column without a single value as null.
            empty = kinds.is_null(kind) and self._reading.features.get(name, name) != TEACHER
            if not (kinds.is_floating(kind) or kinds.is_integer(kind) or kinds.is_decimal(kind) or empty):
                raise InputError(f"{self.path}: column {name!r} holds {kind}, but numbers are needed")
        frame = self._file.schema.field(self._frame).type
        if not (kinds.is_integer(frame) or kinds.is_floating(frame)):
            raise InputError(f"{self.path}: column {self._frame!r} holds {frame}, but whole numbers are needed")
        for name in (*self._text_columns(), *self._teacher_columns()):
            kind = self._file.schema.field(name).type
            kind = kind.value_type if kinds.is_dictionary(kind) else kind
            if not (
                kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_integer(kind) or kinds.is_null(kind)
            ):
                raise InputError(f"{self.path}: column {name!r} holds {kind}, but text is needed")

    def _read_teacher(self) -> str:
        stated: dict[str, None] = {}
        for name in self._teacher_columns():
            for part in self._file.batches(PART_ROWS, [name]):
                stated |= dict.fromkeys(text for text in np.unique(_texts(part, name)).tolist() if text)
        if len(stated) > 1:
            raise InputError(
                f"{self.path}: the rows are of several teachers ({', '.join(list(stated)[:5])}): write a table of each"
            )
        found = next(iter(stated), None)
        if found is not None and self._reading.teacher not in (None, found):
            raise InputError(
                f"{self.path} states the teacher {found}, but {self._reading.teacher} was given: drop one of them"
            )
        return self._reading.teacher or found or UNKNOWN

    def _remarks(self) -> Iterator[str]:
        unmeasured = [name for name in self.features if FEATURES[name].unavailable]
        if unmeasured:
            yield f"{', '.join(unmeasured)} came with the table; no engine of this package computes it"
        if MOS in self._file.names and not self.opinions:
            yield f"{MOS} was left out, because nothing states its scale"
        if "codec" not in self._file.names and self._reading.codec == UNKNOWN:
            yield "no column names the codec"

    # -- rows ---------------------------------------------------------------------------------------------------

    def read_group(self, index: int) -> pa.Table:
        """Return the next part; `index` counts them."""
        return next(self._parts)

    def read(self) -> pa.Table:
        """Read all rows."""
        import pyarrow as pa

        return pa.concat_tables([self.schema.empty_table(), *self._parts])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def details(self) -> dict[str, Any]:
        """Describe what was read, for a manifest; complete when every part was read."""
        return {
            "rows": self.rows,
            "videos": len(self.videos),
            "teacher": self.teacher,
            "columns": {
                "frame": self._frame,
                "clip": self._clip or "source",
                "version": self._version,
                "codec": "codec" if "codec" in self._file.names else None,
            },
            "ignored_columns": self.ignored,
            "features_without_values": [name for name, finite in self._finite.items() if not finite],
            "unnamed_versions": {"/".join(key): count for key, count in self._versions.items() if count > 1},
            "notes": self.notes,
        }

    def _converted(self) -> Iterator[pa.Table]:
        """Yield parts of `PART_ROWS` rows, however the file divides its own."""
        import pyarrow as pa

        names = list(dict.fromkeys(self._used()))
        waiting: list[pa.Table] = []
        start = 0
        for batch in self._file.batches(PART_ROWS, names):
            waiting.append(batch)
            while sum(part.num_rows for part in waiting) >= PART_ROWS:
                whole = pa.concat_tables(_plain(waiting))
                yield self._convert(whole.slice(0, PART_ROWS), start)
                start += PART_ROWS
                waiting = [whole.slice(PART_ROWS)]
        if sum(part.num_rows for part in waiting):
            yield self._convert(pa.concat_tables(_plain(waiting)), start)

    def _convert(self, table: pa.Table, start: int) -> pa.Table:
        """Return rows with the columns of a feature table, after every check."""
        import pyarrow as pa

        texts = {name: _texts(table, name) for name in self._text_columns()}
        self._check_named(texts, start)
        frames = self._frames(table, start)
        numbers = {name: _numbers(table, self._renamed.get(name, name)) for name in (*self.features, *self.opinions)}
        numbers[TEACHER] = (
            _numbers(table, self._renamed[TEACHER]) if TEACHER in self._renamed else np.full(table.num_rows, np.nan)
        )
        self._check_target(numbers[str(self._target)], start)
        self._check_scores(numbers.get(MOS), start)
        for name in self.features:
            self._finite[name] += int(np.count_nonzero(np.isfinite(numbers[name])))
        crf = self._crf(table, start)
        strength = _numbers(table, STRENGTH) if STRENGTH in self._file.names else crf
        labels = self._labels(texts, frames, crf, start)
        data: dict[str, Any] = {}
        for column in self.schema:
            if column.name in ("crf", STRENGTH):
                values = crf if column.name == "crf" else strength
                data[column.name] = pa.array(values, mask=~np.isfinite(values))
            elif column.name in COUNTS:
                values = numbers[column.name]
                data[column.name] = pa.array(np.floor(values), mask=~np.isfinite(values))
            elif column.name == "frame_index":
                data[column.name] = frames
            elif column.name in TEXT_COLUMNS:
                data[column.name] = labels[column.name]
            else:
                data[column.name] = numbers[column.name]
        return pa.table(data).cast(self.schema)

    def _check_named(self, texts: Mapping[str, NDArray[np.str_]], start: int) -> None:
        for name in (self._clip, None if self._clip else "source"):
            if name is not None and (empty := np.flatnonzero(texts[name] == "")).size:
                raise InputError(
                    f"{self.path}, row {start + int(empty[0])}: column {name!r} is empty, so nothing says which video "
                    "it is of (rows are counted from 0)"
                )

    def _frames(self, table: pa.Table, start: int) -> NDArray[np.int64]:
        values = _numbers(table, self._frame)
        wrong = np.flatnonzero(~(np.isfinite(values) & (values >= 0) & (values == np.floor(values)) & (values < 2**53)))
        if wrong.size:
            row = int(wrong[0])
            raise InputError(
                f"{self.path}, row {start + row}: {self._frame} is {values[row]:g}, but a whole number of 0 or more is "
                "needed (rows are counted from 0)"
            )
        return values.astype(np.int64)

    def _crf(self, table: pa.Table, start: int) -> NDArray[np.float64]:
        if "crf" not in self._file.names:
            return np.full(table.num_rows, np.nan)
        values = _numbers(table, "crf")
        with np.errstate(invalid="ignore"):
            wrong = np.flatnonzero(
                ~np.isnan(values) & ~((values == np.floor(values)) & (values >= 0) & (values <= 255))
            )
        if wrong.size:
            row = int(wrong[0])
            raise InputError(
                f"{self.path}, row {start + row}: CRF {values[row]:g} is not a whole number of 0 to 255 (rows are counted from 0)"
            )
        return values

    def _check_target(self, target: NDArray[np.float64], start: int) -> None:
        wrong = np.flatnonzero(~np.isfinite(target))
        if wrong.size:
            raise InputError(
                f"{self.path}, row {start + int(wrong[0])}: {self._target} is {target[wrong[0]]:g}, and so are "
                f"{wrong.size - 1} of the {target.size} rows from there on: a row without its target trains nothing; leave "
                "such rows out, with all rows of their video (rows are counted from 0)"
            )

    def _check_scores(self, scores: NDArray[np.float64] | None, start: int) -> None:
        if scores is None or self.mos_scale is None:
            return
        for score in np.unique(scores[np.isfinite(scores)]).tolist():
            try:
                check_on_scale(score, self.mos_scale)
            except InputError as err:
                first = start + int(np.flatnonzero(scores == score)[0])
                raise InputError(f"{self.path}, row {first}: {err} (rows are counted from 0)") from err

    def _labels(
        self, texts: Mapping[str, NDArray[np.str_]], frames: NDArray[np.int64], crf: NDArray[np.float64], start: int
    ) -> dict[str, pa.Array[Any]]:
        """Return the text columns, run by run of rows of one video."""
        import pyarrow as pa

        named = ("corpus", self._clip or "source", self._version, "codec", "encoder", "preset")
        names = [name for name in named if name is not None and name in texts]
        identity = [texts[name] for name in names]
        n = frames.size
        starts = np.ones(n, dtype=np.bool_)
        starts[1:] = np.diff(frames) != 1
        # A preset or CRF that changes within a video is another encode of it.
        for column in (*identity, np.nan_to_num(crf, nan=-1)):
            starts[1:] |= column[1:] != column[:-1]
        parts: dict[str, list[Any]] = {name: [] for name in TEXT_COLUMNS}
        bounds = [*np.flatnonzero(starts).tolist(), n]
        for first, stop in pairwise(bounds):
            row = {name: str(texts[name][first]) for name in texts}
            number = crf[first]
            key = (*(row[name] for name in names), *((f"crf{number:g}",) if np.isfinite(number) else ()))
            version = self._continue(key, int(frames[first]), int(frames[stop - 1]), start + first)
            labels = self._label(row, version, number, start + first)
            video = Video(str(labels["clip"]), str(labels["codec"]), str(labels["rung"]))
            self.videos[video] = self.videos.get(video, 0) + stop - first
            for name, value in labels.items():
                parts[name].append(repeated(value, stop - first))
        return {name: pa.chunked_array(arrays, pa.string()).combine_chunks() for name, arrays in parts.items()}

    def _continue(self, key: tuple[str, ...], first: int, last: int, row: int) -> int:
        """Take a run of rows of a video that follow each other, and return the number of its version, from 0.

        Raises:
            InputError: the rows repeat frames of the video, leave some out, or lie elsewhere than its others.
        """
        run = self._runs.get(key)
        what = "/".join(key)
        if run is not None and first == run.last + 1 and row == run.row + first - run.first:
            run.last = last
            return self._versions[key] - 1
        # Nothing names the distorted version in a table of sources: frames that begin again are another one.
        again = run is not None and self._clip is None and self._version is None and first <= run.first
        if run is None or again:
            self._runs[key] = _Run(row, first, last)
            self._versions[key] = self._versions.get(key, 0) + 1
            return self._versions[key] - 1
        counted = "(rows are counted from 0)"
        if run.first <= first <= run.last:
            raise InputError(
                f"{self.path}: row {run.row + first - run.first} and row {row} are both frame {first} of {what}: a frame of "
                f"a video has one row; if the video has several versions, name them in a column {VERSION_COLUMNS[0]!r} {counted}"
            )
        if row == run.row + run.last - run.first + 1 and first > run.last:
            raise InputError(
                f"{self.path}, row {row}: {what} goes from frame {run.last} to frame {first}, so frames are missing between "
                f"them: write all frames of a video, or none {counted}"
            )
        raise InputError(
            f"{self.path}: the rows of {what} from row {run.row} on end with frame {run.last}, and row {row} is its frame "
            f"{first}: the rows of a video have to lie together in the order of their frames; sort the table {counted}"
        )

    def _label(self, row: Mapping[str, str], version: int, crf: float, number: int) -> dict[str, str | None]:
        """Return the text columns of a video."""
        clip = row[self._clip] if self._clip else row["source"]
        source, group = row.get("source") or clip, row.get("group")
        if self._clip and _FOLD.fullmatch(source):
            source, group = clip, group or source
        elif ugc := _UGC.fullmatch(source):
            source = ugc[1]
        source = _matched(self._reading.source, clip, str(self.path)) or source
        group = _matched(self._reading.group, clip, str(self.path)) or group or source
        codec, encoder = self._encoder(row, number)
        preset = row.get("preset", "")
        rung = row[self._version] if self._version else "" if not np.isfinite(crf) else rung_name(preset, int(crf))
        return {
            "corpus": row.get("corpus", ""),
            "group": group,
            "source": source,
            "clip": clip,
            "codec": codec,
            "encoder": encoder,
            "preset": preset or None,
            "rung": rung if not version else f"{rung}#{version + 1}",
        }

    def _encoder(self, row: Mapping[str, str], number: int) -> tuple[str, str | None]:
        """Return codec and encoder of a row: where the table has both, the codec is the name of a ladder."""
        codec = row.get("codec") or self._reading.codec
        name = row.get("encoder", codec)
        if name in ("", UNKNOWN):
            return codec, None
        try:
            found = _known_encoder(self._reading.codecs.get(name, name))
        except InputError as err:
            raise InputError(
                f"{self.path}, row {number}: {err}; a corpus of the kind frame-table maps other names with `codecs` (rows "
                "are counted from 0)"
            ) from err
        return (codec if "encoder" in row else found), found


def open_frames(path: Path, teacher: str | None = None) -> ParquetTable | FrameTable:
    """Open a table of this project, or one of frames that another program wrote.

    Args:
        path: the parquet file.
        teacher: what computed the VMAF of a table of another program that does not state it.

    Raises:
        MissingFileError, IntegrityError: as `ParquetTable`.
        InputError: as `FrameTable`.
    """
    file = ParquetTable(path)
    if file.block() is not None or not set(file.names) & set(FRAME_COLUMNS):
        return file
    try:
        return FrameTable(file, Reading(teacher=teacher))
    except InputError:
        file.close()
        raise


@cache
def _known_encoder(name: str) -> str:
    return encoder_name(name)


@cache
def _matched(pattern: str | None, clip: str, path: str) -> str | None:
    if pattern is None:
        return None
    match = re.search(pattern, clip)
    if match is None or not match.group(1):
        raise InputError(f"{path}: {pattern!r} finds nothing in the name of the video {clip!r}")
    return match.group(1)


def _plain(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """Return tables whose dictionaries are decoded, so that they can be joined."""
    import pyarrow as pa

    def decoded(table: pa.Table) -> pa.Table:
        columns: list[Any] = [
            column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
            for column in table.columns
        ]
        return pa.table(dict(zip(table.column_names, columns, strict=True)))

    return [decoded(table) for table in tables]


def _texts(table: pa.Table, name: str) -> NDArray[np.str_]:
    """Return a column as text; a missing value is empty."""
    import pyarrow as pa

    column: Any = table[name]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return strings(pa.table({name: column.cast(pa.string())}), name)


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Return a column as numbers; a missing value is NaN."""
    import pyarrow as pa

    column: Any = table[name].cast(pa.float64(), safe=False)
    return np.asarray(column.fill_null(float("nan")).to_numpy(), dtype=np.float64)
