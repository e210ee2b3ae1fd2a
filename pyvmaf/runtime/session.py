"""Sessions of onnxruntime on the CPU, and their inputs and output."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FEATURES, CODEC, SCORE = "features", "codec", "score"
"""Names of a regressor's inputs and output in its graph."""


def session(data: bytes, threads: int = 1) -> Any:
    """An onnxruntime session on the CPU, for bytes that were checked before."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run(runtime: Any, features: NDArray[np.floating], codec: NDArray[np.floating] | None) -> NDArray[np.float64]:
    """Scores [n] of a session for features [n, columns] (scaled where the graph does not) and codec [n, width]."""
    feeds = {FEATURES: np.ascontiguousarray(features, dtype=np.float32)}
    if codec is not None:
        feeds[CODEC] = np.ascontiguousarray(codec, dtype=np.float32)
    return np.asarray(runtime.run([SCORE], feeds)[0], dtype=np.float64)
