"""Comparison of what the two sides of a pair say about themselves: colour, scanning, shape and rate.

A difference that makes scores wrong is refused, with both values and the remedy. A difference that only makes them
doubtful gives a note, one line for the person who reads the scores.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

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

# Which field is shown first, by the field order of a header.
_FIELDS = {"tt": "top", "bb": "bottom", "tb": "unknown", "bt": "unknown"}

# Matrices between which players choose if a video states none.
_BY_SIZE = ("bt709", "smpte170m")
_HD_WIDTH, _SD_HEIGHT = 1280, 576

# Sizes of one picture are rounded to whole, even or more samples: their aspects differ by less than this share.
_ROUNDED = Fraction(1, 100)


@dataclass(frozen=True)
class Side:
    """What a video says about itself, as far as a comparison depends on it.

    Attributes:
        path: the file, for messages.
        width, height: samples of the pictures that players show, before any scaling.
        colour: colour of its frames.
        stated: colour that its container states.
        flagged: whether its first frame is flagged as interlaced.
        field_order: order of its fields that its header states, as `pyvmaf.video.format.Stream.field_order`.
        sample_aspect: width over height of a sample; 1 if unknown.
        rates: frames per second, as `pyvmaf.video.format.Stream.rates`.
        seconds: how long its pictures last, as its header states; None if it does not.
        shown: what was done to its frames to show them as players do; empty if nothing.
        choice: which of several video streams was read, and how its samples were converted; empty if nothing is to be said.
        raw: whether it has no header, and so cannot say anything about its colours.
        profile: hash of the colour profile (ICC) of a picture; empty if it has none.
        converted: colour of the planes that are compared, if they were made of RGB.
        doubts: how it is read where a person might expect something else: "begins …", without its name.
    """

    path: Path
    width: int
    height: int
    colour: Colour = field(default_factory=Colour)
    stated: Colour = field(default_factory=Colour)
    flagged: bool = False
    field_order: str = ""
    sample_aspect: Fraction = Fraction(1)
    rates: tuple[Fraction, ...] = ()
    seconds: float | None = None
    shown: str = ""
    choice: str = ""
    raw: bool = False
    profile: str = ""
    doubts: tuple[str, ...] = ()
    converted: Colour | None = None

    @property
    def size(self) -> str:
        """Width and height as 1280x720."""
        return f"{self.width}x{self.height}"

    @property
    def compared(self) -> Colour:
        """Colour of the planes that are compared."""
        return self.converted or self.colour

    @property
    def aspect(self) -> Fraction:
        """Width over height of the picture on a screen."""
        return Fraction(self.width, self.height) * self.sample_aspect

    @property
    def fields(self) -> str:
        """Which field is shown first: "top", "bottom", "unknown", or empty if nothing states interlaced frames.

        Containers do not agree on what the orders "tb" and "bt" mean.
        """
        return _FIELDS.get(self.field_order, "") or ("unknown" if self.flagged else "")

    @property
    def interlaced(self) -> bool:
        """Whether its header or its first frame says so. Encoders often keep the one and lose the other."""
        return bool(self.fields)

    def own_notes(self) -> list[str]:
        """Return what was done to its frames, and `remarks`, each with its name."""
        return [*([self.choice] if self.choice else []), *(f"{self.path} {remark}" for remark in self.remarks())]

    def remarks(self) -> list[str]:
        """Return what a person should know of this video, whatever it is compared with: "is mirrored …", without its name."""
        remarks = list(self.doubts)
        remarks += [f"is {self.shown}, as players show it"] if self.shown else []
        for name, mine, theirs, same in (
            ("range", self.colour.range, self.stated.range, {}),
            ("matrix", self.colour.matrix, self.stated.matrix, _SAME_MATRIX),
            ("transfer function", self.colour.transfer, self.stated.transfer, _SAME_TRANSFER),
            ("primaries", self.colour.primaries, self.stated.primaries, _SAME_PRIMARIES),
        ):
            if mine and theirs and same.get(mine, mine) != same.get(theirs, theirs):
                remarks.append(
                    f"states two colours, {name} {theirs} in its container and {mine} in its frames: those of the frames are used"
                )
        return remarks


def compare(reference: Side, distorted: Side) -> list[str]:
    """Compare what two videos say about themselves, except sizes and rates.

    Returns:
        Notes: what was done to the frames, and differences that make scores doubtful. Those about one video do not depend
        on the other.

    Raises:
        InputError: they cannot be compared.
    """
    names = str(reference.path), str(distorted.path)
    size = distorted.width, distorted.height
    notes = [*reference.own_notes(), *distorted.own_notes()]
    if reference.raw or distorted.raw:
        notes += _raw_colours(reference, distorted)
    else:
        try:
            notes += compare_colours(reference.compared, distorted.compared, names=names, size=size)
        except InputError as err:
            raise _refuse_rgb(reference, distorted) or err from err
    if reference.profile != distorted.profile:
        notes.append(f"the colour profiles (ICC) of {names[0]} and {names[1]} differ; samples are compared as they are")
    notes += _compare_fields(reference, distorted)
    if reference.aspect != distorted.aspect and (reference.width, reference.height) == size:
        notes.append(
            f"sample aspect ratios differ: {names[0]} has {_ratio(reference.sample_aspect)}, {names[1]} "
            f"{_ratio(distorted.sample_aspect)}; samples are compared as they are"
        )
    return notes


def _refuse_rgb(reference: Side, distorted: Side) -> InputError | None:
    """Return the error for RGB against YUV of other colours than those to which RGB is converted; None for other pairs."""
    if (reference.converted is None) == (distorted.converted is None):
        return None
    rgb, other = (reference, distorted) if reference.converted else (distorted, reference)
    as_yuv, colour = rgb.compared.words, other.colour
    return InputError(
        f"colours differ: {rgb.path} is RGB, which is measured as {as_yuv}, {other.path} is {colour.words}: convert {rgb.path} with "
        f"FFmpeg's options -vf scale=out_color_matrix={colour.matrix or 'bt709'}:out_range={colour.range or 'tv'} -pix_fmt yuv444p "
        "-c:v libx264 -qp 0, or to the chroma layout of the other one"
    )


def unstated_matrix(reference: Side, distorted: Side) -> tuple[str, str] | None:
    """Return the matrix that one side alone states, and the one that the other side may have instead; None if it is clear.

    Only BT.601 and BT.709 are mistaken for each other: players choose between them by the size of the picture.
    """
    ours, theirs = (_SAME_MATRIX.get(side.colour.matrix, side.colour.matrix) for side in (reference, distorted))
    if bool(ours) == bool(theirs) or (ours or theirs) not in _BY_SIZE:
        return None
    return ours or theirs, next(name for name in _BY_SIZE if name != (ours or theirs))


def _raw_colours(reference: Side, distorted: Side) -> list[str]:
    """Return a note if a side that cannot state its colours is taken to have unusual ones."""
    silent, stated = (reference, distorted) if reference.raw else (distorted, reference)
    try:
        doubts = compare_colours(silent.colour, stated.colour, size=(stated.width, stated.height))
    except InputError:
        doubts = [""]
    if not doubts:
        return []
    return [
        f"{silent.path} has no header and is taken to have the colours of {stated.path} ({stated.colour.words}); if it has others, "
        "the scores are wrong"
    ]


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}:{value.denominator}"


def refuse_fields(interlaced: str, progressive: str, where: str = "") -> InputError:
    """Return the error for a pair of which only one side is interlaced."""
    return InputError(
        f"{where}{interlaced} is interlaced, {progressive} is not: their frames do not show the same moments; deinterlace the "
        "first, with FFmpeg's option -vf bwdif=send_frame or with score --deinterlace auto (a frame of each frame) or bob (of each field), "
        "compare with a version that is interlaced, or correct the flag if it is wrong (score --deinterlace weave ignores it)"
    )


def refuse_interlaced(path: Path, frames: int, field_order: str = "") -> InputError | None:
    """Return the error for interlaced material, which encoders and networks would take as progressive.

    Args:
        path: the video.
        frames: number of its frames that are flagged as interlaced.
        field_order: what its header states.

    Returns:
        None if the video is progressive.
    """
    if frames:
        reason = f"{frames} of its frames are flagged so"
    elif field_order in _FIELDS:
        reason = f"its header states the field order {field_order}, but its frames are not flagged so"
    else:
        return None
    return InputError(
        f"{path} is interlaced ({reason}): encodes and scores of its frames would take two fields for "
        "one picture: deinterlace it with FFmpeg's option -vf bwdif=send_frame first"
    )


def _compare_fields(reference: Side, distorted: Side) -> list[str]:
    if reference.interlaced != distorted.interlaced:
        first, second = (reference, distorted) if reference.interlaced else (distorted, reference)
        raise refuse_fields(str(first.path), str(second.path))
    ours, theirs = reference.fields, distorted.fields
    if {ours, theirs} == {"top", "bottom"}:
        raise InputError(
            f"field orders differ: {reference.path} shows the {ours} field first, {distorted.path} the {theirs} field: convert "
            f"one with FFmpeg's option -vf fieldorder={'tff' if ours == 'top' else 'bff'}, or correct the flag"
        )
    if reference.interlaced:
        return [
            f"{reference.path} and {distorted.path} are interlaced: VMAF is made for progressive video, and each frame is "
            "scored with both of its fields as one picture"
        ]
    return []


def same_shape(reference: Side, distorted: Side) -> bool:
    """Return whether the distorted picture may be the reference's at another size."""
    if (reference.width, reference.height) == (distorted.width, distorted.height):
        return True
    if reference.aspect == distorted.aspect:
        return True
    if reference.width == distorted.width or reference.height == distorted.height:
        # Rounded sizes differ in both directions: this is a crop, a border or a stretch.
        return False
    return abs(reference.aspect - distorted.aspect) <= _ROUNDED * reference.aspect


