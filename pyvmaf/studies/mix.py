"""``vmaf-train signal-mix-audit``: what each group of columns of a table covers, adds and repeats."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.document import Call, publish
from pyvmaf.base.files import sha256_file
from pyvmaf.base.opinion import COLUMNS as OPINIONS
from pyvmaf.base.outputs import publishes
from pyvmaf.base.table import Table
from pyvmaf.codecs.vocabularies import vocabulary
from pyvmaf.errors import InputError
from pyvmaf.features.catalog import CONTEXT, FEATURES, SETS, TEACHER, pooled_column
from pyvmaf.features.pool import COUNT
from pyvmaf.metrics import finite, plcc, rmse
from pyvmaf.studies.columns import numeric_columns
from pyvmaf.studies.reports import (
    Change,
    MixFigures,
    RedundantColumn,
    SignalGroup,
    SignalMixAudit,
    StudiedTable,
)
from pyvmaf.tables.columns import ENCODE_COLUMNS, codec_block, floats, read_columns, read_schema, strings

if TYPE_CHECKING:
    import pyarrow as pa

GROUPS: Table[tuple[str, ...]] = {
    "canonical6": SETS["canonical6"],
    "adm": ("adm*",),
    "vif": ("vif*",),
    "motion": ("motion*",),
    "psnr": ("psnr*",),
    "ssim": ("float_ssim", "float_ms_ssim"),
    "cambi": ("cambi*",),
    "colour": ("ciede2000",),
    "ssimulacra2": ("ssimulacra2",),
    "speed": ("speed_*",),
    "teacher": (TEACHER,),
    "video": tuple(name for name, entry in CONTEXT.items() if entry.of == "video"),
    "shots": tuple(name for name, entry in CONTEXT.items() if entry.of == "shots"),
    "saliency": ("saliency_*",),
}
"""Patterns of the features of each group; pooled columns (``adm2_mean``) belong to the group of their feature. Groups may
share columns."""

CODEC = "codec"
"""Group of the columns of a codec block, which are made from encoder, preset and CRF."""

OTHERS = "second opinions"
"""Group of the numeric columns that belong to no other: scores of other models and metrics."""

_VOCABULARY = "v5"
_LABELS = ("crf", "strength", "frame_index", "n_frames")
_FOLDS, _ROUNDS, _RATE, _SEED, _REPEATS = 5, 60, 0.15, 0, 3

OnStep = Callable[[int, int, str], None]
"""Called before each step with the steps done, those in all, and the name of the next one."""


@dataclass(frozen=True)
class _Data:
    """The rows of the audit.

    Attributes:
        X: columns [n, columns]; NaN is a missing value.
        y: the target [n], finite.
        keys: what the folds keep together [n].
        names: of the columns.
        groups: names of the columns of each group, of those without values, too.
        there: whether a row has a value, by column, over all rows that have a target.
        n_total, n_clean: rows of the table, and rows that have a target.
        left_out: columns with the reason.
    """

    X: NDArray[np.float64]
    y: NDArray[np.float64]
    keys: NDArray[np.str_]
    names: tuple[str, ...]
    groups: dict[str, list[str]]
    there: dict[str, NDArray[np.bool_]]
    n_total: int
    n_clean: int
    left_out: dict[str, str]

    @property
    def members(self) -> dict[str, list[int]]:
        """Index of the columns of each group that has some."""
        found = {name: [self.names.index(c) for c in own if c in self.names] for name, own in self.groups.items()}
        return {name: members for name, members in found.items() if members}


@publishes("signal-mix-audit")
def signal_mix_audit(
    table: Path,
    output: Path | None = None,
    *,
    target: str = TEACHER,
    by: str = "source",
    groups: Mapping[str, Sequence[str]] | None = None,
    redundancy_threshold: float = 0.95,
    max_rows: int = 20_000,
    plot: Path | None = None,
    threads: int = 1,
    on_step: OnStep = lambda _done, _total, _step: None,
) -> SignalMixAudit:
    """Measure what each group of columns covers, adds to a prediction of the target, and repeats of the others.

    The model is a gradient boosting of 60 small trees (scikit-learn), which takes missing values as they are. It is
    fitted on folds that keep the values of `by` together; every figure is of held-out rows.

    - coverage: share of rows in which a group has a value in every column, and in any.
    - contribution: what the whole model loses if the columns of the group are permuted together among held-out rows.
    - without: what a model loses that was fitted without the group; alone: what one reaches that has nothing else.
    - redundancy: of each column the largest |r| with a column outside the group.

    Args:
        table: parquet table of frames or clips.
        output: JSON file for the report; None for none.
        target: column to predict.
        by: column whose values the folds keep together.
        groups: further groups as patterns of column names (``nr_*``), or other patterns for a group of `GROUPS`.
        redundancy_threshold: |r| from which a column is listed as redundant.
        max_rows: number of rows, drawn with seed 0; 0 for all. Coverage is of all rows.
        plot: picture of the groups, as SVG, PNG or HTML.
        threads: of the model.
        on_step: called before each fit.

    Raises:
        MissingFileError, IntegrityError: the table does not exist or is damaged.
        InputError: the target or `by` does not exist, a pattern matches nothing, or there are too few columns, rows or
            values of `by`.
    """
    started = time.perf_counter()
    if not 0 < redundancy_threshold <= 1:
        raise InputError(f"--redundancy-threshold must lie in (0, 1], not {redundancy_threshold}")
    if plot is not None:
        from pyvmaf.studies.charts import check_format

        check_format(plot)
    asked = {name: list(patterns) for name, patterns in (groups or {}).items()}
    call = Call(
        "signal-mix-audit",
        args={
            "features": table,
            "target": target,
            "by": by,
            "groups": asked,
            "redundancy_threshold": redundancy_threshold,
            "max_rows": max_rows,
        },
        inputs={"features": table},
        started=started,
    )
    data = _read(table, target, by, asked, max_rows)
    folds = _folds(table, data, by)
    steps = iter(range(len(folds) * (1 + 2 * len(data.members)) + 1))
    total = len(folds) * (1 + 2 * len(data.members))

    def step(what: str) -> None:
        on_step(next(steps), total, what)

    with _threads(threads):
        fits = _Fits(data, folds, step)
        whole = fits.figures(range(len(data.names)), "all columns")
        permuted = {name: fits.permuted(members, place) for place, (name, members) in enumerate(data.members.items())}
        described = [_group(data, fits, name, whole, permuted[name], redundancy_threshold) for name in data.members]
    step("done")
    report = SignalMixAudit(
        table=StudiedTable(name=table.stem, sha256=sha256_file(table), rows=data.n_total),
        target=target,
        n_rows_clean=data.n_clean,
        n_rows_used=int(data.y.size),
        by=by,
        n_keys=int(np.unique(data.keys).size),
        folds=len(folds),
        model=f"gradient boosting of {_ROUNDS} trees over {len(data.names)} columns",
        columns=list(data.names),
        left_out=data.left_out,
        whole=_figures(whole),
        redundancy_threshold=redundancy_threshold,
        groups=described,
        groups_without_values={name: own for name, own in data.groups.items() if name not in data.members},
        notes=list(_notes(described, data)),
        run_provenance=call.provenance(),
    )
    if plot is not None:
        from pyvmaf.studies.charts import mix_chart, save

        save(mix_chart(report), plot)
    return publish(report, output, call, beside={} if plot is None else {"plot": plot})


# ---------------------------------------------------------------------------------------------------------
# Columns


def _base(column: str) -> str:
    """Return the feature of a pooled column, else the column."""
    pooled = pooled_column(column)
    return column if pooled is None else pooled[0]


def _candidates(path: Path, target: str) -> tuple[list[str], dict[str, str]]:
    """List the numeric columns that may explain the target, and the others with the reason.

    Raises:
        InputError: the target is not a numeric column.
    """
    numeric, others = numeric_columns(path)
    if target not in numeric:
        raise InputError(f"{path} has no numeric column {target!r} to predict; it has: {', '.join(numeric)}")
    reasons = {name: reason for name, reason in others.items() if name not in ENCODE_COLUMNS}
    names = []
    for name in numeric:
        if name == target or name in ENCODE_COLUMNS:
            continue
        if name in OPINIONS:
            reasons[name] = "is an opinion score"
        elif name in _LABELS or name.endswith(f"_{COUNT}"):
            reasons[name] = "is a label or a count"
        elif _base(name) == _base(target):
            reasons[name] = f"is a statistic of the target's own {_base(target)}"
        else:
            names.append(name)
    return names, reasons


def _assign(path: Path, names: Sequence[str], asked: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the columns of each group that has some.

    Raises:
        InputError: a pattern of `asked` matches no column.
    """
    found: dict[str, list[str]] = {}
    for group, patterns in {**GROUPS, **asked}.items():
        own = group in asked
        known = [name for name in names if own or _base(name) in FEATURES or _base(name) in (*CONTEXT, TEACHER)]
        matched = [name for name in known if any(fnmatchcase(name if own else _base(name), p) for p in patterns)]
        if own and not matched:
            raise InputError(
                f"--group {group}={','.join(patterns)} matches no column of {path}; it has: {', '.join(names)}"
            )
        if matched:
            found[group] = matched
    taken = {name for members in found.values() for name in members}
    if rest := [name for name in names if name not in taken]:
        found[OTHERS] = rest
    return found


