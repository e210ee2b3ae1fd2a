"""``vmaf-train quantize-int8``: an int8 variant, and what it costs on sources that the model has not seen.

Two questions have two answers here. *What ships* is the exported model (trained on all sources) with activation
ranges measured on rows of those same sources. *What int8 costs* is measured fold by fold: the fold's own model,
exported the same way, is quantised with rows of the sources it was trained on, and both precisions predict the rows
of the source that neither the weights, the scaler nor the activation ranges have seen. The mean drop over the folds
is held against the budget; the worst fold is reported beside it.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError, IntegrityError, PyvmafError
from pyvmaf.metrics import agreement, rmse
from pyvmaf.models.export import check_file, export_member, run, session
from pyvmaf.models.graph import CODEC, FEATURES
from pyvmaf.models.inputs import of_member
from pyvmaf.models.judge import finite
from pyvmaf.models.load import load_model
from pyvmaf.models.spec import ModelSpec, Quantised, load_spec
from pyvmaf.models.table import TrainingTable, make_folds, read_table
from pyvmaf.models.weights import Weights, load_weights
from pyvmaf.provenance import build_run_provenance, sha256_bytes, sha256_file, write_bytes, write_json, write_manifest
from pyvmaf.splits import Fold, rows_used

OnFold = Callable[[int, int], None]
"""Called with (folds done, folds in all)."""

_QUANTISED = ("Gemm", "MatMul")
_LATENCY_ROWS, _LATENCY_RUNS = 240, 50


def calibration_rows(groups: NDArray[np.str_], held_out: str | None, n: int) -> NDArray[np.int64]:
    """Indices of the rows that activation ranges are measured on: up to `n`, evenly spaced over the rows of each
    source but `held_out`, as equally many of each source as there are.

    The rule draws no random numbers, so that the rows can be named again from the table alone.

    Args:
        groups: source of each row.
        held_out: source to leave out; None for none.
        n: how many rows.
    """
    sources = [s for s in np.unique(groups).tolist() if s != held_out]
    chosen: list[NDArray[np.int64]] = []
    left = n
    # Small sources first: what they cannot give is shared among the others.
    by_size = sorted(sources, key=lambda s: (int(np.count_nonzero(groups == s)), s))
    for place, source in enumerate(by_size):
        rows = np.flatnonzero(groups == source)
        take = min(rows.size, -(-left // (len(by_size) - place)))
        if take:
            chosen.append(rows[np.linspace(0, rows.size - 1, take).round().astype(np.int64)])
        left -= take
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, dtype=np.int64)


class _Rows:
    """Rows as onnxruntime's calibration asks for them: one batch, then nothing."""

    def __init__(self, features: NDArray[np.float64], codec: NDArray[np.float64] | None) -> None:
        feeds = {FEATURES: features.astype(np.float32)}
        if codec is not None:
            feeds[CODEC] = codec.astype(np.float32)
        self._batches = iter([feeds])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._batches, None)


@contextmanager
def _quiet() -> Iterator[None]:
    # It advises a pre-processing step that does nothing for these graphs.
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def static_qdq(data: bytes, features: NDArray[np.float64], codec: NDArray[np.float64] | None) -> bytes:
    """`data` with its matrix products in int8: QuantizeLinear and DequantizeLinear before each, weights per output
    channel, activations per tensor from the range that the calibration rows give them.

    Args:
        data: an fp32 model of `export_member`.
        features: calibration rows as the graph takes them [n, columns].
        codec: their codec blocks [n, width], or None.

    Returns:
        A model file without metadata, the same for the same input.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(_Rows, CalibrationDataReader):  # type: ignore[misc]
        pass

    with tempfile.TemporaryDirectory(prefix="pyvmaf-int8-") as folder, _quiet():
        target = os.path.join(folder, "int8.onnx")
        quantize_static(
            onnx.load_model_from_string(data),
            target,
            Reader(features, codec),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_QUANTISED),
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibration_providers=["CPUExecutionProvider"],
            # A product's output stays float until the next one needs it in int8: quantising it too would clip the
            # score itself to the calibration rows' range, and cost activations a second rounding.
            extra_options={"OpTypesToExcludeOutputQuantization": list(_QUANTISED)},
        )
        with open(target, "rb") as stream:
            model = onnx.load_model_from_string(stream.read())
    return _stripped(model, onnx.load_model_from_string(data))


def _stripped(model: Any, parent: Any) -> bytes:
    """Deterministic bytes of `model`, with the parent's operator set and nothing that says how it was made."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for part in (*model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output):
        part.ClearField("doc_string")
        del part.metadata_props[:]
    model.graph.name = parent.graph.name
    model.ir_version = parent.ir_version
    model.producer_name, model.producer_version = parent.producer_name, parent.producer_version
    del model.opset_import[:]
    model.opset_import.extend(parent.opset_import)
    return bytes(model.SerializeToString(deterministic=True))


