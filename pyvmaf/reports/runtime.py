"""The scripts that draw the charts of a page: Vega, Vega-Lite and Vega-Embed, bundled by vl-convert."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from pyvmaf.base.files import cache_folder

_PACKAGE = "vl-convert-python"


def charts_runtime() -> str:
    """Give the bundle of the installed vl-convert.

    To make it takes three seconds of processor time, and a run has several pages, so that it is kept in the user's cache
    folder. A copy that is damaged is made again.
    """
    kept = _kept_at()
    with suppress(OSError, ValueError):
        digest, _, script = kept.read_bytes().decode().partition("\n")
        if digest == _sha256(script):
            return script
    import vl_convert

    script = str(vl_convert.javascript_bundle())  # type: ignore[call-arg]  # the stub requires an optional argument
    with suppress(OSError):
        _keep(f"{_sha256(script)}\n{script}", kept)
    return script


def _kept_at() -> Path:
    """The file of the bundle, with a name that another installation of vl-convert does not have."""
    spec = find_spec("vl_convert")
    assert spec is not None
    folder = Path(str(spec.origin)).parent
    library = max(folder.glob("*vl_convert*"), key=lambda path: path.stat().st_size)
    facts = library.stat()
    return cache_folder() / f"charts-{version(_PACKAGE)}-{facts.st_size}-{facts.st_mtime_ns}.js"


def _keep(text: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as stream:
        stream.write(text.encode())
    os.replace(name, path)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
