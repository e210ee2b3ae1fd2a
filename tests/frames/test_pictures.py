"""Tables of pictures, and files of pictures, read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.features.table import write_table
from pyvmaf.frames.pictures import Pictures
from pyvmaf.frames.storage import open_pictures, writing
from pyvmaf.frames.table import File, metadata, name_in, picture_table

SHAPES = {"gray": (6, 8), "rgb24": (6, 8, 3), "bgr24": (6, 8, 3), "rgba": (6, 8, 4), "bgra": (6, 8, 4)}


def noise(count: int, colour: str = "gray", seed: int = 0) -> NDArray[np.uint8]:
    shape = (count, *SHAPES[colour])
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def store(path: Path, pixels: NDArray[np.uint8], colour: str = "gray") -> Path:
    with writing(path, colour) as writer:
        for number, picture in enumerate(pixels):
            assert writer.add(picture, "noise") == number
    return path


def table_of(path: Path, colour: str, columns: dict[str, Any], **files: Path) -> Path:
    described = {name_in(path, file): File.of(file) for file in files.values()}
    data = {"width": [8] * len(columns["row"]), "height": [6] * len(columns["row"]), **columns}
    write_table(picture_table(data, metadata(colour=colour, files=described, model="", engine={})), path)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three pictures, of which the first has a reference and the last a mask."""
    pixels = store(tmp_path / "a.safetensors", noise(3))
    pristine = store(tmp_path / "b.safetensors", noise(2, seed=1))
    masks = store(tmp_path / "m.safetensors", noise(1, seed=2))
    columns = {
        "file": ["a.safetensors"] * 3,
        "row": [2, 0, 1],
        "reference_file": ["b.safetensors", None, None],
        "reference_row": [1, None, None],
        "mask_file": [None, None, "m.safetensors"],
        "mask_row": [None, None, 0],
    }
    return table_of(tmp_path / "t.parquet", "gray", columns, a=pixels, b=pristine, m=masks)


@pytest.mark.parametrize("colour", SHAPES)
def test_pictures_are_a_plain_safetensors_file(tmp_path: Path, colour: str) -> None:
    pixels = noise(3, colour)
    path = store(tmp_path / "a.safetensors", pixels, colour)
    assert list(load_file(path)) == ["pictures"]
    assert np.array_equal(load_file(path)["pictures"], pixels)
    mapped = open_pictures(path, colour)
    assert isinstance(mapped, np.memmap)
    assert np.array_equal(mapped, pixels)
    assert not mapped.flags.writeable


def test_a_row_finds_its_picture_reference_and_mask(table: Path) -> None:
    pictures = Pictures.open(table)
    assert len(pictures) == 3
    assert pictures.colour == "gray"
    assert np.array_equal(pictures.picture(0), noise(3)[2])
    assert np.array_equal(pictures.picture(2), noise(3)[1])
    pristine, mask = pictures.reference(0), pictures.mask(2)
    assert pristine is not None
    assert mask is not None
    assert np.array_equal(pristine, noise(2, seed=1)[1])
    assert np.array_equal(mask, noise(1, seed=2)[0])
    assert pictures.reference(1) is None
    assert pictures.mask(0) is None


def test_a_table_may_be_moved_with_its_pictures(table: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for file in tmp_path.glob("*.*"):
        file.rename(moved / file.name)
    assert np.array_equal(Pictures.open(moved / "t.parquet").picture(1), noise(3)[0])


def test_a_table_of_results_names_pictures_from_the_folder_of_results(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "tables").mkdir()
    pixels = store(tmp_path / "frames" / "a.safetensors", noise(1))
    path = table_of(tmp_path / "tables" / "t.parquet", "gray", {"file": ["frames/a.safetensors"], "row": [0]}, a=pixels)
    assert np.array_equal(Pictures.open(path).picture(0), noise(1)[0])


def test_pictures_of_another_size_are_refused(tmp_path: Path) -> None:
    def write() -> None:
        with writing(tmp_path / "a.safetensors", "gray") as writer:
            writer.add(np.zeros((6, 8), np.uint8), "a.png")
            writer.add(np.zeros((8, 6), np.uint8), "b.png")

    with pytest.raises(InputError, match=r"b\.png gives pictures of 6x8, a\.png of 8x6, .*scale them"):
        write()
    assert not list(tmp_path.iterdir())


def test_no_pictures_are_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"a\.safetensors would hold no pictures"),
        writing(tmp_path / "a.safetensors", "gray"),
    ):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [0, 7, 300, 511, 600])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, size: int) -> None:
    path = store(tmp_path / "a.safetensors", noise(3))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(IntegrityError, match=r"a\.safetensors is not a readable file of pictures"):
        open_pictures(path)


def test_another_safetensors_file_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"pictures": np.zeros((1, 2, 2), np.float32)}, tmp_path / "w.safetensors")
    with pytest.raises(IntegrityError, match="not one of pictures"):
        open_pictures(tmp_path / "w.safetensors")


def test_damage_of_pictures_is_found_when_a_table_is_opened(table: Path) -> None:
    path = table.parent / "a.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"a\.safetensors has the SHA-256 .*t\.parquet was made of a file with"):
        Pictures.open(table)
    path.write_bytes(data[:-1])
    with pytest.raises(IntegrityError, match="was made of"):
        Pictures.open(table)
    path.unlink()
    with pytest.raises(MissingFileError, match="which holds pictures of"):
        Pictures.open(table)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"row": [3]}, r"row 0 names picture 3 of a\.safetensors"),
        ({"row": [None]}, "row 0 names picture -1"),
        ({"width": [9]}, r"\(9x6\), which holds 3 of 8x6"),
        ({"file": [None]}, "row 0 has no picture"),
        ({"file": ["c.safetensors"]}, "does not state the hash of c"),
    ],
)
def test_a_table_that_names_other_pictures_is_refused(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    pixels = store(tmp_path / "a.safetensors", noise(3))
    path = table_of(tmp_path / "t.parquet", "gray", {"file": ["a.safetensors"], "row": [0], **columns}, a=pixels)
    with pytest.raises(IntegrityError, match=message):
        Pictures.open(path)


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    path = table_of(tmp_path / "t.parquet", "gray", {"file": [], "row": []})
    with pytest.raises(InputError, match=r"t\.parquet has no rows"):
        Pictures.open(path)


def test_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    outside = store(tmp_path / "a.safetensors", noise(1))
    (tmp_path / "inner").mkdir()
    path = tmp_path / "inner" / "t.parquet"
    data = {"width": [8], "height": [6], "file": ["../a.safetensors"], "row": [0]}
    block = metadata(colour="gray", files={"../a.safetensors": File.of(outside)}, model="", engine={})
    write_table(picture_table(data, block), path)
    with pytest.raises(InputError, match="would lie outside"):
        Pictures.open(path)
    with pytest.raises(InputError, match="lies outside of"):
        name_in(path, outside)
