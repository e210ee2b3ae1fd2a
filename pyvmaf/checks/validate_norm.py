"""``vmaf-train validate-norm``: whether a table looks like what a model's scaler was fitted on."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np

from pyvmaf.base.document import publish_body
from pyvmaf.base.files import relative, sha256_file
from pyvmaf.checks.subject import SCHEMAS, open_subject
from pyvmaf.errors import InputError
from pyvmaf.models.regressor.inputs import of_sidecar
from pyvmaf.models.regressor.rows import floats, read_columns


def validate_norm(
    model: str | Path,
    table: Path,
    *,
    max_mean_shift: float = 1.0,
    sigmas: float = 3.0,
    max_beyond: float = 0.05,
    sidecar: Path | None = None,
    sha256: str | None = None,
    registry: Path | None = None,
    output: Path | None = None,
) -> dict[str, Any]:
    """Compare the columns of a table with the mean and standard deviation in a model's sidecar.

    Columns are compared as the scaler sees them, that is after the model's transforms and without its guard, in
    standard deviations of the training rows.

    Args:
        model: as in `open_subject`.
        table: parquet table with the model's features, unscaled.
        max_mean_shift: warn about a feature whose mean lies further from the training mean than this.
        sigmas, max_beyond: warn about a feature with a larger share than `max_beyond` of its values further than
            `sigmas` from the training mean.
        sidecar, sha256, registry: as in `open_subject`.
        output: JSON file for the report.

    Returns:
        The report: each feature with its figures and warnings; ``passed`` where there is no warning.

    Raises:
        InputError: the model has no sidecar, or the table lacks a feature or has no finite value of it.
    """
    started = time.perf_counter()
    subject = open_subject(model, sidecar=sidecar, sha256=sha256, registry=registry)
    described = subject.described()
    preparation = dataclasses.replace(of_sidecar(described.sidecar), guard="none")
    data = read_columns(table, list(described.features))
    X = np.column_stack([floats(data, name) for name in described.features])
    features, warnings = [], []
    for place, name in enumerate(described.features):
        usable = X[np.isfinite(X[:, place]), place]
        if usable.size == 0:
            raise InputError(f"{table} has no finite value in column {name!r} ({len(X)} rows): extract it")
        # The other columns do not matter here; each is filled with its own training mean's place, zero.
        filled = np.tile(preparation.low, (usable.size, 1))
        filled[:, place] = usable
        z = preparation(filled)[:, place]
        low, high = float(preparation.low[place]), float(preparation.high[place])
        shift, beyond = float(z.mean()), float(np.mean(np.abs(z) > sigmas))
        said = []
        if abs(shift) > max_mean_shift:
            said.append(f"its mean lies {shift:+.2f} standard deviations from the training mean")
        if beyond > max_beyond:
            said.append(f"{beyond:.1%} of its values lie beyond {sigmas:g} standard deviations")
        missing = len(X) - int(usable.size)
        features.append(
            {
                "name": name,
                "mean": float(usable.mean()),
                "std": float(usable.std()),
                "train_mean": float(preparation.mean[place]),
                "train_std": float(preparation.std[place]),
                "transform": preparation.transforms[place] if preparation.transforms else None,
                "mean_shift": shift,
                "std_ratio": float(z.std()),
                "beyond_share": beyond,
                "outside_range_share": float(np.mean((usable < low) | (usable > high))),
                "range": [float(usable.min()), float(usable.max())],
                "train_range": [low, high],
                "not_finite": missing,
                "warnings": said,
            }
        )
        warnings += [f"{name}: {text}" for text in said]
        if missing:
            warnings.append(f"{name}: {missing} of {len(X)} rows have no finite value")
            said.append(f"{missing} of {len(X)} rows have no finite value")
    inputs = {"model": subject.path, "features": table}
    if subject.sidecar is not None:
        inputs["sidecar"] = subject.sidecar
    limits = {"max_mean_shift": max_mean_shift, "sigmas": sigmas, "max_beyond": max_beyond}
    table_sha256 = sha256_file(table)
    return publish_body(
        {
            "model": subject.name,
            "model_path": relative(subject.path),
            "model_sha256": subject.sha256,
            "table": relative(table),
            "table_sha256": table_sha256,
            "trained_on_this_table": described.sidecar["dataset_sha256"] == table_sha256,
            "n": len(X),
            "limits": limits,
            "features": features,
            "warnings": warnings,
            "passed": not warnings,
        },
        output,
        schema=SCHEMAS / "validate-norm.schema.json",
        verb="validate-norm",
        args={"model": str(model), **limits},
        inputs=inputs,
        started=started,
    )
