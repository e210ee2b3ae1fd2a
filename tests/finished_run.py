"""A finished run for tests: frame rows from a formula, everything after them made by the real stages.

The formula gives features and scores the ranges and the shape that real ladders have, so that models learn it
within seconds; no clip is decoded.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

CRFS = {"libx264": (18, 26, 34, 42), "libx265": (20, 28, 36, 44), "libsvtav1": (25, 37, 49, 60)}
PRESETS = {"libx264": "medium", "libx265": "medium", "libsvtav1": "8"}
QUANTISED = [{"mode": "static_qdq", "budget": 0.5, "rmse_max": 50.0, "srocc_min": -1.0}]


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in `folder`, as a run does: manifests name paths from there."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def rung_rows(source: int, codec: str, crf: int, frames: int) -> dict[str, np.ndarray]:
    """Features and score of one rung; `source` shifts motion and how hard the scene is."""
    rng = np.random.default_rng([source, sorted(CRFS).index(codec), crf])
    strength = (crf - CRFS[codec][0]) / (CRFS[codec][-1] - CRFS[codec][0])
    motion = 2.0 + 1.5 * source + np.cumsum(rng.normal(0, 0.15, frames)).clip(-1.5, 4)
    loss = 0.02 + 0.42 * strength * (1 + 0.05 * motion / 5) + rng.normal(0, 0.01, frames)
    loss = loss.clip(0.005, 0.6)
    rows = {"adm2": 1 - 0.55 * loss**1.4, "motion2": motion}
    for scale, factor in enumerate((1.9, 1.3, 0.9, 0.6)):
        rows[f"vif_scale{scale}"] = np.exp(-factor * loss * (1 + 0.1 * scale)) - 0.01 * rng.random(frames)
    rows["vmaf"] = (100 - 165 * loss * (1 - 0.01 * motion) + 35 * loss**2).clip(0, 100)
    return rows


def write_model(folder: Path, name: str, **changes: Any) -> Path:
    """The YAML file of a small model."""
    import yaml

    spec: dict[str, Any] = {
        "name": name,
        "kind": "fr",
        "description": f"{name}, six features",
        "inputs": {"features": "canonical6"},
        "network": {"type": "mlp", "hidden": [16, 8], "activation": "relu"},
        "optimiser": {"name": "adam", "lr": 0.01},
        "epochs": 40,
        "batch_size": 64,
        "seeds": [0, 1],
        "gates": {
            "mean_plcc_min": 0.95, "plcc_spread_max": 0.05, "per_seed_min": 0.9,
            # The formula has no frames that are far from a ladder's, so that no model learns where scores end.
            "hard_negatives": {"black_max": 60, "swapped_max": 60, "teacher_error_max": 60, "range_margin": 150},
            "extrapolation": {"worst_plcc_min": 0.5},
        },
        "quantised": QUANTISED,
    }  # fmt: skip
    spec.update(changes)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def write_shards(corpus: str, sources: Sequence[str], frames: int) -> list[Path]:
    """Shards and corpus rows below results/shards, with manifests."""
    import pyarrow as pa

    from pyvmaf.base.files import write_text
    from pyvmaf.base.manifest import write_manifest
    from pyvmaf.features.table import columns, metadata, schema, write_table

    names = ("adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2")
    shards = []
    for codec, crfs in CRFS.items():
        parts, records = [], []
        for number, source in enumerate(sources):
            for crf in crfs:
                rows = rung_rows(number, codec, crf, frames)
                rung = f"{PRESETS[codec]}-crf{crf}"
                text = {
                    "corpus": corpus, "group": f"film{number % 2}", "source": source, "clip": source,
                    "codec": codec, "encoder": codec, "preset": PRESETS[codec], "rung": rung,
                }  # fmt: skip
                data: dict[str, Any] = {key: pa.array([value] * frames) for key, value in text.items()}
                strength, indices = pa.array([crf] * frames), pa.array(range(frames))
                data |= {"crf": strength, "strength": strength, "frame_index": indices}
                data |= {name: pa.array(rows[name]) for name in (*names, "vmaf")}
                parts.append(pa.table({name: data[name] for name in columns(names)}).cast(schema(names)))
                records.append(record(corpus, source, codec, crf, rung, float(rows["vmaf"].mean()), frames))
        merged = pa.concat_tables(parts)
        engine = {"libvmaf": "a" * 40, "pyvmaf": "0"}
        block = metadata(features=names, unavailable={}, model="vmaf_v0.6.1", engine=engine)
        path = Path("results/shards") / corpus / f"{codec}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(merged.replace_schema_metadata(block), path)
        lines = path.with_suffix(".jsonl")
        write_text(lines, "".join(json.dumps(row, sort_keys=True) + "\n" for row in records))
        write_manifest(path, verb="shard", args={}, inputs={}, outputs={"shard": path}, timings={"records": lines})
        shards.append(path)
    return shards


def write_negatives(path: Path, corpus: str, sources: Sequence[str], frames: int = 4) -> Path:
    """Hard negatives with the figures that real ones have."""
    import pyarrow as pa

    from pyvmaf.base.manifest import write_manifest
    from pyvmaf.features.cases import LABELS
    from pyvmaf.features.negatives import schema
    from pyvmaf.features.table import metadata, write_table

    names = ("adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2")
    figures = {
        "identical": (1.0, 1.0, 1.0, 1.0, 1.0, 3.0, 99.5), "flat": (1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 97.43),
        "flat_reference": (1.0, 0.97, 0.98, 0.99, 0.99, 0.0, 95.9), "frozen": (0.66, 0.2, 0.3, 0.37, 0.43, 3.0, 20.0),
        "black": (0.15, 0.01, 0.02, 0.02, 0.02, 3.0, 3.0), "swapped": (0.35, 0.03, 0.04, 0.05, 0.05, 3.0, 5.0),
    }  # fmt: skip
    parts = []
    for number, source in enumerate(sources):
        for case, values in figures.items():
            text = dict(zip(LABELS, (corpus, f"film{number % 2}", source, source, case), strict=True))
            data: dict[str, Any] = {key: pa.array([value] * frames) for key, value in text.items()}
            data["frame_index"] = pa.array(range(frames))
            data |= {name: pa.array([value] * frames) for name, value in zip((*names, "vmaf"), values, strict=True)}
            parts.append(pa.table(data).cast(schema(names)))
    block = metadata(features=names, unavailable={}, model="vmaf_v0.6.1", engine={"libvmaf": "a" * 40, "pyvmaf": "0"})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(pa.concat_tables(parts).replace_schema_metadata(block), path)
    write_manifest(path, verb="hard-negatives", args={}, inputs={}, outputs={"table": path})
    return path


def record(corpus: str, clip: str, codec: str, crf: int, rung: str, vmaf: float, frames: int) -> Mapping[str, Any]:
    """The keys of a corpus row that a report reads, and the clock readings that it must not."""
    rate = 3000 * 2 ** (-(crf - CRFS[codec][0]) / 6) * {"libx264": 1.0, "libx265": 0.7}.get(codec, 0.6)
    return {
        "encode_path": f"results/encodes/{corpus}/{clip}/{codec}/{rung}.mkv",
        "src": f"results/corpora/{corpus}/{clip}.mkv",
        "encoder": codec, "preset": PRESETS[codec], "crf": crf, "bitrate_kbps": rate, "vmaf_score": vmaf,
        "width": 640, "height": 360, "framerate": 25.0, "duration_s": frames / 25, "pix_fmt": "yuv420p",
        "encode_time_ms": os.getpid() * 1.5, "score_time_ms": 1.0, "timestamp": "2000-01-01T00:00:00Z",
    }  # fmt: skip


def build(
    root: Path,
    *,
    sources: Sequence[str] = ("bbb", "bikes_0", "carphone"),
    frames: int = 12,
    models: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Make a whole run below `root` and return its results folder.

    By default `small` passes its gates, and `held` (never trained) does not.
    """
    from pyvmaf.models.export import export
    from pyvmaf.models.fit import fit
    from pyvmaf.models.judge import judge
    from pyvmaf.quantized.quantize import quantize
    from pyvmaf.registry.register import register
    from pyvmaf.tables.build import combine

    specs: dict[str, Mapping[str, Any]] = {
        "small": {},
        "held": {"epochs": 0, "seeds": [0], "inputs": {"features": "canonical6", "codec": "v1"}},
    }
    with inside(root):
        shards = write_shards("embedded", sources, frames)
        table = Path("results/tables/default.parquet")
        combine([("embedded", path) for path in shards], table)
        negatives = write_negatives(Path("results/features/hard_negatives.parquet"), "embedded", sources)
        for name, changes in (specs if models is None else models).items():
            config = write_model(Path("config/models"), name, **changes)
            seeds = changes.get("seeds", [0, 1])
            home = Path("results/models") / name
            for seed in seeds:
                fit(config, table, home / f"seed{seed}", seed=seed)
            verdict = home / "verdict.json"
            judge(config, [home / f"seed{seed}/loso.json" for seed in seeds], verdict, negatives=negatives)
            for seed in seeds:
                folder = home / f"seed{seed}"
                export(config, folder / "weights.safetensors", verdict, table, folder / "model.onnx")
                for mode in (variant["mode"] for variant in changes.get("quantised", QUANTISED)):
                    int8 = Path("results/quantized") / name / f"seed{seed}" / f"{mode}.onnx"
                    quantize(config, folder / "model.onnx", folder / "weights.safetensors", table, int8, mode=mode)
        register(["results"], "results/registry/registry.json")
    return root / "results"


def once(base: Path, name: str, make: Callable[[Path], object]) -> Path:
    """The folder `name` below `base`, made by whichever test process comes first; the others wait for it."""
    root = base / name
    with open(base / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (base / f"{name}.complete").exists():
            root.mkdir(exist_ok=True)
            make(root)
            (base / f"{name}.complete").touch()
    return root
