"""``vmaf-train judge``: PROMOTE or HOLD, from the held-out figures of every seed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pyvmaf.base.document import Call, publish
from pyvmaf.base.files import sha256_file
from pyvmaf.base.outputs import publishes
from pyvmaf.errors import InputError
from pyvmaf.metrics import FIGURES, spread
from pyvmaf.models.families import gates
from pyvmaf.models.gates.extrapolation import per_fold
from pyvmaf.models.gates.gate import Judged, Row, Seed
from pyvmaf.models.spec import ModelSpec, load_spec
from pyvmaf.models.verdicts import HOLD, PROMOTE, FitReport, Verdict
from pyvmaf.models.weights import PREDICTIONS, WEIGHTS

_PER_SEED = ("mean_plcc", "std_plcc", "min_plcc", "max_plcc", "mean_srocc", "mean_krocc", "mean_rmse")


def gate(judged: Judged) -> dict[str, Any]:
    """Measure every gate of a model's family: the block ``gate`` of a verdict.

    Raises:
        InputError, MissingFileError, IntegrityError: a file that a gate reads is not there, damaged, or lacks a column.
    """
    blocks: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    reasons: list[str] = []
    for each in gates(judged.spec.kind):
        block = each.measure(judged)
        lines = each.rows(block)
        rows += [row.as_json(each.name) for row in lines]
        if "judged" in block:
            blocks[each.name] = block
            reasons += [block["why"]] if block["passed"] is False else []
        else:
            # The gate whose keys stand beside those of the others gives a reason per row.
            blocks |= block
            reasons += [row.why for row in lines if row.passed is False and row.why]
    untrained = sorted(seed.number for seed in judged.seeds if seed.report.get("epochs") == 0)
    if untrained:
        # Whatever their figures are: nobody trained them.
        why = f"seeds {untrained} hold their initial weights"
        rows.append(Row("seeds with initial weights", str(untrained), "none", False, why).as_json("training"))
        reasons.append(why)
    return {"passed": not reasons, "reasons": reasons, "rows": rows, **blocks}


@publishes("judge")
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
        seeds: seeds that must be among the reports; by default those of the spec.

    Raises:
        MissingFileError: a report, or a file beside it, is not there.
        IntegrityError: weights or predictions are not those that a report names.
        InputError: there are no reports, they are of another model, miss a seed or repeat one, or were made from
            different tables or settings.
    """
    started = time.perf_counter()
    spec = load_spec(config)
    fits = _fits(spec, reports, seeds)
    measured = gate(Judged(spec, fits, negatives))
    promoted = measured["passed"]
    parts = {name: block for name, block in measured.items() if isinstance(block, dict) and "judged" in block}
    read = {name for name, block in parts.items() if block["judged"]}
    numbers = [seed.number for seed in fits]
    first = fits[0].report
    call = Call(
        "judge",
        args={"config": config, "negatives": negatives, "seeds": numbers},
        inputs={
            "config": config,
            "reports": [seed.path for seed in fits],
            "predictions": [seed.beside(PREDICTIONS) for seed in fits if "monotonicity" in read],
            "weights": [seed.beside(WEIGHTS) for seed in fits if "hard_negatives" in read],
            "negatives": [negatives] if negatives is not None and "hard_negatives" in read else [],
        },
        uses=spec.uses("judge"),
        started=started,
    )
    verdict = Verdict.model_validate(
        {
            "model": spec.name,
            "verdict": PROMOTE if promoted else HOLD,
            "seeds": numbers,
            "seeds_not_judged": sorted(set(spec.seeds) - set(numbers)),
            "gates_not_judged": {
                **{
                    row["what"]: row["why"]
                    for row in measured["rows"]
                    if row["passed"] is None and row["gate"] not in parts
                },
                **{name: block["why"] for name, block in parts.items() if not block["judged"]},
            },
            "gate": measured,
            "corpus": first["table"],
            "split": first["split"],
            "train_config_hash": first["train_config_hash"],
            "per_seed": {str(seed.number): _facts(seed) for seed in fits},
            "over_seeds": {figure: spread([seed.report[f"mean_{figure}"] for seed in fits]) for figure in FIGURES},
            "per_fold": per_fold([seed.report for seed in fits]),
            "recommendation": _promotion(fits) if promoted else "; ".join(measured["reasons"]),
            "run_provenance": call.provenance(),
        }
    )
    return publish(verdict, output, call).as_json()


def _promotion(fits: Sequence[Seed]) -> str:
    """The recommendation of a promoted model, with the error that its figures do not show."""
    text = "ship the model of any of these seeds"
    errors = [seed.report["mean_rmse"] for seed in fits]
    if None in errors:
        return text
    text += f". Its mean RMSE on held-out rows, {np.mean(errors):.2f}, is that of material like the table's"
    groups = [fold for seed in fits for fold in (seed.report.get("beside") or {"folds": []})["folds"]]
    worst = max((fold for fold in groups if fold["rmse"] is not None), key=lambda fold: fold["rmse"], default=None)
    if worst is not None:
        text += f"; on {worst['held_out']}, held out whole, it was up to {worst['rmse']:.2f}"
    return f"{text}. Material unlike it may get several times as much"


def _facts(seed: Seed) -> dict[str, Any]:
    """A seed's entry of the verdict."""
    hashes = {"report_sha256": sha256_file(seed.path), "weights_sha256": seed.report["weights_sha256"]}
    return hashes | {key: seed.report[key] for key in _PER_SEED}


def _fits(spec: ModelSpec, reports: Sequence[Path], seeds: Sequence[int] | None) -> list[Seed]:
    """The fits that the reports describe, in the order of their seeds; see `judge`."""
    by_seed: dict[int, tuple[Path, dict[str, Any]]] = {}
    for path in reports:
        report = FitReport.read(path).as_json()
        if report["model"] != spec.name:
            raise InputError(f"{path} reports on model {report['model']!r}, not on {spec.name!r}")
        if report["seed"] in by_seed:
            raise InputError(f"seed {report['seed']} is reported twice: {by_seed[report['seed']][0]} and {path}")
        by_seed[report["seed"]] = (path, report)
    if not by_seed:
        raise InputError(f"no reports of {spec.name} were given: fit it first, then name each seed's loso.json")
    wanted = set(spec.seeds if seeds is None else seeds)
    whose = f"{spec.name} has" if seeds is None else "--seeds names"
    if missing := sorted(wanted - set(by_seed)):
        raise InputError(
            f"{whose} the seeds {sorted(wanted)}, but {missing} were not reported: fit them first, or judge others with "
            f"--seeds {','.join(map(str, sorted(by_seed)))}"
        )
    tables = {str(path): report["table"]["sha256"] for path, report in by_seed.values()}
    settings = {str(path): report["train_config_hash"] for path, report in by_seed.values()}
    negatives = {str(path): (report.get("negatives") or {}).get("sha256") for path, report in by_seed.values()}
    for what, values in (("tables", tables), ("training settings", settings), ("hard negatives", negatives)):
        if len(set(values.values())) > 1:
            raise InputError(f"the reports come from different {what} ({values}): fit every seed again")
    return [Seed(number, *by_seed[number]) for number in sorted(by_seed)]
