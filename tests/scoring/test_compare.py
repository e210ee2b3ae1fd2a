"""Several versions of a video: scores equal to those of each pair, the ranking, sizes, bitrates, and BD-rates."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyvmaf
from pyvmaf.errors import InputError, MissingFileError
from pyvmaf.scoring.bdrate import Point, bd_rate
from pyvmaf.scoring.compare import Comparison, Version, expanded, read_pairs
from pyvmaf.scoring.report import ComparisonReport
from tests.make.commands import command, refusal
from tests.make.documents import read_as

CRFS = (20, 28, 36, 44)


@pytest.fixture(scope="module")
def videos(pair: tuple[Path, Path], ffmpeg: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a reference and a ladder in each of two folders. Read-only."""
    root = tmp_path_factory.mktemp("versions")
    quiet = [ffmpeg, "-v", "error", "-y"]
    subprocess.run(
        [*quiet, "-i", pair[0], "-frames:v", "10", "-an", "-c:v", "ffv1", root / "reference.mkv"], check=True
    )
    for name in ("fast", "slow"):
        (root / name).mkdir()
        (root / name / "notes.txt").write_text("not a video")
        for crf in CRFS:
            words = ["-c:v", "libx264", "-preset", name, "-crf", str(crf), root / name / f"{crf}.mp4"]
            subprocess.run([*quiet, "-i", root / "reference.mkv", *words], check=True)
    return root


@pytest.fixture(scope="module")
def comparison(videos: Path) -> Comparison:
    return pyvmaf.compare(videos / "reference.mkv", [videos / "fast", videos / "slow"], threads=2)


def test_scores_equal_those_of_pairs(videos: Path, comparison: Comparison) -> None:
    assert len(comparison.versions) == 2 * len(CRFS)
    for version in comparison.versions:
        alone = pyvmaf.score(videos / "reference.mkv", version.path)
        assert version.scores.as_json() == alone.as_json()
        assert comparison[version.path] is version.scores


def test_facts_of_files(videos: Path, comparison: Comparison, ffmpeg: str, tmp_path: Path) -> None:
    version = comparison.versions[0]
    assert version.path == videos / "fast" / "20.mp4"
    assert version.bytes == version.path.stat().st_size
    # The stream alone, copied out of its container.
    subprocess.run(
        [
            ffmpeg,
            "-v",
            "error",
            "-i",
            version.path,
            "-c",
            "copy",
            "-bsf:v",
            "null",
            "-f",
            "data",
            "-map",
            "0:v",
            tmp_path / "raw",
        ],
        check=True,
    )
    seconds = 10 / (30000 / 1001)
    assert version.kbps == pytest.approx((tmp_path / "raw").stat().st_size * 8 / 1000 / seconds, rel=1e-6)


def test_ranking(comparison: Comparison) -> None:
    means = [version.scores["vmaf"].mean() for version in comparison.ranked]
    assert means == sorted(means, reverse=True)
    without = Version(Path("a"), pyvmaf.Scores(np.arange(1), {"x": np.array([np.nan])}))
    with_score = Version(Path("b"), pyvmaf.Scores(np.arange(1), {"x": np.array([1.0])}))
    assert Comparison(Path("r"), (without, with_score)).ranked == [with_score, without]


def test_what_the_terminal_shows(videos: Path, comparison: Comparison) -> None:
    done = command(
        "score", "reference.mkv", "fast", "slow", "--model", "vmaf_v0.6.1", "--model", "vmaf_v0.6.1neg", cwd=videos
    )
    assert done.returncode == 0, done
    assert "8 versions of reference.mkv, 10 frames, vmaf_v0.6.1, vmaf_v0.6.1neg" in done.stdout
    lines = [line.split() for line in done.stdout.splitlines() if ".mp4" in line]
    assert [line[0] for line in lines] == [f"{v.path.parent.name}/{v.path.name}" for v in comparison.ranked]
    best = comparison.ranked[0]
    assert lines[0][1] == f"{best.scores['vmaf'].mean():.3f}"
    assert lines[0][6] == f"{best.kbps:.1f}"
    [difference] = comparison.differences()
    assert difference.rate is not None
    assert f"slow against fast: BD-rate {difference.rate.percent:+.2f} %" in done.stdout


