"""Frames as pictures of a page."""

from __future__ import annotations

import base64
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from pyvmaf.reports.elements import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pyvmaf.video.format import Colour, Format
    from pyvmaf.video.reader import Planes

WIDTH = 640
"""Width of the pictures, unless those of the video are narrower."""

# Quantiser of the JPEG encoder, from 2 (best) on.
_QUALITY = 3


def rgb(planes: Planes, form: Format, colour: Colour) -> NDArray[np.uint8]:
    """A picture of 8 bits, [rows, columns, 3]; without chroma a gray one."""
    import av

    if len(planes) == 1 and form.chroma != "400":
        form = type(form).planar(form.width, form.height, "400", form.bit_depth)
    frame = av.VideoFrame(form.width, form.height, form.pix_fmt)
    for plane, values in zip(frame.planes, planes, strict=False):
        _fill(plane, values)
    matrix = colour.matrix or ("bt709" if form.height > 576 or form.width >= 1280 else "smpte170m")
    ranges: dict[str, Any] = {"src_color_range": 2 if colour.range == "pc" else 1, "dst_color_range": 2}
    spaces: dict[str, Any] = {"src_colorspace": _SPACES.get(matrix, 1)}
    made = frame.reformat(form.width, form.height, "rgb24", **spaces, **ranges, threads=1)
    return np.asarray(made.to_ndarray(), np.uint8)


# Numbers of FFmpeg's libswscale.
_SPACES = {"bt709": 1, "fcc": 4, "smpte170m": 5, "bt470bg": 5, "smpte240m": 7, "bt2020nc": 9, "bt2020c": 9}


def _fill(plane: Any, values: NDArray[Any]) -> None:
    """Copy samples into a plane of a frame, whose rows may be longer."""
    rows = np.frombuffer(plane, values.dtype)
    stride = plane.line_size // values.dtype.itemsize
    rows[: stride * values.shape[0]].reshape(values.shape[0], stride)[:, : values.shape[1]] = values


def encoded(label: str, picture: NDArray[np.uint8]) -> Image:
    """Encode a picture, smaller if it is wider than `WIDTH`."""
    import av

    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    width = min(WIDTH, frame.width)
    height = max(1, round(frame.height * width / frame.width))
    ranges: dict[str, Any] = {"src_color_range": 2, "dst_color_range": 2}
    spaces: dict[str, Any] = {"dst_colorspace": 5}
    small = frame.reformat(width, height, "yuvj444p", interpolation="AREA", **spaces, **ranges, threads=1)
    encoder: Any = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj444p"
    encoder.time_base = Fraction(1, 25)
    encoder.qmin = encoder.qmax = _QUALITY
    encoder.thread_count = 1
    data = b"".join(bytes(packet) for packet in (*encoder.encode(small), *encoder.encode(None)))
    return Image(label, f"data:image/jpeg;base64,{base64.b64encode(data).decode()}", width, height)
