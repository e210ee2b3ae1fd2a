"""The verb ``merge``: rows of vmaf-tune's corpus from several files in one, each encode once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyvmaf.base.files import atomic_path
from pyvmaf.base.manifest import write_manifest
from pyvmaf.base.outputs import publishes, reading
from pyvmaf.base.parse import parse_json
from pyvmaf.encodes.record import KEYS
from pyvmaf.errors import InputError, IntegrityError, MissingFileError

NATURAL_KEY = ("src_sha256", "encoder", "preset", "crf")
"""Keys that identify an encode."""

KEYS_OF_VERSION: Mapping[int, int] = {1: 25, 2: 26, 3: 54}
"""Number of the first keys of `pyvmaf.encodes.record.KEYS`, in the order in which the versions added them, that rows of a
schema version have."""

_SHOWN = 3


class RowError(InputError):
    """Rows are not of the schema. The command line exits with 1."""


def required_keys(version: int) -> frozenset[str]:
    """Return the keys that every row of a schema version has."""
    added = ("clip_mode",)
    first = [key for key in KEYS if key not in added][: KEYS_OF_VERSION[1]]
    return frozenset(KEYS) if version == 3 else frozenset((*first, *(added if version == 2 else ())))


@publishes("merge")
def merge(inputs: Sequence[Path], output: Path) -> dict[str, Any]:
    """Write the rows of several files in one; of equal encodes (`NATURAL_KEY`) the first stays.

    Args:
        inputs: two or more files of corpus rows (.jsonl), schema versions 1 to 3.
        output: the rows, as they are, in the order of the files.

    Returns:
        ``rows_in``, ``rows_out``, ``duplicates``, and of these ``conflicts``, whose measured VMAF differs; ``shards`` has
        the rows in and out of each file.

    Raises:
        MissingFileError: a file is not there.
        RowError: a row lacks a key, or is not one of a known version. Nothing is written then.
        InputError: there is one file only, or one is given twice.
    """
    started = time.monotonic()
    if len(inputs) < 2:
        raise InputError("merge puts two or more files together: name another one")
    if len({path.resolve() for path in inputs}) != len(inputs):
        raise InputError("a file is given twice")
    for path in inputs:
        if not path.is_file():
            raise MissingFileError(f"no such file: {path}")
    counts: dict[str, Any] = {"rows_in": 0, "rows_out": 0, "duplicates": 0, "conflicts": 0, "shards": []}
    first: dict[tuple[Any, ...], Any] = {}
    problems: list[str] = []
    with atomic_path(output) as temporary, open(temporary, "wb") as stream:
        for path in inputs:
            shard = {"file": path.name, "rows_in": 0, "rows_out": 0}
            for where, line in _lines(path):
                shard["rows_in"] += 1  # type: ignore[operator]
                row = _checked(where, line, problems)
                if row is None:
                    continue
                key = tuple(row[name] for name in NATURAL_KEY)
                if key in first:
                    counts["duplicates"] += 1
                    counts["conflicts"] += first[key] != row["vmaf_score"]
                    continue
                first[key] = row["vmaf_score"]
                stream.write(line.rstrip(b"\r\n") + b"\n")
                shard["rows_out"] += 1  # type: ignore[operator]
            counts["shards"].append(shard)
        if problems:
            more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
            raise RowError("; ".join(problems[:_SHOWN]) + more)
    for name in ("rows_in", "rows_out"):
        counts[name] = sum(shard[name] for shard in counts["shards"])
    write_manifest(
        output,
        verb="merge",
        args={"natural_key": list(NATURAL_KEY)},
        inputs={"rows": list(inputs)},
        outputs={"rows": output},
        details=counts,
        seconds=time.monotonic() - started,
    )
    return counts


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    reading(path)
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield f"{path}, line {number}", line


def _checked(where: str, line: bytes, problems: list[str]) -> dict[str, Any] | None:
    """Return a row; None after a problem was added."""
    try:
        row = parse_json(line, where, nan=True)
    except IntegrityError as err:
        problems.append(str(err))
        return None
    version = row.get("schema_version") if isinstance(row, dict) else None
    if not isinstance(row, dict) or type(version) is not int or version not in KEYS_OF_VERSION:
        known = ", ".join(map(str, KEYS_OF_VERSION))
        problems.append(
            f"{where}: schema_version is {version!r}, known are {known}: it is no row of vmaf-tune's corpus"
        )
        return None
    if lacking := sorted(required_keys(version) - row.keys()):
        problems.append(f"{where} lacks {', '.join(lacking[:5])}{', …' if len(lacking) > 5 else ''}")
        return None
    if unusable := [name for name in NATURAL_KEY if isinstance(row[name], list | dict)]:
        problems.append(f"{where}: {unusable[0]} is no plain value")
        return None
    return row
