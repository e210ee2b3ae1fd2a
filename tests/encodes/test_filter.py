"""The distortion ``filter``, from a clip to the rows of a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pyvmaf.base.manifest import read_manifest
from pyvmaf.encodes.distortion import Distortion
from pyvmaf.encodes.encode import encode
from pyvmaf.encodes.encoder import encoder_rung
from pyvmaf.encodes.filter import rung
from pyvmaf.encodes.record import Record
from pyvmaf.errors import InputError, PyvmafError
from pyvmaf.features.stage import extract_features
from pyvmaf.scoring.origin import origin
from pyvmaf.tables.build import build_shard, combine
from pyvmaf.video.probe import inspect
from tests.make.commands import command, refusal

BLUR = {"filter": "gblur=sigma={strength}"}


@pytest.fixture(scope="module")
def clip(embedded_corpus: dict[str, Path]) -> Path:
    return embedded_corpus["bikes_1"]


def test_the_same_bytes_again_and_a_record_without_an_encoder(clip: Path, tmp_path: Path) -> None:
    runs = [encode(clip, tmp_path / str(n) / "strength-1.5.mkv", rung(1.5, BLUR)) for n in range(2)]
    assert runs[0].path.read_bytes() == runs[1].path.read_bytes()
    assert runs[0].path.name == f"{rung(1.5, BLUR).name}.mkv"
    video, source = inspect(runs[0].path), inspect(clip)
    assert video.frames == source.frames
    assert video.format.pix_fmt == source.format.pix_fmt
    record = Record.read(runs[0].record_path)
    assert (record.encoder, record.encoder_version, record.preset, record.crf) == (None,) * 4
    assert record.extra_params[:2] == ["-vf", "gblur=sigma=1.5"]
    assert len(record.as_json()) == 54
    assert read_manifest(runs[0].path)["details"]["strength"] == 1.5
    assert origin(runs[0].path).triple == (None, None, None)


def test_a_filter_of_strength_zero_loses_nothing(clip: Path, tmp_path: Path) -> None:
    import av

    done = encode(clip, tmp_path / "r.mkv", rung(0, {"filter": "noise=alls={strength}"}))
    with av.open(str(clip)) as a, av.open(str(done.path)) as b:
        for left, right in zip(a.decode(video=0), b.decode(video=0), strict=True):
            np.testing.assert_array_equal(left.to_ndarray(), right.to_ndarray())


def test_a_filter_that_changes_the_frames_is_refused(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(PyvmafError, match="320x136 yuv420p was expected, but 160x68"):
        encode(clip, tmp_path / "r.mkv", rung(2, {"filter": "scale=iw/{strength}:ih/{strength}"}))
    with pytest.raises(PyvmafError, match="the reference has 30 frames, but the encode 15"):
        encode(clip, tmp_path / "r.mkv", rung(2, {"filter": "framestep={strength}"}))
    assert not [*tmp_path.iterdir()]


def test_rows_have_a_strength_and_no_crf(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    labels = {"corpus": "embedded", "group": "bikes", "source": "bikes_1", "clip": "bikes_1"}
    shards = []
    ladders: dict[str, list[Distortion]] = {
        "blur": [rung(strength, BLUR) for strength in (0.5, 4)],
        "libx264": [encoder_rung("libx264", "ultrafast", 30)],
    }
    for codec, ladder in ladders.items():
        rungs = {}
        for step in ladder:
            rungs[step.name] = Path(f"results/encodes/embedded/bikes_1/{codec}/{step.name}.mkv")
            encode(clip, rungs[step.name], step)
        table = Path(f"results/features/embedded/bikes_1/{codec}.parquet")
        extract_features(clip, rungs, table, labels={**labels, "codec": codec})
        shards.append(Path(f"results/shards/embedded/{codec}.parquet"))
        records = [path.with_suffix(".json") for path in rungs.values()]
        build_shard([table], records, shards[-1], shards[-1].with_suffix(".jsonl"))
    for unit in ("frame", "clip"):
        combine([("embedded", shard) for shard in shards], Path(f"{unit}.parquet"), unit=unit)
        rows = pq.read_table(f"{unit}.parquet").to_pandas()
        blurred, encoded = (rows[rows["codec"] == codec] for codec in ("blur", "libx264"))
        for name in ("encoder", "preset", "crf"):
            assert blurred[name].isna().all()
            assert encoded[name].notna().all()
        assert set(blurred["strength"]) == {0.5, 4.0}
        assert set(encoded["strength"]) == {30.0}
    score = rows.set_index("rung")["vmaf_mean"]
    assert score["strength-0.5"] > score["strength-4"]


def test_the_command(clip: Path, tmp_path: Path) -> None:
    words = ["encode", str(clip), str(tmp_path / "r.mkv"), "--distortion", "filter", "--strength", "2"]
    done = command(*words, "--setting", "filter=gblur=sigma={strength}")
    assert done.returncode == 0, done.stderr
    assert "filter 2, yuv420p" in done.stdout


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "an FFmpeg filter with {strength} in it is needed"),
        (("--setting", "filter"), "--setting 'filter' is not of the form NAME=VALUE"),
        (("--crf", "3"), "unknown setting of a filter 'crf'"),
    ],
)
def test_the_command_refuses(clip: Path, tmp_path: Path, more: tuple[str, ...], message: str) -> None:
    words = ["encode", clip, tmp_path / "r.mkv", "--distortion", "filter", "--strength", "2"]
    assert message in refusal(*words, *more)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "movie=secret.mkv[a];[a]blend=all_opacity={strength}",
        "gblur=sigma={strength},metadata=print:file=stolen.txt",
        "gblur=sigma={strength},ssim=stats_file=stolen.txt",
        "sendcmd=f=commands.txt,gblur=sigma={strength}",
        "gblur=/sigma={strength}",
        "lut3d=file={strength}.cube",
    ],
)
def test_filters_read_frames_and_no_files(text: str) -> None:
    with pytest.raises(InputError, match=r"is not one that a distortion may use|would be read from a file"):
        rung(1, {"filter": text})


@pytest.mark.parametrize(
    "text",
    [
        "split[a][b];[a]gblur=sigma={strength}[c];[b][c]blend=all_expr='(A+B)/2'",
        "geq=lum='clip(p(X,Y)+{strength},0,255)':cb=p(X\\,Y):cr=p(X\\,Y)",
    ],
)
def test_graphs_of_filters(clip: Path, tmp_path: Path, text: str) -> None:
    assert encode(clip, tmp_path / "r.mkv", rung(2, {"filter": text})).path.exists()
