"""``vmaf-train fit``: one seed of one model, all its folds and the member on all rows."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyvmaf.base.document import Call
from pyvmaf.base.families import module
from pyvmaf.base.files import sha256_file
from pyvmaf.base.manifest import write_manifest
from pyvmaf.base.outputs import claim, publishes, reading
from pyvmaf.errors import InputError
from pyvmaf.models.crossval import write_predictions
from pyvmaf.models.families import Fit, OnEpoch, OnHeldOut, Run, fit_part
from pyvmaf.models.spec import ModelSpec, load_spec
from pyvmaf.models.verdicts import FitReport
from pyvmaf.models.weights import PREDICTIONS, REPORT, WEIGHTS, Weights, save_weights
from pyvmaf.splits import TRAIN

CHECKPOINTS = ".unfinished"
"""Folder in the output where a family keeps the state of an unfinished fit."""


@dataclass(frozen=True)
class FitResult:
    """Paths of the files, the report, and whether the spec asks for hard negatives that were not given."""

    weights: Path
    report: Path
    predictions: Path
    loso: dict[str, Any]
    without_negatives: bool = False


@publishes("fit")
def fit(
    config: Path,
    table: Path,
    output: Path,
    *,
    seed: int,
    epochs: int | None = None,
    threads: int = 1,
    negatives: Path | None = None,
    backbone: Path | None = None,
    on_epoch: OnEpoch | None = None,
    on_held_out: OnHeldOut | None = None,
) -> FitResult:
    """Train one seed and leave ``weights.safetensors``, ``loso.json`` and ``predictions.parquet`` in `output`.

    Every fold's member predicts the rows that it did not train on; the verdict rests on these predictions. A fit of a
    family that keeps its state goes on where an interrupted one with the same settings, table and seed ended.

    Args:
        config: the model's YAML file.
        table: parquet table to train on.
        output: folder for the files.
        seed: of initial weights, order of rows and dropout.
        epochs: other than the config's; 0 keeps the initial weights.
        threads: CPU threads; the result does not depend on them.
        negatives: table of hard negatives, which models with `rows.negatives` are trained on as well. Without it such a
            model is trained on the table alone, and its report does not name any.
        backbone: converted weights of the published network that a model is trained on (weights.safetensors of convert).
        on_epoch: called after each epoch.
        on_held_out: called about ten times on the way; an exception that it raises ends the fit, and nothing is written.

    Raises:
        InputError: the config, a table or a column is not usable, or hard negatives are given for a model that is not
            trained on them. Nothing is written then.
    """
    started = time.perf_counter()
    spec = load_spec(config)
    n_epochs = spec.epochs if epochs is None else epochs
    if n_epochs < 0:
        raise InputError(f"--epochs must be 0 or more, not {n_epochs}")
    if negatives is not None and not spec.rows.negatives:
        raise InputError(
            f"{config} does not train on hard negatives: set rows.negatives: true, or leave --negatives out"
        )
    if backbone is not None and not spec.takes_backbone:
        raise InputError(f"{config} is not trained on a published network: leave --backbone out")
    more = {name: path for name, path in (("negatives", negatives), ("backbone", backbone)) if path is not None}
    for path in (table, *more.values()):
        reading(path)
    claim(output / WEIGHTS, output / REPORT, output / PREDICTIONS)
    spec = spec.on_table(table)
    unfinished = output / CHECKPOINTS
    run = Run(table, seed, n_epochs, threads, on_epoch, on_held_out, negatives, backbone, checkpoints=unfinished)
    fitted = fit_part(spec.kind).fit(spec, run)
    weights = Weights(output / WEIGHTS, _info(spec, fitted, table, seed, n_epochs), fitted.tensors)
    predictions = output / PREDICTIONS
    save_weights(weights)
    write_predictions(predictions, fitted.table, fitted.validation)

    call = Call(
        "fit",
        args={"config": config, "features": table, "negatives": negatives, "seed": seed, "epochs": n_epochs}
        | ({} if backbone is None else {"backbone": backbone}),
        inputs={"config": config, "features": table, "negatives": [], **{name: [path] for name, path in more.items()}},
        uses=spec.uses("fit"),
        started=started,
        shared_trainer=module(spec.kind, "fit"),
    )
    outputs = {"weights": weights.path, "predictions": predictions}
    report = FitReport.model_validate(
        _report(spec, fitted, weights, table)
        | {"predictions_sha256": sha256_file(predictions), "run_provenance": call.provenance(outputs)}
    )
    report.write(output / REPORT)
    write_manifest(
        weights.path,
        verb=call.verb,
        uses=call.uses,
        shared_trainer=call.shared_trainer,
        args=call.args,
        inputs=call.inputs,
        outputs={**outputs, "report": output / REPORT},
        seconds=time.perf_counter() - started,
    )
    shutil.rmtree(unfinished, ignore_errors=True)
    without = spec.rows.negatives and negatives is None
    return FitResult(weights.path, output / REPORT, predictions, report.as_json(), without)


def _info(spec: ModelSpec, fitted: Fit, table: Path, seed: int, epochs: int) -> dict[str, Any]:
    """The header of the weights file."""
    return {
        "model": spec.name,
        "seed": seed,
        "epochs": epochs,
        "training": spec.training(),
        **fitted.info,
        "table": table.stem,
        "table_sha256": fitted.table_sha256,
        "held_out": fitted.held_out,
    }


def _report(spec: ModelSpec, fitted: Fit, weights: Weights, table: Path) -> dict[str, Any]:
    """The report without its provenance."""
    n = int(fitted.table.y.size)
    return {
        "model": spec.name,
        "seed": weights.info["seed"],
        "corpus": table.stem,
        "table": {
            "name": table.stem,
            "sha256": fitted.table_sha256,
            "rows": fitted.n_total,
            "rows_used": n,
            "dropped": fitted.dropped,
        },
        "weights_sha256": weights.sha256(),
        "train_config_hash": weights.train_config_hash,
        "n_params": fitted.n_parameters,
        "split": spec.split.described()
        | {"rows_not_used": n - int(fitted.validation.division.everything.count(TRAIN))},
        **fitted.validation.report(),
        "epochs": weights.info["epochs"],
        "batch_size": spec.batch_size,
        "lr": spec.optimiser.lr,
        "weight_decay": spec.optimiser.weight_decay,
        **fitted.facts,
        "note": "each figure is of rows whose "
        f"{spec.split.by} the fold's model and scaler did not see; std with ddof 1 over folds",
    }
