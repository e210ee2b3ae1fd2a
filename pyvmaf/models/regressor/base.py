"""A linear part under a network: ridge regression on a few inputs, which the network corrects within a limit.

score = base(x) + clip(network(x), -limit, limit)

What a small network learned of few contents it answers everywhere, also where no row was. The linear part keeps its
direction there, and the limit bounds what the network adds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from pyvmaf.models.regressor.spec import RegressorSpec

TENSORS = ("base_weights", "base_bias")
"""Names of the arrays of a weights file that hold it: float64 [members, features], float64 [members]."""


@dataclass(frozen=True)
class Base:
    """A fitted linear part.

    Attributes:
        weights: float64 [features], of the features as `Preparation` gives them; 0 for those that it does not read.
        bias: in units of the target.
        limit: how much the network adds or takes away at most, in units of the target.
    """

    weights: NDArray[np.float64]
    bias: float
    limit: float

    @staticmethod
    def fit(
        rows: Callable[[], Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]],
        columns: NDArray[np.int64],
        *,
        penalty: float,
        limit: float,
    ) -> Base:
        """Minimise the squared error plus `penalty` times the squared weights (Hoerl & Kennard 1970).

        Args:
            rows: gives the rows in parts, twice: prepared features [n, features] and targets [n].
            columns: indices of the features that it reads.
            penalty: 0 for least squares.
            limit: of the network.
        """
        n, features, total, mean = 0, 0, 0.0, np.zeros(columns.size)
        for x, y in rows():
            n, features, total, mean = n + y.size, x.shape[1], total + float(y.sum()), mean + x[:, columns].sum(axis=0)
        mean, bias = mean / n, total / n
        square, product = penalty * np.eye(columns.size), np.zeros(columns.size)
        for x, y in rows():
            centred = x[:, columns] - mean
            square += centred.T @ centred
            product += centred.T @ (y - bias)
        # lstsq, not solve: a column that never varies has no weight, also without a penalty.
        solved = np.linalg.lstsq(square, product, rcond=None)[0]
        weights = np.zeros(features)
        weights[columns] = solved
        return Base(weights, bias - float(solved @ mean), limit)

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the linear part [n] of prepared rows [n, features or more]; further columns have no say."""
        return np.asarray(x[:, : self.weights.size] @ self.weights + self.bias)

    def corrected(self, x: NDArray[np.float64], network: NDArray[np.floating]) -> NDArray[np.float64]:
        """Give the scores [n] of prepared rows and the network's answers [n] to them."""
        return np.asarray(self(x) + np.clip(network, -self.limit, self.limit))

    def around(self, network: torch.nn.Module) -> torch.nn.Module:
        """Give the whole as a torch module, [n, columns] to [n, 1], around the network's.

        The linear part has no parameters there: it is not trained on, and not rounded to int8.
        """
        import torch

        weights, bias, limit = torch.from_numpy(self.weights.astype(np.float32)), float(self.bias), float(self.limit)

        class Corrected(torch.nn.Module):
            base_weights: torch.Tensor

            def __init__(self) -> None:
                super().__init__()
                self.network = network
                self.register_buffer("base_weights", weights)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                base = (x[:, : weights.numel()] * self.base_weights).sum(dim=1, keepdim=True) + bias
                return torch.clamp(self.network(x), -limit, limit) + base

        return Corrected()


def of_member(spec: RegressorSpec, tensors: Mapping[str, NDArray[Any]], index: int) -> Base | None:
    """Give the linear part of a member of a fit; None for a model without one.

    Args:
        spec: the model.
        tensors: of its weights.
        index: of the member.
    """
    if spec.network.base is None:
        return None
    weights, bias = (tensors[name][index] for name in TENSORS)
    return Base(np.asarray(weights, dtype=np.float64), float(bias), spec.network.base.limit)
