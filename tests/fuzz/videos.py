"""Damaged videos, and a check that each is refused or scored as FFmpeg decodes it.

By hand, in the root of the repository:

    python -m tests.fuzz.videos --count 300 --seed 1
"""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from tests.make.videos import ffmpeg_program, make_video

FRAMES = 8
SEEDS: dict[str, tuple[str, ...]] = {
    "avc.mkv": ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "2", "-g", "6"),
    "hevc.mkv": ("-c:v", "libx265", "-pix_fmt", "yuv420p", "-x265-params", "log-level=none:keyint=6"),
    "ffv1.mkv": ("-c:v", "ffv1", "-pix_fmt", "yuv420p", "-level", "3", "-slices", "4"),
    "avc.mp4": ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "2", "-g", "6"),
    "fast.mp4": ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-movflags", "+faststart"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p", "-g", "6"),
    "raw.y4m": ("-pix_fmt", "yuv420p"),
    "avc.264": ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "2", "-g", "6"),
    "avc.ts": ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "6"),
    "mpeg4.avi": ("-c:v", "mpeg4", "-pix_fmt", "yuv420p", "-bf", "2", "-g", "6"),
    "still.jpg": ("-pix_fmt", "yuvj420p", "-update", "1"),
    "still.png": ("-pix_fmt", "gray", "-update", "1"),
}
"""Whole videos by file name, and FFmpeg's options for each."""

KINDS = ("bit", "bytes", "cut", "insert", "drop", "swap", "head", "zeros")
"""Kinds of damage."""

LIMIT_S = 60
"""Time after which reading a file of eight small frames counts as a hang."""

MEMORY_BYTES = 6 << 30
"""Address space that reading such a file may take."""


class Mutant(NamedTuple):
    """A damaged file: the whole one that it was made of, the kind of damage, and its bytes."""

    name: str
    kind: str
    data: bytes


class Answer(NamedTuple):
    """What became of a file.

    Attributes:
        verdict: "refused", "scored", or a failure: "traceback", "crash", "hang", "nan", "unnoticed".
        details: what was said, or what FFmpeg says.
    """

    verdict: str
    details: str = ""

    @property
    def failed(self) -> bool:
        return self.verdict not in ("refused", "scored")


def whole(folder: Path) -> dict[str, Path]:
    """Make the whole videos in a folder."""
    return {
        name: make_video(folder / name, "64x48", 1 if name.startswith("still") else FRAMES, *options, source="testsrc")
        for name, options in SEEDS.items()
    }


def mutants(videos: dict[str, Path], seed: int, count: int) -> Iterator[Mutant]:
    """Damage whole videos; the same seed gives the same files."""
    dice = random.Random(seed)
    names = sorted(videos)
    for number in range(count):
        name, kind = names[number % len(names)], dice.choice(KINDS)
        yield Mutant(name, kind, damaged(videos[name].read_bytes(), kind, dice))


