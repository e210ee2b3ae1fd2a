"""Numbers that depend on the codec and the CRF: of each codec a line with corners over the CRF of the codec block.

The corners (knots) lie among the CRFs of the training rows, and beyond the outer ones the line goes on straight. The value at a knot
is what a fit finds; a graph computes the same as a sum of 1, q and relu(q - knot), which need neither search nor branches.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError

if TYPE_CHECKING:
    import torch

_NEAR = 1e-9
"""CRFs of a codec block that are no further from each other are one."""


@dataclass(frozen=True)
class Curves:
    """The knots of each codec.

    Attributes:
        knots: float64 [slots, knots], ascending, of the CRF as the codec block states it.
    """

    knots: NDArray[np.float64]

    @staticmethod
    def fit(block: NDArray[np.float64], slots: tuple[str, ...], count: int) -> Curves:
        """Place knots evenly among the different CRFs of each codec; a codec without rows has the mean of the others' knots.

        Args:
            block: codec blocks of the training rows [n, width]: a column per slot, and the CRF as the last one.
            slots: names of the codecs.
            count: knots of each.

        Raises:
            InputError: the rows of a codec have fewer CRFs.
        """
        knots = np.full((len(slots), count), np.nan)
        for place, slot in enumerate(slots):
            values = np.unique(block[block[:, place] > 0, -1])
            values = values[np.diff(values, prepend=-np.inf) > _NEAR]
            if not values.size:
                continue
            if values.size < count:
                raise InputError(
                    f"network.base.knots is {count}, but the training rows of {slot} have {values.size} different CRFs: set it to "
                    f"{values.size} or less, or leave it out"
                )
            knots[place] = np.quantile(values, np.linspace(0, 1, count))
        knots[np.isnan(knots[:, 0])] = np.nanmean(knots, axis=0)
        return Curves(knots)

    @cached_property
    def slopes(self) -> NDArray[np.float64]:
        """Factors of the CRF in each term, float64 [slots * knots]."""
        terms = np.ones_like(self.knots)
        terms[:, 0] = 0
        return terms.ravel()

    @cached_property
    def offsets(self) -> NDArray[np.float64]:
        """What is added to that, float64 [slots * knots]."""
        terms = np.zeros_like(self.knots)
        terms[:, 0], terms[:, 2:] = 1, -self.knots[:, 1:-1]
        return terms.ravel()

    @cached_property
    def owners(self) -> NDArray[np.int64]:
        """Which slot each term is of, int64 [slots * knots]."""
        return np.repeat(np.arange(len(self.knots)), self.knots.shape[1])

    def terms(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """Terms of codec blocks [n, width], float64 [n, slots * knots]: those of other codecs are 0."""
        return np.asarray(np.maximum(block[:, -1:] * self.slopes + self.offsets, 0) * block[:, self.owners])

    def torch_terms(self, block: torch.Tensor) -> torch.Tensor:
        """The same of a tensor."""
        import torch

        slopes, offsets = (torch.from_numpy(a.astype(np.float32)).to(block) for a in (self.slopes, self.offsets))
        return torch.relu(block[:, -1:] * slopes + offsets) * block[:, torch.from_numpy(self.owners)]

    def hats(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shares of the values at the knots that make the value of each row, float64 [n, slots * knots]."""
        return np.asarray(self.terms(block) @ self.to_terms(np.eye(self.knots.size)))

    def to_terms(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn values at the knots [slots * knots, ...] into factors of the terms, of the same shape."""
        at = values.reshape(*self.knots.shape, -1)
        slope = np.diff(at, axis=1) / np.diff(self.knots, axis=1)[..., None]
        factors = np.empty_like(at)
        factors[:, 0] = at[:, 0] - slope[:, 0] * self.knots[:, :1]
        factors[:, 1] = slope[:, 0]
        factors[:, 2:] = np.diff(slope, axis=1)
        return factors.reshape(values.shape)
