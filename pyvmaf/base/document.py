"""JSON documents: one class is type, schema and reader of a document, and one function writes it with its manifest."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pyvmaf.base.code import NOTHING, Uses
from pyvmaf.base.files import read_json, read_json_bytes, write_json
from pyvmaf.base.manifest import build_run_provenance, write_manifest
from pyvmaf.errors import IntegrityError, PyvmafError

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(min_length=1)]


class Part(BaseModel):
    """A group of keys inside a document. Keys that are not declared, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RunProvenance(BaseModel):
    """The block ``run_provenance``: how a document was made (`pyvmaf.base.manifest.build_run_provenance`)."""

    model_config = ConfigDict(extra="allow", frozen=True)

    schema_: Literal["ai-run-provenance-v1"] = Field(alias="schema")
    entrypoint: str
    argv: list[str]
    args: dict[str, Any]
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    engine: dict[str, str]
    packages: dict[str, str]


class Document(Part):
    """A JSON file that a verb writes and others read.

    A subclass declares the keys; `read` checks a file against them, and `json_schema` publishes them.
    """

    title: ClassVar[str] = ""
    """Title of the published schema: what the document is, and its file name."""

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """The document in a file.

        Raises:
            MissingFileError: there is no such file.
            IntegrityError: it is not JSON, or does not conform; the message names the first problems with their keys.
        """
        text, _ = read_json_bytes(path)
        return cls.parse(text, os.fspath(path))

    @classmethod
    def parse(cls, text: bytes | str, where: str) -> Self:
        """The document in JSON text.

        Args:
            text: the JSON.
            where: what to call it in errors.

        Raises:
            IntegrityError: it does not conform.
        """
        try:
            return cls.model_validate_json(text, strict=True)
        except ValidationError as err:
            raise IntegrityError(f"{where} does not conform to {cls.title}: {problems(err)}") from err

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The published JSON schema (draft 2020-12)."""
        schema = cls.model_json_schema(by_alias=True, mode="serialization")
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": cls.title}

    def as_json(self) -> dict[str, Any]:
        """The document as plain JSON values."""
        return self.model_dump(mode="json", by_alias=True)


def problems(err: ValidationError, most: int = 3) -> str:
    """The first problems that pydantic found, each with its place."""
    found = []
    for item in err.errors(include_url=False)[:most]:
        place = ".".join(str(part) for part in item["loc"]) or "the whole"
        found.append(f"{place}: {item['msg'].removeprefix('Value error, ')}")
    more = err.error_count() - len(found)
    return "; ".join(found) + (f"; and {more} more" if more else "")


@cache
def load_schema(path: Path) -> dict[str, Any]:
    """A JSON schema of this package."""
    return dict(read_json(path))


def violations(document: Any, schema: Path) -> list[str]:
    """What in a document is not as its schema says, one sentence each with its place; empty where all is well."""
    from jsonschema import Draft202012Validator

    found = Draft202012Validator(load_schema(schema)).iter_errors(document)
    ordered = sorted(found, key=lambda err: [str(part) for part in err.absolute_path])
    return [f"{'.'.join(map(str, err.absolute_path)) or 'the whole'}: {err.message}" for err in ordered]


def check_document(document: Any, schema: Path, where: str) -> None:
    """Hold a document that was read against its schema.

    Raises:
        IntegrityError: it does not conform; the message names the first places.
    """
    wrong = violations(document, schema)
    if wrong:
        raise IntegrityError(f"{where} does not conform to {schema.name}: {'; '.join(wrong[:3])}")


def publish(
    body: Mapping[str, Any],
    output: Path | None,
    *,
    schema: Path,
    verb: str,
    args: Mapping[str, Any],
    inputs: Mapping[str, Path | Sequence[Path]],
    started: float,
    version: int = 1,
    timed: bool = False,
    beside: Mapping[str, Path | Sequence[Path]] | None = None,
    records: Mapping[str, Path] | None = None,
    uses: Uses = NOTHING,
) -> dict[str, Any]:
    """Complete a verb's report, hold it against its schema, and write it with its manifest where asked to.

    Args:
        body: what the verb found.
        output: the JSON file; None for none.
        schema: the published schema; it also covers ``schema_version`` and ``run_provenance``, which are added here.
        verb, args, inputs, uses: as in `build_run_provenance`.
        started: `time.perf_counter()` at the verb's start.
        version: of the schema.
        timed: the report holds times of this run, so that two identical runs write different bytes.
        beside: further files that the verb has left, by role; the manifest names them.
        records: such files whose bytes hold times.

    Returns:
        The report as it was (or would have been) written.

    Raises:
        PyvmafError: the report would not conform: a defect of the verb, not of what it looked at.
    """
    provenance = build_run_provenance(verb=verb, args=args, inputs=inputs, outputs={}, uses=uses)
    report = {"schema_version": version, **body, "run_provenance": provenance}
    wrong = violations(report, schema)
    if wrong:
        raise PyvmafError(f"the report of {verb} would not conform to {schema.name}: {'; '.join(wrong[:3])}")
    if output is not None:
        write_json(output, report)
        write_manifest(
            output,
            verb=verb,
            uses=uses,
            args=args,
            inputs=inputs,
            outputs={**({} if timed else {"report": output}), **(beside or {})},
            timings={**({"report": output} if timed else {}), **(records or {})},
            seconds=time.perf_counter() - started,
        )
    return report
