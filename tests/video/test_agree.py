"""What two sides of a pair say about themselves: what is refused, what is noted, and what is one thing by two names."""

from __future__ import annotations

from itertools import product

import av
import pytest

from pyvmaf.errors import InputError
from pyvmaf.video.agree import compare_colours
from pyvmaf.video.format import Colour

HD = Colour("tv", "bt709", "bt709", "bt709")
SD = Colour("tv", "smpte170m", "smpte170m", "smpte170m")
HLG = Colour("tv", "bt2020nc", "arib-std-b67", "bt2020")
PQ = Colour("tv", "bt2020nc", "smpte2084", "bt2020")
SDR = Colour("tv", "bt2020nc", "bt2020-10", "bt2020")
FULL = Colour("pc", "bt709", "bt709", "bt709")
NAMES = ("a.mkv", "b.mkv")


@pytest.mark.parametrize(
    ("reference", "distorted", "size"),
    [
        *((colour, colour, (640, 360)) for colour in (HD, SD, HLG, PQ, SDR, FULL, Colour())),
        pytest.param(SD, Colour("tv", "bt470bg", "bt709", "smpte240m"), (720, 576), id="two names of BT.601"),
        pytest.param(SDR, Colour("tv", "bt2020nc", "bt2020-12", "bt2020"), (1920, 1080), id="one curve of BT.2020"),
        pytest.param(SDR, Colour("tv", "bt2020nc", "bt709", "bt2020"), (1920, 1080), id="the curve of BT.709"),
        *(pytest.param(HD, Colour(), size, id=f"no tags {size[1]}") for size in ((176, 144), (1920, 1080))),
        pytest.param(SD, Colour(), (720, 480), id="no tags of BT.601"),
        pytest.param(Colour("pc", "", "", ""), Colour("pc", "bt709", "", ""), (640, 360), id="full without matrix"),
    ],
)
def test_sides_that_agree_need_no_word(reference: Colour, distorted: Colour, size: tuple[int, int]) -> None:
    assert compare_colours(reference, distorted, names=NAMES, size=size) == []
    assert compare_colours(distorted, reference, names=NAMES, size=size) == []


@pytest.mark.parametrize(
    ("reference", "distorted", "words"),
    [
        pytest.param(HD, FULL, ["ranges differ", "limited range (tv)", "full range (pc)"], id="range"),
        pytest.param(Colour(), FULL, ["ranges differ", "without a stated range", "full range (pc)"], id="no range"),
        pytest.param(HD, SD, ["matrices differ", "bt709", "smpte170m", "-vf scale="], id="matrix"),
        pytest.param(HD, Colour("tv", "ycgco"), ["matrices differ", "ycgco", "-vf zscale="], id="rare matrix"),
        pytest.param(SDR, Colour("tv", "bt2020c"), ["matrices differ", "bt2020nc", "bt2020c"], id="bt2020c"),
        pytest.param(Colour(), Colour("", "gbr"), ["matrices differ", "not stated", "gbr"], id="RGB"),
        pytest.param(HLG, SDR, ["transfer", "arib-std-b67, HDR (HLG)", "bt2020-10"], id="HLG and SDR"),
        pytest.param(PQ, HLG, ["transfer", "smpte2084, HDR (PQ)", "arib-std-b67, HDR (HLG)"], id="PQ and HLG"),
        pytest.param(HD, Colour("tv", "bt709", "linear"), ["transfer", "linear"], id="linear light"),
    ],
)
def test_sides_that_cannot_be_compared_are_refused(reference: Colour, distorted: Colour, words: list[str]) -> None:
    for one, other in ((reference, distorted), (distorted, reference)):
        with pytest.raises(InputError) as error:
            compare_colours(one, other, names=NAMES)
        assert all(word in str(error.value) for word in [*words, *NAMES])


@pytest.mark.parametrize(
    ("stated", "silent", "size", "words"),
    [
        pytest.param(SDR, Colour(), (1920, 1080), ["matrix bt2020nc", "states none"], id="bt2020"),
        pytest.param(SD, Colour(), (1920, 1080), ["matrix smpte170m", "states none"], id="BT.601 in HD"),
        pytest.param(
            Colour("tv", "bt709", "smpte2084"),
            Colour("tv", "bt709"),
            (640, 360),
            ["transfer function smpte2084, HDR (PQ)", "states none"],
            id="HDR",
        ),
        pytest.param(HD, Colour("tv", "bt709", "iec61966-2-1", "bt709"), (0, 0), ["bt709", "iec61966-2-1"], id="sRGB"),
        pytest.param(
            HD, Colour("tv", "bt709", "bt709", "bt2020"), (0, 0), ["primaries", "bt709", "bt2020"], id="gamut"
        ),
    ],
)
def test_doubts_are_noted(stated: Colour, silent: Colour, size: tuple[int, int], words: list[str]) -> None:
    for one, other in ((stated, silent), (silent, stated)):
        (note,) = compare_colours(one, other, names=NAMES, size=size)
        assert all(word in note for word in [*words, *NAMES])


def test_the_same_answer_in_both_directions() -> None:
    """Whether a pair is refused, noted or accepted does not depend on which of the two is the reference."""
    values = [
        Colour(*parts)
        for parts in product(
            ("", "tv", "pc"), ("", "bt709", "smpte170m", "gbr"), ("", "bt709", "smpte2084"), ("", "bt2020")
        )
    ]

    def answer(one: Colour, other: Colour) -> int:
        try:
            return len(compare_colours(one, other))
        except InputError:
            return -1

    assert all(answer(one, other) == answer(other, one) for one in values for other in values)
    assert {answer(one, other) for one in values for other in values} >= {-1, 0, 1}


@pytest.mark.parametrize(("pix_fmt", "range_"), [("yuvj420p", "pc"), ("yuv420p", "")])
def test_a_pixel_format_may_state_the_range(pix_fmt: str, range_: str) -> None:
    assert Colour.of(av.VideoFrame(16, 16, pix_fmt)).range == range_
