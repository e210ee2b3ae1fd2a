"""Folders and lists of images, with masks and opinion scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pyvmaf.base.files import read_json
from pyvmaf.frames.pictures import Pictures
from tests.make.commands import command, refusal
from tests.make.images import save


def noise(seed: int, *shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture
def duts(tmp_path: Path) -> Path:
    """Three images and their masks, laid out as DUTS-TR is."""
    for number in range(3):
        save(tmp_path / "DUTS-TR" / "DUTS-TR-Image" / f"im_{number}.png", noise(number, 24, 32, 3))
        mask = np.where(noise(number + 9, 24, 32) > 127, 255, 0).astype(np.uint8)
        save(tmp_path / "DUTS-TR" / "DUTS-TR-Mask" / f"im_{number}.png", mask)
    return tmp_path / "DUTS-TR"


def extract(*words: object, cwd: Path) -> Pictures:
    output = cwd / "x.safetensors"
    done = command("extract-frames", *words, "-o", output, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return Pictures.open(output.with_suffix(".parquet"))


def test_images_and_masks_of_duts(duts: Path, tmp_path: Path) -> None:
    pictures = extract(duts, "--colour", "rgb24", cwd=tmp_path)
    assert len(pictures) == 3
    for number in range(3):
        assert np.array_equal(pictures.picture(number), noise(number, 24, 32, 3))
        mask = pictures.mask(number)
        assert mask is not None
        assert np.array_equal(mask, np.where(noise(number + 9, 24, 32) > 127, 255, 0))
        assert pictures.reference(number) is None
    rows = pictures.rows.to_pandas()
    assert rows["source"].tolist() == ["im_0", "im_1", "im_2"]
    assert set(rows["corpus"]) == {"x"}
    details = read_json(tmp_path / "x.safetensors.manifest.json")["details"]
    assert (details["pictures"], details["masks"], details["rated"]) == (3, 3, 0)


def test_pictures_and_masks_are_scaled_and_cropped_alike(duts: Path, tmp_path: Path) -> None:
    pictures = extract(duts, "--longest", 16, "--crop", "8x6", cwd=tmp_path)
    mask = pictures.mask(0)
    assert mask is not None
    assert pictures.picture(0).shape == mask.shape == (6, 8)


def test_a_list_names_masks_scenes_and_scores(tmp_path: Path) -> None:
    for number in range(2):
        save(tmp_path / "data" / f"{number}.png", noise(number, 8, 8))
    save(tmp_path / "data" / "m.png", noise(5, 8, 8))
    listed = tmp_path / "list.csv"
    listed.write_text("image,mask,source,group,mos,mos_std\n0.png,m.png,s,g,3.5,.5\n1.png,,,,,\n")
    pictures = extract(listed, "--root", "data", "--mos-scale", "1,5", "--corpus", "rated", cwd=tmp_path)
    assert pictures.mos_scale == (1, 5)
    rows = pictures.rows.to_pandas()
    assert rows[["source", "group"]].to_numpy().tolist() == [["s", "g"], ["1", "1"]]
    assert rows["mos"][0] == 3.5
    assert rows["mos_std"][0] == 0.5
    assert rows["mos"].isna().tolist() == [False, True]
    mask = pictures.mask(0)
    assert mask is not None
    assert np.array_equal(mask, noise(5, 8, 8))
    assert pictures.mask(1) is None
    assert "the scale of the opinion scores is not said" in refusal(
        "extract-frames", listed, "--root", tmp_path / "data", "-o", tmp_path / "y.safetensors"
    )


def test_scores_of_a_folder(tmp_path: Path) -> None:
    for name in ("a/one.png", "b/two.png"):
        save(tmp_path / "images" / name, noise(1, 8, 8))
    (tmp_path / "mos.csv").write_text("key,mos\none.png,2\nb/two,4\n")
    pictures = extract(tmp_path / "images", "--mos", tmp_path / "mos.csv", "--mos-scale", "1,5", cwd=tmp_path)
    rows = pictures.rows.to_pandas()
    assert dict(zip(rows["clip"], rows["mos"], strict=True)) == {"a_one": 2.0, "b_two": 4.0}
    assert rows["group"].tolist() == ["a", "b"]
    (tmp_path / "mos.csv").write_text("key,mos\none.png,2\nthree,4\n")
    words = ("--mos", tmp_path / "mos.csv", "--mos-scale", "1,5", "-o", tmp_path / "y.safetensors")
    assert "rates 1 images that" in refusal("extract-frames", tmp_path / "images", *words)
    (tmp_path / "mos.csv").write_text("key,mos\none.png,7\n")
    assert "MOS 7 lies outside of its scale, 1 to 5" in refusal("extract-frames", tmp_path / "images", *words)


def refused(tmp_path: Path, *words: object) -> str:
    text = refusal("extract-frames", *words, "-o", tmp_path / "out" / "x.safetensors")
    assert not list(tmp_path.glob("out/*"))
    return text


def test_a_mask_of_another_size_is_refused(duts: Path, tmp_path: Path) -> None:
    save(duts / "DUTS-TR-Mask" / "im_1.png", noise(1, 24, 33))
    text = refused(tmp_path, duts, "--size", "16x12")
    assert "im_1.png has 33x24 pixels, but its image" in text
    assert "has 32x24" in text


def test_images_of_mixed_sizes_are_refused_unless_scaled(duts: Path, tmp_path: Path) -> None:
    for folder in ("Image", "Mask"):
        save(duts / f"DUTS-TR-{folder}" / "im_2.png", noise(1, 30, 32))
    assert "gives pictures of 32x30" in refused(tmp_path, duts)
    assert len(extract(duts, "--size", "16x12", cwd=tmp_path)) == 3
    assert len(extract(duts, "--crop", "20x20", cwd=tmp_path)) == 3


def test_a_picture_smaller_than_the_crop_is_refused(duts: Path, tmp_path: Path) -> None:
    assert "im_0.png: a crop to 33x20 does not fit into frames of 32x24" in refused(tmp_path, duts, "--crop", "33x20")


def test_a_damaged_image_is_refused(duts: Path, tmp_path: Path) -> None:
    path = duts / "DUTS-TR-Image" / "im_1.png"
    path.write_bytes(path.read_bytes()[:-200])
    assert "im_1.png is" in refused(tmp_path, duts)


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("DUTS-TR-Mask/im_1.png", "1 of 3 images have no mask of the same stem"),
        ("DUTS-TR-Image/im_1.png", "1 of 3 masks have no image of the same stem"),
    ],
)
def test_images_and_masks_without_the_other_are_refused(duts: Path, tmp_path: Path, gone: str, message: str) -> None:
    (duts / gone).unlink()
    text = refused(tmp_path, duts)
    assert message in text
    assert "im_1.png" in text


def test_zero_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no images" in refused(tmp_path, tmp_path / "empty")
    (tmp_path / "list.csv").write_text("image,mask\n")
    assert "holds no images" in refused(tmp_path, tmp_path / "list.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("picture\na.png\n", "must have the column image, but has picture"),
        ("image\nb.png\n", "list.csv line 2: no such file"),
        ("image\n../a.png\n", "would lie outside of"),
        ("image\na.png\na.png\n", "list.csv line 3 has the image of"),
        ("image,mos\na.png,good\n", "mos 'good' of 'a.png' is not a number"),
    ],
)
def test_lists_that_are_wrong_are_refused(tmp_path: Path, text: str, message: str) -> None:
    save(tmp_path / "a.png", noise(1, 8, 8))
    (tmp_path / "list.csv").write_text(text)
    assert message in refused(tmp_path, tmp_path / "list.csv", "--mos-scale", "1,5")


def test_options_of_videos_are_refused(duts: Path, tmp_path: Path) -> None:
    assert "an image has one frame" in refused(tmp_path, duts, "--count", 1)
    assert "--group goes with a video" in refused(tmp_path, duts, "--group", "g")
