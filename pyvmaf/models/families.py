"""Families of models: the parts that the verbs load. `pyvmaf.base.families` lists the families.

Each part is a module (see `pyvmaf.base.families.module`) with the names below:

=============  ====================================================================================================
``spec``       ``SPEC``: the class of its YAML file, a `ModelSpec`.
``plan``       optional, standard library only, a module of its own: answers to the workflow's plan (`PlanPart`).
``fit``        ``fit``: trains one seed with all its folds (`FitPart`).
``gates``      ``GATES``: the gates of its models, in order (`pyvmaf.models.gates.gate.Gate`).
``graph``      ``graph``: the ONNX form of a member (`GraphPart`).
``trials``     ``trials``: inputs of a graph with the answers of the trained network (`TrialsPart`).
``describe``   ``describe``: its keys of the sidecar (`DescribePart`).
``predictor``  use of a finished file, and the keys of an ensemble (`pyvmaf.runtime.predictor.PredictorPart`); optional
               ``by_hand``: its keys of the sidecar for a graph that is registered by hand.
``int8``       ``int8``: rows of its table and feeds of its graphs, for int8 variants (`Int8Part`).
``shown``      ``shown``: its part of a card (`pyvmaf.models.shown.ShownPart`).
=============  ====================================================================================================

A family without int8 variants or ensembles leaves these parts out; without ``shown`` its cards say less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.coded import Coded
from pyvmaf.base.families import load_part
from pyvmaf.errors import InputError
from pyvmaf.models.crossval import Observed, Validation
from pyvmaf.models.weights import Weights

if TYPE_CHECKING:
    from pyvmaf.models.gates.gate import Gate

OnEpoch = Callable[[int, int, float], None]
"""Called after each epoch with (epochs done, epochs in all, mean of the members' training losses)."""

OnHeldOut = Callable[[int, Mapping[str, float | None]], None]
"""Called with the epochs done and the summarised figures that the folds have on their held-out rows by then."""

Feeds = dict[str, NDArray[np.float32]]
"""Inputs of a graph by name."""


@dataclass(frozen=True)
class Run:
    """How one seed is to be trained.

    Attributes:
        table: parquet table to train on.
        seed: of initial weights, order of rows and dropout.
        epochs: passes over the training rows; 0 keeps the initial weights.
        threads: CPU threads; the result does not depend on them.
        negatives: table of hard negatives to train on as well; None for none.
        on_epoch: called after each epoch.
        on_held_out: called about ten times on the way; an exception that it raises ends the fit.
        backbone: converted weights of the published network that a model is trained on; None for none.
        checkpoints: folder where a family may keep the state of an unfinished fit, to go on from; None for none. The caller
            removes it after the fit.
    """

    table: Path
    seed: int
    epochs: int
    threads: int = 1
    on_epoch: OnEpoch | None = None
    on_held_out: OnHeldOut | None = None
    negatives: Path | None = None
    backbone: Path | None = None
    checkpoints: Path | None = None


@dataclass(frozen=True)
class Fit:
    """A trained seed.

    Attributes:
        table: the rows that it was trained on.
        n_total: rows of the file.
        table_sha256: hash of the file.
        dropped: rows left out, and for how many of them each column was the reason.
        validation: folds, figures and held-out predictions.
        tensors, info: see `Weights`; `info` holds the family's own keys only.
        held_out: group that each member did not train on, None for the member that ships.
        n_parameters: weights and biases of one member.
        facts: further keys of ``loso.json`` that the report's class declares.
    """

    table: Observed
    n_total: int
    table_sha256: str
    dropped: dict[str, Any]
    validation: Validation
    tensors: Mapping[str, NDArray[Any]]
    info: dict[str, Any]
    held_out: list[str | None]
    n_parameters: int
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """The ONNX form of a member.

    Attributes:
        data: the file's bytes.
        n_parameters: weights and biases.
        input_name, output_name: of its main input and its output.
    """

    data: bytes
    n_parameters: int
    input_name: str
    output_name: str


@dataclass(frozen=True)
class Trial:
    """Inputs of a graph, and the answer of the trained network.

    Attributes:
        feeds: float32 arrays by input name.
        expected: float64, of the output's shape.
        inner: float64 by name, the same for tensors inside of the graph.
        span: width of the range of the answers; None for that of the target.
    """

    feeds: Feeds
    expected: NDArray[np.float64]
    inner: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    span: float | None = None


class FitPart(Protocol):
    """The part ``fit``."""

    def fit(self, spec: Any, run: Run) -> Fit:
        """Train all folds of one seed and the member on all rows."""


class GraphPart(Protocol):
    """The part ``graph``."""

    def graph(self, spec: Any, weights: Weights, held_out: str | None) -> Graph:
        """Write a member as ONNX; `held_out` is None for the member that ships."""


class TrialsPart(Protocol):
    """The part ``trials``."""

    def trials(self, spec: Any, weights: Weights, held_out: str | None) -> Iterator[Trial]:
        """Give inputs of the graph, ordinary and extreme, each with the network's answer."""


class DescribePart(Protocol):
    """The part ``describe``."""

    def describe(self, spec: Any, weights: Weights) -> dict[str, Any]:
        """Give the family's keys of the sidecar, for the member that ships."""


class PlanPart(Protocol):
    """The part ``plan``: functions of a model's YAML file as plain data, with its defaults filled in."""

    def rows(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Give the rows of tables (features, vocabularies) that the spec names, for the parameters of rules."""

    def features(self, spec: Mapping[str, Any]) -> list[str]:
        """Name the frame features that have to be measured for it."""

    def trained_on_negatives(self, spec: Mapping[str, Any]) -> bool:
        """Tell whether fit reads the table of hard negatives."""

    def judged_on_negatives(self, spec: Mapping[str, Any]) -> bool:
        """Tell whether judge reads the table of hard negatives."""


class Int8Rows(Observed, Protocol):
    """Rows of a training table, as int8 variants need them."""

    @property
    def sha256(self) -> str:
        """Hash of the table."""

    @property
    def groups(self) -> Coded:
        """Value of the column that the split goes by, of each row."""


class Int8Part(Protocol):
    """The part ``int8``. `held_out` names a member, None for the one that ships; `rows` are row indices [n]."""

    def read_rows(self, spec: Any, table: Path) -> Int8Rows:
        """Read the rows that a model was trained on."""

    def batches(
        self, spec: Any, weights: Weights, held_out: str | None, table: Any, rows: NDArray[np.int64]
    ) -> Iterator[Feeds]:
        """Give rows as the graph of a member takes them, in parts, to measure activations on."""

    def answers(
        self,
        spec: Any,
        weights: Weights,
        held_out: str | None,
        table: Any,
        rows: NDArray[np.int64],
        run: Callable[[Feeds], NDArray[np.float64]],
    ) -> NDArray[np.float64]:
        """Score rows [n] with a graph of a member; `run` gives its output for its inputs."""

    def example(self, spec: Any) -> tuple[Feeds, str] | None:
        """Give inputs to time a graph with, and say what they are; None for rows of zeros."""


class TrainableInt8Part(Int8Part, Protocol):
    """The part ``int8`` of a family whose variants can be trained on (mode ``qat``)."""

    def network_inputs(
        self, spec: Any, weights: Weights, held_out: str | None, table: Any, rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Give rows as the trained network takes them."""

    def network(self, spec: Any, weights: Weights, held_out: str | None) -> Any:
        """Give a member as a torch module of linear layers, for quantization-aware training."""


class LearnedInt8Part(Int8Part, Protocol):
    """The part ``int8`` of a family of convolutional networks whose variants can be trained on (mode ``qat``)."""

    def lesson(self, spec: Any, table: Any) -> Any:
        """Give what its networks learn (`pyvmaf.models.image.learning.Lesson`)."""

    def trained_network(self, spec: Any, weights: Weights, held_out: str | None) -> Any:
        """Give a member as the torch module that was trained, whose convolutions are those of its graph in order."""


def fit_part(kind: str) -> FitPart:
    """The part that trains."""
    return cast(FitPart, _having(kind, "fit", "fit"))


def graph_part(kind: str) -> GraphPart:
    """The part that writes graphs."""
    return cast(GraphPart, _having(kind, "graph", "graph"))


def trials_part(kind: str) -> TrialsPart:
    """The part that tries graphs."""
    return cast(TrialsPart, _having(kind, "trials", "trials"))


def describe_part(kind: str) -> DescribePart:
    """The part that describes models."""
    return cast(DescribePart, _having(kind, "describe", "describe"))


def gates(kind: str) -> tuple[Gate, ...]:
    """The gates of a family, in order."""
    return cast("tuple[Gate, ...]", _having(kind, "gates", "GATES").GATES)


def int8_part(kind: str) -> Int8Part:
    """The part that int8 variants are made with."""
    return cast(Int8Part, _having(kind, "int8", "read_rows"))


def trainable_int8_part(kind: str) -> TrainableInt8Part:
    """The part that int8 variants are trained with."""
    return cast(TrainableInt8Part, _having(kind, "int8", "network"))


def learned_int8_part(kind: str) -> LearnedInt8Part | None:
    """The part that int8 variants of convolutional networks are trained with; None if the family has none."""
    part = int8_part(kind)
    return cast(LearnedInt8Part, part) if hasattr(part, "lesson") else None


def _having(kind: str, part: str, name: str) -> Any:
    module = load_part(kind, part)
    if not hasattr(module, name):
        raise InputError(f"models of kind {kind!r} have no {part}: {module.__name__} defines no {name!r}")
    return module
