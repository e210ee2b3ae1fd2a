"""What the child process of the engine computes with: the kernels on a device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.engines.cuda.measures import Measured, Measures
from pyvmaf.engines.device.computer import ANY, DeviceError, Luma
from pyvmaf.engines.device.cuda import device_errors, free_device
from pyvmaf.engines.libvmaf.build import native
from pyvmaf.engines.protocol import Request
from pyvmaf.video.format import Format

if TYPE_CHECKING:
    from pyvmaf import _native

AT_ONCE = 3
"""Frames of a batch that are measured at the same time, where the device has room for them."""


def choose(wanted: str) -> int:
    """Return the index of the device to use.

    Args:
        wanted: its index, its UUID or the start of one, or `ANY`, for which see `free_device`.

    Raises:
        DeviceError: there is no driver, or no such device.
    """
    with device_errors():
        uuids = [uuid for _, uuid, _, _ in native().kernels_devices()]
    if not uuids:
        raise DeviceError("device", "the driver reports no CUDA device")
    if wanted == ANY:
        return free_device(uuids)
    if wanted.isascii() and wanted.isdigit():
        if int(wanted) >= len(uuids):
            raise DeviceError("device", f"CUDA device {wanted} is missing: the driver has {len(uuids)}")
        return int(wanted)
    found = [index for index, uuid in enumerate(uuids) if uuid.startswith(wanted)]
    if len(found) != 1:
        said = "no CUDA device has" if not found else f"{len(found)} CUDA devices have"
        raise DeviceError("device", f"{said} the UUID {wanted!r}: there are {', '.join(uuids)}")
    return found[0]


class Kernels:
    """A device with the kernels."""

    def __init__(self, wanted: str, image: bytes) -> None:
        """Open the device.

        Args:
            wanted: as of `choose`.
            image: the compiled kernels.

        Raises:
            DeviceError: the build, the driver, the device or its compute capability is missing.
        """
        if not image:
            raise DeviceError("build", "this build of pyvmaf computes on the processor only")
        self._index = choose(wanted)
        with device_errors():
            self._device = native().KernelsDevice(self._index, image)

    def describe(self) -> dict[str, Any]:
        """Return index, name, UUID, compute capability and memory of the device, and the driver's version of CUDA."""
        device = self._device
        return {
            "index": self._index,
            "name": device.name,
            "uuid": device.uuid,
            "capability": device.capability,
            "memory": self.memory()[1],
            "driver": device.driver_version,
        }

    def memory(self) -> tuple[int, int]:
        """Return the bytes of memory that are free, and all."""
        with device_errors():
            free, total = self._device.memory()
        return int(free), int(total)

    def open(self, requests: Mapping[Request, Sequence[str]], width: int, height: int, bits: int) -> Frames:
        """Take memory for pairs of frames; for fewer at the same time where the device has no room for more.

        Raises:
            DeviceError: there is too little memory for one, or the frames cannot be measured.
        """
        return Frames(self._device, requests, Format.planar(width, height, "400", bits))


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        with device_errors():
            yield
    except ValueError as error:
        raise DeviceError("input", str(error)) from None


class Frames:
    """Frames that are measured one after another."""

    def __init__(self, device: _native.KernelsDevice, requests: Mapping[Request, Sequence[str]], form: Format) -> None:
        """Take memory for pairs.

        Raises:
            DeviceError: as `Kernels.open`.
        """
        self._device, self._form = device, form
        # The processor measures nothing here.
        self._measures = Measures(requests, form, "")
        wanted = self._measures.wanted
        self._vif: list[list[NDArray[np.float32]]] = [[] for _ in wanted.vif]
        self._adm: list[list[NDArray[np.float32]]] = [[] for _ in wanted.adm]
        self._motion: list[list[int]] = []
        self._most = 1
        self._ladder: _native.KernelsLadder | None = self._open()

    def _open(self) -> _native.KernelsLadder:
        form = self._form
        with _refusals():
            ladder: _native.KernelsLadder = native().KernelsLadder(
                self._device, form.width, form.height, form.bit_depth, self._most, *self._measures.wanted, AT_ONCE
            )
        return ladder

    def read(self, index: int, reference: Luma, distorted: Sequence[Luma]) -> None:
        """Start to measure a frame with its distorted versions; more memory is taken for more versions than before."""
        if len(distorted) > 1 and self._measures.wanted.motion:
            raise DeviceError("input", "motion is measured of pairs or of the reference alone, not of several versions")
        if len(distorted) > self._most or self._ladder is None:
            self._finish()
            self._ladder, self._most = None, max(self._most, len(distorted))
            self._ladder = self._open()
        with _refusals():
            self._ladder.push(reference, list(distorted))
        while self._ladder.pending > self._ladder.at_once:
            self._pop()

    def _pop(self) -> None:
        assert self._ladder is not None
        with _refusals():
            vif, adm, motion = self._ladder.pop()
        for measured, own in ((vif, self._vif), (adm, self._adm)):
            for array, rows in zip(measured, own, strict=True):
                if len(array):
                    rows.append(array)
        self._motion.append(motion)

    def _finish(self) -> None:
        while self._ladder is not None and self._ladder.pending:
            self._pop()

    def harvest(self) -> Mapping[str, NDArray[np.float64]]:
        """Wait for the frames, and return what was measured, in the columns of `Measures`."""
        self._finish()
        self.close()

        def rows(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
            return np.concatenate(parts) if parts else np.empty(0, np.float32)

        sums = np.array(self._motion, np.int64).reshape(len(self._motion), len(self._measures.wanted.motion))
        measured = Measured([rows(parts) for parts in self._vif], [rows(parts) for parts in self._adm], list(sums.T))
        return self._measures.to_columns(measured)

    def close(self) -> None:
        """Free the memory."""
        self._ladder = None


def start(device: str) -> Kernels:
    """Open a device: its index, its UUID, or "any"."""
    return Kernels(device, native().kernels_image())
