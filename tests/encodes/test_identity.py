"""The distortion ``identity``, from a clip to the rows of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pyvmaf.base.files import sha256_file
from pyvmaf.base.manifest import read_manifest
from pyvmaf.encodes import identity
from pyvmaf.encodes.encode import encode
from pyvmaf.encodes.record import Record
from pyvmaf.errors import InputError
from pyvmaf.features.stage import extract_features
from pyvmaf.features.table import read_metadata
from pyvmaf.tables.build import build_shard, combine
from tests.make.commands import command, refusal

LABELS = {"corpus": "ugc", "group": "g", "source": "s", "clip": "c", "codec": "original"}


@pytest.fixture(scope="module")
def clip(embedded_corpus: dict[str, Path]) -> Path:
    return embedded_corpus["bikes_1"]


@pytest.fixture
def made(clip: Path, tmp_path: Path) -> Path:
    """An identity encode, where the workflow would put it."""
    path = tmp_path / "results/encodes/ugc/c/original/identity.mkv"
    done = command("encode", clip, path, "--distortion", "identity")
    assert done.returncode == 0, done.stderr
    return path


def test_the_rung_has_the_bytes_of_the_clip_and_is_a_file_of_its_own(clip: Path, made: Path) -> None:
    before = clip.stat()
    assert made.read_bytes() == clip.read_bytes()
    assert made.stat().st_ino != before.st_ino
    assert made.stat().st_nlink == before.st_nlink == clip.stat().st_nlink
    record = Record.read(made.with_suffix(".json"))
    assert (record.encoder, record.preset, record.crf, record.extra_params) == (None, None, None, [])
    assert record.src_sha256 == sha256_file(made)
    manifest = read_manifest(made)
    assert manifest["details"]["strength"] == 0
    assert manifest["args"]["distortion"] == "identity"
    assert manifest["inputs"]["reference"]["sha256"] == manifest["outputs"]["encode"]["sha256"]


def test_it_is_made_again_over_itself(clip: Path, made: Path) -> None:
    first = made.with_suffix(".json").read_bytes()
    assert command("encode", clip, made, "--distortion", "identity").returncode == 0
    assert made.with_suffix(".json").read_bytes() == first
    assert made.read_bytes() == clip.read_bytes()


def test_the_plain_copy_has_the_same_bytes(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that cannot copy inside the kernel."""

    def refuse(*_: Any) -> int:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.copy_file_range", refuse)
    assert encode(clip, tmp_path / "identity.mkv", identity.rung(None, {})).path.read_bytes() == clip.read_bytes()


def test_the_table_says_that_both_sides_are_the_same(clip: Path, made: Path, tmp_path: Path) -> None:
    table = tmp_path / "original.parquet"
    extract_features(clip, {"identity": made}, table, labels=LABELS, features="canonical6,cambi,psnr_y")
    rows = pq.read_table(table).to_pandas()
    assert set(rows["rung"]) == {"identity"}
    assert (rows["strength"] == 0).all()
    assert rows["encoder"].isna().all()
    for name in ("vif_scale0", "vif_scale3", "adm2"):
        np.testing.assert_allclose(rows[name], 1, atol=1e-3)
    assert set(rows["psnr_y"]) == {60}
    assert rows["motion2"].nunique() > 1
    shard, whole = tmp_path / "shard.parquet", tmp_path / "table.parquet"
    build_shard([table], [made.with_suffix(".json")], shard, tmp_path / "shard.jsonl")
    combine([("ugc", shard)], whole)
    for path in (table, shard, whole):
        [note] = read_metadata(pq.read_schema(path), path)["notes"]
        assert note.startswith("identity: the distorted video is the reference itself")


def test_only_pairs_of_one_file_get_the_note(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "results/encodes/ugc/c/libx264/medium-crf40.mkv"
    assert command("encode", clip, path, "--codec", "libx264", "--crf", 40).returncode == 0
    table = tmp_path / "t.parquet"
    extract_features(clip, {"medium-crf40": path}, table, labels=LABELS, features="adm2")
    assert "notes" not in read_metadata(pq.read_schema(table), table)


def test_what_it_does_not_take(clip: Path, tmp_path: Path) -> None:
    words = ("encode", clip, tmp_path / "i.mkv", "--distortion", "identity")
    assert "takes no settings, but 'crf' is given" in refusal(*words, "--crf", 3)
    assert "the strength is 2, but identity changes nothing" in refusal(*words, "--strength", 2)
    with pytest.raises(InputError, match="has the key 'strengths'"):
        identity.ladder("original", {"strengths": [1.0]})
    other = tmp_path / "clip.mp4"
    other.write_bytes(clip.read_bytes())
    assert "is not a Matroska file" in refusal("encode", other, tmp_path / "i.mkv", "--distortion", "identity")
    assert not (tmp_path / "i.mkv").exists()


def test_it_is_planned_like_other_ladders() -> None:
    [rung] = identity.ladder("original", {})
    assert (rung.name, rung.strength, rung.settings, rung.options()) == (
        "identity",
        0,
        {},
        ["--distortion", "identity"],
    )
