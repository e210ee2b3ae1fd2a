"""Which instruction set the kernels use here: the fastest one whose results equal libvmaf's on this machine."""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING

from pyvmaf.engines.libvmaf.build import native
from pyvmaf.engines.libvmaf.context import Context

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8] | NDArray[np.uint16]

GAIN_LIMITS = (100.0, 1.0)
"""Limits of the enhancement gain that are tried: libvmaf's default, and that of the NEG models."""

WIDTH, HEIGHT = 109, 65
"""Size of the golden frames."""

_ADM_SCALES = tuple(f"adm_scale{scale}" for scale in range(4))


@cache
def instruction_set() -> str | None:
    """Return the instruction set to use; None if libvmaf has to compute, which a warning then says.

    A fault of a processor, a compiler or a mathematical library shows here, before a wrong number exists: each
    instruction set has to give all logarithms of plain C++, and libvmaf's scores of frames with detail, noise and clipped
    samples, at 8 and 10 bits.
    """
    names: list[str] = native().instruction_sets()
    for name in names:
        if native().logarithms_agree(name) and all(_frame_agrees(name, bits) for bits in (8, 10)):
            return name
        warnings.warn(
            f"the kernels for {name} differ from libvmaf on this machine and are not used: please report it with what "
            "pyvmaf.engine() returns",
            RuntimeWarning,
            stacklevel=2,
        )
    return None


def _frame_agrees(name: str, bits: int) -> bool:
    reference, distorted = golden_frames(bits)
    return (
        _adm_agrees(name, bits, reference, distorted)
        and _vif_agrees(name, bits, reference, distorted)
        and _motion_agrees(name, bits, [reference, distorted])
    )


def golden_frames(bits: int) -> tuple[Plane, Plane]:
    """Return a frame with detail and clipped samples, and the same with noise."""
    import numpy as np

    peak = 2**bits - 1
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    # A linear congruential sequence: the same noise with every version of NumPy.
    noise = (np.arange(y.size, dtype=np.uint64) * 2862933555777941757 + 3037000493 >> np.uint64(40)) % 61
    detail = peak * (0.5 + 0.7 * np.sin(x / 5.0) * np.cos(y / 7.0))
    sample = np.uint8 if bits == 8 else np.uint16
    reference = np.clip(detail, 0, peak).astype(sample)
    distorted = np.clip(detail + peak / 255 * (noise.reshape(y.shape).astype(float) - 30), 0, peak).astype(sample)
    return reference, distorted


def _adm_agrees(name: str, bits: int, reference: Plane, distorted: Plane) -> bool:
    kernel = native().Adm(WIDTH, HEIGHT, bits, 1, list(GAIN_LIMITS), True, 3.0, 1080, 0.03125, 0, name)
    for limit, parts in zip(GAIN_LIMITS, kernel.measure(reference, [distorted])[0].astype(float), strict=True):
        with Context(WIDTH, HEIGHT, "400", bits) as context:
            context.use_feature("adm", {} if limit == GAIN_LIMITS[0] else {"adm_enhn_gain_limit": limit})
            context.read([reference], [distorted], 0)
            context.flush()
            scores = {key: context.feature_scores(key, [0])[0] for key in context.keys}
        detail, whole, additive = parts.sum(axis=0)
        found = [detail / whole, additive / whole, *(parts[:, 0] / parts[:, 1])]
        expected = [next(scores[key] for key in scores if part in key) for part in ("adm2", "aim", *_ADM_SCALES)]
        if found != expected:
            return False
    return True


def _vif_agrees(name: str, bits: int, reference: Plane, distorted: Plane) -> bool:
    import numpy as np

    ratios = native().Vif(WIDTH, HEIGHT, bits, 1, list(GAIN_LIMITS), name).measure(reference, [distorted])[0]
    for limit, (numerators, denominators) in zip(GAIN_LIMITS, np.moveaxis(ratios, -1, 1), strict=True):
        with Context(WIDTH, HEIGHT, "400", bits) as context:
            context.use_feature("vif", {} if limit == GAIN_LIMITS[0] else {"vif_enhn_gain_limit": limit})
            context.read([reference], [distorted], 0)
            context.flush()
            expected = [context.feature_scores(key, [0])[0] for key in context.keys]
        if not np.array_equal(numerators / denominators, np.asarray(expected, dtype=np.float32)):
            return False
    return True


def _motion_agrees(name: str, bits: int, frames: list[Plane]) -> bool:
    kernel = native().Motion(WIDTH, HEIGHT, bits, 1, name)
    sums = [kernel.measure(frame) for frame in frames]
    with Context(WIDTH, HEIGHT, "400", bits) as context:
        context.use_feature("motion")
        for index, frame in enumerate(frames):
            context.read([frame], None, index)
        context.flush()
        expected = context.feature_scores("VMAF_integer_feature_motion_sad_score", [0, 1])
    return bool((expected == [value / 256.0 / (WIDTH * HEIGHT) for value in sums]).all())
