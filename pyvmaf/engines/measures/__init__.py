"""Measures of this package that libvmaf does not have, one module each; the engine of libvmaf computes them beside its own.

A measure is a module with `MEASURE` and a row here. Its requests have its name as their extractor.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from pyvmaf.base.table import Table

if TYPE_CHECKING:
    from pyvmaf.engines.measures.protocol import Measure


class Kind(NamedTuple):
    """A row of `MEASURES`.

    Attributes:
        module: where the measure is.
        version: raised when its numbers change: part of every cache key, and of the plan.
    """

    module: str
    version: int


MEASURES: Table[Kind] = {
    "msad": Kind("pyvmaf.engines.measures.msad", 1),
    "xpsnr": Kind("pyvmaf.engines.measures.xpsnr", 1),
}
"""Measures by name."""


def identity(name: str) -> str:
    """Return what decides the numbers of a measure of `MEASURES`."""
    return f"pyvmaf-{name}-{MEASURES[name].version}"


def measure(name: str) -> Measure:
    """Return a measure of `MEASURES`."""
    loaded: Measure = import_module(MEASURES[name].module).MEASURE
    return loaded
