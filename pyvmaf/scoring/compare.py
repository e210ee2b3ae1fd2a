"""Scores of several versions of a video: ranked, with their sizes and bitrates, and the differences of their ladders."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.base.extras import lacks
from pyvmaf.base.files import dumps
from pyvmaf.errors import InputError, MissingFileError, PyvmafError
from pyvmaf.scoring.bdrate import FEWEST, BdRate, Point, bd_rate
from pyvmaf.scoring.scores import csv_cells, row_line

if TYPE_CHECKING:
    import pyarrow as pa

    from pyvmaf.features.options import Reading
    from pyvmaf.scoring.scores import Scores

_PATTERN = "*?["


@dataclass(frozen=True)
class Version:
    """A distorted version with its scores.

    Attributes:
        path: the file.
        scores: its scores.
        bytes: size of the file; None of a pipe.
        kbps: average bitrate of its video stream, kbit/s; None if it is not known, as of raw video.
    """

    path: Path
    scores: Scores
    bytes: int | None = None
    kbps: float | None = None

    @property
    def ladder(self) -> str:
        """The ladder that it is a rung of: its folder."""
        return str(self.path.parent)

    def as_json(self) -> dict[str, Any]:
        """Return the version as JSON values."""
        facts = {"distorted": str(self.path), "bytes": self.bytes, "kbps": self.kbps}
        return {**facts, **self.scores.as_json()}


@dataclass(frozen=True)
class Difference:
    """Difference between two ladders.

    Attributes:
        anchor, other: their folders.
        rate: how much more bitrate the other one needs; None if it cannot be told.
        reason: why it cannot be told.
    """

    anchor: str
    other: str
    rate: BdRate | None
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the difference as JSON values."""
        names = {"anchor": self.anchor, "other": self.other}
        if self.rate is None:
            return {**names, "bd_rate_percent": None, "reason": self.reason}
        return {**names, "bd_rate_percent": self.rate.percent, "from_score": self.rate.low, "to_score": self.rate.high}


