"""The family of published checkpoints: pinned by hash, loaded into networks of this package, exported to ONNX."""
