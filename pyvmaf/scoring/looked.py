"""Scores of models that look at pictures: of one video, without a reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError
from pyvmaf.features.options import Reading
from pyvmaf.runtime.ensemble import AnyModel
from pyvmaf.runtime.load import Model
from pyvmaf.runtime.predictor import Prediction
from pyvmaf.scoring.predict import Pair, summary_of, unlike_training
from pyvmaf.scoring.scores import Scores
from pyvmaf.video.reader import Reader
from pyvmaf.video.tensors import Picture, tensors

KIND = "image"
"""Kind of the models that look at pictures."""

_BATCH = 8


def looks(model: AnyModel) -> bool:
    """Tell whether a model looks at pictures instead of reading rows of features."""
    return bool(model.sidecar["kind"] == KIND)


def gray_pictures(path: Path, reading: Reading) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Decode the frames of a window of a video as gray pictures.

    Returns:
        Frame numbers [n] and pictures uint8 [n, h, w], in parts.

    Raises:
        InputError: the video cannot be read as asked, or the window holds no frame.
    """
    reader = Reader(
        path,
        raw=reading.raw,
        film_grain=reading.film_grain,
        stream=reading.stream,
        drop_alpha=reading.drop_alpha,
        luma_only=reading.luma_only,
        fps=reading.fps,
    )
    window, index, taken = reading.window, 0, 0
    numbers: list[int] = []
    kept: list[NDArray[np.uint8]] = []
    for batch in tensors(reader, Picture("gray", values=None), batch=_BATCH):
        for picture in batch[:, 0]:
            if index in window:
                numbers.append(index)
                kept.append(np.asarray(picture, dtype=np.uint8))
            index += 1
        if kept:
            taken += len(kept)
            yield np.array(numbers, dtype=np.int64), np.stack(kept)
            numbers, kept = [], []
        if window.stop is not None and index >= window.stop:
            break
    if not taken:
        raise InputError(f"{path} has {index} frames, none of which is among those to score: name others (--frames)")


def look(
    models: Sequence[AnyModel],
    distorted: Path,
    reading: Reading,
    *,
    codec: tuple[str | None, str | int | None, float | None] | None = None,
    advance: Callable[[int, int], None] | None = None,
) -> Scores:
    """Score every frame of a video with models that look at pictures; the video is decoded once.

    Args:
        models: the models.
        distorted: the video.
        reading: how it is read; a reference's options do not matter.
        codec: (encoder, preset, CRF) as in `pyvmaf.score`.
        advance: called with (frames done, 0).

    Raises:
        InputError: a model is a filter, the frames are too small for it, or the video cannot be read.
    """
    checked = [_scoring(model) for model in models]
    indices: list[NDArray[np.int64]] = []
    parts: dict[str, list[Prediction]] = {model.name: [] for model in checked}
    for numbers, pictures in gray_pictures(distorted, reading):
        indices.append(numbers)
        for model in checked:
            parts[model.name].append(model.predict(pictures))
        if advance is not None:
            advance(sum(map(len, indices)), 0)
    frame_index = np.concatenate(indices)
    columns = {name: np.concatenate([part.scores for part in found]) for name, found in parts.items()}
    scores = Scores(frame_index, columns, reading=reading.described())
    pair = Pair(scores, distorted, codec, {}, reading.raw, reading.stream)
    for model in checked:
        summary = summary_of(model, _joined(parts[model.name]), of_clip=False, bounds=(), left_out=0)
        summary["unlike_training"] = list(unlike_training(model, pair))
        scores.summaries[model.name] = summary
    return scores


def _scoring(model: AnyModel) -> Model:
    if model.sidecar.get("task") != "score" or not isinstance(model, Model):
        raise InputError(
            f"model {model.name} makes pictures, not scores: `vmaf-train filter` uses it, or name a model such as nr_metric_v1"
        )
    return model


def _joined(parts: Sequence[Prediction]) -> Prediction:
    """Join the predictions of parts of a video."""
    counts = np.array([part.scores.size for part in parts], dtype=np.float64)

    def mean(values: Sequence[float]) -> float:
        return float(np.average(values, weights=counts))

    outside: Mapping[str, Any] = {
        name: mean([part.outside.get(name, 0.0) for part in parts])
        for name in dict.fromkeys(name for part in parts for name in part.outside)
    }
    return Prediction(
        np.concatenate([part.scores for part in parts]),
        dict(outside),
        mean([part.outside_share or 0.0 for part in parts]),
        mean([part.unexpected_share for part in parts]),
    )
