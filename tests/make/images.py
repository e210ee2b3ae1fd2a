"""Small images in files, and small sets of them with masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def save(path: Path, pixels: NDArray[np.uint8]) -> Path:
    """Write a gray or RGB picture as PNG."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    codec, name = ("png", "gray" if pixels.ndim == 2 else "rgb24")
    with av.open(str(path), "w", format="image2") as container:
        stream: Any = container.add_stream(codec)
        stream.width, stream.height, stream.pix_fmt = pixels.shape[1], pixels.shape[0], name
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format=name)))
        container.mux(stream.encode())
    return path


def blob(seed: int, side: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw a bright ellipse on a dark, noisy ground: the picture [side, side, 3] and its mask [side, side]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    centre, radius = rng.uniform(0.3, 0.7, 2), rng.uniform(0.15, 0.3, 2)
    inside = ((y - centre[0]) / radius[0]) ** 2 + ((x - centre[1]) / radius[1]) ** 2 < 1
    ground, light = rng.uniform(20, 90, 3), rng.uniform(150, 230, 3)
    picture = np.where(inside[..., None], light, ground) + rng.normal(0, 12, (side, side, 3))
    return np.clip(picture, 0, 255).astype(np.uint8), np.where(inside, 255, 0).astype(np.uint8)


def duts(folder: Path, n: int, side: int, first: int = 0) -> Path:
    """Write pictures of ellipses and their masks, laid out as DUTS-TR is."""
    for number in range(first, first + n):
        picture, mask = blob(number, side)
        save(folder / "DUTS-TR-Image" / f"im_{number}.png", picture)
        save(folder / "DUTS-TR-Mask" / f"im_{number}.png", mask)
    return folder
