"""Videos that can be read only once: y4m on standard input or in a pipe, frame by frame as they come."""

from __future__ import annotations

import os
import stat
import weakref
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyvmaf.errors import InputError, IntegrityError, PyvmafError
from pyvmaf.video.reader import Planes, Reader

if TYPE_CHECKING:
    import av

STANDARD_INPUT = "-"

_Y4M = "yuv4mpegpipe"
_REMEDY = "pipe y4m, as FFmpeg's options -f yuv4mpegpipe -strict -1 write it, or save the video to a file first"


def is_piped(path: str | os.PathLike[str]) -> bool:
    """Return whether a video comes from standard input (``-``) or a pipe, so that it can be read only once."""
    if os.fspath(path) == STANDARD_INPUT:
        return True
    with suppress(OSError):
        return stat.S_ISFIFO(os.stat(path).st_mode)
    return False


class Piped(Reader):
    """A video of uncompressed frames that is read once, as it comes. Nothing is kept of it but its first frame.

    Its length is known at its end: `count_packets` and `count_frames` read what is left.

    Args:
        path: a named pipe, or ``-`` for standard input.
        options: as of `Reader`.

    Raises:
        InputError: it does not begin as y4m does.
    """

    once = True

    def __init__(self, path: str | os.PathLike[str], **options: Any) -> None:
        self._container: av.container.InputContainer | None = None
        self._decoding: Generator[av.VideoFrame] | None = None
        self._first_frame: list[av.VideoFrame] = []
        self._read = 0
        self._begun = False
        super().__init__(path, **options)

    def count_packets(self) -> int:
        """Count the frames, those that are still to come included, which then are lost."""
        if self._decoding is not None:
            self._read += sum(1 for _ in self._first_frame) + sum(1 for _ in self._decoding)
            self._first_frame.clear()
        return self._read

    def count_frames(self) -> int:
        """Count the frames as `count_packets` does."""
        return self.count_packets()

    def widened(self, bit_depth: int) -> Reader:
        """Widen the planes of this very reader, of which there can be no second."""
        if bit_depth != self.format.bit_depth:
            self._bit_depth = bit_depth
            del self.format
        return self

    def planes(self, *, luma: bool = False) -> Iterator[Planes]:
        """Iterate over the frames, once.

        Raises:
            InputError: they were read before; also as `Reader.planes`.
        """
        if self._begun:
            raise InputError(f"{self.path} is a pipe, which can be read only once: save the video to a file first")
        self._begun = True
        return super().planes(luma=luma)

    def _check_file(self) -> None:
        if self.raw is not None:
            raise InputError(f"{self.path} is a pipe, which raw video cannot be read from: {_REMEDY}")
        self._bytes = 0

    def _open(self) -> Any:
        if self._container is None:
            self._source = _Source(self.path)
            self._container = _open_y4m(self.path, self._source)
            self._said = ""
        return _Kept(self._container)

    def _decode(
        self, container: av.container.InputContainer, threads: int = 1, *, grain: bool
    ) -> Generator[av.VideoFrame]:
        if self._decoding is None:
            self._decoding = self._all()
            self._first_frame = [next(self._decoding)]
            yield self._first_frame[0]
            return
        if self._first_frame:
            self._read += 1
            yield self._first_frame.pop()
        for frame in self._decoding:
            self._read += 1
            yield frame

    def _all(self) -> Generator[av.VideoFrame]:
        """Every frame of the pipe.

        Raises:
            InputError: there are none.
            IntegrityError: it ends within a frame.
        """
        assert self._container is not None
        end = index = 0
        for packet in self._container.demux(self._container.streams.video[self.index]):
            if packet.size:
                end = (packet.pos or 0) + packet.size
            yield from packet.decode()
            index += bool(packet.size)
        if self._source.total > end > 0:
            raise self._broken(index)
        if not index:
            raise InputError(f"{self.path} holds no frames: the program that writes it ended without one")

    def _broken(self, index: int) -> PyvmafError:
        return IntegrityError(
            f"{self.path} ends within frame {index}, or holds something else there: the program that writes it stopped early"
        )

    def _missing(self, container: av.container.InputContainer) -> int:
        return 0

    def _stated(self, container: av.container.InputContainer, rate: Any) -> int | None:
        self._lasting = None
        return None


class _Source:
    """The bytes of a pipe, counted.

    Attributes:
        total: number of bytes that were read.
    """

    def __init__(self, path: Path) -> None:
        standard = os.fspath(path) == STANDARD_INPUT
        # Without a buffer: frames are scored as they come.
        file = open(0 if standard else path, "rb", buffering=0, closefd=not standard)  # noqa: SIM115
        weakref.finalize(self, file.close)
        self._file, self.total = file, 0

    def read(self, size: int) -> bytes:
        """Read up to so many bytes."""
        data = self._file.read(size)
        self.total += len(data)
        return data


class _Kept:
    """A container that stays open when a ``with`` block ends."""

    def __init__(self, container: av.container.InputContainer) -> None:
        self._container = container

    def __enter__(self) -> av.container.InputContainer:
        return self._container

    def __exit__(self, *_: object) -> None:
        pass


def _open_y4m(path: Path, source: _Source) -> av.container.InputContainer:
    import av

    try:
        container: av.container.InputContainer = av.open(source, mode="r", format=_Y4M)
    except (av.FFmpegError, ValueError) as err:
        raise InputError(f"{path} does not begin as y4m does: {_REMEDY}") from err
    return container
