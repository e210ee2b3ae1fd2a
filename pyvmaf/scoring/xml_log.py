"""Scores as the XML log of libvmaf, for programs that read it.

Names of features are libvmaf's, values have its six digits. What the log of a run of libvmaf has beside the scores, its version and
the frames per second of the run, is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from pyvmaf.engines.libvmaf.extractors import report_name
from pyvmaf.features.catalog import FEATURES
from pyvmaf.features.pool import pool

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POOLED = ("min", "max", "mean", "harmonic_mean")
"""Figures of a column, in libvmaf's order."""


def xml_log(indices: NDArray[np.int64], columns: Mapping[str, NDArray[np.float64]], size: str) -> str:
    """Return the scores of a pair in the form of libvmaf's XML log.

    Args:
        indices: numbers of the frames.
        columns: scores per frame, by column.
        size: of the frames, as 1280x720; empty if unknown.
    """
    return "\n".join(_lines(indices, columns, size)) + "\n"


def _lines(indices: NDArray[np.int64], columns: Mapping[str, NDArray[np.float64]], size: str) -> Iterator[str]:
    names = {column: _libvmaf_name(column) for column in columns}
    yield "<VMAF>"
    if size:
        width, height = size.split("x")
        yield f'  <params qualityWidth="{width}" qualityHeight="{height}" />'
    yield "  <frames>"
    for place, index in enumerate(indices.tolist()):
        row = {name: float(columns[column][place]) for column, name in names.items()}
        cells = (f"{name}={_value(value)}" for name, value in row.items() if not math.isnan(value))
        yield f'    <frame frameNum="{index}" {" ".join(cells)} />'
    yield "  </frames>"
    yield "  <pooled_metrics>"
    for column, name in names.items():
        figures = pool(columns[column], POOLED)
        cells = (f"{figure}={_value(figures[figure])}" for figure in POOLED if not math.isnan(figures[figure]))
        yield f"    <metric name={quoteattr(name)} {' '.join(cells)} />"
    yield "  </pooled_metrics>"
    yield "  <aggregate_metrics />"
    yield "</VMAF>"


def _libvmaf_name(column: str) -> str:
    """Return the name of a column in libvmaf's logs; other columns have names of which XML has to be able to make attributes."""
    name = report_name(FEATURES[column].key) if column in FEATURES else column
    return "".join(sign if sign.isalnum() or sign in "_.-" else "_" for sign in name)


def _value(value: float) -> str:
    return f'"{value:.6f}"'
