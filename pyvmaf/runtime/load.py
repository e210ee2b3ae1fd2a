"""Using a model file: every check first, then scores.

>>> model = load_model("results/models/vmaf_tiny_v2/seed0/model.onnx")  # doctest: +SKIP
>>> model.predict(pyvmaf.score("ref.mkv", "dis.mkv")).scores  # doctest: +SKIP
"""

from __future__ import annotations

import os
import stat
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from pyvmaf.base.files import sha256_bytes
from pyvmaf.base.parse import parse_json
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.runtime import allowlist
from pyvmaf.runtime.predictor import OVERSHOOT, FamilyPredictor, ModelWarning, Prediction
from pyvmaf.runtime.session import session, with_inner
from pyvmaf.runtime.sidecar import check_sidecar, predictor_part

MAX_SIDECAR_BYTES = 1 << 20
JAIL = "VMAF_TINY_MODEL_DIR"
"""Environment variable: if it is set, models are loaded from below that folder only."""


def confined_file(path: Path, root: Path | None) -> Path:
    """Give the real path of a regular file below `root`.

    Raises:
        MissingFileError: there is no such file.
        InputError: it lies elsewhere once links are followed, or is not a regular file.
    """
    real = Path(os.path.realpath(path))
    if root is not None:
        allowed = Path(os.path.realpath(root))
        if allowed not in real.parents:
            raise InputError(f"{path} lies outside of the folder that models may be loaded from, {root}: refused")
    try:
        mode = real.stat().st_mode
    except FileNotFoundError as err:
        raise MissingFileError(f"no such file: {path}") from err
    if not stat.S_ISREG(mode):
        raise InputError(f"{path} is not a regular file: a model is read from one only")
    return real


def read_pinned(path: Path, root: Path | None, sha256: str | None = None) -> dict[str, Any]:
    """Read a small JSON object.

    Raises:
        MissingFileError: there is no such file.
        InputError: it lies outside of `root`, is too large or no regular file.
        IntegrityError: it is not JSON, no object, or not the file that was pinned.
    """
    real = confined_file(path, root)
    if (size := real.stat().st_size) > MAX_SIDECAR_BYTES:
        raise InputError(f"{path} has {size} bytes, but a sidecar may have at most {MAX_SIDECAR_BYTES}")
    data = allowlist.read_model(real, MAX_SIDECAR_BYTES)
    if sha256 is not None and (found := sha256_bytes(data)) != sha256:
        raise IntegrityError(f"{path} has sha256 {found}, but {sha256} is pinned: it is not the file that was judged")
    content = parse_json(data, str(path))
    if not isinstance(content, dict):
        raise IntegrityError(f"{path} holds {type(content).__name__}, not an object")
    return content


def warn_outside(name: str, prediction: Prediction, expected: tuple[float, float], stacklevel: int) -> None:
    """Warn if answers lie outside of the expected range by more than `OVERSHOOT` of its width, clipped or not."""
    low, high = expected
    margin = OVERSHOOT * (high - low)
    answers = prediction.answers
    far = int(np.count_nonzero(~((answers >= low - margin) & (answers <= high + margin))))
    if far:
        clipped = "" if prediction.unclipped is None else ": they were clipped to it"
        warnings.warn(
            f"{far} of {answers.size} scores of model {name} lie outside of its expected range {low:g} to {high:g}, from "
            f"{answers.min():.4g} to {answers.max():.4g}{clipped}",
            ModelWarning,
            stacklevel=stacklevel,
        )


