"""Features and scores against values that other programs computed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pyvmaf.engines.libvmaf.context import Context
from pyvmaf.engines.libvmaf.models import Model
from pyvmaf.features.catalog import CANONICAL6, FEATURES
from pyvmaf.scoring.score import score
from pyvmaf.video.format import Format
from pyvmaf.video.reader import Reader

# FFmpeg's filter and the golden reports print six decimals.
HALF_DIGIT = 5.0001e-7
REPORTED = {
    "motion": "integer_motion",
    **{n: f"integer_{n}" for n in FEATURES if n.startswith(("adm", "vif")) or n in ("motion2", "motion3")},
}


def ffmpeg_frames(ffmpeg: str, reference: Path, distorted: Path, log: Path, options: str) -> list[dict[str, float]]:
    graph = f"[0:v][1:v]libvmaf=log_fmt=json:log_path={log.name}:{options}"
    command = [ffmpeg, "-v", "error", "-i", str(distorted), "-i", str(reference), "-lavfi", graph, "-f", "null", "-"]
    subprocess.run(command, check=True, timeout=120, cwd=log.parent)
    return [frame["metrics"] for frame in json.loads(log.read_text())["frames"]]


def test_embedded_pair_equals_ffmpegs_filter(pair: tuple[Path, Path], ffmpeg: str, tmp_path: Path) -> None:
    reference, distorted = pair
    theirs = ffmpeg_frames(
        ffmpeg, reference, distorted, tmp_path / "log.json",
        "n_threads=2:feature=name=psnr|name=float_ssim|name=psnr_hvs|name=motion\\\\:debug=true",
    )  # fmt: skip
    names = [
        *CANONICAL6,
        "adm_scale0",
        "adm_scale3",
        "motion3",
        "psnr_y",
        "psnr_cb",
        "psnr_cr",
        "float_ssim",
        "psnr_hvs",
    ]
    ours = score(reference, distorted, features=names, threads=2)
    assert len(ours) == len(theirs) == 120
    for name in [*names, "vmaf"]:
        expected = [frame[REPORTED.get(name, name)] for frame in theirs]
        np.testing.assert_allclose(ours[name], expected, rtol=0, atol=HALF_DIGIT, err_msg=name)


def test_rungs_of_every_depth_equal_ffmpegs_filter(
    embedded_corpus: dict[str, Path], convert: Callable[..., Path], ffmpeg: str, tmp_path: Path
) -> None:
    """Ten-bit encodes against a reference widened to ten bits, and a feature that needs a large frame."""
    reference = embedded_corpus["bigbuckbunny"]
    short = convert(
        reference,
        "bbb10.mkv",
        "-frames:v",
        "6",
        "-pix_fmt",
        "yuv420p10le",
        "-c:v",
        "libx265",
        "-x265-params",
        "lossless=1:log-level=none",
    )
    coded = convert(short, "bbb10c.mkv", "-c:v", "libx265", "-crf", "38", "-x265-params", "log-level=none")
    theirs = ffmpeg_frames(ffmpeg, short, coded, tmp_path / "log.json", "feature=name=cambi|name=float_ms_ssim")
    names = [*CANONICAL6, "cambi", "float_ms_ssim"]
    ours = score(short, coded, features=names, threads=2)
    for name in [*names, "vmaf"]:
        expected = [frame[REPORTED.get(name, name)] for frame in theirs]
        np.testing.assert_allclose(ours[name], expected, rtol=0, atol=HALF_DIGIT, err_msg=name)


@pytest.mark.parametrize("name", ["src01_160x90", "src01_576x324_10b", "hall_cif", "bsds_100007_481x321"])
def test_golden_reports(name: str, shared_data: Path) -> None:
    golden = shared_data / "golden"
    index = {line.split("\t")[0]: line.split("\t") for line in (golden / "index.tsv").read_text().splitlines()[1:]}
    _, width, height, pix_fmt, frames, *_ = index[name]
    raw = Format.parse(f"{width}x{height}", pix_fmt)
    # At some widths libvmaf's vector code is wrong; a report of plain C lies beside the one that was made with it.
    plain = golden / f"{name}.c.json"
    report = json.loads((plain if plain.exists() else golden / f"{name}.json").read_text())
    files = golden / f"{name}_ref.yuv", golden / f"{name}_dis.yuv"
    ours = score(*files, raw=raw, features="full", threads=2)
    assert len(ours) == int(frames) == len(report["frames"])
    compared = 0
    for column, values in ours.columns.items():
        expected = [frame["metrics"].get(REPORTED.get(column, column)) for frame in report["frames"]]
        if expected[0] is None or column in ours.unavailable:
            continue
        np.testing.assert_allclose(values, expected, rtol=0, atol=HALF_DIGIT, err_msg=column)
        compared += 1
    assert compared >= 15


def test_a_narrow_clip_equals_ffmpegs_filter(pair: tuple[Path, Path], ffmpeg: str, tmp_path: Path) -> None:
    """At 144 samples the vector code of the pinned libvmaf was off by 5 VMAF; FFmpeg's libvmaf has the repair."""
    videos = []
    for path in pair:
        videos.append(tmp_path / f"{path.stem}.mkv")
        words = ["-vf", "crop=144:138", "-frames:v", "12", "-c:v", "libx264", "-qp", "0"]
        subprocess.run([ffmpeg, "-v", "error", "-i", str(path), *words, str(videos[-1])], check=True, timeout=60)
    theirs = ffmpeg_frames(ffmpeg, videos[0], videos[1], tmp_path / "log.json", "n_threads=2")
    ours = score(*videos)
    for name in [*CANONICAL6, "vmaf"]:
        expected = [frame[REPORTED.get(name, name)] for frame in theirs]
        np.testing.assert_allclose(ours[name], expected, rtol=0, atol=HALF_DIGIT, err_msg=name)


