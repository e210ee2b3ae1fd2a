"""Features of pairs that exist against those of the encodes that they are: none may differ.

The clips of the folder of development data are prepared and encoded as the workflow does it, and measured as ladders.
Then the same files are listed in a CSV file, scanned as a corpus of pairs, and measured again without the cache of before.
The bar is equality of every feature and score to the last bit.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.clips import report

DATA = Path(__file__).parents[1] / ".." / "shared" / "data" / "clips"
PRESET = "veryfast"
CRFS = (18, 24, 30, 36, 42, 48)


def compare(clips: Path, folder: Path, crfs: tuple[int, ...] = CRFS, frames: int | None = None) -> tuple[int, int, int]:
    """Measure the encodes of clips by both ways.

    Args:
        clips: folder of videos.
        folder: an empty folder to work in.
        crfs: the rungs of each clip.
        frames: most frames of each clip; None for all.

    Returns:
        The number of pairs, the number of values that were compared, and how many of them differ.
    """
    import pyarrow as pa

    from pyvmaf.corpora.folder import Spec as Folder
    from pyvmaf.corpora.prepare import prepare
    from pyvmaf.corpora.scan import scan
    from pyvmaf.corpora.scan_pairs import Listing, scan_pairs
    from pyvmaf.encodes.encode import encode
    from pyvmaf.encodes.encoder import encoder_rung
    from pyvmaf.features.options import Compute, Reading
    from pyvmaf.features.pairs import Pairs, extract_pairs
    from pyvmaf.features.stage import extract_features
    from pyvmaf.features.table import read_table

    corpus: Folder = scan(clips, "clips").corpus
    ladders: list[pa.Table] = []
    rows: list[dict[str, Any]] = []
    for entry in corpus.entries:
        if frames is not None and entry.probe is not None and entry.probe.frames > frames:
            changed = entry.model_copy(update={"frames": (0, frames - 1)})
            corpus = corpus.model_copy(update={"entries": tuple(changed if e is entry else e for e in corpus.entries)})
        clip = prepare(corpus, entry.key, clips, folder / f"{entry.key}.mkv").path
        rungs: dict[str, Path] = {}
        for crf in crfs:
            rung = encoder_rung("libx264", PRESET, crf)
            rungs[rung.name] = encode(clip, folder / entry.key / f"{rung.name}.mkv", rung).path
            known = {"codec": "libx264", "preset": PRESET, "crf": crf}
            paths = {"reference": clip.name, "distorted": f"{entry.key}/{rung.name}.mkv"}
            rows.append({**paths, **known})
        labels = {
            "corpus": "clips",
            "clip": entry.key,
            "codec": "libx264",
            "group": entry.group,
            "source": entry.source,
        }
        table = folder / f"{entry.key}.parquet"
        extract_features(
            clip, rungs, table, labels=labels, reading=Reading(match_depth=True), compute=Compute(threads=2)
        )
        ladders.append(read_table(table))
    listing = folder / "pairs.csv"
    with listing.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    pairs = scan_pairs(folder, "clips", listing=Listing(listing)).corpus
    output = folder / "pairs.parquet"
    extract_pairs(Pairs(pairs, folder, compute=Compute(threads=2)), output)
    encoded = pa.concat_tables(ladders, promote_options="permissive").to_pandas()
    existing = read_table(output).to_pandas()
    key = ["clip", "codec", "rung", "frame_index"]
    encoded, existing = (table.sort_values(key, ignore_index=True) for table in (encoded, existing))
    columns = [name for name in encoded.columns if name not in ("corpus", "group", "source")]
    different = sum(int((encoded[name].to_numpy() != existing[name].to_numpy()).sum()) for name in columns)
    return len(rows), len(columns) * len(encoded), different


def main() -> bool:
    """Print how many values differ; return whether none does."""
    if not DATA.is_dir():
        print("pairs: no folder ../shared/data/clips beside this checkout, nothing is compared")
        return True
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        pairs, values, different = compare(DATA.resolve(), Path(name))
    print(f"pairs: {pairs} encodes, measured as encodes and as pairs that exist, {time.monotonic() - started:.0f} s")
    return report(f"values of {values} that differ", f"{different} (bar 0)", different == 0)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
