"""Folds that keep together what must not be on both sides: the one place where rows are split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError


@dataclass(frozen=True)
class Fold:
    """One split of n rows.

    Attributes:
        held_out: name of the group (or `fold<k>`) whose rows are in `test`.
        train: int64 row indices to fit on, ascending.
        test: int64 row indices to judge on, ascending.
    """

    held_out: str
    train: NDArray[np.int64]
    test: NDArray[np.int64]


def _groups(groups: Sequence[str] | NDArray[np.str_]) -> NDArray[np.str_]:
    names = np.asarray(groups, dtype=np.str_)
    if names.ndim != 1 or names.size == 0:
        raise InputError(f"a split needs one group name per row, not an array of shape {names.shape}")
    return names


def leave_one_group_out(groups: Sequence[str] | NDArray[np.str_]) -> list[Fold]:
    """One fold per distinct group, in sorted order of the names (LOSO when the groups are sources).

    Raises:
        InputError: there is one group only, so nothing would be left to train on.
    """
    names = _groups(groups)
    distinct = np.unique(names)
    if distinct.size < 2:
        raise InputError(
            f"leave-one-group-out needs at least 2 groups, the table has {distinct.size} ({str(distinct[0])!r}): "
            "add clips of another source"
        )
    rows = np.arange(names.size, dtype=np.int64)
    return [Fold(str(g), rows[names != g], rows[names == g]) for g in distinct]


def grouped_kfold(groups: Sequence[str] | NDArray[np.str_], k: int, seed: int) -> list[Fold]:
    """`k` folds over whole groups, balanced by rows, the groups shuffled with `seed`.

    Raises:
        InputError: `k` < 2 or more than there are groups.
    """
    from sklearn.model_selection import GroupKFold

    names = _groups(groups)
    n = np.unique(names).size
    if not 2 <= k <= n:
        raise InputError(f"grouped k-fold with k={k} needs 2 <= k <= number of groups, which is {n}")
    splitter = GroupKFold(n_splits=k, shuffle=True, random_state=seed)
    rows = np.zeros((names.size, 1))
    return [
        Fold(f"fold{i}", np.sort(train).astype(np.int64), np.sort(test).astype(np.int64))
        for i, (train, test) in enumerate(splitter.split(rows, groups=names))
    ]


def hash_split(
    keys: Sequence[str] | NDArray[np.str_], val_share: float = 0.1, test_share: float = 0.1
) -> NDArray[np.str_]:
    """One of "train", "val", "test" per row, from a hash of its key alone: a key keeps its side when others come or go.

    The hash is SHA-256 over ``vmaf-train-splits-v1:`` and the key, its first 8 bytes read as a fraction of 2^64:
    below `test_share` is test, below `test_share` + `val_share` is val, the rest is train.

    Raises:
        InputError: the shares are negative or leave nothing to train on.
    """
    if min(val_share, test_share) < 0 or val_share + test_share >= 1:
        raise InputError(f"shares must be 0 or more and sum to less than 1, not val {val_share} and test {test_share}")
    names = _groups(keys)
    distinct, index = np.unique(names, return_inverse=True)
    sides = []
    for name in distinct.tolist():
        digest = hashlib.sha256(f"vmaf-train-splits-v1:{name}".encode()).digest()
        u = int.from_bytes(digest[:8], "big") / 2**64
        sides.append("test" if u < test_share else "val" if u < test_share + val_share else "train")
    return np.asarray(sides, dtype=np.str_)[index]
