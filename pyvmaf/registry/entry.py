"""The registry as a document: which models ship, which are held, and the SHA-256 of every file behind that.

Paths are relative to the registry's folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from pyvmaf.base.document import (
    Count,
    Document,
    ModelId,
    Name,
    OpenPart,
    OptionalKey,
    OptionalNullableKey,
    Part,
    Sha256,
    Share,
)
from pyvmaf.base.files import dumps, sha256_file
from pyvmaf.base.table import Table
from pyvmaf.errors import InputError, IntegrityError, MissingFileError, PyvmafError, unknown_name
from pyvmaf.models.verdicts import HOLD, PROMOTE, Verdict
from pyvmaf.quantized.report import Int8Report
from pyvmaf.runtime.load import read_pinned
from pyvmaf.runtime.manifest import EnsembleManifest
from pyvmaf.runtime.sidecar import UNJUDGED, Sidecar

REGISTRY_NAME = "registry.json"
FOREIGN_KINDS: Table[str] = {
    "fr": "full reference: scores a distorted video against its reference",
    "nr": "no reference: scores a distorted video alone",
    "filter": "changes pictures",
    "mos": "predicts opinion scores",
    "saliency": "predicts where people look",
}
"""Kinds of models that may be registered by hand, beside the families of this package."""

MAX_BYTES = 1 << 20
"""Size limit of a registry and of a sidecar: they are read before anything is trusted."""

Kind = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]

File = Annotated[str, Field(pattern=r"^[^/\\][^\\]*$", min_length=1, max_length=256)]
"""A path relative to the registry's folder."""


class Gate(OpenPart):
    """The block ``gate`` of a verdict: every measured value with its limit. The other keys are those of the family."""

    passed: bool
    reasons: OptionalKey[list[str]] = None

    def why_held(self) -> str:
        """Join the reasons of the gates that did not pass."""
        return "; ".join(self.reasons or ()) or "the verdict gives no reason"


class Candidate(Part):
    """A trained seed."""

    seed: Count
    mean_plcc: float


class Selection(Part):
    """The seed that ships, and the rule that chose it."""

    rule: str
    seed: Count
    candidates: list[Candidate] = Field(min_length=1)


class RefusedInt8(Part):
    """An int8 variant that failed its gate and does not ship."""

    mode: str
    reason: str
    drop: float | None = Field(description="Drop of PLCC; null if a correlation is not defined.")
    budget: float
    report: File
    report_sha256: Sha256


class ShippedMember(Part):
    """A member of an ensemble that ships."""

    seed: Count
    onnx: File
    sha256: Sha256
    sidecar: File
    sidecar_sha256: Sha256


class ShippedEnsemble(Part):
    """All seeds as one model with intervals. ``onnx`` of the entry is the seed that also ships alone."""

    manifest: File
    manifest_sha256: Sha256
    interval: Literal["gaussian", "conformal", "normalised"] = Field(description="Method of the intervals.")
    nominal_coverage: float = Field(ge=0.5, le=0.999, description="Share of rows that the intervals shall contain.")
    empirical_coverage: Share = Field(description="Share of rows of held-out sources that they contained.")
    members: list[ShippedMember] = Field(min_length=2)


class RefusedEnsemble(Part):
    """An ensemble whose intervals failed their gate: it does not ship, a single seed does."""

    reason: Name
    manifest: File
    manifest_sha256: Sha256


