"""What the card of a model of maps says of it."""

from __future__ import annotations

from pyvmaf.models.shown import Shown, tensor_inputs, tensor_use
from pyvmaf.runtime.sidecar import Sidecar


def shown(name: str, sidecar: Sidecar) -> Shown:
    """Describe a model by its tensors."""
    keys = sidecar.family_keys
    warnings = (
        "Objects unlike those of the training masks: a small network learns what its pictures show, not saliency.",
    )
    return Shown(
        "maps: it marks the salient objects of a picture", tensor_use(name, keys), tuple(tensor_inputs(keys)), warnings
    )
