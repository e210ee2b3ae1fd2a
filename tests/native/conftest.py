"""Frames for the tests of the native core: moving texture, since flat or purely random frames hide differences."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pyvmaf.engines.libvmaf import build

Plane = NDArray[np.uint8] | NDArray[np.uint16]
Pair = tuple[list[Plane], list[Plane]]
Clip = list[Pair]


def chroma_size(width: int, height: int, pix_fmt: str) -> tuple[int, int]:
    """Return the chroma size, rounded up as FFmpeg does."""
    if pix_fmt == "400":
        return 0, 0
    return (width if pix_fmt == "444" else -(-width // 2)), (-(-height // 2) if pix_fmt == "420" else height)


def _plane(rng: np.random.Generator, width: int, height: int, shift: float, bits: int) -> NDArray[np.float64]:
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    wave = np.sin((x + shift) / 7.0) * np.cos((y - shift / 2) / 5.0) + 0.5 * np.sin((x * y) / 900.0 + shift / 9.0)
    texture = rng.normal(0.0, 0.08, (height, width))
    peak = (1 << bits) - 1
    return np.asarray((0.5 + 0.28 * wave + texture) * peak)


def _samples(plane: NDArray[np.float64], bits: int) -> Plane:
    clipped = np.clip(plane, 0, (1 << bits) - 1)
    return clipped.astype(np.uint16) if bits > 8 else clipped.astype(np.uint8)


def make_clip(
    frames: int, width: int = 96, height: int = 64, pix_fmt: str = "420", bits: int = 8, seed: int = 7
) -> Clip:
    """Make pairs of a moving pattern and its quantised, noisy copy."""
    rng = np.random.default_rng(seed)
    peak = (1 << bits) - 1
    chroma = chroma_size(width, height, pix_fmt)
    sizes = [(width, height)] + ([] if pix_fmt == "400" else [chroma, chroma])
    clip: Clip = []
    for index in range(frames):
        reference: list[Plane] = []
        distorted: list[Plane] = []
        for w, h in sizes:
            plane = _plane(rng, w, h, 3.0 * index, bits)
            step = peak / 24
            damaged = np.round(plane / step) * step + rng.normal(0.0, peak / 80, plane.shape)
            reference.append(_samples(plane, bits))
            distorted.append(_samples(damaged, bits))
        clip.append((reference, distorted))
    return clip


@pytest.fixture(scope="session")
def clip() -> Callable[..., Clip]:
    return make_clip


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of pairs with reports of libvmaf's own tool."""
    shared = os.environ.get("PYVMAF_SHARED")
    folder = (Path(shared) if shared else Path(__file__).parents[3] / "shared") / "data" / "golden"
    if not (folder / "index.tsv").is_file():
        pytest.skip(f"no golden values at {folder}")
    return folder


@pytest.fixture
def plain_c() -> Iterator[None]:
    """Let libvmaf use no vector code: its C is the definition of right."""
    build.set_cpu_mask(2**64 - 1)
    yield
    build.set_cpu_mask(0)
