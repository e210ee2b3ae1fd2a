"""One pass over a reference and its distorted versions: decode once, and compute every pair of frames.

Each worker thread has batches of its own: libvmaf's threads share one context and one queue, which keeps cores less
busy. A batch is replaced after `BLOCK` frames, so memory does not grow with the clip. Scores that depend on the
reference alone are computed once for the whole ladder, in the thread that decodes.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyvmaf.engines.protocol import Batch, Engine, Request, Requests
from pyvmaf.errors import InputError, NativeError
from pyvmaf.features.notes import Notes
from pyvmaf.features.options import Compute, Reading, Window
from pyvmaf.video import agree, shift
from pyvmaf.video.format import Format
from pyvmaf.video.reader import FrameSource, Planes
from pyvmaf.video.shifted import Shifted, whole
from pyvmaf.video.shots import ShotDetector, thumbnail

Scores = dict[str, NDArray[np.float64]]
"""One value per selected frame, by libvmaf's names of scores."""

BLOCK = 1024
"""Frames that a batch sees before it is replaced: the most whose scores a worker holds."""


@dataclass(frozen=True)
class Task:
    """One distorted video and the requests that are to be computed on it."""

    video: FrameSource
    requests: Requests


@dataclass
class Extraction:
    """The scores of one pass.

    Attributes:
        frames: number of frames that the pass saw, the same for all videos.
        indices: int64, the selected frames.
        reference: scores that depend on the reference alone.
        distorted: scores per task, in the order of the tasks.
        notes: what was left unread, and doubts that the frames give rise to.
        cuts: first frames of the reference's shots but the first one, if they were looked for.
    """

    frames: int
    indices: NDArray[np.int64]
    reference: Scores
    distorted: list[Scores]
    notes: Notes
    cuts: list[int] | None = None


@dataclass
class _Blocks:
    """Blocks of scores of one task, in the order in which batches were finished."""

    blocks: list[tuple[NDArray[np.int64], Scores]] = field(default_factory=list)

    def merged(self, frames: NDArray[np.int64], requests: Requests, path: str) -> Scores:
        """Return the scores in the order of `frames`.

        Raises:
            NativeError: a frame is missing.
        """
        keys = [key for names in requests.values() for key in names]
        if not keys:
            return {}
        indices = np.concatenate([block[0] for block in self.blocks]) if self.blocks else np.empty(0, np.int64)
        order = np.argsort(indices, kind="stable")
        if not np.array_equal(indices[order], frames):
            missing = np.setdiff1d(frames, indices)
            raise NativeError(
                f"{path}: {frames.size} frames were asked for, {indices.size} came back, "
                f"first missing: {missing[:5].tolist()}"
            )
        return {key: np.concatenate([block[1][key] for block in self.blocks])[order] for key in keys}


class _Item(NamedTuple):
    """A frame of the reference, and its versions in the rungs that have the same requests."""

    rungs: Sequence[int]
    frame: int
    reference: Planes
    distorted: Sequence[Planes]


