"""``vmaf-train subset-sweep``: one model over several sets of features, each judged on held-out rows."""

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
from pyvmaf.base.document import Call, publish
from pyvmaf.base.files import content_hash, read_json, read_yaml, sha256_file, write_json
from pyvmaf.base.outputs import publishes
from pyvmaf.base.parquet import read_parquet
from pyvmaf.errors import InputError
from pyvmaf.features.catalog import FEATURES, SETS, resolve
from pyvmaf.metrics import FIGURES
from pyvmaf.models.fit import fit
from pyvmaf.models.spec import load_spec, parse_spec
from pyvmaf.studies.columns import unavailable
from pyvmaf.studies.reports import (
    Cell,
    SeedCell,
    SubsetFold,
    SubsetSummary,
    SubsetSweep,
    SweptModel,
    SweptSubset,
    SweptTable,
)
from pyvmaf.studies.search import OnTrial
from pyvmaf.studies.trial import write_spec
from pyvmaf.tables.columns import floats, read_columns, read_schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

BASELINE = "canonical6"
SUBSETS = (BASELINE, "A", "B", "C")
AVAILABLE = "available"
PARTIAL_SUFFIX = ".partial.json"
_ALIASES = {"C": "full"}

# The default model: the smallest network of the family.
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
        name: the requested text.
        features: in input order.
        obstacle: why it cannot be tried on this table, or None.
    """

    name: str
    features: tuple[str, ...]
    obstacle: str | None


def parse_subsets(text: str, available: Sequence[str] = ()) -> list[tuple[str, tuple[str, ...]]]:
    """Parse subsets: words between commas, each a set or a feature, more joined by ``+`` and ``-``.

    ``B-ssimulacra2+psnr_y`` is set B without one feature and with another, ``available`` all that the table has.

    Args:
        text: the list.
        available: features that the word "available" stands for.

    Returns:
        Name and features of each subset.

    Raises:
        InputError: a word is unknown, a subset does not have features, or is named twice.
    """
    subsets: list[tuple[str, tuple[str, ...]]] = []
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
        subsets.append((word, tuple(features)))
    words = [name for name, _ in subsets]
    if not subsets or len(set(words)) != len(words):
        raise InputError(
            f"--subsets {text!r} names no subset, or one twice; sets: {', '.join([*SETS, *_ALIASES, AVAILABLE])}"
        )
    return subsets


@publishes("subset-sweep")
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
) -> SubsetSweep:
    """Fit every subset with every seed over the table's folds, on the same rows, and recommend one.

    Cells (subset x seed) that are done are kept in ``<output>.partial.json`` until the report is written, so that an
    interrupted sweep continues where it was.

    Args:
        table: parquet table.
        output: JSON file for the report.
        subsets: see `parse_subsets`.
        config: the model of the sweep: its network, optimiser and split; by default a 16-8-1 network, 30 epochs,
            batches of 256, learning rate .001, leave one source out.
        epochs, batch_size, lr: in place of the model's.
        seeds: of initial weights and order of rows.
        target: column to predict; by default the model's.
        standardize: standardise targets; by default as in the model. Features always are, inside each fold.
        margin: mean PLCC by which a subset must beat the baseline.
        threads: torch threads.
        on_trial: called during the sweep.

    Raises:
        MissingFileError, IntegrityError: a file does not exist or is damaged.
        InputError: a subset, the model or the table is not usable, or no subset can be tried.
    """
    started = time.perf_counter()
    if not seeds or len(set(seeds)) != len(seeds):
        raise InputError(f"--seeds must be distinct and at least one, not {list(seeds)}")
    base = _base(config, epochs, batch_size, lr, target, standardize)
    spec = parse_spec(base, str(config or "the default model"))
    requested = _subsets(table, subsets)
    able = [subset for subset in requested if subset.obstacle is None]
    if not able:
        obstacles = "; ".join(f"{subset.name}: {subset.obstacle}" for subset in requested)
        raise InputError(f"{table}: no subset can be tried: {obstacles}")
    call = Call(
        "subset-sweep",
        args={
            "features": table,
            "subsets": subsets,
            "config": config,
            "epochs": spec.epochs,
            "batch_size": spec.batch_size,
            "lr": spec.optimiser.lr,
            "seeds": list(seeds),
            "target": spec.target.column,
            "standardize": spec.target.standardise,
            "margin": margin,
        },
        inputs={"features": table} if config is None else {"features": table, "config": config},
        uses=spec.uses("subset-sweep"),
        started=started,
    )
    sha256 = sha256_file(table)
    cells = _Cells(output.with_name(output.name + PARTIAL_SUFFIX), base, threads)
    with tempfile.TemporaryDirectory(prefix="pyvmaf-sweep-") as scratch:
        rows, n_rows = _common_rows(table, able, spec.target.column, Path(scratch))
        columns = sorted({feature for subset in able for feature in subset.features})
        results: dict[str, list[SeedCell]] = {}
        for index, (subset, seed) in enumerate((subset, seed) for subset in able for seed in seeds):
            on_trial(index, len(able) * len(seeds), f"{subset.name}, seed {seed}")
            cell = cells.fit(subset, seed, rows, [sha256, columns], Path(scratch) / "cell")
            results.setdefault(subset.name, []).append(SeedCell(seed=seed, **cell.model_dump()))
        on_trial(len(able) * len(seeds), len(able) * len(seeds), "done")
    summaries = {name: _summary(fits) for name, fits in results.items()}
    reference = summaries.get(BASELINE)
    best, take, note = _recommend(summaries, reference, margin)
    report = SubsetSweep(
        table=SweptTable(name=table.stem, sha256=sha256, rows_used=n_rows),
        model=SweptModel(config=None if config is None else config.name, spec=base),
        split=spec.split.model_dump(mode="json"),
        seeds=list(seeds),
        baseline=BASELINE if reference else None,
        margin=margin,
        subsets=[
            _entry(subset, results.get(subset.name), summaries.get(subset.name), reference, margin)
            for subset in requested
        ],
        best=best,
        take=take,
        note=note,
        run_provenance=call.provenance(),
    )
    publish(report, output, call)
    cells.forget()
    return report


class _Cells:
    """Fits that are done, kept in a file until the report is written."""

    def __init__(self, path: Path, base: Mapping[str, Any], threads: int) -> None:
        self.path = path
        self.base = base
        self.threads = threads
        self.code = identity("subset-sweep")
        self.cells: dict[str, Any] = dict(read_json(path)) if path.is_file() else {}

    def fit(self, subset: Subset, seed: int, rows: Path, facts: Sequence[Any], folder: Path) -> Cell:
        """Fit a subset with a seed, unless it is done.

        Args:
            subset, seed: of the cell.
            rows: the table.
            facts: further facts that decide the result.
            folder: for the files of the fit.
        """
        spec = {**self.base, "inputs": {**self.base.get("inputs", {}), "features": list(subset.features)}}
        key = content_hash([spec, *facts, seed, self.code])
        if key not in self.cells:
            path = folder / f"{self.base['name']}.yaml"
            write_spec(path, spec, at_once=True)
            loso = fit(path, rows, folder, seed=seed, threads=self.threads).loso
            folds = [
                SubsetFold(held_out=fold["held_out"], n=fold["n_val"], **{name: fold[name] for name in FIGURES})
                for fold in loso["folds"]
            ]
            self.cells[key] = Cell(n_params=loso["n_params"], folds=folds).as_json()
            write_json(self.path, self.cells, at_once=True)
        return Cell.model_validate(self.cells[key])

    def forget(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)


def _subsets(table: Path, text: str) -> list[Subset]:
    """Parse the requested subsets, each with its obstacle."""
    present, reasons = _with_values(table), unavailable(table)
    available = [feature for feature, has_value in present.items() if has_value]
    return [
        Subset(name, features, _obstacle(features, present, reasons))
        for name, features in parse_subsets(text, available)
    ]


def _base(
    config: Path | None,
    epochs: int | None,
    batch_size: int | None,
    lr: float | None,
    target: str | None,
    standardize: bool | None,
) -> dict[str, Any]:
    """Return the model's YAML with the keys that the caller sets."""
    if config is not None:
        load_spec(config)
    base: dict[str, Any] = dict(_SPEC if config is None else read_yaml(config))
    if epochs is not None:
        base["epochs"] = epochs
    if batch_size is not None:
        base["batch_size"] = batch_size
    if lr is not None:
        base["optimiser"] = {**base.get("optimiser", {}), "lr": lr}
    keys = {"standardise": standardize, "column": target}
    base["target"] = {**base.get("target", {}), **{k: v for k, v in keys.items() if v is not None}}
    # Further folds would be fitted, too, and not used.
    base["split"] = {k: v for k, v in base.get("split", {}).items() if k != "beside"}
    return base


