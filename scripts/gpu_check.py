#!/usr/bin/env python3
"""Compare the kernels of CUDA with those of the processor on this machine's device, and time both.

It needs the extension, NumPy and nothing else of this project's packages, so that it runs on a machine that has only a
device: see scripts/gpu_check.sh, which calls it.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
VERSION = f"python{sys.version_info[0]}.{sys.version_info[1]}"
for _folder in sorted(REPOSITORY.glob(f".venv/lib/{VERSION}/site-packages")):
    sys.path.append(str(_folder))

LIMITS = [100.0, 1.0]
VIEWING = (3.0, 1080, 0.03125, 0)
CONTENTS = ("texture", "noise", "edges", "stripes", "ramp", "grey")
SIZES = ((33, 33), (64, 48), (113, 65), (240, 135), (311, 49), (639, 359), (1280, 720), (1920, 1080), (3840, 2160))
TIMED = ((1280, 720), (1920, 1080), (3840, 2160))
BARS = {"3840x2160 one pair": 600.0, "3840x2160 ladder of 4, per rung": 1000.0}
"""Frames per second on an H100, from memory."""

ALL_EQUAL, DIFFERS, NOT_TRIED, NO_DEVICE = range(4)


def extension() -> Any:
    """Load the extension from this checkout's environment, without the package around it.

    Raises:
        ImportError: it was not built for this Python.
    """
    import numpy  # noqa: F401 (the extension returns its arrays)

    for folder in sys.path:
        for path in sorted(Path(folder or ".").glob("pyvmaf/_native.*.so")):
            spec = importlib.util.spec_from_file_location("pyvmaf._native", path)
            if spec is not None and spec.loader is not None:
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    raise ImportError(f"the extension is not built for {VERSION}")


def plane(kind: str, width: int, height: int, bits: int, seed: int) -> Any:
    """Make a plane of samples."""
    import numpy as np

    rng, peak = np.random.default_rng(seed), 2**bits - 1
    y, x = np.mgrid[:height, :width].astype(np.float32)
    if kind == "texture":
        values = peak * (0.5 + 0.4 * np.sin(x / 5 + seed) * np.cos(y / 9)) + rng.normal(0, peak / 40, x.shape)
    elif kind == "noise":
        values = rng.integers(0, peak + 1, x.shape)
    elif kind == "edges":
        values = rng.integers(0, 2, x.shape) * peak
    elif kind == "stripes":
        values = x // (1 + seed % 3) % 2 * peak
    else:
        values = x * peak // (width - 1) if kind == "ramp" else np.full(x.shape, peak // 2)
    return np.clip(values, 0, peak).astype(np.uint8 if bits == 8 else np.uint16)


class Check:
    """What was found, as text and for the verdict."""

    def __init__(self, native: Any, device: Any, out: Path) -> None:
        """Open the file of raw output."""
        self.native, self.device = native, device
        self.level = native.instruction_sets()[0]
        self.raw = (out / "raw.txt").open("a")
        self.mismatches: list[str] = []
        self.compared = 0
        self.speeds: dict[str, float] = {}
        self.memory: dict[str, int] = {}

    def say(self, text: str) -> None:
        """Print a line, and keep it."""
        print(text, flush=True)
        print(text, file=self.raw, flush=True)

    def ladder(self, width: int, height: int, bits: int, most: int, at_once: int = 3, *, plain: bool = False) -> Any:
        """Open a ladder: of everything, or of what canonical6 needs."""
        limits, additive, motion = ([100.0], False, [1]) if plain else (LIMITS, True, [1, 2])
        return self.native.KernelsLadder(
            self.device, width, height, bits, most, [limits], [(limits, additive, VIEWING)], motion, at_once
        )

    def compare(self, width: int, height: int, bits: int, kinds: tuple[str, ...]) -> None:
        """Compare three frames of a reference with its distorted versions."""
        import numpy as np

        planes = [plane(kind, width, height, bits, i) for i, kind in enumerate(kinds)]
        frames = [(planes[0], planes[1:]), (planes[1], planes[:1]), (planes[2 % len(planes)], planes[:2])]
        most = max(len(distorted) for _, distorted in frames)
        ladder = self.ladder(width, height, bits, most)
        for frame in frames:
            ladder.push(*frame)
        vif = self.native.Vif(width, height, bits, most, LIMITS, self.level)
        adm = self.native.Adm(width, height, bits, most, LIMITS, True, *VIEWING, self.level)
        motion = [self.native.Motion(width, height, bits, distance, self.level) for distance in (1, 2)]
        for index, (reference, distorted) in enumerate(frames):
            own_vif, own_adm, own_motion = ladder.pop()
            same = {
                "vif": np.array_equal(own_vif[0], vif.measure(reference, distorted)),
                "adm": np.array_equal(own_adm[0], adm.measure(reference, distorted)),
                "motion": own_motion == [kernel.measure(reference) for kernel in motion],
            }
            self.compared += len(same)
            for name, equal in same.items():
                if not equal:
                    self.mismatches.append(f"{name} {width}x{height} {bits} bits {'+'.join(kinds)} frame {index}")
                    self.say(f"DIFFERS {self.mismatches[-1]}")

    def equality(self, sizes: tuple[tuple[int, int], ...], until: float) -> None:
        """Compare sizes, bit depths and contents until a time."""
        turns: Iterator[int] = itertools.count()
        for size in sizes:
            for bits in (8, 10, 12):
                if time.monotonic() > until:
                    self.say(f"equality: out of time before {size[0]}x{size[1]} {bits} bits")
                    return
                turn = next(turns)
                kinds = tuple(CONTENTS[(turn + i) % len(CONTENTS)] for i in range(3))
                self.compare(*size, bits, ("texture", *kinds))
        self.say(f"equality: {self.compared} results compared, {len(self.mismatches)} differ")

    def speed(self, name: str, frames: int, seconds: float, work: Callable[[], object]) -> None:
        """Call until `seconds` have passed; each call measures `frames` frames."""
        work()
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            work()
            count += frames
        self.speeds[name] = count / (time.perf_counter() - start)
        self.say(f"{name}: {self.speeds[name]:.1f} frames per second")

    def filled(self, planes: list[Any], versions: int) -> Any:
        """Open a ladder whose places for frames are all filled, so that they can be measured again."""
        height, width = planes[0].shape
        ladder = self.ladder(width, height, 8, versions, 4, plain=True)
        for turn in range(ladder.at_once + 2):
            ladder.push(planes[turn % 5], [planes[(turn + i) % 5] for i in range(1, versions + 1)])
        return ladder

    def timed(self, width: int, height: int, seconds: float) -> None:
        """Time a pair, a ladder and clips side by side on the device, and a pair on the processor."""
        size = f"{width}x{height}"
        planes = [plane("texture", width, height, 8, seed) for seed in range(5)]
        self.timed_frames(size, planes, seconds)
        self.timed_clips(size, planes, seconds)
        self.timed_processor(size, planes, min(seconds, 1.0))
        self.timed_libvmaf(size, planes, seconds)

    def timed_frames(self, size: str, planes: list[Any], seconds: float) -> None:
        """Time one clip: frames in pinned memory, and frames that are copied there first."""
        for name, versions in (("one pair", 1), ("ladder of 4, per rung", 4)):
            ladder = self.filled(planes, versions)
            self.memory[f"{size} {name}"] = ladder.device_memory
            self.speed(f"{size} {name}", 8 * versions, seconds, partial(again, ladder))
        pair = self.filled(planes, 1)
        self.speed(f"{size} one pair, copied from the caller", 1, seconds, partial(push, pair, planes[0], planes[1]))

    def timed_clips(self, size: str, planes: list[Any], seconds: float) -> None:
        """Time eight clips, a thread each."""
        clips = [self.filled(planes, 1) for _ in range(8)]
        self.memory[f"{size} 8 clips"] = sum(clip.device_memory for clip in clips)

        def together() -> None:
            threads = [threading.Thread(target=again, args=(clip,)) for clip in clips]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        self.speed(f"{size} 8 clips", 64, seconds, together)

    def timed_processor(self, size: str, planes: list[Any], seconds: float) -> None:
        """Time one thread of the processor."""
        height, width = planes[0].shape
        vif = self.native.Vif(width, height, 8, 1, [100.0], self.level)
        adm = self.native.Adm(width, height, 8, 1, [100.0], False, *VIEWING, self.level)
        motion = self.native.Motion(width, height, 8, 1, self.level)

        def measure() -> None:
            vif.measure(planes[0], planes[1:2])
            adm.measure(planes[0], planes[1:2])
            motion.measure(planes[0])

        self.speed(f"{size} one pair, one thread of the processor ({self.level})", 1, seconds, measure)

    def timed_libvmaf(self, size: str, planes: list[Any], seconds: float) -> None:
        """Time libvmaf's own CUDA path, if the build has it."""
        if not self.native.build_info().get("cuda"):
            return
        height, width = planes[0].shape
        context = self.native.Context(width, height, "400", 8, cuda_device=self.device.uuid)
        for name in ("vif_cuda", "adm_cuda", "motion_cuda"):
            context.use_feature(name, {})
        index = itertools.count()

        def read() -> None:
            turn = next(index)
            context.read([planes[turn % 5]], [planes[(turn + 1) % 5]], turn)

        try:
            self.speed(f"{size} one pair, libvmaf-cuda", 1, seconds, read)
            context.flush()
        finally:
            context.close()


