"""``vmaf-train subset-sweep``: the same model over several sets of features, each judged on held-out rows."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyvmaf.base.code import identity
from pyvmaf.base.document import publish_body
from pyvmaf.base.families import uses
from pyvmaf.base.files import content_hash, read_json, read_yaml, sha256_file, write_json
from pyvmaf.errors import InputError
from pyvmaf.features.catalog import FEATURES, SETS, resolve
from pyvmaf.metrics import FIGURES
from pyvmaf.models.fit import fit
from pyvmaf.models.spec import load_spec, parse_spec
from pyvmaf.studies.columns import unavailable
from pyvmaf.studies.trial import write_spec
from pyvmaf.studies.tune import OnTrial
from pyvmaf.tables.columns import floats, read_columns, read_schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCHEMA = Path(__file__).with_name("subset_sweep.schema.json")
BASELINE = "canonical6"
SUBSETS = (BASELINE, "A", "B", "C")
AVAILABLE = "available"
PARTIAL_SUFFIX = ".partial.json"
_ALIASES = {"C": "full"}

# What is swept over where no model is named: the smallest network of the family.
_SPEC: dict[str, Any] = {
    "name": "subset_sweep",
    "description": "The network that subsets are compared with, 16-8-1",
    "inputs": {"features": BASELINE},
    "network": {"type": "mlp", "hidden": [16, 8], "activation": "relu"},
    "epochs": 30,
}


@dataclass(frozen=True)
class Subset:
    """A set of features to try.

    Attributes:
        name: as it was asked for.
        features: in input order.
        obstacle: why it cannot be tried on this table, or None.
    """

    name: str
    features: tuple[str, ...]
    obstacle: str | None


def parse_subsets(text: str, available: Sequence[str] = ()) -> list[tuple[str, tuple[str, ...]]]:
    """Names and features of subsets: words between commas, each a set or a feature, more joined by ``+`` and ``-``.

    ``B-ssimulacra2+psnr_y`` is set B without one feature and with another, ``available`` what the table has.

    Args:
        text: the list.
        available: features that the word "available" stands for.

    Raises:
        InputError: a word is in no table, a subset has no features, or one is named twice.
    """
    found: list[tuple[str, tuple[str, ...]]] = []
    for word in (w.strip() for w in text.split(",")):
        if not word:
            continue
        sign, features = "+", list[str]()
        for part in (p.strip() for p in re.split("([+-])", word)):
            if part in ("+", "-"):
                sign = part
                continue
            names = tuple(available) if part == AVAILABLE else resolve(_ALIASES.get(part, part))
            features = [f for f in features if f not in names] + (list(names) if sign == "+" else [])
        if not features:
            raise InputError(f"--subsets {text!r}: {word!r} leaves no feature")
        found.append((word, tuple(features)))
    asked = [name for name, _ in found]
    if not found or len(set(asked)) != len(asked):
        raise InputError(
            f"--subsets {text!r} names no subset, or one twice; sets: {', '.join([*SETS, *_ALIASES, AVAILABLE])}"
        )
    return found


def subset_sweep(
    table: Path,
    output: Path,
    *,
    subsets: str = ",".join(SUBSETS),
    config: Path | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    seeds: Sequence[int] = (0,),
    target: str | None = None,
    standardize: bool | None = None,
    margin: float = 0.005,
    threads: int = 1,
    on_trial: OnTrial = lambda _done, _total, _label=None: None,
) -> dict[str, Any]:
    """Fit every subset with every seed over the table's folds, on the same rows, and say which one pays.

    Cells (subset x seed) that are done lie in ``<output>.partial.json`` until the report is written, so that a sweep
    that was stopped goes on where it was.

    Args:
        table: parquet table.
        output: JSON file for the report.
        subsets: see `parse_subsets`.
        config: the model to sweep over: its network, optimiser and split; by default a 16-8-1 network, 30 epochs,
            batches of 256, learning rate .001, leave one source out.
        epochs, batch_size, lr: other than the model's.
        seeds: of initial weights and order of rows.
        target: column to predict; by default the model's.
        standardize: whether targets are standardised; by default as the model says. Features always are, inside of
            each fold.
        margin: mean PLCC by which a subset must beat the baseline.
        threads: torch threads.
        on_trial: called as it goes on.

    Returns:
        The report.

    Raises:
        MissingFileError, IntegrityError: a file is not there or is damaged.
        InputError: a subset, the model or the table is not usable, or no subset can be tried.
    """
    started = time.perf_counter()
    if not seeds or len(set(seeds)) != len(seeds):
        raise InputError(f"--seeds must be distinct and at least one, not {list(seeds)}")
    base = _base(config, epochs, batch_size, lr, target, standardize)
    spec = parse_spec(base, str(config or "the default model"))
    present, why = _with_values(table), unavailable(table)
    wanted = [
        Subset(name, names, _obstacle(names, present, why))
        for name, names in parse_subsets(subsets, [f for f, found in present.items() if found])
    ]
    able = [s for s in wanted if s.obstacle is None]
    if not able:
        raise InputError(f"{table}: no subset can be tried: " + "; ".join(f"{s.name}: {s.obstacle}" for s in wanted))
    sha256 = sha256_file(table)
    code = identity("subset-sweep")
    partial = output.with_name(output.name + PARTIAL_SUFFIX)
    cells: dict[str, Any] = dict(read_json(partial)) if partial.is_file() else {}
    results: dict[str, list[dict[str, Any]]] = {s.name: [] for s in able}
    with tempfile.TemporaryDirectory(prefix="pyvmaf-sweep-") as scratch:
        rows, n_rows = _common_rows(table, able, spec.target.column, Path(scratch))
        total, done = len(able) * len(seeds), 0
        for subset in able:
            one = base | {"inputs": {**base.get("inputs", {}), "features": list(subset.features)}}
            for seed in seeds:
                on_trial(done, total, f"{subset.name}, seed {seed}")
                key = content_hash([one, sha256, sorted({f for s in able for f in s.features}), seed, code])
                if key not in cells:
                    folder = Path(scratch) / "cell"
                    path = folder / f"{base['name']}.yaml"
                    write_spec(path, one)
                    cells[key] = _figures(fit(path, rows, folder, seed=seed, threads=threads).loso)
                    write_json(partial, cells)
                results[subset.name].append({"seed": seed, **cells[key]})
                done += 1
        on_trial(done, total, "done")

    summaries = {name: _summary(found) for name, found in results.items()}
    reference = summaries.get(BASELINE)
    body = {
        "table": {"name": table.stem, "sha256": sha256, "rows_used": n_rows},
        "model": {"config": None if config is None else config.name, "spec": base},
        "split": spec.split.model_dump(mode="json"),
        "seeds": list(seeds),
        "baseline": BASELINE if reference else None,
        "margin": margin,
        "subsets": [
            _entry(s, results.get(s.name), summaries.get(s.name), reference, margin, s.name == BASELINE) for s in wanted
        ],
        **_verdict(summaries, reference, margin),
    }
    args = {
        "features": table, "subsets": subsets, "config": config, "epochs": spec.epochs, "batch_size": spec.batch_size,
        "lr": spec.optimiser.lr, "seeds": list(seeds), "target": spec.target.column, "standardize": spec.target.standardise,
        "margin": margin,
    }  # fmt: skip
    inputs = {"features": table} | ({} if config is None else {"config": config})
    report = publish_body(
        body,
        output,
        schema=SCHEMA,
        verb="subset-sweep",
        uses=uses("subset-sweep", spec.kind),
        args=args,
        inputs=inputs,
        started=started,
    )
    partial.unlink(missing_ok=True)
    return report


def _base(
    config: Path | None,
    epochs: int | None,
    batch_size: int | None,
    lr: float | None,
    target: str | None,
    standardize: bool | None,
) -> dict[str, Any]:
    """The model's YAML with what was asked for otherwise."""
    if config is not None:
        load_spec(config)
    base: dict[str, Any] = dict(_SPEC if config is None else read_yaml(config))
    if epochs is not None:
        base["epochs"] = epochs
    if batch_size is not None:
        base["batch_size"] = batch_size
    if lr is not None:
        base["optimiser"] = {**base.get("optimiser", {}), "lr": lr}
    goal = {"standardise": standardize, "column": target}
    base["target"] = {**base.get("target", {}), **{k: v for k, v in goal.items() if v is not None}}
    # Folds beside the model's own would be fitted, too, and not looked at.
    base["split"] = {k: v for k, v in base.get("split", {}).items() if k != "beside"}
    return base


