"""pyvmaf: libvmaf features in process, and the tiny quality models that are trained on them.

The names below load on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyvmaf.checks.evaluate import evaluate
    from pyvmaf.engines.libvmaf.build import engine
    from pyvmaf.scoring.compare import compare
    from pyvmaf.scoring.find import load_model
    from pyvmaf.scoring.score import score
    from pyvmaf.scoring.scores import Scores
    from pyvmaf.scoring.session import Session

_HOMES = {
    "compare": "pyvmaf.scoring.compare",
    "Scores": "pyvmaf.scoring.scores",
    "Session": "pyvmaf.scoring.session",
    "engine": "pyvmaf.engines.libvmaf.build",
    "evaluate": "pyvmaf.checks.evaluate",
    "load_model": "pyvmaf.scoring.find",
    "score": "pyvmaf.scoring.score",
}

__all__ = ["Scores", "Session", "compare", "engine", "evaluate", "load_model", "score"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'pyvmaf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
