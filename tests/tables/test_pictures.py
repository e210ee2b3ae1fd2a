"""Tables of pictures put together: scores and pristine pictures of the same frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pyvmaf.base.manifest import read_manifest, write_manifest
from pyvmaf.errors import InputError
from pyvmaf.features.table import write_table as write
from pyvmaf.frames.pictures import Pictures
from pyvmaf.frames.storage import writing
from pyvmaf.frames.table import File, metadata, picture_table
from pyvmaf.tables.pictures import combine_pictures
from tests.make.commands import command
from tests.make.tables import table_columns, write_table

BLOCK: dict[str, Any] = {"features": [], "unavailable": {}, "model": "vmaf_v0.6.1", "engine": {"libvmaf": "x"}}
FRAMES = (1, 3)
RUNGS = ("medium-crf18", "medium-crf26", "medium-crf34")


def store(path: Path, rows: Sequence[dict[str, Any]], colour: str = "gray", side: int = 4, **more: Any) -> Path:
    """A table of pictures, each filled with a number of its own, and its file beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_suffix(".safetensors")
    shape = (side, side) if colour == "gray" else (side, side, 3)
    with writing(file, colour) as writer:
        for number in range(len(rows)):
            writer.add(np.full(shape, (hash_of(path) + number) % 256, np.uint8), "made")
    size = {"width": side, "height": side, "file": file.name}
    data = [{**row, **size, "row": number} for number, row in enumerate(rows)]
    columns = {name: [row.get(name) for row in data] for name in dict.fromkeys(name for row in data for name in row)}
    block = metadata(colour=colour, files={file.name: File.of(file)}, model="", engine={}, **more)
    write(picture_table(columns, block, [name for name in ("mos",) if name in columns]), path)
    return path


def hash_of(path: Path) -> int:
    return sum(path.as_posix().rpartition("frames/")[2].encode())


def ladder(folder: Path, clip: str, rungs: Sequence[str] = RUNGS, **more: Any) -> list[Path]:
    """The pictures of a clip and of its ladder."""
    labels = {"corpus": "made", "group": "film", "source": clip, "clip": clip}
    pristine = [{**labels, "rung": "reference", "vmaf": 100.0, "frame_index": frame} for frame in FRAMES]
    distorted = [
        {**labels, "codec": "libx264", "encoder": "libx264", "rung": rung, "frame_index": frame}
        for rung in rungs
        for frame in FRAMES
    ]
    home = folder / "results" / "frames" / "gray" / "made" / clip
    return [store(home / "reference.parquet", pristine), store(home / "libx264.parquet", distorted, **more)]


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """Scores of two clips, frames 0 to 4 of three rungs."""
    columns = table_columns(sources=2, frames=5, codecs=("libx264",))
    columns["mos"] = [3.0 if clip == "clip0" else float("nan") for clip in columns["clip"]]
    return write_table(tmp_path / "results" / "shards" / "made" / "libx264.parquet", columns, **BLOCK, mos_scale=[1, 5])


def test_scores_and_pristine_pictures_are_those_of_the_same_frame(tmp_path: Path, shard: Path) -> None:
    tables = [path for clip in ("clip1", "clip0") for path in ladder(tmp_path, clip)]
    output = tmp_path / "results" / "tables" / "t.parquet"
    assert combine_pictures(tables, [("made", shard)], output) == 16
    pictures = Pictures.open(output)
    assert (pictures.teacher, pictures.mos_scale) == ("vmaf_v0.6.1", (1, 5))
    measured = {(row["clip"], row["rung"], row["frame_index"]): row["vmaf"] for row in pq.read_table(shard).to_pylist()}
    for number, row in enumerate(pictures.rows.to_pylist()):
        kept = tables[0 if row["clip"] == "clip1" else 2]
        base = hash_of(kept if row["codec"] is None else kept.with_name("libx264.parquet"))
        assert (pictures.picture(number) == (base + row["row"]) % 256).all()
        reference = pictures.reference(number)
        if row["codec"] is None:
            assert (row["vmaf"], reference, row["mos"]) == (100.0, None, None)
            continue
        assert row["vmaf"] == measured[row["clip"], row["rung"], row["frame_index"]]
        assert row["mos"] == (3.0 if row["clip"] == "clip0" else None)
        assert reference is not None
        assert (reference == (hash_of(kept) + FRAMES.index(row["frame_index"])) % 256).all()
    details = read_manifest(output)["details"]
    assert (details["rows"], details["pairs"], details["rows_rated"], details["skipped"]) == (16, 12, 6, 0)


