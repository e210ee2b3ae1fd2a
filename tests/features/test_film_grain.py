"""Film grain that decoders add: scored with it as by FFmpeg, and without it on request."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pyvmaf.features.ladder import extract_ladder
from pyvmaf.features.options import Compute, Reading
from pyvmaf.scoring.score import score
from pyvmaf.video.reader import Reader
from tests.make.commands import command
from tests.make.grain import with_grain

ENCODERS = {
    "h264": ("libx264", "-crf", "30", "-bf", "0", "-preset", "ultrafast", "-f", "h264"),
    "hevc": ("libx265", "-crf", "30", "-preset", "ultrafast", "-x265-params", "bframes=0:log-level=none", "-f", "hevc"),
    "av1": ("libsvtav1", "-crf", "35", "-preset", "12", "-svtav1-params", "film-grain=40:film-grain-denoise=1"),
}
# FFmpeg prints six decimals.
HALF_DIGIT = 5.0001e-7


@pytest.fixture(scope="module")
def reference(pair: tuple[Path, Path], convert: Callable[..., Path]) -> Path:
    return convert(pair[0], "before_grain.mkv", "-frames:v", "6", "-c:v", "ffv1")


@pytest.fixture(scope="module", params=list(ENCODERS))
def grainy(reference: Path, convert: Callable[..., Path], request: pytest.FixtureRequest) -> Path:
    """An encode whose decoder is asked for film grain."""
    kind: str = request.param
    encoded = convert(reference, f"grain_{kind}.{'mkv' if kind == 'av1' else kind}", "-c:v", *ENCODERS[kind])
    if kind == "av1":
        return encoded
    path = encoded.with_name(f"grainy.{kind}")
    path.write_bytes(with_grain(encoded.read_bytes(), hevc=kind == "hevc"))
    return path


def _by_ffmpeg(ffmpeg: str, reference: Path, distorted: Path, log: Path, *options: str) -> list[float]:
    """Score by number of frame with FFmpeg's filter; `options` are of the distorted input."""
    numbered = "[0:v]settb=1/25,setpts=N[a];[1:v]settb=1/25,setpts=N[b]"
    graph = f"{numbered};[a][b]libvmaf=log_fmt=json:log_path={log.name}"
    files = [*options, "-i", str(distorted), "-i", str(reference)]
    subprocess.run(
        [ffmpeg, "-v", "error", *files, "-lavfi", graph, "-f", "null", "-"], check=True, timeout=120, cwd=log.parent
    )
    return [frame["metrics"]["vmaf"] for frame in json.loads(log.read_text())["frames"]]


def test_scores_with_and_without_grain_equal_ffmpegs(
    reference: Path, grainy: Path, ffmpeg: str, tmp_path: Path
) -> None:
    by_default = score(reference, grainy)
    without = score(reference, grainy, film_grain=False)
    for ours, options in ((by_default, ()), (without, ("-export_side_data", "film_grain"))):
        theirs = _by_ffmpeg(ffmpeg, reference, grainy, tmp_path / "log.json", *options)
        np.testing.assert_allclose(ours["vmaf"], theirs, rtol=0, atol=HALF_DIGIT)
    assert abs(by_default["vmaf"] - without["vmaf"]).min() > 0.01
    assert (by_default.reading, without.reading) == ({}, {"film_grain": False})


def test_grain_is_told(reference: Path, grainy: Path, tmp_path: Path) -> None:
    assert Reader(grainy).asks_for_grain
    assert not Reader(reference).asks_for_grain
    for word, text in (("on", "--film-grain off"), ("off", "without")):
        done = command("score", reference, grainy, "--film-grain", word, "-o", tmp_path / "s.json")
        assert done.returncode == 0, done.stderr
        notes = [line for line in done.stderr.splitlines() if "grain" in line]
        assert len(notes) == 1
        assert grainy.name in notes[0]
        assert text in notes[0]
        assert json.loads((tmp_path / "s.json").read_text())["reading"] == (
            {} if word == "on" else {"film_grain": False}
        )
    plain = command("score", reference, reference)
    assert (plain.returncode, "grain" in plain.stderr) == (0, False)


def test_grain_is_part_of_the_cache_key(reference: Path, grainy: Path, tmp_path: Path) -> None:
    ladders = [
        extract_ladder(
            reference, {"a": grainy}, reading=Reading(film_grain=grain), compute=Compute(cache=tmp_path / "cache")
        )
        for grain in (True, False, True, False)
    ]
    assert [ladder.cached > 0 for ladder in ladders] == [False, False, True, True]
    first, second, third, fourth = (ladder.rungs["a"].features["vif_scale0"] for ladder in ladders)
    np.testing.assert_array_equal(first, third)
    np.testing.assert_array_equal(second, fourth)
    assert not np.array_equal(first, second)
    assert all(str(grainy) in "".join(ladder.notes) for ladder in ladders)
