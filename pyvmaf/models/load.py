"""Using a model file: every check first, then scores.

>>> model = load_model("results/models/vmaf_tiny_v2/seed0/model.onnx")  # doctest: +SKIP
>>> model.predict(pyvmaf.score("ref.mkv", "dis.mkv").frame).scores  # doctest: +SKIP
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.codecs import VOCABULARIES
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.models import allowlist
from pyvmaf.models.export import check_sidecar, run, session
from pyvmaf.models.inputs import of_sidecar
from pyvmaf.provenance import read_json, sha256_bytes

MAX_SIDECAR_BYTES = 1 << 20
JAIL = "VMAF_TINY_MODEL_DIR"
"""Environment variable: where it is set, models are loaded from below that folder only."""


@dataclass(frozen=True)
class Prediction:
    """What a model says about rows of features.

    Attributes:
        scores: float64 [n].
        outside: share of rows outside the range of the training rows, by feature; features without any are left out.
        outside_share: share of rows with at least one feature outside.
        unexpected_share: share of scores outside the model's expected output range.
    """

    scores: NDArray[np.float64]
    outside: dict[str, float]
    outside_share: float
    unexpected_share: float


def _confined(path: Path, root: Path | None) -> Path:
    """The real path of a regular file below `root`.

    Raises:
        MissingFileError: there is no such file.
        InputError: it lies elsewhere once links are followed, or is no regular file.
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


def _read_sidecar(path: Path, root: Path | None) -> dict[str, Any]:
    real = _confined(path, root)
    size = real.stat().st_size
    if size > MAX_SIDECAR_BYTES:
        raise InputError(f"{path} has {size} bytes, but a sidecar may have at most {MAX_SIDECAR_BYTES}")
    sidecar = read_json(real)
    check_sidecar(sidecar, str(path))
    return dict(sidecar)


def _check_consistent(sidecar: dict[str, Any], path: Path) -> None:
    features, scaling = sidecar["features"], sidecar["input_normalization"]
    for name, n in (("mean", len(scaling["mean"])), ("std", len(scaling["std"]))):
        if n != len(features):
            raise IntegrityError(f"{path} lists {len(features)} features, but {n} values of {name}")
    if set(sidecar["feature_ranges"]) != set(features):
        raise IntegrityError(f"{path} gives ranges of {sorted(sidecar['feature_ranges'])}, but lists {features}")
    codec = sidecar["codec"]
    if codec is None:
        return
    known = VOCABULARIES.get(codec["vocabulary"])
    if known is None:
        raise IntegrityError(
            f"{path} was trained with codec vocabulary {codec['vocabulary']!r}, which this version of pyvmaf does not "
            f"know (it knows {', '.join(VOCABULARIES)}): use the version that wrote it"
        )
    if codec["vocabulary_sha256"] != known.sha256 or codec["slots"] != list(known.slots):
        raise IntegrityError(
            f"{path} was trained with codec vocabulary {codec['vocabulary']} of sha256 {codec['vocabulary_sha256']}, "
            f"but here it is {known.sha256}: its codec columns would mean something else"
        )