def _with_values(table: Path) -> dict[str, bool]:
    """Map the features of the catalog that are columns of the table to whether they have a value."""
    names = [name for name in FEATURES if name in set(read_schema(table))]
    data = read_columns(table, names)
    return {name: bool(np.isfinite(floats(data, name)).any()) for name in names}


def _obstacle(features: Sequence[str], present: Mapping[str, bool], engine_reasons: Mapping[str, str]) -> str | None:
    """Say why a subset cannot be tried; None if it can."""
    problems = []
    for problem, names in (
        ("the table has no column", [f for f in features if f not in present]),
        ("no row has a value of", [f for f in features if not present.get(f, True)]),
    ):
        reasons = {f: engine_reasons.get(f) or FEATURES[f].unavailable for f in names}
        columns = [f"{f} ({reason})" if reason else f for f, reason in reasons.items()]
        if columns:
            problems.append(f"{problem} {', '.join(columns)}")
    return "; ".join(problems) or None


def _common_rows(table: Path, subsets: Sequence[Subset], target: str, scratch: Path) -> tuple[Path, int]:
    """Write the rows that every subset can use, so that all are judged on the same ones; return path and number."""
    import pyarrow.parquet as pq

    names = sorted({f for s in subsets for f in s.features})
    data = read_columns(table, [*names, target])
    usable: NDArray[np.bool_] = np.isfinite(floats(data, target))
    for name in names:
        usable &= np.isfinite(floats(data, name))
    n = int(np.count_nonzero(usable))
    if n == usable.size or n == 0:
        # If nothing is left, fit reports what is missing.
        return table, n
    path = scratch / table.name
    pq.write_table(read_parquet(table).filter(usable), path)
    return path, n


