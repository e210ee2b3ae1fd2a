"""Comparison of what the two sides of a pair say about themselves: colour, scanning, shape and rate.

A difference that makes scores wrong is refused, with both values and the remedy. A difference that only makes them
doubtful gives a note, one line for the person who reads the scores.
"""

from __future__ import annotations

from pyvmaf.errors import InputError
from pyvmaf.video.format import Colour

Names = tuple[str, str]
"""The reference and the distorted side, as messages name them: paths, or "the reference frame"."""

FRAMES: Names = ("the reference frame", "the distorted frame")
"""Names of frames that no file holds."""

# Of samples without a range, players and FFmpeg take those of YUV for limited.
_DEFAULT_RANGE = "tv"
_RANGES = {"tv": "limited range (tv)", "pc": "full range (pc)"}

# Names of one and the same matrix between RGB and YUV, transfer function, or set of primaries.
_SAME_MATRIX = {"bt470bg": "smpte170m"}
# Matrices that FFmpeg's filter scale converts; others need its filter zscale.
_SCALED = frozenset({"bt709", "bt470bg", "smpte170m", "fcc", "smpte240m", "bt2020nc"})
_SAME_TRANSFER = dict.fromkeys(
    ("smpte170m", "bt2020-10", "bt2020-12", "bt1361e", "iec61966-2-4"),
    "bt709",
)
_SAME_PRIMARIES = {"smpte240m": "smpte170m"}

# Transfer functions that no SDR display shows: against any other, the samples stand for other light.
_APART = frozenset({"smpte2084", "arib-std-b67", "linear", "log100", "log316", "smpte428"})
_HDR = {"smpte2084": "HDR (PQ)", "arib-std-b67": "HDR (HLG)"}

_HD_WIDTH, _SD_HEIGHT = 1280, 576


def compare_colours(
    reference: Colour, distorted: Colour, *, names: Names = FRAMES, size: tuple[int, int] = (0, 0)
) -> list[str]:
    """Compare how the samples of both sides stand for colours.

    What a side does not state is taken to be what players take it for: limited range; BT.709, or BT.601 up to 576 lines.
    Many files lose these tags, so that a missing one is no reason to refuse, unless the other side is full range.

    Args:
        reference, distorted: the colour of each, that of its frames rather than that of its container.
        names: how messages name the two.
        size: width and height of the distorted side, which decide what an unspecified matrix is taken for.

    Returns:
        Notes: differences that make scores doubtful.

    Raises:
        InputError: the sides differ in range or matrix, or only one is HDR; their samples cannot be compared.
    """
    _refuse_ranges(reference.range, distorted.range, names)
    notes = _compare_matrices(reference.matrix, distorted.matrix, names, size)
    notes += _compare_transfers(reference.transfer, distorted.transfer, names)
    ours, theirs = (_SAME_PRIMARIES.get(c.primaries, c.primaries) for c in (reference, distorted))
    if ours and theirs and ours != theirs:
        notes.append(
            f"colour primaries differ: {names[0]} states {reference.primaries}, {names[1]} {distorted.primaries}; samples are "
            "compared as they are"
        )
    return notes


def _refuse_ranges(reference: str, distorted: str, names: Names) -> None:
    if (reference or _DEFAULT_RANGE) == (distorted or _DEFAULT_RANGE):
        return
    words = [
        _RANGES.get(r, "without a stated range, which players take for limited (tv)") for r in (reference, distorted)
    ]
    full = names[0] if reference == "pc" else names[1]
    raise InputError(
        f"colour ranges differ: {names[0]} is {words[0]}, {names[1]} is {words[1]}: convert {full} with FFmpeg's options "
        "-vf scale=out_range=tv -color_range tv -pix_fmt yuv420p (or its own format without the j of yuvj), or correct the "
        "tag if that is wrong"
    )


def _compare_matrices(reference: str, distorted: str, names: Names, size: tuple[int, int]) -> list[str]:
    ours, theirs = (_SAME_MATRIX.get(name, name) for name in (reference, distorted))
    if ours == theirs:
        return []
    if (ours and theirs) or "gbr" in (ours, theirs):
        words = [name or "not stated" for name in (reference, distorted)]
        remedy = f"-vf scale=out_color_matrix={words[0]} -colorspace {words[0]}"
        if not {*words} <= _SCALED:
            remedy = f"-vf zscale=matrix={words[0]}" if "gbr" not in words else "-pix_fmt"
        raise InputError(
            f"colour matrices differ: that of {names[0]} is {words[0]}, that of {names[1]} is {words[1]}: convert "
            f"{names[1]} with FFmpeg's option {remedy}, or correct the tag if that is wrong"
        )
    stated, silent = (names[0], names[1]) if ours else (names[1], names[0])
    high = size[0] >= _HD_WIDTH or size[1] > _SD_HEIGHT
    if (ours or theirs) in (("bt709",) if high else ("bt709", "smpte170m")):
        return []
    return [
        f"{stated} states the colour matrix {reference or distorted}, {silent} states none and is taken to have the same; "
        "if it does not, the scores are wrong"
    ]


def _compare_transfers(reference: str, distorted: str, names: Names) -> list[str]:
    ours, theirs = (_SAME_TRANSFER.get(name, name) for name in (reference, distorted))
    apart = not _APART.isdisjoint((ours, theirs))
    if ours == theirs or not (apart or (ours and theirs)):
        return []
    words = [f"{name}, {_HDR[name]}" if name in _HDR else name for name in (reference, distorted)]
    if ours and theirs:
        if apart:
            raise InputError(
                f"transfer functions differ: that of {names[0]} is {words[0]}, that of {names[1]} {words[1]}: their samples "
                "stand for other light, so that no score means anything: compare HDR with HDR and SDR with SDR, for example "
                "with a master that was tone-mapped by the same tool"
            )
        return [
            f"transfer functions differ: {names[0]} states {reference}, {names[1]} {distorted}; samples are compared as "
            "they are"
        ]
    stated, silent, word = (names[0], names[1], words[0]) if ours else (names[1], names[0], words[1])
    return [
        f"{stated} states the transfer function {word}, {silent} states none and is taken to have the same; if it is SDR, "
        "the scores are wrong"
    ]
