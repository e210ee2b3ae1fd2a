"""Measures of this package that libvmaf does not have, one module each; the engine of libvmaf computes them beside its own.

A measure is a module with `MEASURE` and a row here. Its requests have its name as their extractor.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pyvmaf.base.table import Table

if TYPE_CHECKING:
    from pyvmaf.engines.measures.protocol import Measure

MEASURES: Table[str] = {
    "msad": "pyvmaf.engines.measures.msad",
    "xpsnr": "pyvmaf.engines.measures.xpsnr",
}
"""Modules of measures by name."""


def measure(name: str) -> Measure:
    """Return a measure of `MEASURES`."""
    loaded: Measure = import_module(MEASURES[name]).MEASURE
    return loaded
