from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from pyvmaf.errors import InputError
from pyvmaf.video.format import Format
from pyvmaf.video.made import KINDS, Chosen, Held, Made, uniform
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
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("faded", "vivid")])
def test_made_frames_have_the_format_of_the_video(embedded_corpus: dict[str, Path], kind: str, luma: bool) -> None:
    reader = Reader(embedded_corpus["carphone"])
    first = next(reader.planes(luma=luma))
    made = Made(reader, kind)
    assert (made.format, made.count_packets()) == (reader.format, 120)
    for frame, wide in itertools.islice(
        zip(made.planes(luma=luma), made.widened(10).planes(luma=luma), strict=True), 3
    ):
        assert [(p.shape, p.dtype) for p in frame] == [(p.shape, p.dtype) for p in first]
        assert all(np.array_equal(w, p.astype(np.uint16) << 2) for w, p in zip(wide, frame, strict=True))


def test_the_identity_of_made_frames(embedded_corpus: dict[str, Path]) -> None:
    reader = Reader(embedded_corpus["carphone"])
    assert Made(reader, "black").identity() == {"as": "176x144 yuv420p", "made": "black"}
    assert Made(reader, "faded").identity() == {**reader.identity(), "made": "faded"}
    assert Made(reader, "noise").identity() == {"as": "176x144 yuv420p", "made": "noise"}
    assert len({str(Made(reader, kind).identity()) for kind in KINDS}) == len(KINDS)
    with pytest.raises(InputError, match="unknown kind of frames 'blac': did you mean 'black'"):
        Made(reader, "blac")


def test_noise_is_the_same_noise_every_time(embedded_corpus: dict[str, Path]) -> None:
    made = [Made(Reader(embedded_corpus["carphone"]), kind) for kind in ("noise", "noisy")]
    for one in made:
        first, second = ([f[0].copy() for f in itertools.islice(one.planes(), 3)] for _ in range(2))
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
        assert not np.array_equal(first[0], first[1])
    levels = next(made[0].planes())[0]
    assert (levels.min(), levels.max()) == (16, 235)


def test_chosen_frames_come_in_the_order_they_are_named(embedded_corpus: dict[str, Path]) -> None:
    reader = Reader(embedded_corpus["carphone"])
    every = [f[0].copy() for f in reader.planes()]
    order = [5, 0, 0, 119, 5]
    held = Held(reader, [0, 5, 119])
    chosen = Chosen(held, order)
    assert (chosen.format, chosen.stated_frames, chosen.count_packets(), chosen.count_frames()) == (
        reader.format,
        5,
        5,
        5,
    )
    for luma in (True, False):
        frames = list(chosen.planes(luma=luma))
        assert [len(f) for f in frames] == [1 if luma else 3] * 5
        assert all(np.array_equal(f[0], every[n]) for f, n in zip(frames, order, strict=True))
    wide = list(chosen.widened(10).planes())
    assert all(np.array_equal(w[0], every[n].astype(np.uint16) << 2) for w, n in zip(wide, order, strict=True))
    assert chosen.identity() == {**reader.identity(), "frames": order}
    mirrored = list(Made(chosen, "mirrored").planes())
    assert all(np.array_equal(f[0], every[n][:, ::-1]) for f, n in zip(mirrored, order, strict=True))


def test_blocks_are_of_one_sample(embedded_corpus: dict[str, Path]) -> None:
    reader = Reader(embedded_corpus["carphone"])
    luma, block = next(Made(reader, "coarse").planes())[0], next(reader.planes())[0]
    for row, column in ((0, 0), (8, 16), (136, 168)):
        assert np.unique(luma[row : row + 8, column : column + 8]).tolist() == [block[row + 4, column + 4]]
