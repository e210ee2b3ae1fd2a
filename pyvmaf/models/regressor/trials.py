"""Inputs for trials of a regressor's graph, and the answers of the trained network."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pyvmaf.codecs.vocabularies import Vocabulary
from pyvmaf.models.families import Trial
from pyvmaf.models.regressor.graph import clip_bounds, codec_vocabulary, member_module
from pyvmaf.models.regressor.inputs import feeds, of_member
from pyvmaf.models.regressor.names import UNCLIPPED
from pyvmaf.models.regressor.spec import RegressorSpec
from pyvmaf.models.weights import Weights


def trials(spec: RegressorSpec, weights: Weights, held_out: str | None) -> Iterator[Trial]:
    """Give batches of inputs with torch's answers."""
    import torch

    from pyvmaf.models.regressor.trainer import torch_threads

    block = codec_vocabulary(spec, weights)
    index, ends = weights.index(held_out), clip_bounds(spec, weights)
    prepare = of_member(spec, weights, index)
    module = member_module(spec, weights, index).eval()
    for batch, codec in trial_batches(prepare.low, prepare.high, block):
        raw = batch.astype(np.float32).astype(np.float64)  # that rounding is the input's, not the graph's
        with torch_threads(1), torch.inference_mode():
            answers = module(torch.from_numpy(prepare(raw, codec).astype(np.float32)))[:, 0].double().numpy()
        inputs = feeds(prepare.graph_inputs(raw), codec, spec.export.codec_name)
        # Clipped scores say nothing about rows far outside: the answers before that are compared as well.
        yield Trial(inputs, answers) if ends is None else Trial(inputs, np.clip(answers, *ends), {UNCLIPPED: answers})


def trial_batches(
    low: NDArray[np.float64], high: NDArray[np.float64], block: Vocabulary | None
) -> list[tuple[NDArray[np.float64], NDArray[np.float64] | None]]:
    """Inputs to compare two runtimes on: random rows inside the training range, its corners and centre, values far
    outside of it, zeros, and batches of one row and of many.

    Args:
        low, high: float64 [columns], range of the raw features.
        block: codec vocabulary, or None.
    """
    rng = np.random.default_rng(17)
    width = np.where(high > low, high - low, 1.0)
    columns = low.size
    corners = np.where(rng.random((64, columns)) < 0.5, low, high)
    batches = [
        low + width * rng.random((512, columns)),
        low + width * rng.random((257, columns)),
        corners,
        (low + high)[None] / 2,
        low[None],
        high[None],
        np.zeros((1, columns)),
        low + width * rng.uniform(-10, 11, size=(64, columns)),
        np.vstack([low - 100 * width, high + 100 * width]),
    ]
    if block is None:
        return [(x, None) for x in batches]
    codes = np.eye(len(block.slots))
    out: list[tuple[NDArray[np.float64], NDArray[np.float64] | None]] = []
    for x in batches:
        slots = codes[rng.integers(0, len(codes), size=len(x))]
        out.append((x, np.hstack([slots, rng.random((len(x), block.width - len(codes)))])))
    return out
