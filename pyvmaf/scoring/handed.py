"""Frames that a program hands over, as planes: checked whole, before anything is computed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError, IntegrityError, unknown_name
from pyvmaf.scoring.packed import BY_DEFAULT, MATRICES, RANGES, RGB, SEMIPLANAR, Matrix, of_rgb, separated
from pyvmaf.video.format import Colour, Format
from pyvmaf.video.layouts import Separator, layout
from pyvmaf.video.presentation import Presentation, Turn, display_matrix
from pyvmaf.video.reader import Planes, planes_of, widened

if TYPE_CHECKING:
    import av

_READABLE = (1, 3, 11)
"""DLPack's numbers of memory that a processor reads: its own, and that which CUDA or ROCm pinned for a device."""
_DEVICES = {
    2: "a CUDA device", 4: "an OpenCL device", 7: "a Vulkan device", 8: "a Metal device", 10: "a ROCm device",
    13: "CUDA (managed)", 14: "a oneAPI device", 15: "a WebGPU device", 16: "a Hexagon device",
}  # fmt: skip
_FAULTS = (BufferError, RuntimeError, TypeError, ValueError)
"""Errors with which libraries refuse to share an array."""


def _wanted(shape: Sequence[int] = ()) -> str:
    colours = len(shape) == 3 and shape[2] in (3, 4)
    rgb = ", as RGB has it: open the session with layout 'rgb' and its matrix, or"
    return f"{rgb if colours else ':'} give a PyAV frame, or planes (Y, U, V, or Y alone), each an array of shape (height, width)"


