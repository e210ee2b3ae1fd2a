"""``vmaf-train export``: ONNX and sidecar of a trained member, checked before they are written."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from pyvmaf.base.code import identity
from pyvmaf.base.files import sha256_bytes, sha256_file, write_bytes, write_json
from pyvmaf.base.manifest import build_run_provenance, write_manifest
from pyvmaf.base.outputs import claim, publishes
from pyvmaf.errors import InputError, PyvmafError
from pyvmaf.models.families import describe_part, trials_part
from pyvmaf.models.graphs import Checked, member_graph
from pyvmaf.models.spec import ModelSpec, load_spec
from pyvmaf.models.verdicts import Verdict
from pyvmaf.models.weights import Weights, load_weights
from pyvmaf.runtime import allowlist
from pyvmaf.runtime.session import run_all, session, with_inner
from pyvmaf.runtime.sidecar import UNTRAINED, check_sidecar


def parity(spec: ModelSpec, weights: Weights, data: bytes, held_out: str | None = None) -> float:
    """Compare the answers of the trained network with those of its graph in onnxruntime.

    Args:
        spec: the model.
        weights: of a fit of that model.
        data: the graph of a member.
        held_out: which member; None for the one that was trained on all rows.

    Returns:
        See `difference`.

    Raises:
        PyvmafError: it exceeds the spec's tolerance.
    """
    worst = difference(spec, weights, data, held_out)
    if not worst <= spec.export.tolerance:
        raise PyvmafError(
            f"torch and onnxruntime differ by {worst:.3g} of the output range on the export of {spec.name}, "
            f"but its tolerance is {spec.export.tolerance:g}: weights this large need a lower learning rate, or the "
            "spec a wider tolerance"
        )
    return worst


def difference(spec: ModelSpec, weights: Weights, data: bytes, held_out: str | None = None) -> float:
    """Measure how far a graph's answers are from those of the trained network; arguments are those of `parity`.

    Returns:
        The largest difference over the family's trials, relative to the width of the output's range, or to the answer
        itself if that is larger.

    Raises:
        PyvmafError: answers have another shape.
    """
    width = spec.target.range[1] - spec.target.range[0]
    where = f"the export of {spec.name}"
    runtime = None
    errors = []
    for trial in trials_part(spec.kind).trials(spec, weights, held_out):
        if runtime is None:
            runtime = session(
                with_inner(allowlist.parse(data, where), list(trial.inner), where) if trial.inner else data
            )
        for answer, expected in zip(
            run_all(runtime, trial.feeds), (trial.expected, *trial.inner.values()), strict=True
        ):
            if answer.shape != expected.shape:
                raise PyvmafError(
                    f"{where} answers with shape {answer.shape}, but the trained network with {expected.shape}"
                )
            span = width if trial.span is None else trial.span
            errors.append(np.max(np.abs(answer - expected) / np.maximum(span, np.abs(expected))))
    return float(np.max(errors))  # numpy's maximum keeps NaN, Python's may lose it


def _judged(spec: ModelSpec, weights: Weights, verdict: Path, table: Path) -> dict[str, Any]:
    """Read the verdict; it must be of these weights and of this table."""
    judged = Verdict.read(verdict).as_json()
    table_sha256, weights_sha256, seed = sha256_file(table), weights.sha256(), weights.info["seed"]
    if judged["model"] != spec.name:
        raise InputError(f"{verdict} judged model {judged['model']!r}, not {spec.name!r}")
    for what, sha256 in (
        (f"{table} is", table_sha256),
        (f"{weights.path} was trained on", weights.info["table_sha256"]),
    ):
        if sha256 != judged["corpus"]["sha256"]:
            raise InputError(
                f"{verdict} judged the table with sha256 {judged['corpus']['sha256']}, but {what} {sha256}: "
                "fit and judge again on the same table"
            )
    judged_weights = judged["per_seed"].get(str(seed), {}).get("weights_sha256")
    if judged_weights != weights_sha256:
        raise InputError(
            f"{verdict} judged weights {judged_weights} for seed {seed}, but {weights.path} is {weights_sha256}: judge again"
        )
    return judged


@publishes("export")
def export(
    config: Path,
    checkpoint: Path,
    verdict: Path | None,
    table: Path | None,
    output: Path,
    *,
    train_commit: str | None = None,
    opset: int | None = None,
) -> dict[str, Any]:
    """Write ``model.onnx`` and its sidecar (same name, ``.json``), and return the sidecar.

    A held model is exported too; its sidecar says so, and the registry does not ship it. Initial weights (of a fit with 0
    epochs) are exported without a verdict, as "UNTRAINED"; no registry takes them.

    Args:
        config: the model's YAML file.
        checkpoint: ``weights.safetensors`` of the seed.
        verdict: ``verdict.json`` of the model; None for initial weights only.
        table: the table that it was trained on; None if there is no verdict.
        output: the ONNX file.
        train_commit: version of the training code; by default the identity of the code of ``fit``.
        opset: operator set that the file must ask for; None for whatever it asks for.

    Raises:
        InputError: the verdict judged other weights or another table, there is none for trained weights, the file would
            hold content that is not allowed, or the operator set is another one.
        PyvmafError: torch and onnxruntime disagree.
    """
    started = time.perf_counter()
    spec = load_spec(config)
    if opset is not None and opset != spec.export.opset:
        raise InputError(f"--opset is {opset}, but {config} exports operator set {spec.export.opset} (export.opset)")
    weights = load_weights(checkpoint)
    spec = weights.spec_of(spec)
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
    claim(output, output.with_suffix(".json"))
    exported = member_graph(spec, weights)
    error = parity(spec, weights, exported.data)
    args = {**inputs, "train_commit": train_commit}
    sidecar_path = output.with_suffix(".json")
    used = spec.uses("export")
    sidecar: dict[str, Any] = {
        **_core(spec, weights, exported),
        **describe_part(spec.kind).describe(spec, weights),
        "onnx": output.name,
        "roundtrip": {"error": error, "tolerance": spec.export.tolerance},
        "train_commit": train_commit or f"code:{identity('fit', spec.uses('fit'))}",
        "verdict": judged["verdict"],
        "gates": judged["gate"],
    }
    write_bytes(output, exported.data)
    sidecar["run_provenance"] = build_run_provenance(
        verb="export", args=args, inputs=inputs, outputs={"onnx": output}, uses=used
    )
    check_sidecar(sidecar, str(sidecar_path))
    write_json(sidecar_path, sidecar)
    write_manifest(
        output,
        verb="export",
        uses=used,
        args=args,
        inputs=inputs,
        outputs={"onnx": output, "sidecar": sidecar_path},
        seconds=time.perf_counter() - started,
    )
    return sidecar


def _core(spec: ModelSpec, weights: Weights, exported: Checked) -> dict[str, Any]:
    """The keys of a sidecar that every family has, as far as spec, weights and graph give them."""
    return {
        "schema_version": 1,
        "name": spec.name,
        "kind": spec.kind,
        "description": spec.description,
        "sha256": sha256_bytes(exported.data),
        "bytes": len(exported.data),
        "onnx_opset": spec.export.opset,
        "operators": exported.operators,
        "n_params": exported.n_parameters,
        "input_name": exported.graph.input_name,
        "output_name": exported.graph.output_name,
        "expected_output_range": list(spec.target.range),
        "target": spec.target.column,
        "dataset": weights.info["table"],
        "dataset_sha256": weights.info["table_sha256"],
        "train_config_hash": weights.train_config_hash,
        "seed": weights.info["seed"],
        "epochs": weights.info["epochs"],
        "license": spec.license,
        "quant_mode": "fp32",
    }
