"""pyvmaf: libvmaf features in process, and the tiny quality models that are trained on them.

The names below load on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyvmaf.engine import engine
    from pyvmaf.features.score import Scores
    from pyvmaf.features.session import Session
    from pyvmaf.use.load import load_model
    from pyvmaf.use.score import score

_HOMES = {
    "Scores": "pyvmaf.features.score",
    "Session": "pyvmaf.features.session",
    "engine": "pyvmaf.engine",
    "load_model": "pyvmaf.use.load",
    "score": "pyvmaf.use.score",
}

__all__ = ["Scores", "Session", "engine", "load_model", "score"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'pyvmaf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
