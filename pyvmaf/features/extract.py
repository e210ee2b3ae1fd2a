"""One pass over a reference and any number of distorted versions of it: decode once, run extractors on every pair.

libvmaf's own threads share one context and one queue; one context per worker thread keeps both cores busier. Each
worker's contexts are thrown away after `BLOCK` frames, so memory does not grow with the clip. What depends on the
reference alone runs once for the whole ladder, in the thread that decodes.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np
from numpy.typing import NDArray

from pyvmaf.engines.libvmaf.extractors import EXTRACTORS
from pyvmaf.errors import InputError, NativeError
from pyvmaf.features.catalog import FEATURES, Unit
from pyvmaf.video.format import Format
from pyvmaf.video.reader import FrameSource, Planes

Scores = dict[str, NDArray[np.float64]]
"""libvmaf's score names, each with one value per selected frame."""

BLOCK = 1024
"""Frames that one context sees before it is replaced: the most that scores of a worker can pile up."""


@dataclass(frozen=True)
class Window:
    """Which frames are wanted.

    Attributes:
        first: the first one.
        stop: one past the last, None for all that there are.
        step: every how many-th; the motion features still see every frame, so their values do not change.
    """

    first: int = 0
    stop: int | None = None
    step: int = 1

    def __post_init__(self) -> None:
        if self.first < 0 or self.step < 1 or (self.stop is not None and self.stop <= self.first):
            stop = "" if self.stop is None else self.stop
            raise InputError(f"frames {self.first}:{stop} every {self.step} holds no frames: give A:B with 0 <= A < B")

    def __contains__(self, index: int) -> bool:
        return index >= self.first and (self.stop is None or index < self.stop) and not (index - self.first) % self.step

    def indices(self, frames: int) -> NDArray[np.int64]:
        """The wanted frames of a clip of `frames` frames."""
        return np.arange(self.first, frames if self.stop is None else self.stop, self.step, dtype=np.int64)


ALL = Window()


@dataclass(frozen=True)
class Task:
    """One distorted clip and the extractors that are still to be run on it."""

    video: FrameSource
    units: tuple[Unit, ...]


@dataclass
class Extraction:
    """What one pass found.

    Attributes:
        frames: how many frames the pass saw, all clips alike.
        indices: int64, the selected ones.
        reference: scores of the reference-only extractors.
        distorted: scores per task, in the order of the tasks.
    """

    frames: int
    indices: NDArray[np.int64]
    reference: Scores
    distorted: list[Scores]


def keys_of(unit: Unit, form: Format, extra: Mapping[Unit, Sequence[str]]) -> tuple[str, ...]:
    """The scores of `unit` on frames of this format: those of the catalog, then those that a model reads besides."""
    keys = [f.key for f in FEATURES.values() if f.unit == unit and not (f.chroma and form.chroma == "400")]
    return tuple(dict.fromkeys([*keys, *extra.get(unit, ())]))


def reads_chroma(units: Sequence[Unit], form: Format) -> bool:
    """Whether any of the extractors looks at more than luma."""
    chroma = {f.unit for f in FEATURES.values() if f.chroma}
    return form.chroma != "400" and any(u in chroma or EXTRACTORS[u.extractor].limit.chroma for u in units)


class Batch:
    """One libvmaf context and the frames that it has seen since it was made."""

    def __init__(self, units: Sequence[Unit], form: Format, keys: Sequence[str], backend: str) -> None:
        from pyvmaf.engines.libvmaf.context import Context

        self.planes = 3 if reads_chroma(units, form) else 1
        layout = form.chroma if self.planes == 3 else "400"
        self.keys = keys
        self.indices: list[int] = []
        self.rungs: list[int] = []
        self.native = Context(form.width, form.height, layout, form.bit_depth, backend=backend)
        for unit in units:
            self.native.use_feature(unit.extractor, dict(unit.options))

    def read(self, index: int, reference: Planes, distorted: Planes | None, rung: int = 0) -> None:
        pair = None if distorted is None else distorted[: self.planes]
        self.native.read(reference[: self.planes], pair, len(self.indices))
        self.indices.append(index)
        self.rungs.append(rung)

    def harvest(self) -> tuple[NDArray[np.int64], Scores]:
        """Every score of every frame seen; libvmaf keeps silent about some that it failed to compute."""
        self.native.flush()
        local = np.arange(len(self.indices), dtype=np.int64)
        scores = {key: self.native.feature_scores(key, local) for key in self.keys}
        self.native.close()
        return np.asarray(self.indices, dtype=np.int64), scores


