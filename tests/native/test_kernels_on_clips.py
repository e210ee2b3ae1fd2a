"""Own kernels against libvmaf's plain C on real clips, where there are any: 8 and 10 bits, cut to an odd size."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.make.planes import Plane
from tests.native import test_adm_kernels, test_motion_kernels, test_vif_kernels

pytestmark = pytest.mark.usefixtures("plain_c")

WIDTH, HEIGHT = 333, 221


def luma(path: Path, count: int) -> tuple[list[Plane], int]:
    """Return the first frames of a clip, cut, and their bits."""
    import av

    frames: list[Plane] = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            bits = frame.format.components[0].bits
            samples = bytes(frame.planes[0])
            lines: Plane = np.frombuffer(samples, np.uint8) if bits == 8 else np.frombuffer(samples, np.uint16)
            frames.append(lines.reshape(frame.height, -1)[:HEIGHT, : min(WIDTH, frame.width)].copy())
            if len(frames) == count:
                break
    return frames, bits


def test_frames_of_clips() -> None:
    shared = os.environ.get("PYVMAF_SHARED")
    folder = (Path(shared) if shared else Path(__file__).parents[3] / "shared") / "data" / "clips"
    clips = sorted(path for path in folder.glob("*") if path.suffix in (".mkv", ".264"))
    if not clips:
        pytest.skip(f"no clips at {folder}")
    for path in clips:
        frames, bits = luma(path, 3)
        step = 2 ** (bits - 4)
        coarse = (frames[0] // step * step).astype(frames[0].dtype)
        test_adm_kernels.compare(frames[0], [frames[1], coarse], bits, test_adm_kernels.DEFAULT, test_adm_kernels.NEG)
        test_vif_kernels.compare(frames[0], [frames[1], coarse], bits)
        test_motion_kernels.compare(frames, bits, {"debug": "true"})
