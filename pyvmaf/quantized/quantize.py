"""``vmaf-train quantize-int8``: an int8 variant, and its cost on sources that the model has not seen.

Two questions have two answers here. *What ships* is the exported model (trained on all sources) with activation
ranges measured on rows of those same sources. *What int8 costs* is measured fold by fold: the fold's own model,
exported the same way, is quantised with rows of the sources it was trained on, and both precisions predict the rows
of the source that neither the weights, the scaler nor the activation ranges have seen. The mean drop over the folds
is held against the budget; the worst fold is reported beside it.

A variant that needs operators which no model file may hold is measured like the others, by the session that is made
here for bytes that were made here. Its report says that it is refused, and why.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from pyvmaf.base.document import Call
from pyvmaf.base.files import sha256_bytes, sha256_file, write_bytes
from pyvmaf.base.manifest import write_manifest
from pyvmaf.base.outputs import claim, publishes
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.metrics import agreement, finite, rmse
from pyvmaf.models.crossval import Division
from pyvmaf.models.families import Feeds, Int8Rows, int8_part
from pyvmaf.models.graphs import check_file, member_graph
from pyvmaf.models.sampling import evenly
from pyvmaf.models.spec import ModelSpec, Quantised, explain, load_spec
from pyvmaf.models.weights import Weights, load_weights
from pyvmaf.quantized.material import Material
from pyvmaf.quantized.modes import MODES
from pyvmaf.quantized.report import (
    Allowlist,
    CalibrationRows,
    FileFacts,
    HeldOutRows,
    Int8Facts,
    Int8Fold,
    Int8Report,
    TrainingSettings,
)
from pyvmaf.runtime import allowlist
from pyvmaf.runtime.load import load_model
from pyvmaf.runtime.session import run, session
from pyvmaf.splits import Fold

OnFold = Callable[[int, int], None]
"""Called with (folds done, folds in all)."""

_LATENCY_ROWS, _LATENCY_RUNS, _LATENCY_RUNS_OF_PICTURES = 240, 50, 12


def check_int8(data: bytes, spec: ModelSpec) -> tuple[dict[str, int], str | None]:
    """Count the operators of an int8 file, and give the reason if the allowlist refuses it, else None.

    Raises:
        InputError: it is too large, or has another operator set.
        IntegrityError: it is not valid ONNX.
    """
    where = f"the int8 file of {spec.name}"
    model = allowlist.parse(data, where)
    try:
        allowlist.check(model, where)
    except InputError as err:
        return dict(sorted(Counter(node.op_type for node in model.graph.node).items())), str(err)
    return check_file(data, spec), None


class _Maker:
    """Makes the int8 file of any member of a fit."""

    def __init__(self, spec: ModelSpec, settings: Quantised, weights: Weights, table: Int8Rows) -> None:
        self._spec, self._settings, self._weights, self._table = spec, settings, weights, table

    def material(self, held_out: str | None, train: NDArray[np.int64]) -> Material:
        """The material of a member's int8 file."""
        return Material(
            fp32=member_graph(self._spec, self._weights, held_out).data,
            spec=self._spec,
            settings=self._settings,
            weights=self._weights,
            held_out=held_out,
            table=self._table,
            train=train,
            calibration=evenly(np.asarray(self._table.groups), train, self._settings.calibration_rows),
        )

    def fold(self, fold: Fold) -> Int8Fold:
        """Measure the cost of int8 for the member that did not train on the fold's test rows, on these rows."""
        material = self.material(fold.held_out, fold.train)
        int8 = MODES[self._settings.mode](material)
        check_int8(int8, self._spec)
        target = self._table.y[fold.test]
        a, b = (material.answers(data, fold.test) for data in (material.fp32, int8))
        before, after = agreement(a, target), agreement(b, target)
        return Int8Fold(
            held_out=fold.held_out,
            n=int(fold.test.size),
            n_calibration=int(material.calibration.size),
            plcc_fp32=finite(before["plcc"]),
            plcc_int8=finite(after["plcc"]),
            plcc_drop=finite(before["plcc"] - after["plcc"]),
            srocc_fp32=finite(before["srocc"]),
            srocc_int8=finite(after["srocc"]),
            srocc_drop=finite(before["srocc"] - after["srocc"]),
            rmse_fp32=finite(before["rmse"]),
            rmse_int8=finite(after["rmse"]),
            rmse_int8_fp32=rmse(a, b),
            srocc_int8_fp32=finite(agreement(b, a)["srocc"]),
        )


def _mean(folds: Sequence[Int8Fold], key: str) -> float | None:
    values = [getattr(fold, key) for fold in folds]
    return None if None in values else float(np.mean(values))


def latency(data: bytes, example: Feeds | None = None) -> dict[str, float]:
    """Milliseconds of a run on one thread, median and 95th percentile of 50 runs over a clip of 240 rows, or of fewer over an
    example of another kind.
    """
    runtime = session(data)
    feeds = example or {
        value.name: np.zeros((_LATENCY_ROWS, *value.shape[1:]), dtype=np.float32) for value in runtime.get_inputs()
    }
    times = []
    for _ in range((_LATENCY_RUNS if example is None else _LATENCY_RUNS_OF_PICTURES) + 5):
        start = time.perf_counter()
        run(runtime, feeds)
        times.append(1e3 * (time.perf_counter() - start))
    p50, p95 = np.percentile(times[5:], [50, 95])
    return {"p50_ms": float(p50), "p95_ms": float(p95)}


