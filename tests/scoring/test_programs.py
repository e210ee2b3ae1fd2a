"""`score` between programs: rows while they come, one number, a limit, and videos that are read once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyvmaf
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.features.pool import pool
from pyvmaf.scoring.limit import Limit
from pyvmaf.scoring.report import ScoreReport
from pyvmaf.video.ffmpeg import ffmpeg
from pyvmaf.video.piped import Piped
from pyvmaf.video.reader import Reader
from tests.make.commands import command, refusal
from tests.make.documents import read_as


@pytest.fixture(scope="module")
def short(pair: tuple[Path, Path], convert: Callable[..., Path]) -> tuple[Path, Path]:
    """The first twelve frames of both."""
    words = ("-frames:v", "12", "-c:v", "ffv1")
    return convert(pair[0], "short_reference.mkv", *words), convert(pair[1], "short_distorted.mkv", *words)


@pytest.fixture(scope="module")
def y4m(short: tuple[Path, Path], convert: Callable[..., Path]) -> Path:
    """The distorted one as y4m."""
    return convert(short[1], "short_distorted.y4m", "-f", "yuv4mpegpipe", "-strict", "-1")


@pytest.fixture(scope="module")
def whole(short: tuple[Path, Path]) -> pyvmaf.Scores:
    return pyvmaf.score(*short)


def fed(pipe: Path, data: bytes) -> Path:
    """A named pipe into which a thread writes."""
    os.mkfifo(pipe)

    def feed() -> None:
        with suppress(BrokenPipeError), open(pipe, "wb") as stream:
            stream.write(data)

    threading.Thread(target=feed, daemon=True).start()
    return pipe


def taken(*videos: Path, **options: Any) -> tuple[pyvmaf.Scores, list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    return pyvmaf.score(*videos, take=rows.append, **options), rows


class TestRowsThatCome:
    @pytest.mark.parametrize("threads", [1, 3])
    def test_they_equal_those_of_the_whole(self, short: tuple[Path, Path], threads: int) -> None:
        models = ["vmaf_v0.6.1", "vmaf_v0.6.1neg"]
        expected = pyvmaf.score(*short, model=models, features="canonical6,psnr_y")
        scores, rows = taken(*short, model=models, features="canonical6,psnr_y", threads=threads)
        assert rows == list(expected.rows()) == list(scores.rows())
        assert scores.as_json() == expected.as_json()

    def test_they_come_before_the_end(self, short: tuple[Path, Path]) -> None:
        order: list[str] = []
        pyvmaf.score(*short, advance=lambda *_: order.append("read"), take=lambda _: order.append("row"))
        # A row is one frame late.
        assert order[:4] == ["read", "row", "read", "row"]

    @pytest.mark.parametrize(
        "options",
        [{"frames": (2, 9)}, {"subsample": 3}, {"features": "speed_temporal"}],
        ids=["part", "every third", "ordered"],
    )
    def test_others_come_at_the_end(self, short: tuple[Path, Path], options: dict[str, Any]) -> None:
        scores, rows = taken(*short, **options)
        assert rows == list(pyvmaf.score(*short, **options).rows()) == list(scores.rows())

    def test_lines(self, short: tuple[Path, Path], whole: pyvmaf.Scores, tmp_path: Path) -> None:
        done = command("score", *short, "-o", "-", "--format", "ndjson")
        *rows, last = map(json.loads, done.stdout.splitlines())
        assert rows == list(whole.rows())
        assert {**last, "frames": rows} == whole.as_json()
        assert "harmonic" in done.stderr
        for _ in range(2):
            assert command("score", *short, "-o", tmp_path / "s.ndjson").returncode == 0
        assert (tmp_path / "s.ndjson").read_text() == done.stdout
        (tmp_path / "s.ndjson").write_text('{"mine": 1}\n')
        assert "exists already, and is not ndjson of scores" in refusal("score", *short, "-o", tmp_path / "s.ndjson")

    def test_a_refused_pair_leaves_no_last_line(self, short: tuple[Path, Path], convert: Callable[..., Path]) -> None:
        shorter = convert(short[1], "shorter.mkv", "-frames:v", "9", "-c:v", "ffv1")
        assert "frame counts differ" in refusal("score", short[0], shorter, "-o", "-", "--format", "ndjson")


class TestOneNumber:
    def test_quiet(self, short: tuple[Path, Path], whole: pyvmaf.Scores) -> None:
        for words, expected in (
            ((), whole["vmaf"].mean()),
            (("--fail-under", "5:p5"), np.percentile(whole["vmaf"], 5)),
            (("--fail-under", "5:max"), whole["vmaf"].max()),
        ):
            done = command("score", *short, "--quiet", *words)
            # These frames are smaller than the screen of the model, which changes nothing about the number.
            assert (done.returncode, done.stdout, done.stderr) == (0, f"{float(expected)!r}\n", "")

    def test_what_was_asked_for_is_not(self, short: tuple[Path, Path], convert: Callable[..., Path]) -> None:
        cut = convert(short[1], "quiet_cut.mkv", "-frames:v", "5", "-c:v", "ffv1")
        done = command("score", short[0], cut, "--quiet", "--shortest")
        assert (done.returncode, done.stderr) == (0, "")
        assert "note: " in command("score", short[0], cut, "--shortest").stderr

    def test_what_changes_its_meaning_is_still_said(
        self, short: tuple[Path, Path], convert: Callable[..., Path]
    ) -> None:
        flat = convert(short[1], "flat.mkv", "-vf", "scale=176:100,setsar=1", "-c:v", "ffv1")
        done = command("score", short[0], flat, "--quiet", "--scale", "reference", "--crop", "reference=176x144+0+0")
        [line] = done.stderr.splitlines()
        assert line.startswith(f"warning: {flat} is 176x100, an aspect ratio of 1.760, and is stretched")
        loud = command("score", short[0], flat, "--scale", "reference", "--crop", "reference=176x144+0+0").stderr
        assert line in loud.splitlines()
        assert sum(said.startswith("note: ") for said in loud.splitlines()) == 2

    def test_a_limit(self, short: tuple[Path, Path], whole: pyvmaf.Scores) -> None:
        lowest = float(whole["vmaf"].min())
        assert command("score", *short, "--fail-under", f"{lowest!r}:min").returncode == 0
        done = command("score", *short, "--fail-under", f"{lowest + 1e-6!r}:min", "-o", "-")
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == f"failed: vmaf min is {lowest:.6g}, which is under {lowest + 1e-6:g}"
        assert json.loads(done.stdout)["pooled"]["vmaf"]["min"] == lowest

    def test_what_a_model_of_clips_has(self) -> None:
        scores = pyvmaf.Scores(np.arange(2), {"mos": np.full(2, 3.5)}, summaries={"mos": {"of": "clip", "score": 3.5}})
        assert (scores.headline, scores.figure()) == ("mos", 3.5)
        with pytest.raises(InputError, match="model mos scores whole clips: it has no p5 of frames"):
            scores.figure("p5")

    def test_a_figure_without_a_value_is_under_any_limit(self) -> None:
        scores = pyvmaf.Scores(np.arange(2), {"cambi": np.full(2, np.nan)})
        assert Limit(-5.0).missed(scores) == "cambi mean is nan, which is under -5"

    @pytest.mark.parametrize("text", ["", "ninety", "nan", "inf", "90:", "90:p101", "90:p", "90:average"])
    def test_texts_that_are_none(self, short: tuple[Path, Path], text: str) -> None:
        message = refusal("score", *short, "--fail-under", text)
        assert "LOWEST:FIGURE" in message or "unknown figure" in message

    def test_further_figures(self, short: tuple[Path, Path], whole: pyvmaf.Scores, tmp_path: Path) -> None:
        done = command("score", *short, "--pool", "std,max,p99.9", "-o", tmp_path / "s.json")
        assert "p99.9" in done.stdout
        pooled = read_as(ScoreReport, tmp_path / "s.json").pooled["vmaf"]
        values = whole["vmaf"]
        assert pooled["std"] == values.std()
        assert pooled["max"] == values.max()
        assert pooled["p99.9"] == np.percentile(values, 99.9)
        with pytest.raises(InputError, match=r"unknown figure 'p100\.5': valid: mean, .* percentiles from p0 to p100"):
            pool(values, ["p100.5"])


class TestDocument:
    def test_what_is_infinite_or_missing(self, tmp_path: Path) -> None:
        scores = pyvmaf.Scores(
            np.arange(3),
            {"psnr_hvs": np.array([1.0, np.inf, np.nan]), "cambi": np.full(3, np.nan)},
            unavailable={"cambi": "why"},
            summaries={"small": {"of": "frames", "bounds": [], "score": 1.0}},
        )
        scores.write(tmp_path / "s.json")
        report = read_as(ScoreReport, tmp_path / "s.json")
        assert [frame["psnr_hvs"] for frame in report.frames] == [1.0, "inf", None]
        assert report.schema_ == "pyvmaf-score-v1"


class TestPipes:
    def test_a_named_pipe(
        self, short: tuple[Path, Path], y4m: Path, whole: pyvmaf.Scores, convert: Callable[..., Path], tmp_path: Path
    ) -> None:
        data = y4m.read_bytes()
        scores, rows = taken(short[0], fed(tmp_path / "a", data))
        assert list(scores.rows()) == rows == list(whole.rows())
        np.testing.assert_array_equal(pyvmaf.score(short[0], fed(tmp_path / "b", data))["vmaf"], whole["vmaf"])
        reference = convert(short[0], "short_reference.y4m", "-f", "yuv4mpegpipe").read_bytes()
        both = pyvmaf.score(fed(tmp_path / "c", reference), fed(tmp_path / "d", data), threads=2)
        np.testing.assert_array_equal(both["vmaf"], whole["vmaf"])
        scaled = pyvmaf.score(short[0], fed(tmp_path / "e", data), scale="88x72", features="adm2")
        np.testing.assert_array_equal(scaled["adm2"], pyvmaf.score(*short, scale="88x72", features="adm2")["adm2"])

    def test_standard_input(self, short: tuple[Path, Path], y4m: Path, whole: pyvmaf.Scores) -> None:
        words = [sys.executable, "-m", "pyvmaf", "score", str(short[0]), "-", "--quiet"]
        done = subprocess.run(words, input=y4m.read_bytes(), capture_output=True, check=True)
        assert float(done.stdout) == whole["vmaf"].mean()
        assert "both videos are - (standard input)" in refusal("score", "-", "-")

    def test_what_it_reads_is_what_a_file_holds(self, y4m: Path, tmp_path: Path) -> None:
        pipe, file = Piped(fed(tmp_path / "p", y4m.read_bytes())), Reader(y4m)
        assert (pipe.format, pipe.side.colour, pipe.stated_frames) == (file.format, file.side.colour, None)
        for ours, theirs in zip(pipe.planes(), file.planes(), strict=True):
            for plane, other in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(plane, other)
        assert pipe.count_frames() == file.count_frames() == 12
        with pytest.raises(InputError, match="can be read only once"):
            pipe.planes()

    def test_frames_that_were_not_read_count(self, y4m: Path, tmp_path: Path) -> None:
        pipe = Piped(fed(tmp_path / "p", y4m.read_bytes()))
        planes = pipe.planes()
        for _ in range(5):
            next(planes)
        assert (pipe.count_packets(), pipe.count_packets()) == (12, 12)

    @pytest.mark.parametrize("lost", [1, 7, 38016 + 3])
    def test_one_that_breaks_off(self, short: tuple[Path, Path], y4m: Path, tmp_path: Path, lost: int) -> None:
        with pytest.raises(IntegrityError, match=r"ends within frame 1[01], .* stopped early"):
            pyvmaf.score(short[0], fed(tmp_path / "p", y4m.read_bytes()[:-lost]))

    def test_pairs_that_do_not_fit(
        self, short: tuple[Path, Path], y4m: Path, convert: Callable[..., Path], tmp_path: Path
    ) -> None:
        data = y4m.read_bytes()
        frame = 38016 + len(b"FRAME\n")
        for name, content, reason in (
            ("less", data[: -2 * frame], r"frame counts differ: the reference .* has 12, .*less has 10"),
            ("more", data + data[-frame:], r"frame counts differ: the reference .* has 12, .*more has 13"),
            ("text", b"text\n" * 99, "does not begin as y4m does: pipe y4m, as FFmpeg's options"),
            ("nothing", b"", "does not begin as y4m does"),
            ("no_frames", data[: data.index(b"FRAME")], "holds no frames|does not begin as y4m does"),
        ):
            with pytest.raises(InputError, match=reason):
                pyvmaf.score(short[0], fed(tmp_path / name, content))
        fast = convert(
            y4m, "fast.y4m", "-vf", "setpts=N/50/TB", "-r", "50", "-frames:v", "12", "-f", "yuv4mpegpipe"
        ).read_bytes()
        notes = pyvmaf.score(short[0], fed(tmp_path / "fast", fast)).notes
        assert any("frame rates differ" in note and "both have 12 frames" in note for note in notes)


class TestXmlLog:
    def test_as_libvmaf_writes_it(self, short: tuple[Path, Path], whole: pyvmaf.Scores, tmp_path: Path) -> None:
        """An independent build of libvmaf, in FFmpeg, writes its log of the same pair."""
        theirs = tmp_path / "theirs.xml"
        sides = "[0:v]settb=1/25,setpts=N[a];[1:v]settb=1/25,setpts=N[b]"
        graph = f"{sides};[a][b]libvmaf=log_fmt=xml:log_path={theirs}"
        words = [
            str(word)
            for word in (
                ffmpeg().path,
                "-v",
                "error",
                "-i",
                short[1],
                "-i",
                short[0],
                "-lavfi",
                graph,
                "-f",
                "null",
                "-",
            )
        ]
        subprocess.run(words, check=True)
        assert command("score", *short, "-o", tmp_path / "ours.xml").returncode == 0
        ours, other = (ET.parse(file).getroot() for file in (tmp_path / "ours.xml", theirs))  # noqa: S314
        assert ours.tag == other.tag == "VMAF"
        assert ours.find("params").attrib == other.find("params").attrib  # type: ignore[union-attr]
        frames = [item.attrib for item in ours.iter("frame")]
        expected = [item.attrib for item in other.iter("frame")]
        assert len(frames) == len(expected) == len(whole)
        for mine, their in zip(frames, expected, strict=True):
            assert mine.keys() <= their.keys()
            assert {"frameNum", "vmaf", "integer_adm2", "integer_vif_scale3", "integer_motion2"} <= mine.keys()
            for name, value in mine.items():
                assert float(value) == pytest.approx(float(their[name]), abs=2e-6)
        pooled = {item.attrib["name"]: item.attrib for item in other.iter("metric")}
        for item in ours.iter("metric"):
            for figure in ("min", "max", "mean", "harmonic_mean"):
                assert float(item.attrib[figure]) == pytest.approx(float(pooled[item.attrib["name"]][figure]), abs=2e-6)

    def test_it_is_replaced_and_other_files_are_not(self, short: tuple[Path, Path], tmp_path: Path) -> None:
        log = tmp_path / "log.xml"
        assert [command("score", *short, "-o", log).returncode for _ in range(2)] == [0, 0]
        log.write_text("<html>")
        assert "exists already, and is not xml of scores" in refusal("score", *short, "-o", log)

    def test_it_holds_one_pair(self, short: tuple[Path, Path], tmp_path: Path) -> None:
        message = refusal("score", short[0], short[1], short[0], "-o", tmp_path / "log.xml")
        assert "libvmaf's log (xml) holds one pair" in message


@pytest.mark.parametrize("address", ["https://localhost/a.mp4", "rtmp://localhost/live", "s3://bucket/a.mkv"])
def test_addresses_are_refused_with_the_reason(short: tuple[Path, Path], address: str) -> None:
    message = refusal("score", short[0], address)
    assert f"is an address ({address.partition(':')[0]}): nothing is read over a network" in message
