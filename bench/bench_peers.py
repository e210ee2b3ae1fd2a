"""Our side of the table of peers (docs/peers.md): each job is run by the command `score`, and its figure is printed.

The inputs are made of a clip of the folder of development data: 60 frames of 640x360, and what each job needs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.clips import make

CLIP = Path(__file__).parents[1] / ".." / "shared" / "data" / "clips" / "dog_park.mkv"
X264 = ("-c:v", "libx264", "-preset", "medium", "-pix_fmt", "yuv420p")
TFF = ("-vf", "tinterlace=mode=interleave_top,setfield=tff", "-flags", "+ildct+ilme", "-x264-params", "tff=1")

FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "ref.mkv": ("", ("-vf", "scale=640:360,setsar=1", "-frames:v", "60", *X264, "-qp", "0")),
    "d35.mp4": ("ref.mkv", (*X264, "-crf", "35")),
    "d30.mp4": ("ref.mkv", (*X264, "-crf", "30")),
    "small.mp4": ("ref.mkv", ("-vf", "scale=320:180:flags=bicubic", *X264, "-crf", "25")),
    "wide.mp4": ("ref.mkv", ("-vf", "crop=640:272", *X264, "-crf", "30")),
    "late3.mp4": ("ref.mkv", ("-vf", "trim=start_frame=3,setpts=PTS-STARTPTS", *X264, "-crf", "30")),
    "half.mp4": ("ref.mkv", ("-vf", "fps=fps=source_fps/2", *X264, "-crf", "30")),
    "short.mp4": ("ref.mkv", ("-frames:v", "40", *X264, "-crf", "30")),
    "refi.mkv": ("ref.mkv", (*TFF, *X264, "-qp", "0")),
    "dip.mp4": ("refi.mkv", ("-vf", "yadif", *X264, "-crf", "30")),
    "ref10.mkv": ("ref.mkv", ("-pix_fmt", "yuv420p10le", "-c:v", "ffv1")),
    "picture.png": (
        "ref.mkv",
        (
            "-frames:v",
            "1",
        ),
    ),
    "picture35.png": (
        "d35.mp4",
        (
            "-frames:v",
            "1",
        ),
    ),
}
JOBS: tuple[tuple[str, str], ...] = (
    ("1 a pair", "ref.mkv d35.mp4"),
    ("1 at 1080p", "ref.mkv d35.mp4 --display hd"),
    ("2 libvmaf's log", "ref.mkv d35.mp4 -o log.xml"),
    ("2 standard output", "ref.mkv d35.mp4 -o -"),
    ("3 other size", "ref.mkv small.mp4 --scale reference"),
    ("3b other aspect", "ref.mkv wide.mp4 --scale reference"),
    ("3b cropped", "ref.mkv wide.mp4 --crop reference=640x272"),
    ("4b 8 against 10 bits", "ref10.mkv d35.mp4 --match-depth"),
    ("4c 8 bits at 10, v1", "ref.mkv d35.mp4 -m v1 --bit-depth 10"),
    ("5 offset given", "ref.mkv late3.mp4 --offset 3"),
    ("5 offset found", "ref.mkv late3.mp4 --sync"),
    ("5b half the rate", "ref.mkv half.mp4 --fps nearest"),
    ("5d shorter", "ref.mkv short.mp4 --shortest"),
    ("6 interlaced", "refi.mkv dip.mp4 --deinterlace auto:yadif"),
    ("7 four models", "ref.mkv d30.mp4 -m v0.6 -m neg -m v1 -m phone"),
    ("8 several", "ref.mkv d30.mp4 d35.mp4"),
    ("10 page", "ref.mkv d35.mp4 --report page.html"),
    ("10 heat maps", "ref.mkv d35.mp4 --heatmap maps"),
    ("images", "picture.png picture35.png"),
    ("XPSNR, MSAD, SSIM, PSNR, VIF", "ref.mkv d35.mp4 --features xpsnr_y,msad_y,float_ssim,psnr_y,vif_scale0 --pool std"),
    ("no video", "ref.mkv log.xml"),
    ("address", "ref.mkv https://localhost/a.mp4"),
)  # fmt: skip


def make_files(folder: Path) -> None:
    """Make the inputs of all jobs in a folder."""
    for name, (source, words) in FILES.items():
        make(folder / name, "-i", str(folder / source if source else CLIP.resolve()), "-an", *words)


def answers(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Run the jobs; yield the name of each, its command line, and the figures and lines that it printed."""
    for what, line in JOBS:
        words = [sys.executable, "-m", "pyvmaf", "score", *line.split()]
        quiet = [] if any(option in line for option in (" -o ", "--features", "-m v0.6", "--sync")) else ["--quiet"]
        done = subprocess.run([*words, *quiet], cwd=folder, capture_output=True, text=True, check=False)
        if "--features" in line or "-m v0.6" in line:
            lines = [" ".join(row.split()[:2]) for row in done.stdout.splitlines() if row.strip()[-1:].isdigit()]
        else:
            lines = [] if " -o " in line or "--sync" in line else done.stdout.splitlines()
        said = [row[:160] for row in done.stderr.splitlines() if row.startswith(("error", "warning", "failed"))]
        said += [row[:160] for row in done.stderr.splitlines() if "offset of" in row]
        yield what, line, "; ".join([*lines[:9], *said, *([] if not done.returncode else [f"exit {done.returncode}"])])


def main() -> bool:
    """Print what each job gives."""
    if not CLIP.exists():
        print("peers: no folder ../shared/data/clips beside this checkout, nothing is run")
        return True
    with tempfile.TemporaryDirectory() as name:
        make_files(Path(name))
        for what, line, answer in answers(Path(name)):
            print(f"{what:30} score {line}\n    {answer}")
    return True


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
