"""Sessions of onnxruntime that a test starts without pyvmaf."""

from __future__ import annotations

import onnxruntime as ort


def exact_session(data: bytes) -> ort.InferenceSession:
    """Start a session whose sums of 8-bit products do not overflow on processors without VNNI."""
    options = ort.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
