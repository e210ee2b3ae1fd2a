"""Lists of pairs in CSV files: two columns name the files, others say what is known of the distorted version."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyvmaf.base.table import Table
from pyvmaf.corpora.cells import NUMBER, check_once, read_cells
from pyvmaf.corpora.keys import key_of
from pyvmaf.corpora.spec import LABEL_PATTERN
from pyvmaf.errors import InputError


@dataclass(frozen=True)
class Candidate:
    """A pair that a list or a layout names.

    Attributes:
        where: file and line, or the path of the distorted version, for messages.
        reference, distorted: paths below the root.
        known: keys of the pair (`pyvmaf.corpora.pairs.Pair`) that are known: codec, preset, crf, bitrate_kbps, rung, mos,
            mos_std, n_ratings.
        reference_known: keys of the reference that are known: key, source, group.
        reference_raw, distorted_raw: keys of the format of a headerless file: size, pix_fmt, fps.
    """

    where: str
    reference: str
    distorted: str
    known: Mapping[str, Any] = field(default_factory=dict)
    reference_known: Mapping[str, str] = field(default_factory=dict)
    reference_raw: Mapping[str, str] = field(default_factory=dict)
    distorted_raw: Mapping[str, str] = field(default_factory=dict)


def _text(cell: str) -> str:
    return cell


def _number(cell: str) -> float:
    value = float(cell) if NUMBER.fullmatch(cell) else math.nan
    if not math.isfinite(value):
        raise ValueError("a number")
    return value


def _positive(cell: str) -> float:
    value = _number(cell)
    if value <= 0:
        raise ValueError("a number above 0")
    return value


def _whole(cell: str) -> int:
    value = _number(cell)
    if value != int(value) or value < 0:
        raise ValueError("a whole number, 0 or more")
    return int(value)


def _spread(cell: str) -> float:
    value = _number(cell)
    if value < 0:
        raise ValueError("0 or more")
    return value


_PAIR: Table[tuple[str, Callable[[str], Any]]] = {
    "codec": ("codec", _text),
    "encoder": ("codec", _text),
    "preset": ("preset", _text),
    "crf": ("crf", _whole),
    "bitrate": ("bitrate_kbps", _positive),
    "bitrate_kbps": ("bitrate_kbps", _positive),
    "rung": ("rung", _text),
    "mos": ("mos", _number),
    "mos_std": ("mos_std", _spread),
    "n_ratings": ("n_ratings", _whole),
}
_REFERENCE = ("source", "group")
_RAW = ("size", "pix_fmt", "fps")


def read_pairs(path: Path, reference: str, distorted: str) -> tuple[list[Candidate], list[str]]:
    """Read a list of pairs.

    Args:
        path: the CSV file.
        reference, distorted: names of the columns that name the files.

    Returns:
        The pairs, and remarks about columns that are not used.

    Raises:
        MissingFileError: there is no such file.
        InputError: a column is missing or doubled, a cell has a value that is not allowed, or the file has no rows.
    """
    candidates, unused = _rows(path, reference, distorted)
    if not candidates:
        raise InputError(f"{path} has no rows: there is one for each pair")
    return candidates, [f"not used: the columns {', '.join(unused)} of {path}"] if unused else []


def _rows(path: Path, reference: str, distorted: str) -> tuple[list[Candidate], list[str]]:
    used = {reference, distorted, *_PAIR, *_REFERENCE, *_RAW}

    def check(columns: list[str]) -> None:
        missing = [name for name in (reference, distorted) if name not in columns]
        if missing or reference == distorted:
            raise InputError(
                f"{path} must have a column for the references and one for the distorted versions, but has {', '.join(columns) or 'none'} "
                f"and not {' and '.join(missing) or 'two different ones'}: name them with --reference-column and "
                "--distorted-column"
            )
        check_once(path, columns, used)

    columns, rows = read_cells(path, check)
    candidates = [_candidate(where, row, reference, distorted) for where, row in rows]
    return candidates, [name for name in columns if name not in used]


def _candidate(where: str, row: Mapping[str, str], reference: str, distorted: str) -> Candidate:
    known: dict[str, Any] = {}
    for column, (key, convert) in _PAIR.items():
        if not (cell := row.get(column, "")) or column in (reference, distorted):
            continue
        try:
            known[key] = convert(cell)
        except ValueError as err:
            raise InputError(f"{where}: {column} is {cell!r}, but it has to be {err}") from err
    for column in (reference, distorted):
        if not row.get(column):
            raise InputError(f"{where} names no file in the column {column}")
    raw = {name: row[name] for name in _RAW if row.get(name)}
    labels = {name: row[name] for name in _REFERENCE if row.get(name)}
    if "mos" not in known and ("mos_std" in known or "n_ratings" in known):
        raise InputError(f"{where} has mos_std or n_ratings, but no mos that they describe")
    return Candidate(where, row[reference], row[distorted], known, labels, raw, raw)


def label(text: str) -> str:
    """Return a text as a label of the corpus file: as it is if it can be one, else as a key."""
    return text if len(text) <= 100 and re.fullmatch(LABEL_PATTERN.strip("^$"), text) else key_of(text)
