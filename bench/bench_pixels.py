"""Models of pictures without a reference on real clips, six folds of sources, one CPU thread: nr_metric_v1 and nr_metric_v2.

Nineteen clips of ``../shared/data/clips``, at most 48 frames each, are encoded with x264, x265 and SVT-AV1 at five CRFs; three
frames of each version are scored by VMAF, luma alone. Figures are of versions (means over their frames) of sources that a fold
did not train on, and in brackets of single frames. Pictures and checkpoint are kept in ``.cache/bench``; the processor time is
that of fit with its cross-validation. Then come the loss and the speed of int8, and the calibration to the seven KoNViD clips of
``../shared/data``, which has to be held.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.clips import CACHE, ffmpeg, report
from pyvmaf.checks.calibrate import calibrate
from pyvmaf.features.ladder import extract_ladder
from pyvmaf.features.options import Compute
from pyvmaf.features.table import write_table
from pyvmaf.frames.storage import writing
from pyvmaf.frames.table import REFERENCE_VMAF, File, metadata, name_in, picture_table
from pyvmaf.models.export import export
from pyvmaf.models.fit import fit
from pyvmaf.models.imported.convert import convert
from pyvmaf.models.judge import judge
from pyvmaf.quantized.quantize import quantize
from pyvmaf.video.reader import Reader
from pyvmaf.video.tensors import Picture, tensors

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
FOLDER = CACHE / "pixels"
LADDERS = (
    ("libx264", "medium", (18, 24, 30, 36, 42)),
    ("libx265", "medium", (20, 26, 32, 38, 44)),
    ("libsvtav1", "8", (25, 35, 45, 55, 63)),
)
SOURCES = {"skyline_hlg10": "london", "rooftop_london": "london"}
SCREENS = ("code_static_1080p", "pdf_scroll")
LEAST_HEIGHT, MOST_FRAMES, PARTS, TAKEN = 224, 48, 10, (1, 5, 8)


class Bars(NamedTuple):
    """Bars of one model: of versions, and of its fit."""

    srocc: float
    plcc: float
    within: float
    natural: float
    constant: float
    seconds: float


BARS = {
    "nr_metric_v1": Bars(0.50, -1, 0.85, 0.80, 0.90, 180),
    "nr_metric_v2": Bars(0.65, 0.74, 0.88, -1, 0.90, float("inf")),
}
BUDGET = 0.01


def table(names: list[str] | None = None, folder: Path = FOLDER) -> Path:
    """Return the table of pictures of clips, by default of all that are large enough; made once."""
    path = folder / "pictures.parquet"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with open(DATA / "clips" / "index.tsv", encoding="utf-8") as stream:
        clips = [row for row in csv.DictReader(stream, delimiter="\t") if int(row["height"]) >= LEAST_HEIGHT]
    rows: list[dict[str, Any]] = []
    files = {}
    for clip in clips:
        if names is None or clip["name"] in names:
            file = folder / f"{clip['name']}.safetensors"
            rows += _clip(clip["name"], min(MOST_FRAMES, int(clip["frames"])), file)
            files[name_in(path, file)] = File.of(file)
            print(f"  {clip['name']}: {len(rows)} pictures so far", flush=True)
    block = metadata(colour="gray", files=files, model="vmaf_v0.6.1", engine={})
    write_table(picture_table({name: [row[name] for row in rows] for name in rows[0]}, block), path)
    return path


def _clip(name: str, frames: int, file: Path) -> list[dict[str, Any]]:
    """Encode a clip, measure it, and keep the pictures of it and its versions; return their rows."""
    with tempfile.TemporaryDirectory() as scratch:
        source = next((DATA / "clips").glob(f"{name}.*"))
        reference = Path(scratch) / "reference.mkv"
        _run("-i", source, "-frames:v", frames, "-pix_fmt", "yuv420p", "-c:v", "ffv1", reference)
        versions = {}
        for encoder, preset, crfs in LADDERS:
            for crf in crfs:
                versions[encoder, crf] = Path(scratch) / f"{encoder}_{crf}.mkv"
                quiet = ["-x265-params", "log-level=error"] if encoder == "libx265" else []
                _run("-i", reference, "-c:v", encoder, "-preset", preset, "-crf", crf, *quiet, versions[encoder, crf])
        rungs = {f"{encoder}:{crf}": path for (encoder, crf), path in versions.items()}
        ladder = extract_ladder(
            reference, rungs, features=["psnr_y"], model=["vmaf_v0.6.1"], compute=Compute(threads=1)
        )
        indices = sorted({int(ladder.frames * (part + 0.5) / PARTS) for part in range(PARTS)})
        taken = [indices[part] for part in TAKEN if part < len(indices)]
        rows = []
        with writing(file, "gray") as writer:
            for encoder, crf, path in [("", 0, reference), *((*key, path) for key, path in versions.items())]:
                score = ladder.rungs[f"{encoder}:{crf}"].vmaf if encoder else None
                parts = [
                    np.asarray(batch) for batch in tensors(Reader(path), Picture("gray", values=None), indices=taken)
                ]
                for index, picture in zip(taken, np.concatenate(parts)[:, 0], strict=True):
                    number = writer.add(np.ascontiguousarray(picture), name)
                    rows.append(
                        {
                            "corpus": "clips",
                            **dict.fromkeys(("group", "source"), SOURCES.get(name, name)),
                            "clip": name,
                            **dict.fromkeys(("codec", "encoder"), encoder or None),
                            "crf": crf if encoder else None,
                            "rung": f"crf{crf}" if encoder else "reference",
                            "strength": float(crf) if encoder else None,
                            "frame_index": index,
                            "width": picture.shape[1],
                            "height": picture.shape[0],
                            "vmaf": REFERENCE_VMAF if score is None else float(score[index]),
                            **dict.fromkeys(("file", "reference_file"), file.name),
                            "row": number,
                            "reference_row": number % len(taken),
                        }
                    )
    return rows


def _run(*words: object) -> None:
    subprocess.run([ffmpeg(), "-v", "error", "-y", *map(str, words)], check=True, stderr=subprocess.DEVNULL)


def backbone() -> Path:
    """Return the converted weights of EfficientNet-Lite0."""
    weights = CACHE / "efficientnet_lite0" / "weights.safetensors"
    if not weights.exists():
        convert(ROOT / "config/models/efficientnet_lite0.yaml", weights.with_name("conversion.json"))
    return weights


def measure(name: str, pictures: Path, folder: Path) -> bool:
    """Fit, judge, export and quantise a model, and print its figures."""
    config, out, bars = ROOT / "config" / "models" / f"{name}.yaml", folder / name, BARS[name]
    start = time.process_time()
    fitted = fit(config, pictures, out, seed=0, backbone=backbone() if name == "nr_metric_v2" else None)
    seconds = time.process_time() - start
    loso = json.loads(fitted.report.read_text())
    frames, versions = loso["pictures"], loso["pictures"]["versions"]
    print(f"{name}: {versions['pooled']['n']} versions, {loso['pooled']['n']} frames")
    met = True
    for figure in ("srocc", "plcc"):
        value, of_frames, bar = versions["pooled"][figure], loso["pooled"][figure], getattr(bars, figure)
        met &= report(f"pooled {figure.upper()}", f"{value:.3f} ({of_frames:.3f}), bar {bar:g}", value >= bar)
    mean = versions["within"]["mean_srocc"]
    shown = f"{mean:.3f} ({frames['within']['mean_srocc']:.3f}), bar {bars.within:g}"
    met &= report("mean SROCC within sources", shown, mean >= bars.within)
    natural = {key: one["srocc"] for key, one in versions["per_source"].items() if key not in SCREENS}
    worst = min(natural, key=lambda key: natural[key])
    shown = f"{natural[worst]:.3f}, {worst}, bar {bars.natural:g}"
    met &= report("least SROCC within a natural clip", shown, natural[worst] >= bars.natural)
    shares = [one["pooled"]["rmse"] / two["constant"]["rmse"] for one, two in ((versions, versions), (loso, frames))]
    shown = f"{shares[0]:.3f} ({shares[1]:.3f}) of a constant's, RMSE {versions['pooled']['rmse']:.1f}"
    met &= report("RMSE", f"{shown}, bar {bars.constant:g}", shares[0] <= bars.constant)
    met &= report("fit", f"{seconds:.0f} processor seconds, bar {bars.seconds:g}", seconds <= bars.seconds)
    judge(config, [fitted.report], out / "verdict.json", seeds=[0])
    exported = export(config, fitted.weights, out / "verdict.json", pictures, out / "model.onnx")
    small = quantize(config, out / "model.onnx", fitted.weights, pictures, out / "static_qdq.onnx")
    timed = json.loads((out / "static_qdq.onnx.manifest.json").read_text())["run"]["measured"]
    sizes = f"{exported['bytes']:,} bytes, int8 {(out / 'static_qdq.onnx').stat().st_size:,}"
    print(f"  {exported['verdict']}, {sizes}; {timed}")
    drop = small["drop"]
    return report("loss of PLCC through int8", f"{drop:.4f}, budget {BUDGET:g}", drop <= BUDGET) and met


def measure_calibration(name: str, folder: Path) -> bool:
    """Calibrate a model to the KoNViD clips, and print what the gate says."""
    with open(DATA / "nr_mos" / "index.tsv", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["dataset"] == "KoNViD-1k"]
    opinions = folder / "konvid.csv"
    opinions.write_text("".join(["key,mos\n", *(f"{Path(row['file']).stem},{row['mos']}\n" for row in rows)]))
    videos = [DATA / "nr_mos" / row["file"] for row in rows]
    found = calibrate(folder / name / "model.onnx", opinions, videos, scale=(1, 5), subsample=24)
    for row in found.gate.rows or ():
        print(f"  {row.what}: {row.measured}")
    shown = f"{found.verdict} with n = {found.n}, RMSE {found.rmse:.2f} against {found.constant_rmse:.2f} of the mean"
    return report("calibration to KoNViD has to be held", shown, found.verdict == "HOLD")


def main() -> bool:
    """Measure both models."""
    pictures = table()
    met = True
    with tempfile.TemporaryDirectory() as scratch:
        for name in BARS:
            met &= measure(name, pictures, Path(scratch))
            met &= measure_calibration(name, Path(scratch))
    return met


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
