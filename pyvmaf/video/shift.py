"""Whether two videos of one scene start at different frames, told from small pictures of their first frames."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pyvmaf.video.reader import FrameSource

REACH = 8
"""Frames by which a shift is found at most."""

_FRAMES = 2 * REACH
_SIDE = 64

# A shift is named if it explains nearly everything: encodes of one frame differ far less than two frames of a scene do.
_MUCH_BETTER = 0.25


class FirstFrames:
    """Small pictures of the first frames of a video, [rows, columns], on a scale of 8 bits."""

    def __init__(self) -> None:
        self.pictures: list[NDArray[np.float32]] = []

    def add(self, luma: NDArray[Any], bit_depth: int) -> None:
        """Take the next frame; those after the first few are not kept."""
        if len(self.pictures) < _FRAMES:
            rows, columns = (max(1, length // _SIDE) for length in luma.shape)
            height, width = luma.shape[0] // rows, luma.shape[1] // columns
            blocks = luma[: height * rows, : width * columns].reshape(height, rows, width, columns)
            self.pictures.append(blocks.mean((1, 3), dtype=np.float32) / np.float32(1 << (bit_depth - 8)))

    def later(self, other: FirstFrames) -> int:
        """Return by how many frames the other video starts later: its first frame looks like that frame of this one.

        Negative if it starts earlier; 0 if nothing speaks for a shift. A still picture has none.
        """
        ours, theirs = (np.stack(v.pictures) if v.pictures else np.empty((0, 1, 1)) for v in (self, other))
        count = min(len(ours), len(theirs))
        if count < 2 or ours.shape[1:] != theirs.shape[1:]:
            return 0
        reach = min(REACH, count - 1)
        errors = {shift: _error(ours[max(0, shift) :], theirs[max(0, -shift) :]) for shift in range(-reach, reach + 1)}
        best = min(errors, key=lambda shift: (errors[shift], abs(shift)))
        return best if errors[best] < _MUCH_BETTER * errors[0] else 0


def _error(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Mean squared difference of the frames that both have."""
    count = min(len(ours), len(theirs))
    return float(np.square(ours[:count] - theirs[:count]).mean())


def first_frames(video: FrameSource) -> FirstFrames:
    """Read the first frames of a video."""
    frames = FirstFrames()
    for planes in islice(video.planes(luma=True), _FRAMES):
        frames.add(planes[0], video.format.bit_depth)
    return frames


def remedy(reference: FrameSource, distorted: FrameSource, later: int) -> str:
    """Describe a shift and how to undo it.

    Args:
        reference, distorted: the videos.
        later: as from `FirstFrames.later`, not 0.
    """
    early, late, count = (reference, distorted, later) if later > 0 else (distorted, reference, -later)
    return (
        f"frame {count} of {early.path} looks like frame 0 of {late.path}, so that frames of one number do not show the same "
        f"moment: cut {'the first frame' if count == 1 else f'the first {count} frames'} off {early.path} with FFmpeg's option "
        f"-vf trim=start_frame={count},setpts=PTS-STARTPTS"
    )


def hints(reference: FrameSource, distorted: Iterable[FrameSource]) -> list[str]:
    """Read the first frames of videos, and return a `remedy` for each distorted one that starts at another frame."""
    first = first_frames(reference)
    shifts = [(video, first.later(first_frames(video))) for video in distorted]
    return [remedy(reference, video, later) for video, later in shifts if later]
