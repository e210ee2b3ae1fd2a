"""The folder of datasets, which corpus files name by one variable.

A root of a corpus may be a folder below ``${VMAF_DATA_ROOT:-~/.cache/vmaf-train}/datasets``: below the folder that the
environment variable names or, if it is unset or empty, ``~/.cache/vmaf-train``. Corpus files and plans have the text with
the variable, and manifests the names of files, so that the folder of datasets may be moved. The planner imports this
module, which needs the standard library only.
"""

from __future__ import annotations

import os
from pathlib import Path

from pyvmaf.errors import InputError

VARIABLE = "VMAF_DATA_ROOT"
DATASETS = "${VMAF_DATA_ROOT:-~/.cache/vmaf-train}/datasets"
"""How a root names the folder of datasets; no other variable, and no other form of this one, is expanded."""

_DEFAULT = "~/.cache/vmaf-train"


def datasets_folder() -> Path:
    """Return the folder that `DATASETS` stands for.

    Raises:
        InputError: the environment variable holds a relative path.
    """
    value = os.environ.get(VARIABLE) or _DEFAULT
    folder = os.path.expanduser(value)
    if not os.path.isabs(folder):
        raise InputError(
            f"{VARIABLE} is {value!r}, which is not an absolute path: it would name another folder in every working folder"
        )
    return Path(os.path.normpath(folder), "datasets")


def is_movable(root: str) -> bool:
    """Return whether a root is found by the variable, so that it may lie elsewhere in every run."""
    return root.startswith(f"{DATASETS}/")


def check_root(root: str) -> None:
    """Refuse a root with a variable that nobody expands.

    Raises:
        InputError: it has ``${`` and does not begin with `DATASETS`, or it leaves that folder.
    """
    rest = root.removeprefix(f"{DATASETS}/")
    if "${" in rest:
        raise InputError(
            f"{root!r} has a variable that is not expanded: write {DATASETS}/NAME, the only form that is, or a path "
            "without variables"
        )
    if rest != root and (".." in rest.split("/") or not rest.strip("/.")):
        raise InputError(f"{root!r} is not a folder below {DATASETS}: write {DATASETS}/NAME")


def locate(root: str, base: str | os.PathLike[str]) -> Path:
    """Return the folder that a root names.

    Args:
        root: the root as the corpus file has it: below `DATASETS`, absolute, or relative to `base`.
        base: folder of the corpus file.

    Raises:
        InputError: see `check_root` and `datasets_folder`.
    """
    check_root(root)
    if is_movable(root):
        return datasets_folder() / root.removeprefix(f"{DATASETS}/").lstrip("/")
    return Path(base) / root


def movable(path: str | os.PathLike[str]) -> str | None:
    """Return how a root names a path in the folder of datasets; None if it does not lie there."""
    folder = os.path.expanduser(os.environ.get(VARIABLE) or _DEFAULT)
    below = os.path.join(os.path.normpath(folder), "datasets", "")
    full = os.path.abspath(path)
    return f"{DATASETS}/{full[len(below) :]}" if full.startswith(below) and os.path.isabs(folder) else None
