"""``vmaf-train audit-compat``: whether model files, sidecars, int8 reports and registries fit together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from pyvmaf.base.document import (
    Call,
    Count,
    Document,
    Name,
    Part,
    RunProvenance,
    Sha256,
    publish,
)
from pyvmaf.base.families import FAMILIES
from pyvmaf.base.files import read_json, relative, sha256_bytes, sha256_file
from pyvmaf.base.outputs import MANIFEST_SUFFIX, publishes
from pyvmaf.checks.subject import open_subject
from pyvmaf.errors import InputError, MissingFileError, PyvmafError
from pyvmaf.quantized.report import Int8Report
from pyvmaf.registry.consistency import check_registry
from pyvmaf.registry.entry import FOREIGN_KINDS, Registry
from pyvmaf.runtime import allowlist
from pyvmaf.runtime.find import describe
from pyvmaf.runtime.load import MAX_SIDECAR_BYTES, peek
from pyvmaf.runtime.manifest import EnsembleManifest
from pyvmaf.runtime.sidecar import Sidecar
from pyvmaf.scoring.find import is_ensemble

_ROWS = 33


class AuditedModel(Part):
    """An ONNX file that was audited."""

    path: Name
    sha256: Sha256
    bytes: Count


class Finding(Part):
    """A contradiction between files, or a file that cannot be used as it is."""

    level: Literal["error", "warning", "note"] = Field(description="note: as it should be, but not for use")
    path: Name
    message: Name


class AuditCompat(Document):
    """Report of ``vmaf-train audit-compat``."""

    title: ClassVar[str] = "Report of vmaf-train audit-compat"

    schema_version: Literal[1] = 1
    target: Name
    models: list[AuditedModel]
    ensembles: list[Name]
    registries: list[Name]
    findings: list[Finding]
    errors: Count
    warnings: Count
    passed: bool = Field(description="No error and no warning.")
    run_provenance: RunProvenance


def _error(path: Path, message: str) -> Finding:
    return Finding(level="error", path=relative(path), message=message)


def _note(path: Path, message: str) -> Finding:
    return Finding(level="note", path=relative(path), message=message)


def _warning(path: Path, message: str) -> Finding:
    return Finding(level="warning", path=relative(path), message=message)


# ---------------------------------------------------------------------------------------------------------
# Models


def _run_findings(path: Path) -> Iterator[Finding]:
    """Load a model the way a caller does, which compares it with all that describes it, and score rows."""
    model = open_subject(path).described()
    answers = model.predict(*model.examples(_ROWS)).answers
    low, high = model.sidecar["expected_output_range"]
    outside = float(np.mean((answers < low) | (answers > high)))
    if outside > 0.5:
        yield _warning(
            path, f"answers {outside:.0%} of rows inside its training range with scores outside of [{low:g}, {high:g}]"
        )


def _int8_findings(path: Path, sha256: str) -> Iterator[Finding]:
    """Compare an int8 variant with its report; a variant with a finding here is not examined further."""
    report = path.with_suffix(".json")
    body = read_json(report) if report.is_file() else None
    if not isinstance(body, dict) or not isinstance(body.get("int8"), dict):
        return
    stated = Int8Report.read(report)
    if sha256 != stated.int8.sha256:
        yield _error(report, f"pins sha256 {stated.int8.sha256}, but {path.name} has {sha256}")
    elif not stated.passed:
        yield _note(report, f"is not for use: {'; '.join(stated.missed) or 'its gate failed'}")


def _model_findings(path: Path) -> Iterator[Finding]:
    data = allowlist.read_model(path)
    if unusable := list(_int8_findings(path, sha256_bytes(data))):
        yield from unusable
        return
    _, problems = allowlist.scan(allowlist.parse(data, str(path)))
    yield from (_error(path, f"holds what a model may not: {problem}") for problem in problems)
    if path.with_name(f"{path.name}.data").exists():
        yield _warning(path, f"has {path.name}.data beside it, which is never read")
    sidecar = describe(path).sidecar
    if sidecar is None:
        yield _warning(path, "does not have a sidecar: nothing says what its inputs mean")
        return
    if sidecar == path.with_suffix(".json") and (named := peek(sidecar, "onnx")) != path.name:
        yield _error(sidecar, f"describes {named}, but lies beside {path.name}")
    if problems:
        return
    if (kind := peek(sidecar, "kind")) in FOREIGN_KINDS and kind not in FAMILIES:
        Sidecar.read(sidecar)
        yield _note(path, f"is of kind {kind}, which nothing here can score with")
        return
    yield from _run_findings(path)


# ---------------------------------------------------------------------------------------------------------
# Files that name models


def _ensemble_findings(path: Path) -> Iterator[Finding]:
    """Load an ensemble and score rows; of one that is held, compare only the hashes of the members."""
    manifest = read_json(path)
    EnsembleManifest.read(path)
    for member in manifest["members"]:
        for name, pin in (("onnx", "sha256"), ("sidecar", "sidecar_sha256")):
            file = path.parent / member[name]
            if not file.is_file():
                yield _error(path, f"names {member[name]}, which does not exist")
                return
            if (sha256 := sha256_file(file)) != member[pin]:
                yield _error(path, f"pins sha256 {member[pin]}, but {member[name]} has {sha256}")
                return
    if manifest["verdict"] == "PROMOTE":
        yield from _run_findings(path)
    else:
        yield _note(path, f"is held: {manifest['coverage_gate']['why'] or 'its members are held'}")


def _registry_findings(path: Path) -> Iterator[Finding]:
    yield from (_error(path, message) for message in check_registry(path))


def _orphan_findings(path: Path) -> Iterator[Finding]:
    """Find a sidecar whose model does not exist."""
    body = read_json(path)
    onnx = body.get("onnx") if isinstance(body, dict) and "onnx_opset" in body else None
    if isinstance(onnx, str) and not path.with_name(onnx).is_file():
        yield _error(path, f"describes {onnx}, which does not exist")


class _Files(NamedTuple):
    models: list[Path]
    ensembles: list[Path]
    registries: list[Path]
    others: list[Path]
    """JSON files that may be sidecars of models that do not exist."""
    odd: list[Path]
    """Models that are not regular files."""


def _files(target: Path) -> _Files:
    """List the files to audit.

    Raises:
        MissingFileError: the folder or registry does not exist.
        InputError: there are neither models nor a registry.
    """
    odd: list[Path] = []
    if target.is_dir():
        named = sorted(target.rglob("*.onnx"))
        models, odd = [p for p in named if p.is_file()], [p for p in named if not p.is_file()]
        registries = sorted(target.rglob("registry.json"))
        documents = [p for p in sorted(target.rglob("*.json")) if not p.name.endswith(MANIFEST_SUFFIX) and p.is_file()]
        ensembles = [p for p in documents if p.stat().st_size <= MAX_SIDECAR_BYTES and is_ensemble(p)]
        others = [p for p in documents if p not in registries and p not in ensembles]
    elif target.is_file():
        entries = Registry.read(target).models
        listed = {target.parent / file for entry in entries for file in (entry.onnx, entry.int8) if file is not None}
        manifests = {target.parent / entry.ensemble.manifest for entry in entries if entry.ensemble is not None}
        models, registries, others = sorted(p for p in listed if p.is_file()), [target], []
        ensembles = sorted(p for p in manifests if p.is_file())
    else:
        raise MissingFileError(f"no such file or folder: {target}")
    if not models and not registries and not odd:
        raise InputError(f"{target} holds neither models (*.onnx) nor a registry (registry.json)")
    return _Files(models, ensembles, registries, others, odd)


def _odd_findings(path: Path) -> Iterator[Finding]:
    yield _error(path, "is not a regular file: a model is read from one only")


def _findings(files: _Files) -> Iterator[Finding]:
    examine: tuple[tuple[list[Path], Callable[[Path], Iterator[Finding]]], ...] = (
        (files.models, _model_findings),
        (files.ensembles, _ensemble_findings),
        (files.registries, _registry_findings),
        (files.others, _orphan_findings),
        (files.odd, _odd_findings),
    )
    for paths, of_path in examine:
        for path in paths:
            try:
                yield from of_path(path)
            except PyvmafError as err:
                yield _error(path, str(err))


@publishes("audit-compat")
def audit_compat(target: Path, *, output: Path | None = None) -> AuditCompat:
    """Examine every model below a folder, or every file that a registry lists.

    A model file is scanned, compared with its sidecar (inputs, outputs, operators, opset, scaler, sizes, hashes,
    codec vocabulary), loaded the way a caller does, and run on rows of its training range. An int8 variant is compared
    with its report, an ensemble with its members, a registry with its schema, its files and their sidecars.

    Args:
        target: a folder, or a ``registry.json``.
        output: JSON file for the report.

    Returns:
        The report: each finding with its level ("error", "warning", or "note" for a file that is not for use and is
        marked so); ``passed`` if there are no errors and warnings.

    Raises:
        MissingFileError: the folder or file does not exist.
        InputError: it holds neither models nor a registry.
    """
    files = _files(target)
    call = Call(
        "audit-compat",
        args={"model_dir": target},
        inputs={"model": files.models, "ensemble": files.ensembles, "registry": files.registries},
    )
    findings = list(_findings(files))
    report = AuditCompat(
        target=relative(target),
        models=[
            AuditedModel(path=relative(path), sha256=sha256_file(path), bytes=path.stat().st_size)
            for path in files.models
        ],
        ensembles=[relative(path) for path in files.ensembles],
        registries=[relative(path) for path in files.registries],
        findings=findings,
        errors=sum(finding.level == "error" for finding in findings),
        warnings=sum(finding.level == "warning" for finding in findings),
        passed=all(finding.level == "note" for finding in findings),
        run_provenance=call.provenance(),
    )
    return publish(report, output, call)
