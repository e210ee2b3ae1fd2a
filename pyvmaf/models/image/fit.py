"""Train a model of pictures: a network for each fold of one seed, and the one that ships."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError
from pyvmaf.metrics import agreement, finite
from pyvmaf.models.crossval import Division, Validation, codecs_of, figures, validate
from pyvmaf.models.families import Fit, Run
from pyvmaf.models.image.graph import file_of, input_name, network_of
from pyvmaf.models.image.lesson import PictureLesson
from pyvmaf.models.image.members import kept_file, train_members
from pyvmaf.models.image.names import SHARED_BY_MEMBERS
from pyvmaf.models.image.networks import in_part, n_parameters
from pyvmaf.models.image.rows import PictureRows, read_rows
from pyvmaf.models.image.scores import scores
from pyvmaf.models.image.spec import ImageSpec
from pyvmaf.models.image.statistics import ranges
from pyvmaf.models.image.trainer import Trained
from pyvmaf.runtime import session as runtimes

_VERSION = ("clip", "codec", "preset", "rung")
"""Labels that name a version of a clip."""

Answer = Callable[[int, NDArray[np.int64]], NDArray[np.float64]]
"""Gives the scores of some rows by a member."""


def fit(spec: ImageSpec, run: Run) -> Fit:
    """Train one seed.

    Raises:
        InputError: the table or a column is not usable.
        UnavailableError: the device of the spec is not there.
        PyvmafError: a loss became NaN or infinite.
    """
    data = read_rows(spec, run.table)
    division = Division.of(spec.split, data)
    if spec.network.is_frozen:
        trained, answer = _with_backbone(spec, run, data, division)
    else:
        members = train_members(spec, PictureLesson(spec, data), run, data, division)
        trained = [Trained(in_part(spec.network, one.state), one.losses) for one in members]

        def answer(index: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
            return predict(spec, trained[index].state, data, rows)

    validation = validate(division, data, answer, [one.losses[-1] if one.losses else None for one in trained[:-1]])
    return Fit(
        table=data,
        n_total=data.n_total,
        table_sha256=data.sha256,
        dropped=data.dropped,
        validation=validation,
        tensors=_stacked(trained),
        info={"codecs": codecs_of(data), "levels": ranges(data.picture(row) for row in range(data.y.size))},
        held_out=[*(fold.held_out for fold in division.folds), None],
        n_parameters=n_parameters(network_of(spec, trained[-1].state)),
        facts={"pictures": facts(spec, data, validation)},
    )


def _with_backbone(spec: ImageSpec, run: Run, data: PictureRows, division: Division) -> tuple[list[Trained], Answer]:
    """Solve the heads of all members on the figures of a backbone, which are computed once.

    Raises:
        InputError: no backbone is given.
    """
    from pyvmaf.models.image import frozen

    if run.backbone is None:
        raise InputError(
            f"{spec.name} is trained on figures of a published network: name its converted weights (--backbone FILE, made by "
            "vmaf-train convert)"
        )
    backbone = frozen.read_backbone(spec, run.backbone)
    found = frozen.figures_of(spec, backbone, data, kept_file(spec, run, data, "figures"))
    members = [fold.train for fold in (*division.folds, division.everything)]
    centres = frozen.n_centres(spec, members)
    heads = []
    for index, train in enumerate(members):
        rows = frozen.Rows.of(spec, data, found, train)
        heads.append(frozen.solve(spec, rows, centres, steps=run.epochs))
        if run.on_epoch is not None:
            run.on_epoch((index + 1) * run.epochs, len(members) * run.epochs, heads[-1].loss)
    trained = [Trained(backbone | head.tensors, [head.loss] if run.epochs else []) for head in heads]
    return trained, lambda index, rows: frozen.answers(heads[index].tensors, spec, found[rows])


def _stacked(trained: list[Trained]) -> dict[str, NDArray[Any]]:
    """The tensors of all members, those that they share once."""
    return {
        name: np.stack([one.state[name] for one in (trained[:1] if name.startswith(SHARED_BY_MEMBERS) else trained)])
        for name in trained[0].state
    }


def predict(
    spec: ImageSpec, state: Mapping[str, NDArray[Any]], data: PictureRows, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Score some rows [n] with a trained state, as its exported graph does: of a filter, the PSNR of what it answers
    to each picture.
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
        ``versions``: the same over versions of clips (clip, codec, preset and rung), whose targets and scores are means over
        their pictures, and ``pooled`` figures of them.
    """
    rows = np.concatenate([fold.test for fold in validation.division.folds])
    sources = np.asarray(data.keys.get("source", data.groups)[rows])
    constant = np.concatenate(
        [np.full(fold.test.size, data.y[fold.train].mean()) for fold in validation.division.folds]
    )
    found = _of_sources(sources, data.y[rows], validation.predicted, constant)
    if all(name in data.rows for name in _VERSION):
        names = zip(*(np.asarray(data.rows[name][rows]).astype(str) for name in _VERSION), strict=True)
        _, first, index = np.unique(["\0".join(words) for words in names], return_index=True, return_inverse=True)
        target, predicted, simple = (_means(values, index) for values in (data.y[rows], validation.predicted, constant))
        pooled = figures(predicted, target) | {"n": int(first.size)}
        found["versions"] = _of_sources(sources[first], target, predicted, simple) | {"pooled": pooled}
    return found | {"crops": {"judge": spec.crops.judge, "views": spec.crops.views}}


def _of_sources(
    sources: NDArray[np.str_],
    target: NDArray[np.float64],
    predicted: NDArray[np.float64],
    constant: NDArray[np.float64],
) -> dict[str, Any]:
    """Figures per source, the order within sources, and the error of a constant predictor."""
    per_source = {
        name: figures(predicted[sources == name], target[sources == name]) | {"n": int((sources == name).sum())}
        for name in np.unique(sources).tolist()
    }
    order = [one["srocc"] for one in per_source.values() if one["srocc"] is not None]
    return {
        "per_source": per_source,
        "within": {"mean_srocc": float(np.mean(order)) if order else None, "min_srocc": min(order, default=None)},
        "constant": {"rmse": finite(agreement(constant, target)["rmse"])},
    }


def _means(values: NDArray[np.float64], index: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.bincount(index, values) / np.bincount(index)
