"""Single frames of a video by number, without decoding all that come before."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING

from pyvmaf.errors import InputError
from pyvmaf.video.paced import Paced
from pyvmaf.video.reader import FrameSource, Planes, Reader
from pyvmaf.video.shifted import Shifted
from pyvmaf.video.stamps import UntimedError, time_stamps

if TYPE_CHECKING:
    import av

# Frames before one that filters look at.
_AROUND = 3


def pictures(video: FrameSource, numbers: Iterable[int]) -> dict[int, Planes]:
    """Return the planes of some frames by number, counted from 0, those that there are.

    A file with time stamps is decoded from the key frame before each of them; others are decoded up to the last one.

    Raises:
        InputError: the video is a pipe, which was read already; also as `pyvmaf.video.reader.Reader.planes`.
        IntegrityError: as `planes`.
    """
    wanted = sorted(set(numbers))
    if isinstance(video, Shifted):
        found = pictures(video.source, [number + video.skip for number in wanted])
        return {number - video.skip: planes for number, planes in found.items()}
    if isinstance(video, Paced):
        within = [number for number in wanted if number < len(video.indices)]
        found = pictures(video.source, [video.indices[number] for number in within])
        return {number: found[video.indices[number]] for number in within}
    if video.once:
        raise InputError(f"{video.path} is a pipe, which cannot be read twice")
    try:
        if isinstance(video, Reader):
            stamps = time_stamps(video)
            return {number: _at(video, stamps, number) for number in wanted if number < len(stamps)}
    except UntimedError:
        pass
    frames = enumerate(islice(video.planes(), wanted[-1] + 1 if wanted else 0))
    return {number: planes for number, planes in frames if number in wanted}


def _at(video: Reader, stamps: Sequence[tuple[int, Fraction]], number: int) -> Planes:
    """Planes of a frame; raises `UntimedError` if its time stamp does not lead to it."""
    _, time = stamps[number]
    since, _ = stamps[max(0, number - _AROUND) if video.filtered else number]
    times: deque[Fraction] = deque()

    def timed() -> Iterator[av.VideoFrame]:
        for frame in video.frames(since=since):
            if frame.pts is None or frame.time_base is None:
                raise UntimedError
            times.append(frame.pts * frame.time_base)
            yield frame

    for planes in video.as_planes(timed()):
        here = times.popleft()
        if here == time:
            return planes
        if here > time:
            break
    raise UntimedError
