"""Probes of clips: the numbers against x264's own log and NumPy, and what is kept, sampled and refused."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import pyvmaf
from pyvmaf.encodes.probe import LEAST_LINES, MEASURED, OPTIONS, PERIOD, SCORED, STRETCH, Saliency, _Band, _Luma, probe
from pyvmaf.encodes.quality import Quality
from tests.make.commands import command, refusal


@pytest.fixture(scope="module")
def clip(embedded_corpus: dict[str, Path]) -> Path:
    return embedded_corpus["bikes_1"]


def bands(clip: Path, lines: int) -> Iterator[list[NDArray[np.uint8]]]:
    """The middle lines of the frames of a clip 4:2:0, plane by plane, as FFmpeg's library gives frames as arrays."""
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            width, height = frame.width, frame.height
            first = (height - lines) // 2 // 4 * 4
            flat = np.asarray(frame.to_ndarray(format="yuv420p"), dtype=np.uint8).ravel()
            luma, *chroma = np.split(flat, [width * height, width * height * 5 // 4])
            halves = [plane.reshape(-1, width // 2)[first // 2 : (first + lines) // 2] for plane in chroma]
            yield [luma.reshape(-1, width)[first : first + lines], *halves]


def test_sizes_by_type_are_those_of_x264s_log(clip: Path, ffmpeg: str, tmp_path: Path) -> None:
    """FFmpeg's program encodes the same pictures with the same settings, and x264 counts and averages them itself."""
    report = probe(clip)
    raw = tmp_path / "band.yuv"
    with raw.open("wb") as stream:
        for index, planes in enumerate(bands(clip, report.encode.height)):
            if index % PERIOD < STRETCH:
                stream.writelines(plane.tobytes() for plane in planes)
    words = [ffmpeg, "-hide_banner", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-r", str(report.facts.fps)]
    words += ["-s", f"{report.encode.width}x{report.encode.height}", "-i", str(raw), "-c:v", "libx264"]
    words += [word for name, value in OPTIONS.items() for word in (f"-{name}", value.replace(":log-level=none", ""))]
    # A stretch begins with a key frame.
    words += ["-force_key_frames", f"expr:not(mod(n,{STRETCH}))"]
    log = subprocess.run([*words, "-f", "null", "-"], capture_output=True, text=True, check=True).stderr
    found = {kind: (int(n), float(size)) for kind, n, size in re.findall(r"frame ([IPB]):(\d+) .*size: *(\d+)", log)}
    assert {kind: n for kind, (n, _) in found.items()} == {k: n for k, n in report.pictures.items() if n}
    # x264's log counts the message with its settings (about 700 bytes) as part of the first picture.
    n, mean = found["I"]
    assert 600 < (mean - report.facts.probe_i_bytes) * n < 780
    # Builds of x264 differ in a few decisions, hardly in what a picture costs.
    for kind, ours in (("P", report.facts.probe_p_bytes), ("B", report.facts.probe_b_bytes)):
        assert ours == pytest.approx(found[kind][1], rel=0.05, abs=1)
    whole = report.facts.probe_i_bytes * n + sum(n * size for kind, (n, size) in found.items() if kind != "I")
    rate = whole * 8 * report.facts.fps / report.encoded / 1000
    assert report.facts.probe_bitrate_kbps == pytest.approx(rate, rel=0.03)


def test_quality_is_that_of_a_score_of_the_band(clip: Path, ffmpeg: str, tmp_path: Path) -> None:
    """The same encode by FFmpeg's program, scored as a file of its own."""
    report = probe(clip)
    size = f"{report.encode.width}x{report.encode.height}"
    raw, whole, made = (tmp_path / name for name in ("band.yuv", "band.mkv", "encode.mkv"))
    with raw.open("wb") as stream:
        for planes in list(bands(clip, report.encode.height))[:STRETCH]:
            stream.writelines(plane.tobytes() for plane in planes)
    read = [ffmpeg, "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", size, "-r", str(report.facts.fps)]
    read += ["-i", str(raw)]
    options = [word for name, value in OPTIONS.items() for word in (f"-{name}", value)]
    subprocess.run([*read, "-c:v", "ffv1", str(whole), "-c:v", "libx264", *options, str(made)], check=True)
    assert report.encoded == STRETCH
    expected = pyvmaf.score(whole, made)["vmaf"][::SCORED].mean()
    # Builds of x264 differ in a few decisions.
    assert report.facts.probe_vmaf == pytest.approx(expected, abs=1)


def test_luma_is_that_of_the_scaled_frames(clip: Path) -> None:
    report = probe(clip)
    with av.open(str(clip)) as container:
        frames = [
            frame.reformat(frame.width // 4, frame.height // 4, "gray", interpolation="FAST_BILINEAR")
            .to_ndarray()
            .astype(float)
            for frame in container.decode(video=0)
        ]
    assert report.frames == len(frames)
    stretches = [frames[first : first + MEASURED] for first in range(0, len(frames), PERIOD)]
    # Gray of FFmpeg is of full range; yuv420p keeps the clip's own.
    parts = [np.stack(part) * 219 / 255 + 16 for part in stretches]
    pictures, changes = np.concatenate(parts), np.concatenate([np.abs(np.diff(part, axis=0)) for part in parts])
    assert report.facts.luma_mean == pytest.approx(pictures.mean(), abs=1)
    assert report.facts.luma_var == pytest.approx(pictures.var(axis=(1, 2)).mean(), rel=0.02)
    assert report.facts.frame_diff_mean == pytest.approx(changes.mean(), abs=0.2)


def test_harder_pictures_take_more_bytes(make_video: Callable[..., Path]) -> None:
    still = probe(make_video("flat.mkv", "128x96", 12, source="color"))
    noise = probe(make_video("moving.mkv", "128x96", 12, source="mandelbrot"))
    assert still.facts.probe_bitrate_kbps < noise.facts.probe_bitrate_kbps / 5
    assert (still.facts.frame_diff_mean, still.facts.luma_var) == (0, 0)


def test_sums_over_large_bright_pictures_do_not_overflow() -> None:
    luma, picture = _Luma(), np.full((2160, 4096), 255, np.uint8)
    luma.add(picture, starts=True)
    picture[:, ::4] = 0
    luma.add(picture, starts=False)
    assert luma.means == [255, 127.5]
    assert luma.variances == [0, 127.5**2]
    assert luma.differences == [127.5]


def test_clips_become_a_table_for_join(embedded_corpus: dict[str, Path], tmp_path: Path) -> None:
    clips = [embedded_corpus["bikes_1"], embedded_corpus["carphone"]]
    done = command("probe", *clips, "--output", tmp_path / "probes.parquet", "--saliency", "none")
    assert done.returncode == 0, done
    rows = pq.read_table(tmp_path / "probes.parquet").to_pylist()
    assert [row["clip"] for row in rows] == ["bikes_1", "carphone"]
    facts = probe(clips[1]).facts.model_dump()
    assert {name: facts[name] for name in rows[1] if name != "clip"} == {
        n: v for n, v in rows[1].items() if n != "clip"
    }
    assert "saliency_mean" not in rows[1]
    assert "several clips make a table" in refusal("probe", *clips, "--saliency", "none")


def test_facts_are_the_same_each_time(embedded_corpus: dict[str, Path]) -> None:
    """Of pictures whose macroblocks are no multiple of eight, on which x264 with AVX-512 is not the same each time."""
    first, *others = [probe(embedded_corpus["bikes_2"]).facts for _ in range(4)]
    assert first.width // 16 % 8
    assert all(one == first for one in others)


def test_a_report_is_the_same_each_time_and_says_what_it_lacks(clip: Path, tmp_path: Path) -> None:
    one, two = (tmp_path / name / "probe.json" for name in ("one", "two"))
    for path in (one, two):
        path.parent.mkdir()
        done = command("probe", clip, "--output", "probe.json", "--registry", "none.json", cwd=path.parent)
        assert done.returncode == 0, done
        assert "saliency_mean: no model for saliency is registered" in done.stdout
    assert one.read_bytes() == two.read_bytes()
    body = json.loads(one.read_text())
    assert body["facts"]["saliency_mean"] is None
    assert set(body["absent"]) == {"saliency_mean", "saliency_var"}


def test_a_probe_is_kept_by_content(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyvmaf.encodes.probe as module

    first = probe(clip, cache=tmp_path)
    [kept] = tmp_path.iterdir()
    copy = tmp_path / "copy" / "another name.mkv"
    copy.parent.mkdir()
    copy.write_bytes(clip.read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(module, "_measure", lambda *_: pytest.fail("it was measured again"))
        again = probe(copy, cache=tmp_path)
        assert (again.facts, again.video) == (first.facts, "another name.mkv")
    kept.write_text(kept.read_text()[:-40])
    assert probe(clip, cache=tmp_path).facts == first.facts
    assert json.loads(kept.read_text())["facts"]["fps"] == first.facts.fps


def test_saliency_is_the_mean_over_the_measured_frames(clip: Path) -> None:
    asked: list[int] = []

    def measure(path: Path, every: int) -> list[tuple[float, float]]:
        asked.append(every)
        return [(0.25, 0.01), (0.75, 0.03)]

    report = probe(clip, saliency=Saliency("maps", "0" * 64, measure))
    assert asked == [report.frames // 3]
    assert (report.facts.saliency_mean, report.facts.saliency_var) == (0.5, 0.02)
    assert (report.absent, report.saliency and report.saliency.id) == ({}, "maps")


def test_samples_of_a_long_clip_start_at_key_frames(
    convert: Callable[..., Path], embedded_corpus: dict[str, Path]
) -> None:
    clip = embedded_corpus["bikes_1"]
    words = ("-vf", "loop=6:30", "-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-g", "12")
    long = convert(clip, "long.mkv", *words)
    whole, sampled = probe(long), probe(long, samples=3)
    assert whole.frames > 190
    assert (sampled.frames, sampled.encoded) == (3 * 48, 3 * STRETCH)
    assert sampled.facts.luma_mean == pytest.approx(whole.facts.luma_mean, rel=0.02)
    assert sampled.facts.probe_bitrate_kbps == pytest.approx(whole.facts.probe_bitrate_kbps, rel=0.25)
    assert probe(clip, samples=3).facts == probe(clip).facts


def test_refusals(make_video: Callable[..., Path], tmp_path: Path) -> None:
    tiny = make_video("tiny.mkv", "48x16", 3)
    assert "48x16: a probe needs 34 samples or more on either side" in refusal("probe", tiny)
    assert "no such file" in refusal("probe", tmp_path / "none.mkv")
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(tiny.read_bytes()[:2000])
    assert str(broken) in refusal("probe", broken, "--output", tmp_path / "p.json")
    assert not (tmp_path / "p.json").exists()


def test_quality_of_some_frames_is_that_of_a_session() -> None:
    rng = np.random.default_rng(0)
    planes = [rng.integers(0, 256, (40, 64)).astype(np.uint8) for _ in range(6)]
    quality = Quality(64, 40)
    with pyvmaf.Session(features="adm2", layout="400") as session:
        rows = []
        for index, plane in enumerate(planes):
            quality.add(plane, plane // 2 + 40 if index % 2 else None)
            rows += session.push([plane], [plane // 2 + 40])
        rows += session.finish()
    assert quality.mean() == pytest.approx(np.mean([row["vmaf"] for row in rows[1::2]]), abs=1e-9)


@pytest.mark.parametrize(
    ("size", "lines"), [("64x720", 64), ("320x136", LEAST_LINES), ("128x96", LEAST_LINES), ("48x40", 40)]
)
def test_the_band_is_a_twelfth_of_the_lines_or_what_there_is(
    make_video: Callable[..., Path], size: str, lines: int
) -> None:
    report = probe(make_video(f"{size}.mkv", size, 3))
    assert (report.encode.width, report.encode.height) == (int(size.split("x")[0]), lines)
    assert 0 < report.facts.probe_vmaf <= 100


@pytest.mark.parametrize(
    "pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "nv12", "gray", "rgb24"]
)
def test_a_band_is_cut_from_pictures_of_any_format(pix_fmt: str) -> None:
    """Cutting before the conversion to 8 bits, 4:2:0 gives the lines that cutting after it gives."""
    rows = np.arange(120, dtype=np.uint8)[:, None, None] + 60
    colours = np.broadcast_to(rows, (120, 71, 3)).copy()
    frame = av.VideoFrame.from_ndarray(colours, format="rgb24").reformat(format=pix_fmt)
    band = _Band(Path("clip.mkv"), 71, 120)
    whole = frame.reformat(format="yuv420p").to_ndarray(format="gray")[36 : 36 + 48, :70]
    cut = band.of(frame).to_ndarray(format="gray")
    assert cut.shape == (48, 70)
    assert np.abs(cut.astype(int) - whole).max() <= 1
