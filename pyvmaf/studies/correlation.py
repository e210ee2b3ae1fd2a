"""``vmaf-train feature-correlation``: which features say the same, and which of them matter for the target."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.document import publish_body
from pyvmaf.base.files import sha256_file
from pyvmaf.errors import InputError
from pyvmaf.studies.columns import is_feature, numeric_columns, unavailable
from pyvmaf.tables.columns import floats, read_columns, read_schema, strings

SCHEMA = Path(__file__).with_name("feature_correlation.schema.json")
METHODS = ("mi", "lasso", "rf")
_FOLDS, _TREES, _LASSO_ROUNDS, _SEED = 5, 100, 10_000, 0

OnStep = Callable[[int, int, str], None]
"""Called before each step with the steps done, those in all, and what comes."""


@dataclass(frozen=True)
class _Rows:
    """What is looked at: X [n, columns] and y [n], finite; groups [n] or None; what was left out, and why."""

    columns: tuple[str, ...]
    X: NDArray[np.float64]
    y: NDArray[np.float64]
    groups: NDArray[np.str_] | None
    n_total: int
    n_clean: int
    left_out: dict[str, str]


def feature_correlation(
    table: Path,
    output: Path | None = None,
    *,
    target: str = "vmaf",
    columns: Sequence[str] = (),
    redundancy_threshold: float = 0.95,
    top_k: int = 8,
    by: str = "source",
    max_missing: float = 0.05,
    max_rows: int = 0,
    plot: Path | None = None,
    threads: int = 1,
    on_step: OnStep = lambda _done, _total, _what: None,
) -> dict[str, Any]:
    """Correlations between the features of a table, and the weight that three methods give each of them.

    Pearson's r for every pair; mutual information with the target (Kraskov et al. 2004, as scikit-learn estimates
    it); the absolute coefficients of a lasso over standardised columns, its penalty chosen over folds that keep the
    values of `by` together; the impurity decrease of a random forest. A feature is in the consensus when it is among
    the first `top_k` of every method.

    Args:
        table: parquet table.
        output: JSON file for the report; None for none.
        target: column that the features are to explain.
        columns: the features to look at; by default every numeric column that is a feature.
        redundancy_threshold: |r| from which two features count as redundant.
        top_k: how many of each method's ranking count.
        by: column whose values the lasso's folds keep together, where the table has it.
        max_missing: share of rows up to which a column may lack a value; those rows are dropped. A column that lacks
            more is left out.
        max_rows: look at that many rows, drawn with seed 0; 0 for all.
        plot: picture of the correlation matrix, as SVG, PNG or HTML.
        threads: of the random forest.
        on_step: called before each step.

    Returns:
        The report.

    Raises:
        MissingFileError, IntegrityError: the table is not there or is damaged.
        InputError: the target or a named column is not there or not numeric, or too little is left to look at.
    """
    started = time.perf_counter()
    if not 0 < redundancy_threshold <= 1:
        raise InputError(f"--redundancy-threshold must lie in (0, 1], not {redundancy_threshold}")
    if top_k < 1:
        raise InputError(f"--top-k must be 1 or more, not {top_k}")
    if plot is not None:
        from pyvmaf.studies.charts import check_format

        check_format(plot)
    rows = _read(table, target, columns, by, max_missing, max_rows)
    on_step(0, len(METHODS) + 1, "correlations")
    r = np.asarray(np.corrcoef(np.column_stack([rows.X, rows.y]), rowvar=False))
    importances: dict[str, dict[str, float]] = {}
    folds, how = _folds(rows.groups, rows.y.size, by)
    for place, (method, run) in enumerate({"mi": _mutual_information, "lasso": _lasso, "rf": _forest}.items(), start=1):
        on_step(place, len(METHODS) + 1, {"mi": "mutual information", "lasso": "lasso", "rf": "random forest"}[method])
        found = run(rows, folds, threads)
        importances[method] = {name: float(v) for name, v in zip(rows.columns, found, strict=True)}
    on_step(len(METHODS) + 1, len(METHODS) + 1, "done")
    top = {m: [n for n in _ranked(importances[m]) if importances[m][n] > 0][:top_k] for m in METHODS}
    body: dict[str, Any] = {
        "table": {"name": table.stem, "sha256": sha256_file(table), "rows": rows.n_total},
        "target": target,
        "n_rows_clean": rows.n_clean,
        "n_rows_used": int(rows.y.size),
        "feature_cols": list(rows.columns),
        "left_out": rows.left_out,
        "pearson": {"columns": [*rows.columns, target], "r": r.tolist()},
        "redundancy_threshold": redundancy_threshold,
        "redundant_pairs": _redundant(rows.columns, r, redundancy_threshold),
        "importances": importances,
        "cross_validation": how,
        "top_k": top_k,
        "per_method_topk": top,
        "consensus_topk": sorted(set.intersection(*map(set, top.values()))),
        "note": f"of {len(rows.columns)} features {top_k} are looked at: the consensus leaves out little"
        if top_k >= len(rows.columns)
        else "importances are of the rows at hand, not of held-out ones; judge a choice with subset-sweep",
    }
    if plot is not None:
        from pyvmaf.studies.charts import heat_map, save

        save(heat_map(body), plot)
    args = {
        "features": table, "target": target, "columns": list(columns), "redundancy_threshold": redundancy_threshold,
        "top_k": top_k, "by": by, "max_missing": max_missing, "max_rows": max_rows,
    }  # fmt: skip
    return publish_body(
        body,
        output,
        schema=SCHEMA,
        verb="feature-correlation",
        args=args,
        inputs={"features": table},
        started=started,
        beside={} if plot is None else {"plot": plot},
    )


def _read(path: Path, target: str, columns: Sequence[str], by: str, max_missing: float, max_rows: int) -> _Rows:
    present = read_schema(path)
    numeric, left_out = numeric_columns(path)
    if columns:
        absent = [c for c in (*columns, target) if c not in numeric]
        if absent:
            raise InputError(
                f"{path} has no numeric column {', '.join(map(repr, absent))}; it has: {', '.join(numeric)}"
            )
        names, left_out = list(dict.fromkeys(c for c in columns if c != target)), {}
    else:
        if target not in numeric:
            raise InputError(f"{path} has no numeric column {target!r} to explain; it has: {', '.join(numeric)}")
        names = [c for c in numeric if c != target and is_feature(c)]
        left_out |= {c: "is no feature of the catalog" for c in numeric if c != target and not is_feature(c)}
    data = read_columns(path, [*names, target, *([by] if by in present and by not in (*names, target) else [])])
    n = data.num_rows
    if n == 0:
        raise InputError(f"{path} has no rows: there is nothing to look at")
    why = unavailable(path)
    values = {name: floats(data, name) for name in names}
    y = floats(data, target)
    kept = []
    for name in names:
        missing = int(np.count_nonzero(~np.isfinite(values[name])))
        if missing / n > max_missing:
            reason = f" ({why[name]})" if name in why else ""
            left_out[name] = f"{missing} of {n} rows lack a value{reason}"
        else:
            kept.append(name)
    usable = np.isfinite(y)
    for name in kept:
        usable &= np.isfinite(values[name])
    index = np.flatnonzero(usable)
    n_clean = int(index.size)
    if max_rows and n_clean > max_rows:
        index = np.sort(np.random.default_rng(_SEED).choice(index, max_rows, replace=False))
    for name in list(kept):
        if index.size and np.ptp(values[name][index]) == 0:
            left_out[name] = f"is {values[name][index[0]]:g} in every row"
            kept.remove(name)
    if len(kept) < 2 or index.size < 2 * _FOLDS or np.ptp(y[index]) == 0:
        raise InputError(
            f"{path}: {len(kept)} features over {index.size} usable rows with {np.unique(y[index]).size} values of "
            f"{target!r} are too little to look at; left out: {left_out or 'nothing'}"
        )
    groups = None
    if by in present:
        # A target or feature that is also the key would be no text.
        groups = strings(data, by)[index] if by in data.column_names else None
    X = np.column_stack([values[name][index] for name in kept])
    return _Rows(tuple(kept), X, y[index], groups, n, n_clean, dict(sorted(left_out.items())))


def _folds(groups: NDArray[np.str_] | None, n: int, by: str) -> tuple[Any, dict[str, Any]]:
    """Folds for the choice of the lasso's penalty, and how they were made."""
    from sklearn.model_selection import GroupKFold, KFold

    distinct = 0 if groups is None else int(np.unique(groups).size)
    if groups is None or distinct < 2:
        why = f"the table has no column {by!r}" if groups is None else f"all rows are of one {by}"
        splits = list(KFold(_FOLDS, shuffle=True, random_state=_SEED).split(np.zeros((n, 1))))
        return splits, {"folds": _FOLDS, "by": None, "groups": distinct, "note": f"{why}: rows were split by chance"}
    k = min(_FOLDS, distinct)
    splits = list(GroupKFold(k).split(np.zeros((n, 1)), groups=groups))
    return splits, {"folds": k, "by": by, "groups": distinct, "note": f"no {by} is on both sides of a fold"}