class Entry(Part):
    """A model that ships."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                {
                    "if": {"properties": {"quant_mode": {"const": "static"}}, "required": ["quant_mode"]},
                    "then": {"required": ["quant_calibration_set"]},
                },
                {
                    "if": {
                        "properties": {"quant_mode": {"enum": ["static", "dynamic", "qat"]}},
                        "required": ["quant_mode"],
                    },
                    "then": {"required": ["int8", "int8_sha256"]},
                },
                {
                    "if": {"not": {"properties": {"smoke": {"const": True}}, "required": ["smoke"]}},
                    "then": {"required": ["sidecar", "sidecar_sha256"]},
                },
            ]
        }
    )

    id: ModelId
    kind: Kind = Field(description="Kind of the model: what it predicts, from what.")
    onnx: File
    sha256: Sha256 = Field(description="SHA-256 of the ONNX file.")
    opset: OptionalKey[Annotated[int, Field(ge=7, le=21, description="ONNX operator set.")]] = None
    notes: OptionalKey[Annotated[str, Field(max_length=512)]] = None
    description: OptionalKey[Annotated[str, Field(max_length=256)]] = None
    license: OptionalKey[Annotated[str, Field(max_length=128, description="Licence of the weights.")]] = None
    license_url: OptionalKey[Annotated[str, Field(max_length=256)]] = None
    smoke: OptionalKey[
        Annotated[bool, Field(description="True for a model that only shows that the workflow runs. Default: false.")]
    ] = None
    dataset: OptionalKey[Annotated[str, Field(description="Name of the training data.")]] = None
    train_commit: OptionalKey[Annotated[str, Field(description="Identity of the training code.")]] = None
    train_config_hash: OptionalNullableKey[str] = Field(default=None, description="Hash of the training configuration.")
    sidecar: OptionalKey[File] = None
    sidecar_sha256: OptionalKey[Sha256] = None
    weights: OptionalKey[File] = None
    weights_sha256: OptionalKey[Sha256] = None
    verdict: OptionalKey[File] = None
    verdict_sha256: OptionalKey[Sha256] = None
    table_sha256: OptionalKey[
        Annotated[Sha256, Field(description="SHA-256 of the table of the training and of the verdict.")]
    ] = None
    gate: OptionalKey[Gate] = None
    selection: OptionalKey[Selection] = None
    quant_mode: OptionalKey[
        Annotated[
            Literal["fp32", "static", "dynamic", "qat"],
            Field(description="Method of the int8 variant; fp32, the default, if none ships."),
        ]
    ] = None
    quant_calibration_set: OptionalKey[
        Annotated[str, Field(description="Sources whose rows the int8 ranges were measured on.")]
    ] = None
    quant_accuracy_budget_plcc: OptionalKey[
        Annotated[float, Field(ge=0, description="Largest drop of PLCC that was allowed. Default: 0.01.")]
    ] = None
    quant_drop_plcc: OptionalKey[
        Annotated[float, Field(description="Drop of PLCC measured on rows of held-out sources.")]
    ] = None
    int8: OptionalKey[File] = None
    int8_sha256: OptionalKey[Sha256] = None
    int8_report: OptionalKey[File] = None
    int8_report_sha256: OptionalKey[Sha256] = None
    int8_refused: OptionalKey[list[RefusedInt8]] = None
    ensemble: OptionalKey[ShippedEnsemble] = None
    ensemble_refused: OptionalKey[RefusedEnsemble] = None
    sigstore_bundle: OptionalKey[
        Annotated[str, Field(pattern=r"\.sigstore\.json$", max_length=256, description="Signature of the ONNX file.")]
    ] = None

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if self.quant_mode == "static" and self.quant_calibration_set is None:
            raise ValueError("quant_mode static needs quant_calibration_set")
        if self.quant_mode not in (None, "fp32") and (self.int8 is None or self.int8_sha256 is None):
            raise ValueError(f"quant_mode {self.quant_mode} needs int8 and int8_sha256")
        if not self.smoke and (self.sidecar is None or self.sidecar_sha256 is None):
            raise ValueError("a model that is not a smoke model needs sidecar and sidecar_sha256")
        return self

    def pins(self) -> Iterator[tuple[str, str, str | None]]:
        """List the files of the entry: the model's own, then those of its ensemble.

        Yields:
            (role, path, sha256); the hash is None for a path without a pin.
        """
        for role in ("onnx", "sidecar", "weights", "verdict", "int8", "int8_report"):
            if (path := getattr(self, role)) is not None:
                yield role, path, self.sha256 if role == "onnx" else getattr(self, f"{role}_sha256")
        if self.ensemble is not None:
            yield "ensemble manifest", self.ensemble.manifest, self.ensemble.manifest_sha256
        if self.ensemble_refused is not None:
            yield "ensemble_refused manifest", self.ensemble_refused.manifest, self.ensemble_refused.manifest_sha256
        for member in self.ensemble.members if self.ensemble is not None else ():
            yield f"member {member.seed}", member.onnx, member.sha256
            yield f"sidecar of member {member.seed}", member.sidecar, member.sidecar_sha256

    def no_int8(self) -> str:
        """Say why there is no int8 variant: the reasons of those that were refused."""
        return "; ".join(f"{r.mode}: {r.reason}" for r in self.int8_refused or ()) or "none was made"


class Held(Part):
    """A model that was judged and does not ship."""

    id: ModelId
    reason: Name = Field(description="Each value that missed its limit.")
    gate: Gate
    verdict: File
    verdict_sha256: Sha256

    def pins(self) -> Iterator[tuple[str, str, str | None]]:
        """List the files of the entry, as `Entry.pins`."""
        yield "verdict", self.verdict, self.verdict_sha256


class Registry(Document):
    """The models that ship and those that are held."""

    model_config = ConfigDict(json_schema_extra={"$id": "pyvmaf:registry-v1"})
    title: ClassVar[str] = "Registry of models: which ship, which are held, and the hashes behind that (registry.json)"
    max_bytes: ClassVar[int] = MAX_BYTES

    schema_version: Literal[0, 1] = Field(default=1, description="Version of this form.")
    models: list[Entry] = Field(description="Models that ship, sorted by id.")
    held: list[Held] = Field(description="Models that were judged and failed, sorted by id.")

    @model_validator(mode="after")
    def _names_each_model_once(self) -> Self:
        ids = [*(entry.id for entry in self.models), *(held.id for held in self.held)]
        if twice := sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"lists {twice[0]!r} more than once")
        return self

    def entry(self, name: str) -> Entry:
        """Return the entry of a model that ships.

        Raises:
            InputError: there is no such model, or it is held.
        """
        for held in self.held:
            if held.id == name:
                raise InputError(f"model {name!r} is held, not shipped: {held.reason}")
        entries = {entry.id: entry for entry in self.models}
        if name not in entries:
            raise unknown_name("model", name, entries)
        return entries[name]


def choose_seed(per_seed: Mapping[int, float]) -> int:
    """Return the seed that ships: median mean PLCC, the lower of two, the smaller seed of equals.

    Args:
        per_seed: mean PLCC over the folds, by seed.

    Raises:
        InputError: there are no seeds.
    """
    if not per_seed:
        raise InputError("a verdict without seeds: judge the model again")
    ranked = sorted(per_seed, key=lambda seed: (per_seed[seed], seed))
    median = per_seed[ranked[(len(ranked) - 1) // 2]]
    return min(seed for seed in ranked if per_seed[seed] == median)


def pinned(path: Path, expected: str | None, where: Path) -> str:
    """Hash a file that another file pins.

    Args:
        path: the file.
        expected: its hash by the other file.
        where: the other file.

    Raises:
        MissingFileError: the file does not exist.
        IntegrityError: its hash is another.
    """
    actual = sha256_file(path)
    if actual != expected:
        raise IntegrityError(f"{path} hashes to {actual}, but {where} pins {expected}")
    return actual


def relative_to(path: Path, registry: Path) -> str:
    """Return a path as the registry names it: relative to its folder."""
    return Path(os.path.relpath(path, registry.parent)).as_posix()


def _differences(where: str, pairs: Iterable[tuple[str, object, str, object]]) -> Iterator[str]:
    """Give a sentence for each pair of values that are stated and differ: (what, ours, what the file calls it, its own)."""
    for what, ours, theirs, value in pairs:
        if ours is not None and value is not None and ours != value:
            yield f"its {what} is {ours!r}, but {where} says {theirs} {value!r}"


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
    verdict = Verdict.read(path)
    ships = isinstance(model, Entry)
    expected = PROMOTE if ships else HOLD
    if verdict.verdict != expected:
        yield f"it {'ships' if ships else 'is held'}, but {path} says {verdict.verdict}"
    yield from _differences(str(path), [("id", model.id, "model", verdict.model)])
    if not isinstance(model, Entry):
        return
    fit = verdict.per_seed.get(str(model.selection.seed)) if model.selection is not None else None
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
        if actual != pin:
            problems.append(f"{entry.id}: {role} {named} hashes to {actual}, registered was {pin}")
    return problems


def _consistency(model: Entry | Held, registry: Path) -> list[str]:
    try:
        found = [f"{model.id}: {problem}" for problem in _verdict_problems(model, registry.parent)]
        return found + (disagreements(model, registry) if isinstance(model, Entry) else [])
    except PyvmafError as err:
        return [f"{model.id}: {err}"]


def find_entry(path: str | os.PathLike[str], name: str) -> Entry:
    """Return the entry of a model that ships.

    Raises:
        MissingFileError: the registry does not exist.
        IntegrityError: it is damaged.
        InputError: there is no such model, or it is held.
    """
    return Registry.read(path).entry(name)


def resolve(path: str | os.PathLike[str], name: str, *, int8: bool = False) -> Path:
    """Return the ONNX file of a registered model after comparing its hash with the registry.

    Args:
        path: the registry.
        name: a model's id.
        int8: the quantised variant. The fp32 model never takes its place.

    Raises:
        InputError: there is no such model, it is held, or it does not have an int8 variant.
        IntegrityError: the file's bytes are not those that were registered.
    """
    registry = Path(path)
    entry = find_entry(registry, name)
    if int8:
        if entry.int8 is None:
            raise InputError(f"model {name!r} ships no int8 variant ({entry.no_int8()})")
        onnx, pin = entry.int8, entry.int8_sha256
    else:
        onnx, pin = entry.onnx, entry.sha256
    pinned(registry.parent / onnx, pin, registry)
    return registry.parent / onnx
