"""The verb ``aggregate``: labels of several datasets on one scale of 0 to 100, each video once."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyvmaf.base.files import write_text
from pyvmaf.base.manifest import write_manifest
from pyvmaf.base.outputs import publishes
from pyvmaf.errors import InputError, MissingFileError
from pyvmaf.labels.rows import read_rows
from pyvmaf.labels.scales import ScaleMap, scale_map
from pyvmaf.labels.spec import LabelSpec, find_spec, load_labels

REQUIRED = ("src", "mos", "corpus")
COUNTERS = (
    *("rows_in", "rows_out", "dropped_unknown_corpus", "dropped_bad_scale", "cross_corpus_dedups", "without_hash"),
    "inputs_seen",
)
"""What is counted."""

_SLACK = 0.05


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
        for where, row in read_rows(path, REQUIRED):
            mos = row["mos"]
            if isinstance(mos, bool) or not isinstance(mos, int | float):
                raise InputError(f"{where}: mos is {mos!r}, not a number")
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
        # Of a dataset whose spec is not here, the row itself may say how it comes to the common scale.
        if not isinstance(row.get("mos_map"), str):
            return "dropped_unknown_corpus"
        return _on_common_scale(row, corpus, scale_map(row["mos_map"]), row.get("mos_native_scale"))
    return _on_common_scale(row, corpus, scale_map(spec.aggregated), list(spec.scale))


def _on_common_scale(row: Mapping[str, Any], corpus: str, to_common: ScaleMap, native: Any) -> dict[str, Any] | str:
    if not to_common.low - _SLACK <= row["mos"] <= to_common.high + _SLACK:
        return "dropped_bad_scale"
    return {
        **{key: value for key, value in row.items() if key != "mos_map"},
        "mos": to_common.value(row["mos"]),
        "mos_std_dev": to_common.deviation(row.get("mos_std_dev") or 0.0),
        "mos_scale": list(to_common.to),
        "mos_native": row.get("mos_native", row["mos"]),
        "mos_native_scale": row.get("mos_native_scale", native),
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