def _with_values(table: Path) -> dict[str, bool]:
    """The features of the catalog that are columns of the table, and whether each has a value at all."""
    names = [name for name in FEATURES if name in set(read_schema(table))]
    data = read_columns(table, names)
    return {name: bool(np.isfinite(floats(data, name)).any()) for name in names}


def _obstacle(features: Sequence[str], present: Mapping[str, bool], why: Mapping[str, str]) -> str | None:
    """What stands in the way of a subset; None where nothing does."""
    problems = []
    for what, names in (
        ("the table has no column", [f for f in features if f not in present]),
        ("no row has a value of", [f for f in features if not present.get(f, True)]),
    ):
        reasons = {f: why.get(f) or FEATURES[f].unavailable for f in names}
        told = [f"{f} ({reason})" if reason else f for f, reason in reasons.items()]
        if told:
            problems.append(f"{what} {', '.join(told)}")
    return "; ".join(problems) or None


def _common_rows(table: Path, subsets: Sequence[Subset], target: str, scratch: Path) -> tuple[Path, int]:
    """The table with the rows that every subset can use, so that all are judged on the same ones, and their number."""
    import pyarrow.parquet as pq

    names = sorted({f for s in subsets for f in s.features})
    data = read_columns(table, [*names, target])
    usable: NDArray[np.bool_] = np.isfinite(floats(data, target))
    for name in names:
        usable &= np.isfinite(floats(data, name))
    n = int(np.count_nonzero(usable))
    if n == usable.size or n == 0:
        # Where nothing is left fit says what is missing.
        return table, n
    path = scratch / table.name
    pq.write_table(pq.read_table(table).filter(usable), path)
    return path, n


