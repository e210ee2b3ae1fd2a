"""The int8 modes: each turns the fp32 file of one member into an int8 file, with rows that it was trained on.

In every mode the products with weights are int8 and everything else stays float, the same input gives the same bytes, and
nothing in a file depends on place or time.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pyvmaf.models.families import Feeds
from pyvmaf.quantized.material import Material
from pyvmaf.quantized.quiet import quiet

_PRODUCTS = ("Gemm", "MatMul")


Ranges = Mapping[str, tuple[float, float]]
"""Smallest and largest value of an activation, by the name of the tensor in the graph."""


def static(
    data: bytes,
    feeds: Feeds,
    *,
    per_channel: bool,
    ranges: Ranges | None = None,
) -> bytes:
    """Quantise the products of `data`: QuantizeLinear and DequantizeLinear before each, activations per tensor from the
    range that they have on the calibration rows.

    Args:
        data: the fp32 file of a member.
        feeds: calibration rows as the graph takes them.
        per_channel: whether each output of a layer has a weight scale of its own, or the layer one for all.
        ranges: of activations whose range is already known; the rows do not count for these.

    Returns:
        A model file without metadata, the same for the same input.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Gives one batch, then nothing."""

        def __init__(self) -> None:
            self._batches = iter([feeds])

        def get_next(self) -> Feeds | None:
            return next(self._batches, None)

    overrides = {
        name: [{"rmin": np.float32(low), "rmax": np.float32(high)}] for name, (low, high) in (ranges or {}).items()
    }
    with tempfile.TemporaryDirectory(prefix="pyvmaf-int8-") as folder, quiet():
        target = os.path.join(folder, "int8.onnx")
        quantize_static(
            onnx.load_model_from_string(data),
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_PRODUCTS),
            per_channel=per_channel,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibration_providers=["CPUExecutionProvider"],
            extra_options={
                # A product's output stays float until the next one needs it in int8: quantising it too would clip
                # the score itself to the calibration rows' range, and round activations twice.
                "OpTypesToExcludeOutputQuantization": list(_PRODUCTS),
                "TensorQuantOverrides": overrides,
            },
        )
        with open(target, "rb") as stream:
            model = onnx.load_model_from_string(stream.read())
    return _stripped(model, onnx.load_model_from_string(data))


def dynamic(data: bytes) -> bytes:
    """Quantise the weights of `data` per output channel; the scale of activations is measured for each batch.

    The file holds operators that a model file may not (DynamicQuantizeLinear, MatMulInteger): it can be measured,
    but `load_model` refuses it.

    Args:
        data: the fp32 file of a member.

    Returns:
        A model file without metadata, the same for the same input.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory(prefix="pyvmaf-int8-") as folder, quiet():
        target = os.path.join(folder, "int8.onnx")
        quantize_dynamic(
            onnx.load_model_from_string(data),
            target,
            op_types_to_quantize=list(_PRODUCTS),
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
        with open(target, "rb") as stream:
            model = onnx.load_model_from_string(stream.read())
    return _stripped(model, onnx.load_model_from_string(data))


def _stripped(model: Any, parent: Any) -> bytes:
    """Deterministic bytes of `model`, with the parent's operator set and nothing that says how it was made."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for part in (*model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output):
        part.ClearField("doc_string")
        del part.metadata_props[:]
    model.graph.name = parent.graph.name
    model.ir_version = parent.ir_version
    model.producer_name, model.producer_version = parent.producer_name, parent.producer_version
    del model.opset_import[:]
    model.opset_import.extend(parent.opset_import)
    return bytes(model.SerializeToString(deterministic=True))


def _dynamic(material: Material) -> bytes:
    return dynamic(material.fp32)


def _static(material: Material) -> bytes:
    return static(material.fp32, material.feeds(material.calibration), per_channel=False)


def _static_qdq(material: Material) -> bytes:
    return static(material.fp32, material.feeds(material.calibration), per_channel=True)


def _qat(material: Material) -> bytes:
    from pyvmaf.quantized.qat import fine_tune

    tuned = fine_tune(material)
    # Every range was learned, so the calibration needs no more than a row to run on.
    return static(tuned.fp32, material.feeds(material.train[:1]), per_channel=True, ranges=tuned.ranges)


MODES: dict[str, Callable[[Material], bytes]] = {
    "dynamic": _dynamic,
    "static": _static,
    "static_qdq": _static_qdq,
    "qat": _qat,
}
"""How each mode turns an fp32 file into an int8 file."""
