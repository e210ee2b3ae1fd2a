"""Folds that keep groups of rows on one side. All splits of the project are made here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyvmaf.base.coded import Coded
from pyvmaf.errors import InputError, unknown_name

Names = Coded | Sequence[str] | NDArray[np.str_]
NO_SIDE, TRAIN, TEST, VAL = range(4)
_SIDES = {"": NO_SIDE, "train": TRAIN, "test": TEST, "val": VAL}
_AT_A_TIME = 1 << 20


@dataclass(frozen=True, eq=False)
class Fold:
    """One split of n rows. Row indices are computed on request, because a table may have many rows and folds.

    Attributes:
        held_out: name of the group (or `fold<k>`) whose rows are in `test`.
        codes: integers [n], the part that each row belongs to; folds of one table share this array.
        sides: uint8, the side of each part: `TRAIN`, `TEST`, `VAL`, or `NO_SIDE`.
    """

    held_out: str
    codes: NDArray[np.integer]
    sides: NDArray[np.uint8]

    @staticmethod
    def of_rows(
        held_out: str,
        train: NDArray[np.int64],
        test: NDArray[np.int64],
        val: NDArray[np.int64] | Sequence[int] = (),
    ) -> Fold:
        """Make a fold from row indices."""
        rows_by_side = {TRAIN: np.asarray(train), TEST: np.asarray(test), VAL: np.asarray(val, dtype=np.int64)}
        side = np.zeros(1 + max(int(rows.max(initial=-1)) for rows in rows_by_side.values()), dtype=np.uint8)
        for side_code, rows in rows_by_side.items():
            side[rows] = side_code
        return _of_side(held_out, side)

    @property
    def train(self) -> NDArray[np.int64]:
        """Training rows: int64 indices, ascending."""
        return self.rows(TRAIN)

    @property
    def test(self) -> NDArray[np.int64]:
        """Held-out rows: int64 indices, ascending."""
        return self.rows(TEST)

    @property
    def val(self) -> NDArray[np.int64]:
        """Validation rows, neither trained nor judged on: int64 indices, ascending; often empty."""
        return self.rows(VAL)

    def count(self, *sides: int) -> int:
        """Count the rows on any of `sides`."""
        return sum(int(np.count_nonzero(mask)) for _, mask in self._masks(sides))

    def rows(self, *sides: int) -> NDArray[np.int64]:
        """Return the int64 indices of the rows on any of `sides`, ascending."""
        indices = np.empty(self.count(*sides), dtype=np.int64)
        end = 0
        for start, mask in self._masks(sides):
            rows = np.flatnonzero(mask)
            indices[end : end + rows.size] = rows + start
            end += rows.size
        return indices

    def _masks(self, sides: Sequence[int]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        wanted = np.isin(self.sides, sides)
        for start in range(0, self.codes.size, _AT_A_TIME):
            yield start, wanted[self.codes[start : start + _AT_A_TIME]]


def _of_side(held_out: str, side: NDArray[np.uint8]) -> Fold:
    return Fold(held_out, side, np.arange(4, dtype=np.uint8))


def _groups(groups: Names) -> Coded:
    if not isinstance(groups, Coded):
        names = np.asarray(groups, dtype=np.str_)
        if names.ndim != 1:
            raise InputError(f"a split needs one group name per row, not an array of shape {names.shape}")
        groups = Coded.of(names)
    if groups.size == 0:
        raise InputError("a split needs one group name per row, not an array of shape (0,)")
    return groups


def leave_one_group_out(groups: Names) -> list[Fold]:
    """Make one fold per distinct group, in sorted order of the names (LOSO if the groups are sources).

    Raises:
        InputError: there is only one group, so no row would be left to train on.
    """
    labels = _groups(groups)
    if labels.names.size < 2:
        raise InputError(
            f"leave-one-group-out needs at least 2 groups, the table has {labels.names.size} "
            f"({str(labels.names[0])!r}): add clips of another source"
        )
    folds = []
    for index, name in enumerate(labels.names):
        sides = np.full(labels.names.size, TRAIN, dtype=np.uint8)
        sides[index] = TEST
        folds.append(Fold(str(name), labels.codes, sides))
    return folds


def grouped_kfold(groups: Names, k: int, seed: int) -> list[Fold]:
    """Make `k` folds over whole groups, shuffled with `seed`.

    Raises:
        InputError: `k` < 2 or more than there are groups.
    """
    from sklearn.model_selection import GroupKFold

    labels = _groups(groups)
    n = labels.names.size
    if not 2 <= k <= n:
        raise InputError(f"grouped k-fold with k={k} needs 2 <= k <= number of groups, which is {n}")
    splitter = GroupKFold(n_splits=k, shuffle=True, random_state=seed)
    # Only the groups decide which ones go together, not their numbers of rows.
    distinct = np.arange(n)
    folds = []
    for i, (_, held_out) in enumerate(splitter.split(np.zeros((n, 1)), groups=distinct)):
        sides = np.full(n, TRAIN, dtype=np.uint8)
        sides[held_out] = TEST
        folds.append(Fold(f"fold{i}", labels.codes, sides))
    return folds


def hash_kfold(groups: Names, k: int) -> list[Fold]:
    """Make up to `k` folds over whole groups, by a hash of each name: a group keeps its fold if others come or go.

    The hash is that of `hash_sides`; its range is cut into `k` equal parts. Folds are therefore balanced only as far as
    chance goes. A fold that gets no group is left out.

    Raises:
        InputError: `k` < 2, or all groups fall into one fold, so that no row would be left to train on.
    """
    labels = _groups(groups)
    if k < 2:
        raise InputError(f"k-fold by hash needs k of 2 or more, not {k}")
    parts = np.array([_hash_number(name) * k >> 64 for name in labels.names.tolist()])
    present = np.unique(parts)
    if present.size < 2:
        raise InputError(
            f"the hash puts all {labels.names.size} groups into fold{present[0]} of {k}: add groups, or divide them with "
            "`split: {protocol: kfold}`, which fills every fold"
        )
    return [
        Fold(f"fold{part}", labels.codes, np.where(parts == part, TEST, TRAIN).astype(np.uint8))
        for part in present.tolist()
    ]


def hash_split(keys: Names, val_share: float = 0.1, test_share: float = 0.1) -> NDArray[np.str_]:
    """Return `hash_sides` as an array of text."""
    return np.asarray(hash_sides(keys, val_share, test_share))


def hash_sides(keys: Names, val_share: float = 0.1, test_share: float = 0.1) -> Coded:
    """Assign each row to "train", "val" or "test" by a hash of its key: a key keeps its side if others come or go.

    The hash is SHA-256 over ``vmaf-train-splits-v1:`` and the key, its first 8 bytes read as a fraction of 2^64:
    below `test_share` is test, below `test_share` + `val_share` is val, the rest is train.

    Raises:
        InputError: the shares are negative or leave nothing to train on.
    """
    if min(val_share, test_share) < 0 or val_share + test_share >= 1:
        raise InputError(f"shares must be 0 or more and sum to less than 1, not val {val_share} and test {test_share}")
    labels = _groups(keys)
    fractions = [_hash_fraction(name) for name in labels.names.tolist()]
    sides = ["test" if u < test_share else "val" if u < test_share + val_share else "train" for u in fractions]
    return _sides(sides, labels)


def _hash_number(name: str) -> int:
    """Return the hash of a key, 0 to 2^64 - 1: see `hash_sides`."""
    digest = hashlib.sha256(f"vmaf-train-splits-v1:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def _hash_fraction(name: str) -> float:
    """Return the hash of a key as a fraction of 2^64."""
    return _hash_number(name) / 2**64


def filled_hash_sides(keys: Iterable[str], val_share: float = 0.1, test_share: float = 0.1) -> dict[str, str]:
    """Assign keys as `hash_sides` does, but leave neither test nor val empty if other sides have keys to fill them with.

    A side that the hash leaves empty gets the key with the hash next to its range, test before val, so that the sides
    depend on the set of keys alone. If the hash puts all keys in test, they stay there. A side with a share of 0 stays empty.

    Returns:
        The side of each key.
    """
    order = sorted(set(keys), key=lambda key: (_hash_fraction(key), key))
    test = [key for key in order if _hash_fraction(key) < test_share] or order[: 1 if test_share else 0]
    rest = order[len(test) :]
    val = [key for key in rest if _hash_fraction(key) < test_share + val_share] or rest[: 1 if val_share else 0]
    train = rest[len(val) :]
    return {key: side for side, members in (("test", test), ("val", val), ("train", train)) for key in members}


def filled_sides(keys: Names, val_share: float = 0.1, test_share: float = 0.1) -> Coded:
    """Assign each row as `hash_sides` does, with the sides that it leaves empty filled as `filled_hash_sides` does.

    Raises:
        InputError: no key is left to train on.
    """
    labels = _groups(keys)
    present = labels.names[np.bincount(labels.codes, minlength=labels.names.size) > 0].tolist()
    filled = filled_hash_sides(present, val_share, test_share)
    if "train" not in filled.values():
        raise InputError(
            f"{len(present)} values ({', '.join(present)}) cannot be divided into rows for training, validation and test: take "
            "protocol leave_one_out, or more of them"
        )
    return _sides([filled.get(name, "train") for name in labels.names.tolist()], labels)


CONTENT_HASH_POLICY = "content-name-blake2s-80-10-10"
"""Name of the policy of `content_hash_split`, as manifests of such splits state it."""

CONTENT_HASH_SEED = "chug-hdr-v1"
"""Seed of the published splits of this policy."""


def content_hash_split(keys: Names, seed: str = CONTENT_HASH_SEED) -> NDArray[np.str_]:
    """Return `content_hash_sides` as an array of text."""
    return np.asarray(content_hash_sides(keys, seed))


def content_hash_sides(keys: Names, seed: str = CONTENT_HASH_SEED) -> Coded:
    """Assign each row to "train" (80 %), "val" (10 %) or "test" (10 %) by a hash of its content's name.

    The hash is BLAKE2s of 8 bytes over `seed`, a zero byte and the key, read as a fraction of 2^64: below 0.8 is
    train, below 0.9 val, the rest test (policy ``content-name-blake2s-80-10-10``).
    """
    labels = _groups(keys)
    sides = []
    for name in labels.names.tolist():
        digest = hashlib.blake2s(f"{seed}\0{name}".encode(), digest_size=8).digest()
        u = int.from_bytes(digest, "big") / 2**64
        sides.append("train" if u < 0.8 else "val" if u < 0.9 else "test")
    return _sides(sides, labels)


def _sides(sides: Sequence[str], labels: Coded) -> Coded:
    """Return the side of each row from the side of each distinct name."""
    return Coded(*_renumbered(np.asarray(sides, dtype=np.str_), labels.codes))


def _renumbered(names: NDArray[np.str_], codes: NDArray[np.int32]) -> tuple[NDArray[np.str_], NDArray[np.int32]]:
    distinct, renumbered = np.unique(names, return_inverse=True)
    out = np.empty(codes.size, dtype=np.int32)
    for start in range(0, codes.size, _AT_A_TIME):
        out[start : start + _AT_A_TIME] = renumbered[codes[start : start + _AT_A_TIME]]
    return distinct, out


def fold_of_sides(sides: Names, name: str = "test") -> Fold:
    """Make the single fold of a division into "train", "val" and "test"; rows with side "" are left out.

    Raises:
        InputError: there are no training or no test rows.
    """
    labels = Coded.of(sides)
    fold = Fold(name, labels.codes, np.array([_SIDES[side] for side in labels.names.tolist()], dtype=np.uint8))
    train, val, test = (fold.count(side) for side in (TRAIN, VAL, TEST))
    if not train or not test:
        raise InputError(
            f"the split leaves {train} rows to train on, {val} for validation and {test} to test on, because it divides "
            f"{labels.codes.size} rows by the hash of few values: hold out each value in turn (`split: {{protocol: "
            "leave_one_out}` or `kfold`), divide by a column with more values (`by: clip`), or change the shares"
        )
    return fold


HOLDOUT_MODES = {
    "primary-source": (True, False),
    "secondary-holdout": (False, True),
    "primary-source-and-secondary-holdout": (True, True),
    "primary-only": (True, None),
    "secondary-only": (None, True),
}
"""For each mode: whether rows of the primary and of the secondary corpus are held out; None if the corpus is not used."""


def holdout(
    corpora: Names,
    keys: Names,
    mode: str,
    *,
    primary: str | None = None,
    secondary: str | None = None,
    source: str | None = None,
    share: float = 0.1,
    seed: int = 0,
) -> Fold:
    """Make one fold over two corpora: a source of the primary, a share of the secondary's keys, or both are held out.

    A held-out key is in no training row of either corpus. Rows of corpora that are not used are on no side.

    Args:
        corpora: corpus of each row.
        keys: key of each row; rows of one key stay together.
        mode: one of `HOLDOUT_MODES`.
        primary, secondary: names of the corpora; None for one that is not used.
        source: the primary's key that is held out.
        share: of the secondary's keys that is held out: the first ones of the sorted keys, shuffled with `seed`
            (numpy's default generator), at least one.
        seed: of the shuffle.

    Raises:
        InputError: a corpus or the source is not among the rows, or nothing is left to train on.
    """
    names, columns = np.asarray(_groups(keys)), np.asarray(_groups(corpora))
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


def named(groups: Names, values: Sequence[str], by: str) -> Fold:
    """Make one fold whose held-out rows are those of some groups.

    Args:
        groups: of each row.
        values: the groups to hold out.
        by: what a group is, for errors.

    Raises:
        InputError: a group has no rows, or no other group is left to train on.
    """
    labels = _groups(groups)
    for value in values:
        if value not in labels.names:
            raise unknown_name(f"{by} of split.values", value, labels.names.tolist())
    sides = np.where(np.isin(labels.names, list(values)), TEST, TRAIN).astype(np.uint8)
    if not (sides == TRAIN).any():
        raise InputError(f"split.values holds out every {by} ({', '.join(values)}): nothing is left to train on")
    return Fold("test", labels.codes, sides)


def same_partition(a: Names, b: Names) -> bool:
    """Return whether two labels divide the rows in the same way, whatever their names."""
    first, second = _groups(a), _groups(b)
    pairs: set[int] = set()
    for start in range(0, first.size, _AT_A_TIME):
        part = slice(start, start + _AT_A_TIME)
        pairs.update(np.unique(first.codes[part].astype(np.int64) * second.names.size + second.codes[part]).tolist())
    return len(pairs) == first.names.size == second.names.size


def check_apart(folds: Sequence[Fold], keys: Names, what: str) -> None:
    """Check that no key is on two sides of a fold. Rows without a key ("") are ignored.

    Args:
        folds: folds of the rows.
        keys: key of each row.
        what: name of the keys in the error.

    Raises:
        InputError: a key is; the message names it and the fold.
    """
    labels = _groups(keys)
    distinct = labels.names
    named = distinct != ""
    for fold in folds:
        # How often each key is on each side.
        table = np.zeros((distinct.size, VAL + 1), dtype=np.int64)
        for start in range(0, fold.codes.size, _AT_A_TIME):
            part = slice(start, start + _AT_A_TIME)
            cell = labels.codes[part][: fold.codes[part].size].astype(np.int64) * (VAL + 1)
            cell += fold.sides[fold.codes[part]]
            table += np.bincount(cell, minlength=table.size).reshape(table.shape)
        seen = np.count_nonzero(table[:, [TRAIN, TEST, VAL]], axis=1)
        torn = distinct[named & (seen > 1)]
        if torn.size:
            raise InputError(
                f"{what} {str(torn[0])!r} is on both sides of fold {fold.held_out!r}"
                + (f", and so are {torn.size - 1} others" if torn.size > 1 else "")
                + f": split by {what}, or by a coarser column"
            )


def used(folds: Sequence[Fold]) -> Fold:
    """Make the fold that trains on every row that any fold uses: that of the model on all rows."""
    parts = {id(fold.codes): fold.codes for fold in folds}
    if len(parts) == 1:
        sides = np.zeros(folds[0].sides.size, dtype=np.uint8)
        for fold in folds:
            sides[fold.sides != NO_SIDE] = TRAIN
        return Fold("", folds[0].codes, sides)
    side = np.zeros(max(fold.codes.size for fold in folds), dtype=np.uint8)
    for fold in folds:
        side[fold.rows(TRAIN, TEST, VAL)] = TRAIN
    return _of_side("", side)


def trained(fold: Fold) -> Fold:
    """Make the fold that trains on the training rows of another, and judges nothing."""
    return Fold("", fold.codes, np.where(fold.sides == TRAIN, TRAIN, NO_SIDE).astype(np.uint8))