def _summary(fits: Sequence[Cell]) -> SubsetSummary:
    """Summarise the figures over all folds of all seeds."""
    values: dict[str, float | None] = {}
    folds = [fold for cell in fits for fold in cell.folds]
    for name in FIGURES:
        figures = [getattr(fold, name) for fold in folds]
        whole = None not in figures
        values[f"mean_{name}"] = float(np.mean(figures)) if whole else None
        values[f"std_{name}"] = float(np.std(figures, ddof=1)) if whole and len(figures) > 1 else None
    plccs = [fold.plcc for fold in folds if fold.plcc is not None]
    values["min_plcc"] = min(plccs) if len(plccs) == len(folds) else None
    return SubsetSummary(**values)


def _entry(
    subset: Subset,
    fits: list[SeedCell] | None,
    summary: SubsetSummary | None,
    reference: SubsetSummary | None,
    margin: float,
) -> SweptSubset:
    """Describe a subset in the report."""
    delta = None
    if summary and reference and summary.mean_plcc is not None and reference.mean_plcc is not None:
        delta = summary.mean_plcc - reference.mean_plcc
    return SweptSubset(
        name=subset.name,
        features=list(subset.features),
        possible=subset.obstacle is None,
        reason=subset.obstacle,
        n_params=None if fits is None else fits[0].n_params,
        summary=summary,
        delta_plcc=delta,
        beats_baseline=None if subset.name == BASELINE or delta is None else delta >= margin,
        per_seed=fits,
    )


def _recommend(
    summaries: Mapping[str, SubsetSummary], reference: SubsetSummary | None, margin: float
) -> tuple[str | None, str | None, str]:
    """Return the best subset, the one to take, and the reason."""
    plccs = {name: summary.mean_plcc for name, summary in summaries.items() if summary.mean_plcc is not None}
    best = max(plccs, key=lambda name: plccs[name]) if plccs else None
    if reference is None or reference.mean_plcc is None:
        return best, best, f"{BASELINE} has no figure here: there is nothing to beat"
    headroom = 1.0 - reference.mean_plcc
    if best is not None and plccs[best] - reference.mean_plcc >= margin:
        return best, best, f"{best} beats {BASELINE} by at least {margin}"
    note = f"no subset beats {BASELINE} by {margin}: keep it"
    if headroom < margin:
        note += f". None can: {BASELINE} is within {headroom:.5f} of 1; compare the RMSE here"
    return best, BASELINE, note
