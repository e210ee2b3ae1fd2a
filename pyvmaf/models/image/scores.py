"""What a network says of rows, with any runtime: the score of a picture, or the PSNR of the 8-bit picture that a filter makes
of it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pyvmaf.metrics import psnr
from pyvmaf.models.image.rows import PSNR_CAP, PictureRows
from pyvmaf.models.image.spec import ImageSpec
from pyvmaf.models.image.views import squares

PICTURES_AT_A_TIME = 16
"""Pictures that are judged together."""


def scores(
    spec: ImageSpec,
    answer: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    data: PictureRows,
    rows: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Score some rows [n] with any runtime of the network.

    Args:
        spec: the model.
        answer: the network: [n, 1, h, w] in [0, 1] to [n] or [n, 1, h, w].
        data: all rows.
        rows: which of them.
    """
    if spec.network.is_filter:
        return np.array([_filtered_psnr(answer, data, int(row)) for row in rows])
    found = []
    for start in range(0, rows.size, PICTURES_AT_A_TIME):
        part = rows[start : start + PICTURES_AT_A_TIME]
        answers = answer(
            np.concatenate([squares(data.picture(int(row)), spec.crops.judge, spec.crops.views) for row in part])
        )
        found.append(answers.reshape(part.size, -1).mean(axis=1))
    return np.concatenate(found) if found else np.empty(0)


def in_8_bits(answer: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Round an answer in [0, 1] to the levels that a file of 8 bits holds: a correction of less than half a level is lost."""
    return np.asarray(np.clip(np.rint(255 * answer), 0, 255).astype(np.uint8))


def _filtered_psnr(answer: Callable[[NDArray[np.float32]], NDArray[np.float64]], data: PictureRows, row: int) -> float:
    picture = data.picture(row)[None, None].astype(np.float32) / np.float32(255)
    return psnr(in_8_bits(answer(picture)[0, 0]), data.reference(row), cap=PSNR_CAP)
