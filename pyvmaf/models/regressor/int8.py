"""Rows and networks of regressors, as int8 variants need them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyvmaf.models.regressor import inputs
from pyvmaf.models.regressor.graph import member_module
from pyvmaf.models.regressor.rows import TrainingTable, read_table
from pyvmaf.models.regressor.spec import RegressorSpec
from pyvmaf.models.weights import Weights

if TYPE_CHECKING:
    import torch


def read_rows(spec: RegressorSpec, table: Path) -> TrainingTable:
    """Read the rows that a model was trained on."""
    return read_table(table, spec)


def feeds(
    spec: RegressorSpec, weights: Weights, held_out: str | None, table: TrainingTable, rows: NDArray[np.int64]
) -> dict[str, NDArray[np.float32]]:
    """Give rows of a table as the graph of a member takes them."""
    prepare = inputs.of_member(spec, weights, weights.index(held_out))
    codec = None if table.codec is None else table.codec[rows]
    return inputs.feeds(prepare.graph_inputs(table.X[rows]), codec, spec.export.codec_name)


def batches(
    spec: RegressorSpec, weights: Weights, held_out: str | None, table: TrainingTable, rows: NDArray[np.int64]
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Give rows of a table as the graph of a member takes them, all at once."""
    yield feeds(spec, weights, held_out, table, rows)


def answers(
    spec: RegressorSpec,
    weights: Weights,
    held_out: str | None,
    table: TrainingTable,
    rows: NDArray[np.int64],
    run: Callable[[dict[str, NDArray[np.float32]]], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Score rows of a table with a graph of a member."""
    return run(feeds(spec, weights, held_out, table, rows))


def example(spec: RegressorSpec) -> None:
    """Rows of zeros are as good as any."""


def network_inputs(
    spec: RegressorSpec, weights: Weights, held_out: str | None, table: TrainingTable, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Give the columns [n, inputs] that the network of a member sees."""
    prepare = inputs.of_member(spec, weights, weights.index(held_out))
    return prepare(table.X[rows], None if table.codec is None else table.codec[rows])


def network(spec: RegressorSpec, weights: Weights, held_out: str | None) -> torch.nn.Module:
    """Give a member as a torch module."""
    return member_module(spec, weights, weights.index(held_out))
