"""The int8 modes: each turns the fp32 file of one member into an int8 file, with rows that it was trained on.

What they have in common is in the files: the products with weights are int8, everything else stays float, the bytes
are the same for the same input, and nothing in a file says where or when it was made.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.models.regressor.inputs import of_member
from pyvmaf.models.regressor.rows import TrainingTable
from pyvmaf.models.regressor.weights import Weights
from pyvmaf.models.spec import ModelSpec, Quantised
from pyvmaf.runtime.session import CODEC, FEATURES

_PRODUCTS = ("Gemm", "MatMul")


@dataclass(frozen=True)
class Material:
    """What an int8 file is made of.

    Attributes:
        fp32: the member's exported file.
        spec, settings: the model, and its key `quantised` for the mode.
        weights: of the fit.
        held_out: which member; None for the one that ships.
        table: the rows.
        train: int64 indices of the member's training rows.
        calibration: int64, those of them that activation ranges are measured on.
    """

    fp32: bytes
    spec: ModelSpec
    settings: Quantised
    weights: Weights
    held_out: str | None
    table: TrainingTable
    train: NDArray[np.int64]
    calibration: NDArray[np.int64]

    @property
    def place(self) -> int:
        """Index of the member among the weights."""
        return self.weights.place(self.held_out)

    def graph_inputs(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Features [n, columns] and codec blocks [n, width] (None without such an input) as the file takes them."""
        X = of_member(self.spec, self.weights, self.place).graph_inputs(self.table.X[rows])
        return X, None if self.table.codec is None else self.table.codec[rows]

    def network_inputs(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The columns [n, inputs] that the network itself sees."""
        codec = None if self.table.codec is None else self.table.codec[rows]
        return of_member(self.spec, self.weights, self.place)(self.table.X[rows], codec)


class _Rows:
    """Rows as onnxruntime's calibration asks for them: one batch, then nothing."""

    def __init__(self, features: NDArray[np.float64], codec: NDArray[np.float64] | None) -> None:
        feeds = {FEATURES: features.astype(np.float32)}
        if codec is not None:
            feeds[CODEC] = codec.astype(np.float32)
        self._batches = iter([feeds])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._batches, None)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the advice of libraries that does not concern these graphs."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


Ranges = Mapping[str, tuple[float, float]]
"""Smallest and largest value of an activation, by the name of the tensor in the graph."""


def static(
    data: bytes,
    features: NDArray[np.float64],
    codec: NDArray[np.float64] | None,
    *,
    per_channel: bool,
    ranges: Ranges | None = None,
) -> bytes:
    """`data` with its products in int8: QuantizeLinear and DequantizeLinear before each, activations per tensor from
    the range that the calibration rows give them.

    Args:
        data: an fp32 model of `export_member`.
        features: calibration rows as the graph takes them [n, columns].
        codec: their codec blocks [n, width], or None.
        per_channel: whether each output of a layer has a weight scale of its own, or the layer one for all.
        ranges: of activations whose range is known already, instead of what the rows give.

    Returns:
        A model file without metadata, the same for the same input.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(_Rows, CalibrationDataReader):  # type: ignore[misc]
        pass

    known = {
        name: [{"rmin": np.float32(low), "rmax": np.float32(high)}] for name, (low, high) in (ranges or {}).items()
    }
    with tempfile.TemporaryDirectory(prefix="pyvmaf-int8-") as folder, quiet():
        target = os.path.join(folder, "int8.onnx")
        quantize_static(
            onnx.load_model_from_string(data),
            target,
            Reader(features, codec),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_PRODUCTS),
            per_channel=per_channel,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibration_providers=["CPUExecutionProvider"],
            extra_options={
                # A product's output stays float until the next one needs it in int8: quantising it too would clip
                # the score itself to the calibration rows' range, and cost activations a second rounding.
                "OpTypesToExcludeOutputQuantization": list(_PRODUCTS),
                "TensorQuantOverrides": known,
            },
        )
        with open(target, "rb") as stream:
            model = onnx.load_model_from_string(stream.read())
    return _stripped(model, onnx.load_model_from_string(data))


def dynamic(data: bytes) -> bytes:
    """`data` with int8 weights per output channel, and activations whose scale is found anew for each batch.

    The file holds operators that a model file may not (DynamicQuantizeLinear, MatMulInteger): it can be measured,
    but `load_model` refuses it.

    Args:
        data: an fp32 model of `export_member`.

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
    return static(material.fp32, *material.graph_inputs(material.calibration), per_channel=False)


def _static_qdq(material: Material) -> bytes:
    return static(material.fp32, *material.graph_inputs(material.calibration), per_channel=True)


def _qat(material: Material) -> bytes:
    from pyvmaf.quantized.qat import fine_tune

    tuned = fine_tune(material)
    # Every range was learned, so the calibration needs no more than a row to run on.
    return static(tuned.fp32, *material.graph_inputs(material.train[:1]), per_channel=True, ranges=tuned.ranges)


MODES: dict[str, Callable[[Material], bytes]] = {
    "dynamic": _dynamic,
    "static": _static,
    "static_qdq": _static_qdq,
    "qat": _qat,
}
"""How each mode turns an fp32 file into an int8 file."""
