"""Frames as arrays for networks: gray, RGB or BGR, with alpha or without, cropped, resized, in a stated range of values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError, unknown_name
from pyvmaf.video.format import Format
from pyvmaf.video.reader import Reader

if TYPE_CHECKING:
    import av.filter

Tensor = NDArray[np.float32] | NDArray[np.uint8]
"""Pictures of shape [n, c, h, w]."""

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
"""One picture of shape [h, w], or [h, w, c] if it has several channels."""

# FFmpeg's names of the formats for videos of 8 bits and of more, and the order of the channels in the result. RGB of
# 16 bits is left out: FFmpeg 8.1 converts YUV to it with white at 65280 instead of 65535.
_FORMATS: dict[str, tuple[str, str, tuple[int, ...]]] = {
    "gray": ("gray", "gray16le", (0,)),
    "rgb24": ("rgb24", "rgb24", (0, 1, 2)),
    "bgr24": ("rgb24", "rgb24", (2, 1, 0)),
    "rgba": ("rgba", "rgba", (0, 1, 2, 3)),
    "bgra": ("rgba", "rgba", (2, 1, 0, 3)),
}
COLOURS: dict[str, int] = {name: len(order) for name, (_, _, order) in _FORMATS.items()}
"""Channels of each pixel format that pictures have, by FFmpeg's name."""

SCALERS = ("bilinear", "bicubic", "area", "lanczos")
"""Scalers of FFmpeg."""

MATRICES = ("bt601", "bt709", "fcc", "smpte240m", "bt2020")
"""Matrices between YUV and RGB, by the names of FFmpeg's filter scale."""

# The same samples on every processor.
_EXACT = "accurate_rnd+bitexact"


