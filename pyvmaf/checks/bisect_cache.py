"""``vmaf-train build-bisect-cache``: a table and a series of models whose bytes never change, for a nightly bisection.

All models of the series are good: they are one linear model with a little noise. A nightly job that finds a bad one among them has
found a change of the tools, not of the models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.document import Call, Count, Distinct, Document, Name, Positive, RunProvenance, Sha256, publish
from pyvmaf.base.files import read_bytes, sha256_bytes, sha256_file, write_bytes
from pyvmaf.base.manifest import write_manifest
from pyvmaf.base.outputs import claim, publishes, reading
from pyvmaf.base.parquet import read_parquet
from pyvmaf.base.table import Table
from pyvmaf.checks.subject import read_rows
from pyvmaf.errors import InputError, MissingFileError
from pyvmaf.features.catalog import CANONICAL6
from pyvmaf.features.table import write_table
from pyvmaf.tables.columns import read_schema

if TYPE_CHECKING:
    import pyarrow as pa

FEATURE_SEED, MODEL_SEED = 20260418, 20260419
ROWS, MODELS = 256, 8
NOISE = 1e-4
"""Standard deviation of what each weight of a model is away from the common one."""

TARGETS = ("mos", "dmos", "target", "score")
"""Columns of a table that can be the target, in order of preference."""

TABLE = "features.parquet"
MODEL_NAMES = tuple(f"models/model_{index}.onnx" for index in range(MODELS))

_RANGES: Table[tuple[float, float]] = {
    "adm2": (0.4, 1.0),
    "vif_scale0": (0.2, 0.95),
    "vif_scale1": (0.3, 0.96),
    "vif_scale2": (0.4, 0.97),
    "vif_scale3": (0.5, 0.98),
    "motion2": (0.0, 30.0),
}
_WEIGHTS = (1.6, 0.3, 0.3, 0.3, 0.3, -0.04)
_BIAS = 1.5


class BisectCache(Document):
    """What a cache holds, and whether that is what would be built now."""

    title: ClassVar[str] = "Report of build-bisect-cache: the table and models of a nightly bisection"

    schema_version: Literal[1] = 1
    mode: Literal["synthetic", "table"]
    check: Literal["not checked", "equal", "different"]
    differences: list[Name]
    target_candidates: Distinct[str]
    target_column: Name
    feature_columns: Distinct[str]
    feature_seed: Count | None
    model_seed: Count
    noise: float
    n_rows: Positive
    n_models: Positive
    source_sha256: Sha256 | None
    sha256: dict[Name, Sha256]
    run_provenance: RunProvenance


@publishes("build-bisect-cache")
def build_bisect_cache(
    folder: Path,
    output: Path | None = None,
    *,
    source: Path | None = None,
    target: str | None = None,
    check: bool = False,
) -> BisectCache:
    """Build the table and the models, or compare those that exist with what would be built.

    Args:
        folder: where `TABLE` and `MODEL_NAMES` lie.
        output: the report as JSON; None to write none.
        source: table whose rows are taken; None for drawn ones.
        target: its target column; None for the first of `TARGETS` that it has.
        check: compare and write no table and no models: rows by value, models by their bytes.

    Returns:
        The report; `differences` names the files that differ.

    Raises:
        MissingFileError, IntegrityError: a file is not there or damaged.
        InputError: the source has no target or too few rows, or `target` is named without a source.
    """
    if target is not None and source is None:
        raise InputError("--target-column is a column of --source-features, which is not given")
    rows, weights, column = _drawn() if source is None else _taken(source, target)
    models = dict(zip(MODEL_NAMES, _models(weights), strict=True))
    inputs: dict[str, Path | Sequence[Path]] = {} if source is None else {"source": source}
    if check:
        inputs["cache"] = [folder / name for name in (TABLE, *MODEL_NAMES)]
    call = Call(
        "build-bisect-cache",
        args={"check": check, "source": source is not None, "target_column": target},
        inputs=inputs,
    )
    if check:
        differences = _differences(folder, rows, models)
    else:
        differences = []
        _write(folder, rows, models, call)
    if output is not None:
        claim(output)
    report = BisectCache(
        mode="synthetic" if source is None else "table",
        check="not checked" if not check else "different" if differences else "equal",
        differences=differences,
        target_candidates=list(TARGETS),
        target_column=column,
        feature_columns=list(CANONICAL6),
        feature_seed=FEATURE_SEED if source is None else None,
        model_seed=MODEL_SEED,
        noise=NOISE,
        n_rows=rows.num_rows,
        n_models=len(models),
        source_sha256=None if source is None else sha256_file(source),
        sha256={name: sha256_bytes(data) for name, data in models.items()},
        run_provenance=call.provenance(),
    )
    return publish(report, output, call)


def _table(X: NDArray[np.float64], y: NDArray[np.float64], column: str) -> pa.Table:
    import pyarrow as pa

    return pa.table({name: pa.array(values) for name, values in zip((*CANONICAL6, column), (*X.T, y), strict=True)})


def _drawn() -> tuple[pa.Table, NDArray[np.float64], str]:
    """Draw rows; return them, weights and bias [7], and the name of the target."""
    rng = np.random.default_rng(FEATURE_SEED)
    X = np.column_stack([rng.uniform(*_RANGES[name], ROWS) for name in CANONICAL6])
    # A sum in a fixed order: a product of matrices may round otherwise on another processor.
    y = sum((weight * X[:, index] for index, weight in enumerate(_WEIGHTS)), start=np.full(ROWS, _BIAS))
    return _table(X, y, TARGETS[0]), np.array([*_WEIGHTS, _BIAS]), TARGETS[0]


def _taken(source: Path, target: str | None) -> tuple[pa.Table, NDArray[np.float64], str]:
    """Take rows of a table, evenly over its length, and fit weights to them."""
    reading(source)
    present = read_schema(source)
    column = target or next((name for name in TARGETS if name in present), None)
    if column is None:
        raise InputError(f"{source} has none of the columns {', '.join(TARGETS)}: name one with --target-column")
    rows = read_rows(source, CANONICAL6, target=column)
    assert rows.y is not None
    if len(rows.X) < ROWS:
        raise InputError(f"{source} has {len(rows.X)} rows with every value, but a cache needs {ROWS}")
    chosen = np.arange(ROWS) * len(rows.X) // ROWS
    X, y = rows.X[chosen], rows.y[chosen]
    weights = np.linalg.lstsq(np.column_stack([X, np.ones(ROWS)]), y, rcond=None)[0]
    return _table(X, y, column), weights.astype(np.float64), column


def _models(weights: NDArray[np.float64]) -> list[bytes]:
    """Write the models: score = weights x features + bias, each with its own noise."""
    rng = np.random.default_rng(MODEL_SEED)
    return [_linear(weights + rng.normal(0, NOISE, weights.size)) for _ in range(MODELS)]


def _linear(weights: NDArray[np.float64]) -> bytes:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    values = weights.astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["input", "weight", "bias"], ["score"])],
        "linear",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", len(CANONICAL6)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(values[:-1, None], "weight"), numpy_helper.from_array(values[-1:], "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _write(folder: Path, rows: pa.Table, models: Mapping[str, bytes], call: Call) -> None:
    claim(folder / TABLE, *(folder / name for name in models))
    (folder / MODEL_NAMES[0]).parent.mkdir(parents=True, exist_ok=True)
    write_table(rows, folder / TABLE)
    for name, data in models.items():
        write_bytes(folder / name, data)
    for name in (TABLE, *models):
        role = "table" if name == TABLE else "model"
        write_manifest(folder / name, verb=call.verb, args=call.args, inputs=call.inputs, outputs={role: folder / name})


def _differences(folder: Path, rows: pa.Table, models: Mapping[str, bytes]) -> list[str]:
    """Name the files of a cache that differ from what would be built."""
    for name in (TABLE, *models):
        reading(folder / name)
        if not (folder / name).is_file():
            raise MissingFileError(f"no such file: {folder / name}: build the cache without --check")
    kept = read_parquet(folder / TABLE)
    found = [] if kept.schema.equals(rows.schema) and kept.equals(rows) else [TABLE]
    return found + [name for name, data in models.items() if read_bytes(folder / name) != data]
