"""Whether a registry agrees with the files that it names, and these with each other.

An entry names a model's file, its sidecar, its verdict, an int8 variant with its report, and an ensemble. Each of these
documents says which files it is of, so that an entry made of parts of several models contradicts itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pyvmaf.base import layout
from pyvmaf.base.files import dumps, sha256_file
from pyvmaf.errors import IntegrityError, MissingFileError, PyvmafError
from pyvmaf.models.imported.conversion import Conversion
from pyvmaf.models.verdicts import HOLD, PROMOTE, Verdict
from pyvmaf.quantized.report import Int8Report
from pyvmaf.registry.entry import Entry, Gate, Held, Registry
from pyvmaf.runtime.load import read_pinned
from pyvmaf.runtime.manifest import EnsembleManifest
from pyvmaf.runtime.session import short
from pyvmaf.runtime.sidecar import UNJUDGED, Sidecar


def _differences(where: str, pairs: Iterable[tuple[str, object, str, object]]) -> Iterator[str]:
    """Give a sentence for each pair of values that are stated and differ: (what, ours, what the file calls it, its own)."""
    for what, ours, theirs, value in pairs:
        if ours is not None and value is not None and ours != value:
            yield f"its {what} is {short(repr(ours))}, but {where} says {theirs} {short(repr(value))}"


def disagreements(entry: Entry, registry: Path) -> list[str]:
    """List what contradicts an entry in the documents that describe its model, one sentence each.

    These are the sidecar, the report of its int8 variant and the manifest of its ensemble: each says which files it is of.

    Raises:
        MissingFileError: one of these documents does not exist.
        IntegrityError: it is damaged, or not the one that the entry pins.
    """
    home = registry.parent
    problems = list(_of_sidecar(entry, home)) + list(_of_int8(entry, home)) + list(_of_ensemble(entry, home))
    return [f"{entry.id}: {problem}" for problem in problems]


def _normal(path: Path) -> Path:
    """Leave ``folder/..`` out of a path, for messages."""
    return Path(os.path.normpath(path))


def _of_sidecar(entry: Entry, home: Path) -> Iterator[str]:
    if entry.sidecar is None:
        return
    path = _normal(home / entry.sidecar)
    sidecar = Sidecar.parse(dumps(read_pinned(path, None, entry.sidecar_sha256)), str(path))
    yield from _differences(
        str(path),
        (
            ("id", entry.id, "name", sidecar.name),
            ("kind", entry.kind, "kind", sidecar.kind),
            ("sha256", entry.sha256, "sha256", sidecar.sha256),
            ("opset", entry.opset, "onnx_opset", sidecar.onnx_opset),
            ("license", entry.license, "license", sidecar.license),
            ("dataset", entry.dataset, "dataset", sidecar.dataset),
            ("train_commit", entry.train_commit, "train_commit", sidecar.train_commit),
            ("train_config_hash", entry.train_config_hash, "train_config_hash", sidecar.train_config_hash),
            ("table_sha256", entry.table_sha256, "dataset_sha256", sidecar.dataset_sha256),
            ("seed", entry.selection and entry.selection.seed, "seed", sidecar.seed),
        ),
    )
    if sidecar.verdict not in ("PROMOTE", UNJUDGED):
        yield f"it ships, but {path} says {sidecar.verdict}"
    if sidecar.verdict == UNJUDGED and (entry.verdict is not None or entry.gate is not None):
        yield f"it names a verdict or gates, but {path} says {UNJUDGED}"
    if entry.gate is not None and not entry.gate.passed:
        yield "it ships, but its gates did not pass"


def _of_int8(entry: Entry, home: Path) -> Iterator[str]:
    if entry.int8 is None:
        return
    if entry.int8_report is None:
        yield f"its int8 variant {entry.int8} has no int8_report that says which model it was made from"
        return
    path = _normal(home / entry.int8_report)
    report = Int8Report.parse(dumps(read_pinned(path, None, entry.int8_report_sha256)), str(path))
    yield from _differences(
        str(path),
        (
            ("id", entry.id, "model", report.model),
            ("sha256", entry.sha256, "fp32.sha256", report.fp32.sha256),
            ("int8_sha256", entry.int8_sha256, "int8.sha256", report.int8.sha256),
            ("table_sha256", entry.table_sha256, "table_sha256", report.table_sha256),
            ("quant_drop_plcc", entry.quant_drop_plcc, "drop", report.drop),
            ("quant_accuracy_budget_plcc", entry.quant_accuracy_budget_plcc, "budget", report.budget),
            ("quant_mode", entry.quant_mode, "mode", report.mode.removesuffix("_qdq")),
        ),
    )
    if not report.passed:
        yield f"its int8 variant ships, but {path} says that it does not pass: {'; '.join(report.missed)}"


def _of_ensemble(entry: Entry, home: Path) -> Iterator[str]:
    if entry.ensemble is None:
        return
    path = _normal(home / entry.ensemble.manifest)
    manifest = EnsembleManifest.parse(dumps(read_pinned(path, None, entry.ensemble.manifest_sha256)), str(path))
    yield from _differences(
        str(path),
        (
            ("id", entry.id, "id", manifest.id),
            ("kind", f"{entry.kind}_ensemble", "kind", manifest.kind),
            ("verdict_sha256", entry.verdict_sha256, "verdict_sha256", manifest.verdict_sha256),
            ("table_sha256", entry.table_sha256, "dataset_sha256", manifest.dataset_sha256),
            ("interval", entry.ensemble.interval, "confidence.interval", manifest.confidence.interval),
        ),
    )
    ours = {(member.seed, member.sha256, member.sidecar_sha256) for member in entry.ensemble.members}
    if ours != {(member.seed, member.sha256, member.sidecar_sha256) for member in manifest.members}:
        yield f"its members are not those of {path}"


def _verdict_problems(model: Entry | Held, home: Path) -> Iterator[str]:
    """Compare an entry with the verdict that it names."""
    if model.verdict is None:
        return
    path = _normal(home / model.verdict)
    converted = layout.CONVERSION.match(os.path.abspath(path)) is not None
    verdict: Verdict | Conversion = Conversion.read(path) if converted else Verdict.read(path)
    ships = isinstance(model, Entry)
    expected = PROMOTE if ships else HOLD
    if verdict.verdict != expected:
        yield f"it {'ships' if ships else 'is held'}, but {path} says {verdict.verdict}"
    yield from _differences(str(path), [("id", model.id, "model", verdict.model)])
    if model.gate is not None and model.gate.as_json() != Gate(**verdict.gate.as_json()).as_json():
        yield f"its gate is not that of {path}"
    if not isinstance(model, Entry):
        return
    if isinstance(verdict, Conversion):
        yield from _differences(
            str(path),
            (
                ("sha256", model.sha256, "onnx_sha256", verdict.onnx_sha256),
                ("sidecar_sha256", model.sidecar_sha256, "sidecar_sha256", verdict.sidecar_sha256),
                ("weights_sha256", model.weights_sha256, "weights_sha256", verdict.weights_sha256),
            ),
        )
        return
    fit = verdict.per_seed.get(str(model.selection.seed)) if model.selection is not None else None
    if model.selection is not None and fit is None:
        yield f"it ships seed {model.selection.seed}, which {path} did not judge"
    yield from _differences(
        str(path),
        (
            ("table_sha256", model.table_sha256, "corpus.sha256", verdict.corpus.sha256),
            ("train_config_hash", model.train_config_hash, "train_config_hash", verdict.train_config_hash),
            ("weights_sha256", model.weights_sha256, "weights_sha256 of its seed", fit and fit.weights_sha256),
        ),
    )


def check_registry(path: str | os.PathLike[str]) -> list[str]:
    """List the problems of a registry and of the files that it names, one sentence each.

    Every file is hashed; then each model is compared with its sidecar, its verdict, the report of its int8 variant and
    the manifest of its ensemble.

    Raises:
        MissingFileError: the registry does not exist.
    """
    file = Path(path)
    try:
        registry = Registry.read(file)
    except IntegrityError as err:
        return [str(err)]
    problems: list[str] = []
    for entry in registry.models:
        wrong = _pin_problems(entry, file)
        problems += wrong or _consistency(entry, file)
    for held in registry.held:
        problems += _pin_problems(held, file) or _consistency(held, file)
    return problems


def _pin_problems(entry: Entry | Held, registry: Path) -> list[str]:
    problems = []
    for role, named, pin in entry.pins():
        try:
            actual = sha256_file(registry.parent / named)
        except MissingFileError:
            problems.append(f"{entry.id}: {role} {named} does not exist")
            continue
        except PyvmafError as err:
            problems.append(f"{entry.id}: {role}: {err}")
            continue
        if actual != pin:
            problems.append(f"{entry.id}: {role} {named} hashes to {actual}, registered was {pin}")
    return problems


def _consistency(model: Entry | Held, registry: Path) -> list[str]:
    try:
        found = [f"{model.id}: {problem}" for problem in _verdict_problems(model, registry.parent)]
        return found + (disagreements(model, registry) if isinstance(model, Entry) else [])
    except PyvmafError as err:
        return [f"{model.id}: {err}"]
