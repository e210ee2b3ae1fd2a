"""Training of saliency students and of the learned filter on real pictures, one CPU thread: figures, processor time and int8.

Material is that of ``../shared/data``. Saliency: 455 photographs with soft maps of U2NetP and 246 horses with real masks are
trained on, 82 other horses and 238 frames of DAVIS held out; the bars are those of the horses, and DAVIS is held by its gate
(`python -m bench imported` has the figures of U2NetP). Filter: five frames of twelve clips, in five qualities of x264, x265
and SVT-AV1 each, are trained on, and two frames of five other clips held out.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bench.clips import CACHE, ffmpeg, report
from pyvmaf.features.ladder import extract_ladder
from pyvmaf.features.options import Compute
from pyvmaf.features.table import write_table
from pyvmaf.frames.images import extract_images, images_of
from pyvmaf.frames.spec import PictureSet
from pyvmaf.frames.storage import writing
from pyvmaf.frames.table import File, metadata, name_in, picture_table
from pyvmaf.models.export import export
from pyvmaf.models.fit import fit
from pyvmaf.models.judge import judge
from pyvmaf.quantized.quantize import quantize
from pyvmaf.tables.pictures import combine_pictures
from pyvmaf.video.reader import Reader
from pyvmaf.video.tensors import Picture, tensors

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
IOU, ABOVE_FIXED, SALIENCY_SECONDS = 0.62, 0.12, 360.0
HELD_OUT = ("dog_park", "coffee_pour", "highway_drive", "wood_rabbit", "cactus_flower")
# Screens, clips below 8 bits of 4:2:0, and a fade have no place among films that a filter restores.
LEFT_OUT = ("code_static_1080p", "pdf_scroll", "park_joy_444p10", "park_joy_422p10", "foreman_qcif", "jwst_fade")
LADDERS = {
    "libx264": ("medium", (18, 24, 30, 36, 42)),
    "libx265": ("medium", (20, 26, 32, 38, 44)),
    "libsvtav1": ("8", (25, 35, 45, 55, 63)),
}
MEAN_GAIN, WORST_GAIN, FILTER_SECONDS = 0.03, -0.1, 900.0
FRAMES = 48


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


def _ladder(clip: Path, frames: int) -> tuple[Path, dict[tuple[str, int], Path]]:
    """Encode the beginning of a clip in all qualities."""
    folder = CACHE / "pictures"
    folder.mkdir(parents=True, exist_ok=True)

    def made(target: Path, *options: str) -> Path:
        if not target.exists():
            command = [ffmpeg(), "-v", "error", "-y", *options, str(target)]
            subprocess.run(command, check=True, env={**os.environ, "SVT_LOG": "1"})
        return target

    lossless = ("-frames:v", str(frames), "-pix_fmt", "yuv420p", "-c:v", "ffv1", "-threads", "1")
    reference = made(folder / f"{clip.stem}.mkv", "-i", str(clip), *lossless)
    quiet = {"libx265": ("-x265-params", "log-level=error:pools=1")}
    rungs = {
        (codec, crf): made(
            folder / f"{clip.stem}_{codec}_{crf}.mkv",
            *("-i", str(reference), "-c:v", codec, "-preset", preset, "-crf", str(crf), *quiet.get(codec, ())),
        )
        for codec, (preset, crfs) in LADDERS.items()
        for crf in crfs
    }
    return reference, rungs


def filter_table(folder: Path) -> Path:
    """Make the table of pictures of all clips: five frames of those to train on, two of those held out."""
    rows: list[dict[str, Any]] = []
    files: dict[str, File] = {}
    table = folder / "filter.parquet"
    for clip in sorted(path for path in (DATA / "clips").iterdir() if path.suffix in (".mkv", ".264")):
        if clip.stem in LEFT_OUT:
            continue
        reference, rungs = _ladder(clip, FRAMES)
        named = {f"{codec}:{crf}": path for (codec, crf), path in rungs.items()}
        ladder = extract_ladder(
            reference, named, features=["psnr_y"], model=["vmaf_v0.6.1"], compute=Compute(threads=1)
        )
        count = 2 if clip.stem in HELD_OUT else 5
        indices = [(2 * part + 1) * ladder.frames // (2 * count) for part in range(count)]
        output = folder / f"{clip.stem}.safetensors"
        source = "london" if clip.stem in ("skyline_hlg10", "rooftop_london") else clip.stem
        with writing(output, "gray") as writer:
            for rung, path in {"reference": reference, **named}.items():
                scores = ladder.rungs[rung].vmaf if rung in named else np.full(ladder.frames, 100.0)
                assert scores is not None
                shown = np.concatenate(list(tensors(Reader(path), Picture("gray", values=None), indices=indices)))
                codec, _, crf = rung.partition(":")
                for number, index in enumerate(indices):
                    at = writer.add(shown[number, 0], rung)
                    rows.append(
                        {
                            "corpus": "clips",
                            "group": source,
                            "source": source,
                            "clip": clip.stem,
                            "codec": codec if crf else None,
                            "rung": f"crf{crf}" if crf else "reference",
                            "strength": float(crf) if crf else None,
                            "frame_index": index,
                            "width": shown.shape[3],
                            "height": shown.shape[2],
                            "vmaf": float(scores[index]),
                            "file": output.name,
                            "row": at,
                            "reference_file": output.name,
                            "reference_row": number,
                        }
                    )
        files[name_in(table, output)] = File.of(output)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    write_table(picture_table(columns, metadata(colour="gray", files=files, model="vmaf_v0.6.1", engine={})), table)
    return table


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
