"""Predictions, and the protocols of models that make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

OVERSHOOT = 0.01
"""Share of the output range that scores may lie outside of it before a warning: a regression to 100 gives 100.2 at times."""


class ModelWarning(UserWarning):
    """A model's answer deserves doubt."""


@dataclass(frozen=True)
class Prediction:
    """A model's scores of some rows.

    Attributes:
        scores: float64 [n].
        unclipped: float64 [n], what the network answered before its graph kept the scores inside the expected range;
            None for a model that does not.
        outside: share of rows outside the range of the training rows, by feature; features without any are left out.
        outside_share: share of rows with at least one feature outside; None if the sidecar does not state the range.
        unexpected_share: share of scores outside the model's expected output range, before they were clipped.
        members: float64 [members, n], each member's scores; None except for an ensemble.
        sigma: float64 [n], standard deviation over the members (ddof 1); None except for an ensemble.
        low, high: float64 [n], ends of the interval; None except for an ensemble.
    """

    scores: NDArray[np.float64]
    outside: dict[str, float]
    outside_share: float | None
    unexpected_share: float
    unclipped: NDArray[np.float64] | None = None
    members: NDArray[np.float64] | None = None
    sigma: NDArray[np.float64] | None = None
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None

    @property
    def answers(self) -> NDArray[np.float64]:
        """float64 [n], what the network answered, clipped or not: answers far outside of the range deserve doubt."""
        return self.scores if self.unclipped is None else self.unclipped


class Predictor(Protocol):
    """A model that can be asked for scores: a single one, or an ensemble."""

    @property
    def name(self) -> str:
        """The model's id."""

    @property
    def sidecar(self) -> dict[str, Any]:
        """Content of its sidecar; of an ensemble the first member's, with the ensemble's name."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that it reads, in the order of the columns that `predict` takes."""

    warn: bool
    """Whether `predict` warns of scores far outside of the expected range."""

    def predict(self, features: Any, codec: Any = None) -> Prediction:
        """Score rows."""


class FamilyPredictor(Protocol):
    """A session with the family's preparation of its inputs: raw inputs in, scores out."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that it reads."""

    def predict(self, features: Any, codec: Any = None) -> Prediction:
        """Score rows."""

    def examples(self, n: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Draw arguments of `predict`: raw features [n, columns] as training rows have them, and codec blocks or None."""

    def feeds(self, features: NDArray[np.float64], codec: NDArray[np.float64] | None) -> dict[str, NDArray[np.float32]]:
        """Give the graph's inputs for such arguments."""


class PredictorPart(Protocol):
    """The part ``predictor`` of a family (`pyvmaf.base.families`)."""

    SHARED: tuple[str, ...]
    """Keys of the family's block in which the members of an ensemble agree."""

    def block(self, keys: Mapping[str, Any], where: str) -> Any:
        """Check the family's keys of a sidecar and give them as an object.

        Raises:
            IntegrityError: they do not conform.
        """

    def predictor(
        self, graph: Any, sidecar: Mapping[str, Any], block: Any, where: str, threads: int
    ) -> FamilyPredictor:
        """Make a predictor of a checked graph and its sidecar.

        Args:
            graph: the graph (`pyvmaf.runtime.graph.Graph`).
            sidecar: its sidecar.
            block: the family's keys of it.
            where: name of the sidecar, for errors.
            threads: of the runtime.

        Raises:
            InputError: a run would take more than a model may.
            IntegrityError: graph and sidecar contradict each other, or the runtime refuses the graph.
        """

    def ensemble_keys(self, sidecar: Mapping[str, Any]) -> dict[str, Any]:
        """Give the family's keys of an ensemble's manifest, from a member's sidecar."""
