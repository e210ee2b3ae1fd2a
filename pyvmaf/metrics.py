"""Agreement between predictions and targets.

Definitions as in ITU-T P.1401: PLCC is Pearson's r, SROCC Spearman's rho and KROCC Kendall's tau-b
(both with average ranks for ties), RMSE the root of the mean squared difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyvmaf.chunks import chunks, release
from pyvmaf.errors import InputError

FIGURES = ("plcc", "srocc", "krocc", "rmse")
"""Names of the figures of agreement, in the order in which tables show them."""

MANY = 4 << 20
"""Pairs beyond which several copies of them would not fit into memory."""

PAIRS_AT_A_TIME = 1 << 20
"""Pairs that are then looked at together."""


class Agreement(TypedDict):
    """The four figures over `n` pairs. A figure that is not defined is NaN."""

    n: int
    plcc: float
    srocc: float
    krocc: float
    rmse: float


def finite(value: float) -> float | None:
    """Return `value`, or None for NaN and infinity, which JSON does not have."""
    return float(value) if math.isfinite(value) else None


def spread(values: Sequence[float | None]) -> dict[str, float | None]:
    """Compute the mean, standard deviation (ddof 1), minimum and maximum of a figure over seeds or folds.

    Args:
        values: one per seed or fold, None if the figure is not defined there.

    Returns:
        Mapping with keys mean, std (None for a single value), min and max; all None if `values` is empty or holds None.
    """
    defined = [value for value in values if value is not None]
    if not defined or len(defined) < len(values):
        return dict.fromkeys(("mean", "std", "min", "max"))
    std = float(np.std(defined, ddof=1)) if len(defined) > 1 else None
    return {"mean": float(np.mean(defined)), "std": std, "min": float(min(defined)), "max": float(max(defined))}


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a = np.asarray(x, dtype=np.float64)
    b = np.asarray(y, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise InputError(f"predictions and targets must be two 1-D arrays of one length, not {a.shape} and {b.shape}")
    bad = int(np.count_nonzero(~np.isfinite(a) | ~np.isfinite(b)))
    if bad:
        raise InputError(f"{bad} of {a.size} pairs hold NaN or infinity: drop them first")
    return a, b


def _constant(a: NDArray[np.float64]) -> bool:
    return a.size < 2 or bool(np.all(a == a[0]))


def plcc(x: ArrayLike, y: ArrayLike) -> float:
    """Compute Pearson's linear correlation in [-1, 1]; NaN if either side is constant."""
    a, b = _pair(x, y)
    return float("nan") if _constant(a) or _constant(b) else _pearson(a, b)


def srocc(x: ArrayLike, y: ArrayLike) -> float:
    """Compute Spearman's rank correlation in [-1, 1], average ranks for ties; NaN if either side is constant."""
    a, b = _pair(x, y)
    if _constant(a) or _constant(b):
        return float("nan")
    return _spearman(_ranks(a)[0], _ranks(b)[0])


def krocc(x: ArrayLike, y: ArrayLike) -> float:
    """Compute Kendall's tau-b in [-1, 1]; NaN if either side is constant."""
    a, b = _pair(x, y)
    if _constant(a) or _constant(b):
        return float("nan")
    (ranks_a, tied_a), (ranks_b, tied_b) = _ranks(a), _ranks(b)
    return _tau_b(ranks_a, ranks_b, tied_a, tied_b)


def rmse(x: ArrayLike, y: ArrayLike) -> float:
    """Compute the root mean squared difference, in the unit of the scores; NaN without pairs."""
    a, b = _pair(x, y)
    if a.size == 0:
        return float("nan")
    return float(np.sqrt(np.mean((a - b) ** 2)))


def psnr(x: NDArray[Any], y: NDArray[Any], *, cap: float) -> float:
    """Compute the peak signal-to-noise ratio of two pictures in levels of 0 to 255, in dB.

    At most `cap`, which equal pictures have. Levels need not be whole numbers.
    """
    if x.shape != y.shape:
        raise InputError(f"pictures of one size are compared, not {x.shape} and {y.shape}")
    error = float(np.square(x.astype(np.float32) - y.astype(np.float32)).mean(dtype=np.float64))
    return min(cap, 10 * math.log10(255**2 / error)) if error else cap


def agreement(x: ArrayLike, y: ArrayLike) -> Agreement:
    """Compute all four figures for predictions `x` and targets `y`, 1-D arrays of the same length."""
    a, b = _pair(x, y)
    many = a.size > MANY
    figures = Agreement(
        n=int(a.size),
        plcc=float("nan"),
        srocc=float("nan"),
        krocc=float("nan"),
        rmse=_rmse_of_many(a, b) if many else rmse(a, b),
    )
    if _constant(a) or _constant(b):
        return figures
    figures["plcc"] = _correlation(a, b) if many else _pearson(a, b)
    (ranks_a, tied_a), (ranks_b, tied_b) = _ranks(a), _ranks(b)
    figures["srocc"] = _correlation(ranks_a, ranks_b) if many else _spearman(ranks_a, ranks_b)
    figures["krocc"] = _tau_b(ranks_a, ranks_b, tied_a, tied_b)
    return figures


# The operations of scipy.stats in its order, so that the figures are the same to the last bit. To import scipy.stats takes
# longer than many a verb's work.


