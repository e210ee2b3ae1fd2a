"""JSON documents: one class is the type, the schema and the reader of a document; one function writes it.

A verb builds its document from typed parts and hands it to `publish` together with the `Call` that led to it::

    call = Call("check-ops", args={"model": models}, inputs={"model": models})
    report = CheckOps(models=[...], passed=True, run_provenance=call.provenance())
    publish(report, output, call)

A key that may be null is declared as ``T | None``. A key that a document may lack is declared as
``OptionalKey[T] = None``: None means that the key is left out. Any other default is for the writer: a file must have
the key.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator
from pydantic.annotated_handlers import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from pyvmaf.base.code import NOTHING, Uses
from pyvmaf.base.files import dumps, read_bytes, write_text
from pyvmaf.base.manifest import build_run_provenance, write_manifest
from pyvmaf.base.parse import MAX_BYTES, parse_json
from pyvmaf.errors import IntegrityError, shown

_T = TypeVar("_T")
_D = TypeVar("_D", bound="Document")

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Size = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Correlation = Annotated[float, Field(ge=-1, le=1)]
Name = Annotated[str, Field(min_length=1)]
ModelId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
_N = TypeVar("_N", str, int)


def _distinct(values: list[_N]) -> list[_N]:
    if len(set(values)) < len(values):
        raise ValueError(f"an item occurs twice in {values}")
    return values


Distinct = Annotated[list[_N], AfterValidator(_distinct), Field(json_schema_extra={"uniqueItems": True})]
"""A list without repetitions."""

Bounds = Annotated[list[float], Field(min_length=2, max_length=2)]


def _is_none(value: Any) -> bool:
    return value is None


def _never(value: Any) -> bool:
    return False


def _not_null(value: Any, info: ValidationInfo) -> Any:
    if value is None and info.mode == "json":
        raise ValueError("null is not allowed, only leaving out the key")
    return value


class _MayBeAbsent:
    """Marks a key that is left out if its value is None; null in a file is refused."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.with_info_before_validator_function(_not_null, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        published = handler(schema)
        if "anyOf" not in published:
            return published
        options = [option for option in published.pop("anyOf") if option != {"type": "null"}]
        return {**published, **(options[0] if len(options) == 1 else {"anyOf": options})}


OptionalKey = Annotated[_T | None, Field(exclude_if=_is_none), _MayBeAbsent()]
"""A key that a document may lack; give it the default None."""

OptionalNullableKey = Annotated[_T | None, Field(exclude_if=_never)]
"""A key that a document of another program may lack, and that may be null; it is always written."""