class _Shared:
    """A batch that rungs with the same requests share, since its buffers are large, and the frames that it has read."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.indices: list[int] = []
        self.rungs: list[int] = []

    def read(self, item: _Item) -> None:
        self.batch.read_versions(len(self.indices), item.reference, item.distorted)
        self.indices += [item.frame] * len(item.rungs)
        self.rungs += item.rungs


class _Pool:
    """Worker threads that compute frames, in any order.

    An interrupt (Ctrl-C) may come at any place of the thread that reads. The queues are C code that no interrupt leaves
    locked, as it may leave the locks of `threading` and `queue.Queue`; and the flag that ends the threads is a plain value.
    """

    def __init__(self, tasks: Sequence[Task], engine: Engine, form: Format, threads: int) -> None:
        self._tasks = tasks
        self._engine = engine
        self._form = form
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        # A short queue: enough to keep workers fed, few frames in memory.
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(threads + 1):
            self._places.put(None)
        self._stop = False
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self.blocks = [_Blocks() for _ in tasks]
        self.done = 0
        self._threads = [threading.Thread(target=self._work, name=f"pyvmaf-{i}", daemon=True) for i in range(threads)]

    def start(self) -> None:
        """Start the threads. The caller calls `cancel` whatever happens from here on, an interrupt of this included."""
        for thread in self._threads:
            thread.start()

    def put(self, item: _Item) -> None:
        while not self._stop:
            try:
                self._places.get(timeout=0.2)
            except queue.Empty:
                continue
            self._queue.put(item)
            return
        self.raise_error()

    def _work(self) -> None:
        batches: dict[tuple[Request, ...], _Shared] = {}
        try:
            while not self._stop:
                try:
                    item = self._queue.get(timeout=0.2)
                except queue.Empty:
                    continue
                if item is None:
                    break
                self._places.put(None)
                requests = self._tasks[item.rungs[0]].requests
                key = tuple(requests)
                shared = batches.get(key)
                if shared is None:
                    shared = batches[key] = _Shared(self._engine.open(requests, self._form))
                shared.read(item)
                with self._lock:
                    self.done += len(item.rungs)
                del item
                if len(shared.indices) >= BLOCK:
                    self._harvest(batches.pop(key))
            while batches and not self._stop:
                self._harvest(batches.popitem()[1])
        except BaseException as err:
            with self._lock:
                self._error = self._error or err
            self._stop = True
        finally:
            # Another thread may wait for what a batch holds, such as memory of a device.
            for shared in batches.values():
                shared.batch.close()

    def _harvest(self, shared: _Shared) -> None:
        scores = shared.batch.harvest()
        indices, rungs = np.asarray(shared.indices, dtype=np.int64), np.asarray(shared.rungs)
        with self._lock:
            # Not np.unique, which imports masked arrays: a tenth of the score of one frame.
            for rung in sorted(set(shared.rungs)):
                rows = rungs == rung
                block = indices[rows], {key: values[rows] for key, values in scores.items()}
                self.blocks[rung].blocks.append(block)

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        for _ in self._threads:
            self._queue.put(None)
        self._join()
        self.raise_error()

    def cancel(self) -> None:
        """Stop the threads that still run, and wait for them."""
        self._stop = True
        # A thread that waits for frames looks up at once.
        for _ in self._threads:
            self._queue.put(None)
        self._join()

    def _join(self) -> None:
        for thread in self._threads:
            # A plain join would not let Ctrl-C through.
            while thread.is_alive():
                thread.join(timeout=0.5)


class _Ordered:
    """Requests of one task that need pairs in order, computed in the thread that reads."""

    def __init__(self, engine: Engine, task: Task, form: Format, window: Window) -> None:
        self.requests = {r: keys for r, keys in task.requests.items() if engine.needs(r).ordered}
        before = max((engine.needs(request).before for request in self.requests), default=0)
        self._start = max(0, window.first - before)
        self._batch = engine.open(self.requests, form) if self.requests else None

    def read(self, index: int, reference: Planes, distorted: Planes) -> None:
        if self._batch is not None and index >= self._start:
            self._batch.read(index - self._start, reference, distorted)

    def harvest(self, selected: NDArray[np.int64]) -> Scores:
        if self._batch is None:
            return {}
        return {key: values[selected - self._start] for key, values in self._batch.harvest().items()}


def check_formats(reference: FrameSource, distorted: Sequence[FrameSource]) -> None:
    """Refuse pairs of different formats, whose samples an engine would misread.

    Raises:
        InputError: sizes, chroma layouts or bit depths differ.
    """
    want = reference.format
    for video in distorted:
        have = video.format
        if (have.width, have.height) != (want.width, want.height):
            raise InputError(
                f"sizes differ: {reference.path} is {want.size}, {video.path} is {have.size}: "
                "scale the distorted one to the reference with --scale reference, or give the right pair"
            )
        if have.chroma != want.chroma:
            raise InputError(
                f"chroma layouts differ: {reference.path} is {want.pix_fmt}, {video.path} is {have.pix_fmt}: compare "
                "luma alone with --luma-only (VMAF reads nothing else), or convert one of them"
            )
        if have.bit_depth != want.bit_depth:
            raise InputError(
                f"bit depths differ: {reference.path} has {want.bit_depth} bits, {video.path} has {have.bit_depth}: "
                "widen the narrower one with --match-depth"
            )


def run(
    engine: Engine, reference: FrameSource, tasks: Sequence[Task], shared: Requests, reading: Reading, compute: Compute
) -> Extraction:
    """Compute scores of a reference and distorted versions of it, in one pass.

    Args:
        engine: the engine that computes.
        reference: the pristine video.
        tasks: distorted videos of the reference's format, each with the requests to compute on its pairs of frames.
        shared: requests that read the reference alone.
        reading: the selection of frames; videos were converted before.
        compute: threads and progress.

    Raises:
        InputError: formats or frame counts differ, a video is damaged, or the window lies beyond the end.
        NativeError: the engine failed.
    """
    videos = [reference, *(task.video for task in tasks)]
    form, window = reference.format, reading.window
    check_formats(reference, videos[1:])
    total = window.count(expected_frames(videos, reading)) * max(1, len(tasks))
    needs = [engine.needs(request) for request in shared]
    start = max(0, window.first - max((need.before for need in needs), default=0))
    batch = engine.open(shared, form) if shared else None
    ordered = [_Ordered(engine, task, form, window) for task in tasks]
    free = [
        Task(task.video, {r: keys for r, keys in task.requests.items() if r not in paced.requests})
        for task, paced in zip(tasks, ordered, strict=True)
    ]
    groups = _groups(free)
    watch = Look(videos, shots=compute.shots) if reading.related else None
    indices: list[int] = []
    notes = Notes()
    advance = compute.progress
    pool = _Pool(free, engine, form, compute.threads)
    try:
        pool.start()
        seen = 0
        luma = form.chroma == "400" or not any(engine.needs(r).chroma for task in tasks for r in task.requests)
        after = max((need.after for need in needs), default=0)
        for index, frames in side_by_side(videos, luma=luma, reading=reading, after=after, notes=notes):
            seen = index + 1
            if watch is not None:
                watch.see(index, frames)
            if batch is not None and index >= start:
                batch.read(index - start, frames[0], None)
            for paced, planes in zip(ordered, frames[1:], strict=True):
                paced.read(index, frames[0], planes)
            if index in window:
                indices.append(index)
                for rungs in groups:
                    pool.put(_Item(rungs, index, frames[0], [frames[1 + rung] for rung in rungs]))
                if advance is not None:
                    advance(pool.done, total)
            del frames
        pool.finish()
    finally:
        pool.cancel()
    selected = np.asarray(indices, dtype=np.int64)
    if advance is not None:
        advance(total, total)
    notes.doubt(watch.notes() if watch is not None else [])
    scores = batch.harvest() if batch is not None else {}
    return Extraction(
        frames=seen if window.stop is None else min(seen, window.stop),
        indices=selected,
        reference={key: values[selected - start] for key, values in scores.items()},
        distorted=[
            {**blocks.merged(selected, task.requests, str(task.video.path)), **paced.harvest(selected)}
            for task, blocks, paced in zip(free, pool.blocks, ordered, strict=True)
        ],
        notes=notes,
        cuts=None if watch is None else watch.cuts(),
    )


def _groups(tasks: Sequence[Task]) -> list[list[int]]:
    """Return the tasks that have the same requests, by number; those without requests are left out."""
    groups: dict[tuple[Request, ...], list[int]] = {}
    for number, task in enumerate(tasks):
        if task.requests:
            groups.setdefault(tuple(task.requests), []).append(number)
    return list(groups.values())


class Look:
    """Looks at the frames of videos that show the same scene, as they are read side by side.

    Args:
        videos: the reference, then the distorted ones.
        shots: whether to look for the cuts of the reference.
    """

    def __init__(self, videos: Sequence[FrameSource], *, shots: bool = False) -> None:
        # Made frames say nothing about themselves, and show nothing that could be shifted.
        self._videos = [(index, video) for index, video in enumerate(videos) if video.side is not None]
        self._first = [shift.FirstFrames() for _ in self._videos]
        self._reference = videos[0]
        self._shots = ShotDetector() if shots else None
        self._full = videos[0].side is not None and videos[0].side.colour.range == "pc"
        # A header that states fields counts for all frames, whether they are flagged or not.
        self._fields = videos[0].side is None or any(video.side and video.side.interlaced for video in videos)

    def see(self, index: int, frames: Sequence[Planes]) -> None:
        """Look at the frames of this number.

        Raises:
            InputError: only some of them are interlaced.
        """
        for first, (number, video) in zip(self._first, self._videos, strict=True):
            first.add(frames[number][0], video.format.bit_depth)
            if video.interlaced != self._reference.interlaced and not self._fields:
                pair = [str(self._reference.path), str(video.path)]
                interlaced, other = pair if self._reference.interlaced > video.interlaced else pair[::-1]
                raise agree.refuse_fields(interlaced, other, f"frame {index}: ")
        if self._shots is not None:
            bits = self._reference.format.bit_depth
            self._shots.add_thumbnail(thumbnail(frames[0][0], bits, full=self._full))

    def cuts(self) -> list[int] | None:
        """Return the first frames of the reference's shots but the first one; None if they were not looked for."""
        return None if self._shots is None else self._shots.cuts()

    def notes(self) -> list[str]:
        """Return what the frames of all videos together say."""
        if self._reference.side is None:
            return []
        notes = shift.doubts([(video, first) for (_, video), first in zip(self._videos, self._first, strict=True)])
        # Those that start with an interlaced frame have a note already.
        return notes + [
            f"{video.interlaced} frames of {video.path} are interlaced; each is scored with both of its fields as one picture"
            for _, video in self._videos
            if video.interlaced and video.side is not None and not video.side.interlaced
        ]