def _read(path: Path, target: str, by: str, asked: Mapping[str, Sequence[str]], max_rows: int) -> _Data:
    present = read_schema(path)
    if by not in present:
        raise InputError(
            f"{path} has no column {by!r}, whose values the folds keep together: name another with --by; it has: "
            f"{', '.join(present)}"
        )
    names, left_out = _candidates(path, target)
    by_group = _assign(path, names, asked)
    coded = all(name in present for name in ENCODE_COLUMNS)
    data = read_columns(path, list(dict.fromkeys([*names, target, by, *(ENCODE_COLUMNS if coded else ())])))
    y = floats(data, target)
    usable = np.flatnonzero(np.isfinite(y))
    columns = {name: np.where(np.isfinite(values := floats(data, name)), values, np.nan) for name in names}
    if coded:
        codec = _codec_columns(data)
        columns |= codec
        by_group |= {CODEC: list(codec)} if codec else {}
    there = {name: np.isfinite(values[usable]) for name, values in columns.items()}
    for name, values in list(columns.items()):
        if not there[name].any():
            left_out[name] = "has no value"
        elif np.ptp(present_values := values[usable][there[name]]) == 0:
            left_out[name] = f"is {present_values[0]:g} in every row"
        else:
            continue
        del columns[name]
    kept = tuple(columns)
    rows = usable
    if max_rows and rows.size > max_rows:
        rows = np.sort(np.random.default_rng(_SEED).choice(rows, max_rows, replace=False))
    if len(kept) < 2 or rows.size < 2 * _FOLDS or np.ptp(y[rows]) == 0:
        raise InputError(
            f"{path}: {len(kept)} columns over {rows.size} rows with {np.unique(y[rows]).size} values of {target!r} are "
            f"too few; left out: {left_out or 'nothing'}"
        )
    return _Data(
        X=np.column_stack([columns[name][rows] for name in kept]),
        y=y[rows],
        keys=strings(data, by)[rows],
        names=kept,
        groups=by_group,
        there=there,
        n_total=data.num_rows,
        n_clean=int(usable.size),
        left_out=dict(sorted(left_out.items())),
    )