class Exchangeable(Protocol):
    """An array of any library that speaks DLPack."""

    def __dlpack__(self, **options: Any) -> Any:
        """Return a capsule with the memory of the array."""

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return the kind of device whose memory it is, and its index."""


if TYPE_CHECKING:
    Frame = av.VideoFrame | Iterable[NDArray[Any] | Exchangeable] | Exchangeable


class Facts(NamedTuple):
    """What a PyAV frame says about itself.

    Attributes:
        colour: the colour that it states.
        interlaced: whether it is flagged as interlaced.
        shown: how its planes were turned to show them as players do; empty if they were not.
        converted: how its samples were converted, as a clause ("is rgb24: …"); empty if they were not.
    """

    colour: Colour
    interlaced: bool
    shown: str
    converted: str


class Handed(NamedTuple):
    """A frame that can be measured.

    Attributes:
        form: its format.
        planes: its planes; they may be views of the memory of the frame that was handed over.
        facts: what it says about itself; None of plane arrays, which say nothing.
    """

    form: Format
    planes: Planes
    facts: Facts | None = None


@dataclass(frozen=True)
class Taking:
    """How frames are taken.

    Attributes:
        layout: chroma layout of planes, "nv12", "p010", or "rgb".
        bits: bits per sample of planes; None takes 8 for uint8 and 10 for uint16.
        drop_alpha: leave out the transparency of PyAV frames.
        luma_only: take luma alone.
    """

    layout: str = "420"
    bits: int | None = None
    drop_alpha: bool = False
    luma_only: bool = False
    matrix: Matrix = BY_DEFAULT

    def check(self) -> None:
        """Refuse layouts, depths and matrices that there are not.

        Raises:
            InputError: there is no such layout, depth, matrix or range.
        """
        if self.layout in SEMIPLANAR:
            depth = SEMIPLANAR[self.layout][1]
            if self.bits not in (None, depth):
                raise InputError(f"samples of {self.layout} have {depth} bits, not {self.bits}")
        elif self.layout == RGB:
            Format.planar(1, 1, "444", 8 if self.bits is None else self.bits)
        else:
            Format.planar(1, 1, self.layout, 8 if self.bits is None else self.bits)
        if self.matrix.name not in MATRICES:
            raise unknown_name("matrix", self.matrix.name, MATRICES)
        if self.matrix.range not in RANGES:
            raise unknown_name("range", self.matrix.range, RANGES)


def read_frame(frame: Frame, name: str, taking: Taking) -> Handed:
    """Read a frame.

    Args:
        frame: a PyAV frame, or its planes.
        name: the frame in messages ("the reference of frame 3").
        taking: how it is taken.

    Raises:
        InputError: it is not a frame whose planes can be measured; the message names what was handed over.
        IntegrityError: a PyAV frame is damaged.
    """
    read = _of_video_frame(frame, name, taking) if _is_video_frame(frame) else _of_arrays(frame, name, taking)
    for index, plane in enumerate(read.planes):
        _check_range(plane, read.form.bit_depth, f"plane {index} of {name}")
    if not taking.luma_only:
        return read
    form = read.form
    luma = Format.planar(form.width, form.height, "400", form.bit_depth)
    return read._replace(form=luma, planes=read.planes[:1])


def _is_video_frame(frame: object) -> TypeGuard[av.VideoFrame]:
    # A program that has such a frame has imported PyAV.
    module = sys.modules.get("av")
    return module is not None and isinstance(frame, module.VideoFrame)


def _of_video_frame(frame: av.VideoFrame, name: str, taking: Taking) -> Handed:
    if frame.is_corrupt:
        raise IntegrityError(f"{name} is damaged: it does not decode as it was coded")
    coded = Format(frame.width, frame.height, frame.format.name)
    try:
        way = layout(coded.pix_fmt, drop_alpha=taking.drop_alpha)
    except InputError as err:
        raise InputError(f"{name} cannot be measured: {err}; or convert the frame first") from err
    form = replace(coded, pix_fmt=way.measured)
    matrix = display_matrix(frame)
    try:
        presentation = Presentation(turn=Turn.of_matrix(matrix) if matrix else Turn())
        shown = presentation.format(form)
    except InputError as err:
        raise InputError(f"{name} cannot be shown as players do: {err}: turn it before it is scored") from err
    colour = Colour.of(frame)
    colour = replace(colour, range="tv", matrix="smpte170m") if way.rgb else colour
    converted = "" if taking.luma_only and not way.rgb else way.note
    facts = Facts(colour, bool(frame.interlaced_frame), presentation.words, converted)
    full = int(frame.color_range) == 2
    planes = presentation.apply(planes_of(Separator(way)(frame), way.chroma, way.bits), form)
    planes = widened(planes, way.bits, form.bit_depth, full=full)
    return Handed(shown, planes, facts)


def _of_arrays(frame: Any, name: str, taking: Taking) -> Handed:
    if hasattr(frame, "__dlpack__"):
        frame = _exchanged(frame, name)
    if taking.layout == RGB:
        return _of_rgb(frame, name, taking)
    if taking.layout in SEMIPLANAR:
        parts = [frame] if getattr(frame, "ndim", 0) == 2 else _parts(frame, name)
        planes = separated([_samples(part, name) for part in parts], taking.layout, name)
        return _of_planes(planes, name, replace(taking, layout="420", bits=SEMIPLANAR[taking.layout][1]))
    return _of_planes(_sequence(frame, name), name, taking)


def _of_rgb(frame: Any, name: str, taking: Taking) -> Handed:
    array, matrix = _samples(frame, name), taking.matrix
    planes, bits = of_rgb(array, taking.bits, matrix, name)
    form = Format.planar(array.shape[1], array.shape[0], "444", bits)
    facts = Facts(
        Colour(range=matrix.range, matrix=MATRICES[matrix.name]),
        interlaced=False,
        shown="",
        converted=f"is RGB: converted to {form.pix_fmt} {matrix.words}",
    )
    return Handed(form, planes, facts)


def _parts(frame: Any, name: str) -> list[Any]:
    try:
        return list(islice(frame, 4))
    except TypeError:
        raise InputError(f"{name} is of type {type(frame).__name__}{_wanted()}") from None


def _of_planes(given: Sequence[Any], name: str, taking: Taking) -> Handed:
    arrays = [_array(plane, f"plane {index} of {name}") for index, plane in enumerate(given)]
    luma = arrays[0]
    if luma.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{name}: samples are {luma.dtype}, they must be uint8 or uint16 in native byte order")
    depth = taking.bits if taking.bits is not None else 8 if luma.dtype == np.uint8 else 10
    form = Format.planar(luma.shape[1], luma.shape[0], taking.layout if len(arrays) > 1 else "400", depth)
    wanted = np.dtype(np.uint8 if depth == 8 else np.uint16)
    planes = tuple(arrays[: len(form.plane_sizes())])
    for index, (plane, size) in enumerate(zip(planes, form.plane_sizes(), strict=True)):
        if plane.dtype != wanted:
            raise InputError(f"plane {index} of {name} holds {plane.dtype}, samples of {depth} bits are {wanted}")
        # Chroma of odd sizes may be rounded down, too.
        down = tuple(side // step for side, step in zip(luma.shape, reversed(form.chroma_step), strict=True))
        if plane.shape != size and (index == 0 or plane.shape not in _rounded(size, down)):
            raise InputError(
                f"plane {index} of {name} has the shape {plane.shape}, but {size} is that of chroma of "
                f"{form.size} frames of layout {form.chroma}: name their layout"
            )
    return Handed(form, planes)


def _rounded(up: tuple[int, int], down: tuple[int, int]) -> set[tuple[int, int]]:
    return {(height, width) for height in (up[0], down[0]) for width in (up[1], down[1])}


def _sequence(frame: Any, name: str) -> list[Any]:
    """Return the planes of a frame that is not PyAV's."""
    shape = getattr(frame, "shape", None)
    if shape is not None and (len(shape) != 3 or shape[0] not in (1, 3)):
        raise InputError(f"{name} is one array of shape {tuple(shape)}{_wanted(shape)}")
    try:
        planes = list(islice(frame, 5))
    except TypeError:
        raise InputError(f"{name} is of type {type(frame).__name__}{_wanted()}") from None
    if len(planes) not in (1, 3):
        count = f"{len(planes)} planes" if len(planes) < 5 else "more than 4 planes"
        shapes = ", ".join(str(np.shape(plane)) for plane in planes[:4] if hasattr(plane, "shape"))
        raise InputError(f"{name} has {count}{f' of shapes {shapes}' if shapes else ''}{_wanted()}")
    return planes