@dataclass(frozen=True)
class Box:
    """A rectangle of a frame, in luma samples."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Picture:
    """How a network takes a frame as players show it. Steps are done in this order: conversion and scaling, crop, resize,
    range.

    Attributes:
        pix_fmt: "gray" (luma, expanded to full range), "rgb24", "bgr24", "rgba" or "bgra" (opaque where a frame does not
            have transparency).
        scaled: (width, height) to which whole frames are scaled before the crop; None for their own size.
        crop: a `Box`, or (width, height) about the centre, rounded to the left and to the top; None for all.
        size: (width, height) to resize to; None for the size after the crop.
        scaler: one of `SCALERS`.
        values: the float32 values that stand for black and white; None for uint8, 0 to 255. Colours are rounded to 8
            bits; gray of videos with more bits is not.
        matrix: one of `MATRICES`; None for that of each frame, or BT.601, as in FFmpeg, if the frame does not state one.

    Raises:
        InputError: a name is unknown, or a size is not positive.
    """

    pix_fmt: str = "rgb24"
    scaled: tuple[int, int] | None = None
    crop: Box | tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    scaler: str = "bicubic"
    values: tuple[float, float] | None = (0.0, 1.0)
    matrix: str | None = None

    def __post_init__(self) -> None:
        for kind, name, valid in (("pixel format", self.pix_fmt, _FORMATS), ("scaler", self.scaler, SCALERS)):
            if name not in valid:
                raise unknown_name(kind, name, valid)
        if self.matrix is not None and self.matrix not in MATRICES:
            raise unknown_name("matrix", self.matrix, MATRICES)
        for size in (self.scaled, self.size):
            if size is not None and min(size) < 1:
                raise InputError(f"a picture cannot be resized to {size[0]}x{size[1]}: sizes are 1 or more")

    def box(self, width: int, height: int) -> Box:
        """Return the rectangle that is kept of a frame.

        Raises:
            InputError: it is empty or leaves the frame.
        """
        if self.crop is None:
            return Box(0, 0, width, height)
        if isinstance(self.crop, Box):
            box = self.crop
        else:
            box = Box((width - self.crop[0]) // 2, (height - self.crop[1]) // 2, *self.crop)
        if min(box.width, box.height) < 1 or min(box.left, box.top) < 0:
            raise InputError(f"a crop to {box.width}x{box.height} does not fit into frames of {width}x{height}")
        if box.left + box.width > width or box.top + box.height > height:
            raise InputError(
                f"a crop to {box.width}x{box.height} at {box.left},{box.top} leaves frames of {width}x{height}"
            )
        return box


def tensors(
    reader: Reader, picture: Picture, *, indices: Iterable[int] | None = None, batch: int = 16
) -> Iterator[Tensor]:
    """Read frames of a video as batches of pictures, in display order.

    Args:
        reader: the video. Its `size` and `bit_depth` concern planes only.
        picture: what a picture is.
        indices: which frames, counted from 0; None for all.
        batch: the largest number of pictures in one array.

    Returns:
        arrays of shape [n, c, h, w], float32 or uint8, contiguous; the same samples on every processor.

    Raises:
        InputError: a frame that was asked for does not exist, or the crop does not fit; also as `Reader.frames`.
        IntegrityError: as `Reader.frames`.
    """
    wanted = None if indices is None else set(indices)
    converter = Converter(picture, reader)
    pictures: list[NDArray[Any]] = []
    for index, frame in enumerate(reader.frames()):
        if wanted is not None and index not in wanted:
            continue
        pictures.append(converter(frame))
        if len(pictures) == batch:
            yield np.stack(pictures)
            pictures.clear()
        if wanted is not None:
            wanted.discard(index)
            if not wanted:
                break
    if wanted:
        raise InputError(f"{reader.path} does not have frame {min(wanted)}")
    if pictures:
        yield np.stack(pictures)


class Converter:
    """Makes pictures of decoded frames with FFmpeg's filters, which take the colour and the chroma siting of a frame into
    account.

    Args:
        picture: what a picture is.
        reader: the video that the frames come from.
    """

    def __init__(self, picture: Picture, reader: Reader) -> None:
        self._picture = picture
        self._presentation = reader.presentation
        self._shown = [(name, arguments) for name, _, arguments in (text.partition("=") for text in reader.filters)]
        self._graphs: dict[tuple[int, int, str], av.filter.Graph] = {}

    def __call__(self, frame: av.VideoFrame) -> Tensor:
        """Return the picture of a frame, of shape [c, h, w], in the range of values of the `Picture`."""
        planes: NDArray[Any] = np.atleast_3d(self.pixels(frame)).transpose(2, 0, 1)
        if self._picture.values is None:
            return np.ascontiguousarray(planes)
        low, high = self._picture.values
        scale = np.float32((high - low) / np.iinfo(planes.dtype).max)
        return np.ascontiguousarray(planes * scale + np.float32(low), dtype=np.float32)

    def pixels(self, frame: av.VideoFrame) -> Pixels:
        """Return the samples of the picture of a frame, of shape [h, w] or [h, w, c]: uint8, or uint16 for gray of more
        bits where the `Picture` asks for floating-point values.
        """
        picture = self._picture
        shallow, deep, order = _FORMATS[picture.pix_fmt]
        key = frame.width, frame.height, frame.format.name
        if key not in self._graphs:
            is_deep = picture.values is not None and frame.format.components[0].bits > 8
            self._graphs[key] = self._graph(frame, deep if is_deep else shallow)
        graph = self._graphs[key]
        graph.push(frame)
        pixels: Any = graph.vpull().to_ndarray()
        ordered: Pixels = pixels if order == tuple(range(len(order))) else pixels[..., list(order)]
        return ordered

    def _graph(self, frame: av.VideoFrame, pix_fmt: str) -> av.filter.Graph:
        import av.filter

        picture = self._picture
        shown = self._presentation.format(Format(frame.width, frame.height, frame.format.name))
        box = picture.box(*(picture.scaled or (shown.width, shown.height)))
        matrix = f":in_color_matrix={picture.matrix}" if picture.matrix else ""
        whole = "" if picture.scaled is None else f"{picture.scaled[0]}:{picture.scaled[1]}:"
        scaler = "bicubic" if picture.scaled is None else picture.scaler
        chain = [
            *self._shown,
            # Chroma is interpolated across, too, instead of repeated.
            ("scale", f"{whole}flags={scaler}+{_EXACT}+full_chroma_int{matrix}"),
            ("format", pix_fmt),
            ("crop", f"{box.width}:{box.height}:{box.left}:{box.top}:exact=1"),
        ]
        if picture.size is not None:
            chain.append(("scale", f"{picture.size[0]}:{picture.size[1]}:flags={picture.scaler}+{_EXACT}"))
        graph = av.filter.Graph()
        graph.threads = 1
        time_base = frame.time_base or Fraction(1, 25)
        nodes = [
            graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=time_base),
            *(graph.add(name, arguments) for name, arguments in chain),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*nodes).configure()
        return graph
