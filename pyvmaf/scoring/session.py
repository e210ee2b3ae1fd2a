"""Scores of frames that a program already has, frame by frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from pyvmaf import engines
from pyvmaf.engines.protocol import Requests, Stream
from pyvmaf.errors import InputError, NativeError
from pyvmaf.features.catalog import DEFAULT_FEATURES, DEFAULT_MODEL, select
from pyvmaf.features.requests import Teacher, requests_of, usable
from pyvmaf.video.format import Format
from pyvmaf.video.reader import Planes, frame_format, planes_of

if TYPE_CHECKING:
    import av

    Frame = av.VideoFrame | Iterable[NDArray[Any]]


class Session:
    """Scores pairs of frames one by one.

    A frame's motion needs the frame after it, so `push` returns the row of the frame before; `finish` returns the
    rest. The rows equal those of `pyvmaf.score` on the same frames, to the last bit.

    Args:
        features: training names and names of sets.
        model: a built-in model of libvmaf or the path of its JSON; None for features only.
        threads: with more than one, frames are computed side by side and rows come up to that many frames later.
        layout: chroma layout of plane arrays, "420", "422", "444" or "400"; PyAV frames have their own.
        bits: bits per sample of plane arrays; None takes 8 for uint8 and 10 for uint16.
        backend: "cpu", or the name of another engine.

    Raises:
        InputError: an unknown feature or model, or a model whose motion looks further than one frame ahead.
        UnavailableError: this build or machine does not have the backend.

    Example:
        >>> with pyvmaf.Session(features="canonical6") as session:
        ...     for reference, distorted in pairs:
        ...         for row in session.push(reference, distorted):
        ...             print(row["frame_index"], row["vmaf"])
        ...     rows = session.finish()
    """

    def __init__(
        self,
        features: str | Iterable[str] = DEFAULT_FEATURES,
        model: str | None = DEFAULT_MODEL,
        *,
        threads: int = 1,
        layout: str = "420",
        bits: int | None = None,
        backend: str = "cpu",
    ) -> None:
        self._selection = select(features)
        self._engine = engines.load(backend)
        self._teacher = Teacher(model) if model else None
        for request in self._teacher.keys if self._teacher else ():
            if not self._engine.needs(request).one_ahead:
                raise InputError(
                    f"model {model!r} reads {request}, which is known at the end of a clip only: use pyvmaf.score, or "
                    "another model"
                )
        if threads < 1:
            raise InputError(f"threads is {threads}, it must be at least 1")
        self.unavailable: dict[str, str] = {}
        self._layout, self._bits, self._threads = layout, bits, threads
        self._form: Format | None = None
        self._count = 0
        self._emitted = 0
        self._closed = False
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="pyvmaf") if threads > 1 else None
        self._paired: Requests = {}
        self._idle: list[Stream] = []
        self._pending: deque[Future[dict[str, float]] | dict[str, float]] = deque()
        self._reference: Stream | None = None
        self._reference_rows: deque[dict[str, float]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def push(self, reference: Frame, distorted: Frame) -> list[dict[str, Any]]:
        """Read the next pair and return the rows that are complete now.

        Args:
            reference, distorted: PyAV frames, or sequences of planes (Y, U, V; Y alone for "400"), each a 2-D array
                of uint8 or uint16 with any strides. The samples are copied; the buffers may be reused at once.

        Returns:
            Rows in order: ``frame_index``, each feature, ``vmaf``.

        Raises:
            InputError: the two differ in format, or from the pairs before them.
            NativeError: the engine failed, or the session was finished.
        """
        self._check_open()
        form, reference_planes = self._planes(reference, "reference")
        other, distorted_planes = self._planes(distorted, "distorted")
        if form != other:
            raise InputError(
                f"frame {self._count}: the reference is {form.size} {form.pix_fmt}, the distorted one is "
                f"{other.size} {other.pix_fmt}"
            )
        if self._form is None:
            self._start(form)
        elif form != self._form:
            raise InputError(
                f"frame {self._count} is {form.size} {form.pix_fmt}, those before it were {self._form.size} "
                f"{self._form.pix_fmt}: open another session"
            )
        if self._reference is not None:
            self._reference.push(reference_planes, None)
        self._pending.append(self._submit(form, reference_planes, distorted_planes))
        self._count += 1
        return list(self._complete(ended=False))

    def finish(self) -> list[dict[str, Any]]:
        """Return the rows that `push` has not returned yet, and close the session."""
        self._check_open()
        try:
            return list(self._complete(ended=True))
        finally:
            self.close()

    def stream(self, pairs: Iterable[tuple[Frame, Frame]]) -> Iterator[dict[str, Any]]:
        """Yield every row of an iterable of pairs, each one frame late."""
        for reference, distorted in pairs:
            yield from self.push(reference, distorted)
        yield from self.finish()

    def close(self) -> None:
        """Free the engine's memory. Closing twice does nothing."""
        self._closed = True
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
        for stream in [*self._idle, *([self._reference] if self._reference else [])]:
            stream.close()
        self._idle.clear()
        self._reference = None

    def _check_open(self) -> None:
        if self._closed:
            raise NativeError(f"the session was finished after {self._count} frames: open another one")

    def _planes(self, frame: Frame, side: str) -> tuple[Format, Planes]:
        if not isinstance(frame, Iterable):
            form = frame_format(frame)
            return form, planes_of(frame, form.chroma, form.bit_depth)
        planes: tuple[Any, ...] = tuple(np.asarray(p) for p in frame)
        luma: NDArray[Any] = planes[0] if planes else np.empty(0)
        if luma.ndim != 2 or not luma.size:
            raise InputError(f"frame {self._count}: the {side} frame has no 2-D luma plane, its shape is {luma.shape}")
        if luma.dtype not in (np.uint8, np.uint16):
            raise InputError(f"frame {self._count}: the {side} samples are {luma.dtype}, they must be uint8 or uint16")
        bits = self._bits or (8 if luma.dtype == np.uint8 else 10)
        layout = self._layout if len(planes) > 1 else "400"
        return Format.planar(len(luma[0]), len(luma), layout, bits), planes

    def _start(self, form: Format) -> None:
        features, self.unavailable = usable(self._selection, self._engine, form)
        if self._teacher:
            self._teacher.check(self._engine, form)
        requests = requests_of(features, [self._teacher] if self._teacher else [], form)
        shared = {request: keys for request, keys in requests.items() if self._engine.needs(request).reference_only}
        self._paired = {request: keys for request, keys in requests.items() if request not in shared}
        self._reference = self._engine.stream(shared, form) if shared else None
        self._keys = {feature.name: feature.key for feature in features}
        self._form = form

    def _submit(
        self, form: Format, reference: Planes, distorted: Planes
    ) -> Future[dict[str, float]] | dict[str, float]:
        if not self._paired:
            return {}
        if self._executor is None:
            return self._compute(form, reference, distorted)
        # The caller may reuse its buffers as soon as push returns.
        copies = tuple(plane.copy() for plane in reference), tuple(plane.copy() for plane in distorted)
        return self._executor.submit(self._compute, form, *copies)

    def _compute(self, form: Format, reference: Planes, distorted: Planes) -> dict[str, float]:
        try:
            stream = self._idle.pop()
        except IndexError:
            stream = self._engine.stream(self._paired, form)
        stream.push(reference, distorted)
        scores = stream.pop()
        if scores is None:
            raise NativeError(f"engine {self._engine.name!r} has no scores of a pair of frames that it has read")
        self._idle.append(stream)
        return scores

    def _complete(self, *, ended: bool) -> Iterator[dict[str, Any]]:
        """Yield the rows whose scores are complete."""
        if self._reference is not None:
            while (scores := self._reference.pop(ended=ended)) is not None:
                self._reference_rows.append(scores)
        while self._pending and (self._reference is None or self._reference_rows):
            head = self._pending[0]
            if isinstance(head, Future):
                if not ended and not head.done() and len(self._pending) <= self._threads:
                    return
                head = head.result()
            self._pending.popleft()
            yield self._row({**head, **(self._reference_rows.popleft() if self._reference else {})})

    def _row(self, scores: dict[str, float]) -> dict[str, Any]:
        row: dict[str, Any] = {"frame_index": self._emitted}
        for name in self._selection.names:
            row[name] = scores[self._keys[name]] if name in self._keys else float("nan")
        if self._teacher:
            row["vmaf"] = float(self._teacher.predict({key: np.asarray([value]) for key, value in scores.items()})[0])
        self._emitted += 1
        return row
