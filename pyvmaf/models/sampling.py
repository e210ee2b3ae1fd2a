"""Some of many rows, by a rule that draws no random numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def evenly(groups: NDArray[np.str_], rows: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Give up to `n` of some rows, evenly spaced over those of each source, as equally many of each source as there are.

    The rule draws no random numbers, so that the rows can be named again from the table alone.

    Args:
        groups: source of each row of the table.
        rows: indices of the rows to choose from, ascending.
        n: how many rows.
    """
    mine = groups[rows]
    chosen: list[NDArray[np.int64]] = []
    left = n
    names, counts = np.unique(mine, return_counts=True)
    # Small sources first: the rows that they lack are shared among the others.
    by_size = np.argsort(counts, kind="stable")
    for place, index in enumerate(by_size):
        own = rows[mine == names[index]]
        take = min(own.size, -(-left // (len(by_size) - place)))
        if take:
            chosen.append(own[np.linspace(0, own.size - 1, take).round().astype(np.int64)])
        left -= take
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, dtype=np.int64)