@dataclass
class _Collected:
    """Blocks of scores of one task, put in order at the end."""

    blocks: list[tuple[NDArray[np.int64], Scores]] = field(default_factory=list)

    def ordered(self, wanted: NDArray[np.int64], keys: Sequence[str], what: str) -> Scores:
        if not keys:
            return {}
        found = np.concatenate([b[0] for b in self.blocks]) if self.blocks else np.empty(0, np.int64)
        order = np.argsort(found, kind="stable")
        if not np.array_equal(found[order], wanted):
            missing = np.setdiff1d(wanted, found)
            raise NativeError(
                f"{what}: {wanted.size} frames were asked for, {found.size} came back, first missing: {missing[:5].tolist()}"
            )
        return {key: np.concatenate([b[1][key] for b in self.blocks])[order] for key in keys}


_Item = tuple[int, int, Planes, Planes]


class _Pool:
    """Worker threads that run extractors on pairs of frames, in whatever order they get to them."""

    def __init__(
        self, tasks: Sequence[Task], form: Format, keys: Sequence[Sequence[str]], threads: int, backend: str
    ) -> None:
        self._tasks = tasks
        self._form = form
        self._keys = keys
        self._backend = backend
        # A short queue: enough to keep workers fed, few frames in memory.
        self._queue: queue.Queue[_Item | None] = queue.Queue(maxsize=threads + 1)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self.collected = [_Collected() for _ in tasks]
        self.done = 0
        self._threads = [threading.Thread(target=self._work, name=f"pyvmaf-{i}", daemon=True) for i in range(threads)]
        for thread in self._threads:
            thread.start()

    def put(self, item: _Item) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.2)
                return
            except queue.Full:
                continue
        self.raise_error()

    def _work(self) -> None:
        # Rungs that want the same extractors share a context: its buffers are large, and stay warm.
        contexts: dict[tuple[Unit, ...], Batch] = {}
        try:
            while not self._stop.is_set():
                try:
                    item = self._queue.get(timeout=0.2)
                except queue.Empty:
                    continue
                if item is None:
                    break
                rung, index, reference, distorted = item
                units = self._tasks[rung].units
                context = contexts.get(units)
                if context is None:
                    context = contexts[units] = Batch(units, self._form, self._keys[rung], self._backend)
                context.read(index, reference, distorted, rung)
                del item, reference, distorted
                with self._lock:
                    self.done += 1
                if len(context.indices) >= BLOCK:
                    self._take(contexts.pop(units))
            while contexts and not self._stop.is_set():
                self._take(contexts.popitem()[1])
        except BaseException as err:
            with self._lock:
                self._error = self._error or err
            self._stop.set()

    def _take(self, context: Batch) -> None:
        indices, scores = context.harvest()
        rungs = np.asarray(context.rungs)
        with self._lock:
            for rung in np.unique(rungs):
                rows = rungs == rung
                block = indices[rows], {key: values[rows] for key, values in scores.items()}
                self.collected[rung].blocks.append(block)

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        for _ in self._threads:
            while not self._stop.is_set():
                try:
                    self._queue.put(None, timeout=0.2)
                    break
                except queue.Full:
                    continue
        self._join()
        self.raise_error()

    def cancel(self) -> None:
        self._stop.set()
        self._join()

    def _join(self) -> None:
        for thread in self._threads:
            # A plain join would not let Ctrl-C through.
            while thread.is_alive():
                thread.join(timeout=0.5)


def check_formats(reference: FrameSource, distorted: Sequence[FrameSource]) -> None:
    """Refuse pairs that libvmaf would read as garbage.

    Raises:
        InputError: sizes, chroma layouts or bit depths differ.
    """
    want = reference.format
    for video in distorted:
        have = video.format
        if (have.width, have.height) != (want.width, want.height):
            raise InputError(
                f"sizes differ: {reference.path} is {want.size}, {video.path} is {have.size}: "
                "scale the distorted one to the reference with --scale, or give the right pair"
            )
        if have.chroma != want.chroma:
            raise InputError(
                f"chroma layouts differ: {reference.path} is {want.pix_fmt}, {video.path} is {have.pix_fmt}: convert one of them"
            )
        if have.bit_depth != want.bit_depth:
            raise InputError(
                f"bit depths differ: {reference.path} has {want.bit_depth} bits, {video.path} has {have.bit_depth}: "
                "widen the narrower one with --match-depth"
            )


def _halo(units: Sequence[Unit]) -> tuple[int, int]:
    """How many frames before and after a range the reference-only extractors must see."""
    if not units:
        return 0, 0
    plain = all(u.options in ((), (("debug", "true"),)) for u in units)
    return (1, 1) if plain else (5, 2)


