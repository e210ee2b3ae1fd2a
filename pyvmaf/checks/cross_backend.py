"""``vmaf-train cross-backend``: whether other runtimes, and other variants of a model, give the same scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.document import publish_body
from pyvmaf.base.files import relative
from pyvmaf.checks.subject import (
    CPU,
    SCHEMAS,
    Feeds,
    Subject,
    feeds_of,
    made_feeds,
    open_subject,
    parse_shape,
    provider,
    rows_for,
    start,
)
from pyvmaf.errors import InputError

REFERENCE = "reference"
"""ONNX's own evaluator: every operator in numpy, no line of it shared with onnxruntime."""

DEFAULT = ("cpu", "cpu:unoptimised", REFERENCE)
"""What is compared where nothing is named: all that every installation has."""

_NEVER = "AzureExecutionProvider"


@dataclass(frozen=True)
class Backend:
    """A runtime and how it is set.

    Attributes:
        name: as it was asked for, with the provider's full name.
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
        """A backend from ``provider[:threads=N][:unoptimised]``.

        Raises:
            InputError: a setting is not known.
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
                raise InputError(f"{text!r}: {setting!r} is no setting of {word}; there are threads=N and unoptimised")
        return Backend(":".join((full, *settings)), full, threads, optimise)

    def runner(self, subject: Subject) -> Callable[[Feeds], list[NDArray[np.float64]]]:
        """What runs a model on this backend: feeds to the graph's outputs, as float64; of an ensemble their means."""
        runs = [self._runner(data) for data in subject.graphs]

        def answer(feeds: Feeds) -> list[NDArray[np.float64]]:
            found = [run(feeds) for run in runs]
            return [
                np.mean([np.asarray(out, dtype=np.float64) for out in outs], axis=0)
                for outs in zip(*found, strict=True)
            ]

        return answer

    def _runner(self, data: bytes) -> Callable[[Feeds], Any]:
        if self.provider == REFERENCE:
            from onnx.reference import ReferenceEvaluator

            evaluator = ReferenceEvaluator(data)
            return lambda feeds: evaluator.run(None, dict(feeds))
        session = start(data, self.provider, self.threads, self.optimise)
        return lambda feeds: session.run(None, feeds)


def default_backends() -> list[str]:
    """What to compare where nothing is named: what every installation has, and every further provider of this one."""
    import onnxruntime as ort

    return [*DEFAULT, *(p for p in ort.get_available_providers() if p not in (CPU, _NEVER))]


def _difference(found: list[NDArray[np.float64]], expected: list[NDArray[np.float64]], what: str) -> dict[str, Any]:
    shapes = [a.shape for a in found], [a.shape for a in expected]
    if shapes[0] != shapes[1]:
        raise InputError(f"{what} answers with shapes {shapes[0]}, but the first backend with {shapes[1]}")
    a, b = (np.concatenate([out.reshape(-1) for out in side]) for side in (found, expected))
    same = np.isfinite(a) == np.isfinite(b)
    gap = np.abs(np.where(np.isfinite(a) & np.isfinite(b), a - b, 0.0))
    place = int(gap.argmax())
    return {
        "max_abs_diff": float(gap[place]),
        "mean_abs_diff": float(gap.mean()),
        "worst_row": place,
        "worst_pair": [float(v) if np.isfinite(v) else None for v in (b[place], a[place])],
        # Where one side is no number the other one must be none either.
        "finite_on_one_side_only": int(np.count_nonzero(~same)),
    }


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
) -> dict[str, Any]:
    """Compare the outputs of every model on every backend with those of the first model on the first backend.

    Args:
        models: as in `open_subject`; a second one is a variant of the first, such as
            its int8 form.
        table: parquet table to take rows from, evenly spaced; by default rows are made up inside the training range.
        shape: what to feed instead of rows of a table; see `parse_shape`.
        providers: ``provider[:threads=N][:unoptimised]`` of onnxruntime, or "reference"; by default
            `default_backends`.
        n_rows: at most so many rows.
        atol: largest difference that is allowed, in units of the output.
        sidecar: of the models, where it does not lie beside them.
        registry: where ids are looked up.
        output: JSON file for the report.

    Returns:
        The report; ``passed`` where no difference exceeds `atol`.

    Raises:
        InputError: table and shape are both given, models take different inputs, or fewer than two runs would be
            compared.
        UnavailableError: a provider is not installed.
    """
    started = time.perf_counter()
    if table is not None and shape is not None:
        raise InputError("give rows of a table or a shape to make rows of, not both")
    backends = [Backend.parse(text) for text in (providers or default_backends())]
    subjects = [open_subject(model, sidecar=sidecar, registry=registry) for model in models]
    first = subjects[0]
    if len(backends) * len(subjects) < 2:
        raise InputError(f"there is only {backends[0].name} to run {first.path} on: name two models or two providers")
    for other in subjects[1:]:
        if other.shapes != first.shapes:
            raise InputError(f"{other.path} takes {other.shapes}, but {first.path} takes {first.shapes}")
    if table is not None:
        rows = rows_for(first.described(), table).spread(n_rows)
        feeds, kind = feeds_of(first, rows.X, rows.codec), "table"
    else:
        feeds, kind = made_feeds(first, parse_shape(shape or str(n_rows), first)), "made up"
    count = len(next(iter(feeds.values())))
    runs: list[dict[str, Any]] = []
    expected: list[NDArray[np.float64]] | None = None
    for subject in subjects:
        for backend in backends:
            found = backend.runner(subject)(feeds)
            expected = found if expected is None else expected
            gap = _difference(found, expected, f"{subject.path} on {backend.name}")
            runs.append(
                {
                    "model": subject.name,
                    "path": relative(subject.path),
                    "sha256": subject.sha256,
                    "backend": backend.name,
                    **gap,
                    "passed": gap["max_abs_diff"] <= atol and gap["finite_on_one_side_only"] == 0,
                }
            )
    inputs: dict[str, Path | Sequence[Path]] = {"model": [s.path for s in subjects]}
    if table is not None:
        inputs["features"] = table
    return publish_body(
        {
            "n_rows": count,
            "rows": kind,
            "atol": atol,
            "runs": runs,
            "max_abs_diff": max(run["max_abs_diff"] for run in runs),
            "passed": all(run["passed"] for run in runs),
        },
        output,
        schema=SCHEMAS / "cross-backend.schema.json",
        verb="cross-backend",
        args={
            "model": [str(m) for m in models],
            "provider": [b.name for b in backends],
            "shape": shape,
            "n_rows": n_rows,
            "atol": atol,
        },
        inputs=inputs,
        started=started,
    )
