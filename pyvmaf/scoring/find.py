"""Find and load a model: a registered one by its id; an exported model, an ensemble or an int8 variant by its path."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyvmaf.base import layout
from pyvmaf.errors import InputError, IntegrityError, MissingFileError

if TYPE_CHECKING:
    from pyvmaf.runtime.ensemble import AnyModel

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
    from pyvmaf.runtime.load import peek

    return str(peek(Path(path), "kind")).endswith("_ensemble")


@dataclass(frozen=True)
class Located:
    """The files of a model that was named.

    Attributes:
        path: the ONNX file, or the manifest of an ensemble.
        sha256: its pin; None for the one in its sidecar.
        sidecar: of the ONNX file; None for an ensemble, and for a file that nothing describes.
        sidecar_sha256: its pin by the registry; None for none.
        ensemble: whether `path` is the manifest of an ensemble.
    """

    path: Path
    sha256: str | None = None
    sidecar: Path | None = None
    sidecar_sha256: str | None = None
    ensemble: bool = False

    def load(self, *, root: str | os.PathLike[str] | None = None, threads: int = 1) -> AnyModel:
        """Check all of the model and load it; see `load_model`."""
        from pyvmaf.runtime.ensemble import load_ensemble
        from pyvmaf.runtime.load import load_pinned

        if self.ensemble:
            return load_ensemble(self.path, sha256=self.sha256, root=root, threads=threads)
        return load_pinned(
            self.path,
            sidecar=self.sidecar,
            sha256=self.sha256,
            sidecar_sha256=self.sidecar_sha256,
            root=root,
            threads=threads,
        )


def locate(
    model: str | os.PathLike[str],
    *,
    registry: str | os.PathLike[str] | None = None,
    int8: bool = False,
    sidecar: str | os.PathLike[str] | None = None,
    sha256: str | None = None,
) -> Located:
    """Find the files of a model; arguments and errors are those of `load_model`."""
    if is_path(model):
        if int8:
            raise InputError(f"int8 goes with an id; for an int8 variant by path name its own file, not {model}")
        return _by_path(Path(model), sidecar, sha256)
    if sidecar is not None or sha256 is not None:
        raise InputError(f"sidecar and sha256 go with a path, but {model!r} is an id: the registry pins its files")
    name = str(model)
    return _registered(name.removesuffix(INT8), registry_path(registry), int8 or name.endswith(INT8))


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
            an exported model (``model.onnx``, or its sidecar), of an int8 variant, or of an ensemble
            (``ensemble.json``).
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
            outside `root`, is too large or not regular, has operators that are not allowed, or would take more memory
            or time than a model may.
        IntegrityError: a file is damaged or differs from its pin, files of one model contradict each other, or a model
            was trained with a codec vocabulary that this installation does not have.

    Warns:
        ModelWarning: the model did not pass its gates, or none has measured it (initial weights, or registered by hand).

    Examples:
        >>> model = pyvmaf.load_model("vmaf_tiny_v2")
        >>> model.predict(pyvmaf.score("reference.mkv", "distorted.mkv").to_pandas()).scores
    """
    from pyvmaf.runtime.predictor import ModelWarning

    located = locate(model, registry=registry, int8=int8, sidecar=sidecar, sha256=sha256)
    loaded = located.load(root=root, threads=threads)
    loaded.warn = True
    if doubt := _doubt(loaded.sidecar["verdict"]):
        warnings.warn(f"model {loaded.name} {doubt}", ModelWarning, stacklevel=2)
    return loaded


def _doubt(verdict: str) -> str | None:
    """Return what there is to say of a model that is not promoted."""
    from pyvmaf.runtime.sidecar import UNJUDGED, UNTRAINED

    return {
        "HOLD": "is held: its gates did not pass, so that its scores may be far off",
        UNTRAINED: "holds initial weights: its scores mean nothing",
        UNJUDGED: "was registered by hand: no gate has measured its error, and nothing says which values its training rows had",
    }.get(verdict)


def _registered(name: str, registry: Path, int8: bool) -> Located:
    if not registry.exists():
        raise MissingFileError(
            f"no such file: {registry}, which should list model {name!r}: run in the folder of the workflow, name "
            f"another registry (--registry, ${REGISTRY}), or give the model's path"
        )
    from pyvmaf.registry.consistency import disagreements
    from pyvmaf.registry.entry import find_entry

    entry = find_entry(registry, name)
    home = registry.parent
    if int8 and entry.ensemble is not None:
        raise InputError(
            f"model {name!r} is an ensemble, whose intervals were calibrated on its fp32 members: it has no int8 "
            "variant. Those of its members can be loaded by path"
        )
    if int8 and entry.int8 is None:
        raise InputError(f"model {name!r} ships no int8 variant ({entry.no_int8()}); fp32 is not taken in its place")
    if entry.sidecar is None:
        raise InputError(f"model {name!r} was registered without a sidecar, which describes its inputs")
    if wrong := disagreements(entry, registry):
        raise IntegrityError(f"{registry}: {wrong[0]}: register the models again")
    if entry.ensemble is not None:
        return Located(home / entry.ensemble.manifest, entry.ensemble.manifest_sha256, ensemble=True)
    file, pin = (entry.int8, entry.int8_sha256) if int8 else (entry.onnx, entry.sha256)
    return Located(home / str(file), pin, home / entry.sidecar, entry.sidecar_sha256)


def _by_path(path: Path, sidecar: str | os.PathLike[str] | None, sha256: str | None) -> Located:
    from pyvmaf.runtime.find import describe
    from pyvmaf.runtime.load import peek

    if not path.exists():
        raise MissingFileError(f"no such file: {path}")
    if path.suffix == ".json":
        if sidecar is not None:
            raise InputError(f"{path} is itself a JSON file: name a sidecar only for an .onnx file")
        if is_ensemble(path):
            return Located(path, sha256, ensemble=True)
        onnx = peek(path, "onnx")
        if not isinstance(onnx, str) or os.sep in onnx:
            raise InputError(
                f"{path} is neither the manifest of an ensemble nor a sidecar, which names its ONNX file: name a model by "
                "its .onnx file"
            )
        return Located(path.with_name(onnx), sha256, path)
    found = describe(path, sidecar)
    return Located(path, sha256 or found.sha256, found.sidecar)
