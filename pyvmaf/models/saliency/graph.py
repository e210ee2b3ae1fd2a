"""The ONNX form of a saliency model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyvmaf.models.families import Graph
from pyvmaf.models.image.graph import member_state
from pyvmaf.models.image.networks import n_parameters
from pyvmaf.models.image.onnx_form import write
from pyvmaf.models.saliency.names import INPUT, OUTPUT
from pyvmaf.models.saliency.networks import Mapped, build
from pyvmaf.models.saliency.spec import SaliencySpec
from pyvmaf.models.weights import Weights


def network_of(spec: SaliencySpec, state: Mapping[str, NDArray[Any]]) -> torch.nn.Module:
    """Make the network that ships of a trained state: pictures to maps of 0 to 1."""
    network = build(spec.network)
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
    return Mapped(network).eval()


def file_of(spec: SaliencySpec, state: Mapping[str, NDArray[Any]]) -> bytes:
    """Write a trained state as ONNX: ``input`` [1, 3, height, width] to ``saliency_map`` [1, 1, height, width]."""
    return write(
        network_of(spec, state),
        name=spec.name,
        input_name=INPUT,
        input_shape=[1, 3, "height", "width"],
        output_name=OUTPUT,
        output_shape=[1, 1, "height", "width"],
        opset=spec.export.opset,
    )


def graph(spec: SaliencySpec, weights: Weights, held_out: str | None) -> Graph:
    """Write a member as ONNX.

    Args:
        spec: the model.
        weights: of a fit of that model.
        held_out: which member; None for the one that ships.

    Raises:
        InputError: the weights are not of this spec, or have no such member.
    """
    weights.check_made_for(spec)
    data = file_of(spec, member_state(weights, held_out))
    return Graph(data, n_parameters(build(spec.network)), INPUT, OUTPUT)
