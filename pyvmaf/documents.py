"""JSON reports with a published schema: what does not conform is never written, and a manifest lies beside each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pyvmaf.errors import IntegrityError, PyvmafError
from pyvmaf.provenance import build_run_provenance, read_json, write_json, write_manifest


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
    stage: str,
    args: Mapping[str, Any],
    inputs: Mapping[str, Path | Sequence[Path]],
    started: float,
    version: int = 1,
    timed: bool = False,
    beside: Mapping[str, Path | Sequence[Path]] | None = None,
    records: Mapping[str, Path] | None = None,
) -> dict[str, Any]:
    """Complete a verb's report, hold it against its schema, and write it with its manifest where asked to.

    Args:
        body: what the verb found.
        output: the JSON file; None for none.
        schema: the published schema; it also covers ``schema_version`` and ``run_provenance``, which are added here.
        verb, stage, args, inputs: as in `build_run_provenance`.
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
    provenance = build_run_provenance(verb=verb, stage=stage, args=args, inputs=inputs, outputs={})
    report = {"schema_version": version, **body, "run_provenance": provenance}
    wrong = violations(report, schema)
    if wrong:
        raise PyvmafError(f"the report of {verb} would not conform to {schema.name}: {'; '.join(wrong[:3])}")
    if output is not None:
        write_json(output, report)
        write_manifest(
            output,
            verb=verb,
            stage=stage,
            args=args,
            inputs=inputs,
            outputs={**({} if timed else {"report": output}), **(beside or {})},
            timings={**({"report": output} if timed else {}), **(records or {})},
            seconds=time.perf_counter() - started,
        )
    return report