def looks_turned(reference: Side, distorted: Side) -> bool:
    """Return whether width and height are swapped."""
    return (reference.width, reference.height) == (distorted.height, distorted.width)


def stretched(reference: Side, distorted: Side) -> str:
    """Return the doubt about a distorted picture of another shape, which is scaled to the reference's all the same."""
    return (
        f"{distorted.path} is {distorted.size}, an aspect ratio of {float(distorted.aspect):.3f}, and is stretched to that of "
        f"{reference.path}, {reference.size} and {float(reference.aspect):.3f}: if one of them was cropped or has borders, their pictures "
        "do not lie on each other and the score is too low: use --crop or --pad instead"
    )


def shapes_differ(reference: Side, distorted: Side) -> InputError:
    """Return the error for pictures of different shape, which no scaling makes comparable."""
    sizes = f"{reference.path} is {reference.size}, {distorted.path} is {distorted.size}"
    if looks_turned(reference, distorted):
        return InputError(
            f"sizes are swapped: {sizes}: one looks turned by 90 degrees; turn it with FFmpeg's option -vf transpose=clock "
            "or transpose=cclock"
        )
    wide = distorted.width >= reference.width and distorted.height >= reference.height
    narrow = distorted.width <= reference.width and distorted.height <= reference.height
    same = reference.width == distorted.width or reference.height == distorted.height
    if same and (wide or narrow):
        outer, inner = (distorted, reference) if wide else (reference, distorted)
        return InputError(
            f"sizes differ: {sizes}: {outer.path} looks padded, letterboxed, or {inner.path} cropped; scaling would move the "
            f"pictures against each other, so cut {outer.path} with FFmpeg's option -vf crop={inner.width}:{inner.height}:0:0 "
            f"if the rows or columns were added at the end, or -vf crop={inner.width}:{inner.height} if around the picture (a "
            "picture that was squeezed is scaled with FFmpeg first)"
        )
    return InputError(
        f"aspect ratios differ: {reference.path} is {reference.size} ({float(reference.aspect):.3f}), {distorted.path} is "
        f"{distorted.size} ({float(distorted.aspect):.3f}): scaling would stretch the picture; one looks letterboxed or cropped: "
        "cut both to the same part of the picture (score --crop, or FFmpeg's filter crop), or give the right pair"
    )