def test_one_number_each_and_a_limit(videos: Path, comparison: Comparison) -> None:
    done = command("score", "reference.mkv", "fast/*.mp4", "--quiet", "--fail-under", "60", cwd=videos)
    values = {line.split("  ")[1]: float(line.split("  ")[0]) for line in done.stdout.splitlines()}
    assert values == {f"fast/{crf}.mp4": comparison[videos / "fast" / f"{crf}.mp4"]["vmaf"].mean() for crf in CRFS}
    low = [name for name, value in values.items() if value < 60]
    assert low
    assert done.returncode == 1
    assert [line.split(": ")[1] for line in done.stderr.splitlines() if line.startswith("failed")] == low


def test_files(videos: Path, comparison: Comparison, tmp_path: Path) -> None:
    words = ("score", videos / "reference.mkv", videos / "fast", videos / "slow", "-o")
    for suffix in ("json", "csv", "ndjson", "parquet"):
        # Again over its own output.
        for _ in range(2 if suffix == "csv" else 1):
            assert command(*words, tmp_path / f"s.{suffix}").returncode == 0
    expected = comparison.ranked[0].scores["vmaf"].tolist()
    report = read_as(ComparisonReport, tmp_path / "s.json").comparisons[0]
    assert [frame["vmaf"] for frame in report.versions[0].frames] == expected
    assert report.bd_rate[0].bd_rate_percent is not None
    rows = list(csv.DictReader((tmp_path / "s.csv").read_text().splitlines()))
    assert [float(row["vmaf"]) for row in rows[:10]] == expected
    assert rows[0]["distorted"] == str(comparison.ranked[0].path)
    lines = [json.loads(line) for line in (tmp_path / "s.ndjson").read_text().splitlines()]
    assert [line["vmaf"] for line in lines[:10]] == expected
    assert set(lines[-1]) == {"schema", "comparisons"}
    assert pq.read_table(tmp_path / "s.parquet")["vmaf"].to_pylist()[:10] == expected


class TestNames:
    def test_folders_and_patterns(self, videos: Path) -> None:
        fast = [videos / "fast" / f"{crf}.mp4" for crf in CRFS]
        reference = videos / "reference.mkv"
        assert list(expanded([videos / "fast"], reference)) == fast
        assert list(expanded([videos / "fast" / "[23]*.mp4", fast[3]], reference)) == [*fast[:3], fast[3]]
        with pytest.raises(InputError, match="holds no videos beside the reference"):
            list(expanded([videos], reference))
        with pytest.raises(MissingFileError, match="no file matches the pattern"):
            list(expanded([videos / "*.webm"], reference))

    def test_a_file_whose_name_looks_like_a_pattern(self, videos: Path, tmp_path: Path) -> None:
        odd = tmp_path / "a[1].mp4"
        odd.write_bytes((videos / "fast" / "20.mp4").read_bytes())
        assert list(expanded([odd], videos / "reference.mkv")) == [odd]

    def test_twice(self, videos: Path) -> None:
        words = ("score", videos / "reference.mkv", videos / "fast" / "20.mp4", videos / "fast")
        assert "20.mp4 is named twice among the distorted videos" in refusal(*words)

    def test_nothing(self) -> None:
        assert "name the reference and the distorted video, or a list of pairs" in refusal("score")


