from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from pyvmaf.errors import InputError
from pyvmaf.video.format import Format
from pyvmaf.video.made import Made, uniform
from pyvmaf.video.reader import Reader


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_a_uniform_picture_is_of_limited_range(bits: int) -> None:
    form = Format.planar(5, 3, "420", bits)
    luma, cb, cr = uniform(form, 16)
    assert (luma.shape, cb.shape, cr.shape) == ((3, 5), (2, 3), (2, 3))
    assert {int(v) for v in luma.ravel()} == {16 << (bits - 8)}
    assert {int(v) for v in np.concatenate([cb.ravel(), cr.ravel()])} == {1 << (bits - 1)}
    assert [p.dtype for p in (luma, cb)] == [np.uint8 if bits == 8 else np.uint16] * 2
    assert len(uniform(Format.planar(5, 3, "400", bits), 128)) == 1


@pytest.mark.parametrize("luma", [True, False])
@pytest.mark.parametrize("kind", ["frozen", "black", "flat"])
def test_made_frames_have_the_format_of_the_video(embedded_corpus: dict[str, Path], kind: str, luma: bool) -> None:
    reader = Reader(embedded_corpus["carphone"])
    first = next(reader.planes(luma=luma))
    made = Made(reader, kind)
    assert (made.format, made.count_packets()) == (reader.format, 120)
    wide = next(made.widened(10).planes(luma=luma))
    for frame in itertools.islice(made.planes(luma=luma), 3):
        assert [(p.shape, p.dtype) for p in frame] == [(p.shape, p.dtype) for p in first]
        if kind == "frozen":
            assert all(np.array_equal(ours, theirs) for ours, theirs in zip(frame, first, strict=True))
        assert all(np.array_equal(w, p.astype(np.uint16) << 2) for w, p in zip(wide, frame, strict=True))


def test_the_identity_of_made_frames(embedded_corpus: dict[str, Path]) -> None:
    reader = Reader(embedded_corpus["carphone"])
    assert Made(reader, "black").identity() == {"as": "176x144 yuv420p", "made": "black"}
    assert Made(reader, "frozen").identity() == {**reader.identity(), "made": "frozen"}
    with pytest.raises(InputError, match="unknown kind of frames 'white'"):
        Made(reader, "white")
