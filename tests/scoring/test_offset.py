"""Offsets between the videos of a pair: given, searched, reported, and refused where nothing fits."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import pyvmaf
from pyvmaf.errors import InputError
from pyvmaf.scoring.report import ScoreReport
from pyvmaf.video.reader import Reader
from pyvmaf.video.sync import find_offset, match, offset_frames, pictures
from tests.make.commands import command, refusal
from tests.make.documents import read_as

FRAMES = 48


@pytest.fixture(scope="module")
def reference(pair: tuple[Path, Path], convert: Callable[..., Path]) -> Path:
    return convert(pair[0], "moving.mkv", "-frames:v", str(FRAMES), "-c:v", "ffv1")


@pytest.fixture(scope="module")
def shifted(reference: Path, convert: Callable[..., Path]) -> Callable[[int], Path]:
    """An encode that starts so many frames later, or with so many copies of the first frame in front."""

    def make(later: int) -> Path:
        filters = (
            f"trim=start_frame={later},setpts=PTS-STARTPTS" if later >= 0 else f"tpad=start={-later}:start_mode=clone"
        )
        return convert(reference, f"later{later}.mp4", "-vf", filters, "-c:v", "libx264", "-crf", "32")

    return make


def trimmed(convert: Callable[..., Path], video: Path, frames: int) -> Path:
    """The same frames from a certain one on, by FFmpeg."""
    words = ("-vf", f"trim=start_frame={frames},setpts=PTS-STARTPTS", "-c:v", "ffv1")
    return convert(video, f"{video.stem}_trim{frames}.mkv", *words)


class TestGiven:
    @pytest.mark.parametrize("later", [3, -4])
    def test_scores_are_those_of_trimmed_videos(
        self, reference: Path, shifted: Callable[[int], Path], convert: Callable[..., Path], later: int
    ) -> None:
        distorted = shifted(later)
        ours, theirs = trimmed(convert, reference, max(0, later)), trimmed(convert, distorted, max(0, -later))
        expected = pyvmaf.score(ours, theirs)
        rows: list[dict[str, float]] = []
        scores = pyvmaf.score(reference, distorted, offset=later, take=rows.append)
        assert list(scores.rows()) == rows == list(expected.rows())
        np.testing.assert_array_equal(pyvmaf.score(reference, distorted, offset=later)["vmaf"], expected["vmaf"])
        assert scores.alignment == {"frames": later}
        assert scores.reading == {"offset": later}
        assert any(note.startswith(f"offset of {distorted}: {later:+d} frames, as asked for") for note in scores.notes)

    def test_without_it_a_hint_names_it(self, reference: Path, shifted: Callable[[int], Path]) -> None:
        assert "score with --offset 3" in refusal("score", reference, shifted(3))

    def test_seconds(self, reference: Path, shifted: Callable[[int], Path]) -> None:
        rate = 30000 / 1001
        done = command("score", reference, shifted(3), "--offset", f"{3 / rate:.3f}s", "--quiet")
        assert float(done.stdout) == pyvmaf.score(reference, shifted(3), offset=3)["vmaf"].mean()

    def test_videos_of_one_length(self, reference: Path, convert: Callable[..., Path]) -> None:
        late = convert(
            reference, "late.mkv", "-vf", "trim=start_frame=2,setpts=PTS-STARTPTS,tpad=stop=2", "-c:v", "ffv1"
        )
        scores = pyvmaf.score(reference, late, offset=2, features="psnr_y")
        assert len(scores) == FRAMES - 2
        assert (scores["psnr_y"] == 60).all()
        assert any("are not scored" in note for note in scores.notes)

    def test_what_lacks_more_than_the_offset_is_refused(self, reference: Path, convert: Callable[..., Path]) -> None:
        short = convert(
            reference, "short.mkv", "-vf", "trim=start_frame=2:end_frame=30,setpts=PTS-STARTPTS", "-c:v", "ffv1"
        )
        with pytest.raises(InputError, match="frame counts differ"):
            pyvmaf.score(reference, short, offset=2)

    @pytest.mark.parametrize("text", ["", "x", "1.5", "nans", "infs", "0.05s", "3 frames"])
    def test_texts_that_are_none(self, reference: Path, text: str) -> None:
        if text:
            assert "an offset of" in refusal("score", reference, reference, f"--offset={text}")
        assert "not both" in refusal("score", reference, reference, "--offset", "1", "--sync")

    @given(st.integers(-500, 500), st.sampled_from([Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(60)]))
    def test_milliseconds_are_frames(self, frames: int, rate: Fraction) -> None:
        assert offset_frames(f"{float(frames / rate):.4f}s", rate) == frames
        assert offset_frames(frames, None) == frames


class TestSearched:
    @pytest.mark.parametrize("later", [0, 7, -9])
    def test_exact(self, reference: Path, shifted: Callable[[int], Path], later: int, tmp_path: Path) -> None:
        done = command("score", reference, shifted(later), "--sync", "--sync-window", "12", "-o", tmp_path / "s.json")
        assert done.returncode == 0, done
        report = read_as(ScoreReport, tmp_path / "s.json")
        assert report.alignment is not None
        assert report.alignment.frames == later
        assert report.alignment.confidence is not None
        assert f"{later:+d} frames, looked for and found, confidence {report.alignment.confidence:.2f}" in done.stderr
        values = [frame["vmaf"] for frame in report.frames]
        assert values == pyvmaf.score(reference, shifted(later), offset=later)["vmaf"].tolist()

    def test_clips_of_development_data(self, shared_data: Path, convert: Callable[..., Path]) -> None:
        """Two of those that `python -m bench sync` takes, one of them a time lapse of which an encoder keeps little."""
        for name in ("flower_bloom", "wood_rabbit"):
            small = convert(
                shared_data / "clips" / f"{name}.mkv", f"{name}_small.mkv", "-vf", "scale=320:180", "-qp", "0"
            )
            encode = convert(small, f"{name}_40.mkv", "-c:v", "libx264", "-preset", "veryfast", "-crf", "40")
            ours, theirs = pictures(Reader(small), 60), pictures(Reader(encode), 60)
            for offset in (-30, -26, -1, 0, 1, 17, 30):
                found = match(ours[max(0, -offset) :], theirs[max(0, offset) :], 60, ("a", "b"))
                assert found.frames == offset

    def test_each_of_several_versions(self, reference: Path, shifted: Callable[[int], Path]) -> None:
        videos = [shifted(2), shifted(-3)]
        comparison = pyvmaf.compare(reference, videos, sync=8)
        assert [version.scores.alignment["frames"] for version in comparison.versions] == [2, -3]
        # Both begin where the later one does.
        assert {len(version.scores) for version in comparison.versions} == {FRAMES - 2}

    def test_another_scene(
        self, reference: Path, embedded_files: dict[str, Path], convert: Callable[..., Path]
    ) -> None:
        words = ("-an", "-frames:v", str(FRAMES), "-vf", "scale=176:144,setsar=128/117,fps=30000/1001", "-c:v", "ffv1")
        other = convert(embedded_files["bigbuckbunny.mp4"], "other_scene.mkv", *words)
        with pytest.raises(InputError, match=r"does not look like .* at any offset of up to \d+ frames"):
            find_offset(Reader(reference), Reader(other), 10)

    def test_an_offset_beyond_the_window(self, reference: Path, shifted: Callable[[int], Path]) -> None:
        with pytest.raises(InputError, match="where the search ends: give a larger"):
            find_offset(Reader(reference), Reader(shifted(7)), 3)

    @given(st.integers(-10, 10), st.integers(0, 2**32 - 1))
    def test_of_noise(self, offset: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        rows: NDArray[np.float32] = random.integers(0, 255, (40, 12, 16)).astype(np.float32)
        noisy = rows + random.normal(0, 8, rows.shape).astype(np.float32)
        assert match(rows[max(0, -offset) :], noisy[max(0, offset) :], 12, ("a", "b")).frames == offset

    def test_a_still_picture_has_none(self, reference: Path, convert: Callable[..., Path]) -> None:
        still = convert(reference, "still.mkv", "-vf", "loop=loop=30:size=1,trim=end_frame=20", "-c:v", "ffv1")
        found = find_offset(Reader(still), Reader(still), 5)
        assert (found.frames, found.confidence) == (0, 0.0)
