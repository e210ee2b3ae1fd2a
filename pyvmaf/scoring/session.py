"""Scores of frames that a program already has, while they come."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from pyvmaf.errors import InputError, NativeError
from pyvmaf.features import extract
from pyvmaf.features.catalog import DEFAULT_FEATURES, DEFAULT_MODEL, FEATURES, Unit, select, usable
from pyvmaf.features.extract import Batch, keys_of
from pyvmaf.features.ladder import Teacher, check_teacher
from pyvmaf.video.format import Format
from pyvmaf.video.reader import Planes, frame_format, planes_of

if TYPE_CHECKING:
    import av

    Frame = av.VideoFrame | Iterable[NDArray[Any]]

_MOTION = FEATURES["motion2"].unit
_SAD = "VMAF_integer_feature_motion_sad_score"


class Session:
    """Scores pairs of frames one by one.

    A frame's motion needs the frame after it, so `push` returns the row of the frame before; `finish` returns what
    is left. The rows equal those of `pyvmaf.score` on the same frames, to the last bit.

    Args:
        features: training names and names of sets.
        model: a built-in model of libvmaf or the path of its JSON; None for features only.
        threads: with more than one, frames are computed side by side and rows come up to that many frames later.
        layout: chroma layout of plane arrays, "420", "422", "444" or "400"; PyAV frames say it themselves.
        bits: bits per sample of plane arrays; None takes 8 for uint8 and 10 for uint16.
        backend: "cpu" or "cuda".

    Raises:
        InputError: an unknown feature or model, or a model whose motion looks further than one frame ahead.

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
        self._model = Teacher(model) if model else None
        units = self._model.keys if self._model else {}
        for unit in units:
            if unit.reference_only and unit != _MOTION:
                raise InputError(
                    f"model {model!r} reads {unit}, which is known at the end of a clip only: use pyvmaf.score, or "
                    "another model"
                )
        if threads < 1:
            raise InputError(f"threads is {threads}, it must be at least 1")
        self.unavailable: dict[str, str] = {}
        self._layout, self._bits, self._backend, self._threads = layout, bits, backend, threads
        self._form: Format | None = None
        self._count = 0
        self._closed = False
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="pyvmaf") if threads > 1 else None
        self._idle: list[Batch] = []
        self._motion: Batch | None = None
        self._sads: deque[float] = deque()
        self._pending: deque[Future[dict[str, float]] | dict[str, float]] = deque()
        self._emitted = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def push(self, reference: Frame, distorted: Frame) -> list[dict[str, Any]]:
        """Hand over the next pair and take the rows that are complete now.

        Args:
            reference, distorted: PyAV frames, or sequences of planes (Y, U, V; Y alone for "400"), each a 2-D array
                of uint8 or uint16 with any strides. The samples are copied; the buffers may be reused at once.

        Returns:
            rows in order: ``frame_index``, each feature, ``vmaf``.

        Raises:
            InputError: the two differ in format, or from the pairs before them.
            NativeError: libvmaf failed, or the session was finished.
        """
        if self._closed:
            raise NativeError(f"the session was finished after {self._count} frames: open another one")
        ref_form, ref = self._planes(reference, "reference")
        dis_form, dis = self._planes(distorted, "distorted")
        if ref_form != dis_form:
            raise InputError(
                f"frame {self._count}: the reference is {ref_form.size} {ref_form.pix_fmt}, the distorted one is "
                f"{dis_form.size} {dis_form.pix_fmt}"
            )
        if self._form is None:
            self._start(ref_form)
        elif ref_form != self._form:
            raise InputError(
                f"frame {self._count} is {ref_form.size} {ref_form.pix_fmt}, those before it were {self._form.size} "
                f"{self._form.pix_fmt}: open another session"
            )
        if self._motion is not None:
            self._sads.append(self._sad(ref))
        self._pending.append(self._submit(ref, dis))
        self._count += 1
        return list(self._complete(ended=False))

    def finish(self) -> list[dict[str, Any]]:
        """The rows that `push` has not returned yet; the session is closed afterwards."""
        if self._closed:
            raise NativeError(f"the session was finished after {self._count} frames: open another one")
        try:
            return list(self._complete(ended=True))
        finally:
            self.close()

    def stream(self, pairs: Iterable[tuple[Frame, Frame]]) -> Iterator[dict[str, Any]]:
        """Every row of an iterable of pairs, each one frame late."""
        for reference, distorted in pairs:
            yield from self.push(reference, distorted)
        yield from self.finish()

    def close(self) -> None:
        """Let go of libvmaf's memory. Safe to call again."""
        self._closed = True
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
        for context in [*self._idle, *([self._motion] if self._motion else [])]:
            context.native.close()
        self._idle.clear()
        self._motion = None

    def _planes(self, frame: Frame, what: str) -> tuple[Format, Planes]:
        if not isinstance(frame, Iterable):
            form = frame_format(frame)
            return form, planes_of(frame, form.chroma, form.bit_depth)
        planes: tuple[Any, ...] = tuple(np.asarray(p) for p in frame)
        luma: NDArray[Any] = planes[0] if planes else np.empty(0)
        if luma.ndim != 2 or not luma.size:
            raise InputError(f"frame {self._count}: the {what} frame has no 2-D luma plane, its shape is {luma.shape}")
        if luma.dtype not in (np.uint8, np.uint16):
            raise InputError(f"frame {self._count}: the {what} samples are {luma.dtype}, they must be uint8 or uint16")
        bits = self._bits or (8 if luma.dtype == np.uint8 else 10)
        layout = self._layout if len(planes) > 1 else "400"
        return Format.planar(len(luma[0]), len(luma), layout, bits), planes

    def _start(self, form: Format) -> None:
        able, self.unavailable = usable(self._selection, form)
        check_teacher(self._model, form)
        extra = self._model.keys if self._model else {}
        units = list(dict.fromkeys([*(f.unit for f in able if f.unit), *extra]))
        self._able = {f.name: f.key for f in able}
        self._units: list[Unit] = [u for u in units if not u.reference_only]
        self._keys = [k for u in self._units for k in keys_of(u, form, extra)]
        self._form = form
        if len(self._units) < len(units):
            self._motion = self._new_motion()

    def _new_motion(self) -> Batch:
        assert self._form is not None
        assert _MOTION is not None
        return Batch([_MOTION], self._form, [_SAD], self._backend)

    def _sad(self, reference: Planes) -> float:
        """Mean absolute difference to the frame before; libvmaf's motion scores all follow from it."""
        assert self._motion is not None
        self._motion.read(self._count, reference, None)
        at = len(self._motion.indices) - 1
        sad = float(self._motion.native.feature_scores(_SAD, np.asarray([at]))[0])
        if at + 1 >= extract.BLOCK:
            # Start anew with this frame as the one before, so that memory does not grow with the stream.
            self._motion.native.close()
            self._motion = self._new_motion()
            self._motion.read(self._count, reference, None)
        return sad

    def _submit(self, reference: Planes, distorted: Planes) -> Future[dict[str, float]] | dict[str, float]:
        if not self._units:
            return {}
        if self._executor is None:
            return self._compute(reference, distorted)
        # The caller may reuse its buffers as soon as push returns.
        copies = tuple(p.copy() for p in reference), tuple(p.copy() for p in distorted)
        return self._executor.submit(self._compute, *copies)

    def _compute(self, reference: Planes, distorted: Planes) -> dict[str, float]:
        assert self._form is not None
        try:
            context = self._idle.pop()
        except IndexError:
            context = Batch(self._units, self._form, self._keys, self._backend)
        context.read(len(context.indices), reference, distorted)
        at = np.asarray([len(context.indices) - 1])
        scores = {key: float(context.native.feature_scores(key, at)[0]) for key in self._keys}
        if len(context.indices) < extract.BLOCK:
            self._idle.append(context)
        else:
            context.native.close()
        return scores

    def _complete(self, *, ended: bool) -> Iterator[dict[str, Any]]:
        while self._pending:
            # The row of a frame needs the motion between it and the next.
            if self._motion is not None and len(self._sads) < 2 and not ended:
                return
            head = self._pending[0]
            if isinstance(head, Future):
                if not ended and not head.done() and len(self._pending) <= self._threads:
                    return
                scores = dict(head.result())
            else:
                scores = dict(head)
            self._pending.popleft()
            yield self._row(scores)

    def _row(self, scores: dict[str, float]) -> dict[str, Any]:
        index = self._emitted
        if self._motion is not None:
            here = self._sads.popleft()
            ahead = self._sads[0] if self._sads else here
            # libvmaf 3.2, integer_motion.c: motion2 is the smaller of both neighbours' differences, 0 at the start;
            # motion3 with its default options is motion2, its first value taken from the second frame.
            scores["VMAF_integer_feature_motion_score"] = here
            scores["VMAF_integer_feature_motion2_score"] = min(here, ahead) if index else 0.0
            scores["VMAF_integer_feature_motion3_score"] = min(here, ahead) if index else ahead
        row: dict[str, Any] = {"frame_index": index}
        for name in self._selection.names:
            row[name] = scores[self._able[name]] if name in self._able else float("nan")
        if self._model:
            row["vmaf"] = float(self._model.predict({k: np.asarray([v]) for k, v in scores.items()})[0])
        self._emitted += 1
        return row
