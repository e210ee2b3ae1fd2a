"""``vmaf-train judge``: PROMOTE or HOLD, from the held-out figures of every seed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyvmaf.base.document import check_document, publish_body
from pyvmaf.base.files import read_json, sha256_file
from pyvmaf.errors import InputError, IntegrityError
from pyvmaf.metrics import FIGURES, spread
from pyvmaf.models import gates
from pyvmaf.models.gates import Seed
from pyvmaf.models.regressor.weights import PREDICTIONS, WEIGHTS
from pyvmaf.models.spec import ModelSpec, load_spec

SCHEMA = Path(__file__).with_name("schemas") / "verdict.schema.json"
PROMOTE, HOLD = "PROMOTE", "HOLD"
_PER_SEED = ("mean_plcc", "std_plcc", "min_plcc", "max_plcc", "mean_srocc", "mean_krocc", "mean_rmse")
_NEEDED = (
    "model", "seed", "table", "weights_sha256", "predictions_sha256", "train_config_hash", "mean_plcc", "pooled", "folds",
)  # fmt: skip


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
    check_document(verdict, SCHEMA, str(path))
    return verdict


def gate(spec: ModelSpec, seeds: Sequence[Seed], negatives: Path | None = None) -> dict[str, Any]:
    """Every gate of a spec over its seeds, with each measured value beside its limit.

    Args:
        spec: the model.
        seeds: the fits.
        negatives: table of hard negatives, or None.

    Raises:
        InputError, MissingFileError, IntegrityError: what the gates read is not there, damaged, or lacks a column.
    """
    limits = spec.gates
    found = gates.correlation(limits, {seed.number: seed.report["mean_plcc"] for seed in seeds}) | {
        "pooled": gates.pooled(limits.pooled, seeds),
        "hard_negatives": gates.hard_negatives(spec, negatives, seeds),
        "monotonicity": gates.monotonicity(limits.monotonicity, seeds),
        "extrapolation": gates.extrapolation(limits.extrapolation, seeds),
    }
    why = gates.reasons(found)
    # Whatever they score: nobody trained them.
    untrained = sorted(seed.number for seed in seeds if seed.report.get("epochs") == 0)
    if untrained:
        why.append(f"seeds {untrained} hold their initial weights")
    return {"passed": not why, "reasons": why, **found}


def judge(
    config: Path,
    reports: Sequence[Path],
    output: Path,
    *,
    negatives: Path | None = None,
    seeds: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Write the verdict over the reports of several seeds, and return it.

    Args:
        config: the model's YAML file.
        reports: the ``loso.json`` of each seed, beside the weights and predictions that fit left with it.
        output: where the verdict goes.
        negatives: table of hard negatives. Without it a model whose spec has limits on them is held.
        seeds: seeds that must be among the reports; None judges those that are given.

    Raises:
        MissingFileError: a report, or what it stands beside, is not there.
        IntegrityError: weights or predictions are not those that a report speaks of.
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

    judged = sorted(by_seed)
    fits = [Seed(seed, *by_seed[seed]) for seed in judged]
    found = gate(spec, fits, negatives)
    promoted = found["passed"]
    unjudged = {part: found[part]["why"] for part in gates.PARTS if not found[part]["judged"]}
    body = {
        "model": spec.name,
        "verdict": PROMOTE if promoted else HOLD,
        "seeds": judged,
        "seeds_not_judged": sorted(set(spec.seeds) - set(judged)),
        "gates_not_judged": unjudged,
        "gate": found,
        "corpus": {"present": True, **first["table"]},
        "split": first["split"],
        "train_config_hash": first["train_config_hash"],
        "per_seed": {
            str(seed.number): {
                "report_sha256": sha256_file(seed.path),
                "weights_sha256": seed.report["weights_sha256"],
            }
            | {k: seed.report.get(k) for k in _PER_SEED}
            for seed in fits
        },
        "over_seeds": {figure: spread([seed.report.get(f"mean_{figure}") for seed in fits]) for figure in FIGURES},
        "per_fold": gates.per_fold([seed.report for seed in fits]),
        "recommendation": "ship the model of any of these seeds" if promoted else "; ".join(found["reasons"]),
    }
    return publish_body(
        body,
        output,
        schema=SCHEMA,
        verb="judge",
        args={"config": config, "negatives": negatives, "seeds": judged},
        inputs={
            "config": config,
            "reports": [seed.path for seed in fits],
            "predictions": [seed.beside(PREDICTIONS) for seed in fits if found["monotonicity"]["judged"]],
            "weights": [seed.beside(WEIGHTS) for seed in fits if found["hard_negatives"]["judged"]],
            "negatives": [negatives] if negatives is not None and found["hard_negatives"]["judged"] else [],
        },
        started=started,
    )
