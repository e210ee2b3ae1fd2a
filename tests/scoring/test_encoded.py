"""CAMBI of videos that were scaled: the scores with the size and depth of the encode written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyvmaf.scoring.score import score
from tests.make.videos import make_video

FULL = "vmaf_v1.0.16_3d0h"


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("scaled")
    large = make_video(folder / "large.mkv", "480x360", 3)
    return large, make_video(folder / "small.mkv", "240x180", 3)


@pytest.mark.parametrize(
    ("reading", "options"),
    [
        ({"scale": True}, ":cambi.enc_height=180:cambi.enc_width=240"),
        ({"scale": True, "bit_depth": 10}, ":cambi.enc_bitdepth=8:cambi.enc_height=180:cambi.enc_width=240"),
        # Pictures of the size and depth of the encode.
        ({"scale": "240x180"}, ""),
        ({"scale": "240x180", "bit_depth": 10}, ""),
    ],
)
def test_the_encode_is_filled_in(scaled: tuple[Path, Path], reading: dict[str, Any], options: str) -> None:
    scores = score(*scaled, model=["v1", "v0.6"], **reading)
    assert scores.libvmaf_models == {"vmaf": FULL + options, "vmaf_v0.6.1": "vmaf_v0.6.1"}
    assert any(note.startswith("CAMBI is measured at the size and depth") for note in scores.notes) == bool(options)
    if options:
        stated = score(*scaled, model=[FULL + options, "v0.6"], **reading)
        assert [name.removesuffix(options) for name in stated.columns] == list(scores.columns)
        for mine, theirs in zip(scores.columns.values(), stated.columns.values(), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert not any("CAMBI" in note for note in stated.notes)


def test_rows_that_are_handed_over_have_the_same_columns(scaled: tuple[Path, Path]) -> None:
    rows: list[dict[str, Any]] = []
    scores = score(*scaled, model="v1", scale=True, take=rows.append)
    assert rows == list(scores.rows())


def test_what_is_stated_stays(scaled: tuple[Path, Path]) -> None:
    scores = score(*scaled, model="v1:cambi.enc_bitdepth=10", scale=True)
    assert scores.libvmaf_models == {"vmaf": f"{FULL}:cambi.enc_bitdepth=10"}
