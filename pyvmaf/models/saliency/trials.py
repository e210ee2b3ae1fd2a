"""Pictures for trials of a graph, and the maps that the trained network makes of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from pyvmaf.models.families import Trial
from pyvmaf.models.image.graph import member_state
from pyvmaf.models.image.networks import one_thread
from pyvmaf.models.image.trials import textures
from pyvmaf.models.saliency.graph import network_of
from pyvmaf.models.saliency.names import INPUT, MEAN, STD, STRIDE
from pyvmaf.models.saliency.spec import SaliencySpec
from pyvmaf.models.weights import Weights


def trials(spec: SaliencySpec, weights: Weights, held_out: str | None) -> Iterator[Trial]:
    """Give pictures with torch's maps: coloured textures of several scales, flat and black pictures, noise; of several sizes."""
    network = network_of(spec, member_state(weights, held_out))
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (MEAN, STD))
    for height, width in ((spec.side, spec.side), (STRIDE, 3 * STRIDE)):
        planes = textures(height, width)[:, 0]
        for index in range(len(planes)):
            picture = np.stack([planes[(index + shift) % len(planes)] for shift in (0, 0, 1)])
            part = ((picture - mean) / std)[None].astype(np.float32)
            with one_thread(), torch.inference_mode():
                expected = network(torch.from_numpy(part)).double().numpy()
            yield Trial({INPUT: part}, expected, span=1.0)
