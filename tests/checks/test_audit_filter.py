"""``audit-learned-filter``: figures of pictures against NumPy, cells of codec and quality, and a filter that does harm."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pyvmaf.checks.audit_filter import Limits, audit_filter, compare, quality_cell, ssim
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.frames.pictures import Pictures
from pyvmaf.metrics import psnr
from pyvmaf.scoring.filtering import find_filter
from tests.make.pictures import FILTER, shipped, texture, write_pictures


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    shipped(folder, FILTER, write_pictures(folder / "pictures.parquet"))
    return folder


def test_gain_is_told_per_codec_and_quality(tmp_path: Path, folder: Path) -> None:
    model, table = folder / "seed0" / "model.onnx", folder / "pictures.parquet"
    report = audit_filter(model, table, output=tmp_path / "audit.json")
    family, pictures = find_filter(model).family, Pictures.open(table)
    gains: dict[str, list[float]] = {}
    for index, row in enumerate(pictures.rows.to_pylist()):
        if row["codec"] is None:
            continue
        before, pristine = pictures.picture(index), pictures.reference(index)
        assert pristine is not None
        after = np.rint(255 * family.filtered(before)).astype(np.uint8)  # type: ignore[attr-defined]
        change = psnr(after, pristine, cap=100) - psnr(before, pristine, cap=100)
        gains.setdefault(quality_cell(row["vmaf"]), []).append(change)
    assert {cell.quality: cell.gain for cell in report.cells} == pytest.approx(
        {quality: float(np.mean(found)) for quality, found in gains.items()}
    )
    assert sum(cell.pictures for cell in report.cells) == report.pictures == 32
    assert json.loads((tmp_path / "audit.json").read_text())["model"] == "small_filter"


def test_limits_that_are_not_kept_are_named(folder: Path) -> None:
    strict = Limits(ssim_min=1.0, mean_shift_max=0.0, std_ratio_max=1.0, gain_min=5.0)
    report = audit_filter(folder / "seed0" / "model.onnx", folder / "pictures.parquet", limits=strict)
    assert not report.passed
    assert [warning.split()[0] for warning in report.warnings[:3]] == ["ssim", "mean_shift", "std_ratio"]
    assert any("is below 5 dB" in warning for warning in report.warnings)


def test_frames_of_a_file_of_numbers(tmp_path: Path, folder: Path) -> None:
    model = folder / "seed0" / "model.onnx"
    np.save(tmp_path / "frames.npy", np.stack([texture(5, 48, 64, f) for f in range(3)]) / np.float32(255))
    report = audit_filter(model, tmp_path / "frames.npy")
    assert (report.pictures, report.cells, report.mean_gain) == (3, [], None)
    with pytest.raises(InputError, match=r"frame 0 has values outside of 0 to 0\.5: state the right --peak"):
        audit_filter(model, tmp_path / "frames.npy", peak=0.5)
    (tmp_path / "bad.npy").write_bytes(b"no array")
    with pytest.raises(IntegrityError, match=r"bad\.npy is not a readable \.npy file"):
        audit_filter(model, tmp_path / "bad.npy")


def test_figures_of_known_changes() -> None:
    picture = texture(1, 64, 64)
    same = compare(picture, picture)
    assert same == {"ssim": pytest.approx(1), "mean_shift": 0, "std_ratio": 1, "clip_fraction": 0}
    brighter = np.clip(picture.astype(int) + 40, 0, 255).astype(np.uint8)
    changed = compare(picture, brighter)
    assert changed["mean_shift"] == pytest.approx((brighter.mean() - picture.mean()) / 255)
    assert changed["clip_fraction"] == pytest.approx(((brighter == 255) & (picture != 255)).mean())
    assert ssim(picture, texture(2, 64, 64)) < 0.5


@pytest.mark.parametrize(
    ("quality", "cell"), [(0, "0-50"), (49.9, "0-50"), (50, "50-80"), (95, "95-100"), (None, "unknown")]
)
def test_cells_of_quality(quality: float | None, cell: str) -> None:
    assert quality_cell(quality) == cell
