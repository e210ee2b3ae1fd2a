"""Pictures as int8 variants need them: to measure activations with, and to judge what rounding costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pyvmaf.models.families import Feeds
from pyvmaf.models.image import rows as picture_rows
from pyvmaf.models.image.graph import input_name, member_state
from pyvmaf.models.image.lesson import PictureLesson
from pyvmaf.models.image.networks import build
from pyvmaf.models.image.rows import PictureRows
from pyvmaf.models.image.scores import scores
from pyvmaf.models.image.spec import ImageSpec
from pyvmaf.models.image.views import squares
from pyvmaf.models.weights import Weights

_SIDE = 128
"""Side of the squares that a filter's activations are measured on."""


def read_rows(spec: ImageSpec, table: Path) -> PictureRows:
    """Read the rows that a model was trained on."""
    return picture_rows.read_rows(spec, table)


def batches(
    spec: ImageSpec, weights: Weights, held_out: str | None, table: PictureRows, rows: NDArray[np.int64]
) -> Iterator[Feeds]:
    """Give the pictures of rows as the graph takes them, one picture at a time."""
    for row in rows.tolist():
        picture = table.picture(row)
        if spec.network.is_filter:
            side = min(_SIDE, *picture.shape)
            yield {input_name(spec): squares(picture, side, 1)}
        else:
            yield {input_name(spec): squares(picture, spec.crops.judge, spec.crops.views)}


def answers(
    spec: ImageSpec,
    weights: Weights,
    held_out: str | None,
    table: PictureRows,
    rows: NDArray[np.int64],
    run: Callable[[Feeds], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Score rows [n] with a graph.

    Args:
        spec: the model.
        weights, held_out: the member.
        table: all rows.
        rows: which of them.
        run: gives the graph's output for its input.
    """
    return scores(spec, lambda pictures: run({input_name(spec): pictures}), table, rows)


def lesson(spec: ImageSpec, table: PictureRows) -> PictureLesson:
    """Give what the network learned: of a filter with stages, that of the last one."""
    return PictureLesson(spec, table, spec.stages[-1] if spec.stages else None)


def trained_network(spec: ImageSpec, weights: Weights, held_out: str | None) -> torch.nn.Module:
    """Give a member as it was trained."""
    network = build(spec.network)
    state = member_state(weights, held_out)
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
    return network


def example(spec: ImageSpec) -> tuple[Feeds, str]:
    """Give an input to time a graph with, and say what it is."""
    if spec.network.is_filter:
        return {input_name(spec): np.zeros((1, 1, 360, 640), dtype=np.float32)}, "a picture of 640x360"
    side, views = spec.crops.judge, spec.crops.views
    return {
        input_name(spec): np.zeros((views, 1, side, side), dtype=np.float32)
    }, f"a picture ({views} squares of {side}x{side})"
