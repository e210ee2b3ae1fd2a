"""Train a saliency model: a network for each fold of one seed, and the one that ships."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyvmaf.models.crossval import Division, codecs_of, validate
from pyvmaf.models.families import Fit, Run
from pyvmaf.models.image.members import train_members
from pyvmaf.models.image.networks import n_parameters
from pyvmaf.models.saliency.figures import MapFigures, measure, summarised
from pyvmaf.models.saliency.graph import file_of
from pyvmaf.models.saliency.lesson import SaliencyLesson
from pyvmaf.models.saliency.networks import build
from pyvmaf.models.saliency.rows import read_rows
from pyvmaf.models.saliency.spec import SaliencySpec
from pyvmaf.runtime import session as runtimes


def fit(spec: SaliencySpec, run: Run) -> Fit:
    """Train one seed.

    The prediction of a row is the mean of its map, which is the feature ``saliency_mean``; its target is the mean of its mask.

    Raises:
        InputError: the table or a column is not usable.
        UnavailableError: the device of the spec is not there.
        PyvmafError: a loss became NaN or infinite.
    """
    data = read_rows(spec, run.table)
    division = Division.of(spec.split, data)
    trained = train_members(spec, SaliencyLesson(spec, data), run, data, division)
    measured: dict[int, MapFigures] = {}
    where = f"the graph of {spec.name}"

    def predict(index: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        runtime = runtimes.session(file_of(spec, trained[index].state), where=where)
        found = {row: measure(lambda feeds: runtimes.run(runtime, feeds, where), data, row) for row in rows.tolist()}
        measured.update(found)
        return np.array([one.mean for one in found.values()])

    losses = [one.losses[-1] if one.losses else None for one in trained[:-1]]
    validation = validate(division, data, predict, losses)
    return Fit(
        table=data,
        n_total=data.n_total,
        table_sha256=data.sha256,
        dropped=data.dropped,
        validation=validation,
        tensors={name: np.stack([one.state[name] for one in trained]) for name in trained[0].state},
        info={"codecs": codecs_of(data)},
        held_out=[*(fold.held_out for fold in division.folds), None],
        n_parameters=n_parameters(build(spec.network)),
        facts={"family": summarised(data, division, measured).as_json()},
    )
