"""The engine that calls libvmaf's CUDA path, in a child process, for the features that have one.

Its numbers differ from those of the processor (Netflix/vmaf#1562: motion mirrors the edge otherwise; #1564: ADM rounds in
another order), so it shares no cache entries with the other engines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyvmaf.engines.device.engine import DeviceEngine
from pyvmaf.engines.device.process import DeviceBatch, DeviceProcess, process_of, unavailable
from pyvmaf.engines.libvmaf import build
from pyvmaf.engines.libvmaf.engine import ENGINE as LIBVMAF
from pyvmaf.engines.libvmaf_cuda import device
from pyvmaf.engines.libvmaf_cuda.requests import computed, covers, derived
from pyvmaf.engines.protocol import Batch, Request
from pyvmaf.errors import NativeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pyvmaf.engines.protocol import Requests, Scores
    from pyvmaf.video.format import Format
    from pyvmaf.video.reader import Planes

NAME = "libvmaf-cuda"

CHECKED = 3
"""Pairs at the start of a batch that the processor computes, too."""

TOLERANCE = {"adm": 0.01, "vif": 0.001, "motion": 0.01}
"""Largest absolute difference from the processor that a score of a checked pair may have, by extractor.

Netflix/vmaf#1562 and #1564 report up to 2e-3 in motion2, and up to 1e-1 in adm2 of small frames, which this refuses.
"""


class LibvmafCuda(DeviceEngine):
    """libvmaf's CUDA extractors, and libvmaf on the processor for all others, in one pass over the frames."""

    name = NAME

    def identity(self) -> str:
        """Return libvmaf's identity, and the compiler and architectures of the device code; the extension is not loaded.

        Raises:
            UnavailableError: the build has no CUDA.
        """
        architectures = build.cuda_architectures()
        if not architectures:
            raise unavailable(NAME, "build", "this build of pyvmaf computes on the processor only")
        return "+".join((LIBVMAF.identity(), f"cuda-{build.nvcc()}", *architectures))

    def identity_for(self, request: Request, form: Format) -> str:
        """Return the identity of what computes the request: the device, or the processor."""
        return self.identity() if covers(request) else LIBVMAF.identity_for(request, form)

    def process(self) -> DeviceProcess:
        """Return the child process."""
        return process_of(NAME, device.__name__)

    def open(self, requests: Requests, form: Format) -> Batch:
        """Open a batch on the device, and one on the processor for the requests without a CUDA extractor.

        Raises:
            UnavailableError: the build, the driver, the device or its compute capability is missing, or its memory is full.
            NativeError: the child process failed.
        """
        self.identity()
        own = {request: keys for request, keys in requests.items() if covers(request)}
        rest = {request: keys for request, keys in requests.items() if request not in own}
        if not own:
            return LIBVMAF.open(rest, form)
        return CheckedBatch(own, rest, form, self.process())


ENGINE = LibvmafCuda()


class CheckedBatch(Batch):
    """A batch on the device, whose first pairs the processor computes, too, and one for the other requests."""

    def __init__(self, own: Requests, rest: Requests, form: Format, process: DeviceProcess) -> None:
        """Open the batches.

        Raises:
            UnavailableError, NativeError: as `LibvmafCuda.open`.
        """
        self._own = own
        names = {request: computed(request) for request in own}
        self._device = DeviceBatch(process, names, form)
        self._check = LIBVMAF.open(names, form)
        self._rest = LIBVMAF.open(rest, form) if rest else None
        self._checked = 0

    def read(self, index: int, reference: Planes, distorted: Planes | None) -> None:
        """Read a pair of frames, or one of the reference alone."""
        self._device.read(index, reference, distorted)
        if index < CHECKED:
            self._check.read(index, reference, distorted)
            self._checked = index + 1
        if self._rest is not None:
            self._rest.read(index, reference, distorted)

    def harvest(self) -> Scores:
        """Return the scores.

        Raises:
            NativeError: the device failed, a score is missing or not a number, or one of the first pairs differs from the
                processor by more than `TOLERANCE`.
        """
        measured, expected = self._device.harvest(), self._check.harvest()
        for request in self._own:
            for key in computed(request):
                # The processor takes the last frame that it sees for the end of the clip: its motion there looks back only.
                known = self._checked - (request.extractor == "motion")
                _compare(request, key, measured[key][:known], expected[key][:known])
        scores = derived(self._own, measured)
        if self._rest is not None:
            scores |= self._rest.harvest()
        self.close()
        return scores

    def close(self) -> None:
        """Free everything."""
        for batch in (self._device, self._check, self._rest):
            if batch is not None:
                batch.close()


def _compare(request: Request, key: str, ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> None:
    """Refuse scores that differ from the processor's.

    Raises:
        NativeError: a difference is larger than `TOLERANCE`.
    """
    limit = TOLERANCE[request.extractor]
    differences = np.abs(ours - theirs)
    # A difference that is not a number is none that is small enough.
    bad = np.flatnonzero(~(differences <= limit))
    if bad.size:
        first = int(bad[0])
        raise NativeError(
            f"engine {NAME!r} computes {key} of pair {first} as {ours[first]:.6f}, the processor as {theirs[first]:.6f}: they may "
            f"differ by {limit:g}; no score of it is used: use backend auto"
        )
