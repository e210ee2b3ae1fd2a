"""score with models of every kind, on a real pair; the answers are worked out from the features by hand."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
from onnx import numpy_helper

import pyvmaf
from pyvmaf.base.files import sha256_file
from pyvmaf.codecs.vocabularies import VOCABULARIES
from pyvmaf.errors import InputError, MissingFileError
from pyvmaf.features.pool import COUNT, POOLS, pool
from pyvmaf.runtime.ensemble import Ensemble
from pyvmaf.scoring.origin import origin, properties, shots
from pyvmaf.scoring.predict import Pair, predict, warnings_of
from pyvmaf.scoring.score import find_models
from tests.fuzz import models_json
from tests.make.commands import command
from tests.make.videos import ffmpeg_program, make_video

FRAMES = (0, 24)


@pytest.fixture(scope="session")
def pair(embedded_files: dict[str, Path]) -> tuple[Path, Path]:
    return embedded_files["carphone_pristine.mp4"], embedded_files["carphone_distorted.mp4"]


@pytest.fixture(scope="session")
def plain(pair: tuple[Path, Path]) -> Any:
    return pyvmaf.score(*pair, features="canonical6", frames=FRAMES)


def test_columns_are_the_models_answers(run: Path, pair: tuple[Path, Path], plain: Any) -> None:
    models = ["vmaf_v0.6.1", "small", "small.int8", "vmaf_v0.6.1neg"]
    scores = pyvmaf.score(*pair, model=models, frames=FRAMES, threads=2)
    np.testing.assert_array_equal(scores["vmaf"], plain["vmaf"])
    rows = plain.to_pandas()
    for name in ("small", "small.int8"):
        np.testing.assert_array_equal(scores[name], pyvmaf.load_model(name).predict(rows).scores)
    neg = pyvmaf.score(*pair, model="vmaf_v0.6.1neg", frames=FRAMES)
    np.testing.assert_array_equal(scores["vmaf_v0.6.1neg"], neg["vmaf"])
    assert (scores.model, neg.model) == ("vmaf_v0.6.1", "vmaf_v0.6.1neg")
    # Pooled like VMAF.
    assert scores.pooled()["small"] == pool(scores["small"], (*POOLS, COUNT))
    assert scores.summaries["small"]["score"] == pytest.approx(scores["small"].mean())


def test_only_what_the_models_read_is_computed(run: Path, pair: tuple[Path, Path], plain: Any) -> None:
    scores = pyvmaf.score(*pair, model="many", frames=FRAMES)
    assert list(scores.columns) == ["adm2", "vif_scale0", "motion2", "many", "many_sigma", "many_low", "many_high"]
    assert scores.model is None
    more = pyvmaf.score(*pair, model="many", features="psnr_y", frames=FRAMES)
    assert set(more.columns) - set(scores.columns) == {"psnr_y"}
    np.testing.assert_array_equal(more["many"], scores["many"])
    nothing = pyvmaf.score(*pair, model=None, frames=FRAMES)
    assert list(nothing.columns) == [name for name in plain.columns if name != "vmaf"]


def test_an_ensemble_brings_intervals_per_frame_and_for_the_clip(
    run: Path, pair: tuple[Path, Path], plain: Any
) -> None:
    model = pyvmaf.load_model("many")
    assert isinstance(model, Ensemble)
    triple = ("libx264", "slow", 30.0)
    scores = pyvmaf.score(*pair, model=model, codec=triple, frames=FRAMES)
    expected = model.predict(plain.to_pandas(), triple)
    for suffix, values in (("", expected.scores), ("_sigma", expected.sigma), ("_low", expected.low)):
        np.testing.assert_array_equal(scores[f"many{suffix}"], values)
    assert (scores["many_low"] < scores["many"]).all()
    assert (scores["many"] < scores["many_high"]).all()
    summary = scores.summaries["many"]
    interval = model.mean_interval(expected)
    assert interval is not None
    assert tuple(summary["score_interval"].values()) == interval
    assert (
        summary["measured_coverage"]
        == json.loads((run / "models/many/ensemble.json").read_text())["coverage_gate"]["empirical_coverage"]
    )
    # The mean of bounds is not a bound of the mean.
    assert set(scores.pooled()) == {"adm2", "vif_scale0", "motion2", "many"}


def test_the_codec_is_given_or_read_or_left_open(run: Path, pair: tuple[Path, Path], plain: Any) -> None:
    model = pyvmaf.load_model("many")
    rows = plain.to_pandas()
    probed = pyvmaf.score(*pair, model=model, frames=FRAMES)
    assert probed.summaries["many"]["codec"] == "libx264, preset not known, CRF not known (stream)"
    np.testing.assert_array_equal(probed["many"], model.predict(rows, ("libx264", None, None)).scores)
    blind = pyvmaf.score(*pair, model=model, codec=("unknown", None, None), frames=FRAMES)
    np.testing.assert_array_equal(blind["many"], model.predict(rows).scores)
    assert not np.array_equal(blind["many"], probed["many"])
    with pytest.raises(InputError, match="unknown codec 'x26four': did you mean"):
        pyvmaf.score(*pair, model=model, codec=("x26four", None, None), frames=FRAMES)
    with pytest.raises(InputError, match="unknown preset of libx264 'sloow': did you mean 'slow'"):
        pyvmaf.score(*pair, model=model, codec=("x264", "sloow", None), frames=FRAMES)


@pytest.mark.parametrize(
    ("encoder", "options", "crf"),
    [
        ("libx264", ["-crf", "31"], 31.0),
        ("libx265", ["-crf", "33", "-x265-params", "log-level=error"], 33.0),
        ("libsvtav1", ["-crf", "45", "-preset", "10"], None),
        ("libvpx-vp9", ["-crf", "50", "-b:v", "0", "-cpu-used", "8"], None),
    ],
)
def test_what_a_stream_says_of_itself(
    pair: tuple[Path, Path], tmp_path: Path, encoder: str, options: list[str], crf: float | None
) -> None:
    import subprocess

    import imageio_ffmpeg

    coded = tmp_path / "coded.mkv"
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    words = [ffmpeg, "-v", "error", "-i", str(pair[0]), "-frames:v", "5", "-c:v", encoder, *options, str(coded)]
    subprocess.run(words, check=True, timeout=60, capture_output=True)
    source = origin(coded)
    assert source.triple == (encoder, None, crf)
    assert source.how == "stream"
    # FFmpeg's copy of the stream without its container.
    bare = tmp_path / "bare"
    subprocess.run([ffmpeg, "-v", "error", "-i", str(coded), "-c", "copy", "-f", "rawvideo", str(bare)], check=True)
    facts = properties(coded)
    assert (facts["width"], facts["height"]) == (176, 144)
    assert facts["fps"] == pytest.approx(float(Fraction(30000, 1001)))
    assert facts["bitrate_kbps"] == pytest.approx(bare.stat().st_size * 8 / 1000 / (5 / facts["fps"]))


def test_the_record_beside_an_encode_knows_everything(pair: tuple[Path, Path], tmp_path: Path) -> None:
    from pyvmaf.encodes.encode import encode
    from pyvmaf.encodes.encoder import encoder_rung

    coded = tmp_path / "veryfast-crf40.mkv"
    encode(pair[0], coded, encoder_rung("libx264", "veryfast", 40))
    assert origin(coded).triple == ("libx264", "veryfast", 40.0)
    assert origin(coded).how == "record"
    moved = tmp_path / "other.mkv"
    shutil.copy(coded, moved)
    shutil.copy(coded.with_suffix(".json"), moved.with_suffix(".json"))
    assert origin(moved).how == "stream"
    assert str(origin(moved)) == "libx264, preset not known, CRF 40 (stream)"


def test_a_file_that_says_nothing(tmp_path: Path) -> None:
    raw = tmp_path / "x.yuv"
    raw.write_bytes(bytes(16 * 16 * 3 // 2))
    assert origin(raw).triple == (None, None, None)
    assert str(origin(raw)) == "codec not known"
    from pyvmaf.video.format import Format

    assert properties(raw, Format.parse("16x16")) == {"width": 16, "height": 16}


def test_shots_are_found_in_the_video(tmp_path: Path) -> None:
    """Three pictures of 10, 20 and 20 frames that have nothing in common, at 25 frames per second."""
    graph = ";".join(
        f"{name}=size=64x48:rate=25,trim=end_frame={n},format=yuv420p[{i}]"
        for i, (name, n) in enumerate((("testsrc", 10), ("mandelbrot", 20), ("smptebars", 20)))
    )
    words = ["-filter_complex", f"{graph};[0][1][2]concat=n=3", "-c:v", "ffv1"]
    subprocess.run([ffmpeg_program(), "-v", "error", *words, tmp_path / "cut.mkv"], check=True)
    found = shots(tmp_path / "cut.mkv")
    expected = {"shot_count_norm": np.log10(4) / 3, "shot_mean_len_norm": 50 / 25 / 3 / 30, "shot_cut_density": 2 / 50}
    assert found == pytest.approx(expected)


CLIP_FEATURES = ("adm2_mean", "vif_scale0_p5", "vmaf_mean", "height", "fps", "bitrate_kbps")


@pytest.fixture
def of_clips(copied: Path) -> Path:
    """A network whose scores are not clipped behind the columns of a clip table."""
    source = copied / "models/open/seed0/model.onnx"
    target = copied / "clips" / "model.onnx"
    target.parent.mkdir()
    model = onnx.load(source)
    for tensor in model.graph.initializer:
        if tensor.name.startswith("clip."):
            tensor.CopyFrom(
                numpy_helper.from_array(np.array(1e9 if "high" in tensor.name else -1e9, np.float32), tensor.name)
            )
    target.write_bytes(model.SerializeToString())
    sidecar = json.loads(source.with_suffix(".json").read_text())
    ranges = [[0.0, 1.0], [0.0, 1.0], [0.0, 100.0], [0.0, 4000.0], [0.0, 20.0], [0.0, 1e9]]
    sidecar |= {
        "name": "of_clips", "kind": "mos", "features": list(CLIP_FEATURES), "expected_output_range": [-1e9, 1e9],
        "feature_ranges": dict(zip(CLIP_FEATURES, ranges, strict=True)),
        "sha256": sha256_file(target), "bytes": target.stat().st_size,
    }  # fmt: skip
    target.with_suffix(".json").write_text(json.dumps(sidecar))
    return target


def test_a_model_of_whole_clips(of_clips: Path, pair: tuple[Path, Path], plain: Any, tmp_path: Path) -> None:
    scores = pyvmaf.score(*pair, model=["vmaf_v0.6.1neg", of_clips], frames=FRAMES)
    facts = properties(pair[1])
    adm, vif, vmaf = plain["adm2"].mean(), np.percentile(plain["vif_scale0"], 5), plain["vmaf"].mean()
    row = [[adm, vif, vmaf, 144.0, facts["fps"], facts["bitrate_kbps"]]]
    expected = pyvmaf.load_model(of_clips).predict(np.array(row)).scores[0]
    assert scores["of_clips"].tolist() == [expected] * len(scores)
    summary = scores.summaries["of_clips"]
    assert (summary["of"], summary["score"], summary["kind"]) == ("clip", expected, "mos")
    assert summary["context"] == {"height": 144.0, "fps": facts["fps"], "bitrate_kbps": facts["bitrate_kbps"]}
    assert "of_clips" not in scores.pooled()
    assert "vif_scale1" not in scores.columns
    assert warnings_of(scores.summaries) == [
        "of_clips: the clip lies outside the range of its training data (fps in 100%): expect larger errors"
    ]
    other = pyvmaf.score(*pair, model=of_clips, frames=FRAMES, context={"fps": 15, "bitrate_kbps": 7})
    row[0][4:] = [15, 7]
    assert other["of_clips"][0] == pyvmaf.load_model(of_clips).predict(np.array(row)).scores[0]
    with pytest.raises(InputError, match="unknown context 'heigth': did you mean 'height'"):
        pyvmaf.score(*pair, model=of_clips, frames=FRAMES, context={"heigth": 1})


def test_a_model_of_whole_clips_tells_of_frames_that_its_pools_leave_out(
    of_clips: Path, pair: tuple[Path, Path], plain: Any
) -> None:
    columns = {name: values.copy() for name, values in plain.columns.items()}
    columns["adm2"][3] = np.inf
    columns["vmaf"][[3, 5]] = np.nan
    holes = replace(plain, columns=columns)
    _, summary = predict(pyvmaf.load_model(of_clips), Pair(holes, pair[1], None, {}, None))
    assert summary["frames_left_out"] == 2
    assert "2 frames without finite features are not part of the score" in warnings_of({"of_clips": summary})[-1]


def test_every_format_holds_the_models(run: Path, pair: tuple[Path, Path], tmp_path: Path) -> None:
    scores = pyvmaf.score(*pair, model=["vmaf_v0.6.1", "many"], frames=FRAMES)
    for suffix in (".json", ".csv", ".parquet"):
        scores.write(tmp_path / f"scores{suffix}")
    data = json.loads((tmp_path / "scores.json").read_text())
    assert data["models"] == scores.summaries
    assert [frame["many_low"] for frame in data["frames"]] == scores["many_low"].tolist()
    with open(tmp_path / "scores.csv") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["many_high"]) for row in rows] == scores["many_high"].tolist()
    table = pq.read_table(tmp_path / "scores.parquet")
    assert table.column("many_sigma").to_pylist() == scores["many_sigma"].tolist()
    assert json.loads(table.schema.metadata[b"pyvmaf"])["models"] == scores.summaries


def test_the_command(run: Path, pair: tuple[Path, Path], tmp_path: Path) -> None:
    words = ["score", *pair, "--frames", "0:24", "-m", "many", "-m", "vmaf_v0.6.1"]
    done = command(*words, "--codec", "x264", "--crf", 30, "-o", tmp_path / "x.json", cwd=run.parent)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "x.json").read_text())["models"]["many"]
    assert summary["codec"] == "x264, preset not known, CRF 30 (given)"
    interval = summary["score_interval"]
    assert (
        f"many: mean {summary['score']:.2f}, between {interval['low']:.2f} and {interval['high']:.2f} for 95%"
        in done.stdout
    )
    assert f"warning: many: {summary['outside_training_range']['share']:.1%} of the frames" in done.stderr
    wrong = command("score", *pair, "-m", "mny", cwd=run.parent)
    assert wrong.returncode == 2
    assert "unknown model (of libvmaf, or registered in results/registry/registry.json) 'mny': did you mean 'many'" in (
        wrong.stderr
    )
    held = command("score", *pair, "-m", "held", cwd=run.parent)
    assert "model 'held' is held, not shipped" in held.stderr
    away = command("score", *pair, "-m", "many", cwd=tmp_path)
    assert "unknown model of libvmaf 'many'" in away.stderr
    bad = command("score", *pair, "-m", "many", "--context", "fps", cwd=run.parent)
    assert "is not of the form NAME=NUMBER" in bad.stderr


def test_names_that_collide(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two columns would be called 'small'"):
        find_models(["small", "results/models/small/seed0/model.onnx"])
    models = find_models(["vmaf_v0.6.1", "small", "vmaf_v0.6.1", "small.int8"])
    assert [str(teacher) for teacher in models.teachers] == ["vmaf_v0.6.1"]
    assert [model.name for model in models.learned] == ["small", "small.int8"]
    with pytest.raises(MissingFileError, match=r"no such file: .*none\.onnx"):
        find_models([tmp_path / "none.onnx"])


@pytest.fixture
def three_models(tmp_path: Path) -> list[str]:
    """Paths of three models whose files have the same name."""
    paths = []
    for number, folder in enumerate(("ma", "mb", "mc")):
        document = models_json.single(Random(number))
        document["model_dict"]["feature_opts_dicts"] = [{}, {}, {}]
        del document["model_dict"]["score_clip"]
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "model.json"
        path.write_text(json.dumps(document))
        paths.append(str(path))
    return paths


def test_each_model_has_a_column(three_models: list[str], pair: tuple[Path, Path], tmp_path: Path) -> None:
    """Files of one name, and of the names of other columns, which one score would replace by another."""
    alone = {path: pyvmaf.score(*pair, model=path, frames=(0, 4))["vmaf"] for path in three_models}
    assert len({values.tobytes() for values in alone.values()}) == 3
    first, *others = three_models
    scores = pyvmaf.score(*pair, model=three_models, frames=(0, 4))
    assert scores.libvmaf_models == {"vmaf": first, **{path: path for path in others}}
    for column, path in scores.libvmaf_models.items():
        np.testing.assert_array_equal(scores[column], alone[path])
    for taken in ("vmaf", "adm2", "frame_index", "vmaf_v0.6.1neg"):
        renamed = tmp_path / f"{taken}.json"
        shutil.copy(first, renamed)
        scores = pyvmaf.score(*pair, model=["vmaf_v0.6.1", renamed, "vmaf_v0.6.1neg"], frames=(0, 4))
        assert list(scores.libvmaf_models.items())[1] == (str(renamed), str(renamed))
        np.testing.assert_array_equal(scores[str(renamed)], alone[first])
        assert scores.model == "vmaf_v0.6.1"
    plain = tmp_path / "mine.json"
    shutil.copy(first, plain)
    scores = pyvmaf.score(*pair, model=["vmaf_v0.6.1", plain, f"{plain}:enable_transform"], frames=(0, 4))
    assert list(scores.libvmaf_models) == ["vmaf", "mine", "mine:enable_transform"]


def test_the_summary_names_the_model_of_each_column(
    three_models: list[str], pair: tuple[Path, Path], tmp_path: Path
) -> None:
    words = [word for path in three_models[:2] for word in ("-m", Path(path).relative_to(tmp_path))]
    done = command("score", *pair, *words, "-m", "phone", "--frames", "0:4", "-o", tmp_path / "s.json", cwd=tmp_path)
    assert "vmaf: ma/model.json, mb/model.json, vmaf_v0.6.1:enable_transform" in " ".join(done.stdout.split())
    written = json.loads((tmp_path / "s.json").read_text())
    assert written["libvmaf_models"] == {
        "vmaf": "ma/model.json",
        "mb/model.json": "mb/model.json",
        "vmaf_v0.6.1:enable_transform": "vmaf_v0.6.1:enable_transform",
    }
    assert set(written["libvmaf_models"]) <= set(written["frames"][0])
    single = command("score", *pair, "-m", "phone", "--frames", "0:4", cwd=tmp_path)
    assert "4 frames, vmaf_v0.6.1:enable_transform" in " ".join(single.stdout.split())


def test_columns_of_an_ensemble_are_names_too(run: Path, three_models: list[str]) -> None:
    shutil.copy(three_models[0], Path(three_models[0]).with_name("many_low.json"))
    models = find_models(["vmaf_v0.6.1", str(Path(three_models[0]).with_name("many_low.json")), "many"])
    assert "many_low" not in models.columns.values()


def test_a_feature_that_cannot_be_computed(copied: Path, pair: tuple[Path, Path]) -> None:
    sidecar = copied / "models/small/seed0/model.json"
    text = sidecar.read_text().replace('"motion2"', '"float_ms_ssim"')
    sidecar.write_text(text)
    with pytest.raises(InputError, match="feature 'float_ms_ssim' cannot be computed on 176x144"):
        pyvmaf.score(*pair, model=sidecar.with_suffix(".onnx"), frames=FRAMES)


def test_vocabularies_agree_on_what_a_probe_may_say() -> None:
    for words in VOCABULARIES.values():
        if "unknown" in words.slots:
            assert words.encode("libx264", None, None)[words.slots.index("libx264")] == 1


def test_what_a_model_was_not_trained_on_is_said(run: Path, pair: tuple[Path, Path], tmp_path: Path) -> None:
    def warned(*words: Any) -> str:
        return command("score", *words, "-m", "many", "--frames", "0:4", cwd=run.parent).stderr

    trained = pyvmaf.load_model("many", registry=run / "registry" / "registry.json").sidecar["trained_codecs"]
    assert trained == ["libsvtav1", "libx264", "libx265"]
    assert "the training data of" not in warned(*pair, "--codec", "h264")
    said = warned(*pair, "--codec", "vvc")
    assert (
        "many: the video is of vvc, and the training data of libsvtav1, libx264, libx265: expect larger errors" in said
    )
    assert "HDR" not in said
    hdr = [tmp_path / f"{name}.mkv" for name in ("r", "d")]
    tags = "setparams=color_trc=smpte2084:color_primaries=bt2020:colorspace=bt2020nc,format=yuv420p10le"
    for path, qp in zip(hdr, ("0", "30"), strict=True):
        make_video(path, "176x144", 6, "-vf", tags, "-c:v", "libx264", "-qp", qp)
    assert "many: the video is HDR, and the training data has no HDR: expect larger errors" in warned(*hdr)
