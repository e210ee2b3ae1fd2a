"""``vmaf-train audit-compat``: whether model files, sidecars, int8 reports and registries fit together."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pyvmaf.base.document import check_document, publish_body
from pyvmaf.base.files import read_json, relative, sha256_bytes, sha256_file
from pyvmaf.base.manifest import MANIFEST_SUFFIX
from pyvmaf.checks.subject import CPU, SCHEMAS, described_by, feeds_of, graph_inputs, made_rows, open_subject, start
from pyvmaf.errors import InputError, MissingFileError, PyvmafError
from pyvmaf.models.ensemble import MANIFEST_SCHEMA
from pyvmaf.runtime import allowlist
from pyvmaf.runtime.load import MAX_SIDECAR_BYTES
from pyvmaf.runtime.sidecar import check_sidecar
from pyvmaf.scoring.find import is_ensemble

_ROWS = 33


@dataclass(frozen=True)
class _Finding:
    level: str
    path: Path
    message: str


def _sidecar_findings(path: Path, sidecar: dict[str, Any], proto: Any, operators: dict[str, int]) -> Iterator[_Finding]:
    """What a sidecar says about its graph that the graph does not."""
    beside = path.with_suffix(".json")

    def wrong(message: str) -> _Finding:
        return _Finding("error", beside, message)

    opset = next((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), 0)
    if sidecar["onnx_opset"] != opset:
        yield wrong(f"says opset {sidecar['onnx_opset']}, but {path.name} is of opset {opset}")
    if "operators" in sidecar and sidecar["operators"] != operators:
        yield wrong(f"lists operators {sidecar['operators']}, but {path.name} has {operators}")
    if sidecar["onnx"] != path.name:
        yield wrong(f"describes {sidecar['onnx']}, but lies beside {path.name}")
    if "bytes" in sidecar and sidecar["bytes"] != path.stat().st_size:
        yield wrong(f"says {sidecar['bytes']} bytes, but {path.name} has {path.stat().st_size}")
    yield from _scaler_findings(path, sidecar, proto)
    if sidecar["verdict"] == "PROMOTE" and not sidecar["gates"]["passed"]:
        yield wrong("says PROMOTE, but its gates did not pass")


def _tensor_findings(path: Path, sidecar: dict[str, Any], proto: Any) -> Iterator[_Finding]:
    """Inputs and outputs of a graph that are not those of its sidecar, which an int8 variant shares."""
    wanted = {sidecar["input_name"]: len(sidecar["features"])}
    if sidecar["codec"] is not None:
        wanted[sidecar["codec"]["input_name"]] = len(sidecar["codec"]["layout"])
    shapes = graph_inputs(proto)
    found = {name: shape[-1] if shape else None for name, shape in shapes.items()}
    if found != wanted:
        yield _Finding("error", path, f"takes {found} (columns by input), but its sidecar describes {wanted}")
    if any(shape and shape[0] is not None for shape in shapes.values()):
        yield _Finding("warning", path, "takes one batch size only")
    outputs = [value.name for value in proto.graph.output]
    if outputs != [sidecar["output_name"]]:
        yield _Finding("error", path, f"gives {outputs}, but its sidecar names the output {sidecar['output_name']!r}")


def _scaler_findings(path: Path, sidecar: dict[str, Any], proto: Any) -> Iterator[_Finding]:
    """A scaler inside the graph must be the one that the sidecar states."""
    from onnx import numpy_helper

    scaling = sidecar["input_normalization"]
    inside = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer if t.name.startswith("scaler.")}
    for key in ("mean", "std"):
        constant = inside.get(f"scaler.{key}")
        if constant is None or not scaling["in_graph"]:
            continue
        stated = np.asarray(scaling[key], dtype=np.float32)
        if constant.shape != stated.shape or not np.array_equal(constant, stated):
            yield _Finding(
                "error",
                path.with_suffix(".json"),
                f"states a {key} of the inputs that is not the one inside {path.name}",
            )


def _run_findings(path: Path) -> Iterator[_Finding]:
    """Load a model the way a caller does, and score rows of its training range."""
    subject = open_subject(path)
    model = subject.described()
    X, codec = made_rows(model, _ROWS)
    for n in (1, _ROWS):
        rows = feeds_of(subject, X[:n], None if codec is None else codec[:n])
        for data in subject.graphs:
            (scores,) = start(data, CPU).run(None, rows)
            if np.shape(scores) != (n,):
                yield _Finding("error", path, f"answers {n} rows with shape {np.shape(scores)}")
                return
            if not np.isfinite(scores).all():
                yield _Finding("error", path, "answers rows of its training range with NaN or infinity")
                return
    scores = model.predict(X, codec).scores
    low, high = model.sidecar["expected_output_range"]
    outside = float(np.mean((scores < low) | (scores > high)))
    if outside > 0.5:
        yield _Finding(
            "warning",
            path,
            f"answers {outside:.0%} of rows inside its training range with scores outside of [{low:g}, {high:g}]",
        )


def _model_findings(path: Path) -> Iterator[_Finding]:
    data = allowlist.read_model(path)
    found_sha = sha256_bytes(data)
    proto = allowlist.parse(data, str(path))
    operators, problems = allowlist.scan(proto)
    report = path.with_suffix(".json")
    body = read_json(report) if report.is_file() else None
    if isinstance(body, dict) and isinstance(body.get("int8"), dict):
        if found_sha != body["int8"]["sha256"]:
            yield _Finding("error", report, f"pins sha256 {body['int8']['sha256']}, but {path.name} has {found_sha}")
            return
        if not body["passed"]:
            # What it holds is known, and it is used nowhere.
            yield _Finding(
                "warning", report, f"is not for use: {'; '.join(body.get('missed', ())) or 'its gate failed'}"
            )
            return
    yield from (_Finding("error", path, f"holds what a model may not: {problem}") for problem in problems)
    if path.with_name(f"{path.name}.data").exists():
        yield _Finding("warning", path, f"has {path.name}.data beside it, which is never read")
    described = described_by(path)
    if described is None:
        yield _Finding("warning", path, "has no sidecar, so that nothing says what its inputs mean")
        return
    sidecar, pin = described
    stated = read_json(sidecar)
    if pin is None and isinstance(stated, dict) and stated.get("sha256") not in (None, found_sha):
        yield _Finding("error", sidecar, f"pins sha256 {stated['sha256']}, but {path.name} has {found_sha}")
        return
    if problems:
        return
    check_sidecar(stated, str(sidecar))
    own = _sidecar_findings(path, stated, proto, operators) if pin is None else ()
    found = [*own, *_tensor_findings(path, stated, proto)]
    yield from found
    if not any(f.level == "error" for f in found):
        yield from _run_findings(path)


def _ensemble_findings(path: Path) -> Iterator[_Finding]:
    """An ensemble is loaded and asked as a whole; of one that is held, only the members' hashes are looked at."""
    manifest = read_json(path)
    check_document(manifest, MANIFEST_SCHEMA, str(path))
    for member in manifest["members"]:
        for name, pin in (("onnx", "sha256"), ("sidecar", "sidecar_sha256")):
            file = path.parent / member[name]
            if not file.is_file():
                yield _Finding("error", path, f"names {member[name]}, which is not there")
                return
            if (found := sha256_file(file)) != member[pin]:
                yield _Finding("error", path, f"pins sha256 {member[pin]}, but {member[name]} has {found}")
                return
    if manifest["verdict"] == "PROMOTE":
        yield from _run_findings(path)
    else:
        yield _Finding("warning", path, f"is held: {manifest['coverage_gate']['why'] or 'its members are held'}")


