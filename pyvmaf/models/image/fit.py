"""Train a model of pictures: a network for each fold of one seed, and the one that ships."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.code import identity
from pyvmaf.base.families import uses
from pyvmaf.base.files import content_hash
from pyvmaf.metrics import agreement, finite
from pyvmaf.models.crossval import Division, Validation, codecs_of, figures, validate
from pyvmaf.models.families import Fit, Run
from pyvmaf.models.image.graph import file_of, input_name
from pyvmaf.models.image.networks import build, n_parameters
from pyvmaf.models.image.rows import PictureRows, read_rows
from pyvmaf.models.image.scores import scores
from pyvmaf.models.image.spec import ImageSpec
from pyvmaf.models.image.statistics import ranges
from pyvmaf.models.image.trainer import Member, Trained, train
from pyvmaf.runtime import session as runtimes
from pyvmaf.splits import VAL, Fold, hash_sides


def fit(spec: ImageSpec, run: Run) -> Fit:
    """Train one seed.

    Raises:
        InputError: the table or a column is not usable.
        UnavailableError: the device of the spec is not there.
        PyvmafError: a loss became NaN or infinite.
    """
    data = read_rows(spec, run.table)
    division = Division.of(spec.split, data)
    members = [_member(spec, data, fold) for fold in (*division.folds, division.everything)]
    trained = [_trained(spec, run, data, members, index) for index in range(len(members))]
    validation = validate(
        division,
        data,
        lambda index, rows: predict(spec, trained[index].state, data, rows),
        [one.losses[-1] if one.losses else None for one in trained[:-1]],
    )
    return Fit(
        table=data,
        n_total=data.n_total,
        table_sha256=data.sha256,
        dropped=data.dropped,
        validation=validation,
        tensors={name: np.stack([one.state[name] for one in trained]) for name in trained[0].state},
        info={"codecs": codecs_of(data), "levels": ranges(data.picture(row) for row in range(data.y.size))},
        held_out=[*(fold.held_out for fold in division.folds), None],
        n_parameters=n_parameters(build(spec.network)),
        facts={"pictures": facts(spec, data, validation)},
    )


def _member(spec: ImageSpec, data: PictureRows, fold: Fold) -> Member:
    """The rows of a member: those that early stopping looks at are whole values of split.by."""
    rows, validation = fold.train, fold.rows(VAL) if fold.held_out else np.empty(0, dtype=np.int64)
    if spec.early_stopping is not None and not validation.size:
        names = np.asarray(data.groups[rows])
        if np.unique(names).size > 1:
            sides = np.asarray(hash_sides(names, spec.early_stopping.share, 0.0))
            if not (sides == "val").any():
                sides = np.where(names == min(np.unique(names).tolist(), key=content_hash), "val", "train")
            rows, validation = rows[sides == "train"], rows[sides == "val"]
    return Member(fold.held_out, rows, validation)


def _trained(spec: ImageSpec, run: Run, data: PictureRows, members: list[Member], index: int) -> Trained:
    """Train a member, or go on with a training that was interrupted."""
    member = members[index]
    total = run.epochs * len(members)

    def on_epoch(done: int, loss: float) -> None:
        if run.on_epoch is not None:
            run.on_epoch(index * run.epochs + done, total, loss)

    return train(
        spec,
        data,
        member,
        seed=run.seed,
        epochs=run.epochs,
        checkpoint=_checkpoint(spec, run, data, member),
        on_epoch=on_epoch,
    )


def _checkpoint(spec: ImageSpec, run: Run, data: PictureRows, member: Member) -> Path | None:
    """Where the state of a training is kept: the name depends on everything that shapes it."""
    if run.checkpoints is None:
        return None
    key = {
        "training": spec.training(),
        "table": data.sha256,
        "seed": run.seed,
        "epochs": run.epochs,
        "member": member.name,
        "code": identity("fit", uses("fit", spec.kind)),
    }
    return run.checkpoints / f"{content_hash(key)[:32]}.safetensors"


def predict(
    spec: ImageSpec, state: Mapping[str, NDArray[Any]], data: PictureRows, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Score some rows [n] with a trained state, as its exported graph does: of a filter, the PSNR of what it makes of each
    picture, in 8 bits.
    """
    if not rows.size:
        return np.empty(0)
    where, name = f"the graph of {spec.name}", input_name(spec)
    runtime = runtimes.session(file_of(spec, state), where=where)
    return scores(spec, lambda pictures: runtimes.run(runtime, {name: pictures}, where), data, rows)


def facts(spec: ImageSpec, data: PictureRows, validation: Validation) -> dict[str, Any]:
    """Figures of pictures for the report: per source and within sources, and those of a constant predictor.

    Returns:
        ``per_source``: figures over the held-out rows of each source; their SROCC is the order within it.
        ``within``: mean and least of these SROCC. ``constant``: figures of the mean of each fold's training rows.
    """
    rows = np.concatenate([fold.test for fold in validation.division.folds])
    sources = np.asarray(data.keys.get("source", data.groups)[rows])
    target, predicted = data.y[rows], validation.predicted
    per_source = {
        name: figures(predicted[sources == name], target[sources == name]) | {"n": int((sources == name).sum())}
        for name in np.unique(sources).tolist()
    }
    order = [one["srocc"] for one in per_source.values() if one["srocc"] is not None]
    means = [np.full(fold.test.size, data.y[fold.train].mean()) for fold in validation.division.folds]
    constant = agreement(np.concatenate(means), target)
    return {
        "per_source": per_source,
        "within": {"mean_srocc": float(np.mean(order)) if order else None, "min_srocc": min(order, default=None)},
        "constant": {"rmse": finite(constant["rmse"])},
        "crops": {"judge": spec.crops.judge, "views": spec.crops.views},
    }
