"""The material of an int8 file: a member, its rows and its settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyvmaf.models.families import Feeds, Int8Rows, int8_part, trainable_int8_part
from pyvmaf.models.spec import ModelSpec, Quantised
from pyvmaf.models.weights import Weights
from pyvmaf.runtime.session import run, session


@dataclass(frozen=True)
class Material:
    """A member with the rows that it was trained on.

    Attributes:
        fp32: the member's exported file.
        spec, settings: the model, and its key `quantised` for the mode.
        weights: of the fit.
        held_out: which member; None for the one that ships.
        table: the rows.
        train: int64 indices of the member's training rows.
        calibration: int64, those of them that activation ranges are measured on.
    """

    fp32: bytes
    spec: ModelSpec
    settings: Quantised
    weights: Weights
    held_out: str | None
    table: Int8Rows
    train: NDArray[np.int64]
    calibration: NDArray[np.int64]

    def batches(self, rows: NDArray[np.int64]) -> Iterator[Feeds]:
        """Rows as the file takes them, in parts."""
        return int8_part(self.spec.kind).batches(self.spec, self.weights, self.held_out, self.table, rows)

    def answers(self, data: bytes, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Score rows [n] with a file of this member."""
        runtime = session(data)
        part = int8_part(self.spec.kind)
        return part.answers(self.spec, self.weights, self.held_out, self.table, rows, lambda feeds: run(runtime, feeds))

    def network_inputs(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Rows as the trained network takes them, float64 [n, inputs]."""
        return trainable_int8_part(self.spec.kind).network_inputs(
            self.spec, self.weights, self.held_out, self.table, rows
        )
