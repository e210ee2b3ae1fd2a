"""A small engine: PSNR with numpy. It serves the tests of the protocol, and as an example of an engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyvmaf.engines.protocol import Batch, Engine, Request, Requests
from pyvmaf.video.format import Format
from pyvmaf.video.reader import Plane, Planes

PSNR = Request("psnr")


class NumpyBatch(Batch):
    """Collects the PSNR of each pair."""

    def __init__(self, keys: list[str], bits: int) -> None:
        self._keys, self._bits = keys, bits
        self._rows: list[list[float]] = []

    def read(self, index: int, reference: Planes, distorted: Planes | None) -> None:
        """Compute the PSNR of each plane of a pair."""
        assert index == len(self._rows)
        assert distorted is not None
        self._rows.append([self._psnr(*planes) for planes in zip(reference, distorted, strict=True)])

    def _psnr(self, reference: Plane, distorted: Plane) -> float:
        """Return the PSNR in dB, which libvmaf caps."""
        error = max(float(np.mean((reference.astype(np.float64) - distorted) ** 2)), 1e-16)
        return min(10 * float(np.log10((2**self._bits - 1) ** 2 / error)), 6 * self._bits + 12)

    def harvest(self) -> dict[str, NDArray[np.float64]]:
        """Return the scores that were asked for."""
        columns = dict(zip(("psnr_y", "psnr_cb", "psnr_cr"), np.array(self._rows).T, strict=True))
        return {key: columns[key] for key in self._keys}

    def close(self) -> None:
        """Do nothing."""


class Numpy(Engine):
    """PSNR."""

    name = "numpy"

    def identity(self) -> str:
        """Return the version of numpy."""
        return f"numpy-{np.__version__}"

    def obstacle(self, request: Request, form: Format) -> str | None:
        """Refuse everything but PSNR."""
        return None if request == PSNR else f"the numpy engine computes psnr, not {request}"

    def open(self, requests: Requests, form: Format) -> NumpyBatch:
        """Start a batch."""
        return NumpyBatch([key for keys in requests.values() for key in keys], form.bit_depth)


ENGINE = Numpy()
