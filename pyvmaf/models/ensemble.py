"""``vmaf-train ensemble``: the seeds of a promoted model as one model with intervals.

Everything about the intervals is calibrated and measured on rows that no member was trained on: each seed's fold
models predict the rows of the sources that they did not see, and the residuals are those of these predictions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.document import Call, publish
from pyvmaf.base.files import read_json, sha256_file
from pyvmaf.base.outputs import publishes
from pyvmaf.base.parquet import read_parquet
from pyvmaf.errors import InputError, IntegrityError, PyvmafError
from pyvmaf.metrics import agreement
from pyvmaf.models.coverage import measure
from pyvmaf.models.spec import Ensemble, ModelSpec, load_spec
from pyvmaf.models.verdicts import HOLD, PROMOTE, FitReport, Verdict
from pyvmaf.models.weights import PREDICTIONS, REPORT
from pyvmaf.runtime.intervals import Calibration, combine
from pyvmaf.runtime.manifest import EnsembleManifest
from pyvmaf.runtime.sidecar import check_sidecar, predictor_part

_CLIP = ("fold", "source", "clip", "codec", "rung")
# The keys of sidecars in which members agree, beside those of their family.
_SHARED = (
    *("onnx_opset", "expected_output_range", "target", "dataset", "dataset_sha256", "train_config_hash"),
    *("train_commit", "license"),
)


class HeldError(PyvmafError):
    """The model is held: there is nothing to ship."""


@dataclass(frozen=True)
class Seed:
    """The files of one seed, each checked against the verdict.

    Attributes:
        number: the seed.
        folder: where its files lie.
        sidecar: of the exported model.
    """

    number: int
    folder: Path
    sidecar: dict[str, Any]
    sidecar_path: Path

    @property
    def onnx(self) -> Path:
        """The exported model."""
        return self.sidecar_path.with_name(str(self.sidecar["onnx"]))


@dataclass(frozen=True)
class HeldOut:
    """Predictions of all members on rows that they were not trained on.

    Attributes:
        target: float64 [n].
        members: float64 [members, n].
        units: str [n], the group that each row's members did not see (the source, or another column of the split).
    """

    target: NDArray[np.float64]
    members: NDArray[np.float64]
    units: NDArray[np.str_]


def _seed(sidecar_path: Path, verdict: dict[str, Any], where: Path) -> Seed:
    """A seed's files as they were judged.

    Raises:
        MissingFileError: one is not there.
        InputError: the verdict did not judge them.
        IntegrityError: a file is not the one that another one speaks of.
    """
    sidecar = read_json(sidecar_path)
    check_sidecar(sidecar, str(sidecar_path))
    number = sidecar["seed"]
    judged = verdict["per_seed"].get(str(number))
    if judged is None or sidecar["name"] != verdict["model"]:
        raise InputError(
            f"{where} judged seeds {verdict['seeds']} of {verdict['model']}, but {sidecar_path} is seed {number} of "
            f"{sidecar['name']}: judge it, too, or leave it out"
        )
    exported = sidecar["run_provenance"]["inputs"].get("checkpoint", {}).get("sha256")
    if exported != judged["weights_sha256"]:
        raise InputError(
            f"{where} judged weights {judged['weights_sha256']} for seed {number}, but {sidecar_path} was exported from "
            f"{exported}: export it again"
        )
    seed = Seed(number, sidecar_path.parent, dict(sidecar), sidecar_path)
    report_path = seed.folder / REPORT
    report = FitReport.read(report_path).as_json()
    for path, stated, by in (
        (report_path, judged["report_sha256"], where),
        (seed.folder / PREDICTIONS, report["predictions_sha256"], report_path),
        (seed.onnx, sidecar["sha256"], sidecar_path),
    ):
        found = sha256_file(path)
        if found != stated:
            raise IntegrityError(f"{path} has sha256 {found}, but {by} names {stated}: make it again")
    return seed


def read_held_out(paths: Sequence[Path]) -> tuple[HeldOut, HeldOut | None]:
    """Held-out predictions of several seeds, row by row.

    Args:
        paths: ``predictions.parquet`` of each seed.

    Returns:
        The rows, and the means over the frames of each clip where rows are frames of clips.

    Raises:
        MissingFileError: a file is not there.
        IntegrityError: the seeds predicted different rows.
    """
    import pandas as pd

    tables = [read_parquet(path) for path in paths]
    first = tables[0]
    known = first.drop_columns(["prediction"])
    for path, table in zip(paths[1:], tables[1:], strict=True):
        if not table.drop_columns(["prediction"]).equals(known):
            raise IntegrityError(f"{path} holds other rows than {paths[0]}: fit every seed on the same table")
    frame = known.to_pandas()
    members = np.stack([np.asarray(t.column("prediction").to_numpy(), dtype=np.float64) for t in tables])
    rows = HeldOut(
        frame["target"].to_numpy(dtype=np.float64), members, frame["fold"].astype(str).to_numpy(dtype=np.str_)
    )
    by = [name for name in _CLIP if name in frame.columns]
    if "frame_index" not in frame.columns or "clip" not in by:
        return rows, None
    whole = pd.DataFrame({name: frame[name].astype(str) for name in by})
    whole["target"] = frame["target"]
    places = [f"member{place}" for place in range(len(members))]
    whole[places] = members.T
    clips = whole.groupby(by, sort=True, as_index=False).mean()
    return rows, HeldOut(
        clips["target"].to_numpy(dtype=np.float64),
        np.ascontiguousarray(clips[places].to_numpy(dtype=np.float64).T),
        clips["fold"].to_numpy(dtype=np.str_),
    )


def assess(
    held_out: HeldOut, settings: Ensemble, bounds: tuple[float, float] = (-math.inf, math.inf)
) -> dict[str, Any]:
    """Calibrate on all rows, for the intervals that ship, and measure coverage on units that calibration did not see.

    Args:
        held_out: the rows.
        settings: of the spec.
        bounds: range that the ends of intervals are kept in.
    """
    mean, sigma = combine(held_out.members)
    calibration = Calibration.fit(held_out.target, mean, sigma, settings.nominal_coverage)
    # Too few rows for the intervals that were asked for are an error, not a null that somebody finds later.
    calibration.half_width(sigma[:1], settings.method)
    figures = agreement(mean, held_out.target)
    return {
        "calibration": calibration.described(),
        "n": int(held_out.target.size),
        "units": int(np.unique(held_out.units).size),
        "plcc": None if np.isnan(figures["plcc"]) else figures["plcc"],
        "srocc": None if np.isnan(figures["srocc"]) else figures["srocc"],
        "rmse": figures["rmse"],
        "mean_sigma": float(sigma.mean()),
        **measure(held_out.target, mean, sigma, held_out.units, settings.nominal_coverage, bounds),
    }


def _coverage_gate(rows: dict[str, Any], settings: Ensemble) -> dict[str, Any]:
    found = rows["coverage"][settings.method]["empirical_coverage"]
    off = None if found is None else abs(found - settings.nominal_coverage)
    # The tolerance is a decimal number; .97 - .95 is a little more than .02.
    passed = off is not None and round(off, 9) <= settings.coverage_tolerance
    why = None
    if not passed:
        measured = "could not be measured" if found is None else f"hold {found:.1%}"
        why = (
            f"intervals that should hold {settings.nominal_coverage:.1%} of rows of held-out sources {measured}, "
            f"which may be off by {settings.coverage_tolerance:.1%} at most"
        )
    return {
        "nominal_coverage": settings.nominal_coverage,
        "empirical_coverage": found,
        "coverage_tolerance": settings.coverage_tolerance,
        "passed": passed,
        "why": why,
    }


def _check_shared(seeds: Sequence[Seed]) -> None:
    first = seeds[0]
    for seed in seeds[1:]:
        for key in (*predictor_part(first.sidecar["kind"]).SHARED, *_SHARED):
            if seed.sidecar.get(key) != first.sidecar.get(key):
                raise InputError(
                    f"members must agree in {key}, but {first.sidecar_path} says {first.sidecar.get(key)} and "
                    f"{seed.sidecar_path} {seed.sidecar.get(key)}: export them from one fit of all seeds"
                )


def _confidence(spec: Ensemble, rows: dict[str, Any], clips: dict[str, Any] | None) -> dict[str, Any]:
    suffix = {"gaussian": "", "conformal": "+conformal", "normalised": "+conformal-normalised"}[spec.method]
    return {
        "method": f"ensemble{suffix}",
        "interval": spec.method,
        "nominal_coverage": spec.nominal_coverage,
        **rows["calibration"],
        "clip_mean": None if clips is None else clips["calibration"],
    }


@publishes("ensemble")
def make_ensemble(
    config: Path,
    verdict: Path,
    sidecars: Sequence[Path],
    table: Path,
    output: Path,
    *,
    record_held: bool = False,
) -> dict[str, Any]:
    """Write the manifest of an ensemble, and return it.

    A manifest whose intervals miss their nominal coverage is written as well; its verdict is HOLD, and the
    registry does not ship it.

    Args:
        config: the model's YAML file, with an ``ensemble`` block.
        verdict: ``verdict.json`` over the members.
        sidecars: ``model.json`` of each member, with the ONNX file, ``loso.json`` and ``predictions.parquet`` of the
            same seed beside it; below the folder of `output`.
        table: the table that the verdict judged.
        output: the manifest (``ensemble.json``).
        record_held: write a manifest that says HOLD for a held model, too, instead of raising `HeldError`.

    Raises:
        HeldError: the verdict is HOLD. Nothing is written.
        InputError: the spec asks for no ensemble, a seed that was judged is missing or one was not judged, the verdict
            judged another table, members do not belong together, or there are too few held-out rows.
        MissingFileError: a file is not there.
        IntegrityError: a file is not the one that was judged.
    """
    started = time.perf_counter()
    spec = load_spec(config)
    if spec.ensemble is None:
        raise InputError(f"{config} asks for no ensemble: give it a block `ensemble: {{}}`")
    judged = _judged(spec, verdict, table)
    if judged["verdict"] != PROMOTE and not record_held:
        raise HeldError(f"{verdict} holds {spec.name}: {judged['recommendation']}. An ensemble of it is not made")
    seeds = _members(spec, judged, verdict, sidecars)
    rows, clips = read_held_out([s.folder / PREDICTIONS for s in seeds])
    first = seeds[0].sidecar
    bounds = tuple(first["expected_output_range"]) if first.get("output_clipped") else (-math.inf, math.inf)
    by_row = assess(rows, spec.ensemble, bounds)
    by_clip = _by_clip(clips, spec.ensemble, bounds)
    gate = _coverage_gate(by_row, spec.ensemble)
    files = [path for s in seeds for path in (s.sidecar_path, s.onnx, s.folder / REPORT, s.folder / PREDICTIONS)]
    call = Call(
        "ensemble",
        args={"config": config, "verdict": verdict, "features": table, "seeds": [s.number for s in seeds]},
        inputs={"config": config, "verdict": verdict, "features": table, "members": files},
        uses=spec.uses("ensemble"),
        started=started,
    )
    manifest = EnsembleManifest.model_validate(
        {
            "id": spec.name,
            "kind": f"{spec.kind}_ensemble",
            "description": spec.description,
            "license": spec.license,
            "ensemble_size": len(seeds),
            "members": [_member(seed, output) for seed in seeds],
            **predictor_part(spec.kind).ensemble_keys(first),
            **{
                key: first[key]
                for key in ("expected_output_range", "target", "dataset", "train_commit", "train_config_hash")
            },
            "dataset_sha256": judged["corpus"]["sha256"],
            "confidence": _confidence(spec.ensemble, by_row, by_clip),
            "verdict": PROMOTE if judged["verdict"] == PROMOTE and gate["passed"] else HOLD,
            "verdict_sha256": sha256_file(verdict),
            "gates": judged["gate"],
            "coverage_gate": gate,
            "eval": {
                "protocol": f"members that did not see the row's {_unit(judged)}; intervals calibrated on the other ones; "
                "sigma with ddof 1 over members",
                "rows": by_row,
                "clip_means": by_clip,
            },
            "run_provenance": call.provenance(),
        }
    )
    return publish(manifest, output, call).as_json()


def _judged(spec: ModelSpec, verdict: Path, table: Path) -> dict[str, Any]:
    """Read the verdict; it must be of this model and of this table."""
    judged = Verdict.read(verdict).as_json()
    if judged["model"] != spec.name:
        raise InputError(f"{verdict} judged model {judged['model']!r}, not {spec.name!r}")
    table_sha256 = sha256_file(table)
    if table_sha256 != judged["corpus"]["sha256"]:
        raise InputError(
            f"{verdict} judged the table with sha256 {judged['corpus']['sha256']}, but {table} is {table_sha256}: fit and "
            "judge again on the same table"
        )
    return judged


def _members(spec: ModelSpec, judged: dict[str, Any], verdict: Path, sidecars: Sequence[Path]) -> list[Seed]:
    """The files of every seed that was judged, in the order of the seeds."""
    seeds = sorted((_seed(path, judged, verdict) for path in sidecars), key=lambda s: s.number)
    numbers = [s.number for s in seeds]
    if numbers != sorted(judged["seeds"]):
        raise InputError(
            f"{verdict} judged seeds {judged['seeds']}, but the sidecars given are of {numbers}: an ensemble has each "
            "seed that was judged once"
        )
    if len(seeds) < 2:
        raise InputError(f"{spec.name} was judged with seed {numbers} only: an ensemble needs at least 2 members")
    _check_shared(seeds)
    return seeds


def _unit(verdict: dict[str, Any]) -> str:
    return str(verdict["split"].get("by") or "fold")


def _by_clip(clips: HeldOut | None, settings: Ensemble, bounds: tuple[float, float]) -> dict[str, Any] | None:
    """The same for means over a clip's frames; None where rows are not frames, or clips are too few to calibrate on."""
    if clips is None:
        return None
    try:
        return assess(clips, settings, bounds)
    except InputError:
        return None


def _member(seed: Seed, manifest: Path) -> dict[str, Any]:
    """How a manifest names a member: paths from its own folder, which they do not leave."""
    home = manifest.resolve().parent
    named = {}
    for key, path in (("onnx", seed.onnx), ("sidecar", seed.sidecar_path)):
        full = path.resolve()
        if home not in full.parents:
            raise InputError(
                f"{path} does not lie below {manifest.parent}, the folder of the manifest that is to name it"
            )
        named[key] = full.relative_to(home).as_posix()
    return {
        "id": f"{seed.sidecar['name']}_seed{seed.number}",
        "seed": seed.number,
        **named,
        "sha256": seed.sidecar["sha256"],
        "sidecar_sha256": sha256_file(seed.sidecar_path),
        "mean_plcc": seed.sidecar["gates"]["per_seed_plccs"].get(str(seed.number)) if seed.sidecar["gates"] else None,
    }
