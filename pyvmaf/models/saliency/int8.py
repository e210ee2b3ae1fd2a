"""Pictures as int8 variants of saliency models need them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pyvmaf.models.families import Feeds
from pyvmaf.models.image.graph import member_state
from pyvmaf.models.saliency import rows as masked_rows
from pyvmaf.models.saliency.figures import inputs_of
from pyvmaf.models.saliency.lesson import SaliencyLesson
from pyvmaf.models.saliency.names import INPUT
from pyvmaf.models.saliency.networks import build
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


def lesson(spec: SaliencySpec, table: MaskedRows) -> SaliencyLesson:
    """Give what the network learned."""
    return SaliencyLesson(spec, table)


def trained_network(spec: SaliencySpec, weights: Weights, held_out: str | None) -> torch.nn.Module:
    """Give a member as it was trained."""
    network = build(spec.network)
    state = member_state(weights, held_out)
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
    return network


def example(spec: SaliencySpec) -> tuple[Feeds, str]:
    """Give an input to time a graph with, and say what it is."""
    shape = (1, 3, spec.side, spec.side)
    return {INPUT: np.zeros(shape, dtype=np.float32)}, f"a picture of {spec.side}x{spec.side}"
