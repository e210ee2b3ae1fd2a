"""The sidecar beside a model file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from pyvmaf.base.files import read_json
from pyvmaf.errors import IntegrityError

SIDECAR_SCHEMA = Path(__file__).with_name("model.schema.json")


@cache
def _sidecar_schema() -> dict[str, Any]:
    return dict(read_json(SIDECAR_SCHEMA))


def check_sidecar(sidecar: Any, where: str) -> None:
    """Hold a sidecar against the package's JSON schema.

    Raises:
        IntegrityError: it does not conform; the message names the place.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(_sidecar_schema()).iter_errors(sidecar))
    if error is not None:
        at = ".".join(map(str, error.absolute_path)) or "the whole"
        raise IntegrityError(f"{where} is no valid sidecar: {at}: {error.message}")
