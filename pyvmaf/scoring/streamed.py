"""Models of this project that score frames while they come, a row at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pyvmaf.errors import InputError
from pyvmaf.features.catalog import CONTEXT, DEFAULT_MODEL, FEATURES, TEACHER, pooled_column

if TYPE_CHECKING:
    from pyvmaf.scoring.score import AnyModel

Codec = tuple[str | None, str | int | None, float | None]


class Streamed:
    """Models whose scores follow from one row each.

    Args:
        models: ids of registered models, paths, or loaded models.
        teacher: libvmaf's model whose score is in the rows; None for none.
        registry: where ids are looked up, as in `pyvmaf.load_model`.
        codec: encoder, preset and CRF of the distorted video, for models that read them.
        context: its properties, for models that read them.

    Attributes:
        inputs: features that the models read.

    Raises:
        InputError: a model is one of libvmaf, scores whole clips or pictures, or reads what is not given.
        MissingFileError, IntegrityError: as `pyvmaf.load_model`.
    """

    def __init__(
        self,
        models: AnyModel | Iterable[AnyModel],
        teacher: str | None,
        *,
        registry: str | os.PathLike[str] | None = None,
        codec: Codec | None = None,
        context: Mapping[str, float] | None = None,
    ) -> None:
        from pyvmaf.scoring.looked import looks
        from pyvmaf.scoring.score import as_models, find_models

        found = find_models(as_models(models), registry)
        if found.teachers:
            raise InputError(f"{found.teachers[0]} is a model of libvmaf: name it as `model`")
        self._models, self._codec, self._context = found.learned, codec, dict(context or {})
        for model in self._models:
            if looks(model) or any(pooled_column(name) for name in model.features):
                raise InputError(
                    f"model {model.name} scores {'pictures' if looks(model) else 'whole clips'}, not rows of frames: use pyvmaf.score"
                )
            missing = [name for name in model.features if name in CONTEXT and name not in self._context]
            if missing:
                raise InputError(
                    f"model {model.name} reads {', '.join(missing)}, which frames do not say: give context={{{missing[0]!r}: …}}"
                )
            if TEACHER in model.features and teacher != DEFAULT_MODEL:
                raise InputError(
                    f"model {model.name} reads the score of {DEFAULT_MODEL}: open the session with that model"
                )
        self.inputs = tuple(name for name in found.inputs if name in FEATURES)

    def added(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row with the models' scores; NaN if one of its features is not finite."""
        return row | dict(item for model in self._models for item in self._scores(model, row))

    def _scores(self, model: Any, row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
        from pyvmaf.scoring.predict import columns_of

        values = {name: np.array([self._context.get(name, row.get(name))], np.float64) for name in model.features}
        columns = columns_of(model)
        if not all(np.isfinite(value).all() for value in values.values()):
            yield from ((column, float("nan")) for column in columns)
            return
        codec = self._codec if model.sidecar.get("codec") is not None else None
        prediction = model.predict(values, codec)
        parts = (prediction.scores, prediction.sigma, prediction.low, prediction.high)
        yield from ((column, float(part[0])) for column, part in zip(columns, parts, strict=False) if part is not None)
