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
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.clips import CACHE, report
from bench.ladders import DATA, clips, picture_rows, versions, write_pictures
from pyvmaf.checks.calibrate import calibrate
from pyvmaf.models.export import export
from pyvmaf.models.fit import fit
from pyvmaf.models.imported.convert import convert
from pyvmaf.models.judge import judge
from pyvmaf.quantized.quantize import quantize

ROOT = Path(__file__).parents[1]
FOLDER = CACHE / "pixels"
SCREENS = ("code_static_1080p", "pdf_scroll")
LEAST_HEIGHT, PARTS, TAKEN = 224, 10, (1, 5, 8)


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


def table(names: Sequence[str] | None = None, folder: Path = FOLDER) -> Path:
    """Return the table of pictures of clips, by default of all that are large enough; made once."""
    path = folder / "pictures.parquet"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for name, clip in clips().items():
        if int(clip["height"]) < LEAST_HEIGHT or (names is not None and name not in names):
            continue
        found = versions(name)
        middles = sorted({int(found[0].vmaf.size * (part + 0.5) / PARTS) for part in range(PARTS)})
        taken = [middles[part] for part in TAKEN if part < len(middles)]
        rows += picture_rows(found, name, taken, folder / f"{name}.safetensors")
        print(f"  {name}: {len(rows)} pictures so far", flush=True)
    write_pictures(rows, path)
    return path


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
    drop, refused = small["drop"], "; ".join(small["missed"]) or "nothing missed"
    return report("loss of PLCC through int8", f"{drop:.4f}, budget {BUDGET:g}; {refused}", drop <= BUDGET) and met


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
