"""XPSNR: PSNR whose squared errors count less where a block is busy in space or time.

Helmrich, Bosse, Siekmann, Schwarz, Marpe and Wiegand, "Perceptually Optimized Bit-Allocation and Associated Distortion Measure for
Block-Based Image or Video Coding", DCC 2019; constants and rounding are those of FFmpeg's filter xpsnr,
whose figures per frame these are. Weights come from the luma of the reference: the mean magnitude of a high-pass and of the difference
to the frame before (above 32 frames per second: of the second difference), squared, with a lower limit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.engines.protocol import Needs, Request

if TYPE_CHECKING:
    from pyvmaf.video.format import Format
    from pyvmaf.video.reader import Planes

    Plane = NDArray[np.int32]
    Blocks = NDArray[np.float64]

KEYS = ("xpsnr_y", "xpsnr_cb", "xpsnr_cr")

_UHD = 3840 * 2160
# Larger pictures are seen at half their size, smaller ones than VGA have smoothed weights.
_LARGE, _SMALL = 2048 * 1152, 640 * 480
_TEMPORAL = 2


class _Pass:
    """The pairs of a video in order.

    Args:
        form: format of the frames.
        second: whether the second difference of frames counts, as in videos of high frame rates.
    """

    def __init__(self, form: Format, *, second: bool) -> None:
        self._form, self._second = form, second
        share = form.width * form.height / _UHD
        self._block = max(0, 4 * int(32.0 * math.sqrt(share) + 0.5))
        self._step = 2 if form.width * form.height > _LARGE else 1
        self._activity = math.sqrt(16.0 * (1 << (2 * form.bit_depth - 9)) / math.sqrt(max(0.00001, share)))
        self._least = float(1 << (form.bit_depth - 6))
        self._peak = ((1 << form.bit_depth) - 1) ** 2
        zero = np.zeros((form.height, form.width), np.int32)
        self._before = [zero, zero]

    def measure(self, reference: Planes, distorted: Planes) -> dict[str, float]:
        """Return the scores of a pair."""
        luma = reference[0].astype(np.int32)
        weights = self._weights(luma) if self._block >= 4 else None
        self._before = [luma, self._before[0]]
        return {
            key: self._decibel(ours, theirs, weights)
            for key, ours, theirs in zip(KEYS, reference, distorted, strict=False)
        }

    def _decibel(self, ours: NDArray[Any], theirs: NDArray[Any], weights: Blocks | None) -> float:
        squares = np.square(np.subtract(ours, theirs, dtype=np.int64))
        if weights is None:
            error = int(squares.sum())
        else:
            height, width = ours.shape
            block = self._block * width // self._form.width, self._block * height // self._form.height
            sums = _sums(squares, block)
            error = int(float((sums * weights).cumsum()[-1]) * self._activity + 0.5)
        return math.inf if error == 0 else 10.0 * math.log10(ours.size * self._peak / error)

    def _weights(self, luma: Plane) -> Blocks:
        """Weights of the blocks of a frame, [rows, columns]."""
        size = self._block, self._block
        first, second = self._before
        change = luma - 2 * first + second if self._second else luma - first
        if self._step == 2:
            change = _pairs_added(change)
        border = self._step
        inside = (slice(border, -border), slice(border, -border))
        detail, counted = np.zeros(luma.shape, np.int64), np.zeros(luma.shape, np.int64)
        detail[inside] = np.abs(_high_pass(luma) if border == 1 else _high_pass_of_pairs(luma))
        counted[inside] = 1
        areas = _sums(np.ones(luma.shape, np.int64), size)
        within = _sums(counted, size)
        activity = (
            _sums(detail, size) / np.maximum(within, 1)
            + _sums(_TEMPORAL * np.abs(change).astype(np.int64), size) / areas
        )
        # A strip at the border that has nothing inside has the weight 1.
        activity = np.where(within > 0, np.maximum(activity, self._least), 1.0)
        weights = 1.0 / np.sqrt(np.square(activity))
        return _smoothed(weights) if luma.size <= _SMALL else weights


def _sums(values: NDArray[np.int64], block: tuple[int, int]) -> NDArray[np.int64]:
    """Sums of blocks of (width, height); those at the right and at the bottom may be smaller."""
    width, height = block
    down = np.add.reduceat(values, np.arange(0, values.shape[0], height), axis=0)
    return np.add.reduceat(down, np.arange(0, values.shape[1], width), axis=1)


def _high_pass(luma: Plane) -> Plane:
    """The 3 x 3 high-pass of the samples inside."""
    middle = luma[1:-1, 1:-1]
    beside = luma[1:-1, :-2] + luma[1:-1, 2:] + luma[:-2, 1:-1] + luma[2:, 1:-1]
    across = luma[:-2, :-2] + luma[:-2, 2:] + luma[2:, :-2] + luma[2:, 2:]
    detail: Plane = 12 * middle - 2 * beside - across
    return detail


def _high_pass_of_pairs(luma: Plane) -> Plane:
    """The high-pass of 2 x 2 samples, at the even rows and columns of the samples inside; 0 at the others."""
    height, width = luma.shape

    def at(down: int, across: int) -> Plane:
        return luma[2 + down : height - 2 + down : 2, 2 + across : width - 2 + across : 2]

    near = [at(-1, 0), at(-1, 1), at(2, 0), at(2, 1), at(0, -1), at(0, 2), at(1, -1), at(1, 2)]
    corners = [at(-1, -1), at(-1, 2), at(2, -1), at(2, 2)]
    far = [at(down, across) for down in (-2, 3) for across in (-1, 0, 1, 2)]
    far += [at(down, across) for across in (-2, 3) for down in (-1, 0, 1, 2)]
    middle = at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)
    detail = np.zeros((height - 4, width - 4), np.int32)
    detail[::2, ::2] = 12 * middle - 3 * sum(near) - 2 * sum(corners) - sum(far)
    return detail


def _pairs_added(values: Plane) -> Plane:
    """Sums of 2 x 2 samples, at the even rows and columns; 0 at the others."""
    added = np.zeros_like(values)
    added[::2, ::2] = values[::2, ::2] + values[::2, 1::2] + values[1::2, ::2] + values[1::2, 1::2]
    return added


def _smoothed(weights: Blocks) -> Blocks:
    """Return the weights of a small picture, each at most that of the larger of its neighbours.

    Blocks are visited line by line, and the block before each is compared with those around it: the one before and the one
    after in its line, and the one above it, which was visited. The last one of all is compared with those before and above.
    """
    rows, columns = weights.shape
    smooth = weights.ravel().tolist()
    for index in range(len(smooth)):
        column = index % columns
        if column == 0:
            limit = smooth[index - 2] if index > 1 else 0.0
        else:
            limit = max(smooth[index - 2], smooth[index]) if column > 1 else smooth[index]
        if index > columns:
            limit = max(limit, smooth[index - 1 - columns])
        if index > 0:
            smooth[index - 1] = min(smooth[index - 1], limit)
    if len(smooth) - 1 > columns:
        smooth[-1] = min(smooth[-1], max(smooth[-2], smooth[-1 - columns]))
    return np.array(smooth).reshape(rows, columns)


class Xpsnr:
    """XPSNR of all planes."""

    # Before a range come the frames whose difference counts.
    needs = Needs(chroma=True, before=2, ordered=True)

    def obstacle(self, form: Format) -> str | None:
        """Say which frames cannot be measured."""
        if min(form.width, form.height) < 8:
            return "XPSNR needs frames of 8x8 or more"
        if form.width * form.height > _LARGE and (form.width % 2 or form.height % 2):
            return "XPSNR of frames larger than 2048x1152 needs an even width and height"
        return None

    def start(self, request: Request, form: Format) -> _Pass:
        """Start with the first pair."""
        return _Pass(form, second=dict(request.options).get("differences") == "2")


MEASURE = Xpsnr()
