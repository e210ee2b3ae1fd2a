"""Using a model file: every check first, then scores.

>>> model = load_model("results/models/vmaf_tiny_v2/seed0/model.onnx")  # doctest: +SKIP
>>> model.predict(pyvmaf.score("ref.mkv", "dis.mkv")).scores  # doctest: +SKIP
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.files import sha256_bytes
from pyvmaf.base.parse import parse_json
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.runtime import allowlist
from pyvmaf.runtime.graph import Graph
from pyvmaf.runtime.predictor import OVERSHOOT, FamilyPredictor, ModelWarning, Prediction
from pyvmaf.runtime.session import short
from pyvmaf.runtime.sidecar import Sidecar, check_sidecar, predictor_part

MAX_SIDECAR_BYTES = 1 << 20
_TRIED, _APART = 16, 0.01
"""Rows that a model is tried with when it is loaded, and how far a score may move, in widths of the expected range."""

JAIL = "VMAF_TINY_MODEL_DIR"
"""Environment variable: if it is set, models are loaded from below that folder only."""


def confined_file(path: Path, root: Path | None) -> Path:
    """Give the real path of a regular file below `root`.

    Raises:
        MissingFileError: there is no such file.
        InputError: it lies elsewhere once links are followed, or is not a regular file.
    """
    try:
        real = Path(os.path.realpath(path))
    except (OSError, ValueError) as err:  # a NUL in the name
        raise InputError(f"cannot read {os.fspath(path)!r}: {err}") from err
    if root is not None:
        allowed = Path(os.path.realpath(root))
        if allowed not in real.parents:
            raise InputError(f"{path} lies outside of the folder that models may be loaded from, {root}: refused")
    try:
        mode = real.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as err:
        raise MissingFileError(f"no such file: {path}") from err
    except (OSError, ValueError) as err:
        raise InputError(f"cannot read {path}: {getattr(err, 'strerror', None) or err}") from err
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

    def __init__(self, family: FamilyPredictor, sidecar: dict[str, Any], graph: Graph) -> None:
        """Keep the family's predictor, the sidecar and the graph."""
        self._family = family
        self.graph = graph
        """The checked graph."""
        self.int8: bool = sha256_bytes(graph.data) != sidecar["sha256"]
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

    @property
    def family(self) -> FamilyPredictor:
        """The family's predictor, for what only that family can do."""
        return self._family

    def examples(self, n: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Draw raw features [n, columns] from the training range, every eighth row a corner of it, and codec blocks."""
        return self._family.examples(n, seed)

    def feeds(self, features: NDArray[np.float64], codec: NDArray[np.float64] | None) -> dict[str, NDArray[np.float32]]:
        """Give the graph's inputs for raw features [n, columns] and codec blocks [n, width]."""
        return self._family.feeds(features, codec)

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
            IntegrityError: the runtime fails, or a score is NaN or infinite.

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
        IntegrityError: the bytes are not those that were pinned, the graph is not valid or not the one that the sidecar
            describes, it answers rows of its training range with NaN, the sidecar does not conform, or it speaks of a
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
    root: str | os.PathLike[str] | None = None,
    threads: int = 1,
) -> Model:
    """Load a model whose sidecar is pinned as well, or an int8 variant.

    Args:
        path, sidecar, sha256, root, threads: as in `load_model`.
        sidecar_sha256: pin of the sidecar; none by default.

    Raises:
        MissingFileError, InputError, IntegrityError: as in `load_model`.
    """
    given, jail = Path(path), jail_of(root)
    beside = given.with_suffix(".json") if sidecar is None else Path(sidecar)
    described = read_pinned(beside, jail, sidecar_sha256)
    return load_described(given, described, str(beside), sha256=sha256, root=jail, threads=threads)


def load_described(
    given: Path,
    described: dict[str, Any],
    where: str,
    *,
    sha256: str | None = None,
    root: Path | None = None,
    threads: int = 1,
) -> Model:
    """Load a model whose sidecar was read.

    Args:
        given: the ONNX file.
        described: content of the sidecar.
        where: name of the sidecar, for errors.
        sha256, root, threads: as in `load_model`.

    Raises:
        MissingFileError, InputError, IntegrityError: as in `load_model`.
    """
    parsed, block = check_sidecar(described, where)
    data = allowlist.read_model(confined_file(given, root))
    actual, pinned = sha256_bytes(data), parsed.sha256 if sha256 is None else sha256
    if actual != pinned:
        raise IntegrityError(f"{given} has sha256 {actual}, but {pinned} is pinned: it is not the file that was judged")
    graph = Graph.of(data, str(given))
    if actual == parsed.sha256:
        check_described(graph, parsed, where)
    family = predictor_part(parsed.kind).predictor(graph, described, block, where, threads)
    _check_rows(family, str(given), parsed.expected_output_range)
    return Model(family, described, graph)


def check_described(graph: Graph, sidecar: Sidecar, where: str) -> None:
    """Compare a graph with the keys of its own sidecar; an int8 variant has that of its fp32 model."""
    for key, stated, actual in (
        ("onnx_opset", sidecar.onnx_opset, graph.opset),
        ("bytes", sidecar.bytes, len(graph.data)),
        ("operators", sidecar.operators, graph.operators),
    ):
        if stated is not None and stated != actual:
            raise IntegrityError(f"{where} says {key} {short(stated)}, but {graph.where} has {short(actual)}")


def _check_rows(family: FamilyPredictor, where: str, expected: Sequence[float]) -> None:
    """Score rows of the training range together and some of them alone: a score depends on its own row only.

    Raises:
        IntegrityError: it does not, or a score is NaN or infinite.
    """
    tried = getattr(family, "n_examples", _TRIED)
    X, codec = family.examples(tried)
    together = family.predict(X, codec).answers
    for row in (0, tried - 1):
        one = slice(row, row + 1)
        alone = family.predict(X[one], None if codec is None else codec[one]).answers[0]
        # int8 rounds: a last bit in a product of other size may move a value by one step.
        if abs(alone - together[row]) > _APART * max(expected[1] - expected[0], abs(alone)):
            raise IntegrityError(
                f"{where} scores a row with {alone:g} alone and with {together[row]:g} among {tried} rows: a model's score "
                "may depend on nothing but its row"
            )


def peek(path: Path, key: str) -> Any:
    """Give one value of a small JSON object that is not checked yet; None if there is no such value or object."""
    try:
        return read_pinned(path, None).get(key)
    except (InputError, IntegrityError):
        return None
