"""A picture model's keys of a sidecar."""

from __future__ import annotations

from typing import Any

from pyvmaf.models.image.spec import ImageSpec
from pyvmaf.models.weights import Weights


def describe(spec: ImageSpec, weights: Weights) -> dict[str, Any]:
    """Give the keys that describe how pictures are fed, for the member that ships."""
    task = "filter" if spec.network.is_filter else "score"
    keys: dict[str, Any] = {
        "task": task,
        "pixel_format": "gray",
        "input_range": [0.0, 1.0],
        "trained_codecs": list(weights.info["codecs"]),
        "trained_levels": {name: list(weights.info["levels"][name]) for name in sorted(weights.info["levels"])},
        "trained_hdr": spec.rows.hdr,
    }
    if task == "filter":
        # The target of its figures is the PSNR of pictures; what the graph gives are pictures.
        radius = 2 * spec.network.blocks + 2
        return keys | {"expected_output_range": [0.0, 1.0], "crop": None, "radius": radius}
    return keys | {"crop": {"side": spec.crops.judge, "views": spec.crops.views}, "radius": None}
