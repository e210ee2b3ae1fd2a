"""VMAF of pictures in memory, for the fast encode of a probe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyvmaf import engines
from pyvmaf.engines.libvmaf.extractors import spell_options
from pyvmaf.engines.libvmaf.models import Model, model_info, predict
from pyvmaf.engines.protocol import Request
from pyvmaf.video.format import Format

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL = "vmaf_v0.6.1"


class Quality:
    """Collects pairs of luma planes, uint8 [height, width], that follow each other.

    Args:
        width, height: their size, 33 or more.
    """

    def __init__(self, width: int, height: int) -> None:
        info = model_info(MODEL)
        requests: dict[Request, tuple[str, ...]] = {}
        for feature in info.features:
            request = Request(feature.extractor, tuple(spell_options(dict(feature.options)).items()))
            requests[request] = (*requests.get(request, ()), feature.key)
        form = Format.planar(width, height, "400", 8)
        self._model, self._count = Model(info), 0
        self._batch = engines.load(engines.AUTO).open(requests, form)

    def add(self, reference: NDArray[np.uint8], distorted: NDArray[np.uint8]) -> None:
        """Take the next pair; both are copied or measured before this returns."""
        self._batch.read(self._count, (reference,), (distorted,))
        self._count += 1

    def mean(self) -> float:
        """Return the mean over the pairs, 0 to 100, and end."""
        return float(np.mean(predict(self._model, self._batch.harvest())))