MODES: dict[str, Callable[[bytes, NDArray[np.float64], NDArray[np.float64] | None], bytes]] = {
    "static_qdq": static_qdq,
}
"""How each mode turns an fp32 file and calibration rows into an int8 file."""


def _graph_inputs(
    spec: ModelSpec, weights: Weights, place: int, table: TrainingTable, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Rows of a table as the graph of a member takes them."""
    X = of_member(spec, weights, place).graph_inputs(table.X[rows])
    return X, None if table.codec is None else table.codec[rows]


def _fold(spec: ModelSpec, mode: Quantised, weights: Weights, table: TrainingTable, fold: Fold) -> dict[str, Any]:
    """What int8 costs the model of a fold, on the rows that it did not see."""
    place = weights.place(fold.held_out)
    fp32 = export_member(spec, weights, fold.held_out, compare=False).data
    calibration = fold.train[calibration_rows(table.groups[fold.train], None, mode.calibration_rows)]
    int8 = MODES[mode.mode](fp32, *_graph_inputs(spec, weights, place, table, calibration))
    check_file(int8, spec)
    rows = fold.test
    inputs = _graph_inputs(spec, weights, place, table, rows)
    a, b = run(session(fp32), *inputs), run(session(int8), *inputs)
    before, after = agreement(a, table.y[rows]), agreement(b, table.y[rows])
    return {
        "held_out": fold.held_out,
        "n": int(rows.size),
        "n_calibration": int(calibration.size),
        "plcc_fp32": finite(before["plcc"]),
        "plcc_int8": finite(after["plcc"]),
        "plcc_drop": finite(before["plcc"] - after["plcc"]),
        "srocc_fp32": finite(before["srocc"]),
        "srocc_int8": finite(after["srocc"]),
        "srocc_drop": finite(before["srocc"] - after["srocc"]),
        "rmse_fp32": finite(before["rmse"]),
        "rmse_int8": finite(after["rmse"]),
        "rmse_int8_fp32": rmse(a, b),
    }


def _mean(folds: list[dict[str, Any]], key: str) -> float | None:
    values = [f[key] for f in folds]
    return None if None in values else float(np.mean(values))


def latency(data: bytes, n_features: int, n_codec: int) -> dict[str, float]:
    """Milliseconds per clip of 240 rows on one thread, median and 95th percentile of 50 runs."""
    runtime = session(data)
    features = np.zeros((_LATENCY_ROWS, n_features))
    codec = np.zeros((_LATENCY_ROWS, n_codec)) if n_codec else None
    times = []
    for _ in range(_LATENCY_RUNS + 5):
        start = time.perf_counter()
        run(runtime, features, codec)
        times.append(1e3 * (time.perf_counter() - start))
    p50, p95 = np.percentile(times[5:], [50, 95])
    return {"p50_ms": float(p50), "p95_ms": float(p95)}


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
) -> dict[str, Any]:
    """Write an int8 variant and its report, and return the report. A variant that fails its gate is written too.

    Args:
        config: the model's YAML file.
        model: the exported fp32 file; its sidecar lies beside it.
        weights: ``weights.safetensors`` that it was exported from.
        table: the table that it was trained on.
        output: the int8 file.
        mode: one of the spec's quantised modes.
        report: the JSON report; by default `output` with the suffix ``.json``.
        on_fold: called after each fold.

    Raises:
        InputError: files do not belong together, or the result would hold what a model may not.
        IntegrityError: a file is not the one that was recorded.
    """
    started = time.perf_counter()
    spec = load_spec(config)
    settings = spec.quantised_mode(mode)
    trained = load_weights(weights)
    fp32 = load_model(model)
    if fp32.sidecar["name"] != spec.name:
        raise InputError(f"{model} is model {fp32.sidecar['name']!r}, not {spec.name!r}")
    if (table_sha := sha256_file(table)) != trained.info["table_sha256"]:
        raise InputError(
            f"{weights} was trained on the table with sha256 {trained.info['table_sha256']}, but {table} is "
            f"{table_sha}: calibration needs the same sources"
        )
    shipped = export_member(spec, trained, compare=False).data
    if sha256_bytes(shipped) != fp32.sidecar["sha256"]:
        raise IntegrityError(
            f"{weights} exports to sha256 {sha256_bytes(shipped)}, but {model} is {fp32.sidecar['sha256']}: "
            "export the model again"
        )
    data = read_table(table, spec)
    held_out = make_folds(spec.split, data)
    folds = []
    for done, fold in enumerate(held_out, start=1):
        folds.append(_fold(spec, settings, trained, data, fold))
        if on_fold is not None:
            on_fold(done, len(held_out))
    place = trained.place(None)
    used = rows_used(held_out)
    calibration = used[calibration_rows(data.groups[used], None, settings.calibration_rows)]
    int8 = MODES[mode](shipped, *_graph_inputs(spec, trained, place, data, calibration))
    operators = check_file(int8, spec)
    everything = _graph_inputs(spec, trained, place, data, used)
    seen = rmse(run(session(shipped), *everything), run(session(int8), *everything))

    drop, worst = (
        _mean(folds, "plcc_drop"),
        max((f["plcc_drop"] for f in folds if f["plcc_drop"] is not None), default=None),
    )
    rmse_mean = _mean(folds, "rmse_int8_fp32")
    # Written like this so that what is not defined fails.
    passed = drop is not None and drop <= settings.budget and rmse_mean is not None and rmse_mean <= settings.rmse_max
    destination = output.with_suffix(".json") if report is None else report
    inputs = {"config": config, "model": model, "weights": weights, "features": table}
    args = {**inputs, "mode": mode}
    write_bytes(output, int8)
    body: dict[str, Any] = {
        "schema_version": 1,
        "model": spec.name,
        "seed": trained.info["seed"],
        "mode": mode,
        "fp32": {"path": model.name, "sha256": fp32.sidecar["sha256"], "bytes": len(shipped)},
        "int8": {"path": output.name, "sha256": sha256_bytes(int8), "bytes": len(int8), "operators": operators},
        "size_ratio": len(int8) / len(shipped),
        "table_sha256": data.sha256,
        "calibration": {
            "rows": int(calibration.size),
            "sources": sorted(set(data.groups[used].tolist())),
            "rows_sha256": sha256_bytes(calibration.astype("<i8").tobytes()),
            "rule": "evenly spaced rows of each training source, equally many of each; a fold's own leave its "
            f"{spec.split.by} out",
        },
        "heldout": {
            "rule": f"each fold's model, quantised with rows of its training {spec.split.by}s, on the rows of the "
            f"{spec.split.by} that it did not see",
            "sources": sorted({name for f in held_out for name in data.groups[f.test].tolist()}),
        },
        "n_heldout": int(sum(f["n"] for f in folds)),
        "folds": folds,
        "plcc_fp32": _mean(folds, "plcc_fp32"),
        "plcc_int8": _mean(folds, "plcc_int8"),
        "drop": drop,
        "drop_worst_fold": worst,
        "srocc_fp32": _mean(folds, "srocc_fp32"),
        "srocc_int8": _mean(folds, "srocc_int8"),
        "srocc_drop": _mean(folds, "srocc_drop"),
        "rmse_int8_fp32": rmse_mean,
        "rmse_int8_fp32_shipped": seen,
        "budget": settings.budget,
        "rmse_max": settings.rmse_max,
        "passed": passed,
        "run_provenance": build_run_provenance(
            verb="quantize-int8", stage="quantized", args=args, inputs=inputs, outputs={"int8": output}
        ),
    }
    write_json(destination, body)
    n_codec = 0 if data.codec is None else data.codec.shape[1]
    write_manifest(
        output,
        verb="quantize-int8",
        stage="quantized",
        args=args,
        inputs=inputs,
        outputs={"int8": output, "report": destination},
        seconds=time.perf_counter() - started,
        measured={
            "latency_fp32": latency(shipped, len(data.features), n_codec),
            "latency_int8": latency(int8, len(data.features), n_codec),
        },
    )
    return body


def require_passed(body: dict[str, Any]) -> None:
    """Raise where the gate said no.

    Raises:
        PyvmafError: the drop or the difference from fp32 is above what the spec allows.
    """
    if not body["passed"]:
        raise PyvmafError(
            f"int8 variant {body['mode']} of {body['model']} fails its gate: mean PLCC drop {body['drop']} "
            f"(budget {body['budget']}), RMSE against fp32 {body['rmse_int8_fp32']} (at most {body['rmse_max']})"
        )