def _worst(folds: Sequence[Int8Fold], key: str, choose: Callable[[list[float]], float]) -> float | None:
    values = [getattr(fold, key) for fold in folds]
    return None if None in values else choose(values)


def _settings(spec: ModelSpec, mode: str, overrides: Mapping[str, Any]) -> Quantised:
    """The spec's settings of a mode, with the caller's overrides."""
    given = {key: value for key, value in overrides.items() if value is not None}
    settings = spec.quantised_mode(mode)
    if not given:
        return settings
    try:
        return Quantised.model_validate({**settings.model_dump(), **given})
    except ValidationError as err:
        raise explain(err, Quantised, f"the settings of mode {mode}") from err


def missed(measurements: Mapping[str, Any]) -> list[str]:
    """Why a variant does not pass: each limit that it misses, and the refusal of the allowlist.

    Args:
        measurements: the figures, limits and ``allowlist`` of a report.
    """
    out = []
    for key, limit, above, what in (
        ("drop", "budget", True, "mean PLCC drop on held-out rows"),
        ("rmse_int8_fp32", "rmse_max", True, "RMSE against fp32"),
        ("srocc_int8_fp32", "srocc_min", False, "mean rank agreement (SROCC) with fp32 on held-out rows"),
    ):
        value, bound = measurements[key], measurements[limit]
        if value is None:
            out.append(f"{what} is not defined (constant predictions)")
        elif not (value <= bound if above else value >= bound):
            out.append(f"{what} {value:.6g}, at {'most' if above else 'least'} {bound:g} is allowed")
    if measurements["allowlist"].reason is not None:
        out.append(f"refused by the operator allowlist: {measurements['allowlist'].reason}")
    return out


def _size_note(int8: int, fp32: int) -> str:
    if int8 > fp32:
        return f"int8 is LARGER than fp32: {int8} bytes against {fp32} ({int8 / fp32:.2f} times)"
    return f"int8 is smaller than fp32: {int8} bytes against {fp32} ({int8 / fp32:.2f} of it)"


def latency_note(measured: Mapping[str, Any], of: str = f"{_LATENCY_ROWS} rows") -> str:
    """In one sentence, whether int8 is slower or faster than fp32.

    Args:
        measured: ``run.measured`` of an int8 file's manifest.
        of: what was timed.
    """
    int8, fp32 = (1e3 * measured[key]["p50_ms"] for key in ("latency_int8", "latency_fp32"))
    times = f"{int8:.0f} µs against {fp32:.0f} µs for {of} on one thread"
    if int8 > fp32:
        return f"int8 is SLOWER than fp32: {times} ({int8 / fp32:.2f} times)"
    return f"int8 is no slower than fp32: {times} ({fp32 / int8:.2f} times as fast)"


