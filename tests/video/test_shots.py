from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pyvmaf.video.probe import inspect
from pyvmaf.video.shots import HEIGHT, WIDTH, ShotDetector

SHARED = Path(os.environ.get("PYVMAF_SHARED", Path(__file__).parents[3] / "shared")) / "data"


def scene(seed: int, frames: int) -> list[NDArray[np.uint8]]:
    """A picture of its own that moves a little and flickers."""
    rng = np.random.default_rng(seed)
    picture = np.kron(rng.integers(0, 256, (6, 8)), np.ones((3, 4)))
    moved = [np.roll(picture, step, axis=1) * 0.1 + picture * 0.9 for step in range(frames)]
    return [np.clip(image + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8) for image in moved]


def cuts_of(frames: Sequence[NDArray[np.uint8]]) -> list[int]:
    detector = ShotDetector()
    for frame in frames:
        detector.add_thumbnail(frame)
    return detector.cuts()


def test_the_detector_finds_the_cuts_that_the_embedded_corpus_states(embedded_files: dict[str, Path]) -> None:
    bikes = inspect(embedded_files["bikes.mp4"])
    assert bikes.shots == ((0, 29), (30, 75), (76, 136), (137, 186), (187, 241), (242, 249))
    city = inspect(embedded_files["cityCC0.mpg"])
    assert city.shots == ((0, 115), (116, 189))
    assert inspect(embedded_files["bigbuckbunny.mp4"]).shots == ((0, 131),)
    assert inspect(embedded_files["carphone_pristine.mp4"]).shots == ((0, 119),)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"wider set of clips is not at {SHARED}")
@pytest.mark.parametrize(
    ("name", "cuts"),
    [
        ("clips/bbb_cuts.mkv", [5, 98]),
        # A cross-fade, which is not a cut, and a hard cut.
        ("clips/jwst_fade.mkv", [62]),
        ("clips/code_static_1080p.mkv", []),
        ("clips/pdf_scroll.264", []),
        ("clips/wood_rabbit.mkv", []),
        ("clips/bus_cif.mkv", []),
        ("clips/skyline_hlg10.mkv", []),
        # A hand-held camera that shakes violently.
        ("ugc/konvid_5115335471.mp4", []),
    ],
)
def test_real_cuts_fades_stills_and_fast_motion(name: str, cuts: list[int]) -> None:
    assert [first for first, _last in inspect(SHARED / name).shots[1:]] == cuts


@settings(deadline=None, max_examples=30)
@given(lengths=st.lists(st.integers(4, 20), min_size=1, max_size=5), seed=st.integers(0, 1000))
def test_scenes_joined_at_random_are_cut_where_they_were_joined(lengths: list[int], seed: int) -> None:
    frames = [frame for index, length in enumerate(lengths) for frame in scene(seed * 10 + index, length)]
    assert cuts_of(frames) == list(np.cumsum(lengths)[:-1])


def test_a_flash_is_not_a_cut() -> None:
    frames = scene(1, 20)
    for length in (1, 2, 3):
        flashed = list(frames)
        flashed[8 : 8 + length] = [np.full((HEIGHT, WIDTH), 255, np.uint8)] * length
        assert cuts_of(flashed) == []


def test_a_change_of_light_is_not_a_cut() -> None:
    frames = [frame // 2 for frame in scene(2, 10)] + scene(2, 10)
    assert cuts_of(frames) == []


def test_cuts_to_and_from_black_are_cuts() -> None:
    black = [np.zeros((HEIGHT, WIDTH), np.uint8)] * 10
    assert cuts_of([*scene(3, 10), *black, *scene(4, 10)]) == [10, 20]


def test_no_frame_and_one_frame() -> None:
    detector = ShotDetector()
    assert detector.shots() == ()
    detector.add_thumbnail(scene(5, 1)[0])
    assert detector.shots() == ((0, 0),)
