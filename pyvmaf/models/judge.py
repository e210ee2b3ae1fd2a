"""``vmaf-train judge``: PROMOTE or HOLD, from the held-out figures of every seed."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.models.spec import ModelSpec, load_spec
from pyvmaf.provenance import build_run_provenance, read_json, sha256_file, write_json, write_manifest

PROMOTE, HOLD = "PROMOTE", "HOLD"
_PER_SEED = ("mean_plcc", "std_plcc", "min_plcc", "max_plcc", "mean_srocc", "mean_krocc", "mean_rmse")
_NEEDED = ("model", "seed", "table", "weights_sha256", "train_config_hash", "mean_plcc", "folds")


def finite(value: float) -> float | None:
    """`value`, or None where it is not defined, as JSON wants it."""
    return float(value) if math.isfinite(value) else None


def read_report(path: Path) -> dict[str, Any]:
    """A ``loso.json``.

    Raises:
        MissingFileError: there is no such file.
        IntegrityError: it is not such a report.
    """
    report = read_json(path)
    missing = [k for k in _NEEDED if k not in report] if isinstance(report, dict) else list(_NEEDED)
    if missing:
        raise IntegrityError(f"{path} is no report of fit: it lacks {', '.join(missing)}. Fit the model again")
    return dict(report)


def read_verdict(path: Path) -> dict[str, Any]:
    """A ``verdict.json``.

    Raises:
        MissingFileError: there is no such file.
        IntegrityError: it is not such a verdict.
    """
    verdict = read_json(path)
    if not isinstance(verdict, dict) or verdict.get("verdict") not in (PROMOTE, HOLD) or "gate" not in verdict:
        raise IntegrityError(f"{path} is no verdict of judge. Judge the model again")
    return verdict


def gate(spec: ModelSpec, plccs: dict[int, float | None]) -> dict[str, Any]:
    """Hold the mean PLCC of each seed against the spec's gates.

    A seed whose PLCC is not defined (a fold's predictions were constant) fails, and so does the model.
    """
    gates = spec.gates
    known = [p for p in plccs.values() if p is not None]
    complete = len(known) == len(plccs)
    mean = float(np.mean(known)) if complete else None
    spread = float(max(known) - min(known)) if complete else None
    failing = sorted(s for s, p in plccs.items() if p is None or p < gates.per_seed_min)
    mean_pass = mean is not None and mean >= gates.mean_plcc_min
    spread_pass = spread is not None and spread <= gates.plcc_spread_max
    return {
        "passed": mean_pass and spread_pass and not failing,
        "mean_plcc": mean,
        "mean_plcc_threshold": gates.mean_plcc_min,
        "mean_plcc_pass": mean_pass,
        "std_plcc": float(np.std(known, ddof=1)) if complete and len(known) > 1 else None,
        "plcc_spread": spread,
        "plcc_spread_max": gates.plcc_spread_max,
        "plcc_spread_pass": spread_pass,
        "per_seed_plccs": {str(s): plccs[s] for s in sorted(plccs)},
        "per_seed_min": gates.per_seed_min,
        "per_seed_pass": not failing,
        "failing_seeds": failing,
    }


def _reasons(found: dict[str, Any]) -> list[str]:
    reasons = []
    if not found["mean_plcc_pass"]:
        reasons.append(f"mean PLCC {found['mean_plcc']} is below {found['mean_plcc_threshold']}")
    if not found["plcc_spread_pass"]:
        reasons.append(f"spread over seeds {found['plcc_spread']} is above {found['plcc_spread_max']}")
    if not found["per_seed_pass"]:
        reasons.append(f"seeds {found['failing_seeds']} are below {found['per_seed_min']}")
    return reasons


def judge(config: Path, reports: Sequence[Path], output: Path, *, seeds: Sequence[int] | None = None) -> dict[str, Any]:
    """Write the verdict over the reports of several seeds, and return it.

    Args:
        config: the model's YAML file.
        reports: the ``loso.json`` of each seed.
        output: where the verdict goes.
        seeds: seeds that must be among the reports; None judges those that are given.

    Raises:
        MissingFileError: a report is not there.
        InputError: there are no reports, they are of another model, miss a seed or repeat one, or were made from
            different tables or settings.
    """
    started = time.perf_counter()
    spec = load_spec(config)
    by_seed: dict[int, tuple[Path, dict[str, Any]]] = {}
    for path in reports:
        report = read_report(path)
        if report["model"] != spec.name:
            raise InputError(f"{path} reports on model {report['model']!r}, not on {spec.name!r}")
        if report["seed"] in by_seed:
            raise InputError(f"seed {report['seed']} is reported twice: {by_seed[report['seed']][0]} and {path}")
        by_seed[report["seed"]] = (path, report)
    if not by_seed:
        raise InputError(f"no reports of {spec.name} were given: fit it first, then name each seed's loso.json")
    missing = sorted(set(seeds or ()) - set(by_seed))
    if missing:
        raise InputError(f"seeds {list(seeds or ())} are to be judged, but {missing} were not reported: fit them first")
    _, first = next(iter(by_seed.values()))
    tables = {str(path): report["table"]["sha256"] for path, report in by_seed.values()}
    settings = {str(path): report["train_config_hash"] for path, report in by_seed.values()}
    for what, values in (("tables", tables), ("training settings", settings)):
        if len(set(values.values())) > 1:
            raise InputError(f"the reports come from different {what} ({values}): fit every seed again")

    found = gate(spec, {seed: report["mean_plcc"] for seed, (_, report) in by_seed.items()})
    promoted = found["passed"]
    judged = sorted(by_seed)
    verdict = {
        "schema_version": 1,
        "model": spec.name,
        "verdict": PROMOTE if promoted else HOLD,
        "seeds": judged,
        "seeds_not_judged": sorted(set(spec.seeds) - set(judged)),
        "gate": found,
        "corpus": {"present": True, **first["table"]},
        "split": first["split"],
        "train_config_hash": first["train_config_hash"],
        "per_seed": {
            str(seed): {
                "report_sha256": sha256_file(by_seed[seed][0]),
                "weights_sha256": by_seed[seed][1]["weights_sha256"],
            }
            | {k: by_seed[seed][1].get(k) for k in _PER_SEED}
            for seed in judged
        },
        "recommendation": "ship the model of any of these seeds" if promoted else "; ".join(_reasons(found)),
        "run_provenance": build_run_provenance(
            verb="judge",
            stage="models",
            args={"config": config, "seeds": judged},
            inputs={"config": config, "reports": [by_seed[s][0] for s in judged]},
            outputs={},
        ),
    }
    write_json(output, verdict)
    write_manifest(
        output,
        verb="judge",
        stage="models",
        args={"config": config, "seeds": judged},
        inputs={"config": config, "reports": [by_seed[s][0] for s in judged]},
        outputs={"verdict": output},
        seconds=time.perf_counter() - started,
    )
    return verdict
