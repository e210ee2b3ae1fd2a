"""H.264 and HEVC streams that ask decoders for film grain, which no encoder of this project's FFmpeg writes."""

from __future__ import annotations

import re

_START = re.compile(rb"\x00?\x00\x00\x01")


def with_grain(stream: bytes, *, hevc: bool) -> bytes:
    """Put a film grain message before every picture of a stream in Annex B form."""
    starts = [found.start() for found in _START.finditer(stream)]
    parts = [stream[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]
    message = _message(hevc=hevc)
    return b"".join(message + part if _begins_picture(part, hevc=hevc) else part for part in parts)


def _begins_picture(part: bytes, *, hevc: bool) -> bool:
    unit = _START.sub(b"", part, count=1)
    if hevc:
        return unit[0] >> 1 < 32 and bool(unit[2] & 0x80)
    return unit[0] & 31 in (1, 5) and bool(unit[1] & 0x80)


def _message(*, hevc: bool) -> bytes:
    """Return a film grain characteristics SEI message (ITU-T H.264 D.1.21, H.265 D.2.20): grain of luma, everywhere."""
    numbers = "0000000010100000000000100000000011111111"
    numbers += "".join(_signed(value) for value in (60, 8, 8))
    # HEVC: it persists. H.264: it is valid until the next one.
    numbers += "1" if hevc else "010"
    if len(numbers) % 8:
        numbers += "1"
    numbers += "0" * (-len(numbers) % 8)
    payload = int(numbers, 2).to_bytes(len(numbers) // 8, "big")
    body = bytes([19, len(payload)]) + payload + b"\x80"
    # Two zeros and a small number would look like a start code.
    body = re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\x00\x00\x03", body)
    return b"\0\0\0\1" + (bytes([39 << 1, 1]) if hevc else b"\6") + body


def _signed(value: int) -> str:
    """Return the signed Exp-Golomb code of a number."""
    code = f"{2 * value if value > 0 else 1 - 2 * value:b}"
    return "0" * (len(code) - 1) + code
