"""Sessions of onnxruntime, and runs of graphs whose extent is established."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.terminal import printable
from pyvmaf.errors import IntegrityError, UnavailableError

if TYPE_CHECKING:
    from onnx import ModelProto

CPU = "CPUExecutionProvider"

Feeds = Mapping[str, NDArray[np.float32]]
"""Arrays by name of a graph's input."""


def with_inner(model: ModelProto, names: Sequence[str], where: str) -> bytes:
    """The bytes of a graph that also gives tensors from its inside, after its own outputs.

    Args:
        model: the graph; it is changed.
        names: of the tensors, float32 [batch] each.
        where: name of the file, for errors.

    Raises:
        IntegrityError: the graph does not compute such a tensor.
    """
    from onnx import TensorProto, helper

    computed = {name for node in model.graph.node for name in node.output}
    for name in names:
        if name not in computed:
            raise IntegrityError(f"{where} does not compute {name}, but its sidecar says so: export it again")
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch"]))
    return bytes(model.SerializeToString(deterministic=True))


def session(
    data: bytes, threads: int = 1, *, where: str = "the graph", provider: str = CPU, optimise: bool = True
) -> Any:
    """Start an onnxruntime session for bytes that were checked before.

    Args:
        data: the ONNX file.
        threads: of the runtime.
        where: name of the file, for errors.
        provider: full name of an installed provider.
        optimise: whether the runtime may rewrite the graph.

    Raises:
        IntegrityError: the runtime refuses the graph.
        UnavailableError: the provider could not be started on this machine.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4  # what goes wrong is raised, too
    # Processors without VNNI add pairs of 8-bit products in 16 bits, which overflow: scores would differ by several points.
    options.add_session_config_entry("session.x64quantprecision", "1")
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        started = ort.InferenceSession(data, options, providers=[provider])
    except Exception as err:  # the only common base of the runtime's exceptions
        raise IntegrityError(f"onnxruntime refuses {where}: {one_line(err)}") from err
    # onnxruntime continues on the CPU if another provider fails to start.
    if started.get_providers()[0] != provider:
        raise UnavailableError(f"provider {provider} is installed, but does not start on this machine")
    return started


def run_all(runtime: Any, feeds: Feeds, where: str = "the graph") -> list[NDArray[np.float64]]:
    """Give all outputs of a session for its inputs by name.

    Raises:
        IntegrityError: the runtime fails, or an output is not numeric.
    """
    try:
        outputs = [np.asarray(output) for output in runtime.run(None, dict(feeds))]
    except Exception as err:  # the only common base of the runtime's exceptions
        raise IntegrityError(f"onnxruntime cannot run {where}: {one_line(err)}") from err
    if others := [str(output.dtype) for output in outputs if output.dtype.kind not in "fiub"]:
        raise IntegrityError(f"{where} gives values of type {others[0]}, not numbers")
    return [output.astype(np.float64) for output in outputs]


def run(runtime: Any, feeds: Feeds, where: str = "the graph") -> NDArray[np.float64]:
    """Give the output of a session for its inputs by name, of several outputs the first one; errors as in `run_all`."""
    return run_all(runtime, feeds, where)[0]


def one_line(err: BaseException) -> str:
    """Give the message of an exception of ONNX or onnxruntime as one line of at most 300 characters."""
    return short(" ".join(str(err).split()) or type(err).__name__, 300)


def short(value: object, most: int = 80) -> str:
    """Give a value of a file that anybody may have written as text on one line, at most so many characters of it."""
    text = printable(value)
    return text if len(text) <= most else f"{text[:most]}…"
