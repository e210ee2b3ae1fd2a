"""Use of a finished regressor: rows of raw features in, scores out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from pyvmaf.base.document import Bounds, Name, OptionalKey, Part, Sha256, Share, Size, problems
from pyvmaf.codecs.vocabularies import VOCABULARIES
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.models.regressor.inputs import Preparation, of_sidecar
from pyvmaf.models.regressor.names import UNCLIPPED
from pyvmaf.runtime.graph import Graph
from pyvmaf.runtime.predictor import Prediction
from pyvmaf.runtime.scorer import RowScorer

SHARED = (
    *("features", "input_normalization", "feature_ranges", "input_guard", "input_guard_margin", "input_transforms"),
    *("codec", "output_clipped"),
)
"""Keys of a sidecar in which the members of an ensemble agree: they see the same inputs."""


class Scaling(Part):
    """How features are standardised."""

    mean: list[float]
    std: list[Annotated[float, Field(gt=0)]]
    in_graph: bool = Field(description="false: the caller computes (x - mean) / std before the graph")


class Codec(Part):
    """The codec block, a second input."""

    input_name: Name
    vocabulary: Name
    vocabulary_sha256: Sha256
    slots: list[str] = Field(min_length=1)
    layout: list[str] = Field(min_length=1)
    blind: Annotated[list[Share], Field(min_length=1)] | None = Field(
        description="The columns for a video whose codec is not known; null: the vocabulary has no slot for it"
    )


class Block(Part):
    """A regressor's keys of a sidecar."""

    features: list[Name] = Field(min_length=1)
    input_normalization: Scaling | None = Field(
        description="null: the graph takes raw features, and nothing more is known"
    )
    input_guard: OptionalKey[Literal["none", "clamp"]] = Field(
        default=None,
        description="clamp: the graph keeps each feature inside feature_ranges; in scaled units if the caller scales",
    )
    input_guard_margin: OptionalKey[dict[str, Size]] = Field(
        default=None,
        description="How far outside of feature_ranges the graph lets a feature be, on either side, in widths of the range",
    )
    input_transforms: OptionalKey[dict[str, Literal["log", "log1p", "sqrt"]]] = Field(
        default=None,
        description="Applied inside the graph after the guard; mean and std are then of the transformed feature",
    )
    feature_ranges: dict[str, Bounds] | None = Field(
        description="Smallest and largest value of each feature over the training rows; null: not known"
    )
    output_clipped: OptionalKey[bool] = Field(
        default=None,
        description="Whether the graph keeps scores inside expected_output_range; not stated by models that do not",
    )
    codec: Codec | None
    trained_codecs: OptionalKey[list[Name]] = Field(
        default=None, description="Codecs of the training rows; absent if the table did not name any"
    )
    trained_hdr: OptionalKey[bool] = Field(
        default=None, description="Whether HDR videos are among the training rows; absent: nobody said"
    )

    @property
    def inner(self) -> tuple[str, ...]:
        """Tensors inside of the graph that the predictor reads: the scores before they are clipped."""
        return (UNCLIPPED,) if self.output_clipped else ()


def block(keys: Mapping[str, Any], where: str) -> Block:
    """Check a regressor's keys of a sidecar.

    Args:
        keys: the keys.
        where: name of the file, for errors.

    Raises:
        IntegrityError: a key is missing or has a value that is not allowed, keys contradict each other, or the codec
            vocabulary is not this installation's.
    """
    try:
        parsed = Block.model_validate_json(json.dumps(keys), strict=True)
    except ValidationError as err:
        raise IntegrityError(f"{where} does not conform to the sidecar of a regressor: {problems(err)}") from err
    features, scaling = parsed.features, parsed.input_normalization
    if len(set(features)) != len(features):
        raise IntegrityError(f"{where} lists a feature twice: {', '.join(features)}")
    if scaling is not None:
        for name, n in (("mean", len(scaling.mean)), ("std", len(scaling.std))):
            if n != len(features):
                raise IntegrityError(f"{where} lists {len(features)} features, but {n} values of {name}")
    for key in ("feature_ranges", "input_guard_margin", "input_transforms"):
        named = getattr(parsed, key)
        if named is None:
            continue
        if set(named) - set(features) or (key == "feature_ranges" and len(named) < len(features)):
            raise IntegrityError(f"{where} gives {key} of {sorted(named)}, but lists {features}")
    if parsed.feature_ranges is None and (parsed.input_guard == "clamp" or parsed.input_transforms):
        raise IntegrityError(f"{where} states a guard or transforms, but no feature_ranges for them")
    _check_ranges(parsed, keys, where)
    if parsed.codec is not None:
        _check_vocabulary(parsed.codec, where)
    return parsed


