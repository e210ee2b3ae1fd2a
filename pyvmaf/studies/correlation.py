"""``vmaf-train feature-correlation``: redundant features of a table, and the weight of each for the target."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.document import (
    Call,
    publish,
)
from pyvmaf.base.files import sha256_file
from pyvmaf.base.outputs import publishes
from pyvmaf.errors import InputError
from pyvmaf.studies.columns import is_feature, numeric_columns, unavailable
from pyvmaf.studies.reports import (
    FeatureCorrelation,
    Importances,
    LassoFolds,
    Pearson,
    RedundantPair,
    StudiedTable,
    TopFeatures,
)
from pyvmaf.tables.columns import floats, read_columns, read_schema, strings

if TYPE_CHECKING:
    import pyarrow as pa

_FOLDS, _TREES, _LASSO_ROUNDS, _SEED = 5, 100, 10_000, 0

OnStep = Callable[[int, int, str], None]
"""Called before each step with the steps done, those in all, and the name of the next one."""


@dataclass(frozen=True)
class _Rows:
    """The examined rows: X [n, columns] and y [n], finite; groups [n] or None; columns left out, with the reason."""

    columns: tuple[str, ...]
    X: NDArray[np.float64]
    y: NDArray[np.float64]
    groups: NDArray[np.str_] | None
    n_total: int
    n_clean: int
    left_out: dict[str, str]


@publishes("feature-correlation")
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
    on_step: OnStep = lambda _done, _total, _step: None,
) -> FeatureCorrelation:
    """Compute the correlations between the features of a table, and the weight of each by three methods.

    Pearson's r for every pair; mutual information with the target (Kraskov et al. 2004, as scikit-learn estimates
    it); the absolute coefficients of a lasso over standardised columns, its penalty chosen over folds that keep the
    values of `by` together; the impurity decrease of a random forest. A feature is in the consensus if it is among
    the first `top_k` of every method.

    Args:
        table: parquet table.
        output: JSON file for the report; None for none.
        target: column that the features explain.
        columns: the features; by default every numeric column that is a feature of the catalog.
        redundancy_threshold: |r| from which two features count as redundant.
        top_k: number of ranks of each method that count.
        by: column whose values the lasso's folds keep together, if the table has it.
        max_missing: share of rows in which a column may lack a value; those rows are dropped. A column that lacks
            more is left out.
        max_rows: number of rows, drawn with seed 0; 0 for all.
        plot: picture of the correlation matrix, as SVG, PNG or HTML.
        threads: of the random forest.
        on_step: called before each step.

    Raises:
        MissingFileError, IntegrityError: the table does not exist or is damaged.
        InputError: the target or a named column does not exist or is not numeric, or there are too few features or
            rows.
    """
    started = time.perf_counter()
    if not 0 < redundancy_threshold <= 1:
        raise InputError(f"--redundancy-threshold must lie in (0, 1], not {redundancy_threshold}")
    if top_k < 1:
        raise InputError(f"--top-k must be 1 or more, not {top_k}")
    if plot is not None:
        from pyvmaf.studies.charts import check_format

        check_format(plot)
    call = Call(
        "feature-correlation",
        args={
            "features": table,
            "target": target,
            "columns": list(columns),
            "redundancy_threshold": redundancy_threshold,
            "top_k": top_k,
            "by": by,
            "max_missing": max_missing,
            "max_rows": max_rows,
        },
        inputs={"features": table},
        started=started,
    )
    rows = _read(table, target, columns, by, max_missing, max_rows)
    on_step(0, 4, "correlations")
    r = np.asarray(np.corrcoef(np.column_stack([rows.X, rows.y]), rowvar=False))
    splits, folds = make_folds(rows.groups, rows.y.size, by)
    on_step(1, 4, "mutual information")
    mi = _by_name(rows, _mutual_information(rows))
    on_step(2, 4, "lasso")
    lasso = _by_name(rows, _lasso(rows, splits))
    on_step(3, 4, "random forest")
    rf = _by_name(rows, _forest(rows, threads))
    on_step(4, 4, "done")
    top = TopFeatures(mi=_ranked(mi)[:top_k], lasso=_ranked(lasso)[:top_k], rf=_ranked(rf)[:top_k])
    report = FeatureCorrelation(
        table=StudiedTable(name=table.stem, sha256=sha256_file(table), rows=rows.n_total),
        target=target,
        n_rows_clean=rows.n_clean,
        n_rows_used=int(rows.y.size),
        feature_cols=list(rows.columns),
        left_out=rows.left_out,
        pearson=Pearson(columns=[*rows.columns, target], r=r.tolist()),
        redundancy_threshold=redundancy_threshold,
        redundant_pairs=_redundant(rows.columns, r, redundancy_threshold),
        importances=Importances(mi=mi, lasso=lasso, rf=rf),
        cross_validation=folds,
        top_k=top_k,
        per_method_topk=top,
        consensus_topk=sorted({*top.mi} & {*top.lasso} & {*top.rf}),
        note=f"the first {top_k} of {len(rows.columns)} features count: the consensus leaves out little"
        if top_k >= len(rows.columns)
        else "importances are of these rows, not of held-out ones; judge a choice with subset-sweep",
        run_provenance=call.provenance(),
    )
    if plot is not None:
        from pyvmaf.studies.charts import heat_map, save

        save(heat_map(report), plot)
    return publish(report, output, call, beside={} if plot is None else {"plot": plot})


def _by_name(rows: _Rows, weights: NDArray[np.float64]) -> dict[str, float]:
    return {name: float(weight) for name, weight in zip(rows.columns, weights, strict=True)}


def _read(path: Path, target: str, columns: Sequence[str], by: str, max_missing: float, max_rows: int) -> _Rows:
    """Read the features with enough values, and the rows that have them all."""
    names, left_out = _names(path, target, columns)
    keys = [by] if by in read_schema(path) and by not in (*names, target) else []
    data = read_columns(path, [*names, target, *keys])
    if data.num_rows == 0:
        raise InputError(f"{path} has no rows to examine")
    y = floats(data, target)
    values, gaps = _with_values(path, data, names, max_missing)
    usable = np.isfinite(y)
    for column in values.values():
        usable &= np.isfinite(column)
    index = np.flatnonzero(usable)
    n_clean = int(index.size)
    if max_rows and n_clean > max_rows:
        index = np.sort(np.random.default_rng(_SEED).choice(index, max_rows, replace=False))
    constant = {
        name: f"is {column[index[0]]:g} in every row"
        for name, column in values.items()
        if index.size and np.ptp(column[index]) == 0
    }
    kept = [name for name in values if name not in constant]
    left_out |= gaps | constant
    if len(kept) < 2 or index.size < 2 * _FOLDS or np.ptp(y[index]) == 0:
        raise InputError(
            f"{path}: {len(kept)} features over {index.size} usable rows with {np.unique(y[index]).size} values of "
            f"{target!r} are too few; left out: {left_out or 'nothing'}"
        )
    return _Rows(
        columns=tuple(kept),
        X=np.column_stack([values[name][index] for name in kept]),
        y=y[index],
        groups=strings(data, by)[index] if by in data.column_names else None,
        n_total=data.num_rows,
        n_clean=n_clean,
        left_out=dict(sorted(left_out.items())),
    )


def _names(path: Path, target: str, columns: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """List the features to examine, and the columns that are left out with the reason."""
    numeric, others = numeric_columns(path)
    absent = [name for name in dict.fromkeys((*columns, target)) if name not in numeric]
    if absent:
        raise InputError(f"{path} has no numeric column {', '.join(map(repr, absent))}; it has: {', '.join(numeric)}")
    if columns:
        return [name for name in dict.fromkeys(columns) if name != target], {}
    candidates = [name for name in numeric if name != target]
    foreign = {name: "is not a feature of the catalog" for name in candidates if not is_feature(name)}
    return [name for name in candidates if name not in foreign], others | foreign


def _with_values(
    path: Path, data: pa.Table, names: Sequence[str], max_missing: float
) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
    """Separate the columns with enough values from the others, which get their reason."""
    reasons = unavailable(path)
    values, gaps = {}, {}
    for name in names:
        column = floats(data, name)
        missing = int(np.count_nonzero(~np.isfinite(column)))
        if missing / column.size > max_missing:
            reason = f" ({reasons[name]})" if name in reasons else ""
            gaps[name] = f"{missing} of {column.size} rows lack a value{reason}"
        else:
            values[name] = column
    return values, gaps


def make_folds(groups: NDArray[np.str_] | None, n: int, by: str) -> tuple[Any, LassoFolds]:
    """Divide rows for the choice of the lasso's penalty.

    Args:
        groups: values of the column `by` [n]; None if the table does not have it.
        n: number of rows.
        by: column whose values are kept together.

    Returns:
        Pairs of row indices (training, test), and their description.
    """
    from sklearn.model_selection import GroupKFold, KFold

    distinct = 0 if groups is None else int(np.unique(groups).size)
    if groups is None or distinct < 2:
        reason = f"the table has no column {by!r}" if groups is None else f"all rows are of one {by}"
        splits = list(KFold(_FOLDS, shuffle=True, random_state=_SEED).split(np.zeros((n, 1))))
        note = f"{reason}: rows were split at random"
        return splits, LassoFolds(folds=_FOLDS, by=None, groups=distinct, note=note)
    k = min(_FOLDS, distinct)
    splits = list(GroupKFold(k).split(np.zeros((n, 1)), groups=groups))
    return splits, LassoFolds(folds=k, by=by, groups=distinct, note=f"no {by} is on both sides of a fold")


def _mutual_information(rows: _Rows) -> NDArray[np.float64]:
    from sklearn.feature_selection import mutual_info_regression

    return np.asarray(mutual_info_regression(rows.X, rows.y, random_state=_SEED), dtype=np.float64)


def _lasso(rows: _Rows, splits: Any) -> NDArray[np.float64]:
    from sklearn.linear_model import LassoCV
    from sklearn.preprocessing import StandardScaler

    fitted = LassoCV(cv=splits, max_iter=_LASSO_ROUNDS).fit(StandardScaler().fit_transform(rows.X), rows.y)
    return np.abs(np.asarray(fitted.coef_, dtype=np.float64))


def _forest(rows: _Rows, threads: int) -> NDArray[np.float64]:
    from sklearn.ensemble import RandomForestRegressor

    fitted = RandomForestRegressor(n_estimators=_TREES, random_state=_SEED, n_jobs=threads).fit(rows.X, rows.y)
    return np.asarray(fitted.feature_importances_, dtype=np.float64)


def _ranked(weights: Mapping[str, float]) -> list[str]:
    """Sort the names with a weight, the largest first; the name decides between equals."""
    return sorted((name for name in weights if weights[name] > 0), key=lambda name: (-weights[name], name))


def _redundant(columns: Sequence[str], r: NDArray[np.float64], threshold: float) -> list[RedundantPair]:
    pairs = [
        RedundantPair(a=a, b=columns[j], r=float(r[i, j]))
        for i, a in enumerate(columns)
        for j in range(i + 1, len(columns))
        if abs(r[i, j]) >= threshold
    ]
    return sorted(pairs, key=lambda pair: (-abs(pair.r), pair.a, pair.b))
