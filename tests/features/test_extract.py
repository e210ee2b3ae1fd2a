"""The pass over a ladder: any division of the work gives the same scores."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyvmaf.errors import InputError
from pyvmaf.features import extract
from pyvmaf.features.ladder import Ladder, extract_ladder
from pyvmaf.features.options import Compute, Reading
from pyvmaf.features.pool import POOLS, pool
from pyvmaf.scoring.score import score
from pyvmaf.scoring.scores import Scores
from pyvmaf.video.format import Format
from pyvmaf.video.reader import Reader
from tests.features import numpy_engine

FEATURES = "canonical6,motion,motion3,psnr_y,psnr_cb"


@pytest.fixture(scope="session")
def whole(pair: tuple[Path, Path]) -> Scores:
    return score(*pair, features=FEATURES)


def same(a: Scores, b: Scores, rows: slice | np.ndarray = slice(None)) -> None:
    for name, values in a.columns.items():
        np.testing.assert_array_equal(values, b[name][rows], err_msg=name)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_range_equals_the_same_rows_of_the_whole(pair: tuple[Path, Path], whole: Scores, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, 119), label="first")
    stop = data.draw(st.one_of(st.none(), st.integers(first + 1, 120)), label="stop")
    step = data.draw(st.integers(1, 9), label="step")
    threads = data.draw(st.integers(1, 4), label="threads")
    part = score(*pair, features=FEATURES, frames=(first, stop), subsample=step, threads=threads)
    rows = np.arange(first, 120 if stop is None else stop, step)
    np.testing.assert_array_equal(part.frame_index, rows)
    same(part, whole, rows)


def test_contexts_are_replaced_without_a_trace(
    pair: tuple[Path, Path], whole: Scores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "BLOCK", 7)
    same(score(*pair, features=FEATURES, threads=3), whole)


def test_a_ladder_equals_its_pairs(pair: tuple[Path, Path], whole: Scores, convert: Callable[..., Path]) -> None:
    reference, distorted = pair
    other = convert(reference, "carphone40.mkv", "-c:v", "libx264", "-crf", "40")
    ladder = extract_ladder(reference, {"a": distorted, "b": other}, features=FEATURES, compute=Compute(threads=2))
    alone = score(reference, other, features=FEATURES)
    for name in ladder.rungs["a"].features:
        np.testing.assert_array_equal(ladder.rungs["a"].features[name], whole[name])
        np.testing.assert_array_equal(ladder.rungs["b"].features[name], alone[name])
    np.testing.assert_array_equal(ladder.rungs["b"].vmaf, alone["vmaf"])


def test_eight_bits_widened_score_as_ten(pair: tuple[Path, Path], whole: Scores, convert: Callable[..., Path]) -> None:
    """Ten-bit samples that are eight-bit ones times four score (nearly) as those do."""
    reference, distorted = pair
    wide = convert(distorted, "wide.mkv", "-pix_fmt", "yuv420p10le", "-c:v", "ffv1")
    with pytest.raises(InputError, match=r"bit depths differ: .*8 bits.*10.*--match-depth"):
        score(reference, wide)
    matched = score(reference, wide, match_depth=True)
    np.testing.assert_allclose(matched["vmaf"], whole["vmaf"], atol=1e-6)


def test_scaled_pair(pair: tuple[Path, Path], convert: Callable[..., Path]) -> None:
    reference, _ = pair
    half = convert(reference, "half.mkv", "-vf", "scale=88:72:flags=bicubic", "-c:v", "libx264", "-qp", "0")
    with pytest.raises(InputError, match=r"sizes differ: .*176x144.*88x72.*--scale"):
        score(reference, half)
    up = score(reference, half, scale=True)
    assert 10 < up["vmaf"].mean() < 90
    assert score(reference, half, scale="352x288").frame_index.size == 120


def test_unequal_lengths(pair: tuple[Path, Path], whole: Scores, convert: Callable[..., Path]) -> None:
    reference, distorted = pair
    short = convert(distorted, "short.mkv", "-frames:v", "50", "-c:v", "ffv1")
    with pytest.raises(InputError, match=r"reference .* has 120, .*short\.mkv has 50.*--shortest"):
        score(reference, short)
    part = score(reference, short, shortest=True)
    assert len(part) == 50
    assert [note for note in part.notes if "ends after 50 frames" in note and reference.name in note]
    # The last row's motion has no frame after it on the distorted side, but the reference has none either then.
    same(Scores(part.frame_index[:49], {n: v[:49] for n, v in part.columns.items()}), whole, np.arange(49))
    with pytest.raises(InputError, match=r"frames 40:60 were asked for, but .*short\.mkv has 50"):
        score(reference, short, frames=(40, 60))


def test_an_interrupt_at_any_line_leaves_no_thread(tmp_path: Path) -> None:
    """Each run is interrupted one line later than the one before, until one ends by itself."""
    form = Format.parse("16x16")
    path = tmp_path / "noise.yuv"
    path.write_bytes(np.random.default_rng(1).integers(0, 256, 3 * 384, np.uint8).tobytes())
    lines = 0

    def interrupt(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        if frame.f_code.co_filename != extract.__file__:
            return None
        lines -= event == "line"
        if lines == 0:
            raise KeyboardInterrupt
        return interrupt

    for last in count(1):
        lines = last
        reference, distorted = Reader(path, raw=form), Reader(path, raw=form)
        tasks = [extract.Task(distorted, {numpy_engine.PSNR: ["psnr_y"]})]
        sys.settrace(interrupt)
        try:
            extract.run(numpy_engine.ENGINE, reference, tasks, {}, Reading(raw=form), Compute(threads=2))
            break
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
        assert [thread.name for thread in threading.enumerate() if thread.name.startswith("pyvmaf-")] == []
    assert last > 50


def test_pools_against_numpy() -> None:
    values = np.random.default_rng(1).uniform(0, 100, 1001)
    figures = pool(values, POOLS)
    assert tuple(figures) == POOLS
    assert figures["mean"] == pytest.approx(values.mean())
    assert figures["harmonic_mean"] == pytest.approx(len(values) / np.sum(1 / (values + 1)) - 1)
    ranked = np.sort(values)
    assert [figures[p] for p in ("min", "p1", "p5", "p10", "median")] == pytest.approx(ranked[[0, 10, 50, 100, 500]])


class TestCache:
    @pytest.fixture
    def clips(self, pair: tuple[Path, Path], convert: Callable[..., Path]) -> dict[str, Path]:
        return {"a": pair[1], "b": convert(pair[0], "carphone40.mkv", "-c:v", "libx264", "-crf", "40")}

    def extract(self, pair: tuple[Path, Path], clips: dict[str, Path], cache: Path, **more: Any) -> Ladder:
        return extract_ladder(pair[0], clips, compute=Compute(threads=2, cache=cache), **more)

    def test_only_what_is_missing_is_computed(
        self, pair: tuple[Path, Path], clips: dict[str, Path], tmp_path: Path
    ) -> None:
        first = self.extract(pair, {"a": clips["a"]}, tmp_path)
        assert len(first.computed) == 3
        assert first.cached == 0
        again = self.extract(pair, {"a": clips["a"]}, tmp_path)
        assert again.computed == []
        assert again.cached == 4
        more = self.extract(pair, clips, tmp_path)
        assert sorted(more.computed) == ["adm:adm_skip_aim=true on b", "vif on b"]
        feature = self.extract(pair, clips, tmp_path, features="canonical6,psnr_y")
        assert sorted(feature.computed) == ["psnr on a", "psnr on b"]
        model = self.extract(pair, clips, tmp_path, model="vmaf_4k_v0.6.1")
        assert model.computed == []
        fresh = extract_ladder(pair[0], clips, model="vmaf_4k_v0.6.1")
        for rung in clips:
            np.testing.assert_array_equal(model.rungs[rung].vmaf, fresh.rungs[rung].vmaf)
            np.testing.assert_array_equal(again.rungs["a"].features["adm2"], fresh.rungs["a"].features["adm2"])

    def test_another_libvmaf_shares_nothing(
        self, pair: tuple[Path, Path], clips: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.extract(pair, clips, tmp_path)
        monkeypatch.setattr("pyvmaf.engines.libvmaf.build.identity", lambda _=None: "another commit")
        assert len(self.extract(pair, clips, tmp_path).computed) == 5

    def test_a_repair_computes_again_what_it_can_change(
        self, pair: tuple[Path, Path], clips: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as before:
            before.setattr("pyvmaf.engines.libvmaf.build.repairs", tuple)
            self.extract(pair, clips, tmp_path)
        again = self.extract(pair, clips, tmp_path)
        assert sorted(again.computed) == ["adm:adm_skip_aim=true on a", "adm:adm_skip_aim=true on b"]

    def test_a_damaged_entry_is_reported_and_computed_again(
        self, pair: tuple[Path, Path], clips: dict[str, Path], tmp_path: Path
    ) -> None:
        from pyvmaf.features.cache import check, entries

        first = self.extract(pair, clips, tmp_path)
        for entry in entries(tmp_path):
            check(entry)
            data = bytearray(entry.read_bytes())
            data[-5] ^= 1
            entry.write_bytes(data)
        again = self.extract(pair, clips, tmp_path)
        assert len(again.damaged) == 7
        assert all("is damaged" in message for message in again.damaged)
        for rung in clips:
            np.testing.assert_array_equal(again.rungs[rung].vmaf, first.rungs[rung].vmaf)
        for entry in entries(tmp_path):
            check(entry)
        cut = next(iter(entries(tmp_path)))
        cut.write_bytes(cut.read_bytes()[:20])
        assert len(self.extract(pair, clips, tmp_path).damaged) == 1


def test_semi_planar_frames_score_as_planar_ones(
    pair: tuple[Path, Path], whole: Scores, convert: Callable[..., Path]
) -> None:
    """NV12 holds the same samples in another order."""
    interleaved = convert(pair[1], "nv12.nut", "-pix_fmt", "nv12", "-c:v", "rawvideo")
    same(score(pair[0], interleaved, features=FEATURES), whole)
