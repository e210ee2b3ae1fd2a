"""Using a model file: every check first, then scores.

>>> model = load_model("results/models/vmaf_tiny_v2/seed0/model.onnx")  # doctest: +SKIP
>>> model.predict(pyvmaf.score("ref.mkv", "dis.mkv")).scores  # doctest: +SKIP
"""

from __future__ import annotations

import json
import os
import stat
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.files import sha256_bytes
from pyvmaf.codecs.vocabularies import VOCABULARIES
from pyvmaf.errors import InputError, IntegrityError, MissingFileError
from pyvmaf.models.intervals import Calibration, combine
from pyvmaf.models.regressor.inputs import of_sidecar
from pyvmaf.runtime import allowlist
from pyvmaf.runtime.session import run, session
from pyvmaf.runtime.sidecar import check_sidecar

MAX_SIDECAR_BYTES = 1 << 20
JAIL = "VMAF_TINY_MODEL_DIR"
"""Environment variable: where it is set, models are loaded from below that folder only."""

OVERSHOOT = 0.01
"""Share of the output range that scores may lie outside of it before a warning: a regression to 100 hits 100.2 at times."""


class ModelWarning(UserWarning):
    """A model's answer deserves doubt."""


@dataclass(frozen=True)
class Prediction:
    """What a model says about rows of features.

    Attributes:
        scores: float64 [n].
        outside: share of rows outside the range of the training rows, by feature; features without any are left out.
        outside_share: share of rows with at least one feature outside.
        unexpected_share: share of scores outside the model's expected output range.
        members: float64 [members, n], each member's scores; None but for an ensemble.
        sigma: float64 [n], standard deviation over the members (ddof 1); None but for an ensemble.
        low, high: float64 [n], ends of the interval; None but for an ensemble.
    """

    scores: NDArray[np.float64]
    outside: dict[str, float]
    outside_share: float
    unexpected_share: float
    members: NDArray[np.float64] | None = None
    sigma: NDArray[np.float64] | None = None
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None


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


def _read_json(path: Path, root: Path | None, sha256: str | None = None) -> dict[str, Any]:
    """A small JSON object.

    Raises:
        MissingFileError: there is no such file.
        InputError: it lies outside of `root`, is too large or no regular file.
        IntegrityError: it is not JSON, no object, or not the file that was pinned.
    """
    real = _confined(path, root)
    if (size := real.stat().st_size) > MAX_SIDECAR_BYTES:
        raise InputError(f"{path} has {size} bytes, but a sidecar may have at most {MAX_SIDECAR_BYTES}")
    data = allowlist.read_model(real, MAX_SIDECAR_BYTES)
    if sha256 is not None and (found := sha256_bytes(data)) != sha256:
        raise IntegrityError(f"{path} has sha256 {found}, but {sha256} is pinned: it is not the file that was judged")
    try:
        content = json.loads(data)
    except ValueError as err:
        raise IntegrityError(f"{path} is not JSON ({err}): it is damaged or was cut short") from err
    if not isinstance(content, dict):
        raise IntegrityError(f"{path} holds {type(content).__name__}, not an object")
    return content


