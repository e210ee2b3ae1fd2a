"""Frames that all kernels take."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyvmaf.video.format import Format

BIT_DEPTHS = (8, 10, 12)
SMALLEST_SIDE = 33


def accepts(form: Format) -> bool:
    """Tell whether kernels compute on the luma of frames of this format."""
    return form.bit_depth in BIT_DEPTHS and min(form.width, form.height) >= SMALLEST_SIDE
