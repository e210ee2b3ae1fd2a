"""``vmaf-train fit``: one seed of one model, all its folds and the model on all rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.coded import Labels
from pyvmaf.base.document import violations
from pyvmaf.base.files import atomic_path, sha256_file, write_json
from pyvmaf.base.manifest import build_run_provenance, write_manifest
from pyvmaf.chunks import release
from pyvmaf.codecs.vocabularies import vocabulary
from pyvmaf.errors import InputError, PyvmafError
from pyvmaf.metrics import FIGURES, agreement, finite
from pyvmaf.models.regressor.rows import NUMBERED, TrainingTable, beside_folds, make_folds, read_table
from pyvmaf.models.regressor.trainer import Fitted, Member, OnEpoch, StackedTrainer, torch_threads
from pyvmaf.models.regressor.weights import MODEL, PREDICTIONS, REPORT, WEIGHTS, Weights, save_weights
from pyvmaf.models.spec import load_spec
from pyvmaf.splits import TEST, TRAIN, VAL, Fold, used

SCHEMA = Path(__file__).with_name("schemas") / "loso.schema.json"


OnHeldOut = Callable[[int, Mapping[str, "float | None"]], None]
"""Called with the epochs done and the `summarise`d figures that the folds have on their held-out rows by then."""

LOOKS = 10
"""How often held-out rows are looked at during a fit for whoever wants to end it early."""

_ROWS_AT_A_TIME = 1 << 18


@dataclass(frozen=True)
class FitResult:
    """Where the files are, and the report."""

    weights: Path
    report: Path
    predictions: Path
    loso: dict[str, Any]


def summarise(folds: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Mean of each figure over the folds, and the spread of PLCC (std with ddof 1); None where a fold has none."""
    out: dict[str, float | None] = {}
    for name in FIGURES:
        values = [f[name] for f in folds]
        out[f"mean_{name}"] = None if None in values else float(np.mean(values))
    plccs = [f["plcc"] for f in folds]
    defined = None not in plccs
    out["std_plcc"] = float(np.std(plccs, ddof=1)) if defined and len(plccs) > 1 else None
    out["min_plcc"] = float(min(plccs)) if defined else None
    out["max_plcc"] = float(max(plccs)) if defined else None
    return out