def expected_frames(videos: Sequence[FrameSource], reading: Reading) -> int:
    """Return the frames of the shortest video, as its header or its packets state them.

    Raises:
        InputError: lengths differ, and neither a range nor --shortest allows it.
    """
    # The length of a pipe is known at its end.
    videos = [video for video in videos if not video.once]
    counts = [video.stated_frames for video in videos]
    if None in counts or len(set(counts)) > 1:
        counts = [video.count_packets() for video in videos]
        if len(set(counts)) > 1 and reading.related:
            _compare_all_rates(videos)
        if len(set(counts)) > 1 and not reading.shortest and reading.window.stop is None:
            _compare_counts(videos)
    return min((count for count in counts if count is not None), default=0)


def compare_rates(reference: FrameSource, distorted: FrameSource) -> list[str]:
    """Compare the frame rates of two videos, as `pyvmaf.video.agree.compare_rates`.

    Packets are counted first. They include pictures that are never shown, so that a refusal needs decoded frames.

    Raises:
        InputError: rates and numbers of frames differ.
    """
    reference, distorted = whole(reference), whole(distorted)
    if reference.side is None or distorted.side is None:
        return []
    sides = reference.side, distorted.side
    try:
        return agree.compare_rates(*sides, (reference.count_packets(), distorted.count_packets()))
    except InputError:
        return agree.compare_rates(*sides, (reference.count_frames(), distorted.count_frames()))


