"""Files of a corpus that cannot be used, skipped where its file says so (`on_error: skip`), and the limit on them."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from pyvmaf.errors import InputError, NativeError, PyvmafError, StoppedError, UnavailableError

_T = TypeVar("_T")
_R = TypeVar("_R")

_SHOWN = 3
# Names that `pyvmaf.base.files.atomic_path` makes up.
_TEMPORARY = re.compile(r"\.([^/\s]+)\.[a-z0-9_]{8}\.tmp\.[a-z0-9]+")


@dataclass(frozen=True)
class Failed:
    """A distorted version that could not be measured.

    Attributes:
        clip, codec, rung: its names.
        path: the file at fault: of the corpus, below its root, or the encode.
        why: the reason.
    """

    clip: str
    codec: str
    rung: str
    path: str
    why: str

    def as_dict(self) -> dict[str, str]:
        """Return the values as a manifest holds them."""
        return asdict(self)


def is_of_file(err: PyvmafError) -> bool:
    """Return whether an error is the fault of the files that were read, and not of this machine, build or moment."""
    if isinstance(err, NativeError) and err.errno == errno.ENOMEM:
        return False
    return not isinstance(err, UnavailableError | StoppedError)


def portable(text: str, *roots: Path) -> str:
    """Return a message without what differs from machine to machine and run to run.

    Args:
        text: the message.
        roots: folders that paths in it may start from.
    """
    text = _TEMPORARY.sub(r"\1", text)
    for root in roots:
        for folder in (root.resolve(), root):
            text = text.replace(f"{folder}{os.sep}", "")
    return text


def sound_ones(
    items: Mapping[str, _T],
    measure: Callable[[Mapping[str, _T]], _R],
    fail: Callable[[str, PyvmafError], None],
    *,
    skip: bool,
) -> _R | None:
    """Measure all items together; if that fails, find out which ones fail alone, and measure the others together.

    Args:
        items: what is measured, by name.
        measure: measures some of them.
        fail: called with the name and the error of each that fails alone.
        skip: whether items may be skipped; if not, the first error is raised.

    Returns:
        The result of `measure` for the items that can be measured; None if there are none.
    """
    if not items:
        return None
    try:
        return measure(items)
    except PyvmafError as err:
        if not skip or not is_of_file(err):
            raise
        if len(items) == 1:
            fail(next(iter(items)), err)
            return None
    sound: dict[str, _T] = {}
    for name, item in items.items():
        try:
            measure({name: item})
            sound[name] = item
        except PyvmafError as err:
            if not is_of_file(err):
                raise
            fail(name, err)
    return measure(sound) if sound else None


def check_skipped(
    skipped: Sequence[Mapping[str, str]], measured: int, limit: float, where: str, what: str = "pairs"
) -> None:
    """Check that not too many files were skipped.

    Args:
        skipped: path and reason (``why``) of each.
        measured: number of those that were not skipped.
        limit: largest share that may be skipped; 0 if nothing may be.
        where: what the files belong to, for the message.
        what: what they are, in the plural.

    Raises:
        InputError: their share is above the limit; the message names the first ones.
    """
    total = len(skipped) + measured
    if not skipped or len(skipped) <= limit * total:
        return
    shown = "; ".join(f"{item['path']}: {item['why']}" for item in skipped[:_SHOWN])
    raise InputError(
        f"{len(skipped)} of {total} {what} of {where} cannot be measured, more than the share {limit:g} that max_failed_share "
        f"allows{' without on_error: skip' if limit == 0 else ''}: {shown}{'; …' if len(skipped) > _SHOWN else ''}"
    )