def _array(plane: Any, name: str) -> NDArray[Any]:
    array = _samples(plane, name)
    if array.ndim != 2 or not array.size:
        raise InputError(f"{name} has the shape {array.shape}{_wanted(array.shape)}")
    return array


def _samples(plane: Any, name: str) -> NDArray[Any]:
    if np.ma.isMaskedArray(plane):
        raise InputError(
            f"{name} is a masked array, whose mask would be ignored: give its samples (`.data`, `.filled()`)"
        )
    if hasattr(plane, "__dlpack__"):
        return _exchanged(plane, name)
    try:
        array: NDArray[Any] = np.asarray(plane)
    except (TypeError, ValueError, RuntimeError) as err:
        raise InputError(f"{name} cannot be read as an array: {err}") from err
    return array


def _exchanged(array: Exchangeable, name: str) -> NDArray[Any]:
    """Return an array of any library that speaks DLPack (torch, CuPy, JAX) as one of NumPy on the same memory.

    Raises:
        InputError: its memory is that of a device that a processor cannot read, or NumPy does not have its type.
    """
    if isinstance(array, np.ndarray):
        return array
    try:
        kind, index = (int(number) for number in array.__dlpack_device__())
    except (AttributeError, *_FAULTS) as err:
        raise InputError(f"{name} cannot be read as an array: {err}") from err
    if kind not in _READABLE:
        device = _DEVICES.get(kind, f"a device of DLPack's type {kind}")
        raise InputError(
            f"{name} is a {type(array).__module__.partition('.')[0]} array in the memory of {device}, index {index}: copy it to the "
            "processor first (`.cpu()` of torch, `.get()` of CuPy)"
        )
    try:
        return np.from_dlpack(array)
    except _FAULTS as err:
        raise InputError(f"{name} cannot be read as an array: {err}") from err


def _check_range(plane: NDArray[Any], bits: int, name: str) -> None:
    """Refuse samples that need more bits."""
    if bits in (8, 16):
        return
    highest, limit = int(plane.max()), 2**bits - 1
    if highest > limit:
        row, column = (int(i) for i in np.unravel_index(plane.argmax(), plane.shape))
        raise InputError(
            f"{name} holds {highest} at row {row}, column {column}: more than the {limit} that {bits} bits allow"
        )
