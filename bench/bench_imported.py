"""Converted checkpoints on real material, one CPU thread: cuts and cost of TransNet V2, agreement of U2NetP with masks.

The checkpoints are downloaded and converted into a temporary folder; clips and masks are those of ``../shared/data``. The
bars: the cuts below and no others, 1,000 frames of 640x360 in 40 processor seconds with decoding, and an IoU of .95 and a mean
absolute error of .012 with the twelve masks that the authors of U2NetP publish.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe as ffmpeg_exe

from pyvmaf.checks.saliency import read_map
from pyvmaf.models.imported.convert import convert
from pyvmaf.registry.register import register
from pyvmaf.runtime.saliency import block_means, iou, resized
from pyvmaf.scoring.saliency import load, saliency_maps
from pyvmaf.scoring.shots import shots

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
CUTS = {
    "bbb_cuts": [5, 98],
    "jwst_fade": [62],
    **{name: [] for name in ("pdf_scroll", "dog_park", "bedroom_jump", "red_tree", "wood_rabbit", "highway_drive")},
}
FRAMES, SECONDS = 1000, 40.0
IOU, ERROR = 0.95, 0.012
_DAVIS_STEP = 3


def measure_cuts(registry: Path) -> bool:
    """Print the cuts of clips."""
    met = True
    for name, expected in CUTS.items():
        found = [cut.frame for cut in shots(next((DATA / "clips").glob(f"{name}.*")), registry=registry).cuts]
        met &= found == expected
        print(f"{name}: cuts {found}, expected {expected}", flush=True)
    return met


def measure_speed(registry: Path, folder: Path) -> bool:
    """Print the processor time of a long video."""
    video = folder / "long.mkv"
    command = [ffmpeg_exe(), "-v", "error", "-y", "-stream_loop", "30", "-i", str(DATA / "clips" / "bbb_cuts.mkv")]
    command += ["-frames:v", str(FRAMES), "-vf", "scale=640:360", "-c:v", "libx264", "-preset", "veryfast", str(video)]
    subprocess.run(command, check=True)
    start = time.process_time()
    frames = shots(video, registry=registry).frames
    seconds = time.process_time() - start
    print(f"shots: {frames} frames of 640x360 in {seconds:.1f} processor seconds (bar {SECONDS:g})", flush=True)
    return seconds <= SECONDS


def measure_masks(registry: Path, part: str, step: int = 1) -> tuple[float, float]:
    """Print the agreement of the default model with the masks of a part of the data."""
    model = load(registry=registry)
    with open(DATA / "saliency/index.tsv", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["image"].startswith(f"{part}/")]
    rows = [row for row in rows if row["split"] in ("test", "golden")][::step]
    figures, start = [], time.process_time()
    for row in rows:
        made = next(saliency_maps(model, DATA / "saliency" / row["image"]))[1]
        mask = read_map(DATA / "saliency" / row["mask"])
        if part == "u2netp_golden":
            made = (made - made.min()) / (made.max() - made.min())
        made = resized(made, (mask.shape[0], mask.shape[1]))
        blocks = (block_means(one, 16) > 0.5 for one in (made, mask))
        figures.append((iou(made > 0.5, mask > 0.5), iou(*blocks), float(np.abs(made - mask).mean())))
    pixel, block, error = np.mean(figures, axis=0)
    seconds = (time.process_time() - start) / len(rows)
    worst = min(figures)[0]
    print(
        f"{part}: {len(rows)} pictures, pixel IoU {pixel:.3f} (least {worst:.3f}), macroblock IoU {block:.3f}, mean absolute "
        f"error {error:.4f}, {seconds:.2f} s a picture",
        flush=True,
    )
    return worst, float(max(figure[2] for figure in figures))


def main() -> bool:
    """Convert both checkpoints and measure them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model in ("transnet_v2", "u2netp"):
            report = folder / f"results/models/{model}/converted/conversion.json"
            convert(ROOT / "config" / "models" / f"{model}.yaml", report)
        registry = folder / "registry.json"
        register([folder / "results"], registry)
        met = measure_cuts(registry)
        met &= measure_speed(registry, folder)
        worst, error = measure_masks(registry, "u2netp_golden")
        for part, step in (("horse", 1), ("davis", _DAVIS_STEP)):
            measure_masks(registry, part, step)
    return met and worst >= IOU and error <= ERROR


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