def fit(
    config: Path,
    table: Path,
    output: Path,
    *,
    seed: int,
    epochs: int | None = None,
    threads: int = 1,
    on_epoch: OnEpoch | None = None,
    on_held_out: OnHeldOut | None = None,
) -> FitResult:
    """Train one seed and leave ``weights.safetensors``, ``loso.json`` and ``predictions.parquet`` in `output`.

    Every fold's model predicts the rows that it did not see; those predictions are what is judged. Initial weights
    (0 epochs) are exported as well, as ``model.onnx`` with its sidecar, which says that nobody trained or judged them.

    Args:
        config: the model's YAML file.
        table: parquet table to train on.
        output: folder for the files.
        seed: of initial weights, order of rows and dropout.
        epochs: other than the config's; 0 keeps the initial weights.
        threads: torch threads; the result does not depend on it.
        on_epoch: called after each epoch.
        on_held_out: called about `LOOKS` times on the way; what it raises ends the fit, and nothing is written.

    Raises:
        InputError: the config, the table or a column is not usable. Nothing is written then.
    """
    started = time.perf_counter()
    spec = load_spec(config)
    if spec.kind not in ("fr", "mos"):
        raise InputError(f"{config}: kind is {spec.kind!r}; rows of features train models of kind 'fr' or 'mos' only")
    n_epochs = spec.epochs if epochs is None else epochs
    if n_epochs < 0:
        raise InputError(f"--epochs must be 0 or more, not {n_epochs}")
    data = read_table(table, spec)
    folds = make_folds(spec.split, data)
    beside, not_beside = beside_folds(spec.split, data)

    from pyvmaf.models.regressor.networks import build

    network = build(spec.network, data.width)
    trainer = StackedTrainer(
        network,
        spec.optimiser,
        batch_size=spec.batch_size,
        epochs=n_epochs,
        seed=seed,
        inputs=spec.inputs,
        standardise=spec.target.standardise,
    )
    every = [*folds, *beside]
    all_rows = used(folds)
    members = [Member(f.held_out, partial(f.rows, TRAIN)) for f in every]
    members.append(Member(None, partial(all_rows.rows, TRAIN)))
    release()

    def look(done: int, so_far: Callable[[], list[Fitted]]) -> None:
        if on_held_out is not None and done % max(1, n_epochs // LOOKS) == 0:
            found: list[Mapping[str, Any]] = [
                agreement(_predict(network, one, data, test := fold.test), data.y[test])
                for one, fold in zip(so_far(), folds, strict=False)
            ]
            on_held_out(done, summarise([{name: finite(f[name]) for name in FIGURES} for f in found]))

    with torch_threads(threads):
        fitted = trainer.fit(members, data.X, data.y, data.codec, on_epoch, look if on_held_out is not None else None)
        # Of the folds of the protocol all predictions are kept: they are judged together, too.
        starts = np.cumsum([0, *(fold.count(TEST) for fold in folds)])
        predicted, targets = (data.scratch.array(int(starts[-1]), np.float64) for _ in range(2))
        scored = []
        for place, (fold, one) in enumerate(zip(every, fitted, strict=False)):
            entry: dict[str, Any] = {
                "held_out": fold.held_out,
                "n_train": fold.count(TRAIN),
                "n_val": fold.count(TEST),
                "train_loss": finite(one.losses[-1]) if n_epochs else None,
            }
            for side in (TEST, VAL):
                if not fold.count(side):
                    continue
                rows = fold.rows(side)
                values, target = _predict(network, one, data, rows), data.y[rows]
                del rows
                if side == TEST and place < len(folds):
                    part = slice(starts[place], starts[place + 1])
                    predicted[part], targets[part] = values, target
                release()
                found = _figures(values, target)
                if side == TEST:
                    entry |= found
                else:
                    entry["validation"] = {"n": fold.count(VAL), **found}
                del values, target
            scored.append(entry)
    scored, scored_beside = scored[: len(folds)], scored[len(folds) :]
    together = _figures(predicted, targets)

    block = None if spec.inputs.codec is None else vocabulary(spec.inputs.codec)
    info: dict[str, Any] = {
        "model": spec.name,
        "seed": seed,
        "epochs": n_epochs,
        "training": spec.training(),
        "features": list(data.features),
        "codec": None if block is None else {"version": block.version, "sha256": block.sha256, "width": block.width},
        "table": table.stem,
        "table_sha256": data.sha256,
        "held_out": [m.held_out for m in members],
    }
    weights = Weights(
        path=output / WEIGHTS,
        info=info,
        parameters=np.stack([f.parameters for f in fitted]).astype(np.float32),
        scaler_mean=np.stack([f.prepare.mean for f in fitted]),
        scaler_std=np.stack([f.prepare.std for f in fitted]),
        feature_low=np.stack([f.prepare.low for f in fitted]),
        feature_high=np.stack([f.prepare.high for f in fitted]),
    )
    result = FitResult(weights.path, output / REPORT, output / PREDICTIONS, {})
    save_weights(weights)
    _write_predictions(result.predictions, data, folds, predicted)

    args = {"config": config, "features": table, "seed": seed, "epochs": n_epochs}
    inputs = {"config": config, "features": table}
    outputs = {"weights": result.weights, "predictions": result.predictions}
    result.loso.update(
        {
            "schema_version": 1,
            "model": spec.name,
            "seed": seed,
            "corpus": table.stem,
            "table": {
                "name": table.stem,
                "sha256": data.sha256,
                "rows": data.n_total,
                "rows_used": int(data.y.size),
                "dropped": data.dropped,
            },
            "weights_sha256": sha256_file(result.weights),
            "predictions_sha256": sha256_file(result.predictions),
            "train_config_hash": weights.train_config_hash,
            "n_params": network.n_parameters,
            "split": spec.split.described() | {"rows_not_used": int(data.y.size - all_rows.count(TRAIN))},
            "n_folds": len(folds),
            "folds": scored,
            **summarise(scored),
            "pooled": together | {"n": int(predicted.size)},
            "beside": {
                "by": spec.split.beside,
                "n_folds": len(beside),
                "folds": scored_beside,
                **summarise(scored_beside),
            }
            if beside
            else None,
            "no_beside": not_beside,
            "epochs": n_epochs,
            "batch_size": spec.batch_size,
            "lr": spec.optimiser.lr,
            "weight_decay": spec.optimiser.weight_decay,
            "num_codecs": 0 if block is None else block.width,
            "encoder_vocab_version": None if block is None else block.version,
            "note": "each figure is of rows whose "
            f"{spec.split.by} the fold's model and scaler did not see; std with ddof 1 over folds",
            "run_provenance": build_run_provenance(verb="fit", args=args, inputs=inputs, outputs=outputs),
        }
    )
    if wrong := violations(result.loso, SCHEMA):
        raise PyvmafError(f"the report of fit would not conform to {SCHEMA.name}: {'; '.join(wrong[:3])}")
    write_json(result.report, result.loso)
    write_manifest(
        result.weights,
        verb="fit",
        args=args,
        inputs=inputs,
        outputs={**outputs, "report": result.report},
        seconds=time.perf_counter() - started,
    )
    if n_epochs == 0:
        from pyvmaf.models.export import export

        export(config, result.weights, None, None, output / MODEL)
    return result


def _figures(predicted: NDArray[np.float64], target: NDArray[np.float64]) -> dict[str, float | None]:
    found: Mapping[str, Any] = agreement(predicted, target)
    return {name: finite(found[name]) for name in FIGURES}


def _predict(network: Any, one: Fitted, data: TrainingTable, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    import torch

    found = np.empty(rows.size)
    parameters = torch.from_numpy(one.parameters)
    with torch.inference_mode():
        for start in range(0, rows.size, _ROWS_AT_A_TIME):
            part = rows[start : start + _ROWS_AT_A_TIME]
            inputs = one.prepare(data.X[part], None if data.codec is None else data.codec[part])
            x = torch.from_numpy(inputs.astype(np.float32))
            found[start : start + part.size] = network.predict(parameters, x).numpy()
            release()
    return found


def _write_predictions(path: Path, data: TrainingTable, folds: Sequence[Fold], predicted: NDArray[np.float64]) -> None:
    """Rows of every fold in the order of the folds, with what tells them apart, target and prediction."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds: dict[str, Any] = {"fold": pa.dictionary(pa.int32(), pa.string())}
    for name in data.rows:
        kinds[name] = pa.int64() if name in NUMBERED else pa.dictionary(pa.int32(), pa.string())
    kinds |= {"target": pa.float64(), "prediction": pa.float64()}
    end = 0
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, pa.schema(kinds), compression="zstd") as writer:
        for fold in folds:
            rows = fold.test
            for start in range(0, rows.size, _ROWS_AT_A_TIME):
                part = rows[start : start + _ROWS_AT_A_TIME]
                columns: list[Any] = [_coded(np.zeros(part.size, dtype=np.int32), [fold.held_out])]
                for values in data.rows.values():
                    if isinstance(values, Labels):
                        columns.append(_coded(values.codes[part], values.names.tolist()))
                    else:
                        column = values[part]
                        known = np.isfinite(column)
                        columns.append(pa.array(np.where(known, column, 0).astype(np.int64), mask=~known))
                columns += [pa.array(data.y[part]), pa.array(predicted[end : end + part.size])]
                end += part.size
                writer.write_table(pa.table(columns, schema=pa.schema(kinds)))
                release()


def _coded(codes: NDArray[np.int32], names: Sequence[str]) -> Any:
    """A text column. A missing name is the empty string."""
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(codes, pa.array(names, pa.string()))
