"""Reading of label files: text tables, workbooks and MATLAB files, whatever their columns are called."""

from __future__ import annotations

import csv
import io
import math
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pyvmaf.base.files import read_bytes
from pyvmaf.base.opinion import check_on_scale
from pyvmaf.errors import InputError
from pyvmaf.labels.spec import LabelSpec, Layout, fill

_MOST_BYTES = 256 << 20
_MOST_UNPACKED = 1 << 30
_EMPTY = ("", "nan", "na", "null", "none")


@dataclass(frozen=True)
class Label:
    """One rated video.

    Attributes:
        where: line of the file, for messages.
        key: what names the video.
        mos: the score on the file's own scale.
        deviation: standard deviation of the ratings, 0 if it is not known.
        ratings: number of ratings, 0 if it is not known.
        parts: further columns, by word of the spec.
    """

    where: str
    key: str
    mos: float
    deviation: float = 0.0
    ratings: int = 0
    parts: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Labels:
    """What a file holds.

    Attributes:
        layout: the form that it has.
        rows_in: number of rows.
        labels: those that can be used, each key once.
        bad: rows that cannot be used, each with its line and the reason.
        repeated: rows that say again what an earlier one said.
    """

    layout: Layout
    rows_in: int
    labels: list[Label]
    bad: list[str]
    repeated: int


def read_labels(spec: LabelSpec, path: Path) -> Labels:
    """Read a label file.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is none of the dataset's files, two rows rate one video differently, or more rows than the spec allows
            cannot be used. The message quotes the header that was found and the names that would be accepted.
    """
    data = read_bytes(path, _MOST_BYTES)
    tables = {form: _tables(form, data, path, spec) for form in _forms(data)}
    misses = []
    for layout in spec.layouts:
        if layout.form not in tables:
            continue
        for sheet, table in tables[layout.form].items():
            if layout.form == "xlsx" and sheet != layout.sheet:
                continue
            matched = _matched(layout, table)
            if isinstance(matched, str):
                misses.append(f"{layout.name}: {matched}")
                continue
            columns, rows = matched
            return _labels(spec, layout, columns, rows, path)
    accepted = "; ".join(dict.fromkeys(misses)) or "it has another form: " + ", ".join(
        f"{layout.name} ({layout.form})" for layout in spec.layouts
    )
    header = next((table[0] for sheets in tables.values() for table in sheets.values() if table), [])
    raise InputError(
        f"{path} is no label file of {spec.name}: its first line is {', '.join(map(repr, header[:12]))}"
        f"{', …' if len(header) > 12 else ''}. What would be accepted: {accepted}"
    )


def _forms(data: bytes) -> tuple[str, ...]:
    if data[:4] == b"PK\x03\x04":
        return ("xlsx",)
    return ("mat",) if data[:19] == b"MATLAB 5.0 MAT-file" else ("table",)


def _tables(form: str, data: bytes, path: Path, spec: LabelSpec) -> dict[str | None, list[list[str]]]:
    """Return the tables of a file as text, by sheet."""
    if form == "xlsx":
        return _workbook(data, path, {layout.sheet for layout in spec.layouts if layout.form == "xlsx"})
    return {None: _matlab(data, path, spec) if form == "mat" else _text(data, path)}


def _text(data: bytes, path: Path) -> list[list[str]]:
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as err:
        raise InputError(f"{path} is no text: byte {err.start} is not UTF-8") from err
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    try:
        return [row for row in csv.reader(io.StringIO(text), delimiter=separator, strict=True) if any(row)]
    except csv.Error as err:
        raise InputError(f"{path} is no table of text with separators ({err})") from err


def _workbook(data: bytes, path: Path, wanted: Iterable[str | None]) -> dict[str | None, list[list[str]]]:
    from openpyxl import load_workbook  # type: ignore[import-untyped]

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > _MOST_UNPACKED:
            raise InputError(f"{path} unpacks to {unpacked} bytes, more than a workbook of labels has")
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        found: dict[str | None, list[list[str]]] = {}
        for name in book.sheetnames:
            if name in wanted:
                rows = book[name].iter_rows(values_only=True)
                found[name] = [["" if cell is None else str(cell) for cell in row] for row in rows if any(row)]
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError, IndexError, OSError) as err:
        raise InputError(f"{path} is no workbook that can be read ({err}): export its sheet as .csv") from err
    if not found:
        raise InputError(f"{path} has the sheets {', '.join(book.sheetnames)}, but not {', '.join(map(str, wanted))}")
    return found


def _matlab(data: bytes, path: Path, spec: LabelSpec) -> list[list[str]]:
    import numpy as np
    from scipy.io import loadmat

    try:
        content = loadmat(io.BytesIO(data), struct_as_record=True)  # type: ignore[arg-type]  # the stubs know paths only
    except Exception as err:  # the parser of a foreign format raises whatever its bytes lead it to
        raise InputError(f"{path} is no MATLAB 5 file that can be read ({err})") from err
    columns = {name: np.ravel(value) for name, value in content.items() if not name.startswith("__")}
    wanted = {
        name
        for layout in spec.layouts
        if layout.form == "mat"
        for name in (*layout.key, *layout.mos, *layout.deviation)
    }
    used = {name: value for name, value in columns.items() if name in wanted}
    lengths = {value.size for value in used.values()}
    if len(lengths) > 1:
        raise InputError(f"{path}: {', '.join(f'{name} has {value.size}' for name, value in used.items())} values")
    if not used:
        return [list(columns)]
    rows = zip(*([_cell(item) for item in value.tolist()] for value in used.values()), strict=True)
    return [list(used), *(list(row) for row in rows)]