def again(ladder: Any) -> None:
    """Measure eight frames again."""
    for _ in range(8):
        ladder.push_again()
        while ladder.pending > ladder.at_once:
            ladder.pop()


def push(ladder: Any, reference: Any, distorted: Any) -> None:
    """Measure a pair from the caller's memory."""
    ladder.push(reference, [distorted])
    while ladder.pending > ladder.at_once:
        ladder.pop()


def sanitized(out: Path, arguments: list[str], say: Callable[[str], None]) -> bool | None:
    """Run the comparison of small frames under compute-sanitizer; None if the machine does not have it."""
    tool = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    if tool is None:
        say("compute-sanitizer: not on this machine")
        return None
    clean = True
    for kind in ("memcheck", "racecheck", "synccheck"):
        command = [tool, f"--tool={kind}", "--error-exitcode=9", sys.executable, __file__, "--quick", *arguments]
        try:
            run = subprocess.run(
                [*command, "--out", str(out / kind)], capture_output=True, text=True, timeout=25, check=False
            )
        except subprocess.TimeoutExpired:
            say(f"compute-sanitizer {kind}: not finished in 25 s")
            continue
        (out / f"{kind}.txt").write_text(run.stdout + run.stderr)
        say(f"compute-sanitizer {kind}: status {run.returncode}")
        clean = clean and run.returncode == 0
    return clean


