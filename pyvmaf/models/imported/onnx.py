"""Networks as ONNX files, by torch's exporter: one file, one operator set, the same bytes for the same weights."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyvmaf.errors import PyvmafError
from pyvmaf.runtime.session import one_line

OPSET = 17

Arrays = Mapping[str, NDArray[np.float32]]


def export(
    network: torch.nn.Module,
    example: Arrays,
    outputs: Sequence[str],
    *,
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
) -> bytes:
    """Write a network as ONNX.

    Args:
        network: the network, in evaluation mode.
        example: an input of each name, in the order of the network's arguments.
        outputs: names of its outputs.
        dynamic: names of the axes whose size the caller chooses, by input or output and axis; None for fixed shapes.

    Raises:
        PyvmafError: the exporter fails.
    """
    import onnx

    # This exporter also takes streams, which its signature does not say.
    stream = io.BytesIO()
    arguments = tuple(torch.from_numpy(np.ascontiguousarray(value)) for value in example.values())
    axes = None if dynamic is None else {name: dict(sizes) for name, sizes in dynamic.items()}
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                arguments,
                stream,  # type: ignore[arg-type]
                opset_version=OPSET,
                input_names=list(example),
                output_names=list(outputs),
                dynamic_axes=axes,
                # The exporter that follows Python's code writes opset 18, and names that differ from run to run.
                dynamo=False,
            )
    except Exception as err:  # the exporter's exceptions have no common base
        raise PyvmafError(f"torch cannot write {type(network).__name__} as ONNX: {one_line(err)}") from err
    finally:
        logger.setLevel(level)
    model = onnx.load_from_string(stream.getvalue())
    # Source lines, which tell paths of this machine, and the exporter's guesses at inner shapes.
    for node in model.graph.node:
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    model.graph.ClearField("value_info")
    return bytes(model.SerializeToString(deterministic=True))


def answers(network: torch.nn.Module, feeds: Arrays) -> list[NDArray[np.float64]]:
    """Give the outputs of a network for one input of each name."""
    with torch.inference_mode():
        given: Any = network(*(torch.from_numpy(value) for value in feeds.values()))
    every = given if isinstance(given, tuple) else (given,)
    return [value.numpy().astype(np.float64) for value in every]
