"""Tables from a formula: features and scores have the ranges and the shape of real ladders, and no clip is decoded.

Models learn them within seconds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

FEATURES = ("adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2")
CRFS = {"libx264": (18, 26, 34, 42), "libx265": (20, 30, 40, 50), "libsvtav1": (25, 37, 49, 60)}
PRESETS = {"libx264": "medium", "libx265": "slow", "libsvtav1": "8"}
ENGINE = {"libvmaf": "a" * 40, "pyvmaf": "0"}
TEACHER = "vmaf_v0.6.1"


def rung_rows(source: int, codec: str, crf: int, frames: int, seed: int = 0) -> dict[str, NDArray[np.float64]]:
    """Compute features and scores of a rung; `source` shifts motion and how hard the scene is."""
    rng = np.random.default_rng([seed, source, sorted(CRFS).index(codec), crf])
    strength = (crf - CRFS[codec][0]) / (CRFS[codec][-1] - CRFS[codec][0])
    motion = 2.0 + 1.5 * source + np.cumsum(rng.normal(0, 0.15, frames)).clip(-1.5, 4)
    loss = 0.02 + 0.42 * strength * (1 + 0.05 * motion / 5) + rng.normal(0, 0.05, frames)
    loss = loss.clip(0.005, 0.6)
    rows = {"adm2": 1 - 0.55 * loss**1.4}
    for scale, factor in enumerate((1.9, 1.3, 0.9, 0.6)):
        rows[f"vif_scale{scale}"] = np.exp(-factor * loss * (1 + 0.1 * scale)) - 0.01 * rng.random(frames)
    rows["motion2"] = motion
    score = 100 - 165 * loss * (1 - 0.01 * motion) + 35 * loss**2 + rng.normal(0, 0.2, frames)
    rows["vmaf"] = score.clip(0, 100)
    return rows


def table_columns(
    sources: int = 4,
    frames: int = 12,
    seed: int = 3,
    *,
    corpus: str = "made",
    clips: Sequence[str] = (),
    codecs: Sequence[str] = tuple(CRFS),
    rungs: int = 3,
) -> dict[str, list[Any]]:
    """Make the columns of a feature table: sources x codecs x rungs x frames; two sources are of one film.

    With `clips`, their names are those of the sources, too, and `sources` is not read.
    """
    columns: dict[str, list[Any]] = {}
    for number in range(len(clips) or sources):
        for codec in codecs:
            for crf in CRFS[codec][:rungs]:
                constants = {
                    "corpus": corpus,
                    "group": f"film{number // 2}",
                    "source": clips[number] if clips else f"scene{number}",
                    "clip": clips[number] if clips else f"clip{number}",
                    "codec": codec,
                    "encoder": codec,
                    "preset": PRESETS[codec],
                    "crf": crf,
                    "rung": f"{PRESETS[codec]}-crf{crf}",
                    "strength": float(crf),
                }
                rows: dict[str, list[Any]] = {name: [value] * frames for name, value in constants.items()}
                rows["frame_index"] = list(range(frames))
                rows |= {name: values.tolist() for name, values in rung_rows(number, codec, crf, frames, seed).items()}
                for name, values in rows.items():
                    columns.setdefault(name, []).extend(values)
    return columns


def write_table(path: Path, columns: Mapping[str, list[Any]], **metadata: Any) -> Path:
    """Write a parquet file with those columns, text dictionary-encoded as in real tables."""
    arrays = {}
    for name, values in columns.items():
        array = pa.array(values)
        arrays[name] = array.dictionary_encode() if pa.types.is_string(array.type) else array
    table = pa.table(arrays).replace_schema_metadata({"pyvmaf": json.dumps(metadata)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd")
    return path


def write_shards(corpus: str, clips: Sequence[str], frames: int) -> list[Path]:
    """Write shards and corpus rows below results/shards, with manifests."""
    from pyvmaf.base.files import write_text
    from pyvmaf.base.manifest import write_manifest
    from pyvmaf.features.table import metadata, schema
    from pyvmaf.features.table import write_table as write_features

    block = metadata(features=FEATURES, unavailable={}, model=TEACHER, engine=ENGINE)
    layout = schema(FEATURES)
    shards = []
    for codec, crfs in CRFS.items():
        columns = table_columns(frames=frames, corpus=corpus, clips=clips, codecs=[codec], rungs=len(crfs))
        shard = Path("results/shards") / corpus / f"{codec}.parquet"
        shard.parent.mkdir(parents=True, exist_ok=True)
        table = pa.table({name: columns[name] for name in layout.names}, schema=layout)
        write_features(table.replace_schema_metadata(block), shard)
        means = np.reshape(columns["vmaf"], (len(clips), len(crfs), frames)).mean(axis=2)
        records = [
            corpus_row(corpus, clip, codec, crf, float(means[row, column]), frames)
            for row, clip in enumerate(clips)
            for column, crf in enumerate(crfs)
        ]
        lines = shard.with_suffix(".jsonl")
        write_text(lines, "".join(json.dumps(row, sort_keys=True) + "\n" for row in records))
        write_manifest(shard, verb="shard", args={}, inputs={}, outputs={"shard": shard}, timings={"records": lines})
        shards.append(shard)
    return shards


def corpus_row(corpus: str, clip: str, codec: str, crf: int, vmaf: float, frames: int) -> dict[str, Any]:
    """Make a corpus row: the keys that a report reads, and the clock readings that it must not."""
    rate = 3000 * 2 ** (-(crf - CRFS[codec][0]) / 6) * {"libx264": 1.0, "libx265": 0.7}.get(codec, 0.6)
    preset = PRESETS[codec]
    return {
        "encode_path": f"results/encodes/{corpus}/{clip}/{codec}/{preset}-crf{crf}.mkv",
        "src": f"results/corpora/{corpus}/{clip}.mkv",
        "encoder": codec, "preset": preset, "crf": crf, "bitrate_kbps": rate, "vmaf_score": vmaf,
        "width": 640, "height": 360, "framerate": 25.0, "duration_s": frames / 25, "pix_fmt": "yuv420p",
        "encode_time_ms": os.getpid() * 1.5, "score_time_ms": 1.0, "timestamp": "2000-01-01T00:00:00Z",
    }  # fmt: skip


NEGATIVES = {
    "identical": (1.0, 1.0, 1.0, 1.0, 1.0, 3.0, 99.5), "flat": (1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 97.43),
    "flat_reference": (1.0, 0.97, 0.98, 0.99, 0.99, 0.0, 95.9), "frozen": (0.66, 0.2, 0.3, 0.37, 0.43, 3.0, 20.0),
    "frozen_later": (0.64, 0.19, 0.29, 0.36, 0.42, 3.0, 18.0), "black": (0.15, 0.01, 0.02, 0.02, 0.02, 3.0, 3.0),
    "noise": (0.3, 0.02, 0.02, 0.02, 0.03, 3.0, 2.0), "swapped": (0.35, 0.03, 0.04, 0.05, 0.05, 3.0, 5.0),
    "mirrored": (0.4, 0.04, 0.05, 0.06, 0.07, 3.0, 6.0), "late": (0.8, 0.4, 0.5, 0.55, 0.6, 3.0, 45.0),
    "coarse": (0.6, 0.05, 0.2, 0.3, 0.4, 3.0, 12.0), "noisy": (0.9, 0.3, 0.6, 0.7, 0.8, 3.0, 55.0),
    "faded": (0.5, 0.2, 0.2, 0.2, 0.2, 3.0, 1.0), "vivid": (1.0, 1.1, 1.1, 1.1, 1.1, 3.0, 100.0),
}  # fmt: skip
"""Features and score that a case of hard negatives has."""


def write_negatives(path: Path, corpus: str, clips: Sequence[str], frames: int = 4) -> Path:
    """Write hard negatives with the figures that real ones have."""
    from pyvmaf.base.manifest import write_manifest
    from pyvmaf.features.cases import LABELS
    from pyvmaf.features.negatives import schema
    from pyvmaf.features.table import metadata
    from pyvmaf.features.table import write_table as write_features

    parts = []
    for number, clip in enumerate(clips):
        for case, figures in NEGATIVES.items():
            other = clips[number - 1] if case == "swapped" else ""
            labels = dict(zip(LABELS, (corpus, f"film{number // 2}", clip, clip, "64x48", other, case), strict=True))
            data: dict[str, Any] = {key: pa.array([value] * frames) for key, value in labels.items()}
            data["frame_index"] = pa.array(range(frames))
            data |= {name: pa.array([value] * frames) for name, value in zip((*FEATURES, "vmaf"), figures, strict=True)}
            parts.append(pa.table(data).cast(schema(FEATURES)))
    block = metadata(features=FEATURES, unavailable={}, model=TEACHER, engine=ENGINE)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_features(pa.concat_tables(parts).replace_schema_metadata(block), path)
    write_manifest(path, verb="hard-negatives", args={}, inputs={}, outputs={"table": path})
    return path
