"""Pictures of one video, from the cache or decoded; a call that was cut off goes on at the last pictures that it kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.frames.cache import Entry, PictureCache
from pyvmaf.video.tensors import COLOURS, Converter, Picture

if TYPE_CHECKING:
    import av

    from pyvmaf.video.reader import Reader

# Pictures of an entry: what a call that is cut off loses, and what it looks at again.
_PART_BYTES = 16 << 20
_PART_PICTURES = 64

Pixels = NDArray[np.uint8]


def sample(video: Reader, picture: Picture, indices: Sequence[int], cache: PictureCache) -> Iterator[Pixels]:
    """Yield the pictures of frames, in order; memory holds at most 64 of them, or 16 MiB.

    Args:
        video: the file.
        picture: what a picture is; its `values` are None.
        indices: the frames, ascending.
        cache: where pictures are kept.

    Raises:
        InputError: the video does not have a frame; also as `Reader.frames`.
        IntegrityError: the video is damaged.
    """
    sampler = _Sampler(video, picture, cache)
    for part in _parts(picture, video, indices):
        yield from sampler.take(part)


def _parts(picture: Picture, video: Reader, indices: Sequence[int]) -> Iterator[tuple[int, ...]]:
    shown = video.presentation.format(video.coded)
    box = picture.box(*(picture.scaled or (shown.width, shown.height)))
    size = box.width * box.height * COLOURS[picture.pix_fmt]
    most = max(1, min(_PART_PICTURES, _PART_BYTES // size))
    for start in range(0, len(indices), most):
        yield tuple(indices[start : start + most])


class _Sampler:
    """Reads a video as far as its pictures are not in the cache."""

    def __init__(self, video: Reader, picture: Picture, cache: PictureCache) -> None:
        self._video, self._cache = video, cache
        self._converter = Converter(picture, video)
        self._key = {"video": video.origin(), "picture": asdict(picture), "libraries": _libraries()}
        self._frames: Iterator[av.VideoFrame] | None = None
        self._next = 0
        self._kept: tuple[tuple[int, ...], Entry] | None = None

    def take(self, part: tuple[int, ...]) -> Pixels:
        """Return the pictures of frames."""
        key = {**self._key, "frames": list(part)}
        entry = self._cache.get(key)
        if entry is None:
            if self._frames is None:
                self._begin()
            entry = self._decode(part)
            self._cache.put(key, entry)
        elif self._frames is None:
            self._kept = part, entry
        return entry.pixels

    def _begin(self) -> None:
        """Start to decode: behind the pictures that the cache holds, if they are found again there, else at the start."""
        if self._kept is not None:
            part, entry = self._kept
            self._kept = None
            try:
                if self._found_again(part, entry):
                    return
            except (InputError, IntegrityError):
                pass  # what does not decode from within may do so from the start
        self._frames, self._next = self._video.frames(), 0

    def _found_again(self, part: tuple[int, ...], entry: Entry) -> bool:
        """Go to the first frame of a part by its time stamp, and compare all pictures of the part with those kept."""
        first = entry.stamps[0]
        if first is None or part[0] == 0:
            return False
        frames = self._video.frames(since=first)
        for frame in frames:
            if frame.pts is None or frame.pts > first:
                return False
            if frame.pts == first:
                break
        else:
            return False
        self._frames, self._next = _with(frame, frames), part[0]
        again = self._decode(part)
        if again.stamps == entry.stamps and np.array_equal(again.pixels, entry.pixels):
            return True
        self._frames = None
        return False

    def _decode(self, part: tuple[int, ...]) -> Entry:
        assert self._frames is not None
        pixels: list[Any] = []
        stamps: list[int | None] = []
        for index in part:
            frame = self._frame(index)
            pixels.append(self._converter.pixels(frame))
            stamps.append(frame.pts)
        return Entry(np.stack(pixels), tuple(stamps))

    def _frame(self, index: int) -> av.VideoFrame:
        assert self._frames is not None
        for frame in self._frames:
            self._next += 1
            if self._next > index:
                return frame
        raise InputError(f"{self._video.path} does not have frame {index}: it ends after {self._next} frames")


def _with(first: av.VideoFrame, frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    yield first
    yield from frames


def _libraries() -> str:
    """The versions of FFmpeg's libraries that decode and convert."""
    import av

    names = ("libavcodec", "libavfilter", "libswscale")
    return " ".join(".".join(map(str, av.library_versions[name])) for name in names)


def frame_count(video: Reader, stated: int | None = None) -> int:
    """Count the frames of a video.

    Args:
        video: the file.
        stated: the number that it is to have; None if nobody says so.

    Raises:
        InputError: it has another number of frames.
        IntegrityError: the video is damaged.
    """
    count = video.count_packets()
    if stated is None or count == stated:
        return count
    count = video.count_frames()
    if count != stated:
        raise InputError(
            f"frame counts differ: the reference has {stated}, {video.path} has {count}: pictures of the same frame cannot be "
            "paired"
        )
    return count
