"""VIF by kernels: which requests they compute, and the scores of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from pyvmaf.engines.kernels.frames import accepts
from pyvmaf.engines.libvmaf.build import native, translated
from pyvmaf.engines.libvmaf.extractors import EXTRACTORS, parse_options, score_keys

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pyvmaf import _native
    from pyvmaf.engines.protocol import Request, Requests
    from pyvmaf.video.format import Format
    from pyvmaf.video.reader import Planes

_GAIN = "vif_enhn_gain_limit"
MOST = 2
"""Requests that are computed together."""


def computes(request: Request, form: Format) -> bool:
    """Tell whether the kernels compute a request on frames of this format, from 33x33 on."""
    return request.extractor == "vif" and {name for name, _ in request.options} <= {_GAIN} and accepts(form)


def open_scores(requests: Requests, form: Format, instruction_set: str) -> list[VifScores]:
    """Prepare for the requests that `computes` accepts, a few of them together."""
    items = iter(requests.items())
    return [VifScores(dict(part), form, instruction_set) for part in iter(lambda: list(islice(items, MOST)), [])]


class VifScores:
    """VIF of frames that are measured one after another, for one or two limits of the gain."""

    def __init__(self, requests: Requests, form: Format, instruction_set: str) -> None:
        """Prepare for at most two requests that `computes` accepts."""
        self._form, self._instruction_set = form, instruction_set
        self._limits: list[float] = []
        self._wanted: list[tuple[str, int, int]] = []
        for index, (request, keys) in enumerate(requests.items()):
            options = parse_options(request.extractor, dict(request.options))
            self._limits.append(float(str(options.get(_GAIN, EXTRACTORS["vif"].options[_GAIN].default))))
            scales = score_keys(request.extractor, options)
            self._wanted += [(key, index, scales.index(key)) for key in keys]
        self._kernel: _native.Vif | None = None
        self._most = 0
        self._scores: list[NDArray[np.float32]] = []

    def read(self, reference: Planes, distorted: Sequence[Planes]) -> None:
        """Measure distorted versions of a frame."""
        self.add(self.measure(reference, distorted))

    @property
    def limits(self) -> list[float]:
        """Limits of the gain, of each request."""
        return self._limits

    def measure(self, reference: Planes, distorted: Sequence[Planes]) -> NDArray[np.float32]:
        """Return what `add` takes, of distorted versions of a frame."""
        with translated():
            return self._kernel_for(len(distorted)).measure(reference[0], [planes[0] for planes in distorted])

    def add(self, ratios: NDArray[np.float32]) -> None:
        """Add numerators and denominators of the next frames: of shape (frames, limits, 4, 2)."""
        self._scores.append(ratios[..., 0] / ratios[..., 1])

    def _kernel_for(self, count: int) -> _native.Vif:
        if self._kernel is None or count > self._most:
            form, self._most = self._form, count
            self._kernel = native().Vif(
                form.width, form.height, form.bit_depth, count, self._limits, self._instruction_set
            )
        return self._kernel

    def take(self) -> dict[str, NDArray[np.float64]]:
        """Return the scores that are wanted, of all distorted frames since the last call in the order of reading."""
        import numpy as np

        rows = np.concatenate(self._scores) if self._scores else np.empty((0, len(self._limits), 4), np.float32)
        self._scores = []
        return {key: rows[:, limit, scale].astype(np.float64) for key, limit, scale in self._wanted}
