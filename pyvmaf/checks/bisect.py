"""``vmaf-train bisect-model-quality``: the first model of a series, good to bad, that no longer reaches a figure."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.document import publish_body
from pyvmaf.base.files import relative, sha256_file
from pyvmaf.checks.subject import CPU, SCHEMAS, Subject, open_subject, read_rows, rows_for, start
from pyvmaf.errors import InputError
from pyvmaf.features.catalog import CANONICAL6
from pyvmaf.metrics import FIGURES, agreement
from pyvmaf.models.regressor.rows import read_schema

TARGETS = ("mos", "dmos", "target", "score", "vmaf")
"""Columns that a target is looked for in, for models without a sidecar that names it."""

OnModel = Callable[[int, str], None]
"""Called with (models evaluated so far, the last one's name)."""


def _bare(subject: Subject, table: Path, target: str | None, columns: Sequence[str]) -> NDArray[np.float64]:
    """Target and predictions [2, n] of a model without a sidecar, which is fed with raw columns."""
    if len(subject.shapes) != 1:
        raise InputError(
            f"{subject.path} has inputs {', '.join(subject.shapes)} and no sidecar that says what they are"
        )
    if target is None:
        present = read_schema(table)
        target = next((name for name in TARGETS if name in present), None)
        if target is None:
            raise InputError(f"{table} has none of the columns {', '.join(TARGETS)}: name the target with --target")
    ((name, shape),) = subject.shapes.items()
    if len(shape) != 2 or shape[1] not in (None, len(columns)):
        raise InputError(
            f"input {name!r} of {subject.path} is {shape}, but {len(columns)} columns would be fed "
            f"({', '.join(columns)}): name its columns with --columns"
        )
    rows = read_rows(table, columns, target=target)
    scores = start(subject.graphs[0], CPU).run(None, {name: rows.X.astype(np.float32)})[0]
    assert rows.y is not None
    return np.stack([rows.y, np.asarray(scores, dtype=np.float64).reshape(rows.y.size)])


def _described(subject: Subject, table: Path, target: str | None) -> NDArray[np.float64]:
    model = subject.described()
    rows = rows_for(model, table, target or str(model.sidecar.get("target", "vmaf")))
    assert rows.y is not None
    return np.stack([rows.y, model.predict(rows.X, rows.codec).scores])


def bisect_model_quality(
    models: Sequence[str | Path],
    table: Path,
    *,
    min_plcc: float | None = None,
    min_srocc: float | None = None,
    max_rmse: float | None = None,
    target: str | None = None,
    columns: Sequence[str] = CANONICAL6,
    input_name: str | None = None,
    every: bool = False,
    registry: Path | None = None,
    output: Path | None = None,
    on_model: OnModel | None = None,
) -> dict[str, Any]:
    """Find the first model that fails by halving the series: 1,000 models take some 12 evaluations.

    Args:
        models: as in `open_subject`, ordered from good to bad.
        table: parquet table with features and target.
        min_plcc, min_srocc, max_rmse: exactly one of them, which a good model keeps.
        target: column to compare with; by default the one that a model was trained on, else the first of `TARGETS`.
        columns: what a model without a sidecar is fed with, raw.
        input_name: what the input of a model without a sidecar has to be called; by default whatever it is called.
        every: evaluate all models instead of halving, which shows whether the series is in order.
        registry: where ids are looked up.
        output: JSON file for the report.
        on_model: called after each evaluation.

    Returns:
        The report. ``first_bad`` is the place of the first failing model, counted from 0, or None; ``monotone`` is
        False where a good model follows a bad one, True where every model was looked at and none does, else None.

    Raises:
        InputError: not exactly one limit, or there are no models.
    """
    started = time.perf_counter()
    limits = {"min_plcc": min_plcc, "min_srocc": min_srocc, "max_rmse": max_rmse}
    given = {name: value for name, value in limits.items() if value is not None}
    if len(given) != 1:
        raise InputError(f"give exactly one of --min-plcc, --min-srocc and --max-rmse, not {len(given)}")
    if not models:
        raise InputError("there is no model to look at: name them in order, good to bad")
    ((limit, value),) = given.items()
    figure = limit.partition("_")[2]
    known: dict[str, dict[str, Any]] = {}
    seen: dict[int, dict[str, Any]] = {}

    def passes(place: int) -> bool:
        if place not in seen:
            subject = open_subject(models[place], registry=registry)
            if input_name is not None and subject.model is None and input_name not in subject.shapes:
                raise InputError(f"{subject.path} has no input {input_name!r}, but {', '.join(subject.shapes)}")
            if subject.sha256 not in known:
                pair = _bare(subject, table, target, columns) if subject.model is None else None
                y, scores = _described(subject, table, target) if pair is None else pair
                figures: dict[str, Any] = {**agreement(scores, y)}
                known[subject.sha256] = {k: v if math.isfinite(v) else None for k, v in figures.items()}
            found = known[subject.sha256]
            measured = found[figure]
            # A figure that is not defined (constant predictions) is no good one.
            good = measured is not None and (measured <= value if limit == "max_rmse" else measured >= value)
            seen[place] = {
                "place": place,
                "model": subject.name,
                "path": relative(subject.path),
                "sha256": subject.sha256,
                **{k: found[k] for k in ("n", *FIGURES)},
                "passed": good,
                "evaluated": len(seen) + 1,
            }
            if on_model is not None:
                on_model(len(seen), subject.name)
        return bool(seen[place]["passed"])

    last = len(models) - 1
    first_bad: int | None = None
    if every:
        first_bad = next((place for place in range(last + 1) if not passes(place)), None)
        for place in range(last + 1):
            passes(place)
    elif not passes(0):
        first_bad = 0
        passes(last)
    elif not passes(last):
        good, first_bad = 0, last
        while first_bad - good > 1:
            middle = (good + first_bad) // 2
            good, first_bad = (middle, first_bad) if passes(middle) else (good, middle)

    out_of_order = [p for p in sorted(seen) if first_bad is not None and p > first_bad and seen[p]["passed"]]
    notes = []
    if out_of_order:
        shown = ", ".join(seen[p]["path"] for p in out_of_order[:3])
        notes.append(
            f"the series is not in order: {seen[first_bad or 0]['path']} fails, but {shown} later on passes, so that "
            "there may be other changes from good to bad"
        )
    elif not every and first_bad is None and last > 1:
        notes.append("only the first and the last model were evaluated; both pass. --every looks at all of them")
    evaluated = [seen[place] for place in sorted(seen)]
    inputs: dict[str, Path | Sequence[Path]] = {
        "model": [open_path for open_path in (Path(str(m)) for m in models) if open_path.is_file()],
        "features": table,
    }
    return publish_body(
        {
            "limit": {"figure": figure, "kind": limit.partition("_")[0], "value": value},
            "table": relative(table),
            "table_sha256": sha256_file(table),
            "n_models": len(models),
            "n_evaluated": len(evaluated),
            "models": evaluated,
            "first_bad": first_bad,
            "first_bad_path": None if first_bad is None else seen[first_bad]["path"],
            "monotone": False if out_of_order else (True if len(seen) == len(models) else None),
            "notes": notes,
            "passed": first_bad is None,
        },
        output,
        schema=SCHEMAS / "bisect-model-quality.schema.json",
        verb="bisect-model-quality",
        args={
            "model": [str(m) for m in models],
            limit: value,
            "target": target,
            "columns": list(columns),
            "every": every,
        },
        inputs=inputs,
        started=started,
    )
