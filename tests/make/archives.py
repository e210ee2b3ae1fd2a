"""Archives in memory."""

from __future__ import annotations

import io
import zipfile


def zipped(files: dict[str, bytes]) -> bytes:
    """Return a zip archive of files, by their names in it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as bundle:
        for name, data in files.items():
            bundle.writestr(name, data)
    return stream.getvalue()
