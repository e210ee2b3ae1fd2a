"""Arrays of frames whose planes are not apart: nv12 and p010 as hardware decoders give them, and RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError
from pyvmaf.video.layouts import RGB_MATRIX, Separator, layout

if TYPE_CHECKING:
    from pyvmaf.video.reader import Planes

SEMIPLANAR = {"nv12": (np.dtype(np.uint8), 8), "p010": (np.dtype(np.uint16), 10)}
"""Layouts of a plane of luma and one of chroma pairs: their samples, and the bits of these."""

RGB = "rgb"
"""Layout of arrays (height, width, 3)."""

MATRICES = {"bt601": "smpte170m", "bt709": "bt709", "bt2020": "bt2020nc", "smpte240m": "smpte240m"}
"""Matrices from RGB to YUV by the names of FFmpeg's filter scale, and those of frames that were converted by them."""

RANGES = ("tv", "pc")

# In p010 the samples are in the upper bits.
_P010_STEP = 64
_PACKED = {8: "rgb24", 10: "gbrp10le", 12: "gbrp12le", 16: "rgb48le"}


class Matrix(NamedTuple):
    """How RGB becomes YUV.

    Attributes:
        name: a key of `MATRICES`.
        range: "tv" (limited) or "pc" (full).
    """

    name: str = RGB_MATRIX
    range: str = "tv"

    @property
    def words(self) -> str:
        """The conversion in words."""
        return f"by {self.name.replace('bt', 'BT.')} in {'limited' if self.range == 'tv' else 'full'} range"


BY_DEFAULT = Matrix()


def separated(arrays: list[NDArray[Any]], form: str, name: str) -> list[NDArray[Any]]:
    """Return the planes Y, U and V of a frame of nv12 or p010, as views or copies.

    Args:
        arrays: luma (height, width) and chroma (half the height, width) or (half the height, half the width, 2), sizes rounded up;
            or both below each other in one array (height + height / 2, width), as PyAV and OpenCV have them.
        form: a key of `SEMIPLANAR`.
        name: the frame in messages.

    Raises:
        InputError: the arrays are not such a frame.
    """
    wanted, _ = SEMIPLANAR[form]
    shapes = " and ".join(str(array.shape) for array in arrays)
    luma, chroma = _two(arrays)
    if luma.ndim != 2 or chroma.ndim not in (2, 3) or not luma.size:
        raise _shapes_error(name, form, shapes)
    if luma.dtype != wanted or chroma.dtype != wanted:
        raise InputError(f"{name} holds {luma.dtype} and {chroma.dtype}, samples of {form} are {wanted}")
    height, width = (-(-side // 2) for side in luma.shape)
    if chroma.shape not in ((height, 2 * width), (height, width, 2)):
        raise _shapes_error(name, form, shapes)
    pairs = chroma.reshape(height, width, 2)
    planes = [luma, pairs[..., 0], pairs[..., 1]]
    if form == "nv12":
        return planes
    for index, plane in enumerate(planes):
        if (plane % _P010_STEP).any():
            raise InputError(
                f"plane {index} of {name} holds {int(plane[plane % _P010_STEP != 0][0])}: samples of p010 are in the upper 10 of 16 "
                "bits, multiples of 64; give planes with bits=10 if yours are in the lower bits"
            )
    return [plane // _P010_STEP for plane in planes]


def _two(arrays: list[NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return luma and chroma, also of one array that has both."""
    if len(arrays) == 1 and arrays[0].ndim == 2:
        height = arrays[0].shape[0] * 2 // 3
        return arrays[0][:height], arrays[0][height:]
    return (arrays[0], arrays[1]) if len(arrays) == 2 else (arrays[0], np.empty(0, arrays[0].dtype))


def _shapes_error(name: str, form: str, shapes: str) -> InputError:
    return InputError(
        f"{name} has arrays of shape {shapes}: a frame of {form} is luma (height, width) and chroma (height / 2, width) or (height / 2, "
        "width / 2, 2), or one array (height * 3 / 2, width)"
    )


def of_rgb(array: NDArray[Any], bits: int | None, matrix: Matrix, name: str) -> tuple[Planes, int]:
    """Convert an RGB array to planes of 4:4:4, as FFmpeg's filter scale does; return them with their bits per sample.

    Args:
        array: uint8 or uint16 (height, width, 3), red first.
        bits: bits per sample; None takes 8 for uint8 and 16 for uint16.
        matrix: how it becomes YUV.
        name: the frame in messages.

    Raises:
        InputError: it is not such an array.
    """
    from av import VideoFrame

    from pyvmaf.video.reader import planes_of

    if array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise InputError(f"{name} has the shape {array.shape}: an RGB frame is one array (height, width, 3)")
    if array.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{name}: samples are {array.dtype}, they must be uint8 or uint16 in native byte order")
    depth = bits if bits is not None else 8 * array.itemsize
    if (depth == 8) != (array.dtype == np.uint8):
        raise InputError(
            f"{name} holds {array.dtype}, samples of {depth} bits are {'uint8' if depth == 8 else 'uint16'}"
        )
    if depth < 16 and int(array.max()) >= 1 << depth:
        raise InputError(f"{name} holds {int(array.max())}: more than the {(1 << depth) - 1} that {depth} bits allow")
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(array), format=_PACKED[depth])
    way = layout(_PACKED[depth])
    separate = Separator(way, matrix=matrix.name, scale_range=matrix.range)
    return planes_of(separate(frame), way.chroma, way.bits), way.bits
