"""Whether the device gives the numbers of the processor: on golden frames at the start, and on a frame of each clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from pyvmaf.engines.cuda.client import Ladder, Wanted, Worker
from pyvmaf.engines.kernels.check import GAIN_LIMITS, HEIGHT, WIDTH, golden_frames
from pyvmaf.engines.libvmaf.build import native
from pyvmaf.errors import NativeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pyvmaf.video.reader import Planes

_VIEWING = (3.0, 1080, 0.03125, 0)


def check_golden_frames(worker: Worker, instruction_set: str) -> None:
    """Measure frames with detail, noise and clipped samples at 8 and 10 bits on both sides.

    Raises:
        NativeError: a number differs.
    """
    import numpy as np

    for bits in (8, 10):
        frames = golden_frames(bits)
        limits = list(GAIN_LIMITS)
        ladder = Ladder(worker, WIDTH, HEIGHT, bits, 1, Wanted([limits], [(limits, True, _VIEWING)], [1]))
        for reference, distorted in (frames, frames[::-1]):
            ladder.push(reference, [distorted])
        results = ladder.take()
        ladder.close()
        vif = native().Vif(WIDTH, HEIGHT, bits, 1, limits, instruction_set)
        adm = native().Adm(WIDTH, HEIGHT, bits, 1, limits, True, *_VIEWING, instruction_set)
        motion = native().Motion(WIDTH, HEIGHT, bits, 1, instruction_set)
        for index, (reference, distorted) in enumerate((frames, frames[::-1])):
            same = {
                "VIF": np.array_equal(results.vif[0][index], vif.measure(reference, [distorted])[0]),
                "ADM": np.array_equal(results.adm[0][index], adm.measure(reference, [distorted])[0]),
                "motion": results.motion[index] == [motion.measure(reference)],
            }
            wrong = [name for name, equal in same.items() if not equal]
            if wrong:
                raise NativeError(differs(worker, " and ".join(wrong), f"the golden frames of {bits} bits"))


def differs(worker: Worker, what: str, where: str) -> str:
    """Return the message for numbers of the device that are not the processor's."""
    device = worker.device
    return (
        f"{what} of {where} by {device.name} (compute capability {device.capability[0]}.{device.capability[1]}, driver for "
        f"CUDA {device.driver // 1000}.{device.driver % 1000 // 10}) is not what the processor computes: use backend auto, "
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
