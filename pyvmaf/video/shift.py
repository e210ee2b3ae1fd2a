"""Whether two videos of one scene are shifted, turned or converted against each other, told from small pictures of their first
frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
# Conversions of colour differ by less than frames do, so that the loss of an encode counts for more.
_BETTER = 0.5
# Mean squared differences below this are those of encodes, or of scenes in which nothing moves.
_SAME = 1.0

_TURNS = {"hflip": (1, -1), "vflip": (-1, 1), "hflip,vflip": (-1, -1)}
"""Steps through rows and columns, by the filters of FFmpeg that do the same."""


class FirstFrames:
    """Small pictures of the first frames of a video, [rows, columns], on a scale of 8 bits."""

    def __init__(self) -> None:
        self.pictures: list[NDArray[np.float32]] = []

    def add(self, luma: NDArray[Any], bit_depth: int) -> None:
        """Take the next frame; those after the first few are not kept."""
        if len(self.pictures) < _FRAMES:
            rows, columns = (max(1, length // _SIDE) for length in luma.shape)
            self.pictures.append(_blocks(luma, rows, columns) / np.float32(1 << (bit_depth - 8)))

    def later(self, other: FirstFrames) -> int:
        """Return by how many frames the other video starts later: its first frame looks like that frame of this one.

        Negative if it starts earlier; 0 if nothing speaks for a shift. A still picture has none.
        """
        ours, theirs = self._stacked, other._stacked
        count = min(len(ours), len(theirs))
        if count < 2 or ours.shape[1:] != theirs.shape[1:]:
            return 0
        reach = min(REACH, count - 1)
        errors = {shift: _error(ours[max(0, shift) :], theirs[max(0, -shift) :]) for shift in range(-reach, reach + 1)}
        best = min(errors, key=lambda shift: (errors[shift], abs(shift)))
        return best if errors[0] > _SAME and errors[best] < _MUCH_BETTER * errors[0] else 0

    def turned(self, other: FirstFrames) -> str:
        """Return the filters of FFmpeg that turn the other video's pictures into those of this one; "" if nothing does."""
        ours, theirs = self._stacked, other._stacked
        if not min(len(ours), len(theirs)) or ours.shape[1:] != theirs.shape[1:]:
            return ""
        errors = {turn: _error(ours, theirs[:, ::down, ::across]) for turn, (down, across) in _TURNS.items()}
        best, plain = min(errors, key=errors.__getitem__), _error(ours, theirs)
        return best if plain > _SAME and errors[best] < _MUCH_BETTER * plain else ""

    def wider(self, other: FirstFrames) -> bool:
        """Return whether the other video looks like this one converted from limited to full range of luma."""
        ours, theirs = self._stacked, other._stacked
        if not min(len(ours), len(theirs)) or ours.shape[1:] != theirs.shape[1:]:
            return False
        plain = _error(ours, theirs)
        return plain > _SAME and _error(np.clip((ours - 16) * (255 / 219), 0, 255), theirs) < _BETTER * plain

    @property
    def _stacked(self) -> NDArray[Any]:
        return np.stack(self.pictures) if self.pictures else np.empty((0, 1, 1))


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
        f"-vf trim=start_frame={count},setpts=PTS-STARTPTS, or score with --offset {later}"
    )


def doubts(videos: Sequence[tuple[FrameSource, FirstFrames]]) -> list[str]:
    """Return what the first frames of a reference and of distorted videos give rise to doubt.

    Args:
        videos: the reference, then distorted videos, each with its first frames.
    """
    (reference, first), *others = videos
    notes = []
    for video, frames in others:
        if later := first.later(frames):
            notes.append(remedy(reference, video, later))
        elif turn := first.turned(frames):
            notes.append(
                f"the pictures of {video.path} look like those of {reference.path} after FFmpeg's option -vf {turn}: one of them "
                "seems to have lost its display matrix"
            )
        elif first.wider(frames) or frames.wider(first):
            full, limited = (video, reference) if first.wider(frames) else (reference, video)
            notes.append(
                f"the samples of {full.path} look like full range, those of {limited.path} like limited range, but their tags do "
                f"not say so: correct the tag of the range, or convert one"
            )
    return notes


def converted(reference: FrameSource, distorted: FrameSource, matrices: tuple[str, str]) -> bool:
    """Return whether a distorted video looks as if its colours had been converted to another matrix.

    Args:
        reference, distorted: the videos.
        matrices: the matrix of the reference, and the other one; of `MATRICES`.
    """
    ours, theirs = _colours(reference), _colours(distorted)
    if ours.shape != theirs.shape or not ours.size:
        return False
    to_other = MATRICES[matrices[1]] @ np.linalg.inv(MATRICES[matrices[0]])
    # A conversion may round all samples up or down.
    plain, other = (float((theirs - these).var(axis=1).sum()) for these in (ours, to_other @ ours))
    return plain > _SAME / 255**2 and other < _BETTER * plain


def _ycc(red: float, blue: float) -> NDArray[np.float64]:
    """The matrix from R, G, B to Y, Cb, Cr of ITU-R BT.601 and BT.709, of values from 0 to 1, by the weights of red and blue."""
    luma = np.array([red, 1 - red - blue, blue])
    return np.stack([luma, (np.eye(3)[2] - luma) / (2 - 2 * blue), (np.eye(3)[0] - luma) / (2 - 2 * red)])


MATRICES = {"bt709": _ycc(0.2126, 0.0722), "smpte170m": _ycc(0.299, 0.114)}
"""Matrices from R, G, B to Y, Cb, Cr."""


def _colours(video: FrameSource) -> NDArray[np.float64]:
    """Y, Cb and Cr of small pictures of the first frames, [3, n], of values from 0 to 1; empty without chroma."""
    form = video.format
    if form.chroma == "400":
        return np.empty((3, 0))
    scale, pictures = 1 << (form.bit_depth - 8), []
    for planes in islice(video.planes(), 4):
        height, width = (max(1, length // _SIDE) for length in planes[1].shape)
        across, down = form.chroma_step
        sizes = [(height * down, width * across), (height, width), (height, width)]
        small = [_blocks(plane, *size) / scale for plane, size in zip(planes, sizes, strict=True)]
        rows, columns = (min(lengths) for lengths in zip(*(plane.shape for plane in small), strict=True))
        luma, *chroma = (plane[:rows, :columns].ravel() for plane in small)
        pictures.append(np.stack([(luma - 16) / 219, *((plane - 128) / 224 for plane in chroma)]))
    return np.concatenate(pictures, axis=1)


def _blocks(plane: NDArray[Any], rows: int, columns: int) -> NDArray[np.float32]:
    """Means of blocks of so many rows and columns."""
    height, width = plane.shape[0] // rows, plane.shape[1] // columns
    blocks = plane[: height * rows, : width * columns].reshape(height, rows, width, columns)
    return np.asarray(blocks.mean((1, 3), dtype=np.float32))


def hints(reference: FrameSource, distorted: Iterable[FrameSource]) -> list[str]:
    """Read the first frames of videos, and return a `remedy` for each distorted one that starts at another frame."""
    first = first_frames(reference)
    shifts = [(video, first.later(first_frames(video))) for video in distorted]
    return [remedy(reference, video, later) for video, later in shifts if later]