def _check_ranges(parsed: Block, keys: Mapping[str, Any], where: str) -> None:
    """Check that mean and standard deviation are possible for values inside the stated ranges."""
    for name, (low, high) in (parsed.feature_ranges or {}).items():
        if low > high:
            raise IntegrityError(f"{where} gives {name} the range [{low:g}, {high:g}], whose ends are swapped")
    if parsed.feature_ranges is None or parsed.input_normalization is None:
        return
    prepare = of_sidecar(keys)
    with np.errstate(all="ignore"):
        ends = prepare.transformed(np.stack([prepare.low, prepare.high]))
    slack = 1e-6 * np.maximum(1.0, np.abs(ends).max(axis=0))
    for name, low, high, mean, std, most in zip(parsed.features, *ends, prepare.mean, prepare.std, slack, strict=True):
        # No values between two ends deviate by more than half of the way from one to the other (Popoviciu).
        possible = low - most <= mean <= high + most and (std <= (high - low) / 2 + most or std == 1)
        if not possible:
            raise IntegrityError(
                f"{where} gives {name} a mean of {mean:g} and a standard deviation of {std:g}, which values from {low:g} to "
                f"{high:g} (feature_ranges) cannot have: it describes other columns, or another order of them"
            )


def _check_vocabulary(codec: Codec, where: str) -> None:
    current = VOCABULARIES.get(codec.vocabulary)
    if current is None:
        raise IntegrityError(
            f"{where} was trained with codec vocabulary {codec.vocabulary!r}, which this version of pyvmaf does not "
            f"know (it knows {', '.join(VOCABULARIES)}): use the version that wrote it"
        )
    if codec.vocabulary_sha256 != current.sha256 or codec.slots != list(current.slots):
        raise IntegrityError(
            f"{where} was trained with codec vocabulary {codec.vocabulary} of sha256 {codec.vocabulary_sha256}, but here "
            f"it is {current.sha256}: its codec columns would mean something else"
        )
    for key, stated, actual in (
        ("layout", codec.layout, list(current.layout)),
        ("blind", codec.blind, current.blind_or_none),
    ):
        if stated != actual:
            raise IntegrityError(
                f"{where} gives the codec block the {key} {stated}, but that of vocabulary {codec.vocabulary} is {actual}"
            )


def _check_preparation(graph: Graph, prepare: Preparation, described: Block, where: str) -> None:
    """Compare scaler and guard inside a graph with those that the sidecar states.

    Args:
        graph: the graph.
        prepare: as the sidecar states it.
        described: the family's keys of the sidecar.
        where: name of the sidecar, for errors.
    """
    stated = described.input_normalization is not None
    expected: dict[str, NDArray[np.float64] | None] = {
        "scaler.mean": prepare.mean if stated and not prepare.scaled_by_caller else None,
        "scaler.std": prepare.std if stated and not prepare.scaled_by_caller else None,
    }
    if np.isfinite(prepare.low).all():  # else the ranges are not known, and a guard of them is none of the sidecar's
        ends = prepare.bounds or (None, None)
        expected |= {
            name: None if end is None else prepare.graph_inputs(end)
            for name, end in zip(("guard.low", "guard.high"), ends, strict=True)
        }
    for name, values in expected.items():
        constant = graph.constant(name)
        wanted = None if values is None else values.astype(np.float32)
        same = constant is None if wanted is None else constant is not None and np.array_equal(constant, wanted)
        if not same:
            raise IntegrityError(
                f"{where} states {_words(wanted)} for {name} inside of {graph.where}, which has {_words(constant)}: it "
                "describes another model"
            )


