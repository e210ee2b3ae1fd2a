"""The int8 modes: each turns the fp32 file of one member into an int8 file, with rows that it was trained on.

In every mode the products with weights are int8 and everything else stays float, the same input gives the same bytes, and
nothing in a file depends on place or time.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from pyvmaf.models.families import Feeds, learned_int8_part
from pyvmaf.quantized.material import Material
from pyvmaf.quantized.quiet import quiet

_PRODUCTS = ("Gemm", "MatMul")
_CONVOLUTION = "Conv"
_ACTIVATIONS = ("Relu", "Clip")
"""Kept inside of a convolution's int8 output, where its range does the same."""


Ranges = Mapping[str, tuple[float, float]]
"""Smallest and largest value of an activation, by the name of the tensor in the graph."""


def static(
    data: bytes,
    batches: Iterable[Feeds],
    *,
    per_channel: bool,
    ranges: Ranges | None = None,
) -> bytes:
    """Quantise the products of `data`: QuantizeLinear and DequantizeLinear before each, activations per tensor from the
    range that they have on the calibration rows.

    Args:
        data: the fp32 file of a member.
        batches: calibration rows as the graph takes them, in parts.
        per_channel: whether each output of a layer has a weight scale of its own, or the layer one for all.
        ranges: of activations whose range is already known; the rows do not count for these.

    Returns:
        A model file without metadata, the same for the same input.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Gives the parts, then nothing."""

        def __init__(self) -> None:
            self._batches = iter(batches)

        def get_next(self) -> Feeds | None:
            return next(self._batches, None)

    model = onnx.load_model_from_string(data)
    kinds, left_out = _quantised(model)
    overrides = {
        name: [{"rmin": np.float32(low), "rmax": np.float32(high)}] for name, (low, high) in (ranges or {}).items()
    }
    with tempfile.TemporaryDirectory(prefix="pyvmaf-int8-") as folder, quiet():
        target = os.path.join(folder, "int8.onnx")
        quantize_static(
            model,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=kinds,
            nodes_to_exclude=left_out,
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


def _quantised(model: Any) -> tuple[list[str], list[str]]:
    """The kinds of nodes that are quantised, and the names of nodes of these kinds that are not.

    The output of a convolution is int8, too, unless it is the graph's answer in all but its range: convolutions follow
    each other then without a conversion in between.
    """
    convolved = {node.output[0] for node in model.graph.node if node.op_type == _CONVOLUTION}
    if not convolved:
        return list(_PRODUCTS), []
    others = [n.name for n in model.graph.node if n.op_type in _ACTIVATIONS and n.input[0] not in convolved]
    return [*_PRODUCTS, _CONVOLUTION, *_ACTIVATIONS], others


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
    return static(material.fp32, material.batches(material.calibration), per_channel=False)


def _static_qdq(material: Material) -> bytes:
    return static(material.fp32, material.batches(material.calibration), per_channel=True)


def _qat(material: Material) -> bytes:
    if learned_int8_part(material.spec.kind) is not None:
        from pyvmaf.quantized.convolutions import fine_tune_convolutions

        learned = fine_tune_convolutions(material)
        return static(learned, material.batches(material.calibration), per_channel=True)
    from pyvmaf.quantized.qat import fine_tune

    tuned = fine_tune(material)
    # Every range was learned, so the calibration needs no more than a row to run on.
    return static(tuned.fp32, material.batches(material.train[:1]), per_channel=True, ranges=tuned.ranges)


MODES: dict[str, Callable[[Material], bytes]] = {
    "dynamic": _dynamic,
    "static": _static,
    "static_qdq": _static_qdq,
    "qat": _qat,
}
"""How each mode turns an fp32 file into an int8 file."""
