"""The engine that computes on a device where it has kernels, and as the engine ``kernels`` and libvmaf otherwise.

Its numbers are libvmaf's, so results of the three share cache entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyvmaf.engines.cuda import device
from pyvmaf.engines.cuda.check import Sampler, check_golden_frames, compare
from pyvmaf.engines.cuda.measures import Measures
from pyvmaf.engines.device.engine import DeviceEngine
from pyvmaf.engines.device.process import DeviceBatch, DeviceProcess, check_column, process_of
from pyvmaf.engines.kernels.check import instruction_set
from pyvmaf.engines.kernels.engine import ENGINE as KERNELS
from pyvmaf.engines.kernels.engine import KernelScores, divide
from pyvmaf.engines.libvmaf.engine import ENGINE as LIBVMAF
from pyvmaf.engines.libvmaf.equal import EqualEngine
from pyvmaf.engines.protocol import Batch
from pyvmaf.errors import UnavailableError

if TYPE_CHECKING:
    from pyvmaf.engines.protocol import Requests, Scores, Stream
    from pyvmaf.video.format import Format
    from pyvmaf.video.reader import Planes


class Cuda(EqualEngine, DeviceEngine):
    """Kernels on a device, and the processor for every request that has none, in one pass over the frames."""

    name = "cuda"

    def process(self) -> DeviceProcess:
        """Return the child process; the golden frames were equal when it started.

        Raises:
            NativeError: the device gives other numbers than the processor, or the child failed.
            UnavailableError: the build, the driver, the device or its compute capability is missing.
        """
        level = _level()
        return process_of(self.name, device.__name__, lambda process: check_golden_frames(process, level))

    def open(self, requests: Requests, form: Format) -> Batch:
        """Open kernels of the device for the requests that have one, and libvmaf for the others.

        Raises:
            InputError: a request cannot be computed on such frames.
            NativeError: the device gives other numbers than the processor.
            UnavailableError: the build, the driver, the device or its compute capability is missing.
        """
        own, others = divide(requests, form, "any")
        if not own:
            return LIBVMAF.open(requests, form)
        return CudaBatch(own, others, form, self.process())

    def stream(self, requests: Requests, form: Format) -> Stream:
        """Open a stream on the processor, where the scores of a frame are known soonest."""
        return KERNELS.stream(requests, form)


ENGINE = Cuda()


def _level() -> str:
    level = instruction_set()
    if level is None:
        raise UnavailableError(
            "backend 'cuda' was asked for, but its results cannot be checked: the kernels of the processor differ from "
            "libvmaf on this machine; use backend cpu (--backend cpu)"
        )
    return level


class CudaBatch(Batch):
    """Kernels of a device and a batch of libvmaf that read the same frames."""

    def __init__(self, own: Requests, others: Requests, form: Format, process: DeviceProcess) -> None:
        """Open the kernels beside the batch of the other requests.

        Raises:
            InputError, NativeError, UnavailableError: as `Cuda.open`.
        """
        self._form, self._process = form, process
        self._measures = Measures(own, form, _level())
        # Motion with `motion_force_zero` has nothing to measure.
        self._device = DeviceBatch(process, own, form, self._measures.columns()) if any(self._measures.wanted) else None
        self._rest = LIBVMAF.open(others, form) if others else None
        self._sampler = Sampler()
        self._count = 0

    def read(self, index: int, reference: Planes, distorted: Planes | None) -> None:
        """Read a pair of frames, or one of the reference alone."""
        self._read(index, reference, [] if distorted is None else [distorted])
        if self._rest is not None:
            self._rest.read(index, reference, distorted)

    def read_versions(self, index: int, reference: Planes, distorted: Sequence[Planes]) -> None:
        """Read a frame with several distorted versions; the device computes what the reference alone decides once."""
        self._read(index, reference, distorted)
        if self._rest is not None:
            self._rest.read_versions(index, reference, distorted)

    def _read(self, index: int, reference: Planes, distorted: Sequence[Planes]) -> None:
        if self._device is not None:
            self._device.read_versions(index, reference, distorted)
            self._sampler.read(reference, distorted)
        self._count += max(1, len(distorted))

    def harvest(self) -> Scores:
        """Return the scores of both, after the sampled frame has been measured by the processor, too.

        Raises:
            NativeError: the device failed, a score is missing or not a number, or the sampled frame differs.
        """
        scores = self._rest.harvest() if self._rest is not None else {}
        self._add_measured()
        kernels: list[KernelScores] = [*self._measures.vif, *self._measures.adm, *self._measures.motion]
        for kernel in kernels:
            for key, values in kernel.take().items():
                check_column(ENGINE.name, key, values, self._count)
                scores[key] = values
        self.close()
        return scores

    def _add_measured(self) -> None:
        measures = self._measures
        measured = measures.from_columns(self._device.harvest() if self._device is not None else {})
        sample, form = self._sampler.sample, self._form
        if sample is not None:
            where = f"frame {sample.frame} of a clip of {form.width}x{form.height}"
            compare(self._process, measures, form, _level(), measured, sample, where)
        for vif, ratios in zip(measures.vif, measured.vif, strict=True):
            vif.add(ratios)
        for adm, parts in zip(measures.adm, measured.adm, strict=True):
            adm.add(parts)
        for motion in measures.motion:
            for pair in range(self._count):
                motion.add([int(sums[pair]) for sums in measured.motion])

    def close(self) -> None:
        """Free libvmaf's memory, and the device's."""
        for batch in (self._device, self._rest):
            if batch is not None:
                batch.close()
