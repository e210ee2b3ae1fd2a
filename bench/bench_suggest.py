"""``suggest --verify`` beside ab-av1's ``crf-search``: error, encodes and processor time at targets of 90, 93 and 95.

Needs three environment variables; without them nothing is measured:

- BENCH_PREDICTOR: ``predictor.json`` of a predictor that was trained without the clips.
- BENCH_CLIPS: the clips, separated by ``:``.
- AB_AV1: the program, from ``cargo install ab-av1``. It runs the FFmpeg of imageio-ffmpeg, which must be found as ``ffmpeg`` and
  beside it a program ``ffprobe``, whose processor time counts: a script that starts Python would be slower than a binary.

Both search whole quality numbers with the same encoder, preset, clip and size of the picture. ab-av1 takes a CRF whose VMAF is at
least the target. The error of both is the distance between target and VMAF of the encode at their CRF, measured once more in the
same way. The bars are: an error that is not larger, and 60 % of the processor time, in the mean.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.clips import report

CODECS = {"libx264": "medium", "libsvtav1": "8"}
TARGETS = (90, 93, 95)
SHARE = 0.6


class Result(NamedTuple):
    """A search: the CRF, the number of encodes, and processor seconds with all children."""

    crf: int | None
    encodes: int
    seconds: float


def processor() -> float:
    """Return the processor time of this process and its children so far, s."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def ours(clip: Path, predictor: Path, codec: str, target: float) -> Result:
    """Search with a cache of nothing."""
    from pyvmaf.scoring.suggest import suggest

    before = processor()
    [found] = suggest(clip, predictor, [codec], target, verify=True, preset=CODECS[codec]).suggestions
    return Result(found.crf, len(found.measured or ()), processor() - before)


def theirs(program: str, clip: Path, codec: str, target: float) -> Result:
    """Search with ab-av1."""
    words = [program, "crf-search", "-e", codec, "--preset", CODECS[codec], "-i", str(clip), "--min-vmaf", str(target)]
    words += ["--pix-format", "yuv420p", "--crf-increment", "1", "--max-encoded-percent", "10000", "--cache", "false"]
    words += ["--vmaf-scale", "none"]
    before = processor()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "RUST_LOG": "ab_av1=info"}
        done = subprocess.run(words, capture_output=True, text=True, cwd=folder, env=environment, check=False)
    encodes = len(re.findall("encoding sample", done.stderr))
    found = re.search(r"^crf (\d+) ", done.stdout, re.MULTILINE)
    return Result(int(found[1]) if found else None, encodes, processor() - before)


def vmaf(clip: Path, codec: str, crf: int) -> float:
    """Return the mean VMAF of the encode at a CRF."""
    from pyvmaf.encodes.encode import encode
    from pyvmaf.encodes.encoder import encoder_rung
    from pyvmaf.scoring.score import score

    with tempfile.TemporaryDirectory() as folder:
        made = encode(clip, Path(folder) / "encode.mkv", encoder_rung(codec, CODECS[codec], crf)).path
        return float(np.mean(score(clip, made)["vmaf"]))


def main() -> bool:
    """Print each search; return whether both bars are met."""
    names = ("BENCH_PREDICTOR", "BENCH_CLIPS", "AB_AV1")
    if missing := [name for name in names if not os.environ.get(name)]:
        print(f"suggest: {', '.join(missing)} not set, nothing is compared")
        return True
    predictor, clips, program = (os.environ[name] for name in names)
    known: dict[tuple[Path, str, int], float] = {}
    errors: list[tuple[float, float]] = []
    work: list[tuple[Result, Result]] = []
    for clip in map(Path, clips.split(":")):
        for codec in CODECS:
            for target in TARGETS:
                pair = ours(clip, Path(predictor), codec, target), theirs(program, clip, codec, target)
                shown, both = [], []
                for name, found in zip(("suggest", "ab-av1"), pair, strict=True):
                    if found.crf is None:
                        shown.append(f"{name} none in {found.encodes} encodes, {found.seconds:.2f} s")
                        continue
                    key = (clip, codec, found.crf)
                    known[key] = known[key] if key in known else vmaf(*key)
                    both.append(abs(known[key] - target))
                    shown.append(
                        f"{name} CRF {found.crf} off by {both[-1]:.2f}, {found.encodes} encodes, {found.seconds:.2f} s"
                    )
                print(f"  {clip.stem} {codec} {target}: {'; '.join(shown)}", flush=True)
                work.append(pair)
                if len(both) == len(pair):
                    errors.append((both[0], both[1]))
    if not errors:
        return report("searches that both ended", "0", False)
    own, other = np.array(errors).mean(axis=0)
    encodes = np.array([[found.encodes for found in pair] for pair in work]).mean(axis=0)
    seconds = np.array([[found.seconds for found in pair] for pair in work])
    share = float(seconds[:, 0].sum() / seconds[:, 1].sum())
    print(f"  mean encodes {encodes[0]:.2f} and {encodes[1]:.2f}; errors of the {len(errors)} searches that both ended")
    close = report("mean error of suggest and of ab-av1, VMAF", f"{own:.2f} and {other:.2f}", bool(own <= other))
    cheap = report("processor time over that of ab-av1", f"{share:.2f} (bar {SHARE:.2f})", share <= SHARE)
    return close and cheap
