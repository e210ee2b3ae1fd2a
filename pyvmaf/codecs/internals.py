"""What encoders state about their own decisions: quantisers, bits of motion and texture, shares of blocks.

A value is returned only if it is stated, and encoders are asked only in ways that leave the bytes of the encode as they are:

* x264 writes a line per picture into its statistics of a first pass, which a run at constant quality can write, too, as long as the
  preset is not replaced by the faster one of first passes.
* x265 puts the options of its statistics and of its log into the stream. So FFmpeg is asked, which gets the mean quantiser of each
  picture from x265.
* Streams of SVT-AV1, VVenC and libvpx state the quantiser of each picture in its header.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from pathlib import Path

_X264 = re.compile(
    r"^in:\d+ out:\d+ type:(\w) .*?\baq:(-?[\d.]+) tex:(\d+) mv:(\d+) misc:\d+ imb:(\d+) pmb:(\d+) smb:(\d+) ",
    re.MULTILINE,
)
_FFMPEG = re.compile(r"\bq= *(-?\d+(?:\.\d+)?) f_size=.* type= [A-Z]\s*$", re.MULTILINE)
# A header field as FFmpeg prints it: its name, its bits, its value.
_INDEX = re.compile(r" base_q_idx +[01]+ = (\d+)$", re.MULTILINE)
_VVC = re.compile(r" (pps_init_qp_minus26|[ps]h_qp_delta) +[01]+ = (-?\d+)$", re.MULTILINE)


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values)


def _spread(name: str, values: Sequence[float]) -> dict[str, float]:
    """Mean and standard deviation (ddof 0); nothing of no values."""
    if not values:
        return {}
    mean = _mean(values)
    return {f"{name}_mean": mean, f"{name}_std": sqrt(_mean([(value - mean) ** 2 for value in values]))}


def _x264(text: str) -> dict[str, float]:
    """A line per picture: type, quantiser (mean over blocks), bits of texture and of motion, blocks that are intra, inter, skipped."""
    pictures = [(kind, *map(float, numbers)) for kind, *numbers in _X264.findall(text)]
    if not pictures:
        return {}
    kinds, quantisers, texture, motion, intra, inter, skipped = zip(*pictures, strict=True)
    blocks = fsum((*intra, *inter, *skipped))
    stated = {
        **_spread("qp", quantisers),
        **_spread("mv", motion),
        "intra_ratio": fsum(intra) / blocks,
        "skip_ratio": fsum(skipped) / blocks,
    }
    for name, is_intra in (("itex_mean", True), ("ptex_mean", False)):
        bits = [value for kind, value in zip(kinds, texture, strict=True) if (kind in "Ii") == is_intra]
        if bits:
            stated[name] = _mean(bits)
    return stated


def _x265(text: str) -> dict[str, float]:
    """FFmpeg's line per picture, with the quantiser to .1."""
    return _spread("qp", [float(value) for value in _FFMPEG.findall(text)])


def _indexed(text: str) -> dict[str, float]:
    """Quarters of the index that the header of a picture in AV1 and VP9 has, 0 to 255: the CRF is about that, 0 to 63."""
    return _spread("qp", [int(index) / 4 for index in _INDEX.findall(text)])


def _vvc(text: str) -> dict[str, float]:
    """The quantiser of a picture is a base, which the parameters of a sequence of pictures have, and a difference."""
    base, values = 26, []
    for name, number in _VVC.findall(text):
        if name.startswith("pps"):
            base = 26 + int(number)
        else:
            values.append(base + int(number))
    return _spread("qp", values)


@dataclass(frozen=True)
class _Source:
    """Where the decisions of an encoder are stated.

    Attributes:
        read: reader of a text: the record's keys without ``enc_internal_``, and values.
        options: options of FFmpeg that write the text into a file; ``{path}`` is replaced. Without options, the
            text has the headers of the stream.
        suffix: what is added to ``{path}`` in the name of that file.
    """

    read: Callable[[str], Mapping[str, float]]
    options: tuple[str, ...] = ()
    suffix: str = ""


_SOURCES: dict[str, _Source] = {
    "libx264": _Source(_x264, ("-pass", "1", "-passlogfile", "{path}", "-fastfirstpass", "0"), "-0.log"),
    "libx265": _Source(_x265, ("-vstats_file", "{path}")),
    "libsvtav1": _Source(_indexed),
    "libvvenc": _Source(_vvc),
    "libvpx-vp9": _Source(_indexed),
}


def asking(encoder: str, path: Path) -> list[str]:
    """Return options of FFmpeg that make an encoder state its decisions and leave the bytes of its encode as they are.

    Args:
        encoder: its name.
        path: name in a folder of its own, for files.
    """
    source = _SOURCES.get(encoder)
    return [option.format(path=path) for option in source.options] if source else []


def internals(encoder: str, path: Path, headers: Callable[[], str]) -> dict[str, float]:
    """Return what is stated, by the names of the record's keys without ``enc_internal_``.

    Args:
        encoder: its name.
        path: as for `asking`.
        headers: called for the headers of the encode's pictures, a line per field, if they are the source.
    """
    source = _SOURCES.get(encoder)
    if source is None:
        return {}
    if not source.options:
        return dict(source.read(headers()))
    file = path.with_name(path.name + source.suffix)
    return dict(source.read(file.read_text(errors="replace"))) if file.is_file() else {}
