"""The threshold of a model without a reference: its line and decisions by scikit-learn, its gate, and what is written when."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

import pyvmaf
from pyvmaf.base.manifest import read_manifest
from pyvmaf.checks.nr_threshold import Figures, Limits, NrThreshold, _gate, _measure, relate
from pyvmaf.encodes.encode import encode
from pyvmaf.encodes.encoder import encoder_rung
from tests.make.builders import cut
from tests.make.commands import command, refusal
from tests.make.videos import make_video

SOURCES = ("testsrc2", "smptebars", "yuvtestsrc")
CRFS = (20, 44)


@pytest.fixture
def model(no_reference: Path) -> Path:
    return no_reference


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for source in SOURCES:
        make_video(folder / f"{source}.mkv", "96x80", 4, source=source)
    (folder / "index.tsv").write_text("no video\n")
    return folder


def words(model: Path, clips: Path, output: Path) -> list[object]:
    grid = ["--preset", "ultrafast", "--crf", ",".join(map(str, CRFS)), "--subsample", "2"]
    return ["calibrate-nr-threshold", clips, "-m", model, "-o", output, *grid]


def test_a_weak_calibration_leaves_a_report_only(tmp_path: Path, model: Path, clips: Path) -> None:
    output = tmp_path / "nr.json"
    done = command(*words(model, clips, output), "--report", tmp_path / "report.md")
    assert done.returncode == 1, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"report.md", "report.md.manifest.json"}
    page = (tmp_path / "report.md").read_text()
    for text in (done.stdout, page):
        assert "6 samples are too few: at least 100 are needed" in " ".join(text.split())
        assert "3 clips are too few: at least 10 are needed" in " ".join(text.split())
    assert page.count("\n| testsrc2 |") == len(CRFS)
    assert len(read_manifest(tmp_path / "report.md")["inputs"]["clips"]) == len(SOURCES)


def test_a_weak_calibration_is_written_if_that_is_asked_for(tmp_path: Path, model: Path, clips: Path) -> None:
    """Each sample is the score and the VMAF of an encode made here; the line is that of scipy."""
    output = tmp_path / "nr.json"
    done = command(*words(model, clips, output), "--allow-weak-calibration", "--target", "90")
    assert done.returncode == 0, done.stderr
    found = NrThreshold.read(output)
    assert (found.verdict, found.allowed_weak, found.n_samples) == ("HOLD", True, 6)
    assert [(item.clip, item.crf) for item in found.samples] == [
        (name, crf) for name in sorted(SOURCES) for crf in CRFS
    ]
    for item in found.samples[:2]:
        clip = clips / f"{item.clip}.mkv"
        with tempfile.TemporaryDirectory() as folder:
            made = encode(clip, Path(folder) / "e.mkv", encoder_rung("libx264", "ultrafast", item.crf)).path
            every_second = slice(None, None, 2)
            assert item.vmaf == pytest.approx(np.mean(pyvmaf.score(clip, made)["vmaf"][every_second]))
            scores = pyvmaf.score(None, made, model=model)["small_nr"]
            assert item.nr == pytest.approx(np.mean(scores[every_second]))
    fitted = stats.linregress([item.nr for item in found.samples], [item.vmaf for item in found.samples])
    assert (found.mapping.slope, found.mapping.intercept) == pytest.approx((fitted.slope, fitted.intercept))
    if fitted.slope > 0:
        assert found.threshold == pytest.approx((90 - fitted.intercept) / fitted.slope)
    else:
        assert found.threshold is None
    assert (tmp_path / "nr.md").is_file()
    again = tmp_path / "again.json"
    assert command(*words(model, clips, again), "--allow-weak-calibration", "--target", "90").returncode == 0
    bodies = [json.loads(path.read_text()) for path in (output, again)]
    for body in bodies:
        del body["run_provenance"]
    assert bodies[0] == bodies[1]


def test_a_weak_calibration_does_not_touch_an_earlier_one(tmp_path: Path, model: Path, clips: Path) -> None:
    output = tmp_path / "nr.json"
    assert command(*words(model, clips, output), "--allow-weak-calibration").returncode == 0
    before = output.read_bytes()
    assert command(*words(model, clips, output), "--target", "50").returncode == 1
    assert output.read_bytes() == before


def test_a_run_that_was_interrupted_goes_on(
    tmp_path: Path, model: Path, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weak = "--allow-weak-calibration"
    assert command(*words(model, clips, tmp_path / "whole.json"), weak).returncode == 0
    measured: list[tuple[str, int]] = []

    def measure(path: Path, how: tuple[str, str, int], *rest: Any) -> tuple[float, float]:
        if len(measured) == stop:
            raise KeyboardInterrupt
        measured.append((path.stem, how[2]))
        return _measure(path, how, *rest)

    monkeypatch.setattr("pyvmaf.checks.nr_threshold._measure", measure)
    cached, stop = [*words(model, clips, tmp_path / "cached.json"), weak, "--cache", tmp_path / "cache"], 4
    assert command(*cached).returncode == 130
    assert len(list((tmp_path / "cache").iterdir())) == 4
    # A file of the cache that was cut is measured again.
    next((tmp_path / "cache").iterdir()).write_text("{")
    measured, stop = [], 99
    assert command(*cached).returncode == 0
    assert len(measured) == len(SOURCES) * len(CRFS) - 3
    whole, found = (NrThreshold.read(tmp_path / f"{name}.json") for name in ("whole", "cached"))
    assert found.samples == whole.samples
    # Other settings do not find these scores.
    measured = []
    assert command(*cached, "--subsample", "3").returncode == 0
    assert len(measured) == len(SOURCES) * len(CRFS)


@given(st.integers(3, 8), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_clips_are_predicted_by_lines_of_the_others(clips: int, each: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    nr = rng.normal(50, 10, clips * each)
    vmaf = np.clip(40 + 0.8 * nr + rng.normal(0, 8, nr.size), 0, 100)
    names = np.repeat([f"clip{index}" for index in range(clips)], each)
    found = relate(names.tolist(), nr, vmaf, 80)
    x = nr[:, None]
    raw = cross_val_predict(LinearRegression(), x, vmaf, groups=names, cv=LeaveOneGroupOut())
    np.testing.assert_allclose(found.predicted, np.clip(raw, 0, 100), rtol=1e-7)
    assert found.rmse == pytest.approx(np.sqrt(np.mean((np.clip(raw, 0, 100) - vmaf) ** 2)))
    choice = found.decisions
    assert choice.right + choice.missed == (vmaf >= 80).sum()
    assert choice.wrong + choice.rejected == (vmaf < 80).sum()
    # A line that rises accepts exactly the samples that it predicts to reach the target.
    rising = all(
        LinearRegression().fit(x[names != name], vmaf[names != name]).coef_[0] > 1e-9 for name in np.unique(names)
    )
    if rising and np.abs(raw - 80).min() > 1e-6:
        assert choice.right + choice.wrong == (raw >= 80).sum()


def test_every_limit_is_judged() -> None:
    rng = np.random.default_rng(0)
    nr = rng.uniform(0, 100, 100)
    names = [f"clip{index // 10}" for index in range(100)]
    strong = relate(names, nr, 20 + 0.7 * nr, 60)

    def reasons(n: int, clips: int, figures: Figures) -> list[str]:
        return list(_gate(n, clips, figures, Limits()).reasons)

    assert reasons(100, 10, strong) == []
    assert strong.threshold == pytest.approx(40 / 0.7)
    assert reasons(99, 10, strong) == ["99 samples are too few: at least 100 are needed"]
    assert reasons(100, 9, strong) == ["9 clips are too few: at least 10 are needed"]
    falling = relate(names, nr, 90 - 0.7 * nr, 60)
    assert falling.threshold is None
    assert reasons(100, 10, falling) == ["VMAF does not rise with the score (slope -0.7)"]
    noise = relate(names, nr, rng.uniform(0, 100, 100), 60)
    assert any(reason.startswith("PLCC of clips left out is ") for reason in reasons(100, 10, noise))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--crf", "20"], "--crf names 1 quality numbers, but the relation of a clip needs 2"),
        (["--crf", "20,x"], "--crf '20,x' is not a list of whole numbers"),
        (["--crf", "20,60"], "CRF 60 is outside of the range of libx264"),
        (["--target", "100"], "--target is a VMAF between 0 and 100, not 100"),
        (["{clips}/testsrc2.mkv"], "are one clip, by name or content: it would count twice"),
        (["{clips}/absent.mkv"], "no such file or folder"),
    ],
)
def test_refusals(more: list[str], message: str, tmp_path: Path, model: Path, clips: Path) -> None:
    added = [word.format(clips=clips) for word in more]
    assert message in refusal(*words(model, clips, tmp_path / "nr.json"), *added)
    assert not list(tmp_path.iterdir())


def test_two_clips_are_too_few(tmp_path: Path, model: Path, clips: Path) -> None:
    start = words(model, clips / "testsrc2.mkv", tmp_path / "nr.json")
    assert "1 clips, but a line that leaves one out needs 3" in refusal(*start)


def test_a_model_of_rows_is_refused(tmp_path: Path, clips: Path) -> None:
    rows = Path(__file__).parents[1] / "artefacts/0.1.0/results/models/frame_model/seed0/model.onnx"
    assert "does not score pictures" in refusal(*words(rows, clips, tmp_path / "nr.json"))


def test_real_clips_are_refused(shared_data: Path, tmp_path: Path, model: Path) -> None:
    """Crops of user videos, each too much unlike the next: nothing is written but the report."""
    clips = [*sorted((shared_data / "nr_mos/videos").glob("*.mp4")), *sorted((shared_data / "ugc").glob("*.mp4"))]
    assert len(clips) == 7
    for clip in clips:
        cut(clip, tmp_path / "clips" / f"{clip.stem}.mkv", 3, "-vf", "crop=96:80")
    output = tmp_path / "out" / "nr.json"
    output.parent.mkdir()
    more = ["--crf", "24,32,40", "--min-calibration-samples", "21", "--min-plcc", "0.85"]
    done = command(*words(model, tmp_path / "clips", output), *more)
    assert done.returncode == 1, done.stderr
    assert {path.name for path in output.parent.iterdir()} == {"nr.md", "nr.md.manifest.json"}
