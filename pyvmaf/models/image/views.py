"""The squares of a picture that a score is computed from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def views(side: int, n: int, height: int, width: int) -> list[tuple[int, int]]:
    """Give the upper left corners (top, left) of 1, 3 or 5 squares of a picture, that of the centre first."""
    down, right = height - side, width - side
    corners = [(down // 2, right // 2), (0, 0), (down, right), (0, right), (down, 0)]
    return corners[:n]


def squares(picture: NDArray[np.uint8], side: int, n: int) -> NDArray[np.float32]:
    """Cut the squares of a gray picture: [h, w] to [n, 1, side, side] in [0, 1]."""
    parts = [picture[top : top + side, left : left + side] for top, left in views(side, n, *picture.shape)]
    return np.stack(parts)[:, None].astype(np.float32) / np.float32(255)
