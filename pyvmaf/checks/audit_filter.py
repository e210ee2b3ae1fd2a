"""``vmaf-train audit-learned-filter``: whether a filter leaves pictures as they are in all but their defects.

A score alone does not show it: VMAF rises with contrast and sharpness that nobody put there. Each picture is compared with
its filtered version (structure, brightness, contrast, clipped samples), and with the pristine one where there is one: the
gain in PSNR is told per cell of codec and quality, because a mean over all of them hides harm to good pictures.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pyvmaf.base.document import Call, Document, Name, Part, Positive, RunProvenance, Sha256, Share, Size, publish
from pyvmaf.base.families import uses
from pyvmaf.base.files import sha256_bytes
from pyvmaf.base.outputs import publishes, reading
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.metrics import psnr
from pyvmaf.scoring.filtering import find_filter

EDGES = (50.0, 80.0, 95.0)
"""Ends of the cells of quality, teacher scores."""

_PSNR_CAP = 100.0


@dataclass(frozen=True)
class Limits:
    """Limits of the audit.

    Attributes:
        ssim_min: least SSIM of a picture with its filtered version.
        mean_shift_max: largest change of the mean, as a share of the range.
        std_ratio_max: largest ratio of standard deviations, either way.
        clip_fraction_max: largest share of samples that the filter moved to black or white.
        gain_min: least mean gain of a cell, dB.
    """

    ssim_min: float = 0.6
    mean_shift_max: float = 0.05
    std_ratio_max: float = 2.0
    clip_fraction_max: float = 0.01
    gain_min: float = 0.0


class Extremes(Part):
    """The worst value of each figure over the pictures."""

    ssim: float = Field(description="Least SSIM with the filtered picture")
    mean_shift: Size = Field(description="Largest absolute change of the mean, as a share of the range")
    std_ratio: Size = Field(description="Largest ratio of standard deviations, either way")
    clip_fraction: Share = Field(description="Largest share of samples that were moved to black or white")


class Cell(Part):
    """What a filter does to the pictures of a codec and a range of quality."""

    codec: Name
    quality: Name = Field(description="Range of the teacher's score")
    pictures: Positive
    gain: float = Field(description="Mean gain in PSNR, dB")
    worst: float = Field(description="Least gain of a picture, dB")


class FilterAudit(Document):
    """Report of ``vmaf-train audit-learned-filter``."""

    title: ClassVar[str] = "Report of vmaf-train audit-learned-filter"

    schema_version: Literal[1] = 1
    model: Name
    model_sha256: Sha256
    pictures: Positive
    extremes: Extremes
    limits: dict[str, float]
    cells: list[Cell] = Field(description="Empty where no pristine pictures are known")
    mean_gain: float | None = Field(description="Mean over the cells, dB")
    warnings: list[Name] = Field(description="Every limit that is not kept, with the picture or cell")
    passed: bool
    run_provenance: RunProvenance


@dataclass(frozen=True)
class _Sample:
    """A picture with what is known of it."""

    name: str
    picture: NDArray[np.uint8]
    pristine: NDArray[np.uint8] | None = None
    codec: str = ""
    quality: float | None = None


def _table(path: Path) -> Iterator[_Sample]:
    from pyvmaf.frames.pictures import Pictures

    opened = Pictures.open(path)
    if opened.colour != "gray":
        raise InputError(
            f"{path} holds pictures in {opened.colour}, but a filter takes gray ones: extract the frames with gray"
        )
    rows = opened.rows.select(["clip", "codec", "rung", "frame_index", "vmaf"]).to_pylist()
    for index, row in enumerate(rows):
        if row["codec"] is None:
            continue
        name = f"{row['clip']}, {row['codec']} {row['rung']}, frame {row['frame_index']}"
        yield _Sample(name, opened.picture(index), opened.reference(index), row["codec"], row["vmaf"])


def _array(path: Path, peak: float) -> Iterator[_Sample]:
    reading(path)
    if not path.is_file():
        raise MissingFileError(f"no such file: {path}")
    try:
        frames = np.load(path, allow_pickle=False, mmap_mode="r")
    except (ValueError, OSError, EOFError) as err:
        raise IntegrityError(f"{path} is not a readable .npy file of numbers ({err})") from err
    if frames.ndim not in (2, 3, 4) or (frames.ndim == 4 and frames.shape[1] != 1):
        raise InputError(f"{path} holds an array {list(frames.shape)}, but frames are [n, h, w] or [n, 1, h, w]")
    stacked = frames.reshape(-1, *frames.shape[-2:])
    for index, frame in enumerate(stacked):
        samples = np.asarray(frame, dtype=np.float64) / peak
        if not (np.isfinite(samples).all() and samples.min() >= 0 and samples.max() <= 1):
            raise InputError(f"{path}: frame {index} has values outside of 0 to {peak:g}: state the right --peak")
        yield _Sample(f"{path.name}, frame {index}", np.rint(samples * 255).astype(np.uint8))


def ssim(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Compute the SSIM of two gray pictures (Wang et al. 2004, Gaussian window of 11)."""
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure as measure

    first, second = (torch.from_numpy(picture.astype(np.float32) / 255)[None, None] for picture in (a, b))
    return float(measure(first, second, data_range=1.0))  # type: ignore[arg-type]


