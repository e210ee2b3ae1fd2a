"""``vmaf-train check-ops``: whether a file holds only what a model may."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyvmaf.base.document import publish
from pyvmaf.base.files import relative, sha256_bytes
from pyvmaf.checks.subject import SCHEMAS
from pyvmaf.runtime import allowlist


def check_ops(models: Sequence[Path], *, output: Path | None = None) -> dict[str, Any]:
    """Scan ONNX files in the protobuf, graphs inside nodes included; nothing is run.

    Args:
        models: the files; any ONNX file will do.
        output: JSON file for the report.

    Returns:
        The report. ``passed`` says whether all of them are clean; per file ``problems`` names what is not allowed.

    Raises:
        MissingFileError, InputError: a file is not there, no regular file, or too large to be read.
        IntegrityError: it is no ONNX file.
    """
    started = time.perf_counter()
    found = []
    for path in models:
        data = allowlist.read_model(path)
        proto = allowlist.parse(data, str(path))
        operators, problems = allowlist.scan(proto)
        found.append(
            {
                "path": relative(path),
                "sha256": sha256_bytes(data),
                "bytes": len(data),
                "opsets": {o.domain or "ai.onnx": o.version for o in proto.opset_import},
                "operators": operators,
                "problems": problems,
            }
        )
    return publish(
        {"models": found, "passed": not any(entry["problems"] for entry in found)},
        output,
        schema=SCHEMAS / "check-ops.schema.json",
        verb="check-ops",
        args={"model": list(models)},
        inputs={"model": list(models)},
        started=started,
    )
