"""A saliency model's keys of a sidecar."""

from __future__ import annotations

from typing import Any

from pyvmaf.models.saliency.names import INPUT, INPUT_RANGE, OUTPUT, PREPARATION, TASK
from pyvmaf.models.saliency.spec import SaliencySpec
from pyvmaf.models.weights import Weights


def describe(spec: SaliencySpec, weights: Weights) -> dict[str, Any]:
    """Give the keys that say how pictures become inputs: those of a converted checkpoint of the same task."""
    return {
        "task": TASK,
        "architecture": spec.network.type,
        "inputs": {INPUT: [1, 3, spec.side, spec.side]},
        "input_ranges": {INPUT: list(INPUT_RANGE)},
        "outputs": {OUTPUT: [1, 1, spec.side, spec.side]},
        "preparation": PREPARATION,
    }
