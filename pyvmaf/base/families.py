"""The table of model families: the kind in a model's YAML file → the code that fits, judges and exports such models.

A family is a package, or one module while it is small. Each verb loads only the parts that it needs (`VERB_PARTS`), so
that a gate's code is no part of the identity of a fit. A part is the module of that name in the family's package; a
family without such a module has the part in the package or module itself. `pyvmaf.models.families` describes the parts.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from pyvmaf.base.code import NOTHING, Uses
from pyvmaf.base.table import Table
from pyvmaf.errors import unknown_name

FAMILIES: Table[str] = {
    "fr": "pyvmaf.models.regressor",
    "mos": "pyvmaf.models.regressor",
    "imported": "pyvmaf.models.imported",
    "image": "pyvmaf.models.image",
    "saliency": "pyvmaf.models.saliency",
}
"""Dotted name of the package or module of each kind."""

CONVERTED = ("imported",)
"""Kinds whose models are converted from published checkpoints, and neither trained nor judged on a table."""

DEFAULT_KIND = "fr"
"""Kind of a model whose YAML file does not name one."""

VERB_PARTS: Table[tuple[str, ...]] = {
    "fit": ("spec", "fit"),
    "judge": ("spec", "gates"),
    "export": ("spec", "graph", "trials", "describe", "predictor"),
    "ensemble": ("spec", "predictor"),
    "quantize-int8": ("spec", "graph", "trials", "int8", "predictor"),
    "convert": ("spec", "predictor"),
    "fetch-checkpoint": ("spec",),
    "eval": ("predictor",),
    "tune": ("spec", "fit"),
    "subset-sweep": ("spec", "fit"),
    "report": ("predictor",),
    "card": ("shown",),
}
"""Parts of a family that each verb loads."""


def module(kind: str, part: str) -> str:
    """Dotted name of the module that holds a part of a family. Nothing is imported.

    Raises:
        InputError: unknown kind.
    """
    if kind not in FAMILIES:
        raise unknown_name("kind", kind, FAMILIES)
    home = FAMILIES[kind]
    file = Path(__file__).parents[1].joinpath(*home.split(".")[1:], f"{part}.py")
    return f"{home}.{part}" if file.is_file() else home


def load_part(kind: str, part: str) -> ModuleType:
    """Import a part of a family.

    Raises:
        InputError: unknown kind.
    """
    return importlib.import_module(module(kind, part))


def uses(verb: str, *kinds: str) -> Uses:
    """What a verb uses of families, for the identity of the verb's code (`pyvmaf.base.code`).

    Raises:
        InputError: unknown kind.
    """
    parts = VERB_PARTS.get(verb, ())
    modules = {module(kind, part) for kind in kinds for part in parts}
    return Uses(modules=tuple(sorted(modules))) if modules else NOTHING
