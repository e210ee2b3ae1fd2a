"""``vmaf-train filter``: a video whose luma a learned filter or a denoiser restored."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.files import atomic_path
from pyvmaf.base.outputs import publishes
from pyvmaf.errors import InputError
from pyvmaf.runtime.denoise import denoised
from pyvmaf.runtime.load import Model, peek
from pyvmaf.scoring.find import load_model, locate
from pyvmaf.scoring.tensors import load_for
from pyvmaf.video.reader import Reader

if TYPE_CHECKING:
    import av

METRICS = ("psnr_y", "float_ssim")
"""Features that a filter's gain is told in, beside the teacher's score."""

FORMATS = ("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p", "gray")
"""Pixel formats of videos that can be filtered: 8 bits, with a plane of luma."""

CONTAINERS = (".mkv", ".nut", ".avi")
"""Suffixes of files that hold lossless FFV1."""

_FULL_RANGE = 2  # AVCOL_RANGE_JPEG

Planes = Iterable[NDArray[np.uint8]]
"""Luma [h, w] of each frame, expanded to the full range."""

Restore = Callable[[Planes], Iterator[NDArray[np.float64]]]
"""Gives a plane in levels of 0 to 255 for each of a video, in order; it may look at a few planes that follow."""


@dataclass(frozen=True)
class Filtered:
    """What was written.

    Attributes:
        path: the file.
        frames: how many.
        changed: mean absolute change of luma, levels of 0 to 255.
        gains: by metric, its mean before and after against the reference; empty without one.
    """

    path: Path
    frames: int
    changed: float
    gains: dict[str, tuple[float, float]] = field(default_factory=dict)


def find_filter(model: str | os.PathLike[str], registry: str | os.PathLike[str] | None = None) -> Model:
    """Load a filter by id or path.

    Raises:
        InputError: the model gives scores.
        MissingFileError, IntegrityError: as `pyvmaf.load_model`.
    """
    loaded = load_model(model, registry=registry)
    if not isinstance(loaded, Model) or loaded.sidecar.get("task") != "filter":
        raise InputError(f"model {loaded.name} is not a filter: name one, such as learned_filter_v1")
    return loaded


def find_restorer(model: str | os.PathLike[str], registry: str | os.PathLike[str] | None = None) -> Restore:
    """Load a learned filter or a denoiser by id or path.

    Raises:
        InputError: the model does something else.
        MissingFileError, IntegrityError: as `pyvmaf.load_model`.
    """
    found = locate(model, registry=registry)
    # Only a hint of what to load: loading checks the sidecar.
    if found.sidecar is not None and peek(found.sidecar, "task") == "denoise":
        loaded = load_for("denoise", model, registry=registry)
        return lambda planes: denoised(loaded, planes)
    family: Any = find_filter(model, registry).family
    return lambda planes: (255 * np.asarray(family.filtered(plane), np.float64) for plane in planes)


def changed_luma(
    luma: NDArray[np.uint8], seen: NDArray[np.uint8], answer: NDArray[np.float64], *, full: bool
) -> NDArray[np.uint8]:
    """Give the samples of a restored plane [h, w].

    Models see luma that is expanded to the full range. Their change is mapped back, so that samples that they do not change
    stay as they are.

    Args:
        luma: the samples.
        seen: what the model saw of them, `expanded`.
        answer: what it made of that, in levels of 0 to 255.
        full: whether the samples use the whole range of 0 to 255, or 16 to 235.
    """
    change = answer - seen
    return np.asarray(np.clip(np.rint(luma + change * (1 if full else 219 / 255)), 0, 255).astype(np.uint8))


def expanded(luma: NDArray[np.uint8], *, full: bool) -> NDArray[np.uint8]:
    """Expand luma of 16 to 235 to 0 to 255; luma of the full range stays."""
    if full:
        return luma
    return np.asarray(np.rint(np.clip((luma.astype(np.float64) - 16) * 255 / 219, 0, 255)).astype(np.uint8))


@publishes("filter")
def filter_video(
    source: Path,
    output: Path,
    *,
    model: str | os.PathLike[str],
    reference: Path | None = None,
    registry: str | os.PathLike[str] | None = None,
    advance: Callable[[int, int], None] | None = None,
) -> Filtered:
    """Filter the luma of a video and write it losslessly (FFV1); chroma and times of frames stay as they are.

    Args:
        source: the video.
        output: the file, whose suffix is one of `CONTAINERS`.
        model: id or path of a learned filter, or of a denoiser of frames of the video's size.
        reference: pristine video; then the gain of each metric is measured, too.
        registry: registry of the ids.
        advance: called with (frames done, 0).

    Raises:
        InputError: the video has another pixel format, the output another suffix, or the model does not
            restore pictures of this size.
        MissingFileError, IntegrityError: a file is not there or is damaged.
    """
    if output.suffix.lower() not in CONTAINERS:
        raise InputError(f"{output} is to hold lossless FFV1: end its name in {', '.join(CONTAINERS)}")
    restore = find_restorer(model, registry)
    reader = Reader(source)
    if reader.coded.pix_fmt not in FORMATS:
        raise InputError(
            f"{source} has the pixel format {reader.coded.pix_fmt}, but luma of 8 bits is filtered ({', '.join(FORMATS)}): "
            "convert it first"
        )
    with atomic_path(output) as temporary:
        frames, changed = _write(restore, reader, temporary, output.suffix.lower(), advance)
        gains = {} if reference is None else gain(reference, source, temporary)
    return Filtered(output, frames, changed, gains)


def _write(
    restore: Restore, reader: Reader, target: Path, suffix: str, advance: Callable[[int, int], None] | None
) -> tuple[int, float]:
    import av

    rate = Fraction(reader.coded.rate or 25).limit_denominator(1_000_000)
    done, change = 0, 0.0
    names = {".mkv": "matroska", ".nut": "nut", ".avi": "avi"}
    with av.open(str(target), "w", format=names[suffix], options={"fflags": "+bitexact"}) as container:
        stream: Any = container.add_stream("ffv1", rate=rate)
        stream.codec_context.flags |= 1 << 23  # AV_CODEC_FLAG_BITEXACT: no version of the encoder in the file
        for frame, difference in _frames(restore, reader):
            if not done:
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
                stream.codec_context.color_range = int(frame.color_range)
                stream.codec_context.colorspace = int(frame.colorspace)
            frame.pts, frame.time_base = done, 1 / rate
            container.mux(stream.encode(frame))
            done, change = done + 1, change + difference
            if advance is not None:
                advance(done, 0)
        container.mux(stream.encode(None))
    return done, change / max(done, 1)


def _frames(restore: Restore, reader: Reader) -> Iterator[tuple[av.VideoFrame, float]]:
    """Give each frame with restored luma, and how much that changed, in levels."""
    waiting: deque[tuple[av.VideoFrame, NDArray[np.uint8], bool]] = deque()

    def planes() -> Iterator[NDArray[np.uint8]]:
        for frame in reader.frames():
            if frame.format.name not in FORMATS:
                raise InputError(
                    f"{reader.path}: a frame has the pixel format {frame.format.name}: convert the video first"
                )
            full = int(frame.color_range) == _FULL_RANGE or frame.format.name.startswith(("yuvj", "gray"))
            plane: Any = frame.planes[0]
            luma = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width].copy()
            waiting.append((frame, luma, full))
            yield expanded(luma, full=full)

    for answer in restore(planes()):
        frame, luma, full = waiting.popleft()
        written = changed_luma(luma, expanded(luma, full=full), answer, full=full)
        plane: Any = frame.planes[0]
        lines = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size).copy()
        lines[:, : plane.width] = written
        plane.update(lines.tobytes())
        yield frame, float(np.abs(written.astype(np.float64) - luma).mean())


def gain(reference: Path, before: Path, after: Path) -> dict[str, tuple[float, float]]:
    """Measure the mean of each metric before and after a filter."""
    from pyvmaf.scoring.score import score

    measured = [score(reference, video, features=METRICS) for video in (before, after)]
    return {name: (float(measured[0][name].mean()), float(measured[1][name].mean())) for name in ("vmaf", *METRICS)}
