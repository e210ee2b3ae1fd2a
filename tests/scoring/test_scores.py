"""Figures of a pair say how many frames they are of."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import pyvmaf
from pyvmaf.errors import InputError, UnavailableError
from tests.make.commands import command


def test_frames_that_no_figure_holds_are_counted(tmp_path: Path) -> None:
    values = np.array([1.0, np.inf, 3.0, np.nan, np.inf])
    scores = pyvmaf.Scores(np.arange(5), {"psnr_hvs": values, "vmaf": np.arange(5.0), "cambi": np.full(5, np.nan)})
    pooled = scores.pooled()
    assert (pooled["psnr_hvs"]["count"], pooled["vmaf"]["count"], pooled["cambi"]["count"]) == (2, 5, 0)
    assert pooled["psnr_hvs"]["mean"] == 2.0
    assert scores.left_out() == {"psnr_hvs": {"infinite": 2, "missing": 1}, "cambi": {"infinite": 0, "missing": 5}}
    scores.write(tmp_path / "s.json")
    document = json.loads((tmp_path / "s.json").read_text())
    assert document["left_out"] == scores.left_out()
    assert document["pooled"]["psnr_hvs"]["count"] == 2
    assert [frame["psnr_hvs"] for frame in document["frames"]] == [1.0, "inf", 3.0, None, "inf"]


def test_the_terminal_says_of_how_many_frames_a_figure_is(
    pair: tuple[Path, Path], convert: Callable[..., Path], tmp_path: Path
) -> None:
    reference = convert(pair[0], "ten.mkv", "-frames:v", "10", "-c:v", "ffv1")
    changed = convert(reference, "one_changed.mkv", "-vf", "gblur=sigma=2:enable='eq(n,4)'", "-c:v", "ffv1")
    result = command("score", str(reference), str(changed), "--features", "psnr_hvs", "-o", str(tmp_path / "s.json"))
    assert result.returncode == 0, result.stderr
    assert "psnr_hvs: the figures are of 1 of 10 frames; 9 infinite" in result.stderr
    assert json.loads((tmp_path / "s.json").read_text())["pooled"]["psnr_hvs"]["count"] == 1
    capped = command("score", str(reference), str(changed), "--features", "psnr_y,psnr_cb")
    assert "psnr_y is at libvmaf's cap of 60 dB in 9 of 10 frames" in capped.stderr
    whole = command("score", str(reference), str(changed), "--features", "float_ssim")
    assert (whole.returncode, "the figures are of" in whole.stderr) == (0, False)


class TestNotebooks:
    scores = pyvmaf.Scores(
        np.arange(3),
        {"vmaf": np.array([1.5, np.inf, 3.0]), "<b>": np.ones(3)},
        notes=["a & b"],
        libvmaf_models={"vmaf": "m"},
    )

    def test_the_table_is_text(self) -> None:
        from xml.etree import ElementTree

        text = f"<div>{self.scores._repr_html_()}</div>"
        page = ElementTree.fromstring(text)  # noqa: S314  # made here
        rows = [["".join(cell.itertext()) for cell in row] for row in page.iter("tr")]
        assert rows[0] == ["", *self.scores.pools]
        assert [row[0] for row in rows[1:]] == ["vmaf", "<b>"]
        assert rows[1][1] == "2.2500"
        assert page.findtext("p") == "a & b"

    def test_the_text_is_one_line(self) -> None:
        assert repr(self.scores) == "Scores(3 frames, means: vmaf 2.2500, <b> 1.0000)"
        empty = pyvmaf.Scores(np.arange(2), {"x": np.full(2, np.nan)}, size="1280x720")
        assert repr(empty) == "Scores(2 frames of 1280x720, means: x -)"

    def test_a_chart_has_the_values(self) -> None:
        [values] = self.scores.plot().to_dict()["datasets"].values()
        assert [(row["frame"], row["value"]) for row in values] == [(0, 1.5), (2, 3.0)]
        [values] = self.scores.plot("vmaf", "<b>").to_dict()["datasets"].values()
        assert {row["column"] for row in values} == {"vmaf", "<b>"}
        with pytest.raises(InputError, match="unknown column 'x'"):
            self.scores.plot("x")

    def test_polars(self, monkeypatch: pytest.MonkeyPatch) -> None:
        if importlib.util.find_spec("polars") is not None:
            assert self.scores.to_polars()["vmaf"].to_list() == self.scores["vmaf"].tolist()
        monkeypatch.setitem(sys.modules, "polars", None)
        with pytest.raises(UnavailableError, match="polars is not installed"):
            self.scores.to_polars()
