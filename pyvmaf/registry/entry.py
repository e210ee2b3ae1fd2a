"""The registry as a document: which models ship, which are held, and the SHA-256 of every file behind that.

Paths are relative to the registry's folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
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
from pyvmaf.base.files import sha256_file
from pyvmaf.base.table import Table
from pyvmaf.errors import InputError, IntegrityError, unknown_name

REGISTRY_NAME = "registry.json"
FOREIGN_KINDS: Table[str] = {
    "fr": "full reference: scores a distorted video against its reference",
    "nr": "no reference: scores a distorted video alone",
    "filter": "changes pictures",
    "mos": "predicts opinion scores",
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