@publishes("quantize-int8")
def quantize(
    config: Path,
    model: Path,
    weights: Path,
    table: Path,
    output: Path,
    *,
    mode: str = "static_qdq",
    report: Path | None = None,
    on_fold: OnFold | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write an int8 variant and its report, and return the report. A variant that fails its gate is written too, and
    so is one that the operator allowlist refuses: `load_model` will not load it.

    Args:
        config: the model's YAML file.
        model: the exported fp32 file; its sidecar lies beside it.
        weights: ``weights.safetensors`` that it was exported from.
        table: the table that it was trained on.
        output: the int8 file.
        mode: one of the spec's quantised modes.
        report: the JSON report; by default `output` with the suffix ``.json``.
        on_fold: called after each fold.
        overrides: other values for keys of the spec's entry for the mode; None keeps the spec's.

    Raises:
        InputError: files do not belong together, a setting is not allowed, or the result is too large.
        IntegrityError: a file is not the one that was recorded.
    """
    started = time.perf_counter()
    spec = load_spec(config)
    settings = _settings(spec, mode, overrides or {})
    trained = load_weights(weights)
    spec = trained.spec_of(spec)
    fp32 = load_model(model)
    if fp32.sidecar["name"] != spec.name:
        raise InputError(f"{model} is model {fp32.sidecar['name']!r}, not {spec.name!r}")
    if (table_sha := sha256_file(table)) != trained.info["table_sha256"]:
        raise InputError(
            f"{weights} was trained on the table with sha256 {trained.info['table_sha256']}, but {table} is "
            f"{table_sha}: calibration needs the same sources"
        )
    destination = output.with_suffix(".json") if report is None else report
    claim(output, destination)
    rows = int8_part(spec.kind).read_rows(spec, table)
    division = Division.of(spec.split, rows)
    divided = division.folds
    maker = _Maker(spec, settings, trained, rows)
    shipped = maker.material(None, division.everything.train)
    if (exported := sha256_bytes(shipped.fp32)) != fp32.sidecar["sha256"]:
        raise IntegrityError(
            f"{weights} exports to sha256 {exported}, but {model} is {fp32.sidecar['sha256']}: export the model again"
        )
    folds = []
    for done, fold in enumerate(divided, start=1):
        folds.append(maker.fold(fold))
        if on_fold is not None:
            on_fold(done, len(divided))
    int8 = MODES[mode](shipped)

    inputs = {"config": config, "model": model, "weights": weights, "features": table}
    args = {**inputs, "mode": mode, "overrides": {k: v for k, v in (overrides or {}).items() if v is not None}}
    call = Call("quantize-int8", args=args, inputs=inputs, uses=spec.uses("quantize-int8"), started=started)
    write_bytes(output, int8)
    measurements = {**_of_file(shipped, int8, output), **_of_folds(folds), **_limits(spec, settings)}
    reasons = missed(measurements)
    document = Int8Report(
        model=spec.name,
        seed=trained.info["seed"],
        mode=settings.mode,
        fp32=FileFacts(path=model.name, sha256=fp32.sidecar["sha256"], bytes=len(shipped.fp32)),
        **measurements,
        **_of_rows(shipped, divided),
        missed=reasons,
        passed=not reasons,
        run_provenance=call.provenance({"int8": output}),
    )
    document.write(destination)
    example, of = int8_part(spec.kind).example(spec) or (None, f"{_LATENCY_ROWS} rows")
    measured = {"latency_fp32": latency(shipped.fp32, example), "latency_int8": latency(int8, example)}
    write_manifest(
        output,
        verb=call.verb,
        uses=call.uses,
        args=args,
        inputs=inputs,
        outputs={"int8": output, "report": destination},
        seconds=time.perf_counter() - started,
        measured={**measured, "note": latency_note(measured, of)},
    )
    return document.as_json()


def _of_file(shipped: Material, int8: bytes, output: Path) -> dict[str, Any]:
    """The report's keys about the file that ships."""
    operators, refusal = check_int8(int8, shipped.spec)
    fp32, tried = shipped.fp32, shipped.calibration
    return {
        "int8": Int8Facts(path=output.name, sha256=sha256_bytes(int8), bytes=len(int8), operators=operators),
        "allowlist": Allowlist(passed=refusal is None, reason=refusal),
        "size_ratio": len(int8) / len(fp32),
        "larger_than_fp32": len(int8) > len(fp32),
        "size_note": _size_note(len(int8), len(fp32)),
        "rmse_int8_fp32_shipped": rmse(shipped.answers(fp32, tried), shipped.answers(int8, tried)),
    }


def _of_rows(shipped: Material, folds: Sequence[Fold]) -> dict[str, Any]:
    """The report's keys about the rows that it rests on."""
    by, settings, groups = shipped.spec.split.by, shipped.settings, shipped.table.groups
    training = TrainingSettings(
        epochs=settings.epochs,
        lr=settings.learning_rate(shipped.spec.optimiser),
        batch_size=settings.batch_size,
        rule="each member goes on from its fitted weights, on its own training rows",
    )
    return {
        "table_sha256": shipped.table.sha256,
        "calibration": CalibrationRows(
            rows=int(shipped.calibration.size),
            sources=sorted(set(groups[shipped.train].tolist())),
            rows_sha256=sha256_bytes(shipped.calibration.astype("<i8").tobytes()),
            rule=f"evenly spaced rows of each training {by}, equally many of each; a fold's own leave out what it holds out",
        ),
        "training": training if settings.mode == "qat" else None,
        "heldout": HeldOutRows(
            rule=f"each fold's model, quantised with rows of its training {by}s, on the rows of the {by} that it did not "
            "see",
            sources=sorted({name for fold in folds for name in groups[fold.test].tolist()}),
        ),
    }


def _of_folds(folds: Sequence[Int8Fold]) -> dict[str, Any]:
    """The report's figures over the folds."""
    return {
        "n_heldout": sum(fold.n for fold in folds),
        "folds": list(folds),
        "plcc_fp32": _mean(folds, "plcc_fp32"),
        "plcc_int8": _mean(folds, "plcc_int8"),
        "drop": _mean(folds, "plcc_drop"),
        "drop_worst_fold": _worst(folds, "plcc_drop", max),
        "srocc_fp32": _mean(folds, "srocc_fp32"),
        "srocc_int8": _mean(folds, "srocc_int8"),
        "srocc_drop": _mean(folds, "srocc_drop"),
        "rmse_int8_fp32": _mean(folds, "rmse_int8_fp32"),
        "srocc_int8_fp32": _mean(folds, "srocc_int8_fp32"),
        "srocc_int8_fp32_worst_fold": _worst(folds, "srocc_int8_fp32", min),
    }


def _limits(spec: ModelSpec, settings: Quantised) -> dict[str, float]:
    """The report's limits."""
    low, high = spec.target.range
    return {
        "budget": settings.largest_drop,
        "rmse_max": 0.01 * (high - low) if settings.rmse_max is None else settings.rmse_max,
        "srocc_min": settings.srocc_min,
    }