def rates_differ(reference: Side, distorted: Side, frames: int) -> bool:
    """Return whether the frames of two videos drift apart: by half a frame or more over their length.

    Smaller differences are rounding: of 23.976 for 24000/1001, of time stamps to milliseconds. An average and the rate of
    the shortest frames count both, because one frame that is shown long changes the average.

    Args:
        reference, distorted: the videos. One that states no rate never differs.
        frames: number of frames of the shorter one.
    """
    pairs = [(ours, theirs) for ours in reference.rates for theirs in distorted.rates]
    drifts = [(frames - 1) * abs(1 / ours - 1 / theirs) * 2 * max(ours, theirs) for ours, theirs in pairs]
    return bool(drifts) and min(drifts) >= 1


def compare_rates(reference: Side, distorted: Side, frames: tuple[int, int]) -> list[str]:
    """Compare frame rates.

    Args:
        reference, distorted: the videos.
        frames: number of frames of each.

    Returns:
        A note if the rates differ, but the number of frames does not: frames are then compared by number.

    Raises:
        InputError: rates and numbers of frames differ, or the frames of one last longer than those of the other.
    """
    seconds = [
        side.seconds or (count / float(side.rates[0]) if side.rates else 0.0)
        for side, count in zip((reference, distorted), frames, strict=True)
    ]
    # The same time in fewer frames: some were dropped, or a variable rate became a constant one. A video that merely ends
    # earlier lasts shorter by the frames that it lacks.
    lacking = abs(frames[0] - frames[1])
    differ = rates_differ(reference, distorted, min(frames))
    fewer = lacking > 1 and min(seconds) > 0 and abs(seconds[0] - seconds[1]) < lacking / 2 * max(seconds) / max(frames)
    if not differ and not fewer:
        return []
    # A header may state the rate of the shortest frames.
    rates = [
        side.rates[0] if differ else count / length
        for side, count, length in zip((reference, distorted), frames, seconds, strict=True)
    ]
    ours, theirs = (f"{float(rate):.6g}" for rate in rates)
    if frames[0] == frames[1]:
        return [
            f"frame rates differ: {reference.path} has {ours} frames per second, {distorted.path} {theirs}; both have "
            f"{frames[0]} frames, which are compared by number (--fps nearest compares by time)"
        ]
    fast, slow = (reference, distorted) if rates[0] > rates[1] else (distorted, reference)
    remedy = f"{fast.path} with FFmpeg's option -vf fps={slow.rates[0]}"
    if not differ:
        remedy = f"{slow.path} with FFmpeg's option -vf fps={fast.rates[0] if fast.rates else f'{max(rates):.6g}'}"
    raise InputError(
        f"frame rates differ: {reference.path} has {ours} frames per second ({frames[0]} frames), {distorted.path} "
        f"{theirs} ({frames[1]} frames): frames of one number do not show the same moment; pair them by time with --fps nearest, "
        f"or at one rate with --fps reference or --fps distorted; or convert {remedy}"
    )


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
    # First what no conversion of samples mends.
    notes = _compare_transfers(reference.transfer, distorted.transfer, names)
    _refuse_ranges(reference.range, distorted.range, names)
    notes += _compare_matrices(reference.matrix, distorted.matrix, names, size)
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
        f"colour ranges differ: {names[0]} is {words[0]}, {names[1]} is {words[1]}: score with --range limited, or convert {full} with FFmpeg's options "
        "-vf scale=out_range=tv -color_range tv -pix_fmt yuv420p (or its own format without the j of yuvj), or correct the "
        "tag if that is wrong"
    )


