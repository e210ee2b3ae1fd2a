"""Decoding packet by packet, listening to what FFmpeg says of damage."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from pyvmaf.video.damage import reported, strictness
from pyvmaf.video.log import WARNING, heard
from pyvmaf.video.opening import plain

if TYPE_CHECKING:
    import av

# What decoders say of pictures and headers before the first byte of a file that was cut. Damage of a first key frame makes
# its parts unreadable as well, and is told in other words.
_BEFORE = re.compile(
    r"referenc|mmco: unref|co located POCs|ref with POC|frame RPS|Error parsing NAL unit|[VSP]PS (id )?\d+|no frame!|slice.header"
    r"|key ?frame|sequence header|OBU|temporal unit|zero_bit|read unit",
    re.IGNORECASE,
)
_H264_IDR = 5


class Step(NamedTuple):
    """Result of reading one packet.

    Attributes:
        frames: the frames that the decoder gave for it.
        said: what FFmpeg reports of damage; "" if nothing.
        failed: whether the packet or a frame is certainly damaged.
        gap: whether packets of a transport stream are missing before, or streams were joined there.
    """

    frames: list[av.VideoFrame]
    said: str
    failed: bool
    gap: bool = False


def is_gap(said: str, container: str) -> bool:
    """Return whether FFmpeg speaks of a gap in a transport stream, which is damage unless streams were joined there."""
    return container == "mpegts" and said.startswith("Packet corrupt")


class Decoding:
    """The frames of a stream of an open file, in display order.

    A file may begin in the middle of a group of pictures. Pictures before the first key frame refer to others that it does
    not have; what the decoder says of them is not damage, and none of them becomes a frame.

    Args:
        container: the file.
        index: which video stream.
        threads: threads of the decoder, 0 for as many as there are cores.
        options: further options of the decoder.

    Attributes:
        keys: number of key frames.
        early: number of pictures before the first key frame.
        said: what FFmpeg reported about those.
    """

    def __init__(
        self,
        container: av.container.InputContainer,
        index: int,
        threads: int = 1,
        options: dict[str, str] | None = None,
    ) -> None:
        from av.codec.context import Flags

        stream = container.streams.video[index]
        self._context = stream.codec_context
        # Otherwise a crop at the left edge is rounded to what is aligned in memory.
        self._context.flags |= Flags.unaligned
        # With threads of its own dav1d leaves out what it cannot decode, and says nothing.
        threads = 1 if "dav1d" in self._context.name else threads
        self._context.thread_count = threads
        self._context.options = {"err_detect": strictness(self._context.name), **(options or {})}
        self._packets = container.demux(stream)
        self._container = container.format.name
        self._alone = threads == 1
        self.keys = 0
        self._cut = False
        self.early = 0
        self.said = ""

    def close(self) -> None:
        """Wait for the threads of the decoder: one that still speaks needs Python's lock, which is held when it is freed."""
        if not self._alone:
            self._context.flush_buffers()

    def step(self) -> Step | None:
        """Read and decode the next packet; None at the end of the file."""
        import av

        packet: av.Packet[Any] | None = None
        frames: list[Any] = []
        error = ""
        with heard(WARNING, everywhere=not self._alone) as messages:
            try:
                packet = next(self._packets, None)
                if packet is not None:
                    self._look(packet)
                    frames = packet.decode()
            except av.FFmpegError as err:
                error = plain(err)
        gap = any(is_gap(message.text, self._container) for message in messages)
        messages = [message for message in messages if not is_gap(message.text, self._container)]
        early = packet is not None and packet.size > 0 and not self.keys
        excused = _BEFORE if early or (self._cut and self.keys < 2 and not error) else None
        said = reported(messages, self._context.name, self._container, excused)
        broken = any(frame.is_corrupt for frame in frames)
        broken = broken or (packet is not None and packet.is_corrupt and self._container != "mpegts")
        if packet is None:
            return Step([], said or error, bool(error)) if said or error else None
        before = reported(messages, self._context.name, self._container) if early else ""
        if early and (before or error or not frames):
            self.early += 1
            self.said = before or error or self.said
            return Step([], said, failed=False, gap=gap)
        if frames:
            # Formats that mark no key frames.
            self.keys = self.keys or 1
        return Step(frames, said or error, bool(error) or broken, gap)

    def _look(self, packet: av.Packet[Any]) -> None:
        """Note the key frames, from the first of which on frames are shown."""
        if not packet.is_keyframe or not packet.size:
            return
        self.keys += 1
        if self.keys == 1:
            self._cut = self.early > 0 or (self._context.name == "h264" and not _has_idr(packet, self._context))
            if self.said and self._context.name in ("hevc", "vvc"):
                # These decoders leave out what refers to pictures before, but only where they begin.
                self._context.flush_buffers()


def _has_idr(packet: av.Packet[Any], context: av.VideoCodecContext) -> bool:
    """Return whether a packet of H.264 holds a picture after which no other refers to one before it."""
    data, extra = bytes(packet), context.extradata or b""
    if extra[:1] != b"\x01":
        return any(match[1][0] & 31 == _H264_IDR for match in re.finditer(rb"\x00\x00\x01(.)", data, re.DOTALL))
    width, at = (extra[4] & 3) + 1, 0
    while at + width < len(data):
        if data[at + width] & 31 == _H264_IDR:
            return True
        at += width + int.from_bytes(data[at : at + width], "big")
    return False
