"""The page of scores, parsed as a browser does, and the curves in a terminal."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import pyvmaf
from pyvmaf.cli.plot import drawn
from pyvmaf.reports.pages.score.thin import POINTS, thinned
from pyvmaf.scoring.report import ScoreReport
from pyvmaf.video.reader import Reader
from tests.make.commands import command, refusal
from tests.make.documents import read_as
from tests.make.pages import Parsed

FRAMES = 40
# Two scenes of 20 frames each.
TWO = (
    "-filter_complex",
    "[0:v]split[a][b];[a]trim=end_frame=20[c];[b]trim=start_frame=40:end_frame=60,negate[d];[c][d]concat",
)


@pytest.fixture(scope="module")
def videos(pair: tuple[Path, Path], convert: Callable[..., Path]) -> tuple[Path, Path]:
    """Two shots, and an encode of them."""
    reference = convert(pair[0], "shots.mkv", *TWO, "-c:v", "ffv1")
    return reference, convert(reference, "shots.mp4", "-c:v", "libx264", "-crf", "34", "-g", "12")


@pytest.fixture(scope="module")
def scored(videos: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Parsed, ScoreReport, str]:
    folder = tmp_path_factory.mktemp("page")
    done = command("score", *videos, "-m", "v0.6", "-m", "neg", "--report", folder / "p.html", "-o", folder / "s.json")
    assert done.returncode == 0, done
    return Parsed((folder / "p.html").read_text(encoding="utf-8")), read_as(ScoreReport, folder / "s.json"), done.stdout


def data_of(page: Parsed, name: str) -> dict[str, list[Any]]:
    columns = json.loads(page.scripts["data"])[name]
    return {key: c if isinstance(c, list) else [c["words"][i] for i in c["at"]] for key, c in columns.items()}


def sources(page: Parsed) -> list[str]:
    return [str(attrs["src"]) for tag, attrs in page.tags if tag == "img"]


def gray_of(source: str) -> np.ndarray[Any, Any]:
    """Luma of a picture of the page, of full range."""
    decoder: Any = av.CodecContext.create("mjpeg", "r")
    [picture] = decoder.decode(av.Packet(base64.b64decode(source.partition(",")[2])))
    return np.asarray(picture.to_ndarray(format="gray"), np.float64)


class TestPair:
    def test_it_needs_no_other_file(self, scored: tuple[Parsed, ScoreReport, str]) -> None:
        page, _, said = scored
        assert page.open == []
        assert "p.html" in said
        assert sources(page)
        assert all(source.startswith("data:image/jpeg;base64,") for source in sources(page))
        for tag, attrs in page.tags:
            assert tag == "img" or not any(name in attrs for name in ("src", "srcset", "data"))

    def test_the_curves_are_the_scores(self, scored: tuple[Parsed, ScoreReport, str]) -> None:
        page, report, _ = scored
        curve, features = data_of(page, "curve"), data_of(page, "features")
        for name in ("vmaf", "vmaf_v0.6.1neg"):
            values = [v for v, series in zip(curve["mean"], curve["series"], strict=True) if series == name]
            np.testing.assert_allclose(values, [row[name] for row in report.frames], rtol=1e-5)  # type: ignore[arg-type]
        assert {*features["series"]} == {*report.pooled} - {*report.libvmaf_models}
        counts = data_of(page, "distribution")
        assert sum(counts["frames"]) == 2 * FRAMES

    def test_cuts_and_shots(self, scored: tuple[Parsed, ScoreReport, str]) -> None:
        page, report, _ = scored
        assert report.cuts == data_of(page, "cuts")["frame"] == [20]
        shots = {row[0]: row for row in page.table("Shots with the lowest")[1:]}
        values = [row["vmaf"] for row in report.frames]
        assert float(shots["20 to 39"][2]) == pytest.approx(np.mean(values[20:]), abs=1e-3)  # type: ignore[arg-type]

    def test_the_worst_frames_are_pictures_of_both_videos(
        self, scored: tuple[Parsed, ScoreReport, str], videos: tuple[Path, Path]
    ) -> None:
        page, report, _ = scored
        shown = data_of(page, "shown")
        values = [row["vmaf"] for row in report.frames]
        worst = int(np.argmin(values))  # type: ignore[arg-type]
        assert shown["frame"][0] == worst
        assert shown["mean"][0] == values[worst]
        assert len(sources(page)) == 3 * len(shown["frame"])
        row = page.table(f"Figures of frame {worst}")[1]
        assert float(row[1]) == pytest.approx(values[worst], abs=1e-4)
        lumas = []
        for path, source in zip(videos, sources(page), strict=False):
            planes = list(Reader(path).planes())[worst]
            gray = gray_of(source)
            lumas.append((planes[0].astype(float), gray))
            expected = (planes[0].astype(float) - 16) * 255 / 219
            assert np.abs(np.clip(expected, 0, 255) - gray).mean() < 4
        difference = np.minimum(255, 4 * np.abs(lumas[0][0] - lumas[1][0]))
        assert np.abs(gray_of(sources(page)[2]) - difference).mean() < 4

    def test_conversions_and_files(self, videos: tuple[Path, Path], tmp_path: Path) -> None:
        words = ("--frames", "5:30", "--crop", "160x128", "--offset", "-1")
        assert command("score", *videos, *words, "-o", tmp_path / "p.html").returncode == 0
        page = Parsed((tmp_path / "p.html").read_text(encoding="utf-8"))
        asked = {row[0]: row[1] for row in page.table("Conversions")[1:]}
        assert asked["crop"] == '["160x128"]'
        assert asked["offset"] == "-1"
        files = {row[0]: row[1:] for row in page.table("Files")[1:]}
        assert files["codec"] == ["ffv1", "h264"]
        assert files["size"] == ["176x144"] * 2
        assert files["coded pictures"] == ["40", "40"]
        heights = {attrs["height"] for tag, attrs in page.tags if tag == "img"}
        assert heights == {"128"}

    def test_of_pipes_and_of_a_video_alone(self, videos: tuple[Path, Path], tmp_path: Path) -> None:
        scores = pyvmaf.score(*videos)
        from pyvmaf.features.options import AS_CODED
        from pyvmaf.reports.pages.score.page import write_pair

        write_pair(scores, "-", videos[1], tmp_path / "p.html", AS_CODED)
        page = Parsed((tmp_path / "p.html").read_text(encoding="utf-8"))
        assert not sources(page)
        assert "curve" in json.loads(page.scripts["data"])
        write_pair(scores, None, videos[1], tmp_path / "p.html", AS_CODED)
        page = Parsed((tmp_path / "p.html").read_text(encoding="utf-8"))
        assert len(sources(page)) == len(data_of(page, "shown")["frame"])


def test_versions_are_ranked_with_their_rates(
    pair: tuple[Path, Path], convert: Callable[..., Path], tmp_path: Path
) -> None:
    reference = convert(pair[0], "twelve.mkv", "-frames:v", "12", "-c:v", "ffv1")
    for preset in ("ultrafast", "medium"):
        (tmp_path / preset).mkdir()
        for crf in ("22", "28", "34", "40"):
            made = convert(reference, f"{crf}.mp4", "-c:v", "libx264", "-preset", preset, "-crf", crf)
            (tmp_path / preset / f"{crf}.mp4").write_bytes(made.read_bytes())
    folders = [tmp_path / "ultrafast", tmp_path / "medium"]
    done = command("score", reference, *folders, "--report", tmp_path / "p.html")
    assert done.returncode == 0, done
    page = Parsed((tmp_path / "p.html").read_text(encoding="utf-8"))
    rows = page.table("Versions of")[1:]
    means = [float(row[1]) for row in rows]
    assert len(rows) == 8
    assert means == sorted(means, reverse=True)
    rates = data_of(page, "rates")
    expected = pyvmaf.compare(reference, folders)
    assert dict(zip(rates["kbps"], rates["score"], strict=True)) == pytest.approx(
        {round(v.kbps or 0, 3): v.scores.figure() for v in expected.versions}
    )
    [difference] = expected.differences()
    assert difference.rate is not None
    assert f"BD-rate {difference.rate.percent:+.2f} %" in (tmp_path / "p.html").read_text(encoding="utf-8")
    assert len(sources(page)) == 3 * 8


def test_other_files_are_not_replaced(videos: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.html"
    other.write_text("<!DOCTYPE html><p>mine</p>")
    assert "not a page of scores" in refusal("score", *videos, "--report", other)
    assert "suffix" in refusal("score", *videos, "--report", tmp_path / "p.pdf")
    both = ("-o", tmp_path / "a.html", "--report", tmp_path / "b.html")
    assert "both name a page" in refusal("score", *videos, *both)
    assert other.read_text() == "<!DOCTYPE html><p>mine</p>"
    assert len(list(tmp_path.iterdir())) == 1


@given(arrays(np.float64, st.integers(1, 3000), elements=st.floats(0, 100)), st.integers(1, 5))
def test_thinned_curves_keep_what_is_lowest_and_highest(values: np.ndarray[Any, Any], step: int) -> None:
    curve = thinned(np.arange(values.size) * step, values)
    assert curve.low.size == min(values.size, POINTS)
    assert (np.diff(curve.at) > 0).all()
    assert curve.low.min() == values.min()
    assert curve.high.max() == values.max()
    assert (curve.low <= curve.mean + 1e-9).all()
    assert (curve.mean <= curve.high + 1e-9).all()


@given(arrays(np.float64, st.integers(1, 400), elements=st.floats(-5, 100)), st.integers(1, 200), st.booleans())
def test_a_drawn_curve_fits_the_terminal(values: np.ndarray[Any, Any], width: int, braille: bool) -> None:
    lines = drawn("vmaf", np.arange(values.size), values, width, braille=braille)
    assert len(lines) == 12
    assert max(map(len, lines)) <= max(width, 40)
    if np.ptp(values) > 1e-6:
        # The largest value is in the first row, the least in the last one.
        assert all(len(line.split()) > 1 for line in (lines[1], lines[10]))


def test_a_curve_is_drawn_where_it_is() -> None:
    rising = drawn("vmaf", np.arange(100), np.linspace(0, 90, 100), 60, braille=False)
    first = [line.index("*") for line in rising[1:-1]]
    assert first == sorted(first, reverse=True)
    assert [line.split()[0] for line in rising[1:-1]] == [f"{level}" for level in range(90, -1, -10)]


def test_measured_points_are_drawn_on_their_curve() -> None:
    marked = drawn("vmaf", np.arange(1, 101), np.linspace(90, 0, 100), 60, braille=False, by="CRF", marks={50: 45.0})
    plain = drawn("vmaf", np.arange(1, 101), np.linspace(90, 0, 100), 60, braille=False, by="CRF")
    assert marked[0] == "vmaf, by CRF"
    [(row, column)] = [(row, line.index("o")) for row, line in enumerate(marked[1:]) if "o" in line]
    assert plain[1 + row][column] == "*"
    # Where there are no values, nothing is drawn but what was measured.
    bare = drawn("vmaf", np.arange(1, 101), np.full(100, np.nan), 60, marks={50: 45.0, 60: 40.0})
    assert sum(line.count("o") for line in bare) == 2


def test_plot_of_the_command(videos: tuple[Path, Path]) -> None:
    done = command("score", *videos, "-m", "v0.6", "-m", "neg", "--plot")
    assert "vmaf, by frame" in done.stdout
    assert "vmaf_v0.6.1neg, by frame" in done.stdout
