"""Several models of one training as one, with intervals."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.files import dumps
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.runtime.intervals import Calibration, combine, gaussian_z
from pyvmaf.runtime.load import Model, confined_file, jail_of, load_pinned, read_pinned, warn_outside
from pyvmaf.runtime.manifest import EnsembleManifest, Member
from pyvmaf.runtime.predictor import Prediction
from pyvmaf.runtime.session import short
from pyvmaf.runtime.sidecar import predictor_part

_SLACK = 1e-6


class Ensemble:
    """The mean of several models with an interval around it. Make one with `load_ensemble`."""

    def __init__(self, members: Sequence[Model], manifest: dict[str, Any]) -> None:
        """Keep the members and the content of the manifest."""
        self.members = tuple(members)
        """The models, in the manifest's order."""
        self.manifest = manifest
        """Content of the manifest."""
        self.sidecar: dict[str, Any] = {**members[0].sidecar, "name": manifest["id"]}
        """Content of the first member's sidecar, with the ensemble's name."""
        self.warn = False
        """Whether `predict` warns of scores outside of the expected range; `pyvmaf.load_model` turns it on."""
        confidence = manifest["confidence"]
        self.method: str = confidence["interval"]
        """How intervals are made: one of `pyvmaf.runtime.intervals.METHODS`."""
        self.nominal: float = confidence["nominal_coverage"]
        """Share of rows that intervals are to hold."""
        keys = ("rows", "gaussian_z", "conformal_q_residual", "normalised_beta", "normalised_q")
        self._rows = Calibration.of({key: confidence[key] for key in keys}, self.nominal)
        clips = confidence["clip_mean"]
        self._clips = None if clips is None else Calibration.of(clips, self.nominal)

    @property
    def name(self) -> str:
        """The ensemble's id."""
        return str(self.sidecar["name"])

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in the order of the columns that `predict` takes."""
        return self.members[0].features

    def examples(self, n: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Draw arguments of `predict`, as `Model.examples` does."""
        return self.members[0].examples(n, seed)

    def feeds(self, features: NDArray[np.float64], codec: NDArray[np.float64] | None) -> dict[str, NDArray[np.float32]]:
        """Give the inputs of each member's graph, as `Model.feeds` does."""
        return self.members[0].feeds(features, codec)

    def predict(self, features: Any, codec: Any = None) -> Prediction:
        """Score rows of features with every member; arguments, errors and warnings are those of `Model.predict`.

        Returns:
            The mean over the members, their spread, and an interval for each row.
        """
        answers = [member.predict(features, codec) for member in self.members]
        prediction = self._combined(answers)
        if self.warn:
            warn_outside(self.name, prediction, self.sidecar["expected_output_range"], 3)
        return prediction

    def _combined(self, answers: Sequence[Prediction]) -> Prediction:
        members = np.stack([answer.scores for answer in answers])
        if members.shape[1] == 0:
            empty = np.empty(0)
            return replace(answers[0], members=members, sigma=empty, low=empty, high=empty)
        mean, sigma = combine(members)
        low, high = self.sidecar["expected_output_range"]
        answered = np.mean([answer.answers for answer in answers], axis=0)
        bottom, top = self.interval(mean, sigma, self.method)
        return replace(
            answers[0],
            scores=mean,
            unclipped=None if answers[0].unclipped is None else answered,
            unexpected_share=float((~((answered >= low) & (answered <= high))).mean()),
            members=members,
            sigma=sigma,
            low=bottom,
            high=top,
        )

    def interval(
        self, mean: NDArray[np.float64], sigma: NDArray[np.float64], method: str
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Ends [n] of each row's interval, by one of `pyvmaf.runtime.intervals.METHODS`.

        If the members clip their scores, the ends lie inside the expected range, too.

        Raises:
            InputError: no such method, or it was calibrated on too few rows.
        """
        return self._ends(mean, self.half_width(sigma, method))

    def _ends(
        self, mean: NDArray[np.float64], half: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        low, high = mean - half, mean + half
        if self.sidecar.get("output_clipped"):
            low, high = (np.clip(end, *self.sidecar["expected_output_range"]) for end in (low, high))
        return low, high

    def half_width(self, sigma: NDArray[np.float64], method: str) -> NDArray[np.float64]:
        """Half of the width of each row's interval [n], by one of `pyvmaf.runtime.intervals.METHODS`.

        Raises:
            InputError: no such method, or it was calibrated on too few rows.
        """
        return self._rows.half_width(sigma, method)

    def mean_interval(self, prediction: Prediction) -> tuple[float, float, float] | None:
        """The interval of the mean score over all rows of one clip, calibrated on means over clips.

        Args:
            prediction: of the clip's frames.

        Returns:
            sigma, low and high; None if there were too few clips to calibrate on, or there are no rows.
        """
        if self._clips is None or prediction.members is None or prediction.members.shape[1] == 0:
            return None
        mean, sigma = combine(prediction.members.mean(axis=1, keepdims=True))
        low, high = self._ends(mean, self._clips.half_width(sigma, self.method))
        return float(sigma[0]), float(low[0]), float(high[0])


AnyModel = Model | Ensemble
"""A loaded model."""


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
    given, jail = Path(path), jail_of(root)
    content = read_pinned(given, jail, sha256)
    manifest = EnsembleManifest.parse(dumps(content), str(given))
    if manifest.verdict != "PROMOTE":
        why = manifest.coverage_gate.why or "its members are held"
        raise InputError(f"{given} is held: {why}. Its members can be loaded one by one")
    _check_manifest(manifest, given)
    members = [_member(member, manifest, given, jail, threads) for member in manifest.members]
    return Ensemble(members, content)


def _check_manifest(manifest: EnsembleManifest, where: Path) -> None:
    """Refuse a manifest that contradicts itself, or whose intervals cannot be computed."""
    size, confidence = len(manifest.members), manifest.confidence
    if size != manifest.ensemble_size:
        raise IntegrityError(f"{where} names {size} members, but says that it has {manifest.ensemble_size}")
    for what, values in (
        ("a seed", [member.seed for member in manifest.members]),
        ("a model file", [member.sha256 for member in manifest.members]),
    ):
        if len(set(values)) < size:
            # Equal members always agree, so that the spread of all would promise too much.
            raise IntegrityError(f"{where} names {what} twice among its members: make the ensemble again")
    if abs(confidence.gaussian_z - gaussian_z(confidence.nominal_coverage)) > _SLACK:
        raise IntegrityError(
            f"{where} says gaussian_z {confidence.gaussian_z:g}, but for intervals of {confidence.nominal_coverage:g} it is "
            f"{gaussian_z(confidence.nominal_coverage):g}"
        )
    factor = {"conformal": confidence.conformal_q_residual, "normalised": confidence.normalised_q}
    if factor.get(confidence.interval, 0.0) is None:
        raise IntegrityError(f"{where} uses {confidence.interval} intervals, but states no factor for them")


def _member(member: Member, manifest: EnsembleManifest, where: Path, jail: Path | None, threads: int) -> Model:
    home = Path(os.path.realpath(where)).parent
    onnx, sidecar = home / member.onnx, home / member.sidecar
    confined_file(onnx, home)
    confined_file(sidecar, home)
    model = load_pinned(
        onnx,
        sidecar=sidecar,
        sha256=member.sha256,
        sidecar_sha256=member.sidecar_sha256,
        root=jail,
        threads=threads,
    )
    _check_member(model.sidecar, manifest, member, sidecar, where)
    return model


def _check_member(sidecar: dict[str, Any], manifest: EnsembleManifest, member: Member, path: Path, where: Path) -> None:
    """Refuse a member whose sidecar contradicts the manifest."""
    own = manifest.family_keys
    shared = ("expected_output_range", "dataset_sha256", "train_config_hash")
    stated = {
        **predictor_part(sidecar["kind"]).ensemble_keys(sidecar),
        **{key: sidecar[key] for key in shared},
        "kind": f"{sidecar['kind']}_ensemble",
        "seed": sidecar.get("seed", member.seed),
        "verdict": sidecar["verdict"],
    }
    present = {
        **own,
        **{key: getattr(manifest, key) for key in shared},
        "kind": manifest.kind,
        "seed": member.seed,
        "verdict": "PROMOTE",
    }
    for key in sorted(stated.keys() | present.keys()):
        if present.get(key) != stated.get(key):
            raise IntegrityError(
                f"{where} says {key} {short(present.get(key))}, but its member {path} {short(stated.get(key))}"
            )
