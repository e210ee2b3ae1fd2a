"""Computation of the scores of pairs of frames that come one by one: in the caller's thread, or in worker threads.

An interrupt (Ctrl-C) may come at any place of the caller's thread. The queues between threads are `queue.SimpleQueue`,
which is C code that no interrupt leaves locked, as it may leave the locks of `threading` and `concurrent.futures`.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pyvmaf.engines.protocol import Engine, Requests, Stream
from pyvmaf.errors import NativeError

if TYPE_CHECKING:
    from pyvmaf.video.format import Format
    from pyvmaf.video.reader import Planes

_END_S = 10.0
"""Longest wait for the worker threads to end the pair that they compute."""


class Pairs(Protocol):
    """Pairs whose scores are wanted in order."""

    def put(self, reference: Planes, distorted: Planes) -> None:
        """Give the next pair. Its samples are copied."""

    def take(self, *, wait: bool) -> dict[str, float] | None:
        """Return the scores of the first pair that were not returned yet; None if they are not known and `wait` is False.

        Raises:
            NativeError: the engine failed.
        """

    def close(self) -> None:
        """Free everything. Closing twice does nothing."""


def open_pairs(engine: Engine, requests: Requests, form: Format, threads: int) -> Pairs:
    """Start the computation of pairs of this format.

    Raises:
        InputError, UnavailableError: as `Engine.stream`.
    """
    # Whatever refuses to open does so here, and not at a pair.
    first = engine.stream(requests, form)
    return Direct(engine, first) if threads == 1 else Threads(engine, requests, form, first, threads)


def _scores(engine: Engine, stream: Stream, reference: Planes, distorted: Planes) -> dict[str, float]:
    stream.push(reference, distorted)
    scores = stream.pop()
    if scores is None:
        raise NativeError(f"engine {engine.name!r} has no scores of a pair of frames that it has read")
    return scores


class Direct:
    """Pairs that are computed at once."""

    def __init__(self, engine: Engine, stream: Stream) -> None:
        self._engine, self._stream = engine, stream
        self._rows: deque[dict[str, float]] = deque()

    def put(self, reference: Planes, distorted: Planes) -> None:
        """Compute the scores of a pair."""
        self._rows.append(_scores(self._engine, self._stream, reference, distorted))

    def take(self, *, wait: bool) -> dict[str, float] | None:
        """Return the scores of the first pair."""
        return self._rows.popleft() if self._rows else None

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


class _Task(NamedTuple):
    number: int
    reference: Planes
    distorted: Planes


class Threads:
    """Pairs that are computed side by side, each thread with a stream of its own."""

    def __init__(self, engine: Engine, requests: Requests, form: Format, first: Stream, threads: int) -> None:
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        # A number with its scores or an error, and None from a thread that has ended.
        self._results: SimpleQueue[tuple[int, dict[str, float] | BaseException] | None] = SimpleQueue()
        self._ready: dict[int, dict[str, float] | BaseException] = {}
        self._given = self._taken = 0
        workers: list[threading.Thread] = []
        self._ending = (self._tasks, self._results, workers, os.getpid())
        weakref.finalize(self, _end, *self._ending)
        for index in range(threads):
            stream = first if index == 0 else None
            arguments = (engine, requests, form, stream, self._tasks, self._results)
            worker = threading.Thread(target=_work, args=arguments, name=f"pyvmaf-{index}", daemon=True)
            worker.start()
            workers.append(worker)

    def put(self, reference: Planes, distorted: Planes) -> None:
        """Queue a copy of a pair, since the caller may reuse its buffers."""
        copies = tuple(plane.copy() for plane in reference), tuple(plane.copy() for plane in distorted)
        self._tasks.put(_Task(self._given, *copies))
        self._given += 1

    def take(self, *, wait: bool) -> dict[str, float] | None:
        """Return the scores of the first pair."""
        while self._taken not in self._ready:
            try:
                result = self._results.get(block=wait)
            except Empty:
                return None
            if result is not None:
                self._ready[result[0]] = result[1]
        scores = self._ready.pop(self._taken)
        self._taken += 1
        if isinstance(scores, BaseException):
            raise scores
        return scores

    def close(self) -> None:
        """End the threads, after the pairs that they compute."""
        _end(*self._ending)


def _work(
    engine: Engine,
    requests: Requests,
    form: Format,
    stream: Stream | None,
    tasks: SimpleQueue[_Task | None],
    results: SimpleQueue[tuple[int, dict[str, float] | BaseException] | None],
) -> None:
    """Compute pairs until there is None in place of one."""
    while (task := tasks.get()) is not None:
        try:
            stream = stream or engine.stream(requests, form)
            results.put((task.number, _scores(engine, stream, task.reference, task.distorted)))
        except BaseException as err:
            results.put((task.number, err))
    with contextlib.suppress(NativeError):
        if stream is not None:
            stream.close()
    results.put(None)


def _end(
    tasks: SimpleQueue[_Task | None],
    results: SimpleQueue[tuple[int, dict[str, float] | BaseException] | None],
    workers: list[threading.Thread],
    process: int,
) -> None:
    """End the threads that are left, unless this is a forked child, which does not have them."""
    if os.getpid() != process:
        return
    with contextlib.suppress(Empty):
        # Pairs that no thread has begun.
        while True:
            tasks.get(block=False)
    for _ in workers:
        tasks.put(None)
    # Garbage is collected in any thread.
    if threading.current_thread() in workers:
        return
    with contextlib.suppress(Empty):
        while workers:
            if results.get(timeout=_END_S) is None:
                workers.pop()
