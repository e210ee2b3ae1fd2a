"""Batches and streams of measures beside those of libvmaf."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pyvmaf.engines.beside import StreamBeside
from pyvmaf.engines.measures import measure
from pyvmaf.engines.protocol import Batch, Requests

if TYPE_CHECKING:
    from pyvmaf.engines.protocol import Scores, Stream
    from pyvmaf.video.format import Format
    from pyvmaf.video.reader import Planes


class MeasuredBatch(Batch):
    """Measures, and a batch of libvmaf that reads the same frames."""

    def __init__(self, requests: Requests, rest: Batch | None, form: Format) -> None:
        """Start the measures beside the batch of the other requests."""
        self._passes = [(measure(request.extractor).start(request, form), keys) for request, keys in requests.items()]
        self._rest = rest
        self._rows: list[dict[str, float]] = []

    def read(self, index: int, reference: Planes, distorted: Planes | None) -> None:
        """Measure a pair of frames."""
        row: dict[str, float] = {}
        if distorted is not None:
            for part, keys in self._passes:
                scores = part.measure(reference, distorted)
                row |= {key: scores[key] for key in keys}
        self._rows.append(row)
        if self._rest is not None:
            self._rest.read(index, reference, distorted)

    def read_versions(self, index: int, reference: Planes, distorted: Sequence[Planes]) -> None:
        """Measure a frame with several distorted versions of it."""
        for place, planes in enumerate(distorted):
            self.read(index + place, reference, planes)

    def harvest(self) -> Scores:
        """Return the scores of both."""
        scores = self._rest.harvest() if self._rest is not None else {}
        keys = [key for _, keys in self._passes for key in keys]
        scores |= {key: np.array([row[key] for row in self._rows], dtype=np.float64) for key in keys}
        self.close()
        return scores

    def close(self) -> None:
        """Free libvmaf's memory."""
        if self._rest is not None:
            self._rest.close()


class MeasuredStream(StreamBeside):
    """Measures of single pairs, and a stream of libvmaf that reads the same ones."""

    def __init__(self, requests: Requests, rest: Stream | None, form: Format) -> None:
        """Start the measures beside the stream of the other requests."""
        super().__init__(rest)
        self._passes = [(measure(request.extractor).start(request, form), keys) for request, keys in requests.items()]

    def measure(self, reference: Planes, distorted: Planes | None) -> dict[str, float]:
        """Measure a pair of frames."""
        row: dict[str, float] = {}
        if distorted is not None:
            for part, keys in self._passes:
                scores = part.measure(reference, distorted)
                row |= {key: scores[key] for key in keys}
        return row
