"""No group is on both sides of any fold, and no row is lost."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyvmaf.errors import InputError
from pyvmaf.splits import (
    HOLDOUT_MODES,
    Fold,
    check_apart,
    content_hash_split,
    filled_sides,
    fold_of_sides,
    grouped_kfold,
    hash_kfold,
    hash_split,
    holdout,
    leave_one_group_out,
    same_partition,
    used,
)

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


def fold_of_each(folds: list[Fold], names: list[str]) -> dict[str, str]:
    return {names[row]: fold.held_out for fold in folds for row in fold.test.tolist()}


@given(st.lists(st.text(max_size=8), min_size=1, max_size=40), st.lists(st.text(max_size=8)), st.integers(2, 7))
def test_keys_that_are_added_move_none_to_another_fold(keys: list[str], more: list[str], k: int) -> None:
    refused = ""
    try:
        folds = hash_kfold(keys, k)
    except InputError as err:
        refused = str(err)
    if refused:
        assert f"puts all {len(set(keys))} groups into fold" in refused
        return
    sound(folds, keys)
    before, after = fold_of_each(folds, keys), fold_of_each(hash_kfold([*more, *keys], k), [*more, *keys])
    assert after.items() >= before.items()
    assert set(before.values()) <= {f"fold{i}" for i in range(k)}


def test_folds_by_hash_are_those_of_its_definition() -> None:
    keys = [f"{number}" for number in range(1200)]
    folds = fold_of_each(hash_kfold(keys, 5), keys)
    for key in keys:
        digest = hashlib.sha256(b"vmaf-train-splits-v1:" + key.encode()).hexdigest()
        assert folds[key] == f"fold{int(digest[:16], 16) * 5 // 2**64}"
    sizes = np.unique(list(folds.values()), return_counts=True)[1]
    # Five binomial counts of mean 240: four deviations are 55.
    assert sizes.size == 5
    assert np.abs(sizes - 240).max() < 55
    with pytest.raises(InputError, match="needs k of 2 or more, not 1"):
        hash_kfold(keys, 1)


def test_shares_of_the_hash_split() -> None:
    sides = hash_split([f"clip{i}" for i in range(20_000)], val_share=0.2, test_share=0.1)
    for side, share in (("val", 0.2), ("test", 0.1), ("train", 0.7)):
        assert np.mean(sides == side) == pytest.approx(share, abs=0.01)


@given(st.lists(st.text("abcdefgh", min_size=1), min_size=1, max_size=40), st.sampled_from([0.0, 0.1, 0.3]))
def test_few_keys_fill_the_sides_that_the_hash_leaves_empty(keys: list[str], val_share: float) -> None:
    hashed = dict(zip(keys, hash_split(keys, val_share).tolist(), strict=True))
    try:
        filled = dict(zip(keys, np.asarray(filled_sides(keys, val_share)).tolist(), strict=True))
    except InputError:
        assert len(hashed) < 3 or "train" not in hashed.values()
        return
    assert set(filled.values()) == {"train", "test", *(["val"] if val_share else [])}
    if {*filled.values()} == {*hashed.values()}:
        assert filled == hashed
    elif "test" in hashed.values():
        assert {key for key in keys if filled[key] == "test"} == {key for key in keys if hashed[key] == "test"}


def test_one_group_cannot_be_split() -> None:
    with pytest.raises(InputError, match=r"needs at least 2 groups, the table has 1 \('a'\)"):
        leave_one_group_out(["a", "a"])
    with pytest.raises(InputError, match="k=3 needs 2 <= k <= number of groups, which is 2"):
        grouped_kfold(["a", "b"], 3, 0)


corpora = st.sampled_from(["netflix", "konvid", "other"])


def divided(fold: Fold, n: int) -> list[str]:
    """Return the side of each row, "" for none; a row is on one side at most."""
    sides = [""] * n
    for side, rows in (("train", fold.train), ("val", fold.val), ("test", fold.test)):
        for row in rows.tolist():
            assert sides[row] == ""
            sides[row] = side
    return sides


def torn(fold: Fold, names: list[str]) -> set[str]:
    """Return the keys that are on more than one side."""
    parts = [{names[i] for i in rows} for rows in (fold.train, fold.val, fold.test)]
    return (parts[0] & parts[1]) | (parts[0] & parts[2]) | (parts[1] & parts[2])


@given(groups, st.sampled_from(["hash", "content"]), st.text(max_size=4))
def test_no_key_is_on_two_sides_of_a_division(names: list[str], how: str, seed: str) -> None:
    # Many names per letter, so that keys fall on all three sides with any hash.
    names = [f"{name}{i % 40}" for i, name in enumerate(names * 8)]
    sides = hash_split(names, 0.2, 0.2) if how == "hash" else content_hash_split(names, seed)
    try:
        fold = fold_of_sides(sides)
    except InputError:
        assert not {"train", "test"} <= set(sides.tolist())
        return
    assert divided(fold, len(names)) == sides.tolist()
    assert not torn(fold, names)
    check_apart([fold], names, "source")


@given(
    st.lists(st.tuples(corpora, st.sampled_from("abcdefgh")), min_size=1, max_size=60),
    st.sampled_from(sorted(HOLDOUT_MODES)),
    st.sampled_from("abcdefgh"),
    st.floats(0.01, 0.9),
    st.integers(0, 3),
)
def test_holdout(rows: list[tuple[str, str]], mode: str, source: str, share: float, seed: int) -> None:
    where, names = [c for c, _ in rows], [k for _, k in rows]
    primary = {k for c, k in rows if c == "netflix"}
    secondary = {k for c, k in rows if c == "konvid"}
    of_primary, of_secondary = HOLDOUT_MODES[mode]
    absent = (of_primary is not None and not primary) or (of_secondary is not None and not secondary)
    absent = absent or (bool(of_primary) and source not in primary)
    refused = ""
    try:
        fold = holdout(where, names, mode, primary="netflix", secondary="konvid", source=source, share=share, seed=seed)
    except InputError as err:
        refused = str(err)
    if refused:
        assert absent or "leaves 0 rows to train on" in refused
        return
    assert not absent
    assert not torn(fold, names)
    sides = divided(fold, len(rows))
    held_out = {names[i] for i in fold.test}
    for (corpus, key), side in zip(rows, sides, strict=True):
        part = {"netflix": of_primary, "konvid": of_secondary, "other": None}[corpus]
        if part is None:
            assert side == ""
        elif key not in held_out:
            assert side == "train"
        else:
            assert side in ("test", "")
    if mode in ("primary-source", "primary-only"):
        assert held_out == {source}
    if mode in ("secondary-holdout", "secondary-only"):
        assert len(held_out) == max(1, round(len(secondary) * share))
        assert held_out <= secondary
    if mode == "primary-source-and-secondary-holdout":
        assert source in held_out
        assert held_out & secondary


def test_the_share_of_the_secondary_corpus_is_the_published_draw() -> None:
    keys = [f"clip{i:02}" for i in range(40)]
    fold = holdout(["k"] * 40, keys, "secondary-only", secondary="k", share=0.1, seed=3)
    expected = sorted(keys)
    np.random.default_rng(3).shuffle(expected)
    assert {keys[i] for i in fold.test} == set(expected[:4])


def test_a_missing_corpus_or_source_of_a_holdout_is_named() -> None:
    where, names = ["netflix", "netflix", "konvid"], ["Tennis", "FoxBird", "c1"]
    with pytest.raises(InputError, match="unknown secondary corpus of the split 'konvid-1k': did you mean 'konvid'"):
        holdout(where, names, "secondary-holdout", primary="netflix", secondary="konvid-1k")
    with pytest.raises(InputError, match="unknown source of netflix 'Tenis': did you mean 'Tennis'"):
        holdout(where, names, "primary-only", primary="netflix", source="Tenis")
    with pytest.raises(InputError, match="leaves 0 rows to train on"):
        holdout(where, names, "secondary-only", secondary="konvid")


# Computed with hashlib by hand: int(blake2s(seed + NUL + name, digest_size=8)) / 2^64.
def test_the_content_hash_is_the_published_policy() -> None:
    names = [f"content{i}" for i in range(3000)]
    sides = content_hash_split(names)
    u = [
        int(hashlib.blake2s(b"chug-hdr-v1\x00" + name.encode(), digest_size=8).hexdigest(), 16) / 2**64
        for name in names
    ]
    assert sides.tolist() == ["train" if x < 0.8 else "val" if x < 0.9 else "test" for x in u]
    assert [np.mean(sides == side) for side in ("train", "val", "test")] == pytest.approx([0.8, 0.1, 0.1], abs=0.02)
    assert (content_hash_split(names, "another") != sides).any()


@given(groups, st.data())
def test_a_key_on_both_sides_is_reported(names: list[str], data: st.DataObject) -> None:
    rows = np.arange(len(names))
    side = np.array(data.draw(st.lists(st.sampled_from([0, 1, 2]), min_size=len(names), max_size=len(names))))
    fold = Fold.of_rows("f", rows[side == 0], rows[side == 1], rows[side == 2])
    if torn(fold, names):
        with pytest.raises(InputError, match=r"source '.' is on both sides of fold 'f'"):
            check_apart([fold], names, "source")
    else:
        check_apart([fold], names, "source")


def test_rows_without_a_key_are_not_compared() -> None:
    check_apart([Fold.of_rows("f", np.array([0]), np.array([1]))], ["", ""], "source")


@given(groups)
def test_same_partition(names: list[str]) -> None:
    assert same_partition(names, [f"{name}!" for name in names])
    coarser = ["a" if name in "ab" else name for name in names]
    assert same_partition(names, coarser) == (len(set(coarser)) == len(set(names)))
    assert not same_partition(names, ["one"] * len(names))


def test_rows_used_are_those_of_any_side() -> None:
    folds = [
        Fold.of_rows("a", np.array([4, 5]), np.array([1])),
        Fold.of_rows("b", np.array([5]), np.array([4]), np.array([7])),
    ]
    assert used(folds).train.tolist() == [1, 4, 5, 7]
