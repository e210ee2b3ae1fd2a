"""A regressor's keys of a sidecar."""

from __future__ import annotations

from typing import Any

from pyvmaf.models.regressor.graph import codec_vocabulary
from pyvmaf.models.regressor.spec import RegressorSpec
from pyvmaf.models.weights import Weights


def describe(spec: RegressorSpec, weights: Weights) -> dict[str, Any]:
    """Give the keys that describe the inputs and their preparation, for the member that ships."""
    index, fitted, inputs = weights.index(None), weights.tensors, spec.inputs
    block = codec_vocabulary(spec, weights)
    low, high = fitted["feature_low"][index], fitted["feature_high"][index]
    codec = None
    if block is not None:
        codec = {
            "input_name": spec.export.codec_name,
            "vocabulary": block.version,
            "vocabulary_sha256": block.sha256,
            "slots": list(block.slots),
            "layout": list(block.layout),
            "blind": block.blind_or_none,
        }
    return {
        "features": list(inputs.names),
        "input_normalization": {
            "mean": fitted["scaler_mean"][index].tolist(),
            "std": fitted["scaler_std"][index].tolist(),
            "in_graph": spec.export.scaler == "baked",
        },
        "input_guard": inputs.guard,
        "input_guard_margin": dict(inputs.guard_margin),
        "input_transforms": dict(inputs.transforms),
        "feature_ranges": {name: [float(a), float(b)] for name, a, b in zip(inputs.names, low, high, strict=True)},
        "output_clipped": weights.clipped,
        "codec": codec,
        **({"trained_codecs": weights.info["codecs"]} if weights.info.get("codecs") else {}),
        "trained_hdr": spec.rows.hdr,
    }
