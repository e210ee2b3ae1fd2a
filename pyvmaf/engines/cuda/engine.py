"""The engine that computes on a device where it has kernels, and as the engine ``kernels`` and libvmaf otherwise.

Its numbers are libvmaf's, so results of the three share cache entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyvmaf.engines.cuda.check import Sampler, check_golden_frames, differs
from pyvmaf.engines.cuda.client import Ladder, Results, Wanted, Worker, worker
from pyvmaf.engines.device.process import check_column
from pyvmaf.engines.kernels import adm, motion, vif
from pyvmaf.engines.kernels.check import instruction_set
from pyvmaf.engines.kernels.engine import ENGINE as KERNELS
from pyvmaf.engines.kernels.engine import KernelScores, divide
from pyvmaf.engines.libvmaf.build import native, translated
from pyvmaf.engines.libvmaf.engine import ENGINE as LIBVMAF
from pyvmaf.engines.protocol import Batch, Engine
from pyvmaf.errors import NativeError, UnavailableError

if TYPE_CHECKING:
    from pyvmaf.engines.protocol import Needs, Request, Requests, Scores, Stream
    from pyvmaf.video.format import Format
    from pyvmaf.video.reader import Planes


class Cuda(Engine):
    """Kernels on a device, and the processor for every request that has none, in one pass over the frames."""

    name = "cuda"

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
        """Open kernels of the device for the requests that have one, and libvmaf for the others.

        Raises:
            InputError: a request cannot be computed on such frames.
            NativeError: the device gives other numbers than the processor.
            UnavailableError: the build, the driver, the device or its compute capability is missing.
        """
        own, others = divide(requests, form, "any")
        if not own:
            return LIBVMAF.open(requests, form)
        level = instruction_set()
        if level is None:
            raise UnavailableError(
                "backend 'cuda' was asked for, but its results cannot be checked: the kernels of the processor differ from "
                "libvmaf on this machine; use backend cpu (--backend cpu)"
            )
        process, started = worker()
        if started:
            check_golden_frames(process, level)
        return CudaBatch(own, LIBVMAF.open(others, form) if others else None, form, level, process)

    def stream(self, requests: Requests, form: Format) -> Stream:
        """Open a stream on the processor, where the scores of a frame are known soonest."""
        return KERNELS.stream(requests, form)


ENGINE = Cuda()


class CudaBatch(Batch):
    """Kernels of a device and a batch of libvmaf that read the same frames."""

    def __init__(self, own: Requests, rest: Batch | None, form: Format, level: str, process: Worker) -> None:
        """Open the kernels beside the batch of the other requests."""
        self._rest, self._form, self._level, self._worker = rest, form, level, process

        def of(kernel: object) -> dict[Request, Sequence[str]]:
            return {r: keys for r, keys in own.items() if kernel.computes(r, form)}  # type: ignore[attr-defined]

        self._vif = vif.open_scores(of(vif), form, level)
        self._adm = adm.open_scores(of(adm), form, level)
        self._motion = motion.open_scores(of(motion), form, level)
        self._wanted = Wanted(
            [scores.limits for scores in self._vif],
            [(scores.limits, scores.additive, scores.viewing) for scores in self._adm],
            [distance for scores in self._motion for distance in scores.distances],
        )
        self._ladder: Ladder | None = None
        self._results: list[Results] = []
        self._sampler = Sampler()
        self._counts: list[int] = []

    def read(self, index: int, reference: Planes, distorted: Planes | None) -> None:
        """Read a pair of frames, or one of the reference alone."""
        self._push(reference, [] if distorted is None else [distorted])
        if self._rest is not None:
            self._rest.read(index, reference, distorted)

    def read_versions(self, index: int, reference: Planes, distorted: Sequence[Planes]) -> None:
        """Read a frame with several distorted versions; the device computes what the reference alone decides once."""
        self._push(reference, distorted)
        if self._rest is not None:
            self._rest.read_versions(index, reference, distorted)

    def _push(self, reference: Planes, distorted: Sequence[Planes]) -> None:
        if not any(self._wanted):
            return
        self._ladder_for(len(distorted)).push(reference[0], [planes[0] for planes in distorted])
        self._sampler.read(reference, distorted)
        self._counts.append(len(distorted))

    def _ladder_for(self, count: int) -> Ladder:
        if self._ladder is None or count > self._ladder.most:
            if self._ladder is not None:
                if self._wanted.motion:
                    raise NativeError("motion is measured of pairs or of the reference alone, not of several versions")
                self._results.append(self._ladder.take())
                self._ladder.close()
            form = self._form
            self._ladder = Ladder(self._worker, form.width, form.height, form.bit_depth, max(1, count), self._wanted)
        return self._ladder

    def harvest(self) -> Scores:
        """Return the scores of both, after the sampled frame has been measured by the processor, too."""
        scores = self._rest.harvest() if self._rest is not None else {}
        if self._ladder is not None:
            self._results.append(self._ladder.take())
        self._check()
        for results in self._results:
            for own, ratios in zip(self._vif, results.vif, strict=True):
                own.add(ratios)
            for part, parts in zip(self._adm, results.adm, strict=True):
                part.add(parts)
            for sums in results.motion if self._motion else []:
                self._motion[0].add(sums)
        count = sum(max(1, versions) for versions in self._counts)
        kernels: list[KernelScores] = [*self._vif, *self._adm, *self._motion]
        for kernel in kernels:
            for key, values in kernel.take().items():
                check_column(ENGINE.name, key, values, count)
                scores[key] = values
        self.close()
        return scores

    def _check(self) -> None:
        import numpy as np

        sample = self._sampler.sample
        if sample is None:
            return
        where = f"frame {sample.frame} of a clip of {self._form.width}x{self._form.height}"
        reference, distorted = (sample.references[-1],), [(plane,) for plane in sample.distorted]
        rows = slice(sample.row, sample.row + len(distorted))
        wrong: list[str] = []
        if distorted:
            for index, own in enumerate(self._vif):
                measured = np.concatenate([results.vif[index] for results in self._results])
                wrong += [] if np.array_equal(measured[rows], own.measure(reference, distorted)) else ["VIF"]
            for index, part in enumerate(self._adm):
                measured = np.concatenate([results.adm[index] for results in self._results])
                wrong += [] if np.array_equal(measured[rows], part.measure(reference, distorted)) else ["ADM"]
        sums = [sums for results in self._results for sums in results.motion]
        for index, distance in enumerate(self._wanted.motion):
            form = self._form
            with translated():
                kernel = native().Motion(form.width, form.height, form.bit_depth, distance, self._level)
                expected = [kernel.measure(plane) for plane in sample.references[-distance - 1 :]][-1]
            wrong += [] if sums[sample.frame][index] == expected else ["motion"]
        if wrong:
            raise NativeError(differs(self._worker, " and ".join(dict.fromkeys(wrong)), where))

    def close(self) -> None:
        """Free libvmaf's memory, and the device's."""
        if self._ladder is not None:
            self._ladder.close()
            self._ladder = None
        if self._rest is not None:
            self._rest.close()
