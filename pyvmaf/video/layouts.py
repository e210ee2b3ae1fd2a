"""How the samples of every pixel format of FFmpeg come into planes that can be measured, or why they do not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pyvmaf.errors import InputError, unknown_name

if TYPE_CHECKING:
    import av
    import av.filter

PLANAR: dict[str, tuple[str, int]] = {
    "gray": ("400", 8),
    "gray10le": ("400", 10),
    "gray12le": ("400", 12),
    "gray16le": ("400", 16),
    **{
        f"yuv{chroma}p{bits if bits > 8 else ''}{'le' if bits > 8 else ''}": (chroma, bits)
        for chroma in ("420", "422", "444")
        for bits in (8, 10, 12, 16)
    },
}
"""Pixel formats whose planes can be measured, by FFmpeg's name: chroma subsampling and bits per sample."""

# Bits per sample that libvmaf reads, and those of formats that are widened to them.
_DEPTHS = (8, 10, 12, 16)
_CHROMA = {(8, 8): "420", (8, 16): "422", (16, 16): "444", (16, 8): "440", (4, 16): "411", (4, 4): "410"}
_MEASURED_CHROMA = ("420", "422", "444")

RGB_MATRIX = "bt601"
"""Matrix by which RGB becomes YUV, as in FFmpeg where nobody names one."""


@cache
def pixel_layout(pix_fmt: str) -> tuple[str, int]:
    """Return chroma subsampling (see `pyvmaf.video.format.Format.chroma`) and bits per sample of a pixel format.

    Raises:
        InputError: FFmpeg does not have such a format.
    """
    if pix_fmt in PLANAR:
        return PLANAR[pix_fmt]
    from av import VideoFormat

    try:
        form = VideoFormat(pix_fmt, 16, 16)
    except ValueError as err:
        raise unknown_name("pixel format", pix_fmt, PLANAR) from err
    parts = form.components
    if not parts:
        raise InputError(f"{pix_fmt} has no samples that a program can read: it is a format of a graphics processor")
    bits = parts[0].bits
    if form.is_rgb or (not form.is_planar and len(parts) > 1):
        return "rgb", bits
    if len(parts) < 3:
        return "400", bits
    return {(8, 8): "420", (8, 16): "422", (16, 16): "444"}.get((parts[1].width, parts[1].height), "rgb"), bits


@dataclass(frozen=True)
class Layout:
    """Steps from frames of a pixel format to planes that libvmaf reads.

    Attributes:
        planar: FFmpeg's name of the format of planes with the same samples; of RGB, of what it is converted to.
        chroma: "420", "422", "444" or "400"; the last also for subsampling that libvmaf does not read.
        bits: bits per sample of `planar`.
        measured: name of the format of the planes, a key of `pyvmaf.video.format.PLANAR`.
        rgb: whether frames are converted from RGB.
        alpha: whether a plane of alpha is left out.
        note: what is done to the samples and is not only another order, in words; empty if nothing.
    """

    planar: str
    chroma: str
    bits: int
    measured: str
    rgb: bool = False
    alpha: bool = False
    note: str = ""


@cache
def layout(pix_fmt: str, *, drop_alpha: bool = False) -> Layout:
    """Return how frames of a pixel format are read.

    Args:
        pix_fmt: FFmpeg's name.
        drop_alpha: leave out transparency.

    Raises:
        InputError: its samples cannot be measured; the message says why, as a clause: "yuva420p has …".
    """
    if pix_fmt in PLANAR:
        chroma, bits = PLANAR[pix_fmt]
        return Layout(pix_fmt, chroma, bits, pix_fmt)
    pixel_layout(pix_fmt)
    from av import VideoFormat

    form = VideoFormat(pix_fmt, 16, 16)
    parts = form.components
    if reason := _obstacle(form, pix_fmt):
        raise InputError(f"{pix_fmt} {reason}")
    alpha = any(part.is_alpha for part in parts)
    if alpha and not drop_alpha:
        raise InputError(
            f"{pix_fmt} has transparency (alpha), which no feature reads: leave it out with --drop-alpha (drop_alpha=True), as "
            "FFmpeg's filter libvmaf does"
        )
    colours = [part for part in parts if not part.is_alpha]
    bits = 8 if form.has_palette else max(part.bits for part in colours)
    if form.is_rgb or form.has_palette:
        measured = _planar("444", _depth(bits))
        note = f"is {pix_fmt}: converted to {measured} by BT.601 in limited range, as FFmpeg's filter libvmaf does"
        return Layout(measured, "444", _depth(bits), measured, rgb=True, alpha=alpha, note=note)
    if len(colours) < 3:
        bits = max(bits, 8)
        return Layout(_planar("400", bits), "400", bits, _planar("400", _depth(bits)), alpha=alpha)
    chroma = _CHROMA[colours[1].width, colours[1].height]
    planar = _planar(chroma, bits)
    if chroma in _MEASURED_CHROMA:
        return Layout(planar, chroma, bits, _planar(chroma, _depth(bits)), alpha=alpha)
    note = f"is {pix_fmt}: only its luma is measured, because libvmaf does not read chroma of 4:{chroma[1]}:{chroma[2]}"
    return Layout(planar, "400", bits, _planar("400", _depth(bits)), alpha=alpha, note=note)