class Model:
    """A model that passed every check. Make one with `load_model`."""

    def __init__(self, runtime: Any, sidecar: dict[str, Any]) -> None:
        """Keep the session and its sidecar."""
        self._runtime = runtime
        self.sidecar = sidecar
        """What the sidecar says."""
        self._prepare = of_sidecar(sidecar)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in the order of the columns that `predict` takes."""
        return tuple(self.sidecar["features"])

    def _matrix(self, features: Any) -> NDArray[np.float64]:
        names = self.features
        columns = features.column_names if hasattr(features, "column_names") else getattr(features, "columns", None)
        if columns is not None or isinstance(features, Mapping):
            present = list(features if columns is None else columns)
            missing = [n for n in names if n not in present]
            if missing:
                raise InputError(
                    f"model {self.sidecar['name']} needs {', '.join(names)}, but the rows lack {', '.join(missing)}"
                )
            return np.column_stack([np.asarray(features[n], dtype=np.float64) for n in names])
        matrix = np.asarray(features, dtype=np.float64)
        if matrix.ndim == 1:
            matrix = matrix[None]
        if matrix.ndim != 2 or matrix.shape[1] != len(names):
            raise InputError(
                f"model {self.sidecar['name']} takes [rows, {len(names)}] ({', '.join(names)}), not {matrix.shape}"
            )
        return matrix

    def _codec(self, codec: Any, n: int) -> NDArray[np.float64] | None:
        block = self.sidecar["codec"]
        if block is None:
            if codec is not None:
                raise InputError(f"model {self.sidecar['name']} has no codec input: leave the codec out")
            return None
        known = VOCABULARIES[block["vocabulary"]]
        if codec is None:
            if block["blind"] is None:
                raise InputError(
                    f"model {self.sidecar['name']} needs the codec of each video: its vocabulary {known.version} has "
                    f"no slot for an unknown one ({', '.join(known.slots)})"
                )
            return np.tile(np.asarray(block["blind"], dtype=np.float64), (n, 1))
        if isinstance(codec, tuple) and len(codec) == 3 and isinstance(codec[0], str | None):
            codec = known.encode(*codec)
        columns = np.asarray(codec, dtype=np.float64)
        if columns.ndim == 1:
            columns = np.tile(columns, (n, 1))
        if columns.shape != (n, len(block["layout"])):
            raise InputError(
                f"the codec block of model {self.sidecar['name']} for {n} rows is [{n}, {len(block['layout'])}] "
                f"({', '.join(block['layout'])}), not {columns.shape}"
            )
        # Some published vocabularies do not clip the quality number, which is the last column.
        within = columns if known.bounded else columns[:, :-1]
        if not (np.isfinite(columns).all() and within.min(initial=0) >= 0 and within.max(initial=0) <= 1):
            raise InputError(f"the codec block of model {self.sidecar['name']} holds values outside of [0, 1]")
        return columns

    def predict(self, features: Any, codec: Any = None) -> Prediction:
        """Score rows of features.

        Args:
            features: a data frame, Arrow table or mapping with at least the model's columns, or an array
                [n, features] in the order of `features`; raw values, unscaled.
            codec: for a model with a codec block: an (encoder, preset, CRF) tuple for all rows, or columns
                [n, width]; None stands for a video whose codec is not known.

        Returns:
            Scores, and how far the rows lie from what the model was trained on.

        Raises:
            InputError: columns are missing or not finite, or shapes do not fit.
        """
        X = self._matrix(features)
        bad = int(np.count_nonzero(~np.isfinite(X).all(axis=1)))
        if bad:
            raise InputError(
                f"{bad} of {len(X)} rows hold NaN or infinity in {', '.join(self.features)}: leave them out"
            )
        block = self._codec(codec, len(X))
        if len(X) == 0:
            return Prediction(np.empty(0), {}, 0.0, 0.0)
        scores = run(self._runtime, self._prepare.graph_inputs(X), block)
        beyond = (self._prepare.low > X) | (self._prepare.high < X)
        shares = {name: float(s) for name, s in zip(self.features, beyond.mean(axis=0), strict=True) if s}
        low, high = self.sidecar["expected_output_range"]
        unexpected = (scores < low) | (scores > high)
        return Prediction(scores, shares, float(beyond.any(axis=1).mean()), float(unexpected.mean()))


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
        root: folder that both must lie in once links are followed; by default $VMAF_TINY_MODEL_DIR where that is set.
        threads: of the runtime.

    Raises:
        MissingFileError: a file is not there.
        InputError: a file lies outside of `root`, is too large, no regular file, or holds what a model may not.
        IntegrityError: the bytes are not those that were pinned, the sidecar does not conform, or it speaks of a
            codec vocabulary that is not this installation's.
    """
    given = Path(path)
    jail = Path(root) if root is not None else (Path(os.environ[JAIL]) if os.environ.get(JAIL) else None)
    beside = Path(sidecar) if sidecar is not None else given.with_suffix(".json")
    described = _read_sidecar(beside, jail)
    _check_consistent(described, beside)
    data = allowlist.read_model(_confined(given, jail))
    found, pinned = sha256_bytes(data), described["sha256"] if sha256 is None else sha256
    if found != pinned:
        raise IntegrityError(f"{given} has sha256 {found}, but {pinned} is pinned: it is not the file that was judged")
    allowlist.check(allowlist.parse(data, str(given)), str(given))
    return Model(session(data, threads), described)
