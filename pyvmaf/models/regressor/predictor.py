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
from pyvmaf.models.regressor.inputs import UNCLIPPED, feeds, of_sidecar
from pyvmaf.runtime.predictor import Prediction
from pyvmaf.runtime.session import run_all

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
    input_normalization: Scaling
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
    feature_ranges: dict[str, Bounds] = Field(
        description="Smallest and largest value of each feature over the training rows"
    )
    output_clipped: OptionalKey[bool] = Field(
        default=None,
        description="Whether the graph keeps scores inside expected_output_range; not stated by models that do not",
    )
    codec: Codec | None

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
    for name, n in (("mean", len(scaling.mean)), ("std", len(scaling.std))):
        if n != len(features):
            raise IntegrityError(f"{where} lists {len(features)} features, but {n} values of {name}")
    if set(parsed.feature_ranges) != set(features):
        raise IntegrityError(f"{where} gives ranges of {sorted(parsed.feature_ranges)}, but lists {features}")
    if parsed.codec is not None:
        _check_vocabulary(parsed.codec, where)
    return parsed


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


class RowPredictor:
    """A session with the preparation of its inputs."""

    def __init__(self, runtime: Any, sidecar: Mapping[str, Any], described: Block) -> None:
        """Keep the session and its sidecar."""
        self._runtime = runtime
        self._name = str(sidecar["name"])
        self._range: tuple[float, float] = tuple(sidecar["expected_output_range"])
        self._codec_block = described.codec
        self._prepare = of_sidecar(sidecar)
        self.features = tuple(described.features)
        """Names of the features, in the order of the columns that `predict` takes."""

    def predict(self, features: Any, codec: Any = None) -> Prediction:
        """Score rows; see `pyvmaf.runtime.load.Model.predict`."""
        X = self._matrix(features)
        bad = int(np.count_nonzero(~np.isfinite(X).all(axis=1)))
        if bad:
            raise InputError(
                f"{bad} of {len(X)} rows hold NaN or infinity in {', '.join(self.features)}: leave them out"
            )
        columns = self._codec(codec, len(X))
        if len(X) == 0:
            return Prediction(np.empty(0), {}, 0.0, 0.0)
        scores, *unclipped = run_all(self._runtime, feeds(self._prepare.graph_inputs(X), columns))
        answers = unclipped[0] if unclipped else scores
        beyond = (self._prepare.low > X) | (self._prepare.high < X)
        shares = {name: float(s) for name, s in zip(self.features, beyond.mean(axis=0), strict=True) if s}
        low, high = self._range
        unexpected = ~((answers >= low) & (answers <= high))
        return Prediction(
            scores,
            shares,
            float(beyond.any(axis=1).mean()),
            float(unexpected.mean()),
            unclipped=answers if unclipped else None,
        )

    def _matrix(self, features: Any) -> NDArray[np.float64]:
        names = self.features
        columns = features.column_names if hasattr(features, "column_names") else getattr(features, "columns", None)
        if columns is not None or isinstance(features, Mapping):
            present = list(features if columns is None else columns)
            missing = [n for n in names if n not in present]
            if missing:
                raise InputError(f"model {self._name} needs {', '.join(names)}, but the rows lack {', '.join(missing)}")
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
        "feature_mean": scaling["mean"],
        "feature_std": scaling["std"],
        "scaler_in_graph": scaling["in_graph"],
        "codec_vocab": None if codec is None else codec["slots"],
        "codec_vocab_version": None if codec is None else codec["vocabulary"],
        "codec_vocab_sha256": None if codec is None else codec["vocabulary_sha256"],
        **({"output_clipped": True} if sidecar.get("output_clipped") else {}),
    }


def predictor(runtime: Any, sidecar: Mapping[str, Any], block: Block) -> RowPredictor:
    """Make a predictor of an onnxruntime session and its sidecar."""
    return RowPredictor(runtime, sidecar, block)
