"""The engine that computes with own kernels where they are exact, and with libvmaf otherwise.

Its numbers are libvmaf's, so results of the two share cache entries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pyvmaf.engines.beside import StreamBeside
from pyvmaf.engines.kernels import adm, motion, vif
from pyvmaf.engines.kernels.check import checks_of, instruction_set
from pyvmaf.engines.libvmaf.engine import ENGINE as LIBVMAF
from pyvmaf.engines.libvmaf.equal import EqualEngine
from pyvmaf.engines.protocol import Batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyvmaf.engines.protocol import Needs, Request, Requests, Scores, Stream
    from pyvmaf.video.format import Format
    from pyvmaf.video.reader import Planes


class Kernels(EqualEngine):
    """Own kernels, and libvmaf for every request that has none, in one pass over the frames."""

    name = "kernels"

    def obstacle(self, request: Request, form: Format) -> str | None:
        """Say why libvmaf cannot compute a request: the kernels add no features."""
        return LIBVMAF.obstacle(request, form)

    def needs(self, request: Request) -> Needs:
        """Return the frames that libvmaf reads for a request."""
        return LIBVMAF.needs(request)

    def open(self, requests: Requests, form: Format) -> Batch:
        """Open kernels for the requests that have one, and libvmaf for the others."""
        level = instruction_set(checks_of(requests, form))
        own, others = divide(requests, form, level)
        if level is None or not own:
            return LIBVMAF.open(requests, form)
        return KernelBatch(own, LIBVMAF.open(others, form) if others else None, form, level)

    def stream(self, requests: Requests, form: Format) -> Stream:
        """Open kernels for the requests that have one, and a stream of libvmaf for the others."""
        level = instruction_set(checks_of(requests, form))
        own, others = divide(requests, form, level)
        if level is None or not own:
            return LIBVMAF.stream(requests, form)
        if any(LIBVMAF.needs(request).reference_only for request in requests):
            return motion.KernelMotionStream(requests, form, level)
        return KernelStream(own, LIBVMAF.stream(others, form) if others else None, form, level)


ENGINE = Kernels()

_KERNELS = (adm, vif, motion)


class KernelScores(Protocol):
    """Requests of one extractor that kernels compute together."""

    def read(self, reference: Planes, distorted: Sequence[Planes]) -> None:
        """Measure distorted versions of a frame, or the reference alone.

        Raises:
            InputError: planes do not fit, or have samples of more bits.
        """

    def take(self) -> Scores:
        """Return the scores of the frames since the last call, in the order of reading."""


def divide(
    requests: Requests, form: Format, level: str | None
) -> tuple[dict[Request, Sequence[str]], dict[Request, Sequence[str]]]:
    """Divide requests into those that kernels compute, and the others."""
    own = {
        request: keys
        for request, keys in requests.items()
        if level is not None and any(kernel.computes(request, form) for kernel in _KERNELS)
    }
    return own, {request: keys for request, keys in requests.items() if request not in own}


def _open_kernels(requests: Requests, form: Format, level: str) -> list[KernelScores]:
    opened: list[KernelScores] = []
    for kernel in _KERNELS:
        opened += kernel.open_scores({r: requests[r] for r in requests if kernel.computes(r, form)}, form, level)
    return opened


class KernelBatch(Batch):
    """Kernels and a batch of libvmaf that read the same frames."""

    def __init__(self, own: Requests, rest: Batch | None, form: Format, level: str) -> None:
        """Open the kernels beside the batch of the other requests."""
        self._rest = rest
        self._kernels = _open_kernels(own, form, level)

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
            scores |= kernel.take()
        self.close()
        return scores

    def close(self) -> None:
        """Free libvmaf's memory, and the kernels'."""
        self._kernels = []
        if self._rest is not None:
            self._rest.close()


class KernelStream(StreamBeside):
    """Kernels and a stream of libvmaf that read the same pairs, whose scores are known at once."""

    def __init__(self, own: Requests, rest: Stream | None, form: Format, level: str) -> None:
        """Open the kernels beside the stream of the other requests."""
        super().__init__(rest)
        self._kernels = _open_kernels(own, form, level)

    def measure(self, reference: Planes, distorted: Planes | None) -> dict[str, float]:
        """Compute the scores of a pair with the kernels."""
        row: dict[str, float] = {}
        for kernel in self._kernels:
            kernel.read(reference, [] if distorted is None else [distorted])
            row |= {key: float(values[0]) for key, values in kernel.take().items()}
        return row

    def close(self) -> None:
        """Free libvmaf's memory, and the kernels'."""
        self._kernels = []
        super().close()
