"""Mean opinion scores of videos: a CSV file with the columns ``key`` and ``mos``, perhaps ``mos_std`` and ``n_ratings``, or the
rows (.jsonl) that ``vmaf-train labels`` writes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyvmaf.base.files import read_bytes
from pyvmaf.base.parse import parse_json
from pyvmaf.corpora.cells import NUMBER, check_once, read_cells
from pyvmaf.corpora.keys import LONGEST, clip_key, key_of, video_key
from pyvmaf.corpora.spec import LABEL_PATTERN
from pyvmaf.errors import InputError


@dataclass(frozen=True)
class Opinion:
    """One line of a file of opinion scores.

    Attributes:
        where: file and line, for messages.
        name: the key as it is written: a path below the folder of the videos or a file's name, with or without suffix, or a
            clip's key.
        mos: the score.
        mos_std: standard deviation of the ratings; None if unknown.
        n_ratings: number of ratings; None if unknown.
        source: the scene, if it was asked for.
    """

    where: str
    name: str
    mos: float
    mos_std: float | None = None
    n_ratings: int | None = None
    source: str | None = None

    @property
    def keys(self) -> dict[str, Any]:
        """The keys of an entry that it gives."""
        known = {"mos": self.mos, "mos_std": self.mos_std, "n_ratings": self.n_ratings}
        return {key: value for key, value in known.items() if value is not None}


def read_opinions(path: Path, source: str | None = None) -> list[Opinion]:
    """Read the mean opinion scores of a file.

    Args:
        path: a CSV file, or rows of ``vmaf-train labels`` (.jsonl).
        source: the column or key that names the scene of a video; None if nothing does.

    Raises:
        MissingFileError: there is no such file.
        InputError: a column is missing or doubled, a line has more cells than columns, a score, deviation or number of
            ratings is not one, a scene is missing, or a key has two scores.
    """
    read = _label_rows if path.suffix == ".jsonl" else _opinions
    opinions = list(read(path, source))
    scores: dict[str, Opinion] = {}
    for item in opinions:
        _check_same(scores.setdefault(video_key(item.name), item), item)
    return opinions


def join(opinions: list[Opinion], videos: Mapping[str, str]) -> tuple[dict[str, Opinion], list[str]]:
    """Find the video of each opinion score.

    Args:
        opinions: as from `read_opinions`.
        videos: path of each video by its key.

    Returns:
        The opinion of each video by its key, and the names for which there is no video.

    Raises:
        InputError: a video has two scores.
    """
    names: dict[str, list[str]] = {}
    for key, path in videos.items():
        names.setdefault(clip_key(path.rpartition("/")[2]), []).append(key)
    # A name without its folder stands for a video if only one has it.
    alone = {name: keys[0] for name, keys in names.items() if len(keys) == 1}
    scores: dict[str, Opinion] = {}
    unmatched: list[str] = []
    for item in opinions:
        forms = (video_key(item.name), clip_key(item.name))
        found = [form for form in forms if form in videos] or [alone[form] for form in forms if form in alone]
        if found:
            _check_same(scores.setdefault(found[0], item), item)
        else:
            unmatched.append(item.name)
    return scores, unmatched


def _label_rows(path: Path, source: str | None) -> Iterator[Opinion]:
    """Read the rows of ``vmaf-train labels``; a deviation or number of ratings of 0 is not known there."""
    for number, line in enumerate(read_bytes(path).splitlines(), start=1):
        where = f"{path} line {number}"
        row = parse_json(line, where)
        if not isinstance(row, dict) or not {"src", "mos"} <= set(row):
            raise InputError(f"{where} is not a row of vmaf-train labels: it does not have the keys src and mos")
        known = {"key": row["src"], "mos": row["mos"]}
        known |= {"mos_std": row.get("mos_std_dev") or None, "n_ratings": row.get("n_ratings") or None}
        text = {key: str(value) for key, value in known.items() if value is not None}
        if source is not None and row.get(source) is not None:
            text[source] = str(row[source])
        yield opinion(where, text, source)


def _opinions(path: Path, source: str | None) -> Iterator[Opinion]:
    def check(columns: list[str]) -> None:
        if not {"key", "mos"} <= set(columns):
            raise InputError(f"{path} must have the columns key and mos, but has {', '.join(columns) or 'none'}")
        check_once(path, columns, ["key", "mos", "mos_std", "n_ratings", *([source] if source else [])])

    for where, row in read_cells(path, check)[1]:
        yield opinion(where, row, source)


def opinion(where: str, row: Mapping[str, str], source: str | None) -> Opinion:
    """Read the opinion score of a row.

    Args:
        where: file and line, for messages.
        row: its cells by column.
        source: the column that names the scene; None if nothing does.

    Raises:
        InputError: as `read_opinions`.
    """
    name = row.get("key", "").strip()
    if not name:
        raise InputError(f"{where} has no key")
    mos = _number(where, name, "mos", row.get("mos", ""))
    known = {key: _number(where, name, key, row[key]) for key in ("mos_std", "n_ratings") if row.get(key, "").strip()}
    deviation, ratings = known.get("mos_std"), known.get("n_ratings")
    if deviation is not None and deviation < 0:
        raise InputError(f"{where}: mos_std of {name!r} is {deviation:g}, but a deviation is 0 or more")
    if ratings is not None and (ratings < 1 or ratings != int(ratings)):
        raise InputError(f"{where}: n_ratings of {name!r} is {ratings:g}, which is not a number of ratings")
    scene = None if source is None else row.get(source, "").strip()
    if scene == "":
        raise InputError(f"{where}: {name!r} has no {source}, which names its scene")
    if scene is not None and not (len(scene) <= LONGEST and re.fullmatch(LABEL_PATTERN, scene)):
        scene = key_of(scene)
    return Opinion(where, name, mos, deviation, None if ratings is None else int(ratings), scene)


def _number(where: str, name: str, column: str, cell: str) -> float:
    text = cell.strip()
    if text.lower() in ("nan", "inf", "-inf", "infinity", "-infinity"):
        raise InputError(f"{where}: {column} of {name!r} is {text}: leave the line out")
    if not NUMBER.fullmatch(text):
        raise InputError(f"{where}: {column} {text!r} of {name!r} is not a number")
    number = float(text)
    if not math.isfinite(number):
        raise InputError(f"{where}: {column} of {name!r} is {text}, which is too large")
    return number


def _check_same(first: Opinion, other: Opinion) -> None:
    if first.mos != other.mos:
        raise InputError(f"{other.where}: {other.name!r} has two scores, {first.mos} and {other.mos}")
