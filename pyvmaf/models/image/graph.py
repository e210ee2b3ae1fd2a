"""The ONNX form of a model of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyvmaf.models.families import Graph
from pyvmaf.models.image.names import DEGRADED, FILTERED, FRAME, MOS, SHARED_BY_MEMBERS
from pyvmaf.models.image.networks import Scaled, build, n_parameters
from pyvmaf.models.image.onnx_form import write
from pyvmaf.models.image.spec import ImageSpec, Network
from pyvmaf.models.weights import Weights


def input_name(spec: ImageSpec) -> str:
    """Name of the graph's input."""
    return DEGRADED if spec.network.is_filter else FRAME


def network_of(spec: ImageSpec, state: Mapping[str, NDArray[Any]]) -> torch.nn.Module:
    """Make the network that ships of a trained state: scores in the target's range, or filtered pictures."""
    network = trained(spec.network, state)
    if not spec.network.is_filter:
        network = Scaled(network, spec.target.range, spec.target.clip)
    return network.eval()


def trained(network: Network, state: Mapping[str, NDArray[Any]]) -> torch.nn.Module:
    """Make the network of a trained state."""
    if network.is_frozen:
        from pyvmaf.models.image.frozen import restored

        return restored(network, state)
    made = build(network)
    made.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
    return made


def file_of(spec: ImageSpec, state: Mapping[str, NDArray[Any]]) -> bytes:
    """Write a trained state as ONNX."""
    if spec.network.is_filter:
        given: list[int | str] = ["batch", 1, "height", "width"]
        answer, output = given, FILTERED
    else:
        given = ["batch", 1, spec.crops.judge, spec.crops.judge]
        answer, output = ["batch"], MOS
    return write(
        network_of(spec, state),
        name=spec.name,
        input_name=input_name(spec),
        input_shape=given,
        output_name=output,
        output_shape=answer,
        opset=spec.export.opset,
    )


def member_state(weights: Weights, held_out: str | None) -> dict[str, NDArray[Any]]:
    """Give the arrays of a member.

    Raises:
        InputError: the weights have no such member.
    """
    index = weights.index(held_out)
    return {
        name: values[0 if name.startswith(SHARED_BY_MEMBERS) else index] for name, values in weights.tensors.items()
    }


def graph(spec: ImageSpec, weights: Weights, held_out: str | None) -> Graph:
    """Write a member as ONNX: ``frame`` [batch, 1, side, side] to ``mos`` [batch], or ``degraded`` pictures of any size to
    ``filtered`` ones, [batch, 1, height, width].

    Args:
        spec: the model.
        weights: of a fit of that model.
        held_out: which member; None for the one that was trained on all rows.

    Raises:
        InputError: the weights are not of this spec, or have no such member.
    """
    weights.check_made_for(spec)
    state = member_state(weights, held_out)
    names = (DEGRADED, FILTERED) if spec.network.is_filter else (FRAME, MOS)
    return Graph(file_of(spec, state), n_parameters(trained(spec.network, state)), *names)
