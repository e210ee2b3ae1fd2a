"""Numbers that depend on the codec and the CRF: of each codec a line with corners over the CRF of the codec block.

The corners (knots) lie among the CRFs of the training rows, and beyond the outer ones the line goes on straight. What a fit finds
are the values at the knots. No line rises with the CRF: values that do are levelled (`levelled`). The line is the first value plus, for
each segment between two knots, its slope times the length of it that lies before the CRF, which needs neither search nor
branches. As no slope is above 0, it does not rise in float32 either.
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

_FAR = 1e30
"""A length that no segment has."""


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
    def ends(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Limits that the length of each segment is kept in, float64 [slots, knots - 1]: the outer ones have none outwards."""
        low, high = np.zeros_like(self.widths), self.widths.copy()
        low[:, 0], high[:, -1] = -_FAR, _FAR
        return low, high

    @cached_property
    def widths(self) -> NDArray[np.float64]:
        """Lengths of the segments, float64 [slots, knots - 1]."""
        return np.diff(self.knots, axis=1)

    def hats(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shares of the values at the knots that make the value of each row.

        Args:
            block: codec blocks [n, width].

        Returns:
            float64 [n, slots * knots]; those of other codecs are 0.
        """
        shares = self._lengths(block) / self.widths
        hats = np.zeros((len(block), *self.knots.shape))
        hats[:, :, 0] = 1
        hats[:, :, :-1] -= shares
        hats[:, :, 1:] += shares
        return np.asarray((hats * block[:, : len(self.knots), None]).reshape(len(block), -1))

    def __call__(self, values: NDArray[np.float64], block: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the value of each row on the line of its codec.

        Args:
            values: at the knots [n, slots * knots]; those that rise are levelled.
            block: codec blocks [n, width].

        Returns:
            float64 [n].
        """
        at = levelled(values.reshape(len(values), *self.knots.shape))
        lines = at[:, :, 0] + (np.diff(at, axis=2) / self.widths * self._lengths(block)).sum(axis=2)
        return np.asarray((lines * block[:, : len(self.knots)]).sum(axis=1))

    def torch_call(self, values: torch.Tensor, block: torch.Tensor) -> torch.Tensor:
        """The same of tensors."""
        import torch

        at = values.reshape(len(values), *self.knots.shape)
        rising = torch.cummax(at.flip(2), dim=2).values.flip(2)
        at = (torch.cummin(at, dim=2).values + rising) / 2
        left, widths, low, high = (
            torch.from_numpy(a.astype(np.float32)).to(block) for a in (self.knots[:, :-1], self.widths, *self.ends)
        )
        lengths = torch.minimum(torch.maximum(block[:, None, -1:] - left, low), high)
        lines = at[:, :, 0] + (at.diff(dim=2) / widths * lengths).sum(dim=2)
        return (lines * block[:, : len(self.knots)]).sum(dim=1)

    def _lengths(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """Length of each segment that lies before the CRF of each row, float64 [n, slots, knots - 1]; less than 0 before the first."""
        return np.asarray(np.clip(block[:, None, -1:] - self.knots[:, :-1], *self.ends))


def levelled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Level values [..., knots] that rise: halfway between the largest falling line below them and the smallest one above.

    Two neighbours that rise become their mean, and values that fall stay as they are.
    """
    low = np.minimum.accumulate(values, axis=-1)
    high = np.maximum.accumulate(values[..., ::-1], axis=-1)[..., ::-1]
    return np.asarray((low + high) / 2)
