"""Pictures for trials of a graph, and the answers of the trained network."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from pyvmaf.models.families import Trial
from pyvmaf.models.image.graph import input_name, member_state, network_of
from pyvmaf.models.image.networks import one_thread
from pyvmaf.models.image.spec import ImageSpec
from pyvmaf.models.weights import Weights


def trials(spec: ImageSpec, weights: Weights, held_out: str | None) -> Iterator[Trial]:
    """Give batches of pictures with torch's answers: textures of several scales, flat and black pictures, noise, and for a
    filter several sizes.
    """
    network = network_of(spec, member_state(weights, held_out))
    side = spec.crops.judge
    sizes = [(64, 96), (37, 51), (16, 16)] if spec.network.is_filter else [(side, side)]
    span = 1.0 if spec.network.is_filter else spec.target.range[1] - spec.target.range[0]
    for height, width in sizes:
        pictures = textures(height, width)
        for part in (pictures, pictures[:1]):
            with one_thread(), torch.inference_mode():
                expected = network(torch.from_numpy(part)).double().numpy()
            yield Trial({input_name(spec): part}, expected, span=span)


def textures(height: int, width: int) -> NDArray[np.float32]:
    """Draw pictures [n, 1, height, width] in [0, 1]."""
    rng = np.random.default_rng(17)
    y, x = np.mgrid[:height, :width]
    waves = [0.5 + 0.5 * np.sin(x / scale) * np.cos(y / (scale + 1)) for scale in (1.5, 4, 11, 40)]
    noisy = [np.clip(wave + rng.normal(0, 0.1, wave.shape), 0, 1) for wave in waves]
    flat = [np.full((height, width), value) for value in (0.0, 0.5, 1.0)]
    noise = [rng.random((height, width)), (rng.random((height, width)) < 0.5).astype(float)]
    return np.stack([*waves, *noisy, *flat, *noise])[:, None].astype(np.float32)