def _check_clip(graph: Graph, described: Block, expected: tuple[float, float], where: str) -> None:
    """Compare the range that a graph keeps scores in with the sidecar's."""
    ends = [graph.constant(f"clip.{end}") for end in ("low", "high")]
    if not described.output_clipped and ends == [None, None]:
        return
    for end, limit in zip(ends, expected, strict=True):
        # float32 may not hold the limit itself.
        if end is None or not np.isclose(end, limit, rtol=1e-6, atol=1e-6) or not described.output_clipped:
            raise IntegrityError(
                f"{where} says expected_output_range {list(expected)} and output_clipped {described.output_clipped}, but "
                f"{graph.where} keeps scores from {_words(ends[0])} to {_words(ends[1])}: it describes another model"
            )


def _words(values: NDArray[Any] | None) -> str:
    return "nothing" if values is None else f"[{', '.join(f'{value:g}' for value in np.ravel(values)[:8])}]"


class RowPredictor:
    """A session with the preparation of its inputs."""

    def __init__(self, graph: Graph, sidecar: Mapping[str, Any], described: Block, where: str, threads: int) -> None:
        """Compare the graph with its sidecar and start the session; see `pyvmaf.runtime.predictor.PredictorPart`."""
        self._name = str(sidecar["name"])
        self._range: tuple[float, float] = tuple(sidecar["expected_output_range"])
        self._codec_block = described.codec
        self._prepare = of_sidecar(sidecar)
        self._ranges_known = described.feature_ranges is not None
        self.features = tuple(described.features)
        """Names of the features, in the order of the columns that `predict` takes."""
        self._input = str(sidecar["input_name"])
        columns = {self._input: len(self.features)}
        if described.codec is not None:
            columns[described.codec.input_name] = len(described.codec.layout)
        self._scorer = RowScorer(graph, columns, str(sidecar["output_name"]), where, threads, described.inner)
        _check_preparation(graph, self._prepare, described, where)
        _check_clip(graph, described, self._range, where)

    def examples(self, n: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Draw rows; see `pyvmaf.runtime.load.Model.examples`.

        Without a known range they lie within two standard deviations of the mean, and without these in [0, 1].
        """
        rng = np.random.default_rng(seed)
        low, high = self._prepare.low, self._prepare.high
        if not self._ranges_known:
            known = self._prepare.scaled_by_caller
            low = self._prepare.mean - 2 * self._prepare.std if known else np.zeros(low.size)
            high = self._prepare.mean + 2 * self._prepare.std if known else np.ones(low.size)
        X = low + (high - low) * rng.random((n, low.size))
        corners = np.arange(n) % 8 == 7
        X[corners] = np.where(rng.random((int(corners.sum()), low.size)) < 0.5, low, high)
        block = self._codec_block
        if block is None:
            return X, None
        slots = [index for index, name in enumerate(block.layout) if name.startswith("encoder_onehot[")]
        codec = rng.random((n, len(block.layout)))
        codec[:, slots] = np.eye(len(slots))[rng.integers(0, len(slots), size=n)]
        return X, codec

    def feeds(self, features: NDArray[np.float64], codec: NDArray[np.float64] | None) -> dict[str, NDArray[np.float32]]:
        """Give the graph's inputs; see `pyvmaf.runtime.load.Model.feeds`."""
        feeds = {self._input: np.ascontiguousarray(self._prepare.graph_inputs(features), dtype=np.float32)}
        if self._codec_block is not None and codec is not None:
            feeds[self._codec_block.input_name] = np.ascontiguousarray(codec, dtype=np.float32)
        return feeds

    def predict(self, features: Any, codec: Any = None) -> Prediction:
        """Score rows; see `pyvmaf.runtime.load.Model.predict`."""
        X = self._matrix(features)
        if not np.isfinite(X).all():
            bad = int(np.count_nonzero(~np.isfinite(X).all(axis=1)))
            raise InputError(
                f"{bad} of {len(X)} rows hold NaN or infinity in {', '.join(self.features)}: leave them out"
            )
        columns = self._codec(codec, len(X))
        if len(X) == 0:
            return Prediction(np.empty(0), {}, 0.0, 0.0)
        scores, *unclipped = self._scorer.scores(self.feeds(X, columns))
        answers = unclipped[0] if unclipped else scores
        shares, share = self._outside(X)
        low, high = self._range
        expected = np.count_nonzero((answers >= low) & (answers <= high))
        return Prediction(
            scores,
            shares,
            share if self._ranges_known else None,
            (len(X) - int(expected)) / len(X),
            unclipped=answers if unclipped else None,
        )

    def _outside(self, X: NDArray[np.float64]) -> tuple[dict[str, float], float]:
        """Give the share of rows outside of the training range by feature, and that of rows with any such feature."""
        beyond = (self._prepare.low > X) | (self._prepare.high < X)
        if not beyond.any():
            return {}, 0.0
        shares = {name: float(s) for name, s in zip(self.features, beyond.mean(axis=0), strict=True) if s}
        return shares, float(beyond.any(axis=1).mean())

    def _matrix(self, features: Any) -> NDArray[np.float64]:
        names = self.features
        columns = features.column_names if hasattr(features, "column_names") else getattr(features, "columns", None)
        if columns is not None or isinstance(features, Mapping):
            present = list(features if columns is None else columns)
            missing = [n for n in names if n not in present]
            if missing:
                from pyvmaf.tables.columns import clip_columns

                # Tables made elsewhere have other names for means of clips.
                stored = clip_columns(names, present)
                missing = [n for n in missing if n not in stored]
                names = tuple(stored.get(n, n) for n in names)
            if missing:
                raise InputError(
                    f"model {self._name} needs {', '.join(self.features)}, but the rows lack {', '.join(missing)}"
                )
            return np.column_stack([np.asarray(features[n], dtype=np.float64) for n in names])
        matrix = np.asarray(features, dtype=np.float64)
        if matrix.ndim == 1:
            matrix = matrix[None]
        if matrix.ndim != 2 or matrix.shape[1] != len(names):
            raise InputError(f"model {self._name} takes [rows, {len(names)}] ({', '.join(names)}), not {matrix.shape}")
        return matrix

    def _codec(self, codec: Any, n: int) -> NDArray[np.float64] | None:
        block = self._codec_block
        if block is None:
            if codec is not None:
                raise InputError(f"model {self._name} has no codec input: leave the codec out")
            return None
        vocabulary = VOCABULARIES[block.vocabulary]
        if codec is None:
            if block.blind is None:
                raise InputError(
                    f"model {self._name} needs the codec of each video: its vocabulary {vocabulary.version} has "
                    f"no slot for an unknown one ({', '.join(vocabulary.slots)})"
                )
            return np.tile(np.asarray(block.blind, dtype=np.float64), (n, 1))
        if isinstance(codec, tuple) and len(codec) == 3 and isinstance(codec[0], str | None):
            codec = vocabulary.encode(*codec)
        columns = np.asarray(codec, dtype=np.float64)
        if columns.ndim == 1:
            columns = np.tile(columns, (n, 1))
        if columns.shape != (n, len(block.layout)):
            raise InputError(
                f"the codec block of model {self._name} for {n} rows is [{n}, {len(block.layout)}] "
                f"({', '.join(block.layout)}), not {columns.shape}"
            )
        # Some published vocabularies do not clip the quality number, which is the last column.
        within = columns if vocabulary.bounded else columns[:, :-1]
        if not (np.isfinite(columns).all() and within.min(initial=0) >= 0 and within.max(initial=0) <= 1):
            raise InputError(f"the codec block of model {self._name} holds values outside of [0, 1]")
        return columns


def ensemble_keys(sidecar: Mapping[str, Any]) -> dict[str, Any]:
    """Give the keys of an ensemble's manifest that describe its members' inputs, from a member's sidecar."""
    scaling, codec = sidecar["input_normalization"], sidecar["codec"]
    return {
        "feature_order": sidecar["features"],
        "feature_mean": None if scaling is None else scaling["mean"],
        "feature_std": None if scaling is None else scaling["std"],
        "scaler_in_graph": scaling is None or scaling["in_graph"],
        "codec_vocab": None if codec is None else codec["slots"],
        "codec_vocab_version": None if codec is None else codec["vocabulary"],
        "codec_vocab_sha256": None if codec is None else codec["vocabulary_sha256"],
        **({"output_clipped": True} if sidecar.get("output_clipped") else {}),
    }


def predictor(graph: Graph, sidecar: Mapping[str, Any], block: Block, where: str, threads: int) -> RowPredictor:
    """Make a predictor; see `pyvmaf.runtime.predictor.PredictorPart`."""
    return RowPredictor(graph, sidecar, block, where, threads)
