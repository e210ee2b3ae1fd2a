"""Encodes of the clips of ``../shared/data`` with x264, x265 and SVT-AV1 at five CRFs each, and pictures of them.

Encodes and their scores are kept in ``.cache/bench/ladders``, which the benchmarks of pictures share.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.clips import CACHE, ffmpeg
from pyvmaf.features.ladder import extract_ladder
from pyvmaf.features.options import Compute
from pyvmaf.features.table import write_table
from pyvmaf.frames.storage import writing
from pyvmaf.frames.table import REFERENCE_VMAF, File, metadata, name_in, picture_table
from pyvmaf.video.reader import Reader
from pyvmaf.video.tensors import Picture, tensors

DATA = Path(__file__).parents[2] / "shared" / "data"
LADDERS = {
    "libx264": ("medium", (18, 24, 30, 36, 42)),
    "libx265": ("medium", (20, 26, 32, 38, 44)),
    "libsvtav1": ("8", (25, 35, 45, 55, 63)),
}
SOURCES = {"skyline_hlg10": "london", "rooftop_london": "london"}
"""Clips of one scene."""
MOST_FRAMES = 48
MODEL = "vmaf_v0.6.1"


class Version(NamedTuple):
    """A clip as it was read, or an encode of it.

    Attributes:
        codec: encoder; empty for the clip.
        crf: 0 for the clip.
        path: the video.
        vmaf: float64 [frames].
    """

    codec: str
    crf: int
    path: Path
    vmaf: NDArray[np.float64]

    @property
    def rung(self) -> str:
        """Name of its quality."""
        return f"crf{self.crf}" if self.codec else "reference"


def clips() -> dict[str, dict[str, str]]:
    """Return the rows of the index of clips by name."""
    with open(DATA / "clips" / "index.tsv", encoding="utf-8") as stream:
        return {row["name"]: row for row in csv.DictReader(stream, delimiter="\t")}


def versions(name: str) -> list[Version]:
    """Return the beginning of a clip, 8 bits and 4:2:0, and its encodes; made and measured once."""
    folder = CACHE / "ladders" / name
    folder.mkdir(parents=True, exist_ok=True)
    source = next((DATA / "clips").glob(f"{name}.*"))
    reference = _made(
        folder / "reference.mkv", "-i", source, "-frames:v", MOST_FRAMES, "-pix_fmt", "yuv420p", "-c:v", "ffv1"
    )
    quiet = {"libx265": ("-x265-params", "log-level=error")}
    encodes = {
        (codec, crf): _made(
            folder / f"{codec}_{crf}.mkv",
            *("-i", reference, "-c:v", codec, "-preset", preset, "-crf", crf, *quiet.get(codec, ())),
        )
        for codec, (preset, crfs) in LADDERS.items()
        for crf in crfs
    }
    scores = _scores(reference, {f"{codec}:{crf}": path for (codec, crf), path in encodes.items()})
    frames = len(next(iter(scores.values())))
    found = [Version("", 0, reference, np.full(frames, REFERENCE_VMAF))]
    return found + [
        Version(codec, crf, path, np.array(scores[f"{codec}:{crf}"])) for (codec, crf), path in encodes.items()
    ]


def _scores(reference: Path, rungs: dict[str, Path]) -> dict[str, list[float]]:
    """Score the frames of encodes, luma alone."""
    kept = reference.with_name("vmaf.json")
    if not kept.exists():
        ladder = extract_ladder(reference, rungs, features=["psnr_y"], model=[MODEL], compute=Compute(threads=1))
        scores = {name: rung.vmaf.tolist() for name, rung in ladder.rungs.items() if rung.vmaf is not None}
        kept.write_text(json.dumps(scores))
    found: dict[str, list[float]] = json.loads(kept.read_text())
    return found


def _made(target: Path, *words: object) -> Path:
    if not target.exists():
        part = target.with_name(f"part.{target.name}")
        command = [ffmpeg(), "-v", "error", "-y", *map(str, words), str(part)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL, env={**os.environ, "SVT_LOG": "1"})
        part.rename(target)
    return target


def picture_rows(found: Sequence[Version], name: str, indices: Sequence[int], file: Path) -> list[dict[str, Any]]:
    """Keep the luma of some frames of a clip and its encodes, and return their rows of a table of pictures."""
    rows = []
    with writing(file, "gray") as writer:
        for version in found:
            parts = [
                np.asarray(batch)
                for batch in tensors(Reader(version.path), Picture("gray", values=None), indices=list(indices))
            ]
            for index, picture in zip(indices, np.concatenate(parts)[:, 0], strict=True):
                number = writer.add(np.ascontiguousarray(picture), name)
                rows.append(
                    {
                        "corpus": "clips",
                        **dict.fromkeys(("group", "source"), SOURCES.get(name, name)),
                        "clip": name,
                        **dict.fromkeys(("codec", "encoder"), version.codec or None),
                        "crf": version.crf if version.codec else None,
                        "rung": version.rung,
                        "strength": float(version.crf) if version.codec else None,
                        "frame_index": index,
                        "width": picture.shape[1],
                        "height": picture.shape[0],
                        "vmaf": float(version.vmaf[index]),
                        **dict.fromkeys(("file", "reference_file"), file.name),
                        "row": number,
                        "reference_row": number % len(indices),
                    }
                )
    return rows


def write_pictures(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write a table of pictures that lie beside it."""
    files = {name_in(path, path.parent / name): File.of(path.parent / name) for name in {row["file"] for row in rows}}
    block = metadata(colour="gray", files=dict(sorted(files.items())), model=MODEL, engine={})
    write_table(picture_table({name: [row[name] for row in rows] for name in rows[0]}, block), path)