def _registry_findings(path: Path) -> Iterator[_Finding]:
    from pyvmaf.registry.register import check_registry, load_registry

    wrong = check_registry(path)
    yield from (_Finding("error", path, message) for message in wrong)
    if wrong:
        return
    for entry in load_registry(path)["models"]:
        if "sidecar" not in entry:
            continue
        sidecar = read_json(path.parent / entry["sidecar"])
        for ours, theirs in (("id", "name"), ("kind", "kind"), ("opset", "onnx_opset"), ("license", "license")):
            if ours in entry and theirs in sidecar and entry[ours] != sidecar[theirs]:
                yield _Finding(
                    "error", path, f"{entry['id']}: {ours} {entry[ours]!r}, but its sidecar says {sidecar[theirs]!r}"
                )
        if sidecar.get("verdict") == "HOLD":
            yield _Finding("error", path, f"{entry['id']} ships, but its sidecar says HOLD")


def _orphans(files: list[Path]) -> Iterator[_Finding]:
    for path in files:
        try:
            found = read_json(path)
        except PyvmafError as err:
            yield _Finding("error", path, str(err))
            continue
        named = found.get("onnx") if isinstance(found, dict) and "onnx_opset" in found else None
        if isinstance(named, str) and not path.with_name(named).is_file():
            yield _Finding("error", path, f"describes {named}, which is not there")


