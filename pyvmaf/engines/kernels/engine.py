"""The engine that computes with own kernels where they are exact, and with libvmaf otherwise.

Its numbers are libvmaf's, so results of the two share cache entries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvmaf.engines.kernels import adm, motion, vif
from pyvmaf.engines.kernels.check import instruction_set
from pyvmaf.engines.libvmaf.engine import ENGINE as LIBVMAF
from pyvmaf.engines.protocol import Batch, Engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyvmaf.engines.protocol import Needs, Request, Requests, Scores, Stream
    from pyvmaf.video.format import Format
    from pyvmaf.video.reader import Planes


class Kernels(Engine):
    """Own kernels, and libvmaf for every request that has none, in one pass over the frames."""

    name = "kernels"

    @property
    def equals(self) -> str:
        """Name of libvmaf's engine."""
        return LIBVMAF.name

    def identity(self) -> str:
        """Return libvmaf's identity, which decides the numbers."""
        return LIBVMAF.identity()

    def identity_for(self, request: Request, form: Format) -> str:
        """Return libvmaf's identity for the request."""
        return LIBVMAF.identity_for(request, form)

    def obstacle(self, request: Request, form: Format) -> str | None:
        """Say why libvmaf cannot compute a request: the kernels add no features."""
        return LIBVMAF.obstacle(request, form)

    def needs(self, request: Request) -> Needs:
        """Return the frames that libvmaf reads for a request."""
        return LIBVMAF.needs(request)

    def open(self, requests: Requests, form: Format) -> Batch:
        """Open kernels for the requests that have one, and libvmaf for the others."""
        level = instruction_set()
        own = {r: keys for r, keys in requests.items() if level is not None and _computes(r, form)}
        if level is None or not own:
            return LIBVMAF.open(requests, form)
        return KernelBatch(own, {r: keys for r, keys in requests.items() if r not in own}, form, level)

    def stream(self, requests: Requests, form: Format) -> Stream:
        """Open a stream of libvmaf."""
        return LIBVMAF.stream(requests, form)


ENGINE = Kernels()

_KERNELS = (adm, vif, motion)


def _computes(request: Request, form: Format) -> bool:
    return any(kernel.computes(request, form) for kernel in _KERNELS)


class KernelBatch(Batch):
    """Kernels and a batch of libvmaf that read the same frames."""

    def __init__(self, own: Requests, others: Requests, form: Format, level: str) -> None:
        """Open both."""
        self._rest = LIBVMAF.open(others, form) if others else None
        self._kernels = [
            scores
            for kernel in _KERNELS
            for scores in kernel.open_scores({r: own[r] for r in own if kernel.computes(r, form)}, form, level)
        ]

    def read(self, index: int, reference: Planes, distorted: Planes | None) -> None:
        """Read a pair of frames, or one of the reference alone."""
        for kernel in self._kernels:
            kernel.read(reference, [] if distorted is None else [distorted])
        if self._rest is not None:
            self._rest.read(index, reference, distorted)

    def read_versions(self, index: int, reference: Planes, distorted: Sequence[Planes]) -> None:
        """Read a frame with several distorted versions; the kernels compute what the reference alone decides once."""
        for kernel in self._kernels:
            kernel.read(reference, distorted)
        if self._rest is not None:
            self._rest.read_versions(index, reference, distorted)

    def harvest(self) -> Scores:
        """Return the scores of both."""
        scores = self._rest.harvest() if self._rest is not None else {}
        for kernel in self._kernels:
            scores |= kernel.scores()
        self.close()
        return scores

    def close(self) -> None:
        """Free libvmaf's memory, and the kernels'."""
        self._kernels = []
        if self._rest is not None:
            self._rest.close()
