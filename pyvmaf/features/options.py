"""Options of a measurement in two records: how videos are read, and how scores are computed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from pyvmaf.engines import AUTO
from pyvmaf.errors import InputError, unknown_name
from pyvmaf.video.layouts import BICUBIC, SCALERS
from pyvmaf.video.paced import PAIRINGS, PairBy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pyvmaf.video.format import Format


@dataclass(frozen=True)
class Window:
    """A selection of frames.

    Attributes:
        first: the first frame.
        stop: one past the last frame, None for the end of the clip.
        step: distance of the selected frames; motion still sees every frame, so its values do not change.

    Raises:
        InputError: no frame is selected.
    """

    first: int = 0
    stop: int | None = None
    step: int = 1

    def __post_init__(self) -> None:
        if self.first < 0 or self.step < 1 or (self.stop is not None and self.stop <= self.first):
            stop = "" if self.stop is None else self.stop
            raise InputError(f"frames {self.first}:{stop} every {self.step} holds no frames: give A:B with 0 <= A < B")

    def __contains__(self, index: int) -> bool:
        return index >= self.first and (self.stop is None or index < self.stop) and not (index - self.first) % self.step

    def count(self, frames: int) -> int:
        """Count the selected frames of a clip of `frames` frames, which a file may state wrongly."""
        return len(range(self.first, frames if self.stop is None else self.stop, self.step))

    def indices(self, frames: int) -> NDArray[np.int64]:
        """List the selected frames of a clip.

        Args:
            frames: number of frames of the clip, used if the window has no end.
        """
        import numpy as np

        return np.arange(self.first, frames if self.stop is None else self.stop, self.step, dtype=np.int64)


DEINTERLACING = ("auto", "bob", "weave", "auto:yadif", "bob:yadif")
"""What can be done to interlaced videos; by bwdif unless another filter is named."""

RANGES = ("limited", "full")
"""Ranges of samples."""

DEPTHS = (8, 10, 12, 16)
"""Bits per sample of frames that are measured."""

ALL = Window()
"""Every frame."""


@dataclass(frozen=True)
class Reading:
    """How a reference and distorted videos are read. Nothing is converted unless it is asked for.

    Raises:
        InputError: there is no such bit depth.

    Attributes:
        raw: layout of files that end in .yuv, see `pyvmaf.video.format.Format.parse`.
        scale: True scales distorted videos to the reference's size (bicubic), "WxH" scales both sides to that size.
        match_depth: widen the samples of fewer bits to the other side's depth.
        deinterlace: what is done to videos that are interlaced: "auto" makes one frame of both fields of each frame, of videos
            that look interlaced without saying so, too; "bob" makes a frame of each field (both with bwdif, or "auto:yadif"), "weave" takes both fields for one
            picture. Empty to refuse them beside progressive ones.
        crop: parts of the picture to compare, as `pyvmaf.video.filters.Area.parse` reads them, each for one side or both.
        pad: sizes of black pictures that frames are put into, like `crop`.
        range: "limited" or "full": the range of samples that videos of the other one are converted to.
        scaler: scaler of FFmpeg for `scale` and `display`, of `pyvmaf.video.layouts.SCALERS`.
        pair_by: how frames are paired, of `pyvmaf.video.paced.PAIRINGS`.
        display: size of a screen, "WxH", that the reference is scaled to fill, and distorted videos with it.
        offset: by how many frames the distorted videos start later than the reference (negative: earlier), or text such as
            "0.1s"; what has no counterpart is not compared.
        sync: frames within which the offset is looked for; None to take `offset`.
        bit_depth: widen the samples of both sides to so many bits; None for the depths that they have.
        window: frames to measure. Their scores equal those of the same frames in a measurement of the whole.
        shortest: stop at the end of the shortest video, instead of refusing videos of different length.
        related: whether the videos show the same scene, so that what they say about themselves has to agree.
        film_grain: let decoders add film grain where an encoder asks for it (AV1, H.264, HEVC), as players do.
        stream: which video stream of files that have several, counted from 0; None for FFmpeg's choice.
        drop_alpha: leave out transparency.
        luma_only: compare luma alone.
        fps: frames per second of numbered pictures, a fraction.
    """

    raw: Format | None = None
    scale: bool | str = False
    match_depth: bool = False
    window: Window = ALL
    shortest: bool = False
    related: bool = True
    film_grain: bool = True
    stream: int | None = None
    drop_alpha: bool = False
    luma_only: bool = False
    fps: str = "25"
    bit_depth: int | None = None
    deinterlace: str = ""
    crop: tuple[str, ...] = ()
    display: str | None = None
    offset: int | str = 0
    sync: int | None = None
    pad: tuple[str, ...] = ()
    range: str | None = None
    scaler: str = BICUBIC
    pair_by: PairBy = "number"

    def __post_init__(self) -> None:
        if self.display is not None and self.scale:
            raise InputError(f"pictures are scaled to fill {self.display}, or to {self.scale}: not both")
        if self.sync is not None and (self.offset or self.sync < 1):
            raise InputError(
                f"an offset is looked for within {self.sync} frames, of at least 1, or given as {self.offset!r}: not both"
            )
        for what, name, valid in (
            ("scaler", self.scaler, SCALERS),
            ("pairing", self.pair_by, PAIRINGS),
            ("way to deinterlace", self.deinterlace, ("", *DEINTERLACING)),
            ("range", self.range, (None, *RANGES)),
        ):
            if name not in valid:
                raise unknown_name(what, str(name), [word for word in valid if word])
        if self.scaler != BICUBIC and not (self.scale or self.display):
            raise InputError(
                f"the scaler {self.scaler} has nothing to scale: ask for a size with --scale or --display, too"
            )
        if self.bit_depth is not None and self.bit_depth not in DEPTHS:
            raise InputError(
                f"a bit depth of {self.bit_depth} cannot be measured: it is one of {', '.join(map(str, DEPTHS))}"
            )

    def described(self) -> dict[str, Any]:
        """Return the options that were asked for, those that differ from their defaults, as JSON values."""
        chosen = {field.name: getattr(self, field.name) for field in fields(self)}
        values = {name: value for name, value in chosen.items() if value != getattr(AS_CODED, name)}
        values |= {name: list(getattr(self, name)) for name in ("crop", "pad") if getattr(self, name)}
        if self.raw is not None:
            values["raw"] = f"{self.raw.size} {self.raw.pix_fmt}"
        if self.window != ALL:
            values["window"] = asdict(self.window)
        return values


AS_CODED = Reading()
"""Whole videos of equal format and length, as they were coded."""


@dataclass(frozen=True)
class Compute:
    """The engine that computes, its threads, and the cache of its results.

    Attributes:
        backend: "auto", "cpu", or the name of an engine (`pyvmaf.engines`).
        threads: worker threads; the scores do not depend on it.
        cache: folder of the feature cache; None for none.
        progress: called with (pairs of frames done, total or 0).
        shots: whether the cuts of the reference are looked for meanwhile.
    """

    backend: str = AUTO
    threads: int = 1
    cache: str | os.PathLike[str] | None = None
    progress: Callable[[int, int], None] | None = None
    shots: bool = False


BY_DEFAULT = Compute()
"""The fastest engine with libvmaf's numbers on one thread, without a cache."""