class TestPairs:
    def test_several_references(self, videos: Path, comparison: Comparison, tmp_path: Path) -> None:
        rows = ["fast/20.mp4,fast/44.mp4", "reference.mkv,fast/20.mp4", "reference.mkv,slow/20.mp4"]
        (videos / "pairs.csv").write_text("\n".join(["reference,distorted", *rows]) + "\n")
        done = command("score", "--pairs", videos / "pairs.csv", "-o", tmp_path / "s.json")
        assert done.returncode == 0, done
        first, second = read_as(ComparisonReport, tmp_path / "s.json").comparisons
        assert first.reference == str(videos / "fast" / "20.mp4")
        assert [version.distorted for version in second.versions] == [
            str(version.path) for version in comparison.ranked if version.path.name == "20.mp4"
        ]
        names = "is named beside --pairs"
        assert names in refusal("score", videos / "reference.mkv", "--pairs", videos / "pairs.csv")

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("reference,video\na,b\n", "lacks the column distorted"),
            ("reference,distorted\n", "has no rows"),
            ("reference,distorted\na,\n", "line 2 has no distorted"),
            ("reference,distorted,distorted\na,b,c\n", "column distorted twice"),
        ],
    )
    def test_lists_that_are_wrong(self, tmp_path: Path, text: str, reason: str) -> None:
        (tmp_path / "pairs.csv").write_text(text)
        with pytest.raises(InputError, match=reason):
            read_pairs(tmp_path / "pairs.csv")


def test_a_version_that_cannot_be_compared_is_named(videos: Path, convert: Callable[..., Path]) -> None:
    cut = convert(videos / "fast" / "20.mp4", "seven.mkv", "-frames:v", "7", "-c:v", "ffv1")
    with pytest.raises(InputError, match=r"frame counts differ: .* seven\.mkv has 7|seven\.mkv has 7"):
        pyvmaf.compare(videos / "reference.mkv", [videos / "fast", cut])


curves = st.lists(st.tuples(st.floats(1.05, 3.0), st.floats(0.5, 12.0)), min_size=4, max_size=8).map(
    lambda steps: [
        Point(100 * float(np.prod([s[0] for s in steps[: i + 1]])), 20 + sum(s[1] for s in steps[: i + 1]))
        for i in range(len(steps))
    ]
)


class TestBdRate:
    @given(curves, st.floats(0.2, 5.0))
    def test_a_factor_of_the_rate(self, curve: list[Point], factor: float) -> None:
        other = [Point(point.kbps * factor, point.score) for point in curve]
        assert bd_rate(curve, other).percent == pytest.approx((factor - 1) * 100, rel=1e-9, abs=1e-9)

    @given(curves, curves)
    def test_both_ways_cancel(self, ours: list[Point], theirs: list[Point]) -> None:
        low, high = max(ours[0].score, theirs[0].score), min(ours[-1].score, theirs[-1].score)
        if low >= high:
            with pytest.raises(InputError, match="no quality in common"):
                bd_rate(ours, theirs)
            return
        there, back = bd_rate(ours, theirs), bd_rate(theirs, ours)
        assert (1 + there.percent / 100) * (1 + back.percent / 100) == pytest.approx(1)
        assert (there.low, there.high) == (low, high)

    def test_against_the_sum_of_many_thin_slices(self) -> None:
        # Straight lines between log rate and quality: the mean difference is that of the middle.
        ours = [Point(float(np.exp(q / 10)), q) for q in (20.0, 30.0, 40.0, 50.0)]
        theirs = [Point(float(np.exp(q / 8)), q) for q in (24.0, 32.0, 40.0, 48.0)]
        quality = np.linspace(24, 48, 200_001)
        mean = float(np.mean(quality / 8 - quality / 10))
        assert bd_rate(ours, theirs).percent == pytest.approx((np.exp(mean) - 1) * 100, rel=1e-6)

    @pytest.mark.parametrize(
        ("points", "reason"),
        [
            ([Point(1, 1), Point(2, 2), Point(3, 3)], "at least 4 rungs, one has 3"),
            ([Point(1, 1), Point(2, 2), Point(3, 1.5), Point(4, 3)], "does not rise"),
            ([Point(0, 1), Point(2, 2), Point(3, 3), Point(4, 4)], "no score or no bitrate"),
            ([Point(1, 1), Point(1, 2), Point(3, 3), Point(4, 4)], "does not rise"),
        ],
    )
    def test_curves_that_tell_nothing(self, points: list[Point], reason: str) -> None:
        good = [Point(k, k) for k in (1, 2, 3, 4)]
        with pytest.raises(InputError, match=reason):
            bd_rate(good, points)
