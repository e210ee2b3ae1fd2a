"""``vmaf-train cross-backend``: whether other runtimes, and other variants of a model, give the same scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pyvmaf.base.document import Call, Count, Document, Name, Part, Positive, RunProvenance, Sha256, Size, publish
from pyvmaf.base.files import relative
from pyvmaf.base.outputs import publishes
from pyvmaf.checks.subject import (
    Feeds,
    Subject,
    drawn_feeds,
    open_subject,
    parse_shape,
    provider,
    rows_for,
    start,
)
from pyvmaf.errors import InputError, UnavailableError
from pyvmaf.metrics import finite
from pyvmaf.runtime.graph import Graph
from pyvmaf.runtime.session import CPU, one_line, run_all

REFERENCE = "reference"
"""ONNX's own evaluator: every operator in numpy, no code shared with onnxruntime."""

DEFAULT = ("cpu", "cpu:unoptimised", REFERENCE)
"""Backends that every installation has; they are compared by default."""

_NEVER = "AzureExecutionProvider"  # it sends requests to a server


@dataclass(frozen=True)
class Backend:
    """A runtime and its settings.

    Attributes:
        name: the requested text with the provider's full name.
        provider: of onnxruntime, or `REFERENCE`.
        threads: of the runtime.
        optimise: whether the runtime may rewrite the graph.
    """

    name: str
    provider: str
    threads: int = 1
    optimise: bool = True

    @staticmethod
    def parse(text: str) -> Backend:
        """Parse ``provider[:threads=N][:unoptimised]``.

        Raises:
            InputError: a setting is unknown.
            UnavailableError: the provider is not installed.
        """
        word, *settings = text.split(":")
        full = REFERENCE if word == REFERENCE else provider(word)
        threads, optimise = 1, True
        for setting in settings:
            key, _, value = setting.partition("=")
            if key == "threads" and value.isdecimal() and int(value) > 0 and full != REFERENCE:
                threads = int(value)
            elif setting in ("unoptimised", "unoptimized") and full != REFERENCE:
                optimise = False
            else:
                raise InputError(f"{text!r}: {setting!r} is not a setting of {word}: use threads=N or unoptimised")
        return Backend(":".join((full, *settings)), full, threads, optimise)

    def run(self, subject: Subject, feeds: Feeds) -> list[NDArray[np.float64]]:
        """Run a model on this backend.

        Returns:
            The graph's outputs; of an ensemble the means over the members.

        Raises:
            UnavailableError: this backend does not have an operator of the graph, or does not start.
            IntegrityError: it refuses the graph.
        """
        members = [self._run(graph, feeds) for graph in subject.graphs]
        return [
            np.mean([np.asarray(output, dtype=np.float64) for output in outputs], axis=0)
            for outputs in zip(*members, strict=True)
        ]

    def _run(self, graph: Graph, feeds: Feeds) -> list[Any]:
        if self.provider != REFERENCE:
            runtime = start(graph, self.provider, feeds, self.threads, self.optimise)
            return run_all(runtime, feeds, graph.where)
        from onnx.reference import ReferenceEvaluator

        graph.check_extent({name: values.shape for name, values in feeds.items()})
        try:
            return list(ReferenceEvaluator(graph.proto).run(None, dict(feeds)))
        except Exception as err:  # the evaluator's errors have no common base
            raise UnavailableError(f"ONNX's own evaluator cannot run {graph.where}: {one_line(err)}") from err


class Difference(Part):
    """Difference between the outputs of two runs."""

    max_abs_diff: Size = Field(description="From the first run.")
    mean_abs_diff: Size
    worst_row: Count = Field(description="Index in the flattened outputs.")
    worst_pair: Annotated[list[float | None], Field(min_length=2, max_length=2)] = Field(
        description="Outputs of the first run and of this one at that index."
    )
    finite_on_one_side_only: Count


class BackendRun(Difference):
    """One model on one backend, compared with the first model on the first backend."""

    model: Name
    path: Name
    sha256: Sha256
    backend: Name = Field(description="provider[:settings]; reference is ONNX's own evaluator.")
    passed: bool


class LeftOut(Part):
    """A backend of the default that cannot run a model."""

    path: Name
    backend: Name
    why: Name


class CrossBackend(Document):
    """Report of ``vmaf-train cross-backend``."""

    title: ClassVar[str] = "Report of vmaf-train cross-backend"

    schema_version: Literal[1] = 1
    n_rows: Positive
    rows: Literal["table", "made up"]
    atol: Size
    runs: list[BackendRun] = Field(min_length=2)
    left_out: list[LeftOut] = Field(description="Backends of the default that cannot run a model.")
    max_abs_diff: Size
    passed: bool
    run_provenance: RunProvenance


def default_backends() -> list[str]:
    """List the backends of every installation and every further provider of this one."""
    import onnxruntime as ort

    return [*DEFAULT, *(p for p in ort.get_available_providers() if p not in (CPU, _NEVER))]


