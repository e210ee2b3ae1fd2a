"""Rows of scores of pairs of frames that come one by one, each as soon as its scores are known."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pyvmaf.features.adapt import Traits
from pyvmaf.features.requests import Teacher, requests_of, usable
from pyvmaf.scoring.pairs import Pairs, open_pairs

if TYPE_CHECKING:
    from pyvmaf.engines.protocol import Engine, Request, Stream
    from pyvmaf.features.catalog import Selection
    from pyvmaf.video.format import Format
    from pyvmaf.video.reader import Planes


class Rows:
    """Rows of pairs of frames of one format. A frame's motion needs the frame after it, so that a row is one frame late.

    Args:
        engine: the engine that computes.
        selection: the features.
        teachers: models of libvmaf, by the names of their columns.
        form: format of the frames.
        threads: with more than one, frames are computed side by side and rows come up to that many frames later.
        traits: about the reference, for features that follow them.
        inputs: scores that the models read and that have columns of their own: libvmaf's name by the column.

    Attributes:
        count: number of pairs that were read.
        unavailable: features of a set that cannot be computed on these frames (their values are NaN), with the reason.

    Raises:
        InputError: a feature that was asked for by name, or a feature of a model, cannot be computed on such frames.
        UnavailableError: as `Engine.stream`.
    """

    def __init__(
        self,
        engine: Engine,
        selection: Selection,
        teachers: Mapping[str, Teacher],
        form: Format,
        threads: int,
        traits: Traits | None = None,
        inputs: Mapping[str, str] | None = None,
    ) -> None:
        traits = traits or Traits()
        features, self.unavailable = usable(selection, engine, form, traits)
        for teacher in teachers.values():
            teacher.check(engine, form)
        requests = requests_of(features, list(teachers.values()), form, traits)
        shared = {request: keys for request, keys in requests.items() if engine.needs(request).reference_only}
        paired = {request: keys for request, keys in requests.items() if request not in shared}
        self._teachers, self._threads = teachers, threads
        self._names = (*selection.names, *(inputs or {}))
        self._keys = {**{feature.name: feature.key for feature in features}, **(inputs or {})}
        self._reference: Stream | None = engine.stream(shared, form) if shared else None
        self._reference_rows: deque[dict[str, float]] = deque()
        self._pairs: Pairs | None = open_pairs(engine, paired, form, threads) if paired else None
        self.count = self._emitted = 0

    def push(self, reference: Planes, distorted: Planes) -> None:
        """Read the next pair. Its samples are copied.

        Raises:
            NativeError: the engine failed.
        """
        if self._reference is not None:
            self._reference.push(reference, None)
        if self._pairs is not None:
            self._pairs.put(reference, distorted)
        self.count += 1

    def complete(self, *, ended: bool) -> Iterator[dict[str, Any]]:
        """Yield the rows whose scores are complete: ``frame_index``, each feature, each model.

        Args:
            ended: whether no further pair will come.

        Raises:
            NativeError: the engine failed.
        """
        if self._reference is not None:
            while (scores := self._reference.pop(ended=ended)) is not None:
                self._reference_rows.append(scores)
        while self._emitted < self.count and (self._reference is None or self._reference_rows):
            row: dict[str, float] | None = {}
            if self._pairs is not None:
                row = self._pairs.take(wait=ended or self.count - self._emitted > self._threads)
            if row is None:
                return
            yield self._row({**row, **(self._reference_rows.popleft() if self._reference else {})})

    def close(self) -> None:
        """Free the engine's memory. Closing twice does nothing."""
        for part in (self._pairs, self._reference):
            if part is not None:
                part.close()

    def _row(self, scores: dict[str, float]) -> dict[str, Any]:
        row: dict[str, Any] = {"frame_index": self._emitted}
        for name in self._names:
            row[name] = scores[self._keys[name]] if name in self._keys else float("nan")
        columns = {key: np.asarray([value]) for key, value in scores.items()} if self._teachers else {}
        for column, teacher in self._teachers.items():
            row[column] = float(teacher.predict(columns)[0])
        self._emitted += 1
        return row


def late(engine: Engine, requests: Iterable[Request]) -> Request | None:
    """Return the first request whose scores are not known one frame later at most, or None."""
    needs = {request: engine.needs(request) for request in requests}
    return next((request for request, need in needs.items() if need.ordered or not need.one_ahead), None)
