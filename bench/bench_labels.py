"""Labels: 40,000 rows with 4,000 probed files, stopped by SIGKILL on the way, and LSVQ-sized labels joined to ten million frames."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from bench.clips import report

BAR_SECONDS, BAR_MB, BAR_JOIN_MB = 60.0, 500.0, 1500.0
ROWS, PROBED = 40_000, 4_000
VIDEOS, FRAMES = 39_000, 10_000_000

_CHILD = """
import re, sys, time
from pyvmaf.cli import main
sys.argv = ["vmaf-train", *sys.argv[1:]]
code = 0
try:
    main()
except SystemExit as end:
    code = end.code or 0
# getrusage would count the parent's size at the fork, too.
print("peak", int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1024, time.process_time())
sys.exit(code)
"""


def _verb(folder: Path, *words: str) -> tuple[float, float, float]:
    """Run a verb in a process of its own; return its seconds, its CPU seconds, and its peak in MB."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    found = re.search(r"peak ([\d.]+) ([\d.]+)", done.stdout)
    assert found
    return time.monotonic() - started, float(found[2]), float(found[1])


def _spec(folder: Path, rows: int) -> None:
    layout = {"name": "scores.csv", "key": ["video"], "mos": ["mos"], "rows": [1, rows]}
    spec = {
        "name": "rated",
        "description": "Rated videos",
        "license": "none",
        "version": "1",
        "scale": [0, 100],
        "aggregated": "0-100",
        "videos": ["{key}.mkv"],
        "layouts": [layout],
    }
    (folder / "config" / "labels").mkdir(parents=True)
    (folder / "config" / "labels" / "rated.yaml").write_text(yaml.safe_dump(spec))
    lines = [f"video_{number:06},{(number * 37 % 1000) / 10}" for number in range(rows)]
    (folder / "scores.csv").write_text("\n".join(["video,mos", *lines]) + "\n")


def _adapter() -> bool:
    """Read labels with probed files, once in one go and once after a SIGKILL; both give the same bytes."""
    from tests.make.videos import make_video

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _spec(folder, ROWS)
        videos = folder / "videos"
        videos.mkdir()
        first = make_video(videos / "video_000000.mkv", "64x48", 5)
        for number in range(1, PROBED):
            path = videos / f"video_{number:06}.mkv"
            shutil.copyfile(first, path)
            with path.open("ab") as stream:  # other bytes, another hash
                stream.write(b"\xec\x84" + number.to_bytes(4, "big"))
        words = ["labels", "scores.csv", "-d", "rated", "--videos", "videos", "--max-missing-share", "1", "-o"]
        seconds, cpu, peak = _verb(folder, *words, "whole.jsonl")
        met = report(
            f"{ROWS} labels, {PROBED} files",
            f"{seconds:.1f} s, of which CPU {cpu:.1f} s (bar {BAR_SECONDS:g} s)",
            seconds <= BAR_SECONDS,
        )
        met &= report("its peak", f"{peak:.0f} MB (bar {BAR_MB:g} MB)", peak <= BAR_MB)
        kills = 0
        partial = folder / "cut.jsonl.partial"
        for share in (0.05, 0.4):
            process = subprocess.Popen(
                [sys.executable, "-c", _CHILD, *words, "cut.jsonl"], cwd=folder, stdout=subprocess.PIPE
            )
            while process.poll() is None and _lines(partial) < share * PROBED:
                time.sleep(0.02)
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
            process.wait()
        _verb(folder, *words, "cut.jsonl")
        same = (folder / "cut.jsonl").read_bytes() == (folder / "whole.jsonl").read_bytes()
        rows = [json.loads(line)["src"] for line in (folder / "cut.jsonl").read_text().splitlines()]
        text = f"{len(rows)} rows, {len(set(rows))} distinct, the same bytes: {same}"
        return met & report(
            f"after {kills} SIGKILLs", text, same and len(rows) == len(set(rows)) == PROBED and kills == 2
        )


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _join() -> bool:
    """Aggregate the labels of a dataset of the size of LSVQ, and join them to a table of ten million frames."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _spec(folder, VIDEOS)
        _verb(folder, "labels", "scores.csv", "-d", "rated", "-o", "rated.jsonl")
        names = pa.array([f"video_{number:06}" for number in range(VIDEOS)])
        block = json.dumps({"features": ["adm2"], "unavailable": {}, "model": "vmaf_v0.6.1", "engine": {}})
        schema = pa.schema(
            [("clip", pa.dictionary(pa.int32(), pa.string())), ("frame_index", pa.int64())]
            + [(f"adm2_{number}", pa.float64()) for number in range(7)],
            metadata={"pyvmaf": block},
        )
        rng = np.random.default_rng(0)
        with pq.ParquetWriter(folder / "frames.parquet", schema, compression="zstd") as writer:
            for start in range(0, FRAMES, 1_000_000):
                index = np.arange(start, start + 1_000_000)
                codes = pa.array((index * VIDEOS // FRAMES).astype(np.int32))
                columns = [pa.DictionaryArray.from_arrays(codes, names), pa.array(index)]  # type: ignore[arg-type]
                columns += [pa.array(rng.random(index.size)) for _ in range(7)]
                writer.write_table(pa.table(columns, schema=schema))
        seconds, _, peak = _verb(folder, "aggregate", "rated.jsonl", "-o", "all.jsonl")
        met = report(f"aggregate {VIDEOS} labels", f"{peak:.0f} MB, {seconds:.1f} s", peak <= BAR_JOIN_MB)
        seconds, _, peak = _verb(folder, "join", "frames.parquet", "all.jsonl", "-o", "rated.parquet")
        met &= report(
            f"join to {FRAMES} frames", f"{peak:.0f} MB (bar {BAR_JOIN_MB:g} MB), {seconds:.1f} s", peak <= BAR_JOIN_MB
        )
        audit = json.loads((folder / "rated.json").read_text())
        return met & report(
            "rows with a score", f"{audit['rows_matched']} of {FRAMES}", audit["rows_matched"] == FRAMES
        )


def main() -> bool:
    """Print the figures; return whether every bar is met."""
    print("labels: reading, resuming and joining opinion scores")
    met = _adapter()
    return met & _join()


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