def _difference(outputs: list[NDArray[np.float64]], expected: list[NDArray[np.float64]], run: str) -> Difference:
    """Compare the outputs of a run with those of the first one.

    Raises:
        InputError: their shapes differ.
    """
    shapes = [a.shape for a in outputs], [a.shape for a in expected]
    if shapes[0] != shapes[1]:
        raise InputError(f"{run} gives outputs of shapes {shapes[0]}, but the first backend {shapes[1]}")
    a, b = (np.concatenate([output.reshape(-1) for output in side]) for side in (outputs, expected))
    same = np.isfinite(a) == np.isfinite(b)
    gap = np.abs(np.where(np.isfinite(a) & np.isfinite(b), a - b, 0.0))
    worst = int(gap.argmax())
    return Difference(
        max_abs_diff=float(gap[worst]),
        mean_abs_diff=float(gap.mean()),
        worst_row=worst,
        worst_pair=[finite(b[worst]), finite(a[worst])],
        # NaN on one side is an agreement only with NaN on the other.
        finite_on_one_side_only=int(np.count_nonzero(~same)),
    )


def _open_all(models: Sequence[str | Path], sidecar: Path | None, registry: Path | None) -> list[Subject]:
    subjects = [open_subject(model, sidecar=sidecar, registry=registry) for model in models]
    first = subjects[0]
    for other in subjects[1:]:
        if other.shapes != first.shapes:
            raise InputError(f"{other.path} takes {other.shapes}, but {first.path} takes {first.shapes}")
    return subjects


def _run_all(
    subjects: Sequence[Subject], backends: Sequence[Backend], feeds: Feeds, atol: float, optional: frozenset[str]
) -> tuple[list[BackendRun], list[LeftOut]]:
    """Run every model on every backend, without those of the `optional` backends that cannot run a model."""
    runs: list[BackendRun] = []
    left_out: list[LeftOut] = []
    expected: list[NDArray[np.float64]] | None = None
    for subject in subjects:
        for backend in backends:
            try:
                outputs = backend.run(subject, feeds)
            except UnavailableError as err:
                if backend.name not in optional:
                    raise
                left_out.append(LeftOut(path=relative(subject.path), backend=backend.name, why=str(err)))
                continue
            expected = outputs if expected is None else expected
            gap = _difference(outputs, expected, f"{subject.path} on {backend.name}")
            runs.append(
                BackendRun(
                    model=subject.name,
                    path=relative(subject.path),
                    sha256=subject.sha256,
                    backend=backend.name,
                    passed=gap.max_abs_diff <= atol and gap.finite_on_one_side_only == 0,
                    **gap.model_dump(),
                )
            )
    return runs, left_out


@publishes("cross-backend")
def cross_backend(
    models: Sequence[str | Path],
    *,
    table: Path | None = None,
    shape: str | None = None,
    providers: Sequence[str] = (),
    n_rows: int = 256,
    atol: float = 1e-3,
    sidecar: Path | None = None,
    registry: Path | None = None,
    output: Path | None = None,
) -> CrossBackend:
    """Compare the outputs of every model on every backend with those of the first model on the first backend.

    Args:
        models: as in `open_subject`; a second one is a variant of the first, such as its int8 form.
        table: parquet table to take rows from, evenly spaced; by default rows are drawn inside the training range.
        shape: shape of drawn rows; see `parse_shape`.
        providers: ``provider[:threads=N][:unoptimised]`` of onnxruntime, or "reference"; by default
            `default_backends`.
        n_rows: largest number of rows.
        atol: largest difference that is allowed, in units of the output.
        sidecar: of the models, if it is not beside them.
        registry: where ids are looked up.
        output: JSON file for the report.

    Returns:
        The report; ``passed`` if no difference exceeds `atol`.

    Raises:
        InputError: both `table` and `shape` are given, models take different inputs, or fewer than two runs would be
            compared.
        UnavailableError: a provider is not installed.
    """
    if table is not None and shape is not None:
        raise InputError("a table and a shape exclude each other: the table has the rows, the shape is for drawn ones")
    backends = [Backend.parse(text) for text in (providers or default_backends())]
    subjects = _open_all(models, sidecar, registry)
    first = subjects[0]
    if len(backends) * len(subjects) < 2:
        raise InputError(f"{first.path} would run on {backends[0].name} alone: name two models or two providers")
    inputs: dict[str, Path | Sequence[Path]] = {"model": [subject.path for subject in subjects]}
    args = {
        "model": [str(model) for model in models],
        "provider": [backend.name for backend in backends],
        "shape": shape,
        "n_rows": n_rows,
        "atol": atol,
    }
    if table is not None:
        inputs["features"] = table
        rows = rows_for(first.described(), table).spread(n_rows)
        feeds = first.described().feeds(rows.X, rows.codec)
    else:
        feeds = drawn_feeds(first, parse_shape(shape or str(n_rows), first))
    call = Call("cross-backend", args=args, inputs=inputs)
    runs, left_out = _run_all(subjects, backends, feeds, atol, frozenset() if providers else frozenset({REFERENCE}))
    report = CrossBackend(
        n_rows=len(next(iter(feeds.values()))),
        rows="made up" if table is None else "table",
        atol=atol,
        runs=runs,
        left_out=left_out,
        max_abs_diff=max(run.max_abs_diff for run in runs),
        passed=all(run.passed for run in runs),
        run_provenance=call.provenance(),
    )
    return publish(report, output, call)