def damaged(whole: bytes, kind: str, dice: random.Random) -> bytes:
    """Damage bytes in one way."""
    data = bytearray(whole)
    at = dice.randrange(len(data))
    length = dice.randrange(1, max(2, len(data) // 8))
    if kind == "bit":
        data[at] ^= 1 << dice.randrange(8)
    elif kind == "bytes":
        for _ in range(dice.randrange(1, 20)):
            data[dice.randrange(len(data))] = dice.randrange(256)
    elif kind == "cut":
        del data[max(1, at) :]
    elif kind == "insert":
        data[at:at] = dice.randbytes(length)
    elif kind == "drop":
        del data[at : at + length]
    elif kind == "swap":
        other = dice.randrange(len(data))
        first, second = sorted((at, other))
        length = min(length, second - first, len(data) - second)
        data[first : first + length], data[second : second + length] = (
            data[second : second + length],
            data[first : first + length],
        )
    elif kind == "head":
        for _ in range(dice.randrange(1, 6)):
            data[dice.randrange(min(len(data), 600))] = dice.randrange(256)
    else:
        data[at : at + length] = bytes(len(data[at : at + length]))
    return bytes(data)


def _work(pipe: Connection) -> None:
    """Read files in a process of its own that may be killed: receive (file, whole file), send an answer."""
    import resource

    import numpy as np

    from pyvmaf.errors import PyvmafError
    from pyvmaf.scoring.score import score
    from pyvmaf.video.probe import inspect

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    while True:
        path, whole = pipe.recv()
        counts: list[int] = []
        said = ""
        try:
            for pair in ((path, path), (whole, path)):
                try:
                    scores = score(*pair)
                except PyvmafError as err:
                    said = str(err)
                else:
                    counts.append(len(scores))
                    if not all(np.isfinite(scores[name]).all() for name in ("vmaf", "adm2", "motion2")):
                        counts.append(-1)
            try:
                counts.append(inspect(path).frames)
            except PyvmafError as err:
                said = str(err)
            pipe.send((counts, said, ""))
        except BaseException as err:
            pipe.send((counts, said, f"{type(err).__name__}: {err}"))


class Checker:
    """Checks damaged files one by one, in a process that it starts again when it was lost."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.videos = whole(folder / "whole")
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=_work, args=(far,), daemon=True)
        self._process.start()
        far.close()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()

    def check(self, mutant: Mutant) -> Answer:
        """Read a damaged file in every way, and compare with FFmpeg's program."""
        path = self._folder / f"damaged-{mutant.name}"
        path.write_bytes(mutant.data)
        self._pipe.send((path, self.videos[mutant.name]))
        try:
            if not self._pipe.poll(LIMIT_S):
                self.close()
                self._start()
                return Answer("hang")
            counts, said, failure = self._pipe.recv()
        except (EOFError, ConnectionError):
            self.close()
            self._start()
            return Answer("crash")
        if failure:
            return Answer("traceback", failure)
        if -1 in counts:
            return Answer("nan")
        if not counts:
            return Answer("refused", said)
        frames, log = decoded(path)
        if log and frames == decoded(self.videos[mutant.name])[0]:
            # Bytes beside the pictures, such as sound or a header that comes again.
            log = ""
        if log or set(counts) != {len(frames)}:
            return Answer("unnoticed", f"{counts} frames, FFmpeg {len(frames)}: {log or said}")
        return Answer("scored")


def decoded(path: Path) -> tuple[list[bytes], str]:
    """Return the check sums of the frames that FFmpeg's program decodes, and the first error that it reports."""
    command = [ffmpeg_program(), "-nostdin", "-v", "error", "-i", f"file:{path}", "-map", "0:v:0"]
    done = subprocess.run(
        [*command, "-fps_mode", "passthrough", "-f", "framecrc", "-"], capture_output=True, timeout=LIMIT_S
    )
    frames = [line.split(b",")[5].strip() for line in done.stdout.splitlines() if not line.startswith(b"#")]
    # Its own writer complains of time stamps. Pictures before the first key frame are left out; that is not damage. Tables
    # of a transport stream that are damaged announce sound where there is none.
    harmless = r"framecrc|muxer|non-existing [PS]PS \d+ referenced|no frame!|Last message repeated|^\[(mp[123]|aac|e?ac3|dca|opus|vorbis|flac)\w* @"
    lines = done.stderr.decode(errors="replace").splitlines()
    errors = [line for line in lines if not re.search(harmless, line)]
    return frames, errors[0] if errors else ""


def main() -> int:
    """Check many damaged files and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    checker = Checker(folder)
    verdicts: collections.Counter[str] = collections.Counter()
    try:
        for number, mutant in enumerate(mutants(checker.videos, options.seed, options.count)):
            answer = checker.check(mutant)
            verdicts[answer.verdict] += 1
            if answer.failed:
                kept = Path(tempfile.gettempdir()) / f"fuzz-{options.seed}-{number}-{mutant.name}"
                kept.write_bytes(mutant.data)
                print(f"{answer.verdict}: {mutant.kind} {kept}: {answer.details[:300]}", flush=True)
    finally:
        checker.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()))
    return int(any(Answer(verdict).failed for verdict in verdicts))


if __name__ == "__main__":
    raise SystemExit(main())
