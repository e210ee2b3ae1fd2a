"""The material of an int8 file: a member, its rows and its settings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyvmaf.models.families import Feeds, Int8Rows, int8_part
from pyvmaf.models.spec import ModelSpec, Quantised
from pyvmaf.models.weights import Weights


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

    def feeds(self, rows: NDArray[np.int64]) -> Feeds:
        """Rows as the file takes them."""
        return int8_part(self.spec.kind).feeds(self.spec, self.weights, self.held_out, self.table, rows)

    def network_inputs(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Rows as the trained network takes them, float64 [n, inputs]."""
        return int8_part(self.spec.kind).network_inputs(self.spec, self.weights, self.held_out, self.table, rows)
