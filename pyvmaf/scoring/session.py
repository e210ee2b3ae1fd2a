"""Scores of frames that a program already has, frame by frame."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

from pyvmaf import engines
from pyvmaf.errors import InputError, NativeError
from pyvmaf.features.catalog import DEFAULT_FEATURES, DEFAULT_MODEL, TEACHER, select
from pyvmaf.features.requests import Teacher
from pyvmaf.scoring.handed import Facts, Handed, Taking, read_frame
from pyvmaf.scoring.packed import Matrix
from pyvmaf.scoring.rows import Rows
from pyvmaf.video.agree import FRAMES, compare_colours, refuse_fields
from pyvmaf.video.format import Colour, Format
from pyvmaf.video.layouts import RGB_MATRIX

if TYPE_CHECKING:
    from pyvmaf.scoring.handed import Frame
    from pyvmaf.scoring.score import AnyModel
    from pyvmaf.scoring.streamed import Codec


class FrameWarning(UserWarning):
    """The frames of a session give rise to a doubt about their scores."""


class Session:
    """Scores pairs of frames one by one.

    A frame's motion needs the frame after it, so `push` returns the row of the frame before; `finish` returns the
    rest. The rows equal those of `pyvmaf.score` on the same frames, to the last bit.

    A pair that `push` refuses changes nothing: the next one takes its place. If the engine fails, or a call is
    interrupted (Ctrl-C) while a pair is measured, every later call is refused, since the rows would be in doubt. A
    session serves one thread at a time: a call during another one is refused and changes nothing.

    Args:
        features: training names and names of sets.
        model: a built-in model of libvmaf or the path of its JSON; None for features only.
        threads: with more than one, frames are computed side by side and rows come up to that many frames later.
        layout: of arrays; PyAV frames have their own. The chroma layout of planes, "420", "422", "444" or "400"; "nv12" or "p010",
            luma with interleaved chroma; "rgb", arrays of shape (height, width, 3), uint8 or uint16.
        bits: bits per sample of arrays; None takes 8 for uint8, and for uint16 10, or 16 of RGB.
        matrix: by which RGB becomes YUV: "bt601" (as FFmpeg, unless it is told), "bt709", "bt2020" or "smpte240m". Take that of the
            video that the frames were decoded from.
        full_range: whether RGB becomes YUV of full range instead of limited.
        drop_alpha: leave out the transparency of PyAV frames.
        luma_only: compare luma alone, of any chroma layouts.
        backend: "auto", "cpu" (libvmaf alone), or the name of another engine.
        learned: models of this project that score frames: ids of registered ones, paths, or loaded models (`pyvmaf.load_model`).
            Each adds its column to the rows, and the features that it reads. A row is scored on its own, so that the last digits of
            single precision may differ from those of `pyvmaf.score`.
        registry: where their ids are looked up, as in `pyvmaf.load_model`.
        codec, context: what they read of the distorted video, as in `pyvmaf.score`; frames do not say it.

    Attributes:
        unavailable: features of a set that cannot be computed on these frames (their values are NaN), with the reason;
            known after the first pair.
        notes: what was done to frames to show them as players do, and doubts about the scores. Each is also a
            `FrameWarning` when it comes up.

    Raises:
        InputError: an unknown feature, model or layout, or a model whose motion looks further than one frame ahead.
        UnavailableError: this build or machine does not have the backend.

    Examples:
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
        matrix: str = RGB_MATRIX,
        full_range: bool = False,
        drop_alpha: bool = False,
        luma_only: bool = False,
        backend: str = engines.AUTO,
        learned: AnyModel | Iterable[AnyModel] = (),
        registry: str | os.PathLike[str] | None = None,
        codec: Codec | None = None,
        context: Mapping[str, float] | None = None,
    ) -> None:
        self._learned = None
        if learned != ():
            # What models need is imported for them alone.
            from pyvmaf.scoring.streamed import Streamed

            self._learned = Streamed(learned, model, registry=registry, codec=codec, context=context)
            words = features.split(",") if isinstance(features, str) else list(features)
            features = [*words, *self._learned.inputs]
        self._selection = select(features)
        self._engine = engines.load(backend)
        self._teacher = Teacher(model) if model else None
        for request in self._teacher.keys if self._teacher else ():
            if not self._engine.needs(request).one_ahead:
                raise InputError(
                    f"model {model!r} reads {request}, which is known at the end of a clip only: use pyvmaf.score, or "
                    "another model"
                )
        _check_number("threads", threads)
        if bits is not None:
            _check_number("bits", bits)
        if not isinstance(layout, str):
            raise InputError(
                f"layout is {layout!r}, it must be text: '420', '422', '444', '400', 'nv12', 'p010' or 'rgb'"
            )
        taking = Taking(layout, bits, drop_alpha, luma_only, Matrix(matrix, "pc" if full_range else "tv"))
        taking.check()
        self.unavailable: dict[str, str] = {}
        self.notes: list[str] = []
        self._taking, self._threads = taking, threads
        self._form: Format | None = None
        self._facts: tuple[Facts | None, Facts | None] = (None, None)
        self._closed = False
        # The call that is inside, and why no later one may follow. Both change under the lock, or back to None by a plain
        # assignment that is followed by nothing but `return`: there an interrupt cannot come between.
        self._lock = threading.Lock()
        self._inside: _Call | None = None
        self._failed: str | None = None
        self._process = os.getpid()
        self._rows: Rows | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def push(self, reference: Frame, distorted: Frame) -> list[dict[str, Any]]:
        """Read the next pair and return the rows that are complete now.

        Args:
            reference, distorted: PyAV frames, or sequences of planes (Y, U, V; Y alone for "400"), each a 2-D array
                of uint8 or uint16 with any strides, or arrays of the session's layout. An array is one of NumPy or any that
                speaks DLPack (`__dlpack__`, such as tensors of torch) in memory that the processor reads; it is read in place.
                When `push` returns, the samples have been read, and the buffers may be reused.

        Returns:
            Rows in order: ``frame_index``, each feature, ``vmaf``.

        Raises:
            InputError: the two are not frames that can be measured, or differ in format, colour or scanning, or from the
                pairs before them.
            IntegrityError: a PyAV frame is damaged.
            NativeError: the engine failed or a call was interrupted, now or before; the session was finished; or
                another call is inside.
        """
        left, right = self._read(reference, "reference"), self._read(distorted, "distorted frame")
        call = _Call(f"frame {self._count} was measured")
        try:
            self._enter(call)
            self._accept(left, right)
            call.touched = True
            rows = self._push(left, right)
        except BaseException as err:
            self._leave(call, err)
            raise
        self._inside = None
        return rows

    def finish(self) -> list[dict[str, Any]]:
        """Return the rows that `push` has not returned yet, and close the session.

        Raises:
            NativeError: as `push`.
        """
        call = _Call("the last frames were measured")
        try:
            self._enter(call)
            call.touched = True
            rows = self._complete(ended=True)
            self.close()
        except BaseException as err:
            self._leave(call, err)
            raise
        self._inside = None
        return rows

    def stream(self, pairs: Iterable[tuple[Frame, Frame]]) -> Iterator[dict[str, Any]]:
        """Yield every row of an iterable of pairs, each one frame late; raises what `push` raises."""
        try:
            for reference, distorted in pairs:
                yield from self.push(reference, distorted)
            yield from self.finish()
        except BaseException as err:
            if not isinstance(err, Exception | GeneratorExit):
                # An interrupt: a pair may have been taken from the iterable that was not measured.
                self._failed = self._failed or _doubt("a stream was read", err)
            raise

    def close(self) -> None:
        """Free the engine's memory. Closing twice does nothing."""
        self._closed = True
        if self._rows is not None:
            self._rows.close()

    @property
    def _count(self) -> int:
        """Number of pairs that were read."""
        return 0 if self._rows is None else self._rows.count

    def _enter(self, call: _Call) -> None:
        """Begin a call that changes the session, unless another is inside or none may follow."""
        if os.getpid() != self._process:
            raise NativeError(
                f"the session was opened by process {self._process}, and this is process {os.getpid()}: open another one"
            )
        with self._lock:
            if self._inside is not None:
                raise NativeError(
                    "another call of this session has not ended: use a session from one thread at a time, or one session "
                    "per thread"
                )
            if self._failed is not None:
                raise NativeError(self._failed)
            if self._closed:
                raise NativeError(f"the session was finished after {self._count} frames: open another one")
            self._inside = call

    def _leave(self, call: _Call, err: BaseException) -> None:
        """End a call that failed."""
        if self._inside is call:
            if call.touched:
                self._failed = _doubt(call.text, err)
            self._inside = None

    def _read(self, frame: Frame, side: str) -> Handed:
        return read_frame(frame, f"the {side} of frame {self._count}", self._taking)

    def _accept(self, reference: Handed, distorted: Handed) -> None:
        """Refuse a pair that cannot be measured, or not with those before it. A refusal changes nothing."""
        form, other = reference.form, distorted.form
        if form != other:
            raise InputError(
                f"frame {self._count}: the reference is {form.size} {form.pix_fmt}, the distorted one is "
                f"{other.size} {other.pix_fmt}"
            )
        if self._form is not None and form != self._form:
            raise InputError(
                f"frame {self._count} is {form.size} {form.pix_fmt}, those before it were {self._form.size} "
                f"{self._form.pix_fmt}: open another session"
            )
        facts = reference.facts, distorted.facts
        new = self._compare(facts, form) if facts != self._facts else []
        for note in new:
            warnings.warn(note, FrameWarning, stacklevel=3)
        if self._form is None:
            self._start(form)
        self.notes, self._facts = [*self.notes, *new], facts

    def _compare(self, facts: tuple[Facts | None, Facts | None], form: Format) -> list[str]:
        """Compare what both sides say about themselves, and what each said before; return new notes.

        Raises:
            InputError: they cannot be compared.
        """
        size = form.width, form.height
        notes = []
        for before, now, side in zip(self._facts, facts, FRAMES, strict=True):
            if now is not None and now.shown:
                notes.append(f"{side} is {now.shown}, as players show it")
            if now is not None and now.converted:
                notes.append(f"{side} {now.converted}")
            if before is not None and now is not None:
                _check_change(before.colour, now.colour, f"{side} {self._count}")
        reference, distorted = facts
        if reference is not None and distorted is not None:
            notes += compare_colours(reference.colour, distorted.colour, size=size)
            if reference.interlaced != distorted.interlaced:
                interlaced, other = FRAMES if reference.interlaced else FRAMES[::-1]
                raise refuse_fields(interlaced, other, f"frame {self._count}: ")
            if reference.interlaced:
                notes.append(
                    "frames are interlaced: VMAF is made for progressive video, and each frame is scored with both of its "
                    "fields as one picture"
                )
        return [note for note in notes if note not in self.notes]

    def _start(self, form: Format) -> None:
        teachers = {TEACHER: self._teacher} if self._teacher else {}
        self._rows = Rows(self._engine, self._selection, teachers, form, self._threads)
        self.unavailable = self._rows.unavailable
        self._form = form

    def _push(self, reference: Handed, distorted: Handed) -> list[dict[str, Any]]:
        assert self._rows is not None
        self._rows.push(reference.planes, distorted.planes)
        return self._complete(ended=False)

    def _complete(self, *, ended: bool) -> list[dict[str, Any]]:
        rows = [] if self._rows is None else list(self._rows.complete(ended=ended))
        return rows if self._learned is None else [self._learned.added(row) for row in rows]


@dataclass
class _Call:
    """A call that changes a session.

    Attributes:
        text: what it was doing, for the message if it fails.
        touched: whether it has begun to change the session.
    """

    text: str
    touched: bool = False


def _doubt(text: str, err: BaseException) -> str:
    return (
        f"{type(err).__name__} stopped the session while {text}, so that later rows would be in doubt: open another one"
    )


def _check_change(before: Colour, now: Colour, frame: str) -> None:
    """Refuse a frame whose samples stand for other colours than those of the frames before it."""
    try:
        compare_colours(before, now)
    except InputError as err:
        raise InputError(
            f"{frame} changes its colours from {before.words} to {now.words}: open another session"
        ) from err


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 1:
        raise InputError(f"{name} is {value!r}, it must be a whole number of at least 1")