def _compare_matrices(reference: str, distorted: str, names: Names, size: tuple[int, int]) -> list[str]:
    ours, theirs = (_SAME_MATRIX.get(name, name) for name in (reference, distorted))
    if ours == theirs:
        return []
    if (ours and theirs) or "gbr" in (ours, theirs):
        words = [name or "not stated" for name in (reference, distorted)]
        remedy = f"{names[1]} with FFmpeg's options -vf scale=out_color_matrix={words[0]} -colorspace {words[0]}"
        if "gbr" in words:
            rgb, other = (names[0], theirs) if ours == "gbr" else (names[1], ours)
            remedy = f"{rgb} with FFmpeg's options -vf scale=out_color_matrix={other or 'bt709'}:out_range=tv -pix_fmt yuv444p"
        elif not {*words} <= _SCALED:
            remedy = f"{names[1]} with FFmpeg's option -vf zscale=matrix={words[0]}"
        raise InputError(
            f"colour matrices differ: that of {names[0]} is {words[0]}, that of {names[1]} is {words[1]}: convert {remedy}, or "
            "correct the tag if that is wrong"
        )
    stated, silent = (names[0], names[1]) if ours else (names[1], names[0])
    high = size[0] >= _HD_WIDTH or size[1] > _SD_HEIGHT
    if (ours or theirs) in (_BY_SIZE[:1] if high else _BY_SIZE):
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
