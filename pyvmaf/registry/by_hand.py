"""Registration of one ONNX file by hand: its sidecar and its entry, other entries of the registry untouched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from pydantic import ValidationError

from pyvmaf.base.code import Uses
from pyvmaf.base.document import Bounds, Document, Name, Sha256, problems
from pyvmaf.base.families import FAMILIES
from pyvmaf.base.files import dumps, read_json, sha256_bytes, sha256_file
from pyvmaf.base.manifest import write_manifest
from pyvmaf.base.outputs import publishes
from pyvmaf.errors import InputError, PyvmafError, unknown_name
from pyvmaf.registry.entry import FOREIGN_KINDS, MAX_BYTES, REGISTRY_NAME, Entry, Gate, Registry, relative_to
from pyvmaf.runtime.sidecar import Sidecar

_USES = Uses(modules=("pyvmaf.registry.by_hand",))
_NOTE = "Entered by hand: no verdict stands behind it."


class Normalization(Document):
    """The scaling that a caller applies to each input column."""

    title: ClassVar[str] = "Normalisation of a model's inputs"

    mean: list[float]
    std: list[float]


class HandwrittenSidecar(Document):
    """Sidecar of a model that this project did not export."""

    title: ClassVar[str] = "Sidecar of a model that was registered by hand (model.json)"
    max_bytes: ClassVar[int] = MAX_BYTES

    schema_version: Literal[1] = 1
    name: Name
    kind: str
    onnx: Name
    onnx_opset: int
    sha256: Sha256
    input_name: Name
    input_names: list[Name]
    output_name: Name
    input_normalization: Normalization | None
    expected_output_range: Bounds
    dataset: str
    train_commit: str
    train_config_hash: str | None
    license: str


class _Request(NamedTuple):
    """The options of `register_model` that a sidecar and an entry hold."""

    kind: str
    dataset: str
    license: str
    train_commit: str
    name: str | None
    description: str | None


class _Graph(NamedTuple):
    """Signature of an ONNX file."""

    sha256: str
    opset: int
    inputs: list[str]
    output: str


@publishes("register")
def register_model(
    model: str | os.PathLike[str],
    *,
    kind: str,
    dataset: str,
    license: str,  # noqa: A002  (the option's name in the published command)
    train_commit: str,
    registry: str | os.PathLike[str] | None = None,
    name: str | None = None,
    description: str | None = None,
    train_config: str | os.PathLike[str] | None = None,
    normalization: str | os.PathLike[str] | None = None,
    output_range: tuple[float, float] = (0.0, 100.0),
) -> Path:
    """Write the sidecar of one ONNX file and enter it into a registry, other entries untouched.

    If `export` left a sidecar beside the file, it is kept: the options must agree with it, and a held model is
    refused. Otherwise there is no verdict behind the model, and its entry says so in ``notes``.

    Args:
        model: the ONNX file; its sidecar is ``<stem>.json`` beside it.
        kind: a kind of `FOREIGN_KINDS` or of this package's families.
        dataset: name of the training data.
        license: licence of the weights, an SPDX expression.
        train_commit: commit of the training code.
        registry: the registry to add to; ``registry.json`` beside the model by default. It is created if absent.
        name: the model's id; the file's stem by default.
        description: one sentence, at most 256 characters.
        train_config: configuration file of the training; its hash goes into the sidecar.
        normalization: JSON file ``{"mean": [...], "std": [...]}`` with the scaling that a caller must apply, one value
            per input column; None for a graph that takes raw features.
        output_range: smallest and largest expected value.

    Returns:
        The registry.

    Raises:
        InputError: an unknown kind, a graph with other than one output or with operators that are not allowed, a
            held model, a sidecar that disagrees, or an id or text that the registry does not allow.
    """
    path = Path(model)
    target = Path(registry) if registry is not None else path.with_name(REGISTRY_NAME)
    beside = path.with_suffix(".json")
    kinds = {**FOREIGN_KINDS, **FAMILIES}
    if kind not in kinds:
        raise unknown_name("kind", kind, kinds)
    graph = _signature(path)
    request = _Request(kind, dataset, license, train_commit, name, description)
    inputs = {"model": path}
    if train_config is not None:
        inputs["train_config"] = Path(train_config)
    outputs = {"registry": target}
    if _is_exported(beside):
        entry = _exported_entry(request, path, beside, graph, target)
        _enter(entry, target)
        inputs["sidecar"] = beside
    else:
        sidecar = HandwrittenSidecar(
            name=name or path.stem,
            kind=kind,
            onnx=path.name,
            onnx_opset=graph.opset,
            sha256=graph.sha256,
            input_name=graph.inputs[0],
            input_names=graph.inputs,
            output_name=graph.output,
            input_normalization=None if normalization is None else _normalization(Path(normalization)),
            expected_output_range=list(output_range),
            dataset=dataset,
            train_commit=train_commit,
            train_config_hash=None if train_config is None else f"sha256:{sha256_file(train_config)}",
            license=license,
        )
        entry = _entry(
            request,
            path,
            beside,
            graph,
            target,
            id=sidecar.name,
            sidecar_sha256=sha256_bytes(dumps(sidecar.as_json()).encode()),
            train_config_hash=sidecar.train_config_hash,
            notes=_NOTE,
        )
        sidecar.write(beside, update=_is_by_hand(beside))
        _enter(entry, target)
        outputs["sidecar"] = beside
    write_manifest(
        target,
        verb="register",
        uses=_USES,
        args={"model": path, "kind": kind, "dataset": dataset, "license": license, "train_commit": train_commit},
        inputs=inputs,
        outputs=outputs,
    )
    return target


def _is_exported(sidecar: Path) -> bool:
    """Return whether `export` wrote a sidecar: only such a one has a verdict."""
    body = read_json(sidecar) if sidecar.exists() else None
    return isinstance(body, dict) and "verdict" in body


def _is_by_hand(sidecar: Path) -> bool:
    """Return whether an earlier call wrote the sidecar: the registry's manifest names that of the last model only."""
    try:
        return bool(HandwrittenSidecar.read(sidecar))
    except PyvmafError:
        return False


