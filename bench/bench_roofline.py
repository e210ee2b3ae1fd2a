"""How near the kernels come to what the machine can do: multiply-adds and bytes per pixel, and shares of the peaks.

The peaks are measured beside them by `roofline.cpp`, which is compiled here: multiply-adds of 16-bit lanes with AVX2, and
bytes that one thread reads from memory. Multiply-adds are counted from the windows (they are those of the filters alone:
logarithms, divisions and ratios come on top); bytes are those that have to be read once, the samples of the frames.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from bench.bench_kernels import SIZES, Case, compare
from bench.clips import CACHE
from pyvmaf.engines.libvmaf.build import native

_SOURCE = Path(__file__).with_name("roofline.cpp")
_TAPS = (17, 9, 5, 3)
_WAVELET_TAPS = 4


def vif_counts(bits: int) -> tuple[float, float]:
    """Return multiply-adds of VIF per sample of a frame: once per reference, and once more per distorted version.

    At each scale, a mean, an energy and, per version, a product with the reference pass the window vertically and
    horizontally. A value of 32 bits costs two multiply-adds per tap: the products, except vertically those of 8-bit
    samples. The picture of the next scale costs that scale's window on half of the lines, then on a quarter of the samples.
    """
    reference = distorted = 0.0
    for scale, taps in enumerate(_TAPS):
        mean, product = 2 * taps, (1 if scale == 0 and bits == 8 else 2) * taps + 2 * taps
        below = _TAPS[scale + 1] * 0.75 if scale + 1 < len(_TAPS) else 0.0
        reference += (mean + product + below) / 4**scale
        distorted += (mean + 2 * product + below) / 4**scale
    return reference, distorted


def adm_counts() -> tuple[float, float]:
    """Return multiply-adds of ADM's four wavelets, which each frame passes vertically and horizontally."""
    passes = sum(2 * _WAVELET_TAPS / 4**scale for scale in range(4))
    return passes, passes


def _peaks() -> tuple[float, float]:
    compiler = shutil.which("clang++") or shutil.which("c++")
    if compiler is None:
        raise SystemExit("error: roofline needs a C++ compiler")
    program = CACHE / "roofline"
    program.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([compiler, "-std=c++17", "-O2", "-mavx2", str(_SOURCE), "-o", str(program)], check=True)
    adds, read = subprocess.check_output([str(program)], text=True).split()
    return float(adds), float(read)


def main() -> bool:
    """Print the shares; there is no bar."""
    if "avx2" not in native().instruction_sets():
        print("roofline: no AVX2 on this machine, nothing to measure")
        return True
    adds, read = _peaks()
    print(f"roofline: one thread does {adds / 1e9:.1f} G multiply-adds and reads {read / 1e9:.1f} GB a second")
    for width, height in SIZES:
        for case in (Case("VIF", 1, 8), Case("VIF", 4, 8), Case("VIF", 4, 10), Case("ADM", 1, 8), Case("ADM", 4, 8)):
            own, _ = compare(case, width, height, "avx2")
            once, each = vif_counts(case.bits) if case.what == "VIF" else adm_counts()
            per_pixel = once / case.rungs + each
            size = (1 / case.rungs + 1) * (1 if case.bits == 8 else 2)
            pixels = width * height / own * 1e3
            print(
                f"  {case.what}, {width}x{height}, {case.bits} bits, rungs {case.rungs}: {own:.1f} ms per rung, "
                f"{per_pixel:.0f} multiply-adds per pixel, {per_pixel * pixels / adds:.0%} of the peak; "
                f"{size:.2f} bytes per pixel, {size * pixels / read:.1%} of what memory gives"
            )
    return True


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
