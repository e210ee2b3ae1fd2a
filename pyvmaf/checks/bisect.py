"""``vmaf-train bisect-model-quality``: the first model of a series, good to bad, that misses a limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pyvmaf.base.document import Call, Count, Document, Name, Part, Positive, RunProvenance, Sha256, publish
from pyvmaf.base.files import relative, sha256_file
from pyvmaf.base.outputs import publishes
from pyvmaf.checks.subject import (
    TARGETS,
    Limit,
    Subject,
    bare_input,
    bare_scores,
    open_subject,
    read_rows,
    rows_for,
)
from pyvmaf.errors import InputError
from pyvmaf.features.catalog import CANONICAL6
from pyvmaf.metrics import agreement, finite
from pyvmaf.tables.columns import read_schema

OnModel = Callable[[int, str], None]
"""Called with (models evaluated so far, name of the last one)."""


class Figures(Part):
    """Agreement of a model's predictions with the target; null if a figure is not defined."""

    n: Count
    plcc: float | None
    srocc: float | None
    krocc: float | None
    rmse: float | None


class EvaluatedModel(Figures):
    """One model of the series."""

    place: Count = Field(description="Index in the series, from 0.")
    model: Name
    path: Name
    sha256: Sha256
    passed: bool
    evaluated: Positive = Field(description="Number of this evaluation in the order of evaluation, from 1.")


class Bisection(Document):
    """Report of ``vmaf-train bisect-model-quality``."""

    title: ClassVar[str] = "Report of vmaf-train bisect-model-quality"

    schema_version: Literal[1] = 1
    limit: Limit
    table: Name
    table_sha256: Sha256
    n_models: Positive
    n_evaluated: Positive
    models: list[EvaluatedModel] = Field(min_length=1, description="The evaluated models, in the order of the series.")
    first_bad: Count | None = Field(description="Index of the first model that fails; null if none does.")
    first_bad_path: str | None
    monotone: bool | None = Field(
        description="false: a good model follows a bad one; true: all were evaluated and none does; else null."
    )
    notes: list[Name]
    passed: bool = Field(description="No model that was evaluated fails.")
    run_provenance: RunProvenance


def find_first_bad(n: int, passes: Callable[[int], bool], *, every: bool = False) -> int | None:
    """Find the first model that fails, by halving a series of good models followed by bad ones.

    Args:
        n: number of models, at least 1.
        passes: evaluates the model with an index; it is called once per index.
        every: evaluate all models, so that a series that is not in order shows.

    Returns:
        Index of the first failing model, None if none fails. The first and the last model are always evaluated.
    """
    if every:
        failing = [index for index, good in enumerate(map(passes, range(n))) if not good]
        return failing[0] if failing else None
    first, last = passes(0), passes(n - 1) if n > 1 else None
    if not first or last is None:
        return None if first else 0
    if last:
        return None
    good, bad = 0, n - 1
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if passes(middle) else (good, middle)
    return bad


class _Series:
    """Models in order, each evaluated at most once; files with the same bytes share their figures."""

    def __init__(
        self,
        models: Sequence[str | Path],
        limit: Limit,
        figures: Callable[[Subject], Figures],
        registry: Path | None,
        on_model: OnModel | None,
    ) -> None:
        self.models = models
        self.limit = limit
        self.figures = figures
        self.registry = registry
        self.on_model = on_model
        self.by_hash: dict[str, Figures] = {}
        self.evaluated: dict[int, EvaluatedModel] = {}

    def passes(self, index: int) -> bool:
        subject = open_subject(self.models[index], registry=self.registry)
        if subject.sha256 not in self.by_hash:
            self.by_hash[subject.sha256] = self.figures(subject)
        figures = self.by_hash[subject.sha256]
        model = EvaluatedModel(
            place=index,
            model=subject.name,
            path=relative(subject.path),
            sha256=subject.sha256,
            passed=self.limit.allows(getattr(figures, self.limit.figure)),
            evaluated=len(self.evaluated) + 1,
            **figures.model_dump(),
        )
        self.evaluated[index] = model
        if self.on_model is not None:
            self.on_model(len(self.evaluated), subject.name)
        return model.passed

    def in_order(self) -> list[EvaluatedModel]:
        return [self.evaluated[index] for index in sorted(self.evaluated)]


def _bare(
    subject: Subject, table: Path, target: str | None, columns: Sequence[str], input_name: str | None
) -> NDArray[np.float64]:
    """Compute target and predictions [2, n] of a model without a sidecar, which is fed with raw columns."""
    name = bare_input(subject, columns, input_name)
    if target is None:
        present = read_schema(table)
        target = next((name for name in TARGETS if name in present), None)
        if target is None:
            raise InputError(f"{table} has none of the columns {', '.join(TARGETS)}: name the target with --target")
    rows = read_rows(table, columns, target=target)
    assert rows.y is not None
    return np.stack([rows.y, bare_scores(subject.graphs[0], name, rows.X)])