class Part(BaseModel):
    """A group of keys inside a document. Keys that are not declared, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def _complete(self, info: ValidationInfo) -> Self:
        """Refuse a file that lacks a key, also one for which the class has a default: that is for the writer only."""
        if info.mode == "json" and (missing := type(self)._keys() - self.model_fields_set):
            raise ValueError(f"missing {'keys' if len(missing) > 1 else 'key'} {', '.join(sorted(missing))}")
        return self

    def as_json(self) -> dict[str, Any]:
        """Return the values as plain JSON values."""
        return self.model_dump(mode="json", by_alias=True)

    @classmethod
    @cache
    def _keys(cls) -> frozenset[str]:
        """The fields that every file has."""
        return frozenset(key for key, info in cls.model_fields.items() if info.exclude_if is None)


class OpenPart(Part):
    """A group of keys to which versions and families add their own; only the declared ones are checked."""

    model_config = ConfigDict(extra="allow")


class RunProvenance(OpenPart):
    """How a document was made (`pyvmaf.base.manifest.build_run_provenance`)."""

    schema_: Literal["ai-run-provenance-v1"] = Field(alias="schema")
    entrypoint: Name
    argv: list[str]
    args: dict[str, Any]
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    engine: dict[str, str]
    packages: dict[str, str]


@dataclass(frozen=True)
class Call:
    """One call of a verb: what it was asked to do, with what.

    Attributes:
        verb, args, inputs, uses, shared_trainer: as in `build_run_provenance`.
        started: `time.perf_counter()` at the start of the verb.
    """

    verb: str
    args: Mapping[str, Any]
    inputs: Mapping[str, Path | Sequence[Path]]
    uses: Uses = NOTHING
    started: float = field(default_factory=time.perf_counter)
    shared_trainer: str = ""

    def provenance(self, outputs: Mapping[str, Path | Sequence[Path]] | None = None) -> RunProvenance:
        """Return the block ``run_provenance`` of the document that this call leaves.

        Args:
            outputs: files that the verb has already written, by role.
        """
        block = build_run_provenance(
            verb=self.verb,
            args=self.args,
            inputs=self.inputs,
            outputs=outputs or {},
            uses=self.uses,
            shared_trainer=self.shared_trainer,
        )
        return RunProvenance(**block)


class _JsonSchema(GenerateJsonSchema):
    """Writes the schema of what a file holds: a key is required unless it is an `OptionalKey`."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        return "serialization_exclude_if" not in field

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class Document(Part):
    """A JSON file that a verb writes and others read.

    A subclass declares the keys and its ``title``; `read` checks a file against them, and `json_schema` publishes them.
    """

    title: ClassVar[str] = ""
    """Title of the published schema: what the document is, and its file name."""

    max_bytes: ClassVar[int] = MAX_BYTES
    """Size limit of a file that `read` accepts. It is checked before the file is read."""

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file.

        Raises:
            MissingFileError: the file does not exist.
            IntegrityError: it is too large, not JSON, or does not conform; the message names the first problems.
        """
        return cls.parse(read_bytes(path, cls.max_bytes), os.fspath(path))

    @classmethod
    def parse(cls, text: bytes | str, where: str) -> Self:
        """Read JSON text.

        Args:
            text: the JSON.
            where: the name of the text in messages, usually its file.

        Raises:
            IntegrityError: it is not JSON, is refused (`pyvmaf.base.parse.parse_json`), or does not conform.
        """
        try:
            document = cls.model_validate_json(text, strict=True)
        except ValidationError as err:
            if err.errors(include_url=False)[0]["type"] == "json_invalid":
                parse_json(text, where)
            raise IntegrityError(f"{where} does not conform to {cls._called()}: {problems(err)}") from err
        parse_json(text, where)
        return document

    @classmethod
    def _called(cls) -> str:
        """Name of the document in messages: its title up to a colon or parenthesis."""
        return cls.title.partition(":")[0].partition(" (")[0] or cls.__name__

    @classmethod
    @cache
    def json_schema(cls) -> dict[str, Any]:
        """Return the published JSON schema (draft 2020-12)."""
        schema = cls.model_json_schema(by_alias=True, schema_generator=_JsonSchema)
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": cls.title}

    def write(self, path: Path, *, update: bool = False) -> None:
        """Write the file alone. Verbs use `publish`, unless the manifest of another file names this one.

        Args:
            path: the file.
            update: as in `pyvmaf.base.files.atomic_path`.
        """
        write_text(path, dumps(self.as_json()), update=update)


def problems(err: ValidationError, most: int = 3) -> str:
    """Return the first problems that pydantic found, each with its key and the value found there."""
    sentences = []
    for item in err.errors(include_url=False)[:most]:
        key = ".".join(map(str, item["loc"])) or "the document"
        sentences.append(f"{key}: {_sentence(item)}")
    more = err.error_count() - len(sentences)
    return "; ".join(sentences) + (f"; and {more} more" if more else "")


def _sentence(item: Any) -> str:
    if item["type"] == "missing":
        return "the key is missing"
    if item["type"] == "extra_forbidden":
        return "this key is not allowed here"
    if item["type"] == "value_error":
        return str(item["msg"]).removeprefix("Value error, ")
    message = str(item["msg"]).replace("Input should", "should")
    return f"{message}, but is {shown(item['input'])}"


def publish(
    document: _D,
    output: Path | None,
    call: Call,
    *,
    timed: bool = False,
    beside: Mapping[str, Path | Sequence[Path]] | None = None,
    records: Mapping[str, Path] | None = None,
    details: Mapping[str, Any] | None = None,
    measured: Mapping[str, Any] | None = None,
    role: str = "report",
) -> _D:
    """Write a document and its manifest.

    Args:
        document: the document.
        output: the JSON file; None to write nothing.
        call: the call of the verb that leaves the document.
        timed: the document holds times of this run, so that two identical runs write different bytes.
        beside: further files that the verb has written, by role; the manifest names them.
        records: such files whose bytes hold times.
        details, measured: as in `write_manifest`.
        role: of the document in its manifest.

    Returns:
        `document`.
    """
    if output is None:
        return document
    document.write(output)
    itself = {role: output}
    write_manifest(
        output,
        verb=call.verb,
        uses=call.uses,
        args=call.args,
        inputs=call.inputs,
        outputs={**({} if timed else itself), **(beside or {})},
        timings={**(itself if timed else {}), **(records or {})},
        details=details,
        measured=measured,
        seconds=time.perf_counter() - call.started,
    )
    return document
