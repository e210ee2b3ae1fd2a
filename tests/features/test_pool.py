"""Pooling against definitions written down another way, and against logs pooled by somebody else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pyvmaf.errors import InputError
from pyvmaf.features.catalog import FEATURES, STATS, pooled_column
from pyvmaf.features.pool import COUNT, POOLS, pool

values = st.lists(st.floats(0, 100), min_size=1, max_size=50)


@given(values)
def test_every_stat_is_what_others_compute(frames: list[float]) -> None:
    figures = pool(frames)
    series = pd.Series(frames)
    assert tuple(figures) == STATS
    assert figures["mean"] == pytest.approx(series.mean(), abs=1e-9)
    assert figures["std"] == pytest.approx(series.std(ddof=0), abs=1e-6)
    assert (figures["min"], figures["max"]) == (min(frames), max(frames))
    assert figures["hmean"] == pytest.approx(stats.hmean(series + 1) - 1, abs=1e-9)
    assert figures["p5"] == pytest.approx(series.quantile(0.05), abs=1e-9)
    assert figures["p50"] == pytest.approx(series.median(), abs=1e-9)


@given(
    st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=300),
    st.lists(st.integers(0, 10**8), min_size=1, max_size=9),
)
def test_percentiles_equal_those_of_numpy_to_the_last_bit(frames: list[float], ranks: list[int]) -> None:
    names = {f"p{rank / 10**6:.6f}": rank / 10**6 for rank in ranks}
    expected = np.percentile(frames, list(names.values())).tolist()
    assert [figure.hex() for figure in pool(frames, list(names)).values()] == [figure.hex() for figure in expected]


@given(values)
def test_one_definition_with_what_score_prints(frames: list[float]) -> None:
    ours, shown = pool(frames), pool(frames, POOLS)
    for stat, name in (("mean", "mean"), ("hmean", "harmonic_mean"), ("min", "min"), ("p5", "p5"), ("p50", "median")):
        assert ours[stat] == shown[name]


def test_what_is_not_finite_does_not_count() -> None:
    assert pool([1.0, np.nan, 3.0, np.inf]) == pool([1.0, 3.0])
    assert all(np.isnan(value) for value in pool([np.nan, np.nan]).values())
    assert all(np.isnan(value) for value in pool([]).values())
    assert [pool(frames, [COUNT])[COUNT] for frames in ([1.0, np.nan, 3.0, -np.inf], [np.inf], [])] == [2, 0, 0]
    assert np.isnan(pool([-1.0, 2.0])["hmean"])
    assert pool([-1.0, 2.0])["mean"] == 0.5
    with pytest.raises(InputError, match=r"shape \(1, 2\)"):
        pool([[1.0, 2.0]])


def test_names_of_pooled_columns() -> None:
    assert pooled_column("adm2_mean") == ("adm2", "mean")
    assert pooled_column("vmaf_p5") == ("vmaf", "p5")
    assert [pooled_column(name) for name in (*FEATURES, "vmaf", "adm2_", "adm2_p7", "crf_mean")] == [None] * (
        len(FEATURES) + 4
    )
