"""Exceptions of the package.

All derive from `PyvmafError`. Each class also derives from the closest builtin exception, so that both
``except PyvmafError`` and ``except ValueError`` work as expected.
"""

from __future__ import annotations

from collections.abc import Iterable


class PyvmafError(Exception):
    """Base of the exceptions that pyvmaf raises on purpose. The command line turns them into exit code 2."""


class InputError(PyvmafError, ValueError):
    """An argument, option or input file cannot be used as it is."""


class MissingFileError(InputError, FileNotFoundError):
    """A file that was named does not exist."""

    def __str__(self) -> str:
        # OSError's own __str__ would print an errno pair.
        return str(self.args[0]) if self.args else ""


class IntegrityError(PyvmafError):
    """A file is damaged, or its bytes are not the recorded or pinned ones."""


class UnavailableError(PyvmafError, RuntimeError):
    """This build or machine does not have what was asked for."""


class StoppedError(PyvmafError):
    """A program that was started was ended from outside, by a signal."""


class NativeError(PyvmafError, RuntimeError):
    """libvmaf failed. `errno` is its positive error number, or 0 if it gave none."""

    def __init__(self, message: str, errno: int = 0) -> None:
        super().__init__(message)
        self.errno = errno


def shown(value: object, most: int = 80) -> str:
    """Return a value of a file for a message: as Python writes it, cut after `most` characters."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}…"


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> InputError:
    """Make the error for an unknown name, which quotes the nearest valid one.

    Args:
        kind: what the name stands for, in the singular ("feature", "codec").
        name: the unknown name.
        valid: all valid names.
    """
    names = list(valid)
    # Only a mistake needs it.
    from difflib import get_close_matches

    if not names:
        return InputError(f"unknown {kind} {shown(name)}: there is none at all")
    near = get_close_matches(name[:200], names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return InputError(f"unknown {kind} {shown(name)}: {hint}valid: {', '.join(names)}")
