"""Peak memory of a shard and a table of 20 million rows, and of training on them, each in a process of its own.

The rows come from the formula of the tests, in ladders of a film's length; the encodes are real and short.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.clips import ffmpeg, report

ROWS, LADDERS, SOURCES = 20_000_000, 48, 3
CRFS = (18, 26, 34, 42)
BAR_MB = 1500.0

_CHILD = """
import re, sys, time
{call}
# getrusage would include the size of the parent at the fork.
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1024)
"""
_SHARD = """
from pathlib import Path
from typing import Any
from pyvmaf.tables.build import build_shard
records = [p for p in Path("results/encodes").rglob("*.json") if not p.name.endswith(".manifest.json")]
shard = Path("results/shards/big/libx264.parquet")
build_shard(sorted(Path("results/features").rglob("*.parquet")), records, shard, shard.with_suffix(".jsonl"))
"""
_COMBINE = """
from pathlib import Path
from typing import Any
from pyvmaf.tables.build import combine
combine([("big", Path("results/shards/big/libx264.parquet"))], Path("results/tables/default.parquet"))
"""
_FIT = """
from pathlib import Path
from typing import Any
from pyvmaf.models.fit import fit
fit(Path("vmaf_tiny_v2.yaml"), Path("results/tables/default.parquet"), Path("fitted"), seed=0, epochs=1)
"""


def _peak(folder: Path, call: str) -> tuple[float, float]:
    """Return the peak resident megabytes of some code and the seconds that it takes."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _CHILD.format(call=call)], cwd=folder, check=True, stdout=subprocess.PIPE, text=True
    )
    return float(done.stdout), time.perf_counter() - started


def _encodes(folder: Path) -> None:
    """Make a real ladder, and copies of it for the other clips."""
    from pyvmaf.encodes.encode import encode
    from pyvmaf.encodes.encoder import encoder_rung

    reference = folder / "reference.mkv"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=64x64:rate=25", "-frames:v", "4", "-c:v", "libx264", "-qp", "0"]
    subprocess.run([ffmpeg(), "-v", "error", *picture, str(reference)], check=True)
    first = folder / "results" / "encodes" / "big" / "clip00" / "libx264"
    for crf in CRFS:
        encode(reference, first / f"medium-crf{crf}.mkv", encoder_rung("libx264", "medium", crf))
    for number in range(1, LADDERS):
        shutil.copytree(first, folder / "results" / "encodes" / "big" / f"clip{number:02d}" / "libx264")


def _ladders(folder: Path) -> None:
    """Write the feature tables of all ladders."""
    import numpy as np
    import pyarrow as pa

    from pyvmaf.base.manifest import write_manifest
    from pyvmaf.features.table import columns, metadata, schema, write_table
    from tests.make.tables import FEATURES, rung_rows

    frames = -(-ROWS // (LADDERS * len(CRFS)))
    block = metadata(features=FEATURES, unavailable={}, model="vmaf_v0.6.1", engine={"libvmaf": "a" * 40})
    for number in range(LADDERS):
        clip, parts = f"clip{number:02d}", []
        for crf in CRFS:
            rows = rung_rows(number % SOURCES, "libx264", crf, 10_000)
            text = {
                "corpus": "big", "group": "film", "source": f"scene{number % SOURCES}", "clip": clip,
                "codec": "libx264", "encoder": "libx264", "preset": "medium", "rung": f"medium-crf{crf}",
            }  # fmt: skip
            data: dict[str, Any] = {
                key: pa.DictionaryArray.from_arrays(np.zeros(frames, np.int32), pa.array([value]))
                for key, value in text.items()
            }
            strength = pa.array(np.full(frames, crf))
            data |= {"crf": strength, "strength": strength, "frame_index": pa.array(np.arange(frames))}
            data |= {name: pa.array(np.resize(rows[name], frames)) for name in (*FEATURES, "vmaf")}
            parts.append(pa.table({name: data[name] for name in columns(FEATURES)}).cast(schema(FEATURES)))
        path = folder / "results" / "features" / "big" / clip / "libx264.parquet"
        path.parent.mkdir(parents=True)
        write_table(pa.concat_tables(parts).replace_schema_metadata(block), path)
        write_manifest(path, verb="extract-features", args={}, inputs={}, outputs={"table": path}, seconds=1.0)


def main() -> bool:
    """Print each peak; return False if a bar is missed."""
    print(f"tables: peak resident size with {ROWS:,} rows of six features and their target")
    met = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _encodes(folder)
        _ladders(folder)
        spec = (Path(__file__).parents[1] / "config" / "models" / "vmaf_tiny_v2.yaml").read_text()
        (folder / "vmaf_tiny_v2.yaml").write_text(spec.replace("  beside: group\n", ""))
        for what, call in (("shard", _SHARD), ("combine", _COMBINE), (f"fit, {SOURCES} folds, 1 epoch", _FIT)):
            peak, seconds = _peak(folder, call)
            met &= report(what, f"{peak:.0f} MB in {seconds:.0f} s (bar {BAR_MB:g} MB)", peak <= BAR_MB)
    return met


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
