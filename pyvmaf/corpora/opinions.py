"""Mean opinion scores of videos in a CSV file: columns ``key`` and ``mos``, perhaps ``mos_std`` and ``n_ratings``."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyvmaf.corpora.find import SUFFIXES
from pyvmaf.corpora.keys import clip_key, key_of
from pyvmaf.errors import InputError, MissingFileError

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Opinion:
    """One line of a file of opinion scores.

    Attributes:
        where: file and line, for messages.
        name: the key as it is written: a path below the folder of the videos, with or without suffix, or a clip's key.
        mos: the score.
        mos_std: standard deviation of the ratings; None if unknown.
        n_ratings: number of ratings; None if unknown.
    """

    where: str
    name: str
    mos: float
    mos_std: float | None = None
    n_ratings: int | None = None

    @property
    def keys(self) -> dict[str, Any]:
        """The keys of an entry that it gives."""
        known = {"mos": self.mos, "mos_std": self.mos_std, "n_ratings": self.n_ratings}
        return {key: value for key, value in known.items() if value is not None}


def read_opinions(path: Path) -> list[Opinion]:
    """Read the mean opinion scores of a CSV file.

    Raises:
        MissingFileError: there is no such file.
        InputError: a column is missing or doubled, a line has more cells than columns, a score, deviation or number of
            ratings is not one, or a key has two scores.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            opinions = list(_opinions(path, stream))
    except FileNotFoundError as err:
        raise MissingFileError(f"no such file: {path}") from err
    except OSError as err:
        raise InputError(f"{path} cannot be read: {err.strerror}") from err
    except (UnicodeDecodeError, csv.Error) as err:
        raise InputError(f"{path} is not a CSV file in UTF-8: {err}") from err
    scores: dict[str, Opinion] = {}
    for item in opinions:
        _check_same(scores.setdefault(_key(item.name), item), item)
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
    scores: dict[str, Opinion] = {}
    unmatched = []
    for item in opinions:
        key = next((key for key in (_key(item.name), clip_key(item.name)) if key in videos), None)
        if key is None:
            unmatched.append(item.name)
        else:
            _check_same(scores.setdefault(key, item), item)
    return scores, unmatched


def _opinions(path: Path, stream: Iterator[str]) -> Iterator[Opinion]:
    reader = csv.reader(stream, skipinitialspace=True, strict=True)
    columns = [name.strip() for name in next(reader, [])]
    if not {"key", "mos"} <= set(columns):
        raise InputError(f"{path} must have the columns key and mos, but has {', '.join(columns) or 'none'}")
    for name in ("key", "mos", "mos_std", "n_ratings"):
        if columns.count(name) > 1:
            raise InputError(f"{path} has the column {name} twice: leave one out")
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        where = f"{path} line {reader.line_num}"
        if len(cells) > len(columns):
            raise InputError(
                f"{where} has {len(cells)} cells, but the file has {len(columns)} columns: write numbers with a point "
                "and put names with commas in quotation marks"
            )
        row = dict(zip(columns, cells, strict=False))
        yield _opinion(where, row)


def _opinion(where: str, row: Mapping[str, str]) -> Opinion:
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
    return Opinion(where, name, mos, deviation, None if ratings is None else int(ratings))


def _number(where: str, name: str, column: str, cell: str) -> float:
    text = cell.strip()
    if text.lower() in ("nan", "inf", "-inf", "infinity", "-infinity"):
        raise InputError(f"{where}: {column} of {name!r} is {text}: leave the line out")
    if not _NUMBER.fullmatch(text):
        raise InputError(f"{where}: {column} {text!r} of {name!r} is not a number")
    number = float(text)
    if not math.isfinite(number):
        raise InputError(f"{where}: {column} of {name!r} is {text}, which is too large")
    return number


def _key(name: str) -> str:
    """The key that a name stands for; only suffixes of videos are taken off, because names may have points in them."""
    suffix = Path(name).suffix
    return key_of(name.removesuffix(suffix) if suffix.lower() in SUFFIXES else name)


def _check_same(first: Opinion, other: Opinion) -> None:
    if first.mos != other.mos:
        raise InputError(f"{other.where}: {other.name!r} has two scores, {first.mos} and {other.mos}")