def _described(subject: Subject, table: Path, target: str | None) -> NDArray[np.float64]:
    """Compute target and predictions [2, n] of a model with a sidecar."""
    model = subject.described()
    rows = rows_for(model, table, target or str(model.sidecar.get("target", "vmaf")))
    assert rows.y is not None
    return np.stack([rows.y, model.predict(rows.X, rows.codec).scores])


def _one_limit(min_plcc: float | None, min_srocc: float | None, max_rmse: float | None) -> tuple[str, Limit]:
    """Return the name of the option that was given and its limit.

    Raises:
        InputError: not exactly one is given.
    """
    options = {"min_plcc": min_plcc, "min_srocc": min_srocc, "max_rmse": max_rmse}
    limits = [
        (name, Limit(figure=name[4:], kind=name[:3], value=value))  # type: ignore[arg-type]
        for name, value in options.items()
        if value is not None
    ]
    if len(limits) != 1:
        raise InputError(f"give exactly one of --min-plcc, --min-srocc and --max-rmse, not {len(limits)}")
    return limits[0]


def _notes(series: _Series, first_bad: int | None, late: Sequence[EvaluatedModel], every: bool) -> list[str]:
    if late and first_bad is not None:
        shown = ", ".join(model.path for model in late[:3])
        return [
            f"the series is not in order: {series.evaluated[first_bad].path} fails, but {shown} later on passes, so "
            "that there may be other changes from good to bad"
        ]
    if not every and first_bad is None and len(series.models) > 2:
        return ["only the first and the last model were evaluated; both pass. --every evaluates all of them"]
    return []


@publishes("bisect-model-quality")
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
) -> Bisection:
    """Find the first model that fails by halving the series: 1,000 models take some 12 evaluations.

    Args:
        models: as in `open_subject`, ordered from good to bad.
        table: parquet table with features and target.
        min_plcc, min_srocc, max_rmse: exactly one of them, a limit that a good model keeps.
        target: column to compare with; by default the target of the model's training, else the first of `TARGETS`.
        columns: columns that are fed, raw, to a model without a sidecar.
        input_name: required name of the input of a model without a sidecar; by default any.
        every: evaluate all models instead of halving, which shows whether the series is in order.
        registry: where ids are looked up.
        output: JSON file for the report.
        on_model: called after each evaluation.

    Returns:
        The report. ``first_bad`` is the index of the first failing model, counted from 0, or None; ``monotone`` is
        False if a good model follows a bad one, True if every model was evaluated and none does, else None.

    Raises:
        InputError: not exactly one limit is given, or no models.
    """
    option, limit = _one_limit(min_plcc, min_srocc, max_rmse)
    if not models:
        raise InputError("there are no models to evaluate: name them in order, good to bad")
    call = Call(
        "bisect-model-quality",
        args={
            "model": [str(model) for model in models],
            option: limit.value,
            "target": target,
            "columns": list(columns),
            "every": every,
        },
        inputs={
            "model": [path for path in (Path(str(model)) for model in models) if path.is_file()],
            "features": table,
        },
    )

    def figures(subject: Subject) -> Figures:
        if subject.model is not None:
            y, scores = _described(subject, table, target)
        else:
            y, scores = _bare(subject, table, target, columns, input_name)
        measured = agreement(scores, y)
        return Figures(
            n=measured["n"],
            plcc=finite(measured["plcc"]),
            srocc=finite(measured["srocc"]),
            krocc=finite(measured["krocc"]),
            rmse=finite(measured["rmse"]),
        )

    series = _Series(models, limit, figures, registry, on_model)
    first_bad = find_first_bad(len(models), series.passes, every=every)
    evaluated = series.in_order()
    late = [model for model in evaluated if first_bad is not None and model.place > first_bad and model.passed]
    report = Bisection(
        limit=limit,
        table=relative(table),
        table_sha256=sha256_file(table),
        n_models=len(models),
        n_evaluated=len(evaluated),
        models=evaluated,
        first_bad=first_bad,
        first_bad_path=None if first_bad is None else series.evaluated[first_bad].path,
        monotone=False if late else (True if len(evaluated) == len(models) else None),
        notes=_notes(series, first_bad, late, every),
        passed=first_bad is None,
        run_provenance=call.provenance(),
    )
    return publish(report, output, call)