def _obstacle(form: av.VideoFormat, pix_fmt: str) -> str:
    if form.is_bayer:
        return "holds a sensor's mosaic of colours, not pictures: develop it first"
    if pix_fmt.startswith("xyz"):
        return "holds the colours of CIE XYZ, not luma and chroma: convert it to YUV with FFmpeg first"
    if any(word in pix_fmt for word in ("f16", "f32")) or pix_fmt.startswith("gbrapf"):
        return "has floating-point samples, which libvmaf does not read: convert it with FFmpeg first, for example to gray16le"
    if any(part.bits > max(_DEPTHS) for part in form.components):
        return "has more than 16 bits per sample, which libvmaf does not read: convert it with FFmpeg first"
    return ""


def _depth(bits: int) -> int:
    """Return the least depth of libvmaf that holds samples of so many bits."""
    return next(depth for depth in _DEPTHS if depth >= bits)


def _planar(chroma: str, bits: int) -> str:
    name = "gray" if chroma == "400" else f"yuv{chroma}p"
    return name if bits == 8 else f"{name}{bits}le"


BICUBIC = "bicubic"
"""The scaler that is used unless another one is asked for."""

SCALERS = (BICUBIC, "lanczos", "bilinear", "area", "spline", "gauss", "sinc", "point")
"""Scalers of FFmpeg, by its names; "point" takes the nearest sample, and is its "neighbor"."""


class Separator:
    """Brings frames of one pixel format into the planar format of their layout, at another size if one is asked for.

    Args:
        way: the layout.
        size: (width, height) to scale to; None for that of each frame.
        scaler: one of `SCALERS`.
        matrix: by which RGB becomes YUV, by the name of FFmpeg's filter scale.
        scale_range: of the samples that RGB becomes, "tv" (limited) or "pc" (full).
    """

    def __init__(
        self,
        way: Layout,
        size: tuple[int, int] | None = None,
        scaler: str = BICUBIC,
        *,
        matrix: str = RGB_MATRIX,
        scale_range: str = "tv",
    ) -> None:
        self._way, self._size, self._scaler = way, size, scaler
        self._matrix = f"out_color_matrix={matrix}:out_range={scale_range}"
        self._graphs: dict[str, av.filter.Graph] = {}

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return the frame, or a converted one.

        Raises:
            InputError: FFmpeg does not convert this format.
        """
        from av.error import FFmpegError

        try:
            return self._separated(frame)
        except FFmpegError as err:
            raise InputError(
                f"FFmpeg cannot convert {frame.format.name} to {self._way.planar}: {err.strerror}"
            ) from err

    def _separated(self, frame: av.VideoFrame) -> av.VideoFrame:
        width, height = self._size or (frame.width, frame.height)
        same = (width, height) == (frame.width, frame.height)
        if self._way.rgb:
            return self._converted(frame, width, height)
        name = frame.format.name
        if same and name in (
            self._way.planar,
            f"yuvj{self._way.planar[3:]}",
            f"{self._way.planar.removesuffix('le')}be",
        ):
            return frame
        # The same range on both sides: FFmpeg would convert samples of full range to limited range.
        value: Any = 2 if name.startswith("yuvj") or int(frame.color_range) == 2 else 1
        more: dict[str, Any] = {} if same else {"interpolation": self._scaler.upper()}
        # One thread: with several, FFmpeg reads samples of p010 and p210 wrongly where its slices meet, now and then.
        ranges = {"src_color_range": value, "dst_color_range": value}
        return frame.reformat(width, height, self._way.planar, **ranges, threads=1, **more)

    def _converted(self, frame: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
        from fractions import Fraction

        import av.filter

        key = f"{frame.width}x{frame.height}"
        if key not in self._graphs:
            graph = av.filter.Graph()
            graph.threads = 1
            time_base = frame.time_base or Fraction(1, 25)
            flags = "neighbor" if self._scaler == "point" else self._scaler
            scale = f"w={width}:h={height}:flags={flags}:{self._matrix}"
            nodes = [
                graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=time_base),
                graph.add("scale", scale),
                graph.add("format", self._way.planar),
                graph.add("buffersink"),
            ]
            graph.link_nodes(*nodes).configure()
            self._graphs[key] = graph
        graph = self._graphs[key]
        graph.push(frame)
        return graph.vpull()
