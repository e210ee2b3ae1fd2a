"""Offsets from -30 to 30 frames of real clips in three encodes each: all have to be found, and other pairs refused.

The clips are those of the folder of development data with 60 frames or more. Each is encoded by x264 at CRF 23 and 40 and by
x265 at CRF 35; an offset leaves out the first frames of one side. The offsets are all of OFFSETS (comma-separated numbers in the
environment), by default every one.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from bench.clips import make, report

DATA = Path(__file__).parents[1] / ".." / "shared" / "data" / "clips"
CLIPS = (
    *(
        "dog_park",
        "cups_table",
        "blocks_desk",
        "coffee_pour",
        "juggle_grass",
        "bedroom_jump",
        "flower_bloom",
        "highway_drive",
    ),
    *("cactus_flower", "bbb_cuts", "jwst_fade", "wood_rabbit"),
)
ENCODES = {
    "x264_23": ("libx264", "-preset", "veryfast", "-crf", "23"),
    "x264_40": ("libx264", "-preset", "veryfast", "-crf", "40"),
    "x265_35": ("libx265", "-preset", "ultrafast", "-crf", "35", "-x265-params", "log-level=error"),
}
FRAMES = 120


def main() -> bool:
    """Print the offsets that are not found, and the pairs that are taken for one scene; return whether there are none."""
    from pyvmaf.errors import InputError
    from pyvmaf.video.reader import Reader
    from pyvmaf.video.sync import WINDOW, match, pictures

    if not DATA.is_dir():
        print("sync: no folder ../shared/data/clips beside this checkout, nothing is searched")
        return True
    wanted = [int(word) for word in os.environ.get("OFFSETS", "").split(",") if word] or list(range(-30, 31))
    tried = wrong = pairs = 0
    taken: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        clips = {}
        for clip in CLIPS:
            reference = make(
                Path(name) / f"{clip}.mkv",
                *(
                    "-i",
                    str((DATA / f"{clip}.mkv").resolve()),
                    "-frames:v",
                    str(FRAMES),
                    "-vf",
                    "scale=320:180",
                    "-an",
                    "-c:v",
                    "libx264",
                ),
                *("-qp", "0", "-preset", "ultrafast"),
            )
            clips[clip] = (
                reference,
                {
                    encode: make(Path(name) / f"{clip}_{encode}.mkv", "-i", str(reference), "-c:v", *words)
                    for encode, words in ENCODES.items()
                },
            )
        small = {
            clip: (
                pictures(Reader(reference), FRAMES),
                {name: pictures(Reader(path), FRAMES) for name, path in encodes.items()},
            )
            for clip, (reference, encodes) in clips.items()
        }
        for clip, (ours, versions) in small.items():
            for encode, theirs in versions.items():
                for offset in wanted:
                    tried += 1
                    found = match(ours[max(0, -offset) :], theirs[max(0, offset) :], WINDOW, (clip, encode))
                    if found.frames != offset:
                        wrong += 1
                        print(f"  {clip} {encode}: {offset} frames, found {found}")
        for clip, (ours, _) in small.items():
            for other, (_, versions) in small.items():
                if other != clip and ours.shape[1:] == versions["x264_23"].shape[1:]:
                    pairs += 1
                    with suppress(InputError):
                        taken.append(f"{clip} and {other}: {match(ours, versions['x264_23'], WINDOW, (clip, other))}")
    print(f"sync: {len(CLIPS)} clips, {len(ENCODES)} encodes, {len(wanted)} offsets")
    for line in taken:
        print(f"  taken for one scene: {line}")
    exact = report(f"offsets of {tried} that are not exact", f"{wrong} (bar 0)", wrong == 0)
    return (
        report(f"pairs of {pairs} of other scenes that are not refused", f"{len(taken)} (bar 0)", not taken) and exact
    )


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
