"""Time stamps of the frames of a file, without decoding them."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyvmaf.video.reader import Reader


class UntimedError(Exception):
    """A file without time stamps that lead to its frames."""


def time_stamps(video: Reader) -> list[tuple[int, Fraction]]:
    """Return the time stamp of each frame, in the order in which they are shown.

    Returns:
        Of each frame the stamp in units of the time base, and the time in seconds; of the second frame that filters make
        of a coded one, the stamp of the first and a time in the middle.

    Raises:
        UntimedError: the file does not state them.
    """
    if not video.time_stamped:
        raise UntimedError
    found: dict[int, Fraction] = {}
    for packet in video.packets():
        if packet.pts is None or packet.time_base is None:
            raise UntimedError
        if not packet.is_discard:
            found[packet.pts] = packet.pts * packet.time_base
    stamps = sorted(found.items())
    if video.per_frame == 1 or len(stamps) < 2:
        return stamps
    last = stamps[-1][1]
    ends = [time for _, time in stamps[1:]] + [last + (last - stamps[-2][1])]
    return [
        pair
        for (stamp, time), end in zip(stamps, ends, strict=True)
        for pair in ((stamp, time), (stamp, (time + end) / 2))
    ]
