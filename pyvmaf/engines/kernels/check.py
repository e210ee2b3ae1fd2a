"""Which instruction set the kernels use here: the fastest one whose results equal libvmaf's on this machine."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from pyvmaf.engines.libvmaf.build import native
from pyvmaf.engines.libvmaf.context import Context

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pyvmaf.engines.protocol import Request
    from pyvmaf.video.format import Format

    Plane = NDArray[np.uint8] | NDArray[np.uint16]

GAIN_LIMITS = (100.0, 1.0)
"""Limits of the enhancement gain that are tried: libvmaf's default, and that of the NEG models."""

WIDTH, HEIGHT = 109, 65
"""Size of the golden frames."""

_ADM_SCALES = tuple(f"adm_scale{scale}" for scale in range(4))


class Check(NamedTuple):
    """A kernel that has to give libvmaf's scores of the golden frames.

    Attributes:
        extractor: "adm", "vif" or "motion".
        bits: per sample of the frames.
        gain_limit: of `GAIN_LIMITS`; the first one for motion, which has none.
    """

    extractor: str
    bits: int = 8
    gain_limit: float = GAIN_LIMITS[0]


EVERY: frozenset[Check] = frozenset(
    Check(extractor, bits, limit)
    for extractor in ("adm", "vif", "motion")
    for bits in (8, 10)
    for limit in (GAIN_LIMITS if extractor != "motion" else GAIN_LIMITS[:1])
)
"""All that is checked of an instruction set."""


def checks_of(requests: Iterable[Request], form: Format) -> frozenset[Check]:
    """Return the checks of the kernels behind requests on frames of a format; others need none."""
    bits = 8 if form.bit_depth == 8 else 10
    checks = set()
    for request in requests:
        limit = dict(request.options).get(f"{request.extractor}_enhn_gain_limit", f"{GAIN_LIMITS[0]:g}")
        checks.add(Check(request.extractor, bits, GAIN_LIMITS[float(limit) != GAIN_LIMITS[0]]))
    return EVERY & checks


@cache
def instruction_set(checks: frozenset[Check] = EVERY) -> str | None:
    """Return the instruction set to use; None if libvmaf has to compute, which a warning then says.

    A fault of a processor, a compiler or a mathematical library shows here, before a wrong number exists: an
    instruction set has to give all logarithms of plain C++, and with the kernels that are used libvmaf's scores of frames with
    detail, noise and clipped samples.

    Args:
        checks: the kernels that are about to be used. Each is checked once.
    """
    names: list[str] = native().instruction_sets()
    for name in names:
        if _logarithms_agree(name) and all(_agrees(name, check) for check in sorted(checks)):
            return name
        warnings.warn(
            f"the kernels for {name} differ from libvmaf on this machine and are not used: please report it with what "
            "pyvmaf.engine() returns",
            RuntimeWarning,
            stacklevel=2,
        )
    return None


@cache
def _logarithms_agree(name: str) -> bool:
    return bool(native().logarithms_agree(name))


@cache
def _agrees(name: str, check: Check) -> bool:
    reference, distorted = golden_frames(check.bits)
    if check.extractor == "motion":
        return _motion_agrees(name, check.bits, [reference, distorted])
    compare = _adm_agrees if check.extractor == "adm" else _vif_agrees
    return compare(name, check, reference, distorted)


@cache
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


def _adm_agrees(name: str, check: Check, reference: Plane, distorted: Plane) -> bool:
    limit = check.gain_limit
    kernel = native().Adm(WIDTH, HEIGHT, check.bits, 1, [limit], True, 3.0, 1080, 0.03125, 0, name)
    parts = kernel.measure(reference, [distorted])[0][0].astype(float)
    with Context(WIDTH, HEIGHT, "400", check.bits) as context:
        context.use_feature("adm", {} if limit == GAIN_LIMITS[0] else {"adm_enhn_gain_limit": limit})
        context.read([reference], [distorted], 0)
        context.flush()
        scores = {key: context.feature_scores(key, [0])[0] for key in context.keys}
    detail, whole, additive = parts.sum(axis=0)
    found = [detail / whole, additive / whole, *(parts[:, 0] / parts[:, 1])]
    return found == [next(scores[key] for key in scores if part in key) for part in ("adm2", "aim", *_ADM_SCALES)]


def _vif_agrees(name: str, check: Check, reference: Plane, distorted: Plane) -> bool:
    import numpy as np

    limit = check.gain_limit
    ratios = native().Vif(WIDTH, HEIGHT, check.bits, 1, [limit], name).measure(reference, [distorted])[0]
    ((numerators, denominators),) = np.moveaxis(ratios, -1, 1)
    with Context(WIDTH, HEIGHT, "400", check.bits) as context:
        context.use_feature("vif", {} if limit == GAIN_LIMITS[0] else {"vif_enhn_gain_limit": limit})
        context.read([reference], [distorted], 0)
        context.flush()
        expected = [context.feature_scores(key, [0])[0] for key in context.keys]
    return np.array_equal(numerators / denominators, np.asarray(expected, dtype=np.float32))


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
