"""Train a model of pictures: a network for each fold of one seed, and the one that ships."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.metrics import agreement, finite
from pyvmaf.models.crossval import Division, Validation, codecs_of, figures, validate
from pyvmaf.models.families import Fit, Run
from pyvmaf.models.image.graph import file_of, input_name
from pyvmaf.models.image.lesson import PictureLesson
from pyvmaf.models.image.members import train_members
from pyvmaf.models.image.networks import build, n_parameters
from pyvmaf.models.image.rows import PictureRows, read_rows
from pyvmaf.models.image.scores import scores
from pyvmaf.models.image.spec import ImageSpec
from pyvmaf.models.image.statistics import ranges
from pyvmaf.runtime import session as runtimes


def fit(spec: ImageSpec, run: Run) -> Fit:
    """Train one seed.

    Raises:
        InputError: the table or a column is not usable.
        UnavailableError: the device of the spec is not there.
        PyvmafError: a loss became NaN or infinite.
    """
    data = read_rows(spec, run.table)
    division = Division.of(spec.split, data)
    trained = train_members(spec, PictureLesson(spec, data), run, data, division)
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
