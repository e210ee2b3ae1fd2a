"""Sessions of onnxruntime on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import IntegrityError

if TYPE_CHECKING:
    from onnx import ModelProto


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


def session(data: bytes, threads: int = 1) -> Any:
    """An onnxruntime session on the CPU, for bytes that were checked before."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run(runtime: Any, feeds: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
    """The output of a session for its inputs by name; of several outputs the first one."""
    return run_all(runtime, feeds)[0]


def run_all(runtime: Any, feeds: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float64]]:
    """All outputs of a session for its inputs by name."""
    return [np.asarray(output, dtype=np.float64) for output in runtime.run(None, dict(feeds))]
