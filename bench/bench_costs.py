"""Cost of a frame of 1080p in processor time and storage: the figures of docs/scale.md, without a bar.

The clips are real ones, enlarged to 1920x1080: the pinned film and, if ../shared/data/clips lies beside the checkout,
natural ones. Processor time is that of the verbs that the workflow calls, less their time for a clip of one frame. That
time is printed separately: a job costs it before its first frame.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.clips import ffmpeg, film

CLIPS = Path(__file__).parents[2] / "shared" / "data" / "clips"
NATURAL = {"tree": ("red_tree.mkv", 30), "crowd": ("crowd_run_720p10.264", 10)}
"""Files and how many frames of them."""
FILM_FRAMES = 30
HOURS, RATE = 1_000, 25
VERB = (sys.executable, "-m", "pyvmaf")


def _spent(*command: str | Path) -> float:
    """Processor seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _enlarged(source: Path, target: Path, frames: int) -> None:
    words = ["-v", "error", "-y", "-i", source, "-frames:v", frames, "-an", "-threads", 1]
    words += ["-vf", "scale=1920:1080:flags=lanczos,format=yuv420p", "-c:v", "libx264", "-qp", 0, target]
    subprocess.run([ffmpeg(), *map(str, words)], check=True)


def _encoded(reference: Path, folder: Path, codec: str, crfs: tuple[int, ...], preset: str) -> tuple[float, list[str]]:
    """Encode a ladder; return processor seconds, and the rungs as `extract-features` takes them."""
    seconds, rungs = 0.0, []
    for crf in crfs:
        target = folder / f"{preset}-crf{crf}.mkv"
        own = ("--codec", codec, "--preset", preset, "--encoder-threads", "1", "--crf", str(crf))
        seconds += _spent(*VERB, "encode", reference, target, *own)
        rungs.append(f"{target.stem}={target}")
    return seconds, rungs


def _extracted(reference: Path, folder: Path, rungs: list[str]) -> float:
    labels = [word for name in ("--corpus", "--clip", "--codec", "--source", "--group") for word in (name, "costs")]
    own: list[str | Path] = ["--reference", reference, *labels, "--cache", folder / "cache", "--match-depth"]
    return _spent(*VERB, "extract-features", *own, "--output", folder / "features.parquet", *rungs)


def _ladder(folder: Path, clip: str, codec: str, frames: int) -> dict[str, float]:
    """Cost of one ladder of the default run, summed over its rungs."""
    from pyvmaf.workflow.config import Config

    ladder = Config().ladders[codec]
    (preset,) = ladder.presets
    encodes, reference = folder / clip / str(frames) / codec, folder / f"{clip}-{frames}.mkv"
    encode, rungs = _encoded(reference, encodes, codec, tuple(ladder.crfs), str(preset))
    size = sum(path.stat().st_size for path in encodes.glob("*.mkv"))
    return {"rungs": len(rungs), "encode": encode, "extract": _extracted(reference, encodes, rungs), "bytes": size}


def _rows(folder: Path) -> dict[str, float]:
    """Bytes per frame and rung of the files that do not grow with the size of pictures."""
    import pyarrow.parquet as pq

    from pyvmaf.workflow.config import Config

    reference, encodes = folder / "small.mkv", folder / "rows"
    words = ["-v", "error", "-y", "-i", film(), "-an", "-vf", "scale=320:180", "-c:v", "libx264", "-qp", 0, reference]
    subprocess.run([ffmpeg(), *map(str, words)], check=True)
    _, rungs = _encoded(reference, encodes, "libx264", tuple(Config().ladders["libx264"].crfs), "ultrafast")
    _extracted(reference, encodes, rungs)
    rows = pq.read_metadata(encodes / "features.parquet").num_rows
    return {
        "feature table": (encodes / "features.parquet").stat().st_size / rows,
        "cache": _size(encodes / "cache") / rows,
    }


def main() -> bool:
    """Print the figures per frame and those of 1,000 hours."""
    from pyvmaf.workflow.config import Config

    sources = {"film": (film(), FILM_FRAMES)}
    sources |= {name: (CLIPS / file, n) for name, (file, n) in NATURAL.items() if (CLIPS / file).is_file()}
    print(
        f"costs of 1920x1080: {', '.join(f'{n} frames of {name}' for name, (_, n) in sources.items())}; a thread per job"
    )
    if len(sources) == 1:
        print("  without natural clips: ../shared/data/clips does not lie beside the checkout")
    codecs = Config().codecs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for clip, (source, n) in sources.items():
            for frames in (1, n):
                _enlarged(source, folder / f"{clip}-{frames}.mkv", frames)
        lossless = statistics.mean((folder / f"{clip}-{n}.mkv").stat().st_size / n for clip, (_, n) in sources.items())
        print(f"  lossless reference: {lossless / 1e3:.0f} kB per frame")
        rows = _rows(folder)
        total = {"encode": 0.0, "extract": 0.0, "bytes": 0.0, "rungs": 0.0}
        for codec in codecs:
            start = _ladder(folder, next(iter(sources)), codec, 1)
            per_frame = []
            for clip, (_, n) in sources.items():
                ladder = _ladder(folder, clip, codec, n)
                cost = {key: max(0.0, ladder[key] - start[key]) / (n - 1) for key in ("encode", "extract")}
                per_frame.append(cost | {"bytes": ladder["bytes"] / n, "rungs": ladder["rungs"]})
            frame = {key: statistics.mean(costs[key] for costs in per_frame) for key in per_frame[0]}
            print(
                f"  {codec}: a frame in {frame['rungs']:.0f} rungs: encodes {frame['encode']:.2f} s and"
                f" {frame['bytes'] / 1e3:.1f} kB, extraction {frame['extract']:.2f} s; a job before its first frame:"
                f" encode {start['encode'] / start['rungs']:.1f} s, extraction {start['extract']:.1f} s"
            )
            total = {key: value + frame[key] for key, value in total.items()}
        print("  a frame of a rung: " + ", ".join(f"{what} {size:.0f} B" for what, size in rows.items()))
    frames = HOURS * 3600 * RATE
    print(f"  {HOURS:,} hours at {RATE} frames per second are {frames / 1e6:.0f} million frames:")
    for key in ("encode", "extract"):
        print(f"    {key}: {total[key] * frames / 3600:,.0f} CPU hours")
    sizes = {"lossless references": lossless, "encodes": total["bytes"]}
    sizes |= {what: size * total["rungs"] for what, size in rows.items()}
    for what, size in sizes.items():
        print(f"    {what}: {size * frames / 1e12:.2f} TB")
    print(f"    rows of the training table: {total['rungs'] * frames / 1e9:.1f} thousand million")
    # Per clip: one preparation, its encodes, and one extraction per codec.
    jobs = 1 + int(total["rungs"]) + len(codecs)
    for minutes in (60, 10, 1):
        clips = HOURS * 60 // minutes
        print(f"    in clips of {minutes} min: {clips:,} clips, {clips * jobs:,} jobs")
    return True


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
