"""Whether the device gives the numbers of the processor: on golden frames at the start, and on a frame of each clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import numpy as np

from pyvmaf.engines.cuda.measures import Measured, Measures
from pyvmaf.engines.device.process import DeviceBatch, DeviceProcess
from pyvmaf.engines.kernels.check import HEIGHT, WIDTH, golden_frames
from pyvmaf.engines.libvmaf.build import native, translated
from pyvmaf.engines.protocol import Request
from pyvmaf.errors import NativeError
from pyvmaf.video.format import Format

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pyvmaf.engines.protocol import Requests
    from pyvmaf.video.reader import Planes

_GOLDEN: Requests = {
    Request("vif"): [],
    Request("vif", (("vif_enhn_gain_limit", "1.0"),)): [],
    Request("adm"): [],
    Request("adm", (("adm_enhn_gain_limit", "1.0"),)): [],
    Request("motion"): [],
}
"""What the golden frames are measured for: all kernels, with both limits of the gain that models use."""


def check_golden_frames(process: DeviceProcess, instruction_set: str) -> None:
    """Measure frames with detail, noise and clipped samples at 8 and 10 bits on both sides.

    Raises:
        NativeError: a number differs.
    """
    for bits in (8, 10):
        form = Format.planar(WIDTH, HEIGHT, "400", bits)
        measures = Measures(_GOLDEN, form, instruction_set)
        batch = DeviceBatch(process, _GOLDEN, form, measures.columns())
        frames = golden_frames(bits)
        earlier: list[NDArray[Any]] = []
        for index, (reference, distorted) in enumerate((frames, frames[::-1])):
            batch.read(index, (reference,), (distorted,))
        measured = measures.from_columns(batch.harvest())
        for index, (reference, distorted) in enumerate((frames, frames[::-1])):
            earlier.append(reference)
            sample = Sample(index, index, list(earlier), [distorted])
            compare(process, measures, form, instruction_set, measured, sample, f"the golden frames of {bits} bits")


def compare(
    process: DeviceProcess,
    measures: Measures,
    form: Format,
    instruction_set: str,
    measured: Measured,
    sample: Sample,
    where: str,
) -> None:
    """Compare a frame that the device measured with the same by the processor.

    Raises:
        NativeError: a number differs.
    """
    wrong: list[str] = []
    reference, distorted = (sample.references[-1],), [(plane,) for plane in sample.distorted]
    rows = slice(sample.row, sample.row + len(distorted))
    if distorted:
        for vif, numbers in zip(measures.vif, measured.vif, strict=True):
            wrong += [] if np.array_equal(numbers[rows], vif.measure(reference, distorted)) else ["VIF"]
        for adm, numbers in zip(measures.adm, measured.adm, strict=True):
            wrong += [] if np.array_equal(numbers[rows], adm.measure(reference, distorted)) else ["ADM"]
    for distance, sums in zip(measures.wanted.motion, measured.motion, strict=True):
        with translated():
            kernel = native().Motion(form.width, form.height, form.bit_depth, distance, instruction_set)
            expected = [kernel.measure(plane) for plane in sample.references[-distance - 1 :]][-1]
        wrong += [] if sums[sample.frame] == expected else ["motion"]
    if wrong:
        raise NativeError(_differs(process, " and ".join(dict.fromkeys(wrong)), where))


def _differs(process: DeviceProcess, what: str, where: str) -> str:
    device = process.device
    major, minor = device["capability"]
    return (
        f"{what} of {where} by {device['name']} (compute capability {major}.{minor}, driver for CUDA "
        f"{device['driver'] // 1000}.{device['driver'] % 1000 // 10}) is not what the processor computes: use backend auto, "
        "and please report it with what pyvmaf.engine() returns"
    )


class Sample(NamedTuple):
    """A frame that both sides measure.

    Attributes:
        frame: its index among the frames that were read.
        row: of its first distorted version.
        references: the lumas of the frame and of those before it, the earliest first.
        distorted: lumas.
    """

    frame: int
    row: int
    references: list[NDArray[np.uint8] | NDArray[np.uint16]]
    distorted: list[NDArray[np.uint8] | NDArray[np.uint16]]


_BEFORE = 2


class Sampler:
    """Keeps one frame of a clip of unknown length, each with the same chance; always the same one."""

    def __init__(self) -> None:
        self._frame = self._row = 0
        self._references: list[NDArray[np.uint8] | NDArray[np.uint16]] = []
        self.sample: Sample | None = None

    def read(self, reference: Planes, distorted: Sequence[Planes]) -> None:
        """Read the next frame."""
        frame = self._frame
        if any(_drawn(frame + ahead) for ahead in range(_BEFORE + 1)):
            self._references.append(reference[0].copy())
        else:
            self._references = []
        self._references = self._references[-_BEFORE - 1 :]
        if _drawn(frame):
            copies = [planes[0].copy() for planes in distorted]
            self.sample = Sample(frame, self._row, list(self._references), copies)
        self._frame += 1
        self._row += len(distorted)


def _drawn(frame: int) -> bool:
    """Tell whether a frame takes the place of the sample before it: with a chance of 1 in the frames so far."""
    return crc32(frame.to_bytes(8, "little")) % (frame + 1) == 0