def run(
    reference: FrameSource,
    tasks: Sequence[Task],
    reference_units: Sequence[Unit] = (),
    *,
    extra_keys: Mapping[Unit, Sequence[str]] | None = None,
    window: Window = ALL,
    shortest: bool = False,
    threads: int = 1,
    backend: str = "cpu",
    advance: Callable[[int, int], None] | None = None,
) -> Extraction:
    """Run extractors on a reference and distorted versions of it, in one pass.

    Args:
        reference: the pristine clip.
        tasks: distorted clips of the same format as the reference, each with the extractors to run on its pair.
        reference_units: extractors that look at the reference alone.
        extra_keys: scores that are wanted beyond the catalog's, per extractor.
        window: which frames.
        shortest: stop at the shortest clip instead of refusing clips of different length.
        threads: worker threads.
        backend: what runs the extractors, "cpu" or "cuda".
        advance: called with (pairs of frames done, total or 0).

    Raises:
        InputError: formats or frame counts differ, a clip is damaged, or the window lies beyond the end.
        NativeError: libvmaf failed.
    """
    videos = [reference, *(t.video for t in tasks)]
    form = reference.format
    check_formats(reference, videos[1:])
    counts = [v.stated_frames for v in videos]
    if None in counts or len(set(counts)) > 1:
        counts = [v.count_packets() for v in videos]
        if len(set(counts)) > 1 and not shortest and window.stop is None:
            _compare_counts(videos)
    total = len(window.indices(min(c for c in counts if c is not None))) * max(1, len(tasks))
    extra = extra_keys or {}
    keys = [tuple(k for u in t.units for k in keys_of(u, form, extra)) for t in tasks]
    reference_keys = [k for u in reference_units for k in keys_of(u, form, extra)]
    left, right = _halo(reference_units)
    start = max(0, window.first - left)
    motion = Batch(list(reference_units), form, reference_keys, backend) if reference_units else None
    wanted: list[int] = []
    pool = _Pool(tasks, form, keys, threads, backend)
    try:
        seen = 0
        luma = not any(reads_chroma(t.units, form) for t in tasks)
        for index, frames in _together(videos, luma=luma, shortest=shortest, window=window, right=right):
            seen = index + 1
            if motion is not None and index >= start:
                motion.read(index, frames[0], None)
            if index in window:
                wanted.append(index)
                for rung, task in enumerate(tasks):
                    if task.units:
                        pool.put((rung, index, frames[0], frames[1 + rung]))
                if advance is not None:
                    advance(pool.done, total)
            del frames
        pool.finish()
    except BaseException:
        pool.cancel()
        raise
    indices = np.asarray(wanted, dtype=np.int64)
    if advance is not None:
        advance(total, total)
    reference_scores: Scores = {}
    if motion is not None:
        at, scores = motion.harvest()
        rows = np.searchsorted(at, indices)
        reference_scores = {key: values[rows] for key, values in scores.items()}
    return Extraction(
        frames=seen if window.stop is None else min(seen, window.stop),
        indices=indices,
        reference=reference_scores,
        distorted=[c.ordered(indices, keys[i], str(tasks[i].video.path)) for i, c in enumerate(pool.collected)],
    )


def _together(
    videos: Sequence[FrameSource], *, luma: bool, shortest: bool, window: Window, right: int
) -> Iterator[tuple[int, list[Planes]]]:
    """Frames of all clips side by side, as far as the window and the halo behind it reach."""
    streams = [v.planes(luma=luma) for v in videos]
    for index in count():
        if window.stop is not None and index >= window.stop + right:
            return
        frames: list[Planes | None] = [next(s, None) for s in streams]
        ended = [v for v, f in zip(videos, frames, strict=True) if f is None]
        if ended:
            if window.stop is not None and index < window.stop:
                raise InputError(f"frames {window.first}:{window.stop} were asked for, but {ended[0].path} has {index}")
            if index <= window.first:
                raise InputError(f"frames from {window.first} were asked for, but {ended[0].path} has {index}")
            if len(ended) < len(videos) and not shortest and window.stop is None:
                _compare_counts(videos)
            return
        yield index, [f for f in frames if f is not None]


def _compare_counts(videos: Sequence[FrameSource]) -> None:
    """Count by decoding, and refuse clips of different length. Containers may list pictures that are never shown."""
    reference, *others = [(v.path, v.count_frames()) for v in videos]
    different = [f"{path} has {n}" for path, n in others if n != reference[1]]
    if different:
        raise InputError(
            f"frame counts differ: the reference {reference[0]} has {reference[1]}, {', '.join(different)}: "
            "give clips of one length, or stop at the shortest with --shortest"
        )
