"""A group of keys in a YAML file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of keys; a key that is not declared is an error.

    Its fields are data, not code (`pyvmaf.base.code`): rules carry the values of the keys that they read. A class that
    derives from another group of keys names `Section` among its bases, too, because the identity of code reads the
    bases as they are written.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)