def _codec_columns(data: pa.Table) -> dict[str, NDArray[np.float64]]:
    """Return the columns of the codec block that differ between rows; NaN where the encoder is not known."""
    encoder, preset = strings(data, "encoder"), strings(data, "preset")
    known = encoder != ""
    if not known.any():
        return {}
    block = codec_block(_VOCABULARY, encoder, preset, floats(data, "crf"))
    return {
        name: np.where(known, values, np.nan)
        for name, values in zip(vocabulary(_VOCABULARY).layout, block.T, strict=True)
        if np.ptp(values[known]) > 0
    }


# ---------------------------------------------------------------------------------------------------------
# Fits


def _folds(path: Path, data: _Data, by: str) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    from sklearn.model_selection import GroupKFold

    distinct = int(np.unique(data.keys).size)
    if distinct < 2:
        raise InputError(
            f"all rows of {path} are of one {by} ({data.keys[0]!r}): held-out rows need another; name another column with --by"
        )
    return list(GroupKFold(min(_FOLDS, distinct)).split(np.zeros((data.y.size, 1)), groups=data.keys))


def _threads(count: int) -> Any:
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=count)


_PerFold = list[tuple[float, float]]
"""PLCC (NaN if not defined) and RMSE of each fold."""


class _Fits:
    """Models of subsets of the columns over the folds."""

    def __init__(
        self, data: _Data, folds: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]], step: Callable[[str], None]
    ) -> None:
        self._data = data
        self._folds = folds
        self._step = step
        self._whole: list[Any] = []

    def figures(self, columns: Sequence[int], what: str) -> _PerFold:
        """Fit over all folds and return the figures of held-out rows."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        X, y = self._data.X[:, list(columns)], self._data.y
        found = []
        models = []
        for train, test in self._folds:
            self._step(what)
            if X.shape[1]:
                model = HistGradientBoostingRegressor(
                    max_iter=_ROUNDS,
                    learning_rate=_RATE,
                    max_leaf_nodes=15,
                    min_samples_leaf=min(20, max(1, train.size // 20)),
                    early_stopping=False,
                    random_state=_SEED,
                ).fit(_with_values(X[train]), y[train])
                models.append(model)
                predicted = model.predict(X[test])
            else:
                predicted = np.full(test.size, y[train].mean())
            found.append(_agreement(predicted, y[test]))
        if len(columns) == len(self._data.names):
            self._whole = models
        return found

    def permuted(self, members: Sequence[int], place: int) -> _PerFold:
        """Return the figures of the whole model if columns are permuted together among held-out rows."""
        found = []
        for number, ((_, test), model) in enumerate(zip(self._folds, self._whole, strict=True)):
            rng = np.random.default_rng([_SEED, place, number])
            repeats = []
            for _ in range(_REPEATS):
                X = self._data.X[test].copy()
                X[:, list(members)] = X[rng.permutation(test.size)][:, list(members)]
                repeats.append(_agreement(model.predict(X), self._data.y[test]))
            means = np.mean(repeats, axis=0)
            found.append((float(means[0]), float(means[1])))
        return found


def _with_values(X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace columns without any value by zeros, which no tree splits on."""
    empty = np.isnan(X).all(axis=0)
    return np.where(empty, 0.0, X) if empty.any() else X