def _read_sidecar(path: Path, root: Path | None, sha256: str | None = None) -> dict[str, Any]:
    sidecar = _read_json(path, root, sha256)
    check_sidecar(sidecar, str(path))
    return sidecar


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

    def __init__(self, runtime: Any, sidecar: dict[str, Any], *, int8: bool = False) -> None:
        """Keep the session and its sidecar."""
        self._runtime = runtime
        self.int8 = int8
        """Whether the file is an int8 variant of the model that the sidecar describes."""
        self.warn = False
        """Whether `predict` warns of scores outside of the expected range; `pyvmaf.load_model` turns it on."""
        self.sidecar = sidecar
        """What the sidecar says."""
        self._prepare = of_sidecar(sidecar)

    @property
    def name(self) -> str:
        """The model's id, of an int8 variant with ``.int8`` behind it."""
        return f"{self.sidecar['name']}{'.int8' if self.int8 else ''}"

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

        Warns:
            ModelWarning: scores lie outside of the expected range by more than `OVERSHOOT` of its width, where `warn`
                is on.
        """
        found = self._predict(features, codec)
        if self.warn:
            self._warn(found.scores)
        return found

    def _predict(self, features: Any, codec: Any) -> Prediction:
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

    def _warn(self, scores: NDArray[np.float64]) -> None:
        low, high = self.sidecar["expected_output_range"]
        margin = OVERSHOOT * (high - low)
        far = int(np.count_nonzero((scores < low - margin) | (scores > high + margin)))
        if far:
            warnings.warn(
                f"{far} of {scores.size} scores of model {self.sidecar['name']} lie outside of its expected range "
                f"{low:g} to {high:g}, from {scores.min():.4g} to {scores.max():.4g}",
                ModelWarning,
                stacklevel=3,
            )


class Ensemble(Model):
    """Several models of one training as one, with intervals. Make one with `load_ensemble`."""

    def __init__(self, members: Sequence[Model], manifest: dict[str, Any]) -> None:
        """Keep the members and what the manifest says of them."""
        self.members = tuple(members)
        """The models, in the manifest's order."""
        self.manifest = manifest
        """What the manifest says."""
        self.sidecar = {**members[0].sidecar, "name": manifest["id"]}
        self.int8, self.warn = False, False
        self._prepare = members[0]._prepare
        confidence = manifest["confidence"]
        self.method: str = confidence["interval"]
        """How intervals are made: one of `pyvmaf.models.intervals.METHODS`."""
        self.nominal: float = confidence["nominal_coverage"]
        """Share of rows that intervals are to hold."""
        keys = ("rows", "gaussian_z", "conformal_q_residual", "normalised_beta", "normalised_q")
        self._rows = Calibration.of({key: confidence[key] for key in keys}, self.nominal)
        clips = confidence["clip_mean"]
        self._clips = None if clips is None else Calibration.of(clips, self.nominal)

    def _predict(self, features: Any, codec: Any) -> Prediction:
        """The mean over the members, with their spread and an interval for each row."""
        found = [member._predict(features, codec) for member in self.members]
        members = np.stack([one.scores for one in found])
        if members.shape[1] == 0:
            empty = np.empty(0)
            return replace(found[0], members=members, sigma=empty, low=empty, high=empty)
        mean, sigma = combine(members)
        half = self.half_width(sigma, self.method)
        low, high = self.sidecar["expected_output_range"]
        unexpected = float(((mean < low) | (mean > high)).mean())
        return replace(
            found[0],
            scores=mean,
            unexpected_share=unexpected,
            members=members,
            sigma=sigma,
            low=mean - half,
            high=mean + half,
        )

    def half_width(self, sigma: NDArray[np.float64], method: str) -> NDArray[np.float64]:
        """Half of the width of each row's interval [n], by one of `pyvmaf.models.intervals.METHODS`.

        Raises:
            InputError: no such method, or it was calibrated on too few rows.
        """
        return self._rows.half_width(sigma, method)

    def mean_interval(self, prediction: Prediction) -> tuple[float, float, float] | None:
        """The interval of the mean score over all rows of one clip, calibrated on means over clips.

        Args:
            prediction: of the clip's frames.

        Returns:
            sigma, low and high; None where there were too few clips to calibrate on, or there are no rows.
        """
        if self._clips is None or prediction.members is None or prediction.members.shape[1] == 0:
            return None
        mean, sigma = combine(prediction.members.mean(axis=1, keepdims=True))
        half = self._clips.half_width(sigma, self.method)
        return float(sigma[0]), float(mean[0] - half[0]), float(mean[0] + half[0])


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
    return load_pinned(path, sidecar=sidecar, sha256=sha256, root=root, threads=threads)


