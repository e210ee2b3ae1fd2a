"""Frames of videos of different rates, paired by time."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pyvmaf.errors import InputError
from pyvmaf.video.reader import Reader
from pyvmaf.video.shifted import whole
from pyvmaf.video.stamps import UntimedError, time_stamps

if TYPE_CHECKING:
    from pyvmaf.video.agree import Side
    from pyvmaf.video.format import Format
    from pyvmaf.video.reader import FrameSource, Planes

PairBy = Literal["number", "nearest", "reference", "distorted"]
PAIRINGS: tuple[PairBy, ...] = ("number", "nearest", "reference", "distorted")
"""How frames are paired: by number, by time, or after the other video was converted to the rate of this one."""

_HALF = Fraction(1, 2)


class Paced:
    """Some frames of a video in their order, each as often as it is shown.

    Args:
        source: the video.
        indices: numbers of its frames, none smaller than the one before.
        rate: frames per second that they are shown at.
    """

    def __init__(self, source: FrameSource, indices: Sequence[int], rate: Fraction) -> None:
        self.source, self.indices, self._rate = source, list(indices), rate
        self.path: Path = source.path
        self.once = False
        self.stated_frames: int | None = len(self.indices)

    @property
    def interlaced(self) -> int:
        """Number of frames of the latest pass that are flagged as interlaced, those that are not shown included."""
        return self.source.interlaced

    @property
    def side(self) -> Side | None:
        """What the file says about itself, at the new rate."""
        side = self.source.side
        seconds = float(len(self.indices) / self._rate)
        return None if side is None else replace(side, rates=(self._rate,), seconds=seconds)

    @property
    def format(self) -> Format:
        """Format of the planes."""
        return replace(self.source.format, rate=self._rate)

    def identity(self) -> dict[str, Any]:
        """Return what decides the samples."""
        from pyvmaf.base.files import dumps, sha256_bytes

        return {**self.source.identity(), "paced": sha256_bytes(dumps(self.indices).encode())}

    def widened(self, bit_depth: int) -> FrameSource:
        """Return the same frames with `bit_depth` bits per sample."""
        return Paced(self.source.widened(bit_depth), self.indices, self._rate)

    def count_packets(self) -> int:
        """Count the frames without decoding them."""
        return len(self.indices)

    def count_frames(self) -> int:
        """Count the frames that the video has of those."""
        return bisect_right(self.indices, self.source.count_frames() - 1)

    def planes(self, *, luma: bool = False) -> Iterator[Planes]:
        """Iterate over the frames; with `luma`, without chroma."""
        frames = enumerate(self.source.planes(luma=luma))
        number, planes = next(frames, (-1, None))
        for index in self.indices:
            while planes is not None and number < index:
                number, planes = next(frames, (number, None))
            if planes is None:
                return
            yield planes


def source_of(video: FrameSource) -> FrameSource:
    """Return the video of which frames were chosen or left out."""
    video = whole(video)
    return source_of(video.source) if isinstance(video, Paced) else video


def pace(
    reference: FrameSource, distorted: FrameSource, pair_by: PairBy, *, shortest: bool
) -> tuple[Paced, Paced, str]:
    """Pair the frames of two videos by time; both begin with their first frames.

    Args:
        reference, distorted: the videos.
        pair_by: "nearest" takes each frame of the distorted video with that of the reference that is nearest in time, the
            earlier one of two (FFmpeg's ``ts_sync_mode=nearest``); "reference" and "distorted" convert the other video to the
            rate of this one, by repeating frames and leaving frames out (FFmpeg's filter fps).
        shortest: stop at the end of the shorter one.

    Returns:
        Both videos with as many frames, and a note.

    Raises:
        InputError: one is a pipe or states no frame rate, or they last differently long.
    """
    ours, theirs = (_times(video) for video in (reference, distorted))
    rates = [_rate(video) for video in (reference, distorted)]
    lengths = [times[-1] + 1 / rate for times, rate in zip((ours, theirs), rates, strict=True)]
    if not shortest and abs(lengths[0] - lengths[1]) > max(1 / rate for rate in rates):
        raise InputError(
            f"lengths differ: {reference.path} lasts {float(lengths[0]):.3f} s, {distorted.path} lasts {float(lengths[1]):.3f} s: give "
            "clips of one length, or stop at the end of the shorter one with --shortest"
        )
    if pair_by == "nearest":
        first, second = _nearest(ours, theirs, rates[0]), list(range(len(theirs)))
        rate = rates[1]
    else:
        rate = rates[0] if pair_by == "reference" else rates[1]
        first = _at_rate(ours, lengths[0], rate) if pair_by == "distorted" else list(range(len(ours)))
        second = _at_rate(theirs, lengths[1], rate) if pair_by == "reference" else list(range(len(theirs)))
    count = min(len(first), len(second))
    first, second = first[:count], second[:count]
    repeated = [count - len(set(indices)) for indices in (first, second)]
    unused = [len(times) - len(set(indices)) for times, indices in ((ours, first), (theirs, second))]
    how = (
        "each with the nearest in time of the reference"
        if pair_by == "nearest"
        else f"at the rate of the {pair_by}, {float(rate):.6g}"
    )
    counts = ", ".join(
        f"{repeated[side]} of {video.path} repeated and {unused[side]} left out"
        for side, video in enumerate((reference, distorted))
    )
    note = f"{distorted.path} was compared by time, {count} frames, {how}: frames {counts}"
    return Paced(reference, first, rate), Paced(distorted, second, rate), note


def _times(video: FrameSource) -> list[Fraction]:
    """Time of each frame from the first on, in seconds."""
    if video.once:
        raise InputError(f"{video.path} is a pipe, whose frames are paired by number: save it to a file first")
    try:
        if isinstance(video, Reader):
            stamps = [time for _, time in time_stamps(video)]
            if stamps:
                return [time - stamps[0] for time in stamps]
    except UntimedError:
        pass
    rate = _rate(video)
    return [number / rate for number in range(video.count_packets())]


def _rate(video: FrameSource) -> Fraction:
    if not video.format.rate:
        raise InputError(f"{video.path} states no frame rate, without which frames cannot be paired by time")
    return video.format.rate


def _nearest(ours: Sequence[Fraction], theirs: Sequence[Fraction], rate: Fraction) -> list[int]:
    """Frame of the first video that is nearest to each of the second, as long as the first one lasts."""
    indices = []
    for time in theirs:
        if time > ours[-1] + 1 / rate:
            break
        after = bisect_right(ours, time)
        # The frame before is the nearest, unless the next one is nearer.
        later = after < len(ours) and ours[after] - time < time - ours[after - 1]
        indices.append(after if later else after - 1)
    return indices


def _at_rate(times: Sequence[Fraction], length: Fraction, rate: Fraction) -> list[int]:
    """Frames that FFmpeg's filter fps shows at a rate: the last one whose rounded time is not later."""
    ticks = [math.floor(time * rate + _HALF) for time in times]
    return [bisect_right(ticks, tick) - 1 for tick in range(math.floor(length * rate + _HALF))]
