"""The verb ``join-batch``: many calls of ``join`` from one list, each with its result."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from pyvmaf.base.document import Call, Count, Document, Name, OptionalKey, Part, RunProvenance, publish
from pyvmaf.base.files import is_disk_full
from pyvmaf.base.outputs import claim, publishes
from pyvmaf.errors import InputError, PyvmafError
from pyvmaf.labels.request import JoinRequest
from pyvmaf.labels.rows import read_rows

State = Literal["joined", "failed", "left out"]


class BatchRow(Part):
    """The result of a row of the list."""

    features: Name
    output: Name
    state: State = Field(description="Left out are rows after one that failed, if the first failure ends the batch.")
    error: OptionalKey[Name] = Field(default=None, description="Why it failed.")
    rows: OptionalKey[Count] = Field(default=None, description="Rows of the table.")
    rows_matched: OptionalKey[Count] = Field(default=None, description="Rows that got a value.")
    keys_matched: OptionalKey[Count] = Field(default=None, description="Videos, or videos and frames, that matched.")


class JoinBatch(Document):
    """The results of a batch of joins."""

    title: ClassVar[str] = "Report of vmaf-train join-batch"

    schema_version: Literal[1] = 1
    joined: Count
    failed: Count
    left_out: Count
    passed: bool = Field(description="No row failed, or rows may fail and one at least was joined.")
    rows: list[BatchRow] = Field(description="In the order of the list.")
    run_provenance: RunProvenance


def read_batch(manifest: Path, base: Path) -> list[JoinRequest]:
    """Read a list of joins.

    Args:
        manifest: rows with the keys of `JoinRequest` (.jsonl, .csv, .parquet).
        base: the folder that relative paths start from.

    Raises:
        MissingFileError, IntegrityError: the file is not there or damaged.
        InputError: there is no row, a row is wrong, or two rows write one file.
    """
    requests: list[JoinRequest] = []
    writers: dict[str, str] = {}
    for where, row in read_rows(manifest, ()):
        request = JoinRequest.of(row, where)
        for path in request.outputs(base):
            name = os.path.realpath(path)
            if name in writers:
                raise InputError(f"{writers[name]} and {where} both write {path}: give them different outputs")
            writers[name] = where
        requests.append(request)
    if not requests:
        raise InputError(f"{manifest} lists no joins")
    return requests


@publishes("join-batch")
def join_batch(
    manifest: Path,
    output: Path | None,
    *,
    base: Path | None = None,
    fail_fast: bool = False,
    allow_failures: bool = False,
    advance: Callable[[int, int], None] | None = None,
) -> JoinBatch:
    """Join the tables of a list one after the other, and write a report with the result of each.

    A row that fails leaves no output, and does not touch those of others.

    Args:
        manifest: the list, see `read_batch`.
        output: the report; None to write none.
        base: the folder that relative paths in the list start from; the list's own by default.
        fail_fast: leave out the rows after one that fails.
        allow_failures: pass if one row at least was joined.
        advance: called with (rows done, rows in total).

    Raises:
        MissingFileError, IntegrityError, InputError: the list is not usable; nothing was joined then.
        OSError: the disk is full.
    """
    folder = manifest.parent if base is None else base
    requests = read_batch(manifest, folder)
    if output is not None:
        claim(output)
    call = Call(
        "join-batch", args={"fail_fast": fail_fast, "allow_failures": allow_failures}, inputs={"list": manifest}
    )
    rows: list[BatchRow] = []
    stopped = False
    for number, request in enumerate(requests):
        if advance is not None:
            advance(number, len(requests))
        rows.append(_left_out(request) if stopped else _join(request, folder))
        stopped = fail_fast and (stopped or rows[-1].state == "failed")
    counts = {state: sum(row.state == state for row in rows) for state in ("joined", "failed", "left out")}
    report = JoinBatch(
        joined=counts["joined"],
        failed=counts["failed"],
        left_out=counts["left out"],
        passed=not counts["failed"] or (allow_failures and counts["joined"] > 0),
        rows=rows,
        run_provenance=call.provenance(outputs={"tables": _written(requests, rows, folder)}),
    )
    return publish(report, output, call)


def _written(requests: Sequence[JoinRequest], rows: Sequence[BatchRow], base: Path) -> list[Path]:
    return [request.outputs(base)[0] for request, row in zip(requests, rows, strict=True) if row.state == "joined"]


def _left_out(request: JoinRequest) -> BatchRow:
    return BatchRow(features=request.features, output=request.output, state="left out")


def _join(request: JoinRequest, base: Path) -> BatchRow:
    try:
        audit = request.run(base)
    except (PyvmafError, OSError) as err:
        if is_disk_full(err):
            raise
        return BatchRow(features=request.features, output=request.output, state="failed", error=str(err) or repr(err))
    return BatchRow(
        features=request.features,
        output=request.output,
        state="joined",
        rows=int(audit["rows"]),
        rows_matched=int(audit["rows_matched"]),
        keys_matched=int(audit["keys_matched"]),
    )
