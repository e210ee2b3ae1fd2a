"""Which sidecar describes a model file: the one beside it, or, for an int8 variant, that of its fp32 model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from pyvmaf.base import layout
from pyvmaf.errors import IntegrityError, MissingFileError
from pyvmaf.runtime.load import peek


class Described(NamedTuple):
    """A model file and what describes it.

    Attributes:
        sidecar: its sidecar; None if there is no JSON file beside it.
        sha256: pin of the file by its int8 report; None for any other file.
    """

    sidecar: Path | None
    sha256: str | None = None


def describe(path: Path, sidecar: str | os.PathLike[str] | None = None) -> Described:
    """Find the sidecar of a model file.

    An int8 variant has its report beside it, which pins it and names its fp32 model by hash. The sidecar of that model
    lies beside it as ``model.json``, or at its place in the same folder of results.

    Args:
        path: the ONNX file.
        sidecar: the sidecar, if the caller names it.

    Raises:
        MissingFileError: the sidecar of the fp32 model is in neither of these places.
        IntegrityError: the report pins no file, or was made from another model than that of the sidecar.
    """
    report = path.with_suffix(".json")
    int8 = peek(report, "int8") if report.is_file() else None
    if int8 is None:
        return Described(Path(sidecar) if sidecar is not None else report if report.is_file() else None)
    fp32: Any = peek(report, "fp32")
    pins = [block.get("sha256") if isinstance(block, dict) else None for block in (int8, fp32)]
    if not all(isinstance(pin, str) for pin in pins):
        raise IntegrityError(f"{report} is an int8 report that pins no file: quantise the model again")
    return Described(_parent(path, report, str(pins[1]), sidecar), str(pins[0]))


def _parent(path: Path, report: Path, fp32: str, sidecar: str | os.PathLike[str] | None) -> Path:
    parts = layout.INT8.match(os.path.abspath(path))
    places = [Path(sidecar)] if sidecar is not None else [path.with_name("model.json")]
    if sidecar is None and parts is not None:
        places.append(layout.SIDECAR.under(layout.INT8.results_folder(path), **parts))
    existing = [place for place in places if place.is_file()]
    for place in existing:
        if peek(place, "sha256") == fp32:
            return place
    if not existing:
        raise MissingFileError(
            f"{path} is an int8 variant of the file with sha256 {fp32}, but the sidecar of its fp32 model is not at "
            f"{' or '.join(map(str, places))}: name it (--sidecar)"
        )
    raise IntegrityError(
        f"{report} was made from the ONNX file {fp32}, but {existing[-1]} describes {peek(existing[-1], 'sha256')}: "
        "quantise again"
    )
