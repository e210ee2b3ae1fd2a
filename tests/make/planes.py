"""Planes of samples of several kinds: what kernels are compared on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8] | NDArray[np.uint16]

CONTENTS = ("texture", "noise", "black and white", "stripes", "grey", "white", "ramp")


def content(kind: str, width: int, height: int, bits: int, seed: int) -> Plane:
    """Make a plane of one of `CONTENTS`."""
    rng, peak = np.random.default_rng(seed), 2**bits - 1
    y, x = np.mgrid[:height, :width]
    made: dict[str, Callable[[], NDArray[Any]]] = {
        "texture": lambda: np.asarray(
            peak * (0.5 + 0.4 * np.sin(x / 5 + seed) * np.cos(y / 9)) + rng.normal(0, peak / 40, x.shape)
        ),
        "noise": lambda: rng.integers(0, peak + 1, x.shape),
        "black and white": lambda: rng.integers(0, 2, x.shape) * peak,
        "stripes": lambda: x // (1 + seed % 3) % 2 * peak,
        "grey": lambda: np.full(x.shape, peak // 2),
        "white": lambda: np.full(x.shape, peak),
        "ramp": lambda: x * peak // (width - 1),
    }
    values = np.clip(made[kind](), 0, peak)
    return np.asarray(values, np.uint8) if bits == 8 else np.asarray(values, np.uint16)
