"""What is known of a video file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pyvmaf.errors import PyvmafError
from pyvmaf.video.piped import is_piped
from pyvmaf.video.reader import Reader

if TYPE_CHECKING:
    from pyvmaf.features.options import Reading


def _opened(path: Path, reading: Reading) -> Reader | None:
    if is_piped(path):
        return None
    raw = reading.raw if path.suffix.lower() == ".yuv" else None
    try:
        return Reader(path, raw=raw, stream=reading.stream, drop_alpha=reading.drop_alpha, fps=reading.fps)
    except PyvmafError:
        return None


def rate_of(path: Path, reading: Reading) -> float | None:
    """Return the frames per second of a file; None if it does not state them."""
    video = _opened(path, reading)
    return float(video.coded.rate) if video is not None and video.coded.rate else None


def facts_of(path: Path, reading: Reading) -> list[tuple[str, str]]:
    """Return facts of a file as named texts; none of a pipe."""
    video = _opened(path, reading)
    if video is None:
        return []
    form, side = video.coded, video.side
    facts = [("size", f"{side.width}x{side.height}"), ("pixel format", form.pix_fmt)]
    facts.append(("frames per second", f"{float(form.rate):.6g}" if form.rate else ""))
    if video.raw is None:
        facts += [("codec", video.stream.codec), ("container", video.stream.container)]
        facts.append(("range/matrix/transfer/primaries", side.colour.words))
        sizes = [int(packet.size) for packet in video.packets()]
        facts.append(("coded pictures", str(len(sizes))))
        if form.rate and sizes:
            kbps = sum(sizes) * 8 / 1000 / (len(sizes) / float(form.rate))
            facts.append(("kbit/s", f"{kbps:.1f}"))
    if path.is_file():
        facts.append(("bytes", str(path.stat().st_size)))
    if side.shown:
        facts.append(("shown", side.shown))
    return facts
