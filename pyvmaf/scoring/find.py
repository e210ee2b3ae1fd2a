"""One call for every model: a registered one by its id, an exported one, an ensemble or an int8 variant by its path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pyvmaf.base import layout
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.registry.entry import find_entry
from pyvmaf.runtime.load import Model, load_ensemble, load_pinned, peek
from pyvmaf.runtime.load import load_model as load_file

REGISTRY = "PYVMAF_REGISTRY"
"""Environment variable: the registry that ids are looked up in."""

DEFAULT_REGISTRY = layout.REGISTRY.path()
"""The registry where nobody says which: the workflow's, seen from the working folder."""

INT8 = ".int8"
"""What ends an id whose int8 variant is meant."""


def registry_path(registry: str | os.PathLike[str] | None = None) -> Path:
    """`registry`, else the one of the environment variable `REGISTRY`, else the workflow's."""
    return Path(registry if registry is not None else os.environ.get(REGISTRY) or DEFAULT_REGISTRY)


def is_path(model: str | os.PathLike[str]) -> bool:
    """Whether `model` names a file rather than an id: it ends in .onnx or .json, or has a folder in it."""
    return not isinstance(model, str) or model.endswith((".onnx", ".json")) or os.sep in model


def is_ensemble(path: str | os.PathLike[str]) -> bool:
    """Whether a JSON file is the manifest of an ensemble; nothing in it is trusted for that."""
    return str(peek(Path(path), "kind")).endswith("_ensemble")


def load_model(
    model: str | os.PathLike[str],
    *,
    registry: str | os.PathLike[str] | None = None,
    int8: bool = False,
    sidecar: str | os.PathLike[str] | None = None,
    sha256: str | None = None,
    root: str | os.PathLike[str] | None = None,
    threads: int = 1,
) -> Model:
    """Load a model after checking all of it; `Model.predict` then takes raw, unscaled features.

    A registered model is loaded with the hashes that the registry pins for it. An ensemble gives an `Ensemble`, whose
    predictions carry intervals.

    Args:
        model: id of a registered model (``vmaf_tiny_v2``; ``vmaf_tiny_v2.int8`` for its int8 variant), or the path of
            an exported model (``model.onnx``), of an int8 variant, or of an ensemble (``ensemble.json``).
        registry: where ids are looked up; by default $PYVMAF_REGISTRY, else results/registry/registry.json.
        int8: the int8 variant of a registered model. Where none ships, that is an error: fp32 never takes its place.
        sidecar: of a model given by path; by default the JSON file beside it, for an int8 variant its fp32 parent's.
        sha256: pin of a model given by path; by default its sidecar's, or its int8 report's.
        root: folder that all files must lie in once links are followed; by default $VMAF_TINY_MODEL_DIR where that is
            set.
        threads: of the runtime.

    Raises:
        MissingFileError: a file, or the registry, is not there.
        InputError: no such model, it is held, has no int8 variant, or a file may not be loaded: outside of `root`, too
            large, not regular, or with operators that are not allowed.
        IntegrityError: bytes are not those that were pinned, a file is damaged, or a model was trained with a codec
            vocabulary that is not this installation's.

    Example:
        >>> model = pyvmaf.load_model("vmaf_tiny_v2")
        >>> model.predict(pyvmaf.score("reference.mkv", "distorted.mkv").to_pandas()).scores
    """
    if is_path(model):
        loaded = _by_path(Path(model), int8, sidecar, sha256, root, threads)
    elif sidecar is not None or sha256 is not None:
        raise InputError(f"sidecar and sha256 go with a path, but {model!r} is an id: the registry pins its files")
    else:
        name = str(model)
        int8 = int8 or name.endswith(INT8)
        loaded = _registered(name.removesuffix(INT8), registry_path(registry), int8, root, threads)
    loaded.warn = True
    return loaded


def _registered(name: str, registry: Path, int8: bool, root: str | os.PathLike[str] | None, threads: int) -> Model:
    if not registry.exists():
        raise MissingFileError(
            f"no such file: {registry}, in which model {name!r} would be looked up: run where the workflow ran, name "
            f"another registry (--registry, ${REGISTRY}), or give the model's path"
        )
    entry = find_entry(registry, name)
    home = registry.parent
    if int8:
        if entry.ensemble is not None:
            raise InputError(
                f"model {name!r} is an ensemble, whose intervals were calibrated on its fp32 members: it has no int8 "
                "variant. Those of its members can be loaded by path"
            )
        if entry.int8 is None:
            raise InputError(
                f"model {name!r} ships no int8 variant ({entry.no_int8()}); fp32 is not taken in its place"
            )
    elif entry.ensemble is not None:
        manifest = home / entry.ensemble.manifest
        return load_ensemble(manifest, sha256=entry.ensemble.manifest_sha256, root=root, threads=threads)
    if entry.sidecar is None:
        raise InputError(f"model {name!r} was registered without a sidecar, which says what its inputs are")
    file, pin = (entry.int8, entry.int8_sha256) if int8 else (entry.onnx, entry.sha256)
    return load_pinned(
        home / str(file),
        sidecar=home / entry.sidecar,
        sha256=str(pin),
        sidecar_sha256=str(entry.sidecar_sha256),
        int8=int8,
        root=root,
        threads=threads,
    )


def _by_path(
    path: Path,
    int8: bool,
    sidecar: str | os.PathLike[str] | None,
    sha256: str | None,
    root: str | os.PathLike[str] | None,
    threads: int,
) -> Model:
    if int8:
        raise InputError(f"int8 goes with an id; for an int8 variant by path name its own file, not {path}")
    if not path.exists():
        raise MissingFileError(f"no such file: {path}")
    if path.suffix == ".json":
        if not is_ensemble(path):
            raise InputError(f"{path} is no manifest of an ensemble: name a model by its .onnx file")
        return load_ensemble(path, sha256=sha256, root=root, threads=threads)
    report = path.with_suffix(".json")
    if sidecar is None and report.exists() and (made := peek(report, "int8")) is not None:
        parent = _parent(path, report)
        pin = sha256 or (made.get("sha256") if isinstance(made, dict) else None)
        if not isinstance(pin, str):
            raise IntegrityError(f"{report} is an int8 report that pins no file: quantise the model again")
        return load_pinned(path, sidecar=parent, sha256=pin, int8=True, root=root, threads=threads)
    return load_file(path, sidecar=sidecar, sha256=sha256, root=root, threads=threads)


def _parent(path: Path, report: Path) -> Path:
    """The sidecar of the fp32 model that an int8 variant was made from, in the layout that the workflow has."""
    fp32: Any = peek(report, "fp32")
    parts = layout.INT8.match(os.path.abspath(path)) or {"model": "MODEL", "seed": "SEED"}
    sidecar = layout.SIDECAR.under(layout.INT8.results_folder(path), **parts)
    if not sidecar.exists():
        raise MissingFileError(
            f"{path} is an int8 variant, but the sidecar of its fp32 model is not at {sidecar}: name it (--sidecar)"
        )
    wanted = fp32.get("sha256") if isinstance(fp32, dict) else None
    if wanted != peek(sidecar, "sha256"):
        raise IntegrityError(
            f"{report} was made from the ONNX file {wanted}, but {sidecar} is of another: quantise again"
        )
    return sidecar
