"""Figures of maps against masks: the block ``family`` of the report of a fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pyvmaf.base.document import Part, Positive, Share
from pyvmaf.models.crossval import Division
from pyvmaf.models.saliency.names import INPUT, MEAN, STD, THRESHOLD
from pyvmaf.models.saliency.rows import MaskedRows
from pyvmaf.runtime.saliency import block_means, iou, normalised
from pyvmaf.runtime.tensors import Preparation

BLOCK = 16
_THRESHOLDS = np.arange(0.02, 1.0, 0.02)


class CorpusFigures(Part):
    """Figures over the held-out pictures of a corpus, mean over the pictures."""

    n: Positive
    iou: Share = Field(description="Of samples above .5")
    block_iou: Share = Field(description="Of blocks of 16x16 whose mean is above .5")
    mean_absolute_error: Share
    fixed_iou: Share = Field(
        description="Of the mean of the training masks, at the threshold that suits the corpus best"
    )


class SaliencyFigures(Part):
    """Figures of a saliency model."""

    per_corpus: dict[str, CorpusFigures] = Field(min_length=1)


@dataclass(frozen=True)
class MapFigures:
    """Figures of the map of a picture."""

    mean: float
    iou: float
    block_iou: float
    error: float


def inputs_of(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Give inputs [n, 3, h, w] for pictures [n, h, w, 3], as the sidecar says."""
    preparation = Preparation(divide_by="255", mean=list(MEAN), std=list(STD))
    return normalised(preparation, pictures.transpose(0, 3, 1, 2))


def measure(run: Callable[[dict[str, Any]], NDArray[np.float64]], data: MaskedRows, row: int) -> MapFigures:
    """Compare the map that a graph makes of a picture with its mask."""
    made = run({INPUT: inputs_of(data.picture(row)[None])})[0, 0]
    mask = data.mask(row) / 255
    blocks = (block_means(one, BLOCK) > THRESHOLD for one in (made, mask))
    return MapFigures(
        float(made.mean()), iou(made > THRESHOLD, mask > THRESHOLD), iou(*blocks), float(np.abs(made - mask).mean())
    )


def summarised(data: MaskedRows, division: Division, measured: dict[int, MapFigures]) -> SaliencyFigures:
    """Average the figures of held-out rows over each corpus, with those of a fixed map beside them."""
    per_corpus: dict[str, list[tuple[MapFigures, NDArray[np.float64]]]] = {}
    for fold in division.folds:
        mean = _mean_mask(data, fold.train)
        fixed = [mean > threshold for threshold in _THRESHOLDS]
        for row in fold.test.tolist():
            mask = data.mask(row) > 255 * THRESHOLD
            ious = np.array([iou(one, mask) for one in fixed])
            per_corpus.setdefault(str(data.names()[row]), []).append((measured[row], ious))
    return SaliencyFigures(
        per_corpus={
            corpus: CorpusFigures(
                n=len(rows),
                iou=float(np.mean([one.iou for one, _ in rows])),
                block_iou=float(np.mean([one.block_iou for one, _ in rows])),
                mean_absolute_error=float(np.mean([one.error for one, _ in rows])),
                fixed_iou=float(np.mean([ious for _, ious in rows], axis=0).max()),
            )
            for corpus, rows in sorted(per_corpus.items())
        }
    )


def _mean_mask(data: MaskedRows, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    total = np.zeros(data.mask(int(rows[0])).shape)
    for row in rows.tolist():
        total += data.mask(row)
    return np.asarray(total / (255 * rows.size))