@dataclass(frozen=True)
class Comparison:
    """Versions of one reference.

    Attributes:
        reference: its file.
        versions: in the order in which they were named.
    """

    reference: Path
    versions: tuple[Version, ...] = field(default_factory=tuple)

    def __getitem__(self, path: str | os.PathLike[str]) -> Scores:
        for version in self.versions:
            if version.path == Path(path):
                return version.scores
        raise InputError(f"{path} is not a version of {self.reference} that was scored")

    @property
    def ranked(self) -> list[Version]:
        """The versions, the best first; those without a score last."""
        return sorted(self.versions, key=lambda v: (v.scores.figure() != v.scores.figure(), -v.scores.figure()))

    def differences(self) -> list[Difference]:
        """Compare the ladders, which are the folders of the versions, with the first one by `bd_rate`.

        The quality is the mean of the first model. Nothing is compared unless two folders have at least four versions.
        """
        ladders: dict[str, list[Version]] = {}
        for version in self.versions:
            ladders.setdefault(version.ladder, []).append(version)
        long = [name for name, versions in ladders.items() if len(versions) >= FEWEST]
        return [_difference(long[0], ladders[long[0]], name, ladders[name]) for name in long[1:]]

    def with_pools(self, pools: tuple[str, ...]) -> Comparison:
        """Return the comparison with other figures of its scores."""
        versions = (replace(v, scores=replace(v.scores, pools=pools)) for v in self.versions)
        return replace(self, versions=tuple(versions))

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values, the best version first."""
        return {
            "reference": str(self.reference),
            "versions": [version.as_json() for version in self.ranked],
            "bd_rate": [difference.as_json() for difference in self.differences()],
        }


def _difference(anchor: str, ours: Sequence[Version], other: str, theirs: Sequence[Version]) -> Difference:
    try:
        return Difference(anchor, other, bd_rate(_points(ours), _points(theirs)))
    except InputError as err:
        return Difference(anchor, other, None, str(err))
    except ImportError:
        return Difference(anchor, other, None, str(lacks("a BD-rate", ["scipy"], "report")))


def _points(versions: Iterable[Version]) -> list[Point]:
    return [Point(version.kbps or 0.0, version.scores.figure()) for version in versions]


def compare(
    reference: str | os.PathLike[str], distorted: Iterable[str | os.PathLike[str]], **options: Any
) -> Comparison:
    """Score versions of a video. The reference is decoded once.

    Args:
        reference: the pristine video.
        distorted: files, folders of videos, and patterns (``encodes/*.mp4``).
        options: as of `pyvmaf.score`.

    Raises:
        MissingFileError: there is no such file or folder, or a pattern matches nothing.
        InputError: a version is named twice; also what `pyvmaf.scoring.score.score` raises.
    """
    from pyvmaf.scoring.score import scoring_of

    scoring = scoring_of(**options)
    paths = list(expanded(distorted, Path(reference)))
    results = scoring.versions(reference, paths)
    versions = (version_of(path, scores, scoring.reading) for path, scores in zip(paths, results, strict=True))
    return Comparison(Path(reference), tuple(versions))


def version_of(path: Path, scores: Scores, reading: Reading) -> Version:
    """Return a distorted video that was read like this, with its scores."""
    from pyvmaf.scoring.origin import properties
    from pyvmaf.video.piped import is_piped

    if is_piped(path):
        return Version(path, scores)
    size = path.stat().st_size if path.is_file() else None
    try:
        facts = properties(path, reading.raw, reading.stream)
    except PyvmafError:
        facts = {}
    return Version(path, scores, size, facts.get("bitrate_kbps"))


def is_many(path: Path) -> bool:
    """Return whether a name stands for several files: a folder, or a pattern that is not the name of a file."""
    return path.is_dir() or (not path.exists() and any(sign in str(path) for sign in _PATTERN))


def expanded(paths: Iterable[str | os.PathLike[str]], reference: Path) -> Iterator[Path]:
    """Replace folders and patterns by the videos in them, sorted by name, without the reference.

    Raises:
        MissingFileError: a pattern matches nothing.
        InputError: a folder holds no other videos.
    """
    from pyvmaf.corpora.find import is_video_name

    for path in map(Path, paths):
        if path.is_dir():
            found = [file for file in sorted(path.iterdir()) if file.is_file() and is_video_name(file.name)]
        elif is_many(path):
            found = sorted(_matches(path))
            if not found:
                raise MissingFileError(f"no file matches the pattern {path}")
        else:
            yield path
            continue
        others = [file for file in found if not (reference.exists() and file.samefile(reference))]
        if not others:
            raise InputError(f"{path} holds no videos beside the reference: name the files")
        yield from others


def _matches(pattern: Path) -> Iterator[Path]:
    from glob import glob

    return (path for name in glob(str(pattern), recursive=True) if (path := Path(name)).is_file())


def read_pairs(path: Path) -> dict[Path, list[Path]]:
    """Read a CSV file with the columns ``reference`` and ``distorted``, whose paths start from its folder.

    Returns:
        The distorted files by their reference, in the order of the file.

    Raises:
        MissingFileError: there is no such file.
        InputError: it lacks a column, a cell or all rows.
    """
    from pyvmaf.corpora.cells import check_once, read_cells

    names = ("reference", "distorted")

    def check(columns: list[str]) -> None:
        check_once(path, columns, names)
        for name in names:
            if name not in columns:
                raise InputError(f"{path} lacks the column {name}: it has {', '.join(columns) or 'none'}")

    pairs: dict[Path, list[Path]] = {}
    _, rows = read_cells(path, check)
    for where, cells in rows:
        for name in names:
            if not cells.get(name):
                raise InputError(f"{where} has no {name}")
        pairs.setdefault(path.parent / cells["reference"], []).append(path.parent / cells["distorted"])
    if not pairs:
        raise InputError(f"{path} has no rows: write a line with reference and distorted for each pair")
    return pairs


SCHEMA = "pyvmaf-comparison-v1"
"""Name and version of the JSON form, in its key ``schema``."""


def check_form(form: str) -> None:
    """Refuse a format that holds one pair.

    Raises:
        InputError: it is "xml".
    """
    if form == "xml":
        raise InputError("libvmaf's log (xml) holds one pair: write json, csv or ndjson, or score each version alone")


@dataclass(frozen=True)
class Comparisons:
    """Comparisons of one or several references, as they are written: a row per frame of each version."""

    parts: tuple[Comparison, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the content of a .json file."""
        return {"schema": SCHEMA, "comparisons": [comparison.as_json() for comparison in self.parts]}

    def rest(self) -> dict[str, Any]:
        """Return what a .json file holds beside the frames."""
        body = self.as_json()
        for part in body["comparisons"]:
            for version in part["versions"]:
                del version["frames"]
        return body

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield reference, distorted, ``frame_index`` and the columns of each frame."""
        for part in self.parts:
            for version in part.ranked:
                names = {"reference": str(part.reference), "distorted": str(version.path)}
                yield from ({**names, **row} for row in version.scores.rows())

    def text(self, form: str) -> str:
        """Return it as text: "json", "csv", or "ndjson" with `rest` as the last line.

        Raises:
            InputError: the form is "xml", which has one pair.
        """
        check_form(form)
        if form == "json":
            return dumps(self.as_json())
        rows = list(self.rows())
        if form == "ndjson":
            return "".join([*map(row_line, rows), json.dumps(self.rest(), ensure_ascii=False, allow_nan=False) + "\n"])
        import csv
        import io

        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(rows[0])
        writer.writerows(csv_cells(row.values()) for row in rows)
        return out.getvalue()

    def to_arrow(self) -> pa.Table:
        """Return an arrow table; its metadata hold `rest`."""
        import pyarrow as pa

        table = pa.Table.from_pylist(list(self.rows()))
        return table.replace_schema_metadata({"pyvmaf": dumps(self.rest())})
