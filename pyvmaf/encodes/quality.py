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
    """Collects the frames of a reference, which follow each other, and distorted versions of some of them.

    How much a frame moves is known from the reference alone, for which every frame is read; the rest, nearly all of the work, is
    done for the distorted frames there are.

    Args:
        width, height: their size, 33 or more.
    """

    def __init__(self, width: int, height: int) -> None:
        info = model_info(MODEL)
        requests: dict[Request, tuple[str, ...]] = {}
        for feature in info.features:
            request = Request(feature.extractor, tuple(spell_options(dict(feature.options)).items()))
            requests[request] = (*requests.get(request, ()), feature.key)
        form, engine = Format.planar(width, height, "400", 8), engines.load(engines.AUTO)
        motion = {request: keys for request, keys in requests.items() if engine.needs(request).reference_only}
        pairs = {request: keys for request, keys in requests.items() if request not in motion}
        self._model = Model(info)
        self._motion, self._pairs = engine.open(motion, form), engine.open(pairs, form)
        self._frames, self._measured = 0, list[int]()

    def add(self, reference: NDArray[np.uint8], distorted: NDArray[np.uint8] | None) -> None:
        """Take the next frame, luma planes [height, width], which are copied or measured before this returns.

        Args:
            reference: of the reference.
            distorted: of the distorted version; None for a frame that is not measured.
        """
        self._motion.read(self._frames, (reference,), None)
        if distorted is not None:
            self._pairs.read(len(self._measured), (reference,), (distorted,))
            self._measured.append(self._frames)
        self._frames += 1

    def mean(self) -> float:
        """Return the mean over the frames that were measured, 0 to 100, and end."""
        motion = {key: values[self._measured] for key, values in self._motion.harvest().items()}
        return float(np.mean(predict(self._model, motion | self._pairs.harvest())))
