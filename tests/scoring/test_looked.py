"""Models that look at pictures on real videos: scores without a reference, and filtered videos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyvmaf
from pyvmaf.errors import InputError
from pyvmaf.features.options import Reading, Window
from pyvmaf.runtime.load import load_model
from pyvmaf.scoring.filtering import changed_luma, expanded, filter_video, find_filter
from pyvmaf.scoring.looked import gray_pictures
from pyvmaf.scoring.predict import warnings_of
from pyvmaf.video.reader import Reader
from tests.make.commands import command
from tests.make.pictures import FILTER, SCORE, shipped, write_pictures


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A score and a filter."""
    folder = tmp_path_factory.mktemp("models")
    pictures = write_pictures(folder / "pictures.parquet")
    found = [shipped(folder / spec["name"], spec, pictures) / "model.onnx" for spec in (SCORE, FILTER)]
    return found[0], found[1]


def test_each_frame_is_scored_alone_without_a_reference(pair: tuple[Path, Path], models: tuple[Path, Path]) -> None:
    scores = pyvmaf.score(None, pair[1], model=models[0], frames=(2, 9), subsample=3)
    assert scores.frame_index.tolist() == [2, 5, 8]
    numbers, pictures = zip(*gray_pictures(pair[1], Reading(window=Window(5, 6))), strict=True)
    assert np.concatenate(numbers).tolist() == [5]
    expected = load_model(models[0]).predict(np.concatenate(pictures)).scores
    assert scores["small_nr"][1] == expected[0]
    assert scores.summaries["small_nr"]["score"] == pytest.approx(scores["small_nr"].mean())
    (warning, *_) = warnings_of(scores.summaries)
    assert "of the frames lie outside the range of its training data (" in warning


def test_a_pair_has_the_scores_of_its_distorted_video(pair: tuple[Path, Path], models: tuple[Path, Path]) -> None:
    alone = pyvmaf.score(None, pair[1], model=models[0], frames=(0, 3))
    both = pyvmaf.score(*pair, model=["vmaf_v0.6.1", str(models[0])], frames=(0, 3))
    assert np.array_equal(both["small_nr"], alone["small_nr"])
    assert np.isfinite(both["vmaf"]).all()


def test_what_needs_a_reference_says_so(pair: tuple[Path, Path], models: tuple[Path, Path]) -> None:
    with pytest.raises(
        InputError, match=r"vmaf_v0.6.1 cannot be computed without a reference: name the reference first"
    ):
        pyvmaf.score(None, pair[1])
    with pytest.raises(InputError, match="adm2 cannot be computed without a reference"):
        pyvmaf.score(None, pair[1], model=models[0], features="adm2")
    with pytest.raises(InputError, match="small_filter makes pictures, not scores: `vmaf-train filter` uses it"):
        pyvmaf.score(None, pair[1], model=models[1])
    with pytest.raises(InputError, match=r"has [0-9]+ frames, none of which"):
        pyvmaf.score(None, pair[1], model=models[0], frames=(100_000, None))


def test_a_filtered_video_differs_in_luma_only(
    tmp_path: Path, pair: tuple[Path, Path], models: tuple[Path, Path], convert: Callable[..., Path]
) -> None:
    short = convert(pair[1], "four.mkv", "-frames:v", "4", "-c:v", "ffv1")
    done = filter_video(short, tmp_path / "out.mkv", model=models[1], reference=None)
    before, after = Reader(short), Reader(tmp_path / "out.mkv")
    assert after.coded.pix_fmt == before.coded.pix_fmt
    assert done.frames == 4
    family: Any = find_filter(models[1]).family
    changes = []
    for old, new in zip(before.frames(), after.frames(), strict=True):
        planes = [frame.to_ndarray().astype(np.uint8) for frame in (old, new)]
        height = old.height
        assert np.array_equal(planes[0][height:], planes[1][height:])
        seen = expanded(planes[0][:height], full=False)
        answer = 255 * np.asarray(family.filtered(seen), np.float64)
        assert np.array_equal(planes[1][:height], changed_luma(planes[0][:height], seen, answer, full=False))
        changes.append(np.abs(planes[0][:height].astype(float) - planes[1][:height]).mean())
    assert done.changed == pytest.approx(np.mean(changes))
    assert done.changed > 0
    filter_video(short, tmp_path / "again.mkv", model=models[1])
    assert (tmp_path / "again.mkv").read_bytes() == (tmp_path / "out.mkv").read_bytes()


def test_videos_that_are_not_filtered(
    tmp_path: Path, pair: tuple[Path, Path], models: tuple[Path, Path], convert: Callable[..., Path]
) -> None:
    deep = convert(pair[1], "deep.mkv", "-frames:v", "2", "-pix_fmt", "yuv420p10le", "-c:v", "ffv1")
    with pytest.raises(InputError, match="has the pixel format yuv420p10le, but luma of 8 bits is filtered"):
        filter_video(deep, tmp_path / "out.mkv", model=models[1])
    with pytest.raises(InputError, match=r"out\.mp4 is to hold lossless FFV1: end its name in \.mkv"):
        filter_video(pair[1], tmp_path / "out.mp4", model=models[1])
    with pytest.raises(InputError, match="model small_nr is not a filter"):
        filter_video(pair[1], tmp_path / "out.mkv", model=models[0])
    assert not (tmp_path / "out.mkv").exists()


def test_the_commands(
    tmp_path: Path, pair: tuple[Path, Path], models: tuple[Path, Path], convert: Callable[..., Path]
) -> None:
    shown = command("score", pair[1], "--model", models[0], "--frames", "0:2", "-o", tmp_path / "s.csv")
    assert "small_nr" in shown.stdout
    assert (tmp_path / "s.csv").read_text().startswith("frame_index,small_nr\n")
    short = [convert(one, f"three{n}.mkv", "-frames:v", "3", "-c:v", "ffv1") for n, one in enumerate(pair)]
    filtered = command("filter", short[1], tmp_path / "out.mkv", "--model", models[1], "--reference", short[0])
    for metric in ("vmaf", "psnr_y", "float_ssim"):
        assert metric in filtered.stdout
