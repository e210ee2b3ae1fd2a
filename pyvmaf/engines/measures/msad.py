"""MSAD: the mean absolute difference of samples as a share of their largest value, as FFmpeg's filter of that name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyvmaf.engines.protocol import Needs, Request

if TYPE_CHECKING:
    from pyvmaf.video.format import Format
    from pyvmaf.video.reader import Plane, Planes

KEYS = ("msad_y", "msad_cb", "msad_cr")


class _Pass:
    def __init__(self, form: Format) -> None:
        self._peak = (1 << form.bit_depth) - 1

    def measure(self, reference: Planes, distorted: Planes) -> dict[str, float]:
        """Return the scores of a pair."""
        pairs = zip(KEYS, reference, distorted, strict=False)
        return {key: self._difference(ours, theirs) for key, ours, theirs in pairs}

    def _difference(self, ours: Plane, theirs: Plane) -> float:
        total = int(np.abs(np.subtract(ours, theirs, dtype=np.int32)).sum(dtype=np.int64))
        return total / ours.size / self._peak


class Msad:
    """Mean absolute differences of all planes."""

    needs = Needs(chroma=True)

    def obstacle(self, form: Format) -> str | None:
        """Return None: every format can be measured."""
        return None

    def start(self, request: Request, form: Format) -> _Pass:
        """Start with the first pair."""
        return _Pass(form)


MEASURE = Msad()
