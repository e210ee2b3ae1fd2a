"""Documents, validated with the published schemas by jsonschema, which knows nothing of their classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from jsonschema import Draft202012Validator

from pyvmaf.base.document import Document

_D = TypeVar("_D", bound=Document)


def read_as(kind: type[_D], path: str | Path) -> _D:
    """Read a document after validating the file against the published schema of its class."""
    body = json.loads(Path(path).read_text())
    Draft202012Validator(kind.json_schema()).validate(body)
    document = kind.read(path)
    assert document.as_json() == body
    return document
