"""Find and load a model: a registered one by its id; an exported model, an ensemble or an int8 variant by its path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pyvmaf.base import layout
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.registry.entry import find_entry
from pyvmaf.runtime.ensemble import AnyModel, load_ensemble
from pyvmaf.runtime.load import load_model as load_file
from pyvmaf.runtime.load import load_pinned, peek

REGISTRY = "PYVMAF_REGISTRY"
"""Environment variable with the path of the registry of the ids."""

DEFAULT_REGISTRY = layout.REGISTRY.path()
"""Registry by default: the workflow's, relative to the working folder."""

INT8 = ".int8"
"""Suffix of an id that stands for the int8 variant of a model."""


def registry_path(registry: str | os.PathLike[str] | None = None) -> Path:
    """Return `registry`, else the path in the environment variable `REGISTRY`, else the workflow's registry."""
    return Path(registry if registry is not None else os.environ.get(REGISTRY) or DEFAULT_REGISTRY)


def is_path(model: str | os.PathLike[str]) -> bool:
    """Tell whether a name is a path and not an id: it ends in .onnx or .json, or contains a folder."""
    return not isinstance(model, str) or model.endswith((".onnx", ".json")) or os.sep in model


def is_ensemble(path: str | os.PathLike[str]) -> bool:
    """Tell whether a JSON file is the manifest of an ensemble, without trusting anything else in it."""
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
) -> AnyModel:
    """Check all of a model and load it; `Model.predict` then takes raw, unscaled features.

    A registered model is loaded with the hashes that the registry pins for it. Of an ensemble the result is an
    `Ensemble`, whose predictions have intervals.

    Args:
        model: id of a registered model (``vmaf_tiny_v2``; ``vmaf_tiny_v2.int8`` for its int8 variant), or the path of
            an exported model (``model.onnx``), of an int8 variant, or of an ensemble (``ensemble.json``).
        registry: the registry of the ids; by default $PYVMAF_REGISTRY, else results/registry/registry.json.
        int8: load the int8 variant of a registered model. If none ships, that is an error: fp32 never replaces it.
        sidecar: sidecar of a model by path; by default the JSON file beside it, for an int8 variant that of its fp32
            model.
        sha256: pin of a model by path; by default the hash in its sidecar or its int8 report.
        root: folder that must contain all files after links are resolved; by default $VMAF_TINY_MODEL_DIR if it is set.
        threads: threads of the runtime.

    Raises:
        MissingFileError: a file or the registry does not exist.
        InputError: the model is unknown, held, or has no int8 variant; or a file may not be loaded because it lies
            outside `root`, is too large or not regular, or has operators that are not allowed.
        IntegrityError: a file is damaged or differs from its pin, or a model was trained with a codec vocabulary that
            this installation does not have.

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


def _registered(name: str, registry: Path, int8: bool, root: str | os.PathLike[str] | None, threads: int) -> AnyModel:
    if not registry.exists():
        raise MissingFileError(
            f"no such file: {registry}, which should list model {name!r}: run in the folder of the workflow, name "
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
        raise InputError(f"model {name!r} was registered without a sidecar, which describes its inputs")
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
) -> AnyModel:
    if int8:
        raise InputError(f"int8 goes with an id; for an int8 variant by path name its own file, not {path}")
    if not path.exists():
        raise MissingFileError(f"no such file: {path}")
    if path.suffix == ".json":
        if not is_ensemble(path):
            raise InputError(f"{path} is not the manifest of an ensemble: name a model by its .onnx file")
        return load_ensemble(path, sha256=sha256, root=root, threads=threads)
    report = path.with_suffix(".json")
    if sidecar is None and report.exists() and (int8_block := peek(report, "int8")) is not None:
        parent = _parent(path, report)
        pin = sha256 or (int8_block.get("sha256") if isinstance(int8_block, dict) else None)
        if not isinstance(pin, str):
            raise IntegrityError(f"{report} is an int8 report that pins no file: quantise the model again")
        return load_pinned(path, sidecar=parent, sha256=pin, int8=True, root=root, threads=threads)
    return load_file(path, sidecar=sidecar, sha256=sha256, root=root, threads=threads)


def _parent(path: Path, report: Path) -> Path:
    """Return the sidecar of the fp32 model of an int8 variant, in the workflow's layout."""
    fp32: Any = peek(report, "fp32")
    parts = layout.INT8.match(os.path.abspath(path)) or {"model": "MODEL", "seed": "SEED"}
    sidecar = layout.SIDECAR.under(layout.INT8.results_folder(path), **parts)
    if not sidecar.exists():
        raise MissingFileError(
            f"{path} is an int8 variant, but the sidecar of its fp32 model is not at {sidecar}: name it (--sidecar)"
        )
    digest = fp32.get("sha256") if isinstance(fp32, dict) else None
    if digest != peek(sidecar, "sha256"):
        raise IntegrityError(
            f"{report} was made from the ONNX file {digest}, but {sidecar} belongs to another: quantise again"
        )
    return sidecar
