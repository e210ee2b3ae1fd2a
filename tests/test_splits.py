"""No group is on both sides of any fold, and no row is lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyvmaf.errors import InputError
from pyvmaf.splits import Fold, grouped_kfold, hash_split, leave_one_group_out

groups = st.lists(st.sampled_from("abcdefg"), min_size=2, max_size=60).filter(lambda names: len(set(names)) > 1)


def sound(folds: list[Fold], names: list[str]) -> None:
    rows = np.arange(len(names))
    np.testing.assert_array_equal(np.sort(np.concatenate([f.test for f in folds])), rows)
    for fold in folds:
        np.testing.assert_array_equal(np.sort(np.concatenate([fold.train, fold.test])), rows)
        assert not {names[i] for i in fold.train} & {names[i] for i in fold.test}
        assert fold.train.size
        assert fold.test.size


@given(groups)
def test_leave_one_group_out(names: list[str]) -> None:
    folds = leave_one_group_out(names)
    sound(folds, names)
    assert [f.held_out for f in folds] == sorted(set(names))
    assert all({names[i] for i in f.test} == {f.held_out} for f in folds)


@given(groups, st.integers(0, 3), st.data())
def test_grouped_kfold(names: list[str], seed: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(2, len(set(names))))
    folds = grouped_kfold(names, k, seed)
    assert len(folds) == k
    sound(folds, names)
    again = grouped_kfold(names, k, seed)
    assert all(np.array_equal(a.test, b.test) for a, b in zip(folds, again, strict=True))


@given(st.lists(st.text(max_size=8), min_size=1, max_size=40), st.text(max_size=8))
def test_a_key_keeps_its_side(keys: list[str], another: str) -> None:
    sides = dict(zip(keys, hash_split(keys).tolist(), strict=True))
    more = dict(zip([another, *keys], hash_split([another, *keys]).tolist(), strict=True))
    assert all(more[key] == side for key, side in sides.items())


def test_shares_of_the_hash_split() -> None:
    sides = hash_split([f"clip{i}" for i in range(20_000)], val_share=0.2, test_share=0.1)
    for side, share in (("val", 0.2), ("test", 0.1), ("train", 0.7)):
        assert np.mean(sides == side) == pytest.approx(share, abs=0.01)


def test_one_group_cannot_be_split() -> None:
    with pytest.raises(InputError, match=r"needs at least 2 groups, the table has 1 \('a'\)"):
        leave_one_group_out(["a", "a"])
    with pytest.raises(InputError, match="k=3 needs 2 <= k <= number of groups, which is 2"):
        grouped_kfold(["a", "b"], 3, 0)
