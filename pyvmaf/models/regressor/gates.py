"""The gates of regressors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pyvmaf.codecs.vocabularies import vocabulary
from pyvmaf.errors import InputError
from pyvmaf.models.gates.correlation import Correlation
from pyvmaf.models.gates.extrapolation import Extrapolation
from pyvmaf.models.gates.gate import Gate, Seed
from pyvmaf.models.gates.hard_negatives import HardNegatives, Pairs, Scored
from pyvmaf.models.gates.monotonicity import Monotonicity
from pyvmaf.models.gates.pooled import Pooled
from pyvmaf.models.graphs import checked
from pyvmaf.models.regressor.graph import graph
from pyvmaf.models.regressor.inputs import feeds, of_member
from pyvmaf.models.regressor.names import UNCLIPPED
from pyvmaf.models.regressor.spec import RegressorSpec
from pyvmaf.models.weights import PREDICTIONS, WEIGHTS, Weights, load_weights
from pyvmaf.runtime.allowlist import parse
from pyvmaf.runtime.session import run_all, session, with_inner
from pyvmaf.tables.columns import read_columns, strings


def frame_columns(spec: RegressorSpec) -> Sequence[str] | None:
    """The inputs of a model of frames; None for any other model."""
    return spec.inputs.names if spec.on_frames else None


def scores(spec: RegressorSpec, seed: Seed, pairs: Pairs) -> Mapping[str, Scored]:
    """Score rows with the models of a seed, once per codec that they are told.

    A model that was trained on hard negatives has seen those of all scenes. The rows of a scene that some fold held out
    are scored by that fold's member, all others by the model that would ship.
    """
    weights = load_weights(seed.beside(WEIGHTS))
    spec = weights.spec_of(spec)
    members = held_out_by(seed, weights, pairs)
    blocks = _codecs(spec, seed)
    held_out = int(np.count_nonzero(members != "")) if weights.info.get("negatives") else None
    found = {name: Scored(np.empty(members.size), np.empty(members.size), held_out) for name in blocks}
    for member in np.unique(members).tolist():
        rows = np.flatnonzero(members == member)
        for name, scored in _score(spec, weights, member or None, pairs.X[rows], blocks).items():
            found[name].scores[rows], found[name].answers[rows] = scored.scores, scored.answers
    return found


def held_out_by(seed: Seed, weights: Weights, pairs: Pairs) -> NDArray[np.str_]:
    """The fold that held out the scene of each row; empty where none did, or if no fold saw any hard negative."""
    if not weights.info.get("negatives"):
        return np.full(len(pairs.X), "")
    predictions = read_columns(seed.beside(PREDICTIONS), ["fold", "source"])
    sources, first = np.unique(strings(predictions, "source"), return_index=True)
    fold_of = dict(zip(sources.tolist(), strings(predictions, "fold")[first].tolist(), strict=True))
    return np.array([fold_of.get(source, "") for source in pairs.sources.tolist()], dtype=np.str_)


def _score(
    spec: RegressorSpec,
    weights: Weights,
    held_out: str | None,
    X: NDArray[np.float64],
    blocks: Mapping[str, list[float] | None],
) -> dict[str, Scored]:
    data = checked(graph(spec, weights, held_out), spec).data
    if weights.clipped:
        data = with_inner(parse(data, spec.name), (UNCLIPPED,), spec.name)
    runtime = session(data)
    features = of_member(spec, weights, weights.index(held_out)).graph_inputs(X)
    tiled = {name: None if block is None else np.tile(np.asarray(block), (len(X), 1)) for name, block in blocks.items()}
    return {
        name: Scored.of(run_all(runtime, feeds(features, codec, spec.export.codec_name)))
        for name, codec in tiled.items()
    }


def _codecs(spec: RegressorSpec, seed: Seed) -> dict[str, list[float] | None]:
    """The codec blocks that a model is told, by name; None for a model that takes none."""
    if spec.inputs.codec is None:
        return {"none": None}
    block = vocabulary(spec.inputs.codec)
    if block.blind_or_none is not None:
        return {"unknown": block.blind_or_none}
    seen = sorted(set(strings(read_columns(seed.beside(PREDICTIONS), ["codec"]), "codec").tolist()))
    blocks: dict[str, list[float] | None] = {}
    for name in seen:
        try:
            blocks[name] = block.encode(name, None, None)
        except InputError:
            continue  # a ladder may be called other than its encoder
    if not blocks:
        raise InputError(
            f"codec vocabulary {block.version} has no slot for an unknown encoder, nor for any of {', '.join(seen)}, "
            f"which {spec.name} was trained on: hard negatives cannot be judged"
        )
    return blocks


GATES: tuple[Gate, ...] = (
    Correlation(),
    Pooled(),
    HardNegatives(frame_columns, scores),
    Monotonicity(),
    Extrapolation(),
)
