"""What can go wrong, as exceptions that a caller can tell apart.

Everything derives from `PyvmafError`, and each class also derives from the builtin that it is closest
to, so that both ``except PyvmafError`` and ``except ValueError`` do what a reader expects.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PyvmafError(Exception):
    """Base of every error that pyvmaf raises on purpose. The command line turns it into exit code 2."""


class InputError(PyvmafError, ValueError):
    """Something that was asked for or given cannot be used as it is."""


class MissingFileError(InputError, FileNotFoundError):
    """A file that was named does not exist."""

    def __str__(self) -> str:
        # OSError's own __str__ would print an errno pair.
        return str(self.args[0]) if self.args else ""


class IntegrityError(PyvmafError):
    """Bytes are not the ones that were recorded or pinned, or a file is damaged."""


class UnavailableError(PyvmafError, RuntimeError):
    """This build or this machine lacks what was asked for."""


class NativeError(PyvmafError, RuntimeError):
    """libvmaf refused. `errno` holds the positive error number, 0 where there is none."""

    def __init__(self, message: str, errno: int = 0) -> None:
        super().__init__(message)
        self.errno = errno


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> InputError:
    """The error for a name that is in no table, with the nearest valid one.

    Args:
        kind: what the name stands for, in the singular ("feature", "codec").
        name: the name that was given.
        valid: every name that would have been accepted.
    """
    names = list(valid)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return InputError(f"unknown {kind} {name!r}: {hint}valid: {', '.join(names)}")
