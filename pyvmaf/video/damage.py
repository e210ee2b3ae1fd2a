"""Which messages of FFmpeg's libraries say that a file is damaged.

Decoders conceal damage and go on; what they patched is not in the frames, but in the log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pyvmaf.video.log import ERROR, Message

STRICT = "crccheck+bitstream+buffer+explode"
"""FFmpeg's option err_detect for decoders: check sums are compared, and errors end the decoding instead of being patched."""

# To the decoder of TIFF a tag that it does not know is an error.
_LENIENT = {"tiff": "crccheck"}

# What readers of containers say of missing or unreadable bytes. Their other errors are about tags, chapters, and streams
# that are not read.
_CONTAINER = re.compile(
    r"prematurely|truncat|partial file|packet corrupt|corrupt(ed)? (packet|input)|invalid as first byte|read error at pos"
    r"|invalid EBML|EBML (number|length)|exceeds (containing|max)|unknown-sized element|resync|seek to desired"
    r"|(size|packet) mismatch|unexpected end|damaged|crc (mismatch|error)|checksum|broken (packet|frame)|invalid packet"
    r"|header damaged|error reading packet|error parsing|lacing|sync (lost|not found)|changing packet size|wrong sync|went wrong during header|invalid length"
    r"|Invalid track number|Sample size \d+ is too large",
    re.IGNORECASE,
)


# Errors about things that do not concern the pictures.
_HARMLESS = re.compile(r"^Unknown or unsupported tag")


def strictness(decoder: str) -> str:
    """Return FFmpeg's option err_detect for a decoder."""
    return _LENIENT.get(decoder, STRICT)


def reported(messages: Iterable[Message], decoder: str, container: str, excused: re.Pattern[str] | None = None) -> str:
    """Return what FFmpeg said about damage, in its words; "" if nothing.

    Every error of the decoder counts: whole files of all the formats that FFmpeg decodes give none.

    Args:
        messages: its messages, warnings included.
        decoder: name of the decoder.
        container: name of the file format.
        excused: messages that are not about damage.
    """
    for message in messages:
        text = " ".join(message.text.split())
        if excused is not None and excused.search(text):
            continue
        if message.part == decoder and message.level <= ERROR and not _HARMLESS.search(text):
            return f"{decoder}: {text}"
        if message.part in (container, "") and _CONTAINER.search(text):
            return text
    return ""
