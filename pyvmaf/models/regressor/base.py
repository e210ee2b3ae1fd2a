"""A linear part under a network: ridge regression on a few inputs, which the network corrects within a limit.

score = base(x) + clip(network(x), -limit, limit), with a limit of 0 base(x)

What a small network learned of few contents it answers everywhere, also where no row was. The linear part keeps its
direction there, and the limit bounds what the network adds.

With `Curves` its weights and its bias depend on the codec and the CRF. The network then corrects the curve of a clip as a whole: it
does not see the CRF, so that its answer does not turn a curve that falls into one that rises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.models.regressor.curves import Curves

if TYPE_CHECKING:
    import torch

    from pyvmaf.models.regressor.spec import RegressorSpec

TENSORS = ("base_weights", "base_bias")
"""Names of the arrays of a weights file that hold it: float64 [members, features], float64 [members]; with curves
[members, slots * knots, features], [members, slots * knots]."""

KNOTS = "base_knots"
"""Name of the array with the knots of curves: float64 [members, slots, knots]."""

Rows = Callable[[], Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]]
"""Gives rows in parts: prepared features and, for curves, codec blocks [n, columns], and targets [n]."""


@dataclass(frozen=True)
class Base:
    """A fitted linear part.

    Attributes:
        weights: float64 [features], of the features as `Preparation` gives them; 0 for those that it does not read. With
            curves those at the knots, [slots * knots, features].
        bias: in units of the target; with curves float64 [slots * knots].
        limit: how much the network adds or takes away at most, in units of the target.
        curves: how weights and bias depend on codec and CRF; None if they do not.
    """

    weights: NDArray[np.float64]
    bias: float | NDArray[np.float64]
    limit: float
    curves: Curves | None = None

    @staticmethod
    def fit(
        rows: Rows,
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

    @staticmethod
    def fit_curves(
        rows: Rows, columns: NDArray[np.int64], features: int, curves: Curves, *, penalty: float, limit: float
    ) -> Base:
        """The same with weights and biases at the knots of each codec; those of a codec without rows are the means of the others'.

        The penalty is on the weights at each knot.

        Args:
            rows: gives the rows in parts: prepared features and codec blocks [n, features + width], and targets [n].
            columns: indices of the features that it reads.
            features: how many there are.
            curves: the knots.
            penalty, limit: as in `fit`.
        """
        knots, width = curves.knots.size, 1 + columns.size
        square, product = np.zeros((knots * width, knots * width)), np.zeros(knots * width)
        seen = np.zeros(len(curves.knots), bool)
        for x, y in rows():
            block = x[:, features:]
            seen |= (block[:, : seen.size] > 0).any(axis=0)
            own = np.column_stack([np.ones(y.size), x[:, columns]])
            design = (curves.hats(block)[:, :, None] * own[:, None]).reshape(y.size, -1)
            square += design.T @ design
            product += design.T @ y
        square[np.diag_indices_from(square)] += np.tile([0.0, *[penalty] * columns.size], knots)
        solved = np.asarray(np.linalg.lstsq(square, product, rcond=None)[0], dtype=np.float64)
        found = solved.reshape(*curves.knots.shape, width)
        found[~seen] = found[seen].mean(axis=0)
        at = found.reshape(knots, width)
        weights = np.zeros((knots, features))
        weights[:, columns] = at[:, 1:]
        return Base(weights, at[:, 0], limit, curves)

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the linear part [n] of prepared rows [n, features or more]; of further columns curves read the codec block."""
        features = x[:, : self.weights.shape[-1]]
        if self.curves is None:
            return np.asarray(features @ self.weights + self.bias)
        return self.curves(features @ self.weights.T + self.bias, x[:, self.weights.shape[-1] :])

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases that are read."""
        weights = np.atleast_2d(self.weights)
        return int(len(weights) + np.count_nonzero(weights.any(axis=0)) * len(weights))

    def corrected(self, x: NDArray[np.float64], network: NDArray[np.floating]) -> NDArray[np.float64]:
        """Give the scores [n] of prepared rows and the network's answers [n] to them."""
        return np.asarray(self(x) + np.clip(network, -self.limit, self.limit))

    def around(self, network: torch.nn.Module) -> torch.nn.Module:
        """Give the whole as a torch module, [n, columns] to [n, 1], around the network's.

        The linear part has no parameters there: it is not trained on, and not rounded to int8.
        """
        import torch

        weights, limit, curves = torch.from_numpy(self.weights.astype(np.float32)), float(self.limit), self.curves
        bias = torch.from_numpy(np.asarray(self.bias, dtype=np.float32))

        class Corrected(torch.nn.Module):
            base_weights: torch.Tensor
            base_bias: torch.Tensor

            def __init__(self) -> None:
                super().__init__()
                self.network = network
                self.register_buffer("base_weights", weights)
                self.register_buffer("base_bias", bias)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                features = x[:, : weights.shape[-1]]
                if curves is None:
                    base = (features * self.base_weights).sum(dim=1, keepdim=True) + self.base_bias
                else:
                    values = (features[:, None] * self.base_weights).sum(dim=2) + self.base_bias
                    base = curves.torch_call(values, x[:, weights.shape[-1] :])[:, None]
                    x = torch.cat([x[:, :-1], torch.zeros_like(x[:, :1])], dim=1)
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
    limit, weights = spec.network.base.limit, np.asarray(weights, dtype=np.float64)
    if spec.network.base.knots is None:
        return Base(weights, float(bias), limit)
    return Base(weights, np.asarray(bias, dtype=np.float64), limit, Curves(tensors[KNOTS][index].astype(np.float64)))
