"""What is in the files of each mode: their arithmetic worked out in numpy, and what training for int8 changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from pyvmaf.errors import PyvmafError
from pyvmaf.metrics import rmse
from pyvmaf.models.crossval import make_folds
from pyvmaf.models.graphs import member_graph
from pyvmaf.models.regressor.rows import read_table
from pyvmaf.models.regressor.spec import RegressorSpec, load_regressor
from pyvmaf.models.spec import Quantised
from pyvmaf.models.weights import load_weights
from pyvmaf.quantized.material import Material
from pyvmaf.quantized.modes import MODES, static
from pyvmaf.quantized.qat import fine_tune
from pyvmaf.runtime.session import run, session
from pyvmaf.splits import used
from tests.make import pt2e
from tests.make.lines import VARIANTS, Line
from tests.make.runtimes import exact_session

NAMES = sorted(VARIANTS)
QDQ = ("static", "static_qdq", "qat")


def material(line: Line, mode: str, spec: RegressorSpec | None = None, **settings: Any) -> Material:
    """What the shipped int8 file of a mode is made of, with other settings."""
    spec = load_regressor(line.spec) if spec is None else spec
    weights, table = load_weights(line.weights), read_table(line.table, spec)
    train = used(make_folds(spec.split, table)).train
    return Material(
        fp32=member_graph(spec, weights).data,
        spec=spec,
        settings=Quantised.model_validate({"mode": mode, **settings}),
        weights=weights,
        held_out=None,
        table=table,
        train=train,
        calibration=train,
    )


def _constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", QDQ)
def test_the_file_is_qdq_int8(lines: dict[str, Line], name: str, mode: str) -> None:
    model = onnx.load(lines[name].int8[mode])
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    assert not model.metadata_props
    assert b"/" not in b"".join(p.SerializeToString() for n in model.graph.node for p in n.metadata_props)
    constants = _constants(model)
    producers = {n.output[0]: n for n in model.graph.node}
    gemms = [n for n in model.graph.node if n.op_type == "Gemm"]
    assert len(gemms) == 3
    for gemm in gemms:
        weight = producers[gemm.input[1]]
        assert weight.op_type == producers[gemm.input[0]].op_type == "DequantizeLinear"
        values, scale = constants[weight.input[0]], constants[weight.input[1]]
        assert values.dtype == np.int8
        # One scale per output of a transposed weight, or one for all.
        assert scale.shape == (() if mode == "static" else (values.shape[0],))
    # The score itself is not rounded to 256 steps, and kept inside the target's range.
    assert producers["score"].op_type == "Clip"
    unclipped = producers[producers["score"].input[0]]
    assert unclipped.op_type == "Squeeze"
    assert producers[unclipped.input[0]].op_type == "Gemm"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", QDQ)
def test_each_product_is_what_integer_arithmetic_gives(lines: dict[str, Line], name: str, mode: str) -> None:
    """Every Gemm worked out from its float input, in integers, against what the runtime computes."""
    line = lines[name]
    model = onnx.load(line.int8[mode])
    constants = _constants(model)
    producers = {n.output[0]: n for n in model.graph.node}
    gemms = [n for n in model.graph.node if n.op_type == "Gemm"]
    quantisers = [producers[producers[g.input[0]].input[0]] for g in gemms]
    wanted = [q.input[0] for q in quantisers] + [g.output[0] for g in gemms]
    for tensor in wanted:
        model.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
    made = material(line, mode)
    feeds = next(made.batches(made.train[:150]))
    runtime = exact_session(model.SerializeToString())
    values = dict(zip(wanted, runtime.run(wanted, feeds), strict=True))
    for gemm, quantiser in zip(gemms, quantisers, strict=True):
        scale, zero = (constants[k].astype(np.float64) for k in quantiser.input[1:])
        steps = np.float32(values[quantiser.input[0]]) / np.float32(scale)
        whole = np.clip(np.rint(steps) + zero, -128, 127).astype(np.int64) - int(zero)
        weight, bias = producers[gemm.input[1]], producers[gemm.input[2]]
        w, w_scale = constants[weight.input[0]].astype(np.int64), constants[weight.input[1]].astype(np.float64)
        b = constants[bias.input[0]] * constants[bias.input[1]].astype(np.float64)
        expected = (whole @ w.T) * (scale * w_scale) + b
        found = values[gemm.output[0]]
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
        assert np.unique(whole).size > 20


def test_dynamic_weights_are_those_of_static_per_channel(lines: dict[str, Line]) -> None:
    """Rounding of weights does not depend on how activations are treated."""
    found = {}
    for mode in ("dynamic", "static_qdq"):
        constants = _constants(onnx.load(lines["baked"].int8[mode]))
        weights = [v for v in constants.values() if v.dtype == np.int8 and v.ndim == 2]
        found[mode] = [w if mode == "static_qdq" else w.T for w in weights]
    for shape in ((16, 6), (8, 16), (1, 8)):
        a, b = ([w for w in found[mode] if w.shape == shape] for mode in ("dynamic", "static_qdq"))
        assert len(a) == len(b) == 1
        assert np.abs(a[0].astype(int) - b[0].astype(int)).max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_torchao_trains_the_same_numbers_and_converts_to_the_same_function(lines: dict[str, Line], name: str) -> None:
    """The weights are torchao's to the last bit. Files differ from the network that it converts where a value lies between
    two steps.
    """
    made = material(lines[name], "qat", epochs=2, batch_size=64)
    tuned, theirs = fine_tune(made), pt2e.train(made)
    model = onnx.load_model_from_string(tuned.fp32)
    gemms = [node for node in model.graph.node if node.op_type == "Gemm"]
    learned = [_constants(model)[key] for gemm in gemms for key in gemm.input[1:3]]
    for parameter, expected in zip(learned, theirs.parameters, strict=True):
        assert np.array_equal(parameter, expected)
    assert [tuned.ranges[gemm.input[0]] for gemm in gemms] == theirs.ranges
    assert np.allclose(tuned.losses, theirs.losses, rtol=1e-12, atol=0)
    ours = run(session(MODES["qat"](made)), next(made.batches(made.train)))
    with torch.inference_mode():
        inputs = torch.from_numpy(made.network_inputs(made.train).astype(np.float32))
        converted = theirs.network(inputs)[:, 0].double().numpy()
    fp32 = run(session(tuned.fp32), next(made.batches(made.train)))
    assert np.quantile(np.abs(ours - converted), 0.95) < 1e-3
    assert rmse(ours, converted) < 0.25 * rmse(ours, fp32)


def test_training_for_int8_recovers_what_rounding_costs(lines: dict[str, Line]) -> None:
    """The same function with every other unit of the first layer scaled up: exact in floats, bad to round."""
    made = material(lines["baked"], "qat", epochs=10, batch_size=32, lr=0.002)
    parameters = made.weights.tensors["parameters"].copy()
    shipped = parameters[made.weights.index(None)]
    into, out = shipped[: 16 * 7].reshape(16, 7), shipped[112 : 112 + 8 * 17]
    factors = np.where(np.arange(16) % 2, 1, 60).astype(np.float32)
    into *= factors[:, None]
    out.reshape(8, 17)[:, :16] /= factors
    weights = replace(made.weights, tensors={**made.weights.tensors, "parameters": parameters})
    made = replace(made, weights=weights, fp32=member_graph(made.spec, weights).data)
    inputs, target = next(made.batches(made.train)), made.table.y[made.train]
    assert np.allclose(
        run(session(made.fp32), inputs), run(session(lines["baked"].onnx.read_bytes()), inputs), atol=1e-3
    )
    error = {mode: rmse(run(session(MODES[mode](made)), inputs), target) for mode in ("static", "static_qdq", "qat")}
    assert error["static_qdq"] > 3 * rmse(run(session(made.fp32), inputs), target)
    assert error["qat"] < 0.75 * error["static_qdq"] < error["static"]


def test_ranges_that_training_saw_hold_every_training_row(lines: dict[str, Line]) -> None:
    made = material(lines["coded"], "qat", epochs=1, batch_size=64)
    tuned = fine_tune(made)
    first = made.network_inputs(made.train).astype(np.float32)
    low, high = tuned.ranges["inputs"]
    assert (low, high) == (first.min(), first.max())
    model = onnx.load_model_from_string(
        static(made.fp32, made.batches(made.train[:1]), per_channel=True, ranges=tuned.ranges)
    )
    constants = _constants(model)
    (quantiser,) = (n for n in model.graph.node if n.op_type == "QuantizeLinear" and n.input[0] == "inputs")
    scale = float(constants[quantiser.input[1]])
    assert scale == pytest.approx((high - low) / 255, rel=1e-6)


def test_no_pass_changes_no_weight_and_the_same_passes_give_the_same_bytes(lines: dict[str, Line]) -> None:
    line = lines["baked"]
    still = fine_tune(material(line, "qat", epochs=0))
    assert still.fp32 == line.onnx.read_bytes()
    made = material(line, "qat", epochs=4, batch_size=64)
    assert MODES["qat"](made) == line.int8["qat"].read_bytes()
    fewer = replace(made, settings=Quantised(mode="qat", epochs=1))
    assert MODES["qat"](fewer) != line.int8["qat"].read_bytes()
    # Nothing but numbers sets it apart from a file of mode static_qdq.
    graphs = [onnx.load(line.int8[mode]).graph for mode in ("qat", "static_qdq")]
    assert [n.SerializeToString() for n in graphs[0].node] == [n.SerializeToString() for n in graphs[1].node]


def test_a_loss_that_explodes_and_a_graph_of_another_network(lines: dict[str, Line]) -> None:
    made = material(lines["baked"], "qat", epochs=3, lr=1e30)
    with pytest.raises(PyvmafError, match=r"not finite after pass \d .*lower its learning rate, which is 1e\+30"):
        fine_tune(made)
    other = material(lines["coded"], "qat")
    with pytest.raises(PyvmafError, match="no product with the weights of"):
        fine_tune(replace(made, fp32=other.fp32))


def test_the_fold_of_a_report_is_of_a_member_that_never_saw_its_rows(lines: dict[str, Line]) -> None:
    """Mode qat again by hand for one fold: other training rows than those of the fold give other figures."""
    line = lines["baked"]
    spec, weights = load_regressor(line.spec), load_weights(line.weights)
    table = read_table(line.table, spec)
    fold = make_folds(spec.split, table)[1]
    reported = line.reports["qat"]["folds"][1]
    assert reported["held_out"] == fold.held_out

    def figures(train: np.ndarray) -> float:
        made = Material(
            fp32=member_graph(spec, weights, fold.held_out).data,
            spec=spec,
            settings=spec.quantised_mode("qat"),
            weights=weights,
            held_out=fold.held_out,
            table=table,
            train=train,
            calibration=train,
        )
        inputs = next(made.batches(fold.test))
        return rmse(run(session(made.fp32), inputs), run(session(MODES["qat"](made)), inputs))

    assert figures(fold.train) == pytest.approx(reported["rmse_int8_fp32"], abs=1e-12)
    assert figures(np.arange(table.y.size)) != pytest.approx(reported["rmse_int8_fp32"], abs=1e-6)
