"""The verb ``aggregate``: labels of several datasets on one scale of 0 to 100, each video once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyvmaf.base.files import write_text
from pyvmaf.base.manifest import write_manifest
from pyvmaf.base.outputs import publishes, reading
from pyvmaf.base.parse import parse_json
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.labels.scales import scale_map
from pyvmaf.labels.spec import LabelSpec, find_spec, load_labels

REQUIRED = ("src", "mos", "corpus")
COUNTERS = (
    *("rows_in", "rows_out", "dropped_unknown_corpus", "dropped_bad_scale", "cross_corpus_dedups", "without_hash"),
    "inputs_seen",
)
"""What is counted."""

_SLACK = 0.05


def read_rows(path: Path, required: Sequence[str] = REQUIRED) -> Iterator[dict[str, Any]]:
    """Give the rows of a file of labels.

    Raises:
        MissingFileError: there is no such file.
        IntegrityError: a line is not a JSON object.
        InputError: a row lacks a required key, or its score is no number.
    """
    reading(path)
    if not path.is_file():
        raise MissingFileError(f"no such file: {path}")
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            where = f"{path}, line {number}"
            if not line.strip():
                continue
            row = parse_json(line, where)
            if not isinstance(row, dict):
                raise IntegrityError(f"{where} is no JSON object")
            lacking = [key for key in required if row.get(key) in (None, "")]
            if lacking:
                raise InputError(f"{where} lacks {', '.join(lacking)}: it is no row of the verb labels")
            mos = row.get("mos")
            if "mos" in required and (isinstance(mos, bool) or not isinstance(mos, int | float)):
                raise InputError(f"{where}: mos is {mos!r}, not a number")
            yield row


@publishes("aggregate")
def aggregate(inputs: Sequence[Path], output: Path) -> dict[str, int]:
    """Put labels of several datasets on the scale of 0 to 100, and keep each video once.

    Of rows of one file (equal ``src_sha256``) that with the smaller deviation stays; a deviation of 0 is not known and
    loses, and of equal ones the first stays. Rows without a hash cannot be compared: all stay, and they are counted.

    Args:
        inputs: files of the verb labels.
        output: rows sorted by dataset and hash (.jsonl), with the native score and its scale.

    Returns:
        The counters, see `COUNTERS`.

    Raises:
        MissingFileError, IntegrityError, InputError: as `read_rows`; also if an input is given twice or no row is left.
    """
    started = time.monotonic()
    if len({path.resolve() for path in inputs}) != len(inputs):
        raise InputError("an input is given twice")
    counts = dict.fromkeys(COUNTERS, 0)
    specs: dict[str, LabelSpec | None] = {}
    kept: dict[str, dict[str, Any]] = {}
    for path in inputs:
        counts["inputs_seen"] += 1
        for row in read_rows(path):
            counts["rows_in"] += 1
            mapped = _mapped(row, specs)
            if isinstance(mapped, str):
                counts[mapped] += 1
                continue
            _keep(kept, mapped, counts)
    rows = sorted(kept.values(), key=lambda row: (row["corpus_source"], row["src_sha256"] or "", row["src"]))
    counts["rows_out"] = len(rows)
    if not rows:
        raise InputError(f"no row is left: {', '.join(f'{name} {count}' for name, count in counts.items() if count)}")
    write_text(output, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))
    write_manifest(
        output,
        verb="aggregate",
        args={},
        inputs={"labels": list(inputs)},
        outputs={"labels": output},
        details=counts,
        seconds=time.monotonic() - started,
    )
    return counts


def _mapped(row: Mapping[str, Any], specs: dict[str, LabelSpec | None]) -> dict[str, Any] | str:
    """The row on the common scale, or the counter of the reason why it is left out."""
    corpus = str(row["corpus"])
    if corpus not in specs:
        try:
            specs[corpus] = load_labels(find_spec(corpus))
        except MissingFileError:
            specs[corpus] = None
    spec = specs[corpus]
    if spec is None:
        return "dropped_unknown_corpus"
    to_common = scale_map(spec.aggregated)
    if not to_common.low - _SLACK <= row["mos"] <= to_common.high + _SLACK:
        return "dropped_bad_scale"
    return {
        **row,
        "mos": to_common.value(row["mos"]),
        "mos_std_dev": to_common.deviation(row.get("mos_std_dev") or 0.0),
        "mos_native": row.get("mos_native", row["mos"]),
        "mos_native_scale": row.get("mos_native_scale", list(spec.scale)),
        "corpus_source": corpus,
        "src_sha256": row.get("src_sha256"),
    }


def _keep(kept: dict[str, dict[str, Any]], row: dict[str, Any], counts: dict[str, int]) -> None:
    sha256 = row["src_sha256"]
    if sha256 is None:
        counts["without_hash"] += 1
        key = f"{row['corpus_source']}\0{row['src']}"
    else:
        key = str(sha256)
    earlier = kept.get(key)
    if earlier is None:
        kept[key] = row
        return
    counts["cross_corpus_dedups"] += 1
    old, new = earlier["mos_std_dev"], row["mos_std_dev"]
    if new and (not old or new < old):
        kept[key] = row