def _mutual_information(rows: _Rows, _folds: Any, _threads: int) -> NDArray[np.float64]:
    from sklearn.feature_selection import mutual_info_regression

    return np.asarray(mutual_info_regression(rows.X, rows.y, random_state=_SEED), dtype=np.float64)


def _lasso(rows: _Rows, folds: Any, _threads: int) -> NDArray[np.float64]:
    from sklearn.linear_model import LassoCV
    from sklearn.preprocessing import StandardScaler

    fitted = LassoCV(cv=folds, max_iter=_LASSO_ROUNDS).fit(StandardScaler().fit_transform(rows.X), rows.y)
    return np.abs(np.asarray(fitted.coef_, dtype=np.float64))


def _forest(rows: _Rows, _folds: Any, threads: int) -> NDArray[np.float64]:
    from sklearn.ensemble import RandomForestRegressor

    fitted = RandomForestRegressor(n_estimators=_TREES, random_state=_SEED, n_jobs=threads).fit(rows.X, rows.y)
    return np.asarray(fitted.feature_importances_, dtype=np.float64)


def _ranked(importance: dict[str, float]) -> list[str]:
    """Names by weight, the largest first; the name decides between equals."""
    return sorted(importance, key=lambda name: (-importance[name], name))


def _redundant(columns: Sequence[str], r: NDArray[np.float64], threshold: float) -> list[dict[str, Any]]:
    pairs = [
        {"a": a, "b": columns[j], "r": float(r[i, j])}
        for i, a in enumerate(columns)
        for j in range(i + 1, len(columns))
        if abs(r[i, j]) >= threshold
    ]
    return sorted(pairs, key=lambda p: (-abs(p["r"]), p["a"], p["b"]))
