"""Whether a file has all the bytes that its own structure announces.

Numbers of frames and durations do not tell that: edit lists hide frames, pictures may be shown long, and headers round.
Each function walks over the blocks of one file format and returns where the last one ends; a block whose end is not
stated is searched for its parts. A structure that is not understood says nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

# Master elements and their parts, in Matroska.
_SEGMENT, _CLUSTER, _EBML = 0x18538067, 0x1F43B675, 0x1A45DFA3
_TOP_LEVEL = frozenset(
    {_CLUSTER, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367, _SEGMENT, _EBML}
)
_ANYWHERE = frozenset({0xEC, 0xBF})
# Packets between the tables of a transport stream and its first picture.
_NEAR_TABLES = 32
_UNSET_RIFF_SIZES = (0, 0xFFFFFFFF)


def missing_bytes(path: Path, container: str, frame_bytes: int = 0) -> int:
    """Return how many bytes are missing at the end of a file at least; 0 if none are, or if that cannot be known.

    Args:
        path: the file.
        container: FFmpeg's name of its format.
        frame_bytes: bytes of a frame of a format that stores samples as they are.
    """
    length = path.stat().st_size
    with open(path, "rb") as stream:
        if container == "yuv4mpegpipe":
            end = _y4m(stream, length, frame_bytes)
        else:
            walk = next((walk for name, walk in _WALKS.items() if name in container.split(",")), None)
            end = walk(stream, length) if walk is not None else length
    return max(0, end - length)


def _read(stream: BinaryIO, layout: str, at: int) -> tuple[int, ...] | None:
    """Read numbers at a position; None if the file ends before them."""
    stream.seek(at)
    data = stream.read(struct.calcsize(layout))
    return struct.unpack(layout, data) if len(data) == struct.calcsize(layout) else None


def _number(stream: BinaryIO, at: int, *, marked: bool) -> tuple[int, int] | None:
    """Read a number of EBML: its value (-1 if it says that it is unknown), and its length in bytes."""
    stream.seek(at)
    head = stream.read(1)
    if not head or not head[0]:
        return None
    width = 9 - head[0].bit_length()
    data = head + stream.read(width - 1)
    if len(data) < width:
        return None
    value = int.from_bytes(data, "big")
    if marked:
        return value, width
    value &= (1 << (7 * width)) - 1
    return -1 if value == (1 << (7 * width)) - 1 else value, width


def _matroska(stream: BinaryIO, length: int) -> int:
    at, inside = 0, False
    while at < length:
        element = _number(stream, at, marked=True)
        size = _number(stream, at + element[1], marked=False) if element is not None else None
        if element is None or size is None:
            return length
        start = at + element[1] + size[1]
        if not inside and element[0] not in _TOP_LEVEL | _ANYWHERE:
            # What follows the last element is not of this format.
            return length
        if size[0] < 0:
            # Its parts come next; a cluster of unknown size ends where the next element of the top level begins.
            inside = element[0] == _CLUSTER
            at = start
            continue
        if element[0] in _TOP_LEVEL:
            inside = False
        at = start + size[0]
    return at


def _boxes(stream: BinaryIO, length: int) -> int:
    at = 0
    while at + 8 <= length:
        head = _read(stream, ">I4s", at)
        assert head is not None
        size, kind = int(head[0]), bytes(head[1])
        if size == 1:
            large = _read(stream, ">Q", at + 8)
            size = large[0] if large is not None else 0
        if size < 8 or not all(32 <= byte < 127 or byte == 0xA9 for byte in kind):
            return length
        if kind == b"sidx":
            indexed = _segment_index(stream, at, at + size)
            if indexed > length:
                return indexed
        at += size
    return max(at, length)


def _segment_index(stream: BinaryIO, at: int, end: int) -> int:
    """Return the end of the fragments that an index of a fragmented file lists."""
    version = _read(stream, ">B", at + 8)
    if version is None:
        return 0
    layout = ">QQHH" if version[0] else ">IIHH"
    head = _read(stream, layout, at + 20)
    if head is None:
        return 0
    first = at + 20 + struct.calcsize(layout)
    references = [_read(stream, ">I", first + 12 * index) for index in range(head[3])]
    # An index of indices is left alone.
    if any(reference is None or reference[0] >> 31 for reference in references):
        return 0
    return end + head[1] + sum(reference[0] for reference in references if reference is not None)


def _riff(stream: BinaryIO, length: int) -> int:
    at = 0
    while at + 8 <= length:
        stream.seek(at)
        kind = stream.read(4)
        size = _read(stream, "<I", at + 4)
        if kind != b"RIFF" or size is None or size[0] in _UNSET_RIFF_SIZES:
            return length
        at += 8 + size[0]
        if at == length + 1 and size[0] % 2:
            return length
        at += size[0] % 2 if at < length else 0
    return at


def _records(header: int, record: str, size: Callable[[tuple[int, ...]], int]) -> Callable[[BinaryIO, int], int]:
    """Return a walk over records that state their length.

    Args:
        header: bytes before the first one.
        record: layout of what a record begins with.
        size: bytes of a record, from the numbers that it begins with.
    """

    def walk(stream: BinaryIO, length: int) -> int:
        at = header
        while at < length:
            head = _read(stream, record, at)
            if head is None:
                return at + struct.calcsize(record)
            at += size(head)
        return at

    return walk


def _ivf(stream: BinaryIO, length: int) -> int:
    header = _read(stream, "<H", 6)
    return length if header is None else _records(header[0], "<IQ", lambda head: 12 + head[0])(stream, length)


def _flv(stream: BinaryIO, length: int) -> int:
    at = 13
    while at < length:
        head = _read(stream, ">BBH", at)
        if head is None:
            return at + 4
        if head[0] & 0x1F not in (8, 9, 18):
            return length
        at += 11 + (head[1] << 16) + head[2] + 4
    # The length of the last tag is often left out.
    return at if at > length + 4 else length


def _ogg(stream: BinaryIO, length: int) -> int:
    at = 0
    while at < length:
        stream.seek(at)
        head = stream.read(27)
        if not head.startswith(b"OggS"[: len(head)]):
            return length
        table = stream.read(head[26]) if len(head) == 27 else b""
        if len(head) < 27 or len(table) < head[26]:
            return at + 28
        at += 27 + len(table) + sum(table)
    return at


def _mxf(stream: BinaryIO, length: int) -> int:
    at = 0
    while at < length:
        stream.seek(at)
        head = stream.read(25)
        if not head.startswith(b"\x06\x0e\x2b\x34"[: len(head)]):
            return length
        if len(head) < 17:
            return at + 17
        width = head[16] & 0x7F if head[16] & 0x80 else 0
        size = int.from_bytes(head[17 : 17 + width], "big") if width else head[16]
        at += 17 + width + size
    return at


def _asf(stream: BinaryIO, length: int) -> int:
    properties = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
    stream.seek(0)
    at = stream.read(1 << 16).find(properties)
    stated, flags = _read(stream, "<Q", at + 40), _read(stream, "<I", at + 88)
    # A broadcast does not know its size.
    return length if at < 0 or stated is None or flags is None or flags[0] & 1 else stated[0]


def _transport(stream: BinaryIO, length: int) -> int:
    stream.seek(0)
    head = stream.read(1 << 16)
    for size, offset in ((188, 0), (192, 4), (204, 0)):
        syncs = head[offset::size]
        if len(syncs) > 1 and set(syncs) == {0x47}:
            return length + -length % size
    return length


def lost_packets(path: Path, number: int) -> int:
    """Count the places in a transport stream where packets of an elementary stream are missing.

    Streams that were joined count their packets anew: there a picture begins, right after the tables of a new stream.

    Args:
        path: the file.
        number: packet identifier of the stream.
    """
    with open(path, "rb") as stream:
        data = stream.read(1 << 16)
        size, offset = next(
            ((size, at) for size, at in ((188, 0), (192, 4), (204, 0)) if set(data[at::size]) == {0x47}), (0, 0)
        )
        stream.seek(0)
        lost, counter, tables = 0, -1, -_NEAR_TABLES
        index = 0
        while size and len(packet := stream.read(size)) == size:
            flags, low, control, length, adaptation = packet[offset + 1 : offset + 6]
            identifier = (flags & 0x1F) << 8 | low
            index += 1
            if identifier == 0:
                tables = index
            if identifier != number or not control & 0x10:
                continue
            here = control & 0x0F
            announced = control & 0x20 and length and adaptation & 0x80
            joined = flags & 0x40 and index - tables < _NEAR_TABLES
            if counter >= 0 and here not in (counter, (counter + 1) & 0x0F) and not announced and not joined:
                lost += 1
            counter = here
    return lost


def _y4m(stream: BinaryIO, length: int, frame_bytes: int) -> int:
    stream.seek(0)
    at = len(stream.readline(1 << 12))
    while at < length:
        stream.seek(at)
        header = stream.readline(1 << 8)
        if not header.startswith(b"FRAME"[: len(header)]):
            return length
        at += len(header) + frame_bytes
    return at


_WALKS: dict[str, Callable[[BinaryIO, int], int]] = {
    "matroska": _matroska,
    "mov": _boxes,
    "avi": _riff,
    "webp_pipe": _riff,
    "ivf": _ivf,
    "flv": _flv,
    "ogg": _ogg,
    "mxf": _mxf,
    "asf": _asf,
    "mpegts": _transport,
}