def facts() -> str:
    """Return what the machine says about its devices."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "nvidia-smi: not on this machine"
    run = subprocess.run([tool], capture_output=True, text=True, timeout=20, check=False)
    return run.stdout + run.stderr


def verdict(out: Path, status: int, words: dict[str, Any]) -> int:
    """Write the verdict and return the exit status."""
    text = ("equal", "differs", "not tried", "no device")[status]
    (out / "verdict.json").write_text(json.dumps({"verdict": text, **words}, indent=2, sort_keys=True) + "\n")
    print(f"gpu_check: {text}" + (f": {words['reason']}" if "reason" in words else "") + f" ({out / 'verdict.json'})")
    return status


def main() -> int:
    """Return the exit status that scripts/gpu_check.sh explains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build" / "gpu-check")
    parser.add_argument("--image", type=Path, help="compiled kernels; by default those of the extension")
    parser.add_argument("--device", type=int, default=0, help="index of the device")
    parser.add_argument("--quick", action="store_true", help="compare small frames only")
    parser.add_argument("--can-run", action="store_true", help="only tell whether this Python can run it")
    options = parser.parse_args()
    started = time.monotonic()
    try:
        native = extension()
    except ImportError as error:
        print(f"gpu_check: {error}", file=sys.stderr)
        return NOT_TRIED
    if options.can_run:
        return ALL_EQUAL
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    (out / "raw.txt").write_text(f"{platform.platform()}, {os.cpu_count()} processors, {VERSION}\n{facts()}\n")
    image = options.image.read_bytes() if options.image else native.kernels_image()
    if not image:
        return verdict(
            out, NO_DEVICE, {"reason": "this build has no kernels for devices: make setup CUDA=1, or give --image"}
        )
    try:
        device = native.KernelsDevice(options.device, image)
    except native.CudaError as error:
        if error.kind in ("call", "memory"):
            raise
        return verdict(out, NO_DEVICE, {"reason": str(error)})
    check = Check(native, device, out)
    words: dict[str, Any] = {
        "device": device.name,
        "uuid": device.uuid,
        "capability": list(device.capability),
        "driver": device.driver_version,
    }
    check.say(json.dumps(words))
    free = device.memory()[0]
    sanitizer: bool | None = None
    try:
        if options.quick:
            check.equality(SIZES[:4], started + 200)
        else:
            check.equality(SIZES, started + 60)
            arguments = ["--device", str(options.device)] + (["--image", str(options.image)] if options.image else [])
            sanitizer = sanitized(out, arguments, check.say)
            for size in TIMED:
                if time.monotonic() < started + 180:
                    check.timed(*size, seconds=2.0)
    except native.CudaError as error:
        check.say(f"error: {error}")
        check.mismatches.append(str(error))
    try:
        lost: int | None = free - device.memory()[0]
        check.say(f"memory of the device that is not free again: {lost} bytes")
    except native.CudaError as error:
        lost = None
        check.mismatches.append(str(error))
    words |= {
        "compared": check.compared,
        "mismatches": check.mismatches,
        "sanitizer_clean": sanitizer,
        "frames_per_second": check.speeds,
        "device_memory": check.memory,
        "memory_not_freed": lost,
        "bars": {name: [check.speeds.get(name), bar, check.speeds.get(name, 0.0) >= bar] for name, bar in BARS.items()},
        "seconds": round(time.monotonic() - started, 1),
    }
    return verdict(out, DIFFERS if check.mismatches or sanitizer is False else ALL_EQUAL, words)


if __name__ == "__main__":
    sys.exit(main())