def quality_cell(quality: float | None) -> str:
    """Name the range of quality that a score falls into."""
    if quality is None or not np.isfinite(quality):
        return "unknown"
    ends = [0.0, *EDGES, 100.0]
    index = int(np.searchsorted(EDGES, quality, side="right"))
    return f"{ends[index]:g}-{ends[index + 1]:g}"


@publishes("audit-learned-filter")
def audit_filter(
    model: str | os.PathLike[str],
    frames: Path,
    *,
    registry: Path | None = None,
    peak: float = 1.0,
    limits: Limits = Limits(),
    output: Path | None = None,
) -> FilterAudit:
    """Filter pictures and compare each with what came in, and with the pristine one.

    Args:
        model: id or path of a filter.
        frames: a table of pictures (.parquet), or gray frames as numbers (.npy).
        registry: registry of the ids.
        peak: the value that stands for white in a .npy file.
        limits: the limits.
        output: where the report goes; None for nowhere.

    Raises:
        InputError: the model is not a filter, or the frames are not gray or empty.
        MissingFileError, IntegrityError: a file is not there or is damaged.
    """
    if peak <= 0:
        raise InputError(f"--peak is the value of white, above 0, not {peak:g}")
    loaded = find_filter(model, registry)
    family: Any = loaded.family
    figures: list[tuple[str, dict[str, float]]] = []
    gains: dict[tuple[str, str], list[float]] = {}
    for sample in _array(frames, peak) if frames.suffix == ".npy" else _table(frames):
        after = np.rint(255 * np.asarray(family.filtered(sample.picture))).astype(np.uint8)
        figures.append((sample.name, compare(sample.picture, after)))
        if sample.pristine is not None:
            change = psnr(after, sample.pristine, cap=_PSNR_CAP) - psnr(sample.picture, sample.pristine, cap=_PSNR_CAP)
            gains.setdefault((sample.codec, quality_cell(sample.quality)), []).append(change)
    if not figures:
        raise InputError(f"{frames} has no picture that a filter could repair: it holds pristine ones only, or none")
    cells = [
        Cell(codec=codec, quality=quality, pictures=len(found), gain=float(np.mean(found)), worst=min(found))
        for (codec, quality), found in sorted(gains.items())
    ]
    warnings = _warnings(figures, cells, limits)
    call = Call(
        "audit-learned-filter",
        args={"model": os.fspath(model), "frames": frames, "peak": peak, "limits": vars(limits)},
        inputs={"frames": frames},
        uses=uses("eval", loaded.sidecar["kind"]),
    )
    report = FilterAudit(
        model=loaded.name,
        model_sha256=sha256_bytes(loaded.graph.data),
        pictures=len(figures),
        extremes=Extremes(
            ssim=min(values["ssim"] for _, values in figures),
            **{key: max(v[key] for _, v in figures) for key in ("mean_shift", "std_ratio", "clip_fraction")},
        ),
        limits=dict(vars(limits)),
        cells=cells,
        mean_gain=float(np.mean([cell.gain for cell in cells])) if cells else None,
        warnings=warnings,
        passed=not warnings,
        run_provenance=call.provenance(),
    )
    return report if output is None else publish(report, output, call)


def compare(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> dict[str, float]:
    """Compare a picture with its filtered version."""
    a, b = before.astype(np.float64), after.astype(np.float64)
    spread = (max(float(a.std()), 1e-3), max(float(b.std()), 1e-3))
    moved = ((b == 0) | (b == 255)) & (a != b)
    return {
        "ssim": ssim(before, after),
        "mean_shift": abs(float(b.mean() - a.mean())) / 255,
        "std_ratio": max(spread) / min(spread),
        "clip_fraction": float(moved.mean()),
    }


def _warnings(figures: Sequence[tuple[str, dict[str, float]]], cells: Sequence[Cell], limits: Limits) -> list[str]:
    """Name the worst picture of each figure whose limit is not kept, and every cell that loses."""
    out = []
    for key, limit, least in (
        ("ssim", limits.ssim_min, True),
        ("mean_shift", limits.mean_shift_max, False),
        ("std_ratio", limits.std_ratio_max, False),
        ("clip_fraction", limits.clip_fraction_max, False),
    ):
        bad = [
            (values[key], name) for name, values in figures if (values[key] < limit if least else values[key] > limit)
        ]
        if bad:
            value, name = min(bad) if least else max(bad)
            out.append(
                f"{key} {value:.4g} of {name} is {'below' if least else 'above'} {limit:g} ({len(bad)} pictures)"
            )
    out += [
        f"{cell.codec}, quality {cell.quality}: mean gain {cell.gain:.4f} dB is below {limits.gain_min:g} dB"
        for cell in cells
        if cell.gain < limits.gain_min
    ]
    return out