def _cell(item: object) -> str:
    while hasattr(item, "tolist"):
        item = item.tolist()
    while isinstance(item, list | tuple) and len(item) == 1:
        item = item[0]
        while hasattr(item, "tolist"):
            item = item.tolist()
    return repr(item) if isinstance(item, float) else str(item)


def _named(header: Sequence[str], names: Sequence[str]) -> str | None:
    """Return the first of the names that a header has, in the header's spelling; case and blanks at the ends are ignored."""
    spelled: dict[str, str] = {}
    for name in header:
        spelled.setdefault(name.strip().casefold(), name)
    return next((spelled[name.casefold()] for name in names if name.casefold() in spelled), None)


def _matched(layout: Layout, table: list[list[str]]) -> tuple[dict[str, int], list[list[str]]] | str:
    """Return the place of each column that the layout names, and the rows; or in what the table is not of this layout."""
    if layout.headerless:
        if not table or len(table[0]) != len(layout.headerless):
            return f"without a header line, {len(layout.headerless)} columns ({', '.join(layout.headerless)})"
        header, rows = list(layout.headerless), table
        if _number(table[0][header.index(layout.mos[0])]) is None:
            return f"without a header line, the score in column {header.index(layout.mos[0]) + 1}"
    else:
        header, rows = (table[0], table[1:]) if table else ([], [])
    wanted = {"key": layout.key, "mos": layout.mos, **layout.parts}
    places = {}
    for word, names in {**wanted, "deviation": layout.deviation, "ratings": layout.ratings}.items():
        name = _named(header, names)
        if name is not None:
            places[word] = header.index(name)
        elif word in wanted:
            return f"a column called {' or '.join(map(repr, names))}"
    least, most = layout.rows
    if not least <= len(rows) <= most:
        return f"{least} to {most} rows, not {len(rows)}"
    return places, rows


def _number(text: str) -> float | None:
    """Return a finite number, None for what is not one."""
    try:
        value = float(text.strip())
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _labels(spec: LabelSpec, layout: Layout, places: Mapping[str, int], rows: list[list[str]], path: Path) -> Labels:
    first = 1 if layout.headerless else 2
    done = Labels(layout, len(rows), [], [], 0)
    seen: dict[str, Label] = {}
    for number, row in enumerate(rows, start=first):
        where = f"{path}, row {number}"
        try:
            label = _label(spec, layout, places, row, where)
        except InputError as err:
            done.bad.append(f"{where}: {err}")
            continue
        earlier = seen.get(label.key)
        if earlier is None:
            seen[label.key] = label
            done.labels.append(label)
        elif earlier.mos == label.mos:
            done.repeated += 1
        else:
            raise InputError(
                f"{earlier.where} and row {number} rate {label.key!r} differently, {earlier.mos:g} and {label.mos:g}: keep one"
            )
    if len(done.bad) > spec.max_bad_share * len(rows):
        raise InputError(
            f"{len(done.bad)} of {len(rows)} rows of {path} cannot be used, more than the allowed share "
            f"{spec.max_bad_share:g}: {'; '.join(done.bad[:3])}{'; …' if len(done.bad) > 3 else ''}"
        )
    return done


def _label(spec: LabelSpec, layout: Layout, places: Mapping[str, int], row: Sequence[str], where: str) -> Label:
    if len(row) <= max(places.values()):
        raise InputError(f"it has {len(row)} columns only")
    texts = {word: row[place].strip() for word, place in places.items()}
    parts = {word: layout.values.get(word, {}).get(texts[word], texts[word]) for word in layout.parts}
    key = texts["key"]
    if layout.pattern is not None:
        found = re.search(layout.pattern, key)
        if found is None:
            raise InputError(f"its name {key!r} does not match {layout.pattern}")
        key = found[1]
    if layout.key_of is not None:
        key = fill(layout.key_of, {**parts, "key": key})
    if not key:
        raise InputError("it names no video")
    mos = _number(texts["mos"])
    if mos is None:
        raise InputError(f"its score {texts['mos']!r} is no number")
    check_on_scale(mos, spec.scale, spec.slack)
    deviation = _optional(texts.get("deviation", ""), "deviation")
    ratings = _optional(texts.get("ratings", ""), "number of ratings")
    return Label(where, key, mos, deviation, int(ratings), parts)


def _optional(text: str, what: str) -> float:
    if text.casefold() in _EMPTY:
        return 0.0
    value = _number(text)
    if value is None or value < 0:
        raise InputError(f"its {what} {text!r} is no number of 0 or more")
    return value
