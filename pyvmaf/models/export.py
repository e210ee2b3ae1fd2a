"""``vmaf-train export``: ONNX and sidecar of a trained member, checked before they are written."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.code import identity
from pyvmaf.base.files import sha256_bytes, sha256_file, write_bytes, write_json
from pyvmaf.base.manifest import build_run_provenance, write_manifest
from pyvmaf.codecs.vocabularies import Vocabulary, vocabulary
from pyvmaf.errors import InputError, IntegrityError, PyvmafError
from pyvmaf.models.judge import read_verdict
from pyvmaf.models.regressor.graph import build_onnx
from pyvmaf.models.regressor.inputs import Preparation, of_member
from pyvmaf.models.regressor.weights import Weights, load_weights
from pyvmaf.models.spec import ModelSpec, load_spec
from pyvmaf.runtime import allowlist
from pyvmaf.runtime.session import CODEC, FEATURES, SCORE, run, session
from pyvmaf.runtime.sidecar import check_sidecar

if TYPE_CHECKING:
    from pyvmaf.models.regressor.networks import Mlp

UNTRAINED = "UNTRAINED"
"""What stands in a sidecar in place of a verdict where the weights are the initial ones."""


@dataclass(frozen=True)
class Exported:
    """A model file in memory.

    Attributes:
        data: the bytes.
        operators: how often each operator occurs.
        error: largest |torch - onnxruntime| over the trial batches, relative to the target's range;
            None where they were not compared.
        n_parameters: weights and biases.
    """

    data: bytes
    operators: dict[str, int]
    error: float | None
    n_parameters: int


def _block(spec: ModelSpec, weights: Weights) -> Vocabulary | None:
    """The codec vocabulary, which must still be the one that the weights were trained with."""
    if spec.inputs.codec is None:
        return None
    known, trained = vocabulary(spec.inputs.codec), weights.info["codec"]
    if trained is None or trained["sha256"] != known.sha256:
        raise IntegrityError(
            f"{weights.path} was trained with codec vocabulary {trained}, but {known.version} now hashes to "
            f"{known.sha256}: a vocabulary must not change, only a new version may be added"
        )
    return known


def export_member(spec: ModelSpec, weights: Weights, held_out: str | None = None, *, compare: bool = True) -> Exported:
    """The ONNX file of one member of a fit, after every check that an export has to pass.

    Args:
        spec: the model.
        weights: of a fit of that model.
        held_out: which member; None for the one that was trained on all rows.
        compare: whether to run it against torch, which takes seconds to import.

    Raises:
        InputError: the weights are not of this spec, or the file would hold what it may not.
        PyvmafError: torch and onnxruntime differ by more than the spec's tolerance.
    """
    from pyvmaf.models.regressor.networks import build

    weights.check_made_for(spec)
    block = _block(spec, weights)
    place = weights.place(held_out)
    n_features, n_codec = len(spec.inputs.names), 0 if block is None else block.width
    network = build(spec.network, n_features + n_codec)
    parameters = weights.parameters[place]
    prepare = of_member(spec, weights, place)
    data = build_onnx(
        network,
        parameters,
        name=spec.name,
        n_features=n_features,
        n_codec=n_codec,
        prepare=prepare,
        opset=spec.export.opset,
    )
    operators = check_file(data, spec)
    error = parity(data, spec, network, weights.parameters[place], prepare, block) if compare else None
    return Exported(data, operators, error, network.n_parameters)


def check_file(data: bytes, spec: ModelSpec, opset: int | None = None) -> dict[str, int]:
    """Everything that can be checked without running the model; returns the operators.

    Args:
        data: the file.
        spec: the model.
        opset: the operator set that it must have; the spec's by default.

    Raises:
        InputError: it is too large, has another operator set, or holds what a model may not.
        PyvmafError: it is no valid ONNX.
    """
    import onnx

    where = f"the export of {spec.name}"
    if len(data) > spec.export.max_bytes:
        raise InputError(f"{where} has {len(data)} bytes, but its spec allows {spec.export.max_bytes}")
    model = allowlist.parse(data, where)
    operators = allowlist.check(model, where)
    wanted = spec.export.opset if opset is None else opset
    found = [(o.domain, o.version) for o in model.opset_import]
    if found != [("", wanted)]:
        raise InputError(f"{where} imports operator sets {found}, but opset {wanted} of ai.onnx was asked for")
    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.checker.ValidationError as err:
        raise PyvmafError(f"{where} is no valid ONNX: {err}") from err
    return operators


def trial_batches(
    low: NDArray[np.float64], high: NDArray[np.float64], block: Vocabulary | None
) -> list[tuple[NDArray[np.float64], NDArray[np.float64] | None]]:
    """Inputs to compare two runtimes on: random rows inside the training range, its corners and centre, values far
    outside of it, zeros, and batches of one row and of many.

    Args:
        low, high: float64 [columns], range of the raw features.
        block: codec vocabulary, or None.
    """
    rng = np.random.default_rng(17)
    width = np.where(high > low, high - low, 1.0)
    columns = low.size
    corners = np.where(rng.random((64, columns)) < 0.5, low, high)
    batches = [
        low + width * rng.random((512, columns)),
        low + width * rng.random((257, columns)),
        corners,
        (low + high)[None] / 2,
        low[None],
        high[None],
        np.zeros((1, columns)),
        low + width * rng.uniform(-10, 11, size=(64, columns)),
        np.vstack([low - 100 * width, high + 100 * width]),
    ]
    if block is None:
        return [(x, None) for x in batches]
    codes = np.eye(len(block.slots))
    out: list[tuple[NDArray[np.float64], NDArray[np.float64] | None]] = []
    for x in batches:
        slots = codes[rng.integers(0, len(codes), size=len(x))]
        out.append((x, np.hstack([slots, rng.random((len(x), block.width - len(codes)))])))
    return out


def parity(
    data: bytes,
    spec: ModelSpec,
    network: Mlp,
    parameters: NDArray[np.float32],
    prepare: Preparation,
    block: Vocabulary | None,
) -> float:
    """Largest difference between torch and onnxruntime over the trial batches, relative to the output's range, or
    to the output itself where that is larger.

    Raises:
        PyvmafError: it exceeds the spec's tolerance.
    """
    import torch

    from pyvmaf.models.regressor.trainer import torch_threads

    module = network.as_module(torch.from_numpy(parameters)).eval()
    runtime = session(data)
    span = spec.target.range[1] - spec.target.range[0]
    errors = []
    for raw, codec in trial_batches(prepare.low, prepare.high, block):
        given = raw.astype(np.float32).astype(np.float64)  # that rounding is the input's, not the graph's
        with torch_threads(1), torch.inference_mode():
            expected = module(torch.from_numpy(prepare(given, codec).astype(np.float32)))[:, 0].double().numpy()
        found = run(runtime, prepare.graph_inputs(given), codec)
        if found.shape != (len(raw),):
            raise PyvmafError(f"the export of {spec.name} answers {len(raw)} rows with shape {found.shape}")
        errors.append(np.max(np.abs(found - expected) / np.maximum(span, np.abs(expected))))
    worst = float(np.max(errors))  # numpy's maximum keeps NaN, Python's may lose it
    if not worst <= spec.export.tolerance:
        raise PyvmafError(
            f"torch and onnxruntime differ by {worst:.3g} of the output range on the export of {spec.name}, "
            f"but its tolerance is {spec.export.tolerance:g}: weights this large need a lower learning rate, or the "
            "spec a wider tolerance"
        )
    return worst


def _judged(spec: ModelSpec, weights: Weights, verdict: Path, table: Path) -> dict[str, Any]:
    """The verdict, which must be on these weights and on this table."""
    judged = read_verdict(verdict)
    table_sha256, weights_sha256, seed = sha256_file(table), weights.sha256(), weights.info["seed"]
    if judged["model"] != spec.name:
        raise InputError(f"{verdict} judged model {judged['model']!r}, not {spec.name!r}")
    for what, found in (
        (f"{table} is", table_sha256),
        (f"{weights.path} was trained on", weights.info["table_sha256"]),
    ):
        if found != judged["corpus"]["sha256"]:
            raise InputError(
                f"{verdict} judged the table with sha256 {judged['corpus']['sha256']}, but {what} {found}: "
                "fit and judge again on the same table"
            )
    seen = judged["per_seed"].get(str(seed), {}).get("weights_sha256")
    if seen != weights_sha256:
        raise InputError(
            f"{verdict} judged weights {seen} for seed {seed}, but {weights.path} is {weights_sha256}: judge again"
        )
    return judged


def export(
    config: Path,
    checkpoint: Path,
    verdict: Path | None,
    table: Path | None,
    output: Path,
    *,
    train_commit: str | None = None,
) -> dict[str, Any]:
    """Write ``model.onnx`` and its sidecar (same name, ``.json``), and return the sidecar.

    A model that was held is exported too; its sidecar says so, and the registry will not ship it. Initial weights
    (of a fit with 0 epochs) are exported without a verdict, as "UNTRAINED", which no registry takes.

    Args:
        config: the model's YAML file.
        checkpoint: ``weights.safetensors`` of the seed.
        verdict: ``verdict.json`` of the model; None for initial weights only.
        table: the table that it was trained on; None where there is no verdict.
        output: the ONNX file.
        train_commit: version of the training code; by default the identity of the code of ``fit``.

    Raises:
        InputError: the verdict judged other weights or another table, there is none for trained weights, or the file
            would hold what it may not.
        PyvmafError: torch and onnxruntime disagree.
    """
    started = time.perf_counter()
    spec = load_spec(config)
    weights = load_weights(checkpoint)
    seed = weights.info["seed"]
    inputs = {"config": config, "checkpoint": checkpoint}
    if verdict is not None and table is not None:
        judged = _judged(spec, weights, verdict, table)
        inputs |= {"verdict": verdict, "features": table}
    elif weights.info["epochs"] == 0:
        judged = {"verdict": UNTRAINED, "gate": None}
    else:
        raise InputError(
            f"{checkpoint} holds weights that were trained for {weights.info['epochs']} epochs: judge them, and name "
            "the verdict and the table; only initial weights (--epochs 0) are exported without"
        )

    exported = export_member(spec, weights)
    place = weights.place(None)
    block = _block(spec, weights)
    sidecar_path = output.with_suffix(".json")
    args = {**inputs, "train_commit": train_commit}
    low, high = weights.feature_low[place], weights.feature_high[place]
    sidecar: dict[str, Any] = {
        "schema_version": 1,
        "name": spec.name,
        "kind": spec.kind,
        "description": spec.description,
        "onnx": output.name,
        "sha256": sha256_bytes(exported.data),
        "bytes": len(exported.data),
        "onnx_opset": spec.export.opset,
        "operators": exported.operators,
        "n_params": exported.n_parameters,
        "input_name": FEATURES,
        "output_name": SCORE,
        "features": list(spec.inputs.names),
        "input_normalization": {
            "mean": weights.scaler_mean[place].tolist(),
            "std": weights.scaler_std[place].tolist(),
            "in_graph": spec.export.scaler == "baked",
        },
        "input_guard": spec.inputs.guard,
        "input_guard_margin": dict(spec.inputs.guard_margin),
        "input_transforms": dict(spec.inputs.transforms),
        "feature_ranges": {name: [float(a), float(b)] for name, a, b in zip(spec.inputs.names, low, high, strict=True)},
        "codec": None
        if block is None
        else {
            "input_name": CODEC,
            "vocabulary": block.version,
            "vocabulary_sha256": block.sha256,
            "slots": list(block.slots),
            "layout": list(block.layout),
            "blind": block.blind_or_none,
        },
        "expected_output_range": list(spec.target.range),
        "target": spec.target.column,
        "dataset": weights.info["table"],
        "dataset_sha256": weights.info["table_sha256"],
        "train_commit": train_commit or f"code:{identity('fit')}",
        "train_config_hash": weights.train_config_hash,
        "seed": seed,
        "epochs": weights.info["epochs"],
        "license": spec.license,
        "quant_mode": "fp32",
        "roundtrip": {"error": exported.error, "tolerance": spec.export.tolerance},
        "verdict": judged["verdict"],
        "gates": judged["gate"],
    }
    write_bytes(output, exported.data)
    sidecar["run_provenance"] = build_run_provenance(verb="export", args=args, inputs=inputs, outputs={"onnx": output})
    check_sidecar(sidecar, str(sidecar_path))
    write_json(sidecar_path, sidecar)
    write_manifest(
        output,
        verb="export",
        args=args,
        inputs=inputs,
        outputs={"onnx": output, "sidecar": sidecar_path},
        seconds=time.perf_counter() - started,
    )
    return sidecar
