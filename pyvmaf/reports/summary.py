"""The closing figures of a run: per model what it reaches on held-out sources, its verdict, its sizes, its drop."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from pyvmaf.base.files import dumps, write_json
from pyvmaf.base.manifest import read_manifest, write_manifest
from pyvmaf.errors import PyvmafError
from pyvmaf.metrics import FIGURES
from pyvmaf.models.verdicts import PROMOTE, FitReport
from pyvmaf.quantized.report import Int8Report
from pyvmaf.reports.read import Model, Run, Seed, read_run

SCHEMA = "pyvmaf-summary-v1"


@cache
def schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of ``summary.json``."""
    text = resources.files("pyvmaf.reports").joinpath("schemas", "summary.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def over_seeds(values: Sequence[float | None]) -> dict[str, float | None]:
    """Mean and standard deviation (ddof 1; None for one seed) of a figure; None where a seed has no such figure."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return {"mean": None, "std": None}
    return {"mean": float(np.mean(known)), "std": float(np.std(known, ddof=1)) if len(known) > 1 else None}


def _variant(variants: Sequence[tuple[int, Int8Report, int]], shown: int, mode: str) -> dict[str, Any]:
    """One int8 mode of one model: the seed that ships, and the worst of all seeds."""
    by_seed = {seed: (data, size) for seed, data, size in variants}
    data, size = by_seed.get(shown, next(iter(by_seed.values())))
    drops = [report.drop for report, _ in by_seed.values() if report.drop is not None]
    return {
        "mode": mode,
        "bytes": size,
        "size_ratio": data.size_ratio,
        "plcc_fp32": data.plcc_fp32,
        "plcc_int8": data.plcc_int8,
        "drop": data.drop,
        "drop_worst_seed": max(drops) if len(drops) == len(by_seed) else None,
        "budget": data.budget,
        "rmse_int8_fp32": data.rmse_int8_fp32,
        "srocc_int8_fp32": data.srocc_int8_fp32,
        "n_heldout": data.n_heldout,
        "passed": data.passed,
        "missed": data.missed,
    }


def _size(path: Path | None) -> int | None:
    return path.stat().st_size if path is not None and path.exists() else None


def _verdict(model: Model) -> tuple[str | None, str | None]:
    if model.verdict is None:
        return None, None
    word = model.verdict.verdict
    return word, None if word == PROMOTE else "; ".join(model.verdict.gate.reasons) or "the verdict gives no reason"


def summarise_model(model: Model) -> dict[str, Any]:
    """One entry of ``summary.json``."""
    seeds: list[Seed] = [seed for seed in model.seeds.values() if seed.loso is not None]
    losos = [seed.loso for seed in seeds if seed.loso is not None]
    shown = model.shown
    verdict, reason = _verdict(model)
    by_mode: dict[str, list[tuple[int, Int8Report, int]]] = {}
    for seed in seeds:
        for variant in seed.variants:
            size = _size(variant.onnx)
            by_mode.setdefault(variant.mode, []).append((seed.number, variant.data, size or 0))
    return {
        "model": model.name,
        "n_params": losos[0].n_params,
        "features": len(shown.features) or None,
        "codec_block": losos[0].encoder_vocab_version,
        "seeds": [seed.number for seed in seeds],
        "shown_seed": shown.number,
        "n_folds": losos[0].n_folds,
        "rows": losos[0].table.rows_used,
        "table_sha256": losos[0].table.sha256,
        "loso": {name: over_seeds([getattr(loso, f"mean_{name}") for loso in losos]) for name in FIGURES},
        "per_seed": [
            {"seed": loso.seed, **{name: getattr(loso, f"mean_{name}") for name in FIGURES}} for loso in losos
        ],
        "worst_fold": _worst(losos),
        "verdict": verdict,
        "reason": reason,
        "onnx_bytes": _size(shown.onnx),
        "int8": [_variant(by_mode[mode], shown.number, mode) for mode in sorted(by_mode)],
    }


def _worst(losos: Sequence[FitReport]) -> dict[str, Any]:
    folds = [(f.plcc, f.held_out, loso.seed) for loso in losos for f in loso.folds]
    # A fold whose predictions are constant has no correlation: nothing is worse.
    plcc, held_out, seed = min(folds, key=lambda f: (f[0] is not None, f[0] or 0.0, f[1:]))
    return {"plcc": plcc, "held_out": held_out, "seed": seed}


def summarise(run: Run) -> dict[str, Any]:
    """``summary.json`` of what `read_run` read."""
    return {
        "schema": SCHEMA,
        "schema_version": 1,
        "models": [summarise_model(model) for model in run.models.values() if _fitted(model)],
    }


def _fitted(model: Model) -> bool:
    return any(seed.loso is not None for seed in model.seeds.values())


def _stands(target: Path, data: dict[str, Any]) -> bool:
    """Whether just these figures are there already, with a manifest that vouches for them.

    They are then left as they are, so that looking at a finished run again changes nothing in it.
    """
    try:
        return target.read_bytes() == dumps(data).encode() and bool(read_manifest(target))
    except (OSError, PyvmafError):
        return False


def write_summary(paths: Iterable[str | os.PathLike[str]], output: str | os.PathLike[str]) -> dict[str, Any]:
    """Write ``summary.json`` and return it. Where the same figures are there already, nothing is written.

    Args:
        paths: as `read_run` takes them.
        output: the file to write, with its manifest beside it.

    Raises:
        PyvmafError: the summary would not be as its own schema says.
        MissingFileError, InputError, IntegrityError: see `read_run`.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    target = Path(output)
    run = read_run(paths)
    data = summarise(run)
    error = best_match(Draft202012Validator(schema()).iter_errors(data))
    if error is not None:
        place = ".".join(str(part) for part in error.absolute_path) or "the whole"
        raise PyvmafError(f"{target} would not be a valid summary: {place}: {error.message}: not written")
    if _stands(target, data):
        return data
    write_json(target, data)
    write_manifest(
        target,
        verb="summary",
        args={"output": target},
        inputs={"read": run.files},
        outputs={"summary": target},
        details={"table_sha256": sorted({m["table_sha256"] for m in data["models"]})},
    )
    return data
