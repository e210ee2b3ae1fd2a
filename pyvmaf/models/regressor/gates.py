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
from pyvmaf.models.gates.hard_negatives import HardNegatives, Scored
from pyvmaf.models.gates.monotonicity import Monotonicity
from pyvmaf.models.gates.pooled import Pooled
from pyvmaf.models.graphs import checked
from pyvmaf.models.regressor.graph import graph
from pyvmaf.models.regressor.inputs import UNCLIPPED, feeds, of_member
from pyvmaf.models.regressor.spec import RegressorSpec
from pyvmaf.models.weights import PREDICTIONS, WEIGHTS, load_weights
from pyvmaf.runtime.allowlist import parse
from pyvmaf.runtime.session import run_all, session, with_inner
from pyvmaf.tables.columns import read_columns, strings


def frame_columns(spec: RegressorSpec) -> Sequence[str] | None:
    """The inputs of a model of frames; None for any other model."""
    return spec.inputs.names if spec.on_frames else None


def scores(spec: RegressorSpec, seed: Seed, X: NDArray[np.float64]) -> Mapping[str, Scored]:
    """Score rows of raw features [n, columns] with the model of a seed that would ship, once per codec that it is told."""
    weights = load_weights(seed.beside(WEIGHTS))
    data = checked(graph(spec, weights, None), spec).data
    if weights.clipped:
        data = with_inner(parse(data, spec.name), (UNCLIPPED,), spec.name)
    runtime = session(data)
    features = of_member(spec, weights, weights.index(None)).graph_inputs(X)
    blocks = _codecs(spec, seed)
    return {
        name: Scored.of(
            run_all(runtime, feeds(features, None if block is None else np.tile(np.asarray(block), (len(X), 1))))
        )
        for name, block in blocks.items()
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