def audit_compat(target: Path, *, output: Path | None = None) -> dict[str, Any]:
    """Look at every model below a folder, or at every file that a registry lists.

    A model file is scanned, held against its sidecar (inputs, outputs, operators, opset, scaler, sizes, hashes,
    codec vocabulary), loaded the way a caller does, and asked to score rows of its training range. An int8 variant is
    held against its report, an ensemble against its members. A registry is held against its schema, its files and their sidecars.

    Args:
        target: a folder, or a ``registry.json``.
        output: JSON file for the report.

    Returns:
        The report: each finding with its level ("error", "warning"); ``passed`` where there is none of either.

    Raises:
        MissingFileError: there is no such folder or file.
        InputError: it holds neither models nor a registry.
    """
    started = time.perf_counter()
    if target.is_dir():
        models = sorted(target.rglob("*.onnx"))
        registries = sorted(target.rglob("registry.json"))
        described = [p for p in sorted(target.rglob("*.json")) if not p.name.endswith(MANIFEST_SUFFIX)]
        ensembles = [p for p in described if p.stat().st_size <= MAX_SIDECAR_BYTES and is_ensemble(p)]
        others = [p for p in described if p not in registries and p not in ensembles]
    elif target.is_file():
        from pyvmaf.registry.register import load_registry

        entries = load_registry(target)["models"]
        listed = {target.parent / e[key] for e in entries for key in ("onnx", "int8") if key in e}
        made = {target.parent / e["ensemble"]["manifest"] for e in entries if "ensemble" in e}
        models, registries, others = sorted(p for p in listed if p.is_file()), [target], []
        ensembles = sorted(p for p in made if p.is_file())
    else:
        raise MissingFileError(f"no such file or folder: {target}")
    if not models and not registries:
        raise InputError(f"{target} holds neither models (*.onnx) nor a registry (registry.json)")
    findings: list[_Finding] = []
    looked = [
        *((p, _model_findings) for p in models),
        *((p, _ensemble_findings) for p in ensembles),
        *((p, _registry_findings) for p in registries),
    ]
    for path, look in looked:
        try:
            findings += look(path)
        except PyvmafError as err:
            findings.append(_Finding("error", path, str(err)))
    findings += _orphans(others)
    counted = {level: sum(f.level == level for f in findings) for level in ("error", "warning")}
    return publish_body(
        {
            "target": relative(target),
            "models": [{"path": relative(p), "sha256": sha256_file(p), "bytes": p.stat().st_size} for p in models],
            "ensembles": [relative(p) for p in ensembles],
            "registries": [relative(p) for p in registries],
            "findings": [{"level": f.level, "path": relative(f.path), "message": f.message} for f in findings],
            "errors": counted["error"],
            "warnings": counted["warning"],
            "passed": not findings,
        },
        output,
        schema=SCHEMAS / "audit-compat.schema.json",
        verb="audit-compat",
        args={"model_dir": target},
        inputs={"model": models, "ensemble": ensembles, "registry": registries},
        started=started,
    )
