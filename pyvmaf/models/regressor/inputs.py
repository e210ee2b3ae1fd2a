"""From raw feature rows to the columns that a network sees: one function for fitting, export, loading and int8.

In this order: the guard keeps each value inside the range of the training rows, a transform straightens a column,
the scaler standardises it, and the codec block is appended as it is. Everything but the block is fitted on a
member's own training rows. The graph of a model does the same in float32 (`graph`); see `Preparation.graph_inputs`
for the part that is left to the caller.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.chunks import chunks
from pyvmaf.errors import InputError
from pyvmaf.models.regressor.names import CODEC, FEATURES

if TYPE_CHECKING:
    from pyvmaf.models.regressor.spec import RegressorSpec
    from pyvmaf.models.weights import Weights

MIN_STD = 1e-8
_FAR = float(np.finfo(np.float32).max) / 2
"""A bound that no value meets, and that float32 holds."""

TRANSFORMS = {"log": np.log, "log1p": np.log1p, "sqrt": np.sqrt}
_NEEDS = {"log": "values above 0 (log1p takes 0, too)", "log1p": "values of 0 or more", "sqrt": "values of 0 or more"}


@dataclass(frozen=True)
class Preparation:
    """The preparation of raw columns for a network, fitted on a member's training rows.

    Attributes:
        mean, std: float64 [columns], of the transformed training rows; a std below 1e-8 (population form) is 1.
        low, high: float64 [columns], range of the raw training rows.
        guard: "clamp" keeps every column inside `bounds`; "none" lets values pass.
        margins: per column, how far outside of [low, high] the guard lets values be, in widths of that range; empty for
            not at all.
        transforms: per column a name of `TRANSFORMS`, or None.
        scaled_by_caller: whether the graph is fed with (raw - mean) / std instead of raw values.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    guard: str = "none"
    transforms: tuple[str | None, ...] = ()
    margins: tuple[float, ...] = ()
    scaled_by_caller: bool = False

    @staticmethod
    def fit(
        X: NDArray[np.float64],
        *,
        rows: NDArray[np.int64] | None = None,
        guard: str = "none",
        margins: Sequence[float] = (),
        transforms: Sequence[str | None] = (),
        names: Sequence[str] = (),
    ) -> Preparation:
        """Fit on raw rows [n, columns], n >= 1.

        Args:
            X: the rows.
            rows: indices of those to fit on, at least one; all without it.
            guard: "none" or "clamp".
            margins: of the guard, per column, in widths of the range; empty for none.
            transforms: per column the name of a transform or None; empty for none at all.
            names: of the columns, for the error.

        Raises:
            InputError: a column holds values that its transform is not defined for.
        """
        n = X.shape[0] if rows is None else rows.size

        def parts() -> Iterator[NDArray[np.float64]]:
            for part in chunks(n):
                yield X[part] if rows is None else X[rows[part]]

        low = np.minimum.reduce([part.min(axis=0) for part in parts()])
        high = np.maximum.reduce([part.max(axis=0) for part in parts()])
        for place, name in enumerate(transforms):
            if name is not None and (low[place] < 0 or (name == "log" and low[place] == 0)):
                column = names[place] if place < len(names) else f"column {place}"
                raise InputError(
                    f"{column} goes down to {low[place]:g} in the training rows, but its transform {name} needs "
                    f"{_NEEDS[name]}"
                )
        raw = Preparation(np.zeros(0), np.zeros(0), low, high, guard, tuple(transforms), tuple(margins))
        mean = np.add.reduce([raw.transformed(part).sum(axis=0) for part in parts()]) / n
        squares = np.add.reduce([np.square(raw.transformed(part) - mean).sum(axis=0) for part in parts()])
        std = np.sqrt(squares / n)
        return dataclasses.replace(raw, mean=mean, std=np.where(std < MIN_STD, 1.0, std))

    @property
    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Smallest and largest raw value that each column is let through with, float64 [columns]; None without any.

        A transformed column always has a lower bound: 0, or for log, which has none of its own, the training rows'.
        """
        if self.guard == "none" and not any(self.transforms):
            return None
        reach = np.array(self.margins or 0.0) * (self.high - self.low) if self.guard == "clamp" else _FAR
        low, high = self.low - reach, self.high + reach
        for place, name in enumerate(self.transforms):
            if name is not None:
                low[place] = self.low[place] if name == "log" else max(low[place], 0.0)
        return low, high

    def transformed(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Apply guard and transforms to raw rows [n, columns]."""
        limits = self.bounds
        bent = X if limits is None else np.clip(X, *limits)
        if any(self.transforms):
            bent = np.array(bent)
            for place, name in enumerate(self.transforms):
                if name is not None:
                    bent[:, place] = TRANSFORMS[name](bent[:, place])
        return bent

    def __call__(self, X: NDArray[np.float64], codec: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Compute the inputs of the network.

        Args:
            X: raw features [n, columns], finite.
            codec: codec blocks [n, width] in [0, 1], appended as they are; None if there is no such input.

        Returns:
            float64 [n, columns + width].
        """
        scaled = (self.transformed(X) - self.mean) / self.std
        return np.asarray(scaled if codec is None else np.hstack([scaled, codec]), dtype=np.float64)

    def graph_inputs(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """The input ``features`` [n, columns] of the model file: raw rows, or rows that are only scaled.

        The guard is in the graph in both cases, so that a caller who only scales gets the right scores.
        """
        return (X - self.mean) / self.std if self.scaled_by_caller else X


def feeds(
    features: NDArray[np.floating], codec: NDArray[np.floating] | None, codec_name: str = CODEC
) -> dict[str, NDArray[np.float32]]:
    """The inputs of a graph by name, from features [n, columns] (`Preparation.graph_inputs`) and codec [n, width]."""
    out = {FEATURES: np.ascontiguousarray(features, dtype=np.float32)}
    if codec is not None:
        out[codec_name] = np.ascontiguousarray(codec, dtype=np.float32)
    return out


def of_member(spec: RegressorSpec, weights: Weights, index: int) -> Preparation:
    """The preparation of one member of a fit.

    Args:
        spec: the model.
        weights: of a fit of that model.
        index: of the member (`Weights.index`).
    """
    fitted = weights.tensors
    return Preparation(
        fitted["scaler_mean"][index],
        fitted["scaler_std"][index],
        fitted["feature_low"][index],
        fitted["feature_high"][index],
        spec.inputs.guard,
        spec.inputs.column_transforms,
        spec.inputs.column_margins,
        spec.export.scaler == "sidecar",
    )


def of_sidecar(sidecar: Mapping[str, Any]) -> Preparation:
    """The preparation that a model's sidecar describes; one without guard and transforms is of an older model."""
    features = sidecar["features"]
    # A model that was registered by hand may state neither a scaler nor ranges.
    scaling = sidecar["input_normalization"] or {
        "mean": [0.0] * len(features),
        "std": [1.0] * len(features),
        "in_graph": True,
    }
    stated = sidecar["feature_ranges"] or dict.fromkeys(features, (-np.inf, np.inf))
    ranges = np.asarray([stated[name] for name in features], dtype=np.float64)
    named, margins = sidecar.get("input_transforms", {}), sidecar.get("input_guard_margin", {})
    return Preparation(
        np.asarray(scaling["mean"], dtype=np.float64),
        np.asarray(scaling["std"], dtype=np.float64),
        ranges[:, 0],
        ranges[:, 1],
        sidecar.get("input_guard", "none"),
        tuple(named.get(name) for name in features) if named else (),
        tuple(margins.get(name, 0.0) for name in features) if margins else (),
        not scaling["in_graph"],
    )
