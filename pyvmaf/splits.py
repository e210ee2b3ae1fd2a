"""Folds that keep together what must not be on both sides: the one place where rows are split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError, unknown_name


@dataclass(frozen=True)
class Fold:
    """One split of n rows.

    Attributes:
        held_out: name of the group (or `fold<k>`) whose rows are in `test`.
        train: int64 row indices to fit on, ascending.
        test: int64 row indices to judge on, ascending.
        val: int64 row indices of a validation side that is neither, ascending; often empty.
    """

    held_out: str
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    val: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))


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


CONTENT_HASH_POLICY = "content-name-blake2s-80-10-10"
"""Name of what `content_hash_split` does, as manifests of such splits state it."""

CONTENT_HASH_SEED = "chug-hdr-v1"
"""The seed that published splits of this policy were made with."""


def content_hash_split(keys: Sequence[str] | NDArray[np.str_], seed: str = CONTENT_HASH_SEED) -> NDArray[np.str_]:
    """One of "train", "val", "test" per row, 80, 10 and 10 in 100, from the name of its content.

    The hash is BLAKE2s of 8 bytes over `seed`, a zero byte and the key, read as a fraction of 2^64: below 0.8 is
    train, below 0.9 val, the rest test (policy ``content-name-blake2s-80-10-10``).
    """
    names = _groups(keys)
    distinct, index = np.unique(names, return_inverse=True)
    sides = []
    for name in distinct.tolist():
        digest = hashlib.blake2s(f"{seed}\0{name}".encode(), digest_size=8).digest()
        u = int.from_bytes(digest, "big") / 2**64
        sides.append("train" if u < 0.8 else "val" if u < 0.9 else "test")
    return np.asarray(sides, dtype=np.str_)[index]


def fold_of_sides(sides: NDArray[np.str_], name: str = "test") -> Fold:
    """The one fold of a division into "train", "val" and "test"; rows that are on no side ("") are left out.

    Raises:
        InputError: there are no training or no test rows.
    """
    rows = np.arange(sides.size, dtype=np.int64)
    train, val, test = (rows[sides == side] for side in ("train", "val", "test"))
    if not train.size or not test.size:
        raise InputError(
            f"the split leaves {train.size} rows to train on, {val.size} for validation and {test.size} to test on: "
            "it needs more contents, other shares, or leave_one_out"
        )
    return Fold(name, train, test, val)


HOLDOUT_MODES = {
    "primary-source": (True, False),
    "secondary-holdout": (False, True),
    "primary-source-and-secondary-holdout": (True, True),
    "primary-only": (True, None),
    "secondary-only": (None, True),
}
"""What is held out of the primary and of the secondary corpus; None where the corpus takes no part at all."""


def holdout(
    corpora: Sequence[str] | NDArray[np.str_],
    keys: Sequence[str] | NDArray[np.str_],
    mode: str,
    *,
    primary: str | None = None,
    secondary: str | None = None,
    source: str | None = None,
    share: float = 0.1,
    seed: int = 0,
) -> Fold:
    """One fold over two corpora: what is held out is a source of the primary, a share of the secondary's keys, or both.

    A key that is held out is in no training row, whichever corpus it stands in. Rows of corpora that take no part are
    on no side.

    Args:
        corpora: corpus of each row.
        keys: what must stay together, of each row.
        mode: one of `HOLDOUT_MODES`.
        primary, secondary: names of the corpora; one that takes no part may be None.
        source: the primary's key that is held out.
        share: of the secondary's keys that is held out: the first ones of the sorted keys, shuffled with `seed`
            (numpy's default generator), at least one.
        seed: of the shuffle.

    Raises:
        InputError: a corpus or the source is not among the rows, or nothing is left to train on.
    """
    names, columns = _groups(keys), _groups(corpora)
    out_of_primary, out_of_secondary = HOLDOUT_MODES[mode]
    held_out: set[str] = set()
    taking_part = np.zeros(names.size, dtype=bool)
    test = np.zeros(names.size, dtype=bool)
    for corpus, part, role in ((primary, out_of_primary, "primary"), (secondary, out_of_secondary, "secondary")):
        if part is None:
            continue
        here = columns == corpus
        if not here.any():
            raise unknown_name(f"{role} corpus of the split", str(corpus), np.unique(columns).tolist())
        taking_part |= here
        if not part:
            continue
        own = np.unique(names[here])
        if role == "primary":
            if source not in own:
                raise unknown_name(f"source of {corpus}", str(source), own.tolist())
            chosen = np.asarray([source])
        else:
            shuffled = own.copy()
            np.random.default_rng(seed).shuffle(shuffled)
            chosen = shuffled[: max(1, round(own.size * share))]
        held_out.update(chosen.tolist())
        test |= here & np.isin(names, chosen)
    train = taking_part & ~np.isin(names, sorted(held_out))
    sides = np.where(test, "test", np.where(train, "train", ""))
    return fold_of_sides(sides, mode)


def same_partition(a: Sequence[str] | NDArray[np.str_], b: Sequence[str] | NDArray[np.str_]) -> bool:
    """Whether two labels divide the rows in the same way, whatever the parts are called."""
    first, i = np.unique(_groups(a), return_inverse=True)
    second, j = np.unique(_groups(b), return_inverse=True)
    return bool(np.unique(i * second.size + j).size == first.size == second.size)


def check_apart(folds: Sequence[Fold], keys: Sequence[str] | NDArray[np.str_], what: str) -> None:
    """Make sure that no key is on two sides of a fold. Rows without a key ("") are not looked at.

    Args:
        folds: of the rows.
        keys: of each row.
        what: the keys are called, for the error.

    Raises:
        InputError: one is; the message names it and the fold.
    """
    distinct, code = np.unique(_groups(keys), return_inverse=True)
    known = distinct != ""
    for fold in folds:
        seen = np.zeros(distinct.size, dtype=np.int64)
        for rows in (fold.train, fold.val, fold.test):
            seen += np.bincount(code[rows], minlength=distinct.size) > 0
        torn = distinct[known & (seen > 1)]
        if torn.size:
            raise InputError(
                f"{what} {str(torn[0])!r} is on both sides of fold {fold.held_out!r}"
                + (f", and so are {torn.size - 1} others" if torn.size > 1 else "")
                + f": split by {what}, or by something coarser"
            )


def rows_used(folds: Sequence[Fold]) -> NDArray[np.int64]:
    """Rows that are on some side of some fold, ascending: what the model on all rows is fitted on."""
    return np.unique(np.concatenate([part for f in folds for part in (f.train, f.val, f.test)]))