class Model:
    """A model that passed every check. Make one with `load_model`."""

    def __init__(self, family: FamilyPredictor, sidecar: dict[str, Any], *, int8: bool = False) -> None:
        """Keep the family's predictor and the sidecar."""
        self._family = family
        self.int8 = int8
        """Whether the file is an int8 variant of the model that the sidecar describes."""
        self.warn = False
        """Whether `predict` warns of scores outside of the expected range; `pyvmaf.load_model` turns it on."""
        self.sidecar = sidecar
        """Content of the sidecar."""

    @property
    def name(self) -> str:
        """The model's id; that of an int8 variant ends in ``.int8``."""
        return f"{self.sidecar['name']}{'.int8' if self.int8 else ''}"

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in the order of the columns that `predict` takes."""
        return self._family.features

    def predict(self, features: Any, codec: Any = None) -> Prediction:
        """Score rows of features.

        Args:
            features: a data frame, Arrow table or mapping with at least the model's columns, or an array
                [n, features] in the order of `features`; raw values, unscaled.
            codec: for a model with a codec block: an (encoder, preset, CRF) tuple for all rows, or columns
                [n, width]; None for a video whose codec is not known.

        Returns:
            Scores, and how far the rows lie from the training rows.

        Raises:
            InputError: columns are missing or not finite, or shapes do not fit.

        Warns:
            ModelWarning: scores, before they were clipped, lie outside of the expected range by more than `OVERSHOOT`
                of its width, and `warn` is on.
        """
        prediction = self._family.predict(features, codec)
        if self.warn:
            warn_outside(self.sidecar["name"], prediction, self.sidecar["expected_output_range"], 3)
        return prediction


def load_model(
    path: str | os.PathLike[str],
    *,
    sidecar: str | os.PathLike[str] | None = None,
    sha256: str | None = None,
    root: str | os.PathLike[str] | None = None,
    threads: int = 1,
) -> Model:
    """Load a model file after checking all of it.

    Args:
        path: the ONNX file.
        sidecar: its sidecar; by default the file of the same name that ends in ``.json``.
        sha256: pin of the file. By default the sidecar's; an int8 variant, which shares its parent's sidecar, needs
            its own (``sha256`` of the report beside it).
        root: folder that both must lie in once links are followed; by default $VMAF_TINY_MODEL_DIR if that is set.
        threads: of the runtime.

    Raises:
        MissingFileError: a file is not there.
        InputError: a file lies outside of `root`, is too large, not a regular file, or holds content that a model may not.
        IntegrityError: the bytes are not those that were pinned, the sidecar does not conform, or it speaks of a
            codec vocabulary that is not this installation's.
    """
    return load_pinned(path, sidecar=sidecar, sha256=sha256, root=root, threads=threads)


def jail_of(root: str | os.PathLike[str] | None) -> Path | None:
    """Give the folder that files must lie in: `root`, else that of the environment variable `JAIL`, else None."""
    if root is not None:
        return Path(root)
    return Path(os.environ[JAIL]) if os.environ.get(JAIL) else None


def load_pinned(
    path: str | os.PathLike[str],
    *,
    sidecar: str | os.PathLike[str] | None = None,
    sha256: str | None = None,
    sidecar_sha256: str | None = None,
    int8: bool = False,
    root: str | os.PathLike[str] | None = None,
    threads: int = 1,
) -> Model:
    """Load a model whose sidecar is pinned as well, or an int8 variant.

    Args:
        path, sidecar, sha256, root, threads: as in `load_model`.
        sidecar_sha256: pin of the sidecar; none by default.
        int8: whether the file is an int8 variant of the model that the sidecar describes.

    Raises:
        MissingFileError, InputError, IntegrityError: as in `load_model`.
    """
    given, jail = Path(path), jail_of(root)
    beside = given.with_suffix(".json") if sidecar is None else Path(sidecar)
    described = read_pinned(beside, jail, sidecar_sha256)
    _, block = check_sidecar(described, str(beside))
    data = allowlist.read_model(confined_file(given, jail))
    actual, pinned = sha256_bytes(data), described["sha256"] if sha256 is None else sha256
    if actual != pinned:
        raise IntegrityError(f"{given} has sha256 {actual}, but {pinned} is pinned: it is not the file that was judged")
    graph = allowlist.parse(data, str(given))
    allowlist.check(graph, str(given))
    if inner := getattr(block, "inner", ()):
        data = with_inner(graph, inner, str(given))
    family = predictor_part(described["kind"]).predictor(session(data, threads), described, block)
    return Model(family, described, int8=int8)


def peek(path: Path, key: str) -> Any:
    """Give one value of a small JSON object that is not checked yet; None if there is no such value or object."""
    try:
        return read_pinned(path, None).get(key)
    except (InputError, IntegrityError):
        return None
