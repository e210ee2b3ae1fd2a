"""A group of keys in a YAML file."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


def _complete(schema: dict[str, Any], section: type[BaseModel]) -> None:
    """Leave the default out of the schema of a key that is written only where it is used (`exclude_if`).

    Defaults of the schema are filled into plans; those of a key that came later would plan anew what does not use it.
    """
    for name, field in section.model_fields.items():
        if field.exclude_if is not None:
            schema.get("properties", {}).get(name, {}).pop("default", None)


class Section(BaseModel):
    """A group of keys; a key that is not declared is an error.

    Its fields are data, not code (`pyvmaf.base.code`): rules carry the values of the keys that they read. A class that
    derives from another group of keys names `Section` among its bases, too, because the identity of code reads the
    bases as they are written.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, json_schema_extra=_complete)
