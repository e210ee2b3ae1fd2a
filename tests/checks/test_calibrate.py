"""Calibration of a finished model to opinion scores, its gate, and its use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import LeaveOneOut, cross_val_predict

import pyvmaf
from pyvmaf.checks.calibrate import Limits, calibrate, interval, left_out
from pyvmaf.errors import InputError, MissingFileError
from pyvmaf.scoring.calibration import Calibration
from tests.make.commands import command
from tests.make.videos import make_video

SOURCES = ("testsrc2", "smptebars", "rgbtestsrc", "testsrc", "yuvtestsrc")


@pytest.fixture
def model(no_reference: Path) -> Path:
    return no_reference


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for source in SOURCES:
        make_video(folder / f"{source}.mkv", "96x80", 3, source=source)
    return folder


@pytest.fixture(scope="module")
def scores(no_reference: Path, videos: Path) -> dict[str, float]:
    """The model's score of each video."""
    return {
        name: float(pyvmaf.score(None, videos / f"{name}.mkv", model=no_reference)["small_nr"].mean())
        for name in SOURCES
    }


def rated(path: Path, scores: dict[str, float], slope: float = 1.0) -> Path:
    """Opinions that follow the scores, up to a small error."""
    low, high = min(scores.values()), max(scores.values())
    lines = [
        f"{name},{3 + slope * ((score - low) / (high - low) - 0.5) + 0.02 * (-1) ** index:.6f}"
        for index, (name, score) in enumerate(scores.items())
    ]
    path.write_text("\n".join(["key,mos", *lines]) + "\n")
    return path


def test_a_calibration_predicts_each_video_from_the_others(
    tmp_path: Path, model: Path, videos: Path, scores: dict[str, float]
) -> None:
    opinions = rated(tmp_path / "mos.csv", scores)
    report = calibrate(
        model, opinions, [videos], tmp_path / "calibration.json", scale=(1, 5), subsample=1, limits=Limits(5, 0.7, 0.7)
    )
    assert report.verdict == "PROMOTE"
    assert [video.score for video in report.videos] == [scores[name] for name in sorted(SOURCES)]
    x = np.array([[video.score] for video in report.videos])
    y = np.array([video.mos for video in report.videos])
    expected = cross_val_predict(LinearRegression(), x, y, cv=LeaveOneOut())
    np.testing.assert_allclose([video.predicted for video in report.videos], expected, rtol=1e-9)
    assert report.plcc.value == pytest.approx(stats.pearsonr(expected, y).statistic)
    assert Calibration.read(tmp_path / "calibration.json") == report
    video = videos / "testsrc2.mkv"
    found = pyvmaf.score(None, video, model=model, calibration=tmp_path / "calibration.json")
    line = stats.linregress(x[:, 0], y)
    np.testing.assert_allclose(found["small_nr_mos"], line.intercept + line.slope * found["small_nr"], rtol=1e-9)
    shown = command("score", video, "--model", model, "--calibration", tmp_path / "calibration.json").stdout
    assert "small_nr_mos" in shown


def test_few_videos_are_reported_and_held(tmp_path: Path, model: Path, videos: Path, scores: dict[str, float]) -> None:
    opinions, output = rated(tmp_path / "mos.csv", scores), tmp_path / "calibration.json"
    options = ["--opinions", opinions, "--mos-scale", "1,5", "--subsample", "1", "--output", output]
    outcome = command("calibrate", videos, "--model", model, *options)
    assert outcome.returncode == 1
    assert "HOLD" in outcome.stdout
    assert "5 rated videos are too few: at least 30 are needed" in outcome.stdout
    assert "n = 5" in outcome.stdout
    with pytest.raises(InputError, match=r"calibration.json is held \(5 rated videos are too few"):
        pyvmaf.score(None, videos / "testsrc.mkv", model=model, calibration=output)


def test_opinions_that_fall_with_the_score_are_held(
    tmp_path: Path, model: Path, videos: Path, scores: dict[str, float]
) -> None:
    opinions = rated(tmp_path / "mos.csv", scores, slope=-1.0)
    report = calibrate(model, opinions, [videos], scale=(1, 5), subsample=1, limits=Limits(3, -1, -1))
    assert report.verdict == "HOLD"
    assert report.gate.reasons[0].startswith("opinions do not rise with the score (slope -")


def test_what_cannot_be_calibrated_says_why(
    tmp_path: Path, model: Path, videos: Path, scores: dict[str, float]
) -> None:
    opinions = rated(tmp_path / "mos.csv", scores)
    with pytest.raises(InputError, match=r"mos.csv line 2: MOS [23].* lies outside of its scale, 0 to 1"):
        calibrate(model, opinions, [videos], scale=(0, 1))
    with pytest.raises(MissingFileError, match="rates 4 videos that are not given, the first is smptebars"):
        calibrate(model, opinions, [videos / "testsrc2.mkv"], scale=(1, 5))
    (tmp_path / "two.csv").write_text("key,mos\ntestsrc2,3\ntestsrc,4\n")
    with pytest.raises(InputError, match="rates 2 videos, but a line needs 3"):
        calibrate(model, tmp_path / "two.csv", [videos], scale=(1, 5))
    with pytest.raises(InputError, match="--min-n is 3 or more"):
        calibrate(model, opinions, [videos], scale=(1, 5), limits=Limits(n_min=2))


def test_a_calibration_of_another_model_is_refused(
    tmp_path: Path, model: Path, videos: Path, scores: dict[str, float]
) -> None:
    output = tmp_path / "calibration.json"
    limits = Limits(3, -1, -1)
    calibrate(model, rated(tmp_path / "mos.csv", scores), [videos], output, scale=(1, 5), subsample=1, limits=limits)
    with pytest.raises(InputError, match=r"calibrates small_nr with sha256 .* none of the models of this call"):
        pyvmaf.score(videos / "testsrc.mkv", videos / "testsrc.mkv", model="vmaf_v0.6.1", calibration=output)


def test_the_interval_is_that_of_scipy() -> None:
    x, y = np.arange(12.0), np.array([1, 0, 3, 2, 5, 4, 7, 6, 2, 8, 11, 10.0])
    found = stats.pearsonr(x, y)
    expected = found.confidence_interval(0.95)
    measured = interval(float(found.statistic), 12)
    assert (measured.low, measured.high) == pytest.approx((expected.low, expected.high), rel=1e-6)
    assert interval(0.5, 3).low is None


def test_a_prediction_stays_on_the_scale() -> None:
    assert left_out(np.array([0.0, 1, 100]), np.array([1.0, 2, 5]), (1, 5))[2] == 5
