"""Train a regressor: all folds of one seed and the member on all rows as one stack."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyvmaf.chunks import chunks, release
from pyvmaf.codecs.vocabularies import vocabulary
from pyvmaf.errors import InputError
from pyvmaf.features.catalog import TEACHER, pooled_column
from pyvmaf.models.crossval import Division, Predict, codecs_of, figures, summarise, validate
from pyvmaf.models.device import check_device
from pyvmaf.models.families import Fit, Run
from pyvmaf.models.regressor.base import KNOTS, TENSORS
from pyvmaf.models.regressor.networks import Mlp, build
from pyvmaf.models.regressor.rows import TrainingTable, read_table
from pyvmaf.models.regressor.spec import RegressorSpec
from pyvmaf.models.regressor.trainer import Fitted, Member, StackedTrainer, torch_threads

LOOKS = 10
"""How often the figures of held-out rows are computed during a fit whose caller asks for them."""


def fit(spec: RegressorSpec, run: Run) -> Fit:
    """Train one seed.

    Raises:
        UnavailableError: the device of the spec is not there.
        InputError: the table or a column is not usable.
        PyvmafError: a loss became NaN or infinite.
    """
    check_device(spec.name, spec.device)
    data = read_table(run.table, spec, run.negatives)
    _check_range(spec, data)
    division = Division.of(spec.split, data)
    network = build(spec.network, data.width, spec.target.range)
    trainer = StackedTrainer(
        network,
        spec.optimiser,
        batch_size=spec.batch_size,
        epochs=run.epochs,
        seed=run.seed,
        inputs=spec.inputs,
        base=spec.network.base,
        device=spec.device,
        standardise=spec.target.standardise,
    )
    rows_of = partial(data.training_rows, shared=spec.split.shared_sources)
    members = [Member(f.held_out, partial(rows_of, f)) for f in division.every]
    members.append(Member(None, partial(rows_of, division.everything)))
    release()
    look = None if run.on_held_out is None else partial(_look, spec, run, network, data, division)
    with torch_threads(run.threads):
        fitted = trainer.fit(members, data.whole.X, data.whole.y, data.whole.codec, run.on_epoch, look)
        validation = validate(
            division,
            data,
            lambda index, rows: _predict(spec, network, fitted[index], data, rows),
            [float(one.losses[-1]) if run.epochs else None for one in fitted[:-1]],
            _baselines(data, fitted),
        )
    base = fitted[-1].base
    block = None if spec.inputs.codec is None else vocabulary(spec.inputs.codec)
    negatives = {} if data.negatives is None else {"negatives": data.negatives.facts()}
    codec = None if block is None else {"version": block.version, "sha256": block.sha256, "width": block.width}
    return Fit(
        table=data,
        n_total=data.n_total,
        table_sha256=data.sha256,
        dropped=data.dropped,
        validation=validation,
        tensors=_tensors(fitted),
        info={"features": list(data.features), "codec": codec, "codecs": codecs_of(data)} | negatives,
        held_out=[m.held_out for m in members],
        n_parameters=network.n_parameters if base is None or base.limit else base.n_parameters,
        facts={
            "num_codecs": 0 if block is None else block.width,
            "encoder_vocab_version": None if block is None else block.version,
        }
        | negatives,
    )


def _baselines(data: TrainingTable, fitted: list[Fitted]) -> dict[str, Predict]:
    """Simpler answers than the members': the teacher's score, where it is an input, and their linear parts."""

    def column(place: int, index: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(data.X[rows, place])

    def ridge(index: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        base = fitted[index].base
        assert base is not None
        return base(fitted[index].prepare(data.X[rows], None if data.codec is None else data.codec[rows]))

    found: dict[str, Predict] = {
        name: partial(column, place)
        for place, name in enumerate(data.features)
        if (pooled_column(name) or (name,))[0] == TEACHER
    }
    return found | ({"ridge": ridge} if fitted[0].base is not None else {})


def _tensors(fitted: list[Fitted]) -> dict[str, NDArray[Any]]:
    """The arrays of the weights file, the members along the first axis."""
    bases = [f.base for f in fitted if f.base is not None]
    linear = (np.stack([b.weights for b in bases]), np.array([b.bias for b in bases])) if bases else ()
    curves = [b.curves.knots for b in bases if b.curves is not None]
    knots = {KNOTS: np.stack(curves)} if curves else {}
    return (
        dict(zip(TENSORS, linear, strict=False))
        | knots
        | {
            "parameters": np.stack([f.parameters for f in fitted]).astype(np.float32),
            "scaler_mean": np.stack([f.prepare.mean for f in fitted]),
            "scaler_std": np.stack([f.prepare.std for f in fitted]),
            "feature_low": np.stack([f.prepare.low for f in fitted]),
            "feature_high": np.stack([f.prepare.high for f in fitted]),
        }
    )


def _look(
    spec: RegressorSpec,
    run: Run,
    network: Mlp,
    data: TrainingTable,
    division: Division,
    epochs_done: int,
    so_far: Callable[[], list[Fitted]],
) -> None:
    """Report the figures of the held-out rows, about `LOOKS` times during a fit."""
    if run.on_held_out is None or epochs_done % max(1, run.epochs // LOOKS):
        return
    measured = [
        figures(_predict(spec, network, one, data, test := fold.test), data.y[test])
        for one, fold in zip(so_far(), division.folds, strict=False)
    ]
    run.on_held_out(epochs_done, summarise(measured))


def _predict(
    spec: RegressorSpec, network: Mlp, one: Fitted, data: TrainingTable, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Scores [n] of some rows as the exported graph gives them."""
    predicted = np.empty(rows.size)
    parameters = torch.from_numpy(one.parameters)
    with torch.inference_mode():
        for chunk in chunks(rows.size):
            part = rows[chunk]
            inputs = one.prepare(data.X[part], None if data.codec is None else data.codec[part])
            answers = network.predict(parameters, torch.from_numpy(inputs.astype(np.float32))).numpy()
            predicted[chunk] = answers if one.base is None else one.base.corrected(inputs, answers)
    return np.clip(predicted, *spec.target.range, out=predicted) if spec.target.clip else predicted


def _check_range(spec: RegressorSpec, data: TrainingTable) -> None:
    """Refuse a target that the scores could not follow."""
    (low, high), column = spec.target.range, spec.target.column
    slack, y = 1e-6 * (high - low), data.whole.y
    outside = int(np.count_nonzero((y < low - slack) | (y > high + slack)))
    bounded = spec.network.output == "sigmoid"
    if (spec.target.clip or bounded) and outside:
        raise InputError(
            f"{data.path}: {outside} of {y.size} rows have a {column} outside of target.range [{low:g}, {high:g}], from "
            f"{y.min():g} to {y.max():g}, and scores are kept inside that range: set target.range to the scale "
            f"of {column}, " + ("or network.output: linear" if bounded else "or target.clip: false")
        )