def test_the_verb_and_the_function_agree(tmp_path: Path, shard: Path) -> None:
    tables = ladder(tmp_path, "clip0")
    outputs = [tmp_path / "results" / "tables" / f"{name}.parquet" for name in "ab"]
    combine_pictures(tables, [("made", shard)], outputs[0], mos_scale=(0.0, 100.0))
    words = ("--shard", f"made={shard}", "--mos-scale", "0,100")
    done = command("combine-pictures", *tables, "-o", outputs[1], *words)
    assert done.returncode == 0, done.stderr
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    rows = Pictures.open(outputs[0]).rows.to_pandas()
    assert set(rows["mos"].dropna()) == {50.0}
    assert set(rows["mos_native"].dropna()) == {3.0}


def test_a_frame_that_was_not_measured_is_refused(tmp_path: Path, shard: Path) -> None:
    tables = ladder(tmp_path, "clip0", (*RUNGS, "medium-crf50"))
    output = tmp_path / "results" / "tables" / "t.parquet"
    with pytest.raises(
        InputError, match=r"frame 1 of clip clip0, codec libx264, rung medium-crf50 .* was not measured"
    ):
        combine_pictures(tables, [("made", shard)], output)
    assert not output.exists()


def test_a_pair_that_was_skipped_when_it_was_measured_is_left_out(tmp_path: Path, shard: Path) -> None:
    failed = [{"clip": "clip0", "codec": "libx264", "rung": "medium-crf50", "path": "x", "why": "y"}]
    write_manifest(shard, verb="shard", args={}, inputs={}, outputs={"shard": shard}, details={"failed": failed})
    tables = ladder(tmp_path, "clip0", (*RUNGS, "medium-crf50"))
    output = tmp_path / "results" / "tables" / "t.parquet"
    assert combine_pictures(tables, [("made", shard)], output) == 8
    assert read_manifest(output)["details"]["skipped"] == 2
    assert "medium-crf50" not in Pictures.open(output).rows["rung"].to_pylist()


def test_images_need_no_scores(tmp_path: Path) -> None:
    rows = [{"corpus": "i", "clip": "a", "source": "a", "group": "g", "frame_index": 0, "mos": 2.5}]
    images = store(tmp_path / "frames" / "images.parquet", rows, mos_scale=(1, 5))
    output = tmp_path / "tables" / "t.parquet"
    assert combine_pictures([images], [], output) == 1
    pictures = Pictures.open(output)
    assert pictures.mos_scale == (1, 5)
    assert pictures.rows["mos"].to_pylist() == [2.5]


def test_pictures_that_do_not_belong_together_are_refused(tmp_path: Path, shard: Path) -> None:
    tables = ladder(tmp_path, "clip0")
    output = tmp_path / "results" / "tables" / "t.parquet"
    rows = [{"corpus": "i", "clip": "a", "frame_index": 0}]
    other = store(tmp_path / "results" / "frames" / "rgb.parquet", rows, "rgb24")
    with pytest.raises(InputError, match=r"reference\.parquet is of gray pictures, .*rgb\.parquet of rgb24"):
        combine_pictures([*tables, other], [("made", shard)], output)
    with pytest.raises(InputError, match="have 6x6, the pristine ones 4x4: take both with the same settings"):
        combine_pictures(ladder(tmp_path, "clip0", side=6), [("made", shard)], output)
    with pytest.raises(InputError, match="lies outside of"):
        combine_pictures(tables, [("made", shard)], tmp_path / "results" / "elsewhere" / "t.parquet")
    with pytest.raises(InputError, match="no tables of pictures were given"):
        combine_pictures([], [], output)
    assert not output.exists()