def _entry(request: _Request, path: Path, sidecar: Path, graph: _Graph, target: Path, **more: object) -> Entry:
    """Build an entry.

    Raises:
        InputError: the registry does not allow a value.
    """
    try:
        return Entry.model_validate(
            {
                "kind": request.kind,
                "onnx": relative_to(path, target),
                "sha256": graph.sha256,
                "opset": graph.opset,
                "license": request.license,
                "dataset": request.dataset,
                "train_commit": request.train_commit,
                "smoke": False,
                "quant_mode": "fp32",
                "sidecar": relative_to(sidecar, target),
                "description": request.description or None,
                **more,
            }
        )
    except ValidationError as err:
        raise InputError(f"{target} does not allow this entry: {problems(err)}") from err


def _exported_entry(request: _Request, path: Path, beside: Path, graph: _Graph, target: Path) -> Entry:
    """Build the entry of a model with a sidecar by `export`."""
    sidecar = Sidecar.read(beside)
    stated = {
        "name": (sidecar.name, request.name),
        "kind": (sidecar.kind, request.kind),
        "dataset": (sidecar.dataset, request.dataset),
        "license": (sidecar.license, request.license),
        "sha256": (sidecar.sha256, graph.sha256),
    }
    for key, (value, option) in stated.items():
        if option is not None and value != option:
            raise InputError(f"{beside} says {key} {value!r}, but {option!r} was given: they must be the same")
    if sidecar.gates is None:
        raise InputError(f"{beside} says that {sidecar.name} holds initial weights: train and judge it first")
    gate = Gate(**sidecar.gates.as_json())
    if sidecar.verdict != "PROMOTE":
        raise InputError(f"{beside} says that {sidecar.name} is held: {gate.why_held()}")
    return _entry(
        request._replace(description=request.description or sidecar.description),
        path,
        beside,
        graph,
        target,
        id=sidecar.name,
        sidecar_sha256=sha256_file(beside),
        train_config_hash=sidecar.train_config_hash,
        gate=gate,
        table_sha256=sidecar.dataset_sha256,
    )


def _enter(entry: Entry, target: Path) -> None:
    """Add an entry to a registry in place of one with the same id."""
    registry = Registry.read(target) if target.exists() else Registry(models=[], held=[])
    models = [other for other in registry.models if other.id != entry.id] + [entry]
    Registry(
        schema_version=registry.schema_version,
        models=sorted(models, key=lambda entry: entry.id),
        held=[held for held in registry.held if held.id != entry.id],
    ).write(target, update=True)


def _normalization(path: Path) -> Normalization:
    scaling = Normalization.read(path)
    if len(scaling.mean) != len(scaling.std):
        raise InputError(f"{path}: {len(scaling.mean)} means, but {len(scaling.std)} standard deviations")
    return scaling


def _signature(path: Path) -> _Graph:
    """Read the signature of an ONNX file whose operators are all allowed.

    Raises:
        InputError: an operator is not allowed, or the graph has other than one output.
    """
    from pyvmaf.runtime import allowlist

    data = allowlist.read_model(path)
    model = allowlist.parse(data, str(path))
    allowlist.check(model, str(path))
    outputs = [value.name for value in model.graph.output]
    if len(outputs) != 1:
        raise InputError(f"{path} has {len(outputs)} outputs ({', '.join(outputs)}); a registered model has one")
    constants = {tensor.name for tensor in model.graph.initializer}
    return _Graph(
        sha256=sha256_bytes(data),
        opset=next(int(o.version) for o in model.opset_import if o.domain in ("", "ai.onnx")),
        inputs=[value.name for value in model.graph.input if value.name not in constants],
        output=outputs[0],
    )
