"""Sessions of onnxruntime on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def session(data: bytes, threads: int = 1) -> Any:
    """An onnxruntime session on the CPU, for bytes that were checked before."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run(runtime: Any, feeds: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
    """The output of a session for its inputs by name."""
    return np.asarray(runtime.run(None, dict(feeds))[0], dtype=np.float64)
