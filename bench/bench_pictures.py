"""Training of saliency students and of the learned filter on real pictures, one CPU thread: figures, processor time and int8.

Material is that of ``../shared/data``. Saliency: 455 photographs with soft maps of U2NetP and 246 horses with real masks are
trained on, 82 other horses and 238 frames of DAVIS held out; the bars are those of the horses, and DAVIS is held by its gate
(`python -m bench imported` has the figures of U2NetP). Filter: five frames of twelve clips, in five qualities of x264, x265
and SVT-AV1 each, are trained on, and two frames of five other clips held out.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from bench.clips import report
from bench.ladders import DATA, clips, picture_rows, versions, write_pictures
from pyvmaf.checks.audit_filter import audit_filter
from pyvmaf.frames.images import extract_images, images_of
from pyvmaf.frames.spec import PictureSet
from pyvmaf.models.export import export
from pyvmaf.models.fit import fit
from pyvmaf.models.judge import judge
from pyvmaf.quantized.quantize import quantize
from pyvmaf.tables.pictures import combine_pictures

ROOT = Path(__file__).parents[1]
IOU, ABOVE_FIXED, SALIENCY_SECONDS = 0.62, 0.12, 360.0
HELD_OUT = ("dog_park", "coffee_pour", "highway_drive", "wood_rabbit", "cactus_flower")
# Screens, clips below 8 bits of 4:2:0, and a fade have no place among films that a filter restores.
LEFT_OUT = ("code_static_1080p", "pdf_scroll", "park_joy_444p10", "park_joy_422p10", "foreman_qcif", "jwst_fade")
HELD_OUT_TABLE = "held_out.parquet"
MEAN_GAIN, WORST_GAIN, FILTER_SECONDS = 0.03, -0.1, 900.0


def _config(folder: Path, name: str, **changes: Any) -> Path:
    """Write the YAML file of a model with another split."""
    spec = yaml.safe_load((ROOT / "config" / "models" / f"{name}.yaml").read_text())
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(spec | changes))
    return path


def _finished(config: Path, table: Path) -> tuple[dict[str, Any], dict[str, Any], float]:
    """Fit, judge, export and quantise a model; give its report, its verdict and the processor seconds of the fit."""
    home = config.parent / config.stem
    seed, start = home / "seed0", time.process_time()
    loso = fit(config, table, seed, seed=0).loso
    seconds = time.process_time() - start
    verdict = judge(config, [seed / "loso.json"], home / "verdict.json", seeds=[0])
    export(config, seed / "weights.safetensors", home / "verdict.json", table, seed / "model.onnx")
    file = seed / "static_qdq.onnx"
    int8 = quantize(config, seed / "model.onnx", seed / "weights.safetensors", table, file)
    note = yaml.safe_load(file.with_name(f"{file.name}.manifest.json").read_text())["run"]["measured"]["note"]
    report(
        f"{config.stem}: int8, drop of PLCC {int8['drop']:.6f} (budget {int8['budget']:g}), RMSE {int8['rmse_int8_fp32']:.4f}",
        f"{int8['size_ratio']:.2f} of the size; {note}",
        bool(int8["passed"]),
    )
    return loso, verdict, seconds


def masked_table(folder: Path) -> Path:
    """Make the table of pictures with masks."""
    with open(DATA / "saliency" / "index.tsv", encoding="utf-8") as stream:
        index = list(csv.DictReader(stream, delimiter="\t"))
    chosen = {
        "teacher": [row for row in index if row["image"].startswith("teacher/") and row["split"] == "train"],
        "horses": [row for row in index if row["image"].startswith("horse/") and row["split"] == "train"],
        "horses_test": [row for row in index if row["image"].startswith("horse/") and row["split"] == "test"],
        "davis": [row for row in index if row["image"].startswith("davis/")],
    }
    pictures, parts = PictureSet(size="96x96", colour="rgb24"), []
    for corpus, rows in chosen.items():
        listed, output = folder / f"{corpus}.csv", folder / f"{corpus}.safetensors"
        lines = [f"{row['image']},{row['mask']},{corpus}/{row['group'] or row['image']}" for row in rows]
        listed.write_text("\n".join(["image,mask,source", *lines]) + "\n")
        extract_images(
            output,
            lambda listed=listed: images_of(listed, root=DATA / "saliency"),  # type: ignore[misc]
            pictures,
            corpus=corpus,
            inputs={"list": listed},
        )
        parts.append(output.with_suffix(".parquet"))
    combine_pictures(parts, [], folder / "saliency.parquet")
    return folder / "saliency.parquet"


def measure_saliency(folder: Path) -> bool:
    """Train both students."""
    table, met = masked_table(folder), True
    split = {"protocol": "named", "by": "corpus", "values": ["horses_test", "davis"]}
    for name in ("saliency_student_v2", "saliency_student_v1"):
        loso, verdict, seconds = _finished(_config(folder, name, split=split), table)
        for corpus, found in loso["family"]["per_corpus"].items():
            judged = corpus == "horses_test"
            kept = found["iou"] >= IOU and found["iou"] >= found["fixed_iou"] + ABOVE_FIXED
            figures = f"IoU {found['iou']:.3f} (fixed map {found['fixed_iou']:.3f}), blocks {found['block_iou']:.3f}"
            met &= report(f"{name} on {corpus}, {found['n']} pictures", figures, kept or not judged)
        held = verdict["verdict"] == "HOLD" and any("davis" in reason for reason in verdict["gate"]["reasons"])
        met &= report(f"{name}, verdict with DAVIS", verdict["verdict"], held)
        met &= report(f"{name}, fit and figures", f"{seconds:.0f} processor seconds", seconds <= SALIENCY_SECONDS)
    return met


def filter_table(folder: Path) -> Path:
    """Make the table of pictures of all clips, five frames of those to train on and two of those held out, and the table of
    the latter alone (`HELD_OUT_TABLE`).
    """
    rows: list[dict[str, Any]] = []
    for name in sorted(clips().keys() - set(LEFT_OUT)):
        found, count = versions(name), 2 if name in HELD_OUT else 5
        indices = [(2 * part + 1) * found[0].vmaf.size // (2 * count) for part in range(count)]
        rows += picture_rows(found, name, indices, folder / f"{name}.safetensors")
    write_pictures(rows, folder / "filter.parquet")
    write_pictures([row for row in rows if row["clip"] in HELD_OUT], folder / HELD_OUT_TABLE)
    return folder / "filter.parquet"


def measure_filter(folder: Path) -> bool:
    """Train the filter."""
    table = filter_table(folder)
    split = {"protocol": "named", "by": "source", "values": list(HELD_OUT)}
    _, verdict, seconds = _finished(_config(folder, "learned_filter_v1", split=split), table)
    block = verdict["gate"]["gain"]
    for cell, found in block["per_seed"]["0"].items():
        print(f"{cell}: {found['gain']:+.4f} dB, worst clip {found['worst']:+.4f} ({found['worst_clip']})", flush=True)
    met = report("learned_filter_v1, mean gain over the cells", f"{block['mean']:.4f} dB", block["mean"] >= MEAN_GAIN)
    worst = block["worst_cell"]
    met &= report(f"learned_filter_v1, worst cell ({worst['cell']})", f"{worst['gain']:.4f} dB", worst["gain"] > 0)
    worst = block["worst_clip"]
    kept = worst["gain"] >= WORST_GAIN
    met &= report(f"learned_filter_v1, worst clip ({worst['clip']})", f"{worst['gain']:.4f} dB", kept)
    for file in ("model.onnx", "static_qdq.onnx"):
        audit = audit_filter(folder / "learned_filter_v1" / "seed0" / file, folder / HELD_OUT_TABLE)
        for part in audit.cells:
            print(f"{part.codec}, VMAF {part.quality}: {part.gain:+.4f} dB in 8 bits, worst picture {part.worst:+.4f}")
        shown = f"mean gain in 8 bits {audit.mean_gain:+.4f} dB; {'; '.join(audit.warnings) or 'no warning'}"
        met &= report(f"audit of {audit.model} ({file})", shown, audit.passed)
    met &= report("learned_filter_v1, fit and figures", f"{seconds:.0f} processor seconds", seconds <= FILTER_SECONDS)
    return met


def main() -> bool:
    """Train and measure all of them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        met = measure_saliency(folder)
        return measure_filter(folder) and met


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
