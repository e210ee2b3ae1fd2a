"""Figures of agreement against independent computations from their definitions."""

from __future__ import annotations

import math
import warnings
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pyvmaf.errors import InputError
from pyvmaf.metrics import agreement, krocc, plcc, rmse, srocc

pairs = st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=2, max_size=25)


def average_ranks(values: list[int]) -> list[float]:
    return [sum(v < x for v in values) + (sum(v == x for v in values) + 1) / 2 for x in values]


def pearson(x: list[float], y: list[float]) -> float:
    mx, my = sum(x) / len(x), sum(y) / len(y)
    top = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    return top / math.sqrt(sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y))


@given(pairs)
def test_ties_and_all_against_brute_force(rows: list[tuple[int, int]]) -> None:
    x, y = [r[0] for r in rows], [r[1] for r in rows]
    assert rmse(x, y) == pytest.approx(math.sqrt(sum((a - b) ** 2 for a, b in rows) / len(rows)))
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert all(math.isnan(f(x, y)) for f in (plcc, srocc, krocc))
        return
    assert plcc(x, y) == pytest.approx(pearson([*map(float, x)], [*map(float, y)]), abs=1e-12)
    assert srocc(x, y) == pytest.approx(pearson(average_ranks(x), average_ranks(y)), abs=1e-12)
    signs = [np.sign(a[0] - b[0]) * np.sign(a[1] - b[1]) for a, b in combinations(rows, 2)]
    untied = [sum(a != b for a, b in combinations(v, 2)) for v in (x, y)]
    assert krocc(x, y) == pytest.approx(sum(signs) / math.sqrt(untied[0] * untied[1]), abs=1e-12)


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.floats(-1e6, 1e6), st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.5, 99.0]))),
        min_size=2,
        max_size=40,
    ),
    repeated=st.sampled_from([1, 7, 60]),
)
def test_figures_are_those_of_scipy_to_the_last_bit(rows: list[tuple[float, float]], repeated: int) -> None:
    x, y = (np.tile(side, repeated) for side in zip(*rows, strict=True))
    if np.unique(x).size == 1 or np.unique(y).size == 1:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.NearConstantInputWarning)
        expected = (stats.pearsonr(x, y), stats.spearmanr(x, y), stats.kendalltau(x, y))
    found = agreement(x, y)
    assert (found["plcc"], found["srocc"], found["krocc"]) == tuple(result.statistic for result in expected)
    assert (plcc(x, y), srocc(x, y), krocc(x, y)) == tuple(result.statistic for result in expected)


def test_pairs_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(InputError, match="1 of 3 pairs hold NaN"):
        agreement([1, 2, float("nan")], [1, 2, 3])
    with pytest.raises(InputError, match=r"\(3,\) and \(2,\)"):
        plcc([1, 2, 3], [1, 2])
    assert agreement([], [])["n"] == 0


@settings(deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 9), st.integers(-3, 30)), min_size=1, max_size=200),
    at_a_time=st.integers(1, 64),
)
def test_figures_of_very_many_pairs_are_the_same(pairs: list[tuple[int, int]], at_a_time: int) -> None:
    x, y = (np.array(side, dtype=np.float64) / 7 for side in zip(*pairs, strict=True))
    expected = agreement(x, y)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyvmaf.metrics.MANY", 0)
        patch.setattr("pyvmaf.metrics.PAIRS_AT_A_TIME", at_a_time)
        found = agreement(x, y)
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)