def _jail(root: str | os.PathLike[str] | None) -> Path | None:
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
    """`load_model` for whoever also pins the sidecar, or loads an int8 variant.

    Args:
        path, sidecar, sha256, root, threads: as in `load_model`.
        sidecar_sha256: pin of the sidecar; none by default.
        int8: whether the file is an int8 variant of what the sidecar describes.

    Raises:
        MissingFileError, InputError, IntegrityError: as in `load_model`.
    """
    given, jail = Path(path), _jail(root)
    beside = given.with_suffix(".json") if sidecar is None else Path(sidecar)
    described = _read_sidecar(beside, jail, sidecar_sha256)
    _check_consistent(described, beside)
    data = allowlist.read_model(_confined(given, jail))
    found, pinned = sha256_bytes(data), described["sha256"] if sha256 is None else sha256
    if found != pinned:
        raise IntegrityError(f"{given} has sha256 {found}, but {pinned} is pinned: it is not the file that was judged")
    allowlist.check(allowlist.parse(data, str(given)), str(given))
    return Model(session(data, threads), described, int8=int8)


def peek(path: Path, key: str) -> Any:
    """One value of a small JSON object that is yet to be checked; None where there is none, or no such object."""
    try:
        return _read_json(path, None).get(key)
    except (InputError, IntegrityError):
        return None


def load_ensemble(
    path: str | os.PathLike[str],
    *,
    sha256: str | None = None,
    root: str | os.PathLike[str] | None = None,
    threads: int = 1,
) -> Ensemble:
    """Load an ensemble from its manifest, after every check of `load_model` on each member.

    Args:
        path: the manifest (``ensemble.json``); the members lie below its folder.
        sha256: pin of the manifest, which pins its members; none by default.
        root, threads: as in `load_model`.

    Raises:
        MissingFileError: a file is not there.
        InputError: the ensemble is held, or a file may not be loaded.
        IntegrityError: the bytes are not those that were pinned, or members and manifest disagree.
    """
    from pyvmaf.base.document import check_document
    from pyvmaf.models.ensemble import MANIFEST_SCHEMA

    given, jail = Path(path), _jail(root)
    manifest = _read_json(given, jail, sha256)
    check_document(manifest, MANIFEST_SCHEMA, str(given))
    if manifest["verdict"] != "PROMOTE":
        why = manifest["coverage_gate"]["why"] or "its members are held"
        raise InputError(f"{given} is held: {why}. Its members can be loaded one by one")
    home = Path(os.path.realpath(given)).parent
    members = []
    for member in manifest["members"]:
        # The schema lets no path out of the folder; a link might still lead out of it.
        onnx, sidecar = home / member["onnx"], home / member["sidecar"]
        _confined(onnx, home)
        _confined(sidecar, home)
        model = load_pinned(
            onnx,
            sidecar=sidecar,
            sha256=member["sha256"],
            sidecar_sha256=member["sidecar_sha256"],
            root=jail,
            threads=threads,
        )
        _check_member(model.sidecar, manifest, sidecar, given)
        members.append(model)
    if len(members) != manifest["ensemble_size"]:
        raise IntegrityError(f"{given} names {len(members)} members, but says that it has {manifest['ensemble_size']}")
    return Ensemble(members, manifest)


def _check_member(sidecar: dict[str, Any], manifest: dict[str, Any], path: Path, where: Path) -> None:
    codec = sidecar["codec"]
    scaling = sidecar["input_normalization"]
    stated = {
        "feature_order": sidecar["features"],
        "feature_mean": scaling["mean"],
        "feature_std": scaling["std"],
        "scaler_in_graph": scaling["in_graph"],
        "codec_vocab": None if codec is None else codec["slots"],
        "codec_vocab_version": None if codec is None else codec["vocabulary"],
        "codec_vocab_sha256": None if codec is None else codec["vocabulary_sha256"],
        "expected_output_range": sidecar["expected_output_range"],
        "dataset_sha256": sidecar["dataset_sha256"],
    }
    for key, value in stated.items():
        if manifest[key] != value:
            raise IntegrityError(f"{where} says {key} {manifest[key]}, but its member {path} {value}")