def side_by_side(
    videos: Sequence[FrameSource], *, luma: bool, reading: Reading, after: int, notes: Notes
) -> Iterator[tuple[int, list[Planes]]]:
    """Read frames of all videos together, to the end of the window and `after` frames more.

    A note says what is left unread because a video ends before the others.
    """
    window: Window = reading.window
    streams = [video.planes(luma=luma) for video in videos]
    for index in count():
        if window.stop is not None and index >= window.stop + after:
            return
        frames: list[Planes | None] = [next(stream, None) for stream in streams]
        ended = [video for video, planes in zip(videos, frames, strict=True) if planes is None]
        if ended:
            if reading.related and any(video.once for video in videos):
                notes.doubt([note for video in videos[1:] for note in compare_rates(videos[0], video)])
            if window.stop is not None and index < window.stop:
                raise InputError(f"frames {window.first}:{window.stop} were asked for, but {ended[0].path} has {index}")
            if index <= window.first:
                raise InputError(f"frames from {window.first} were asked for, but {ended[0].path} has {index}")
            if len(ended) < len(videos) and window.stop is None:
                if reading.related:
                    _compare_all_rates(videos)
                if not reading.shortest:
                    _compare_counts(videos)
                longer = ", ".join(str(video.path) for video in videos if video not in ended)
                notes.say([f"{ended[0].path} ends after {index} frames: those that {longer} has beyond are not scored"])
            return
        yield index, [planes for planes in frames if planes is not None]


def _compare_all_rates(videos: Sequence[FrameSource]) -> None:
    """Refuse distorted videos whose frames do not show the moments of the reference's frames of the same number."""
    for video in videos[1:]:
        compare_rates(videos[0], video)


def _compare_counts(videos: Sequence[FrameSource]) -> None:
    """Count frames by decoding, since containers may list pictures that are never shown.

    Raises:
        InputError: lengths differ.
    """
    reference, *others = [(video.path, video.count_frames()) for video in videos]
    # Of what an offset leaves without a counterpart at the start, there is as much at the end.
    spare = max((video.skip for video in videos if isinstance(video, Shifted)), default=0)
    different = [f"{path} has {frames}" for path, frames in others if abs(frames - reference[1]) > spare]
    if different:
        shifts = shift.hints(videos[0], videos[1:]) if all(video.side and not video.once for video in videos) else []
        advice = "give clips of one length, or stop at the shortest with --shortest if they start at the same frame"
        raise InputError(
            f"frame counts differ: the reference {reference[0]} has {reference[1]}, {', '.join(different)}: "
            f"{'; '.join(shifts) or advice}"
        )
