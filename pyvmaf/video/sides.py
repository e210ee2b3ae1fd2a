"""Side data of decoded frames: what a decoder hands over beside the samples."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av


def side_data(frame: av.VideoFrame, name: str) -> Any:
    """Return side data of a frame, a buffer; None if it has none of that name.

    Args:
        frame: the frame.
        name: as in PyAV's ``av.sidedata.sidedata.Type``: "DISPLAYMATRIX", "FILM_GRAIN_PARAMS".
    """
    from av.sidedata.sidedata import SideDataContainer

    kinds = _kinds()
    # `frame.side_data` is the same, but the frame keeps it: a circle that holds the samples until garbage is collected.
    # It is a mapping by type, not by name as PyAV's stubs have it.
    container: Any = SideDataContainer
    return container(frame).get(kinds[name])


@cache
def _kinds() -> Any:
    """Return PyAV's names of side data, taught that FFmpeg has more, such as the EXIF data of pictures.

    Otherwise a frame that has any of those raises ValueError, whatever is asked of its side data.
    """
    from av.sidedata.sidedata import Type

    def unnamed(kinds: Any, value: int) -> Any:
        kind = object.__new__(kinds)
        kind._name_, kind._value_ = f"UNNAMED_{value}", value
        return kinds._value2member_map_.setdefault(value, kind)

    kinds: Any = Type
    kinds._missing_ = classmethod(unnamed)
    return kinds
