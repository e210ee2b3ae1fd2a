"""Registration of one ONNX file by hand: its sidecar and its entry, other entries of the registry untouched."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field, ValidationError

from pyvmaf.base.code import Uses
from pyvmaf.base.document import Call, Document, problems
from pyvmaf.base.families import CONVERTED, FAMILIES
from pyvmaf.base.files import dumps, sha256_bytes, sha256_file, write_json
from pyvmaf.base.manifest import write_manifest
from pyvmaf.base.outputs import publishes
from pyvmaf.errors import InputError, IntegrityError, unknown_name
from pyvmaf.features.catalog import CANONICAL6
from pyvmaf.models.regressor.names import UNCLIPPED
from pyvmaf.registry.entry import FOREIGN_KINDS, MAX_BYTES, REGISTRY_NAME, Entry, Gate, Registry, relative_to
from pyvmaf.runtime import allowlist
from pyvmaf.runtime.graph import Graph
from pyvmaf.runtime.load import load_described, load_pinned, peek
from pyvmaf.runtime.session import short
from pyvmaf.runtime.sidecar import UNJUDGED, Sidecar, predictor_part

_USES = Uses(modules=("pyvmaf.registry.by_hand",))
_SIDE = 64
_NOTE = "Entered by hand: no verdict stands behind it."


class Normalization(Document):
    """The scaling that a caller applies to each input column."""

    title: ClassVar[str] = "Normalisation of a model's inputs"
    max_bytes: ClassVar[int] = MAX_BYTES

    mean: list[float] = Field(min_length=1)
    std: list[Annotated[float, Field(gt=0)]] = Field(min_length=1)


class _Request(NamedTuple):
    """The options of `register_model` that a sidecar and an entry hold."""

    kind: str
    dataset: str
    license: str
    train_commit: str
    name: str | None
    description: str | None


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
    features: Sequence[str] | None = None,
    output_range: tuple[float, float] = (0.0, 100.0),
) -> Path:
    """Write the sidecar of one ONNX file and enter it into a registry, other entries untouched.

    The graph is loaded and run before anything is written. If `export` left a sidecar beside the file, it is kept: the
    options must agree with it, and a held model is refused. Otherwise there is no verdict behind the model: its sidecar
    says UNJUDGED, and its entry says so in ``notes``.

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
            per input column, std above 0; None for a graph that takes raw features.
        features: names of the input columns, for a model of rows of features; canonical6 by default.
        output_range: smallest and largest expected value.

    Returns:
        The registry.

    Raises:
        InputError: an unknown kind, a graph with other than one input and one output or with content that is not
            allowed, a held model, a sidecar that disagrees, a JSON file in the sidecar's place that this function did
            not write, or an id or text that the registry does not allow.
        IntegrityError: the graph is not valid, cannot be run, or does not give one finite number per row.
    """
    path = Path(model)
    target = Path(registry) if registry is not None else path.with_name(REGISTRY_NAME)
    beside = path.with_suffix(".json")
    kinds = {**FOREIGN_KINDS, **{name: home for name, home in FAMILIES.items() if name not in CONVERTED}}
    if kind not in kinds:
        raise unknown_name("kind", kind, kinds)
    graph = Graph.of(allowlist.read_model(path), str(path))
    request = _Request(kind, dataset, license, train_commit, name, description)
    inputs = {"model": path}
    if train_config is not None:
        inputs["train_config"] = Path(train_config)
    if normalization is not None:
        inputs["normalization"] = Path(normalization)
    outputs = {"registry": target}
    if _is_exported(beside):
        entry = _exported_entry(request, path, beside, graph, target)
        _enter(entry, target)
        inputs["sidecar"] = beside
    else:
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise InputError(
                f"{path} has the inputs {short(', '.join(graph.inputs))} and the outputs {short(', '.join(graph.outputs))}; a model that "
                "is registered by hand has one of each"
            )
        described = _described(request, path, graph, output_range)
        described["train_config_hash"] = None if train_config is None else f"sha256:{sha256_file(train_config)}"
        if kind in FAMILIES:
            # A family that reads no rows of features says itself what a graph tells of its inputs.
            by_hand = getattr(predictor_part(kind), "by_hand", None)
            described |= by_hand(graph) if by_hand else _family_keys(path, graph, features, normalization)
        call = Call("register", args={"model": path, **request._asdict()}, inputs=inputs, uses=_USES)
        described["run_provenance"] = call.provenance().as_json()
        _try(path, graph, described)
        entry = _entry(
            request,
            path,
            beside,
            graph,
            target,
            id=described["name"],
            sidecar_sha256=sha256_bytes(dumps(described).encode()),
            train_config_hash=described["train_config_hash"],
            notes=_NOTE,
        )
        write_json(beside, described, update=True)
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
    """Return whether the JSON file beside a model is a sidecar by `export`; only such a one has a verdict.

    Raises:
        InputError: it is a file that neither `export` nor `register_model` wrote, and that would be replaced.
    """
    if not sidecar.exists():
        return False
    verdict = peek(sidecar, "verdict")
    # A sidecar of version 0.1 by hand has no verdict, but names the inputs of its graph.
    if verdict == UNJUDGED or (verdict is None and isinstance(peek(sidecar, "input_names"), list)):
        return False
    if verdict is None or peek(sidecar, "onnx_opset") is None:
        raise InputError(
            f"{sidecar} lies where the sidecar of {sidecar.with_suffix('.onnx').name} would be written, but is not one: "
            "rename either file"
        )
    return True


def _described(request: _Request, path: Path, graph: Graph, output_range: tuple[float, float]) -> dict[str, Any]:
    """Give the keys of a sidecar that every family has; nothing is known about training table and gates.

    Raises:
        InputError: the range is not one.
    """
    low, high = output_range
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(
            f"the expected range of scores is {low:g} to {high:g}: give two numbers, the smaller one first"
        )
    return {
        "schema_version": 1,
        "name": request.name or path.stem,
        "kind": request.kind,
        "onnx": path.name,
        "onnx_opset": graph.opset,
        "operators": graph.operators,
        "bytes": len(graph.data),
        "sha256": sha256_bytes(graph.data),
        "input_name": next(iter(graph.inputs)),
        "output_name": graph.outputs[0],
        "expected_output_range": list(output_range),
        "dataset": request.dataset,
        "dataset_sha256": None,
        "train_commit": request.train_commit,
        "license": request.license,
        "quant_mode": "fp32",
        "verdict": UNJUDGED,
        "gates": None,
    }


def _family_keys(
    path: Path, graph: Graph, features: Sequence[str] | None, normalization: str | os.PathLike[str] | None
) -> dict[str, Any]:
    """Give the keys of a regressor's sidecar.

    Raises:
        InputError: the columns of the input, their names and the scaling do not fit together.
    """
    ((name, shape),) = graph.inputs.items()
    names = list(CANONICAL6 if features is None else features)
    if len(shape) != 2 or shape[1] not in (None, len(names)):
        raise InputError(
            f"input {short(name)!r} of {path} is {'x'.join('N' if size is None else str(size) for size in shape)}, but it would "
            f"be fed with {len(names)} columns ({', '.join(names)}): name its columns with --features"
        )
    scaling = _scaler_inside(graph, len(names))
    if normalization is not None:
        stated = Normalization.read(normalization)
        for what, values in (("means", stated.mean), ("standard deviations", stated.std)):
            if len(values) != len(names):
                raise InputError(
                    f"{os.fspath(normalization)} has {len(values)} {what}, but {path} takes {len(names)} columns "
                    f"({', '.join(names)})"
                )
        scaling = {"mean": stated.mean, "std": stated.std, "in_graph": False}
    keys = {"features": names, "input_normalization": scaling, "feature_ranges": None, "codec": None}
    computed = {name for node in graph.proto.graph.node for name in node.output}
    return {**keys, "output_clipped": True} if UNCLIPPED in computed else keys


def _scaler_inside(graph: Graph, columns: int) -> dict[str, Any] | None:
    """Give the scaler that `export` writes into a graph; None if there is none."""
    parts = {key: graph.constant(f"scaler.{key}") for key in ("mean", "std")}
    if any(part is None or part.shape != (columns,) for part in parts.values()):
        return None
    return {**{key: part.tolist() for key, part in parts.items() if part is not None}, "in_graph": True}


def _try(path: Path, graph: Graph, described: dict[str, Any]) -> None:
    """Load the model as its callers will, before anything is written.

    Raises:
        InputError, IntegrityError: as `pyvmaf.load_model`.
    """
    if described["kind"] not in FAMILIES:
        Sidecar.parse(dumps(described), str(path.with_suffix(".json")))
        _try_foreign(graph)
        return
    load_described(path, described, str(path.with_suffix(".json")))


def _try_foreign(graph: Graph) -> None:
    """Run a graph whose inputs nothing here computes: on grey, one picture, with `_SIDE` on each axis that is open."""
    from pyvmaf.runtime.session import run, session

    shapes = {
        name: (shape[0] or 1, *(size or _SIDE for size in shape[1:])) for name, shape in graph.inputs.items() if shape
    }
    graph.check_extent(shapes)
    feeds = {name: np.full(shape, 0.5, np.float32) for name, shape in shapes.items()}
    if not np.isfinite(run(session(graph.data, where=graph.where), feeds, graph.where)).all():
        raise IntegrityError(f"{graph.where} answers grey with NaN or infinity: its weights are damaged")


def _entry(request: _Request, path: Path, sidecar: Path, graph: Graph, target: Path, **more: object) -> Entry:
    """Build an entry.

    Raises:
        InputError: the registry does not allow a value.
    """
    try:
        return Entry.model_validate(
            {
                "kind": request.kind,
                "onnx": relative_to(path, target),
                "sha256": sha256_bytes(graph.data),
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


def _exported_entry(request: _Request, path: Path, beside: Path, graph: Graph, target: Path) -> Entry:
    """Build the entry of a model with a sidecar by `export`."""
    sidecar = Sidecar.read(beside)
    if sidecar.gates is None:
        raise InputError(f"{beside} says that {sidecar.name} holds initial weights: train and judge it first")
    gate = Gate(**sidecar.gates.as_json())
    if sidecar.verdict != "PROMOTE":
        raise InputError(f"{beside} says that {sidecar.name} is held: {gate.why_held()}")
    stated = {
        "name": (sidecar.name, request.name),
        "kind": (sidecar.kind, request.kind),
        "dataset": (sidecar.dataset, request.dataset),
        "license": (sidecar.license, request.license),
        "sha256": (sidecar.sha256, sha256_bytes(graph.data)),
        "train_commit": (sidecar.train_commit, request.train_commit),
    }
    for key, (value, option) in stated.items():
        if option is not None and value != option:
            raise InputError(f"{beside} says {key} {value!r}, but {option!r} was given: they must be the same")
    load_pinned(path, sidecar=beside)
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
    """Add an entry to a registry, in place of an earlier one of the same file.

    Raises:
        InputError: the registry lists another model of this id.
    """
    registry = Registry.read(target) if target.exists() else Registry(models=[], held=[])
    if any(held.id == entry.id for held in registry.held):
        raise InputError(
            f"{target} lists {entry.id!r} as held by its gates: register this model by another name (--name)"
        )
    for other in registry.models:
        if other.id == entry.id and other.onnx != entry.onnx:
            raise InputError(
                f"{target} lists another file as {entry.id!r}, {other.onnx}: register {entry.onnx} by another name (--name)"
            )
    models = [other for other in registry.models if other.id != entry.id] + [entry]
    Registry(
        schema_version=registry.schema_version,
        models=sorted(models, key=lambda entry: entry.id),
        held=registry.held,
    ).write(target, update=True)
