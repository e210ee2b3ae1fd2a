"""Pictures as int8 variants of saliency models need them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyvmaf.models.families import Feeds
from pyvmaf.models.saliency import rows as masked_rows
from pyvmaf.models.saliency.figures import inputs_of
from pyvmaf.models.saliency.names import INPUT
from pyvmaf.models.saliency.rows import MaskedRows
from pyvmaf.models.saliency.spec import SaliencySpec
from pyvmaf.models.weights import Weights


def read_rows(spec: SaliencySpec, table: Path) -> MaskedRows:
    """Read the rows that a model was trained on."""
    return masked_rows.read_rows(spec, table)


def batches(
    spec: SaliencySpec, weights: Weights, held_out: str | None, table: MaskedRows, rows: NDArray[np.int64]
) -> Iterator[Feeds]:
    """Give the pictures of rows as the graph takes them, one at a time."""
    for row in rows.tolist():
        yield {INPUT: inputs_of(table.picture(row)[None])}


def answers(
    spec: SaliencySpec,
    weights: Weights,
    held_out: str | None,
    table: MaskedRows,
    rows: NDArray[np.int64],
    run: Callable[[Feeds], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Give the mean of the map of rows [n] with a graph.

    Args:
        spec: the model.
        weights, held_out: the member.
        table: all rows.
        rows: which of them.
        run: gives the graph's output for its input.
    """
    return np.array([run(feeds).mean() for feeds in batches(spec, weights, held_out, table, rows)])


def example(spec: SaliencySpec) -> tuple[Feeds, str]:
    """Give an input to time a graph with, and say what it is."""
    shape = (1, 3, spec.side, spec.side)
    return {INPUT: np.zeros(shape, dtype=np.float32)}, f"a picture of {spec.side}x{spec.side}"