def _agreement(predicted: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    return plcc(predicted, y), rmse(predicted, y)


# ---------------------------------------------------------------------------------------------------------
# Description


def _mean_std(values: Sequence[float]) -> tuple[float | None, float | None]:
    there = np.asarray([value for value in values if np.isfinite(value)])
    if not there.size:
        return None, None
    return float(there.mean()), float(there.std(ddof=1)) if there.size > 1 else None


def _figures(per_fold: _PerFold) -> MixFigures:
    mean_plcc, std_plcc = _mean_std([r for r, _ in per_fold])
    mean_rmse, std_rmse = _mean_std([error for _, error in per_fold])
    return MixFigures(
        mean_plcc=mean_plcc,
        std_plcc=std_plcc,
        mean_rmse=mean_rmse or 0.0,
        std_rmse=std_rmse,
        per_fold_plcc=[finite(r) for r, _ in per_fold],
        per_fold_rmse=[error for _, error in per_fold],
    )


def _change(whole: _PerFold, other: _PerFold) -> Change:
    r, std_r = _mean_std([b - a for (a, _), (b, _) in zip(whole, other, strict=True)])
    gained = [b - a for (_, a), (_, b) in zip(whole, other, strict=True)]
    error, std_error = _mean_std(gained)
    return Change(
        plcc=r,
        std_plcc=std_r,
        rmse=error or 0.0,
        std_rmse=std_error,
        folds_worse=sum(value > 0 for value in gained),
    )


def _group(data: _Data, fits: _Fits, name: str, whole: _PerFold, permuted: _PerFold, threshold: float) -> SignalGroup:
    members = data.members[name]
    others = [index for index in range(len(data.names)) if index not in members]
    without, alone = fits.figures(others, f"without {name}"), fits.figures(members, f"{name} alone")
    redundancy = _redundancy(data, members, others)
    own = np.stack([data.there[column] for column in data.groups[name]])
    missing = {column: 1 - float(data.there[column].mean()) for column in data.groups[name]}
    return SignalGroup(
        name=name,
        columns=[data.names[index] for index in members],
        coverage=float(own.all(axis=0).mean()),
        coverage_any=float(own.any(axis=0).mean()),
        missing_share=float(np.mean(list(missing.values()))),
        missing_by_column=missing,
        contribution=_change(whole, permuted),
        without=_figures(without),
        loss=_change(whole, without),
        alone=_figures(alone),
        highest_r=max((abs(pair.r) for pair in redundancy), default=None),
        redundancy=redundancy,
        redundant_columns=[pair.column for pair in redundancy if abs(pair.r) >= threshold],
    )


def _redundancy(data: _Data, members: Sequence[int], others: Sequence[int]) -> list[RedundantColumn]:
    """Return for each column the column of another group that it correlates with most, over rows that have both."""
    found = []
    for index in members:
        best: RedundantColumn | None = None
        for other in others:
            both = np.isfinite(data.X[:, index]) & np.isfinite(data.X[:, other])
            r = plcc(data.X[both, index], data.X[both, other]) if np.count_nonzero(both) > 2 else float("nan")
            if np.isfinite(r) and (best is None or abs(r) > abs(best.r)):
                best = RedundantColumn(column=data.names[index], other=data.names[other], r=r)
        if best is not None:
            found.append(best)
    return sorted(found, key=lambda pair: (-abs(pair.r), pair.column))


def _notes(groups: Sequence[SignalGroup], data: _Data) -> Iterator[str]:
    free = [group.name for group in groups if group.loss.rmse <= (group.loss.std_rmse or 0.0)]
    if free:
        yield f"a model without one of these loses no more than the spread over the folds: {', '.join(free)}"
    sparse = [f"{group.name} ({group.coverage:.0%})" for group in groups if group.coverage < 0.5]
    if sparse:
        yield f"fewer than half of the rows have every column of: {', '.join(sparse)}"
    if data.n_clean > data.y.size:
        yield f"the figures of models are of {data.y.size} of {data.n_clean} rows, drawn with seed {_SEED}"
