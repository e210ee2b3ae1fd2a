"""How players show decoded frames: cropped as the container asks, then turned or mirrored by the display matrix.

Cropping that the codec asks for is done by the decoder. The order of the steps, and the rounding of a crop to whole
chroma samples, are those of FFmpeg 9.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pyvmaf.errors import InputError
from pyvmaf.video.format import Crop, Format
from pyvmaf.video.sides import side_data

if TYPE_CHECKING:
    import av
    from numpy.typing import NDArray

_P = TypeVar("_P", bound="NDArray[Any]")

# The entries of a display matrix that turn a picture, as FFmpeg stores it: nine signed numbers, row by row, of
# x' = a x + c y and y' = b x + d y.
_MATRIX = struct.Struct("=9i")
_SLACK = 0.0175  # sine of one degree


def display_matrix(frame: av.VideoFrame) -> bytes:
    """Return the display matrix of a decoded frame, to which the decoder copies that of the file; empty if there is none."""
    data = side_data(frame, "DISPLAYMATRIX")
    return b"" if data is None else bytes(data)


@dataclass(frozen=True)
class Turn:
    """A turn by a multiple of 90 degrees, or a reflection.

    Attributes:
        transposed: whether rows become columns, before the rest.
        down: whether the order of the rows is reversed.
        across: whether the order of the columns is reversed.
    """

    transposed: bool = False
    down: bool = False
    across: bool = False

    @classmethod
    def of_matrix(cls, matrix: bytes) -> Turn:
        """Read a display matrix as FFmpeg stores it.

        Raises:
            InputError: it turns by an angle that is not a multiple of 90 degrees.
        """
        a, b, _, c, d, *_ = _MATRIX.unpack(matrix)
        largest = max(abs(a), abs(b), abs(c), abs(d))
        if max(abs(b), abs(c)) <= _SLACK * largest and a and d:
            return cls(False, d < 0, a < 0)
        if max(abs(a), abs(d)) <= _SLACK * largest and b and c:
            return cls(True, b < 0, c < 0)
        if largest == 0:
            # FFmpeg ignores a matrix of zeros, too.
            return cls()
        from math import atan2, degrees

        raise InputError(f"its display matrix turns it by {degrees(atan2(-b, a)):.0f} degrees")

    @property
    def words(self) -> str:
        """Description, empty for no turn."""
        return _WORDS[self.transposed, self.down, self.across]

    @property
    def filters(self) -> tuple[str, ...]:
        """The filters of FFmpeg that do the same, and take the display matrix off the frames."""
        if self.transposed:
            turns = [f"transpose={_TRANSPOSE[self.down, self.across]}"]
        else:
            turns = [*(["hflip"] if self.across else []), *(["vflip"] if self.down else [])]
        return (*turns, "sidedata=mode=delete:type=DISPLAYMATRIX") if turns else ()


_WORDS = {
    (False, False, False): "",
    (False, False, True): "mirrored left to right",
    (False, True, False): "mirrored top to bottom",
    (False, True, True): "turned by 180 degrees",
    (True, False, False): "turned by 90 degrees to the left and mirrored top to bottom",
    (True, False, True): "turned by 90 degrees to the right",
    (True, True, False): "turned by 90 degrees to the left",
    (True, True, True): "turned by 90 degrees to the right and mirrored top to bottom",
}
_TRANSPOSE = {
    (False, False): "cclock_flip",
    (False, True): "clock",
    (True, False): "cclock",
    (True, True): "clock_flip",
}


@dataclass(frozen=True)
class Presentation:
    """What is done to decoded frames so that they are as players show them.

    Attributes:
        crop: samples to cut off at each edge.
        turn: turn or reflection after that.
    """

    crop: Crop = field(default_factory=Crop)
    turn: Turn = field(default_factory=Turn)

    @property
    def plain(self) -> bool:
        """Whether frames are shown as they are decoded."""
        return self == _PLAIN

    @property
    def words(self) -> str:
        """What is done, for messages and keys of caches; empty if nothing is."""
        crop = self.crop
        edges = {"top": crop.top, "bottom": crop.bottom, "left": crop.left, "right": crop.right}
        cut = ", ".join(f"{count} at the {edge}" for edge, count in edges.items() if count)
        return " and ".join([*([f"cropped by {cut}"] if cut else []), *([self.turn.words] if self.turn.words else [])])

    def format(self, coded: Format) -> Format:
        """Return the format of the frames that are shown.

        Raises:
            InputError: the crop leaves nothing, or the turn needs a chroma layout that there is not.
        """
        left, top, width, height = self._box(coded)
        if min(left, top) < 0 or min(width, height) <= 0:
            raise InputError(f"its container crops {coded.size} by {self.words}, which leaves nothing")
        if not self.turn.transposed:
            return replace(coded, width=width, height=height)
        across, down = coded.chroma_step
        if across != down:
            raise InputError(
                f"it is {self.turn.words}, but its chroma has half the samples in one direction only ({coded.pix_fmt})"
            )
        return replace(coded, width=height, height=width)

    def apply(self, planes: tuple[_P, ...], coded: Format) -> tuple[_P, ...]:
        """Return the planes of a frame as players show them: views, without copying.

        Args:
            planes: of the decoded frame; luma alone is enough.
            coded: its format.
        """
        if self.plain:
            return planes
        left, top, width, height = self._box(coded)
        shown = []
        for index, plane in enumerate(planes):
            across, down = coded.chroma_step if index else (1, 1)
            rows = slice(top // down, top // down - (-height // down))
            view = plane[rows, left // across : left // across - (-width // across)]
            if self.turn.transposed:
                view = view.T
            shown.append(view[:: -1 if self.turn.down else 1, :: -1 if self.turn.across else 1])
        return cast("tuple[_P, ...]", tuple(shown))

    def filters(self, coded: Format) -> list[str]:
        """Return the filters of FFmpeg that do the same, for an FFmpeg that is told not to turn frames by itself.

        FFmpeg 7.1 and later crop frames themselves, earlier ones do not: the filter cuts off what is still there.
        """
        chain = list(self.turn.filters)
        if self.crop != Crop():
            left, top, width, height = self._box(coded)
            x, y = f"if(eq(iw,{width}),0,{left})", f"if(eq(ih,{height}),0,{top})"
            chain.insert(0, f"crop=w={width}:h={height}:x='{x}':y='{y}':exact=1")
        return chain

    def _box(self, coded: Format) -> tuple[int, int, int, int]:
        """Left, top, width and height of what the crop leaves, in whole chroma samples."""
        if self.crop == Crop():
            return 0, 0, coded.width, coded.height
        across, down = coded.chroma_step
        width = coded.width - self.crop.left - self.crop.right
        height = coded.height - self.crop.top - self.crop.bottom
        left, top = self.crop.left, self.crop.top
        return left - left % across, top - top % down, width - width % across, height - height % down


_PLAIN = Presentation()