def _pearson(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    x, y = a - a.mean(), b - b.mean()
    x_most, y_most = np.abs(x).max(), np.abs(y).max()
    x_norm = x_most * np.linalg.norm(x / x_most, ord=2, axis=-1)
    y_norm = y_most * np.linalg.norm(y / y_most, ord=2, axis=-1)
    r = float(np.clip(np.vecdot(x / x_norm, y / y_norm), -1.0, 1.0))
    return float(round(r)) if a.size == 2 else r


def _spearman(ranks_a: NDArray[Any], ranks_b: NDArray[Any]) -> float:
    return float(np.asarray(np.corrcoef(np.stack([ranks_a, ranks_b]) / 2))[1, 0])


# The figures of so many pairs that several copies of them would not fit into memory.


def _rmse_of_many(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    squares = sum(float(np.sum((a[part] - b[part]) ** 2)) for part in chunks(a.size, PAIRS_AT_A_TIME))
    return float(np.sqrt(squares / a.size))


def _correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Compute Pearson's r."""
    n = a.size
    mean_a, mean_b = (
        sum(float(v[part].sum(dtype=np.float64)) for part in chunks(n, PAIRS_AT_A_TIME)) / n for v in (a, b)
    )
    aa = ab = bb = 0.0
    for part in chunks(n, PAIRS_AT_A_TIME):
        x, y = a[part] - mean_a, b[part] - mean_b
        aa, ab, bb = aa + float(x @ x), ab + float(x @ y), bb + float(y @ y)
    return float(np.clip(ab / np.sqrt(aa) / np.sqrt(bb), -1.0, 1.0))


def _firsts(values: NDArray[Any], order: NDArray[Any] | None = None) -> Iterator[tuple[slice, NDArray[np.int64]]]:
    """Yield parts of sorted values (or of their sorting order), with the index where each run of equal values begins."""
    last, first = None, 0
    for part in chunks(values.size, PAIRS_AT_A_TIME):
        run = values[part] if order is None else values[order[part]]
        new = np.concatenate([[last is None or run[0] != last], run[1:] != run[:-1]])
        firsts = np.maximum.accumulate(np.where(new, np.arange(part.start, part.stop), first))
        last, first = run[-1], int(firsts[-1])
        yield part, firsts


def _ranks(values: NDArray[np.float64]) -> tuple[NDArray[Any], int]:
    """Return twice the average rank of each value, and the number of tied pairs."""
    ranks = np.empty(values.size, dtype=np.int32 if values.size < 1 << 30 else np.int64)
    order = np.argsort(values).astype(ranks.dtype)
    release()
    tied = 0
    firsts = np.empty_like(ranks)
    for part, first in _firsts(values, order):
        firsts[part] = first
        tied += int((np.arange(part.start, part.stop) - first).sum())
    # The last value of a run is the one before the first of the next run.
    following, last = -1, -1
    for part in reversed([*chunks(values.size, PAIRS_AT_A_TIME)]):
        first = firsts[part].astype(np.int64)
        if first[-1] != following:
            last = part.stop - 1
        ends = np.where(np.append(first[1:], following) != first, np.arange(part.start, part.stop), last)
        ends[-1] = last
        lasts = np.minimum.accumulate(ends[::-1])[::-1]
        ranks[order[part]] = first + lasts + 2
        following, last = int(first[0]), int(lasts[0])
    return ranks, tied


def _tau_b(x: NDArray[Any], y: NDArray[Any], x_tied: int, y_tied: int) -> float:
    """Compute Kendall's tau-b (1945) from ranks; discordant pairs are the inversions of y in the order of x (Knight 1966)."""
    n = x.size
    base = 2 * n + 2
    key = x.astype(np.int64)
    key *= base
    key += y
    key.sort()
    both = sum(int((np.arange(part.start, part.stop) - first).sum()) for part, first in _firsts(key))
    ordered = np.empty(n, dtype=y.dtype)
    for part in chunks(n, PAIRS_AT_A_TIME):
        ordered[part] = key[part] % base
    del key
    pairs = n * (n - 1) // 2
    balance = pairs - x_tied - y_tied + both - 2 * _inversions(ordered)
    return float(np.clip(balance / np.sqrt(float(pairs - x_tied)) / np.sqrt(float(pairs - y_tied)), -1.0, 1.0))


def _inversions(values: NDArray[Any]) -> int:
    """Count the pairs of which the first is larger: those within a part, and those of its values with all before it."""
    count = 0
    before = np.empty_like(values)
    for part in chunks(values.size, PAIRS_AT_A_TIME):
        chunk = values[part]
        count += _inversions_inside(chunk)
        chunk = np.sort(chunk)
        count += chunk.size * part.start - int(np.searchsorted(before[: part.start], chunk, side="right").sum())
        before[part] = chunk
        before[: part.stop].sort(kind="stable")  # two sorted runs: a merge
    return count


def _inversions_inside(values: NDArray[Any]) -> int:
    """Count such pairs by one binary digit after another, the highest first.

    Among values that agree in all higher digits, every 1 before a 0 is a pair of which the first is larger.
    """
    count = 0
    _, values = np.unique(values, return_inverse=True)
    for digit in range(int(values.max()).bit_length() - 1, -1, -1):
        high, is_one = values >> (digit + 1), (values >> digit) & 1
        starts = np.flatnonzero(np.diff(high, prepend=-1))
        sizes = np.diff(starts, append=values.size)
        ones = np.concatenate([[0], np.cumsum(is_one)])
        first = ones[starts]
        n_zeros = sizes - (ones[starts + sizes] - first)
        earlier = ones[:-1] - np.repeat(first, sizes)
        count += int(earlier[is_one == 0].sum())
        # The ones go behind the zeros; both keep their order.
        index = np.where(is_one, np.repeat(starts + n_zeros, sizes) + earlier, np.arange(values.size) - earlier)
        moved = np.empty_like(values)
        moved[index] = values
        values = moved
    return count
