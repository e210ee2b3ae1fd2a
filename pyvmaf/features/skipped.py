"""The limit on pairs that were skipped because they cannot be measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyvmaf.errors import InputError

_SHOWN = 3


def check_skipped(skipped: Sequence[Mapping[str, str]], measured: int, limit: float, where: str) -> None:
    """Check that not too many pairs were skipped.

    Args:
        skipped: path and reason (``why``) of each skipped pair.
        measured: number of pairs that were measured.
        limit: largest share of pairs that may be skipped.
        where: what the pairs belong to, for the message.

    Raises:
        InputError: their share is above the limit; the message names the first ones.
    """
    total = len(skipped) + measured
    if not skipped or len(skipped) <= limit * total:
        return
    shown = "; ".join(f"{item['path']}: {item['why']}" for item in skipped[:_SHOWN])
    raise InputError(
        f"{len(skipped)} of {total} pairs of {where} cannot be measured, more than the share {limit:g} that max_failed_share "
        f"allows: {shown}{'; …' if len(skipped) > _SHOWN else ''}"
    )