@pytest.mark.parametrize("options", [("enable_transform",), ("disable_clip",), ("disable_clip", "enable_transform")])
@pytest.mark.parametrize("base", ["vmaf_v0.6.1", "vmaf_v0.6.1neg"])
def test_options_of_models_equal_ffmpegs_filter(
    base: str, options: tuple[str, ...], pair: tuple[Path, Path], ffmpeg: str, tmp_path: Path
) -> None:
    flags = "".join(f"\\\\:{option}=true" for option in options)
    theirs = ffmpeg_frames(ffmpeg, *pair, tmp_path / "log.json", f"n_threads=2:model=version={base}{flags}")[:20]
    name = ":".join((base, *options))
    ours = score(*pair, model=[base, name], frames=(0, 20))
    assert ours.libvmaf_models == {"vmaf": base, name: name}
    np.testing.assert_allclose(ours[name], [frame["vmaf"] for frame in theirs], rtol=0, atol=HALF_DIGIT)
    if "enable_transform" in options:
        assert (ours[name] > ours["vmaf"]).any()
    first = score(*pair, model=name, frames=(0, 20))
    assert first.model == name
    np.testing.assert_array_equal(first["vmaf"], ours[name])


@pytest.mark.parametrize("model", ["vmaf_v0.6.1neg", "vmaf_4k_v0.6.1", "vmaf_v1.0.16_3d0h", "vmaf_v1.0.16_hfr_5d0h"])
def test_models_equal_libvmafs_own_way(
    model: str, embedded_corpus: dict[str, Path], convert: Callable[..., Path]
) -> None:
    """Extractors in several contexts and a separate prediction equal one context with the model."""
    reference = convert(embedded_corpus["bigbuckbunny"], "bbb12.mkv", "-frames:v", "12", "-c:v", "libx264", "-qp", "0")
    coded = convert(reference, "bbb12c.mkv", "-c:v", "libx264", "-crf", "36")
    ours = score(reference, coded, model=model, threads=2)["vmaf"]
    form = Reader(reference).format
    with Context(*form.native) as context:
        whole = context.use_model(Model(model))
        for index, planes in enumerate(zip(Reader(reference).planes(), Reader(coded).planes(), strict=True)):
            context.read(*planes, index)
        context.flush()
        np.testing.assert_array_equal(ours, context.scores(whole))