def _figures(loso: Mapping[str, Any]) -> dict[str, Any]:
    """What of a fit is kept."""
    return {
        "n_params": loso["n_params"],
        "folds": [{"held_out": f["held_out"], "n": f["n_val"], **{k: f[k] for k in FIGURES}} for f in loso["folds"]],
    }


def _summary(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and std (ddof 1) over all folds of all seeds; None where a fold has no such figure."""
    out: dict[str, Any] = {}
    for name in FIGURES:
        values = [fold[name] for one in found for fold in one["folds"]]
        whole = None not in values
        out[f"mean_{name}"] = float(np.mean(values)) if whole else None
        out[f"std_{name}"] = float(np.std(values, ddof=1)) if whole and len(values) > 1 else None
    plccs = [fold["plcc"] for one in found for fold in one["folds"]]
    out["min_plcc"] = None if None in plccs else float(min(plccs))
    return out


def _entry(
    subset: Subset,
    found: Sequence[Mapping[str, Any]] | None,
    summary: Mapping[str, Any] | None,
    reference: Mapping[str, Any] | None,
    margin: float,
    is_baseline: bool,
) -> dict[str, Any]:
    """A subset in the report."""
    delta = None
    if summary and reference and None not in (summary["mean_plcc"], reference["mean_plcc"]):
        delta = summary["mean_plcc"] - reference["mean_plcc"]
    return {
        "name": subset.name,
        "features": list(subset.features),
        "possible": subset.obstacle is None,
        "reason": subset.obstacle,
        "n_params": None if found is None else found[0]["n_params"],
        "summary": None if summary is None else dict(summary),
        "delta_plcc": delta,
        "beats_baseline": None if is_baseline or delta is None else delta >= margin,
        "per_seed": None if found is None else [dict(one) for one in found],
    }


def _verdict(
    summaries: Mapping[str, Mapping[str, Any]], reference: Mapping[str, Any] | None, margin: float
) -> dict[str, Any]:
    """Which subset to take, and why."""
    known = {name: s["mean_plcc"] for name, s in summaries.items() if s["mean_plcc"] is not None}
    best = max(known, key=lambda name: known[name]) if known else None
    if reference is None or reference["mean_plcc"] is None:
        return {"best": best, "take": best, "note": f"{BASELINE} has no figure here: nothing to beat"}
    headroom = 1.0 - reference["mean_plcc"]
    if best is not None and known[best] - reference["mean_plcc"] >= margin:
        return {"best": best, "take": best, "note": f"{best} beats {BASELINE} by at least {margin}"}
    note = f"no subset beats {BASELINE} by {margin}: stay with it"
    if headroom < margin:
        note += f". None can: {BASELINE} is within {headroom:.5f} of 1; the RMSE tells subsets apart here"
    return {"best": best, "take": BASELINE, "note": note}
